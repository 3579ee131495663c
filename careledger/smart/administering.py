"""What administrators do with accounts: which act it is, and the changes that it makes."""

from __future__ import annotations

import msgspec

from careledger.primitives.errors import NotFound
from careledger.smart.accounts import (
    ACCOUNTS,
    Account,
    account_key,
    check_account,
    check_unaccounted,
    get_account,
    has_had_another,
    list_accounts,
)
from careledger.smart.duties import check_alone, is_last_with_duty, request_act
from careledger.smart.sessions import drop_sessions
from careledger.smart.tables import Found
from careledger.vault.registry import Change, Registry


def choose_invite(registry: Registry, by: Account, kind: str) -> str:
    """The act of inviting somebody of this kind: everybody is invited by two, once there were two who may. One alone could
    follow the invitation, and read a record as its patient or practitioner."""
    return f"invite-{kind}" if has_had_another(registry, by, "users") else "invite"


async def request_invitation(
    registry: Registry, by: Account, invited: Account, reason: str, now_ms: int
) -> bytes:
    """Ask another administrator to invite them. Returns the key of the request. Raises Conflict, DutyMissing, Invalid."""
    check_account(invited)
    check_unaccounted(registry, invited.fhir_user)
    act = f"invite-{invited.kind}"
    subject = invited.fhir_user or ",".join(invited.duties) or invited.kind
    return await request_act(registry, by, act, subject, reason, now_ms, invited=invited)


def choose_disable(registry: Registry, id: str) -> str:
    """The act of disabling this account: the last administrator with a duty needs two. Raises NotFound."""
    account = _find(registry, id).value
    is_last = account.kind == "administrator" and is_last_with_duty(account, list_accounts(registry))
    return "disable-last-administrator" if is_last else "disable-account"


async def disable(registry: Registry, by: Account, id: str) -> None:
    """The account opens nothing any more and its sessions end. Raises DutyMissing, SecondPersonNeeded, NotFound."""
    check_alone(by, choose_disable(registry, id))
    await registry.change(*disabling(registry, id))


def disabling(registry: Registry, id: str) -> tuple[Change, ...]:
    """The changes that disable an account; its passkeys stay, and sign nobody in. Raises NotFound."""
    found = _find(registry, id)
    disabled = msgspec.structs.replace(found.value, is_disabled=True)
    return (ACCOUNTS.renew(found, disabled), *drop_sessions(registry, id))


async def enable(registry: Registry, by: Account, id: str) -> None:
    """The account's passkeys sign in again. Raises DutyMissing, NotFound."""
    check_alone(by, "enable-account")
    await registry.change(enabling(registry, id))


def enabling(registry: Registry, id: str) -> Change:
    """The change that enables an account again. Raises NotFound."""
    found = _find(registry, id)
    return ACCOUNTS.renew(found, msgspec.structs.replace(found.value, is_disabled=False))


def account_of(registry: Registry, id: str) -> Account:
    """The account, also a disabled one. Raises NotFound."""
    return _find(registry, id).value


def _find(registry: Registry, id: str) -> Found[Account]:
    found = get_account(registry, id) if account_key(id) else None
    if found is None:
        raise NotFound("there is no such account", hint="look at the list of accounts")
    return found
