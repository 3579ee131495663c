"""Whether whoever signs in may act now, as the ledger says of a practitioner: the one question before every page of theirs.

Asked at each request, as FHIR asks it: a session that was opened before a suspension opens nothing during it, and opens
again what it did once the suspension is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from careledger.primitives.errors import NotPermitted
from careledger.smart.accounts import Account
from careledger.smart.issuing import Standing

StandingOf = Callable[[str], Standing]
"""How a DID stands at the ledger's newest block."""

REASONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "suspended": ("practitioner-suspended", "your organisation has suspended you"),
        "lapsed": ("practitioner-lapsed", "your licence has ended"),
    }
)
"""Status on the ledger -> code and message; every other one that is not active: the ledger does not know you as active."""
OTHERWISE: Final = ("practitioner-not-active", "the ledger does not have you as an active practitioner")


class MayNotAct(NotPermitted):
    """The ledger says that this practitioner may not act now."""

    def __init__(self, status: str) -> None:
        code, message = REASONS.get(status, OTHERWISE)
        super().__init__(message, hint="ask your organisation", code=code)


def check_acting(account: Account, standing_of: StandingOf) -> None:
    """Raises MayNotAct if the account stands for somebody on the ledger who is not active there."""
    if not account.did:
        return
    standing = standing_of(account.did)
    if not standing.is_active:
        raise MayNotAct(standing.status)
