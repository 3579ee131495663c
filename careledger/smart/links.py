"""Links: which account somebody is whom the organisation's own provider signs in. Made by administrators, beforehand.

A link names the provider's issuer and the subject that it will say, nothing else: an e-mail address or a name links
nobody, and no sign-in ever makes a link or an account. One subject is one account. Each link has an anchor among the
passkeys that verifies nothing and is listed nowhere: the sessions of a link stand on it and end with it, at the next
request, on every worker.
"""

from __future__ import annotations

from typing import Final

import msgspec

from careledger.primitives.errors import Conflict, Invalid, NotFound
from careledger.primitives.hashing import tagged
from careledger.smart.accounts import get_account
from careledger.smart.json import TEXT
from careledger.smart.passkeys import PASSKEYS, Verified, make_anchor, passkey_key
from careledger.smart.tables import Table
from careledger.vault.registry import Change, Registry, RegistryMoved

SUBJECT_MAX: Final = 255  # OpenID Connect Core 1.0, 2
LABEL: Final = "provider"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A subject of a provider is this account. `anchor` is where its anchor stands among the passkeys."""

    issuer: str
    subject: str
    account: str
    anchor: bytes
    created_ms: int


LINKS: Final = Table("link", Link)


def link_key(issuer: str, subject: str) -> bytes:
    """Where a link stands: a digest of both, so that neither can be taken for a part of the other."""
    return tagged("cl1.link", tagged("cl1.link.issuer", issuer.encode()) + subject.encode())


def check_subject(subject: object) -> str:
    """The subject. Raises Invalid unless it is a text of 1 to 255 ASCII characters, none of control."""
    if not isinstance(subject, str) or not subject.isascii() or not TEXT.fullmatch(subject):
        raise _no_subject()
    if len(subject) > SUBJECT_MAX:
        raise _no_subject()
    return subject


def list_links(registry: Registry, account: str = "") -> list[Link]:
    """Those of an account, or all; oldest first."""
    found = (one.value for one in LINKS.list(registry))
    chosen = [one for one in found if not account or one.account == account]
    return sorted(chosen, key=lambda one: (one.created_ms, one.subject))


async def link(registry: Registry, issuer: str, subject: str, account: str, now_ms: int) -> None:
    """The subject signs this account in from now on. Raises NotFound, Invalid, Conflict if it is linked already."""
    if get_account(registry, account) is None:
        raise NotFound("there is no such account", hint="careledger account list")
    anchor = make_anchor(account, LABEL, now_ms)
    key = passkey_key(anchor.id)
    new = Link(
        issuer=issuer, subject=check_subject(subject), account=account, anchor=key, created_ms=now_ms
    )  # fmt: skip
    try:
        await registry.change(
            LINKS.put(link_key(issuer, subject), new, expected=0), PASSKEYS.put(key, anchor, expected=0)
        )
    except RegistryMoved:
        raise Conflict(
            "this subject is linked already", hint="unlink it from its account first", code="linked-already"
        ) from None


async def unlink(registry: Registry, issuer: str, subject: str, account: str) -> None:
    """The subject signs nobody in any more, and the sessions that it opened are over. Raises NotFound."""
    found = LINKS.get(registry, link_key(issuer, check_subject(subject)))
    if found is None or found.value.account != account:
        raise NotFound("this subject is not linked to this account", hint="careledger account list --json")
    anchor = PASSKEYS.get(registry, found.value.anchor)
    dropped = [PASSKEYS.drop(anchor)] if anchor is not None else []
    await registry.change(LINKS.drop(found), *dropped)


def drop_links(registry: Registry, account: str) -> list[Change]:
    """The changes by which nobody signs the account in through a provider any more."""
    return [
        change
        for one in list_links(registry, account)
        for change in (
            Change(LINKS.name, LINKS.prefix + link_key(one.issuer, one.subject), None),
            Change(PASSKEYS.name, PASSKEYS.prefix + one.anchor, None),
        )
    ]


def is_linked(registry: Registry, issuer: str, subject: str) -> bool:
    """Whether the subject is some account, be it a disabled one."""
    return LINKS.get(registry, link_key(issuer, subject)) is not None


def find_linked(registry: Registry, issuer: str, subject: str) -> Verified | None:
    """Who that is, verified by what their link stands on. None: not linked, or the account is disabled."""
    found = LINKS.get(registry, link_key(issuer, subject))
    account = get_account(registry, found.value.account) if found is not None else None
    if found is None or account is None or account.value.is_disabled:
        return None
    anchor = PASSKEYS.get(registry, found.value.anchor)
    return Verified(account.value, anchor.value) if anchor is not None else None


def _no_subject() -> Invalid:
    return Invalid(
        f"a subject is 1 to {SUBJECT_MAX} ASCII characters, none of control",
        hint="take it as the provider writes it: `sub` of its ID tokens",
        code="link-subject",
    )
