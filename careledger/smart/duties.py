"""Duties of administrators: keys, users, audit, each alone; and the acts that need two of them.

A dangerous act is requested by one administrator and approved by another, both with the act's duty, both freshly
verified. The request says exactly what is to be done, holds for a day, and is used up by the approval: what is then
done is what was requested, never what the approver sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from careledger.primitives.errors import Conflict, Invalid, NotFound, NotPermitted
from careledger.smart.accounts import Account, Duty, get_account
from careledger.smart.tables import Found, Table
from careledger.vault.registry import Change, Registry, RegistryMoved

REQUEST_MS: Final = 86_400_000
SUBJECT_MAX, REASON_MAX, REQUESTS_MAX = 256, 300, 200


@dataclass(frozen=True, slots=True)
class Act:
    """Something that an administrator does: the duty that it needs, and whether two persons must agree."""

    duty: Duty
    needs_two: bool


ACTS: Final[Mapping[str, Act]] = MappingProxyType(
    {
        "invite": Act("users", needs_two=False),
        "invite-patient": Act("users", needs_two=True),
        "invite-clinician": Act("users", needs_two=True),
        "invite-administrator": Act("users", needs_two=True),
        "withdraw-invitation": Act("users", needs_two=False),
        "disable-account": Act("users", needs_two=False),
        "enable-account": Act("users", needs_two=False),
        "disable-last-administrator": Act("users", needs_two=True),
        "approve-recovery": Act("users", needs_two=True),
        "rotate-keys": Act("keys", needs_two=True),
        "read-audit": Act("audit", needs_two=False),
    }
)
"""Every act of administrators. What is not here, none may do: shredding, clients and their registration are the operator's,
on the command line."""


class ActRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one administrator asks another to approve. `subject` is an id, never a name; `invited` who is to be invited."""

    act: str
    subject: str
    reason: str
    by: str
    asked_ms: int
    invited: Account | None = None


REQUESTS: Final = Table("request", ActRequest, b"act:")


class DutyMissing(NotPermitted):
    """The administrator has not the duty that this needs."""

    code = "duty-missing"


class SecondPersonNeeded(NotPermitted):
    """One person alone cannot do this."""

    code = "second-person-needed"


def check_duty(account: Account, act: str) -> Act:
    """Raises DutyMissing unless this is an enabled administrator with the duty for the act."""
    known = ACTS.get(act)
    if (
        known is None
        or account.kind != "administrator"
        or account.is_disabled
        or known.duty not in account.duties
    ):
        raise DutyMissing("this needs a duty that you do not have", hint="ask an administrator who has it")
    return known


def check_alone(account: Account, act: str) -> None:
    """Raises DutyMissing, or SecondPersonNeeded for what one person may not do."""
    if check_duty(account, act).needs_two:
        raise SecondPersonNeeded(
            "this needs a second administrator", hint="request it; another administrator approves it"
        )


async def request_act(
    registry: Registry,
    account: Account,
    act: str,
    subject: str,
    reason: str,
    now_ms: int,
    *,
    invited: Account | None = None,
) -> bytes:
    """Ask for a dangerous act. Returns the key of the request. Raises DutyMissing, Invalid."""
    if not check_duty(account, act).needs_two:
        raise Invalid("this needs no second person", hint="do it", code="act-alone")
    if not 0 < len(subject) <= SUBJECT_MAX or not 0 < len(reason.strip()) <= REASON_MAX:
        raise Invalid(f"say what it is about, and why (at most {REASON_MAX} characters)", code="act-reason")
    if len(REQUESTS.list(registry)) >= REQUESTS_MAX:
        raise Invalid("too many requests wait", hint="approve or refuse some of them", code="act-many")
    key = secrets.token_bytes(16)
    asked = ActRequest(
        act=act, subject=subject, reason=reason.strip(), by=account.id, asked_ms=now_ms, invited=invited
    )
    await registry.change(REQUESTS.put(key, asked, expected=0, expires_ms=now_ms + REQUEST_MS))
    return key


def list_requests(registry: Registry) -> list[Found[ActRequest]]:
    """What waits for a second person, oldest first."""
    return sorted(REQUESTS.list(registry), key=lambda one: (one.value.asked_ms, one.key))


def find_approved(registry: Registry, account: Account, key: bytes, now_ms: int) -> Found[ActRequest]:
    """The request that this administrator may approve now. Raises NotFound, DutyMissing, SecondPersonNeeded."""
    found = REQUESTS.get(registry, key)
    if found is None or now_ms >= found.value.asked_ms + REQUEST_MS:
        raise NotFound("there is no such request", hint="it was decided, or it is older than a day")
    check_duty(account, found.value.act)
    if found.value.by == account.id:
        raise SecondPersonNeeded(
            "your own request needs somebody else", hint="another administrator approves it"
        )
    asker = get_account(registry, found.value.by)
    if asker is None:
        raise NotFound("who asked for this is no administrator any more", hint="ask for it anew")
    check_duty(asker.value, found.value.act)
    return found


async def approve_act(
    registry: Registry, account: Account, key: bytes, now_ms: int, *effects: Change
) -> ActRequest:
    """The request is approved and used up, together with its `effects`. What it returns is what is to be done.

    Raises NotFound, DutyMissing, SecondPersonNeeded, Conflict (something changed meanwhile; nothing was done).
    """
    found = find_approved(registry, account, key, now_ms)
    try:
        await registry.change(REQUESTS.drop(found), *effects)
    except RegistryMoved:
        raise Conflict("this was decided meanwhile", hint="look again", code="act-decided") from None
    return found.value


async def refuse_act(registry: Registry, account: Account, key: bytes) -> None:
    """The request is gone: any administrator with the duty may say no, its author too. Raises NotFound, DutyMissing."""
    found = REQUESTS.get(registry, key)
    if found is None:
        raise NotFound("there is no such request", hint="it was decided, or it is older than a day")
    check_duty(account, found.value.act)
    await registry.change(REQUESTS.drop(found))


def is_last_with_duty(account: Account, accounts: Iterable[Account]) -> bool:
    """Without this administrator nobody would have one of the duties."""
    others = [one for one in accounts if one.id != account.id and not one.is_disabled]
    return any(not any(duty in other.duties for other in others) for duty in account.duties)
