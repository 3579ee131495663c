"""Recovery of an account whose passkeys are lost: two of three say yes, and nobody of them alone gets in.

The three are the printed code, a guardian named by the person (confirmed by the guardian's passkey), and the
organisation (two administrators, `duties.py`). Any of them opens the recovery and gets a ticket for the person; after the
second one a day goes by, in which whoever still holds a session sees it and can stop it. Then the ticket makes one new
passkey: all former passkeys and sessions end in the same change, and the printed code with them.

Onboarding counts as finished only when the printed code was typed back once: what was never tried does not work.
"""

from __future__ import annotations

from typing import Final

import msgspec

from careledger.primitives.errors import Conflict, Invalid, NotFound, NotPermitted
from careledger.smart.accounts import Account, account_key, get_account
from careledger.smart.backoff import check_tries, count_wrong, forget_tries
from careledger.smart.indexes import make_index
from careledger.smart.passkeys import Passkey, replace_passkeys
from careledger.smart.sessions import SignedIn, check_step_up, drop_sessions
from careledger.smart.tables import Found, Table, code_key, new_code
from careledger.vault.registry import Change, Registry, RegistryMoved

WAIT_MS: Final = 86_400_000
LIFETIME_MS: Final = 7 * 86_400_000
NEEDED: Final = 2


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has ready: the digest of the printed code, when it was typed back, who the guardian is."""

    account: str
    code: bytes
    guardian: str
    made_ms: int
    rehearsed_ms: int


class CodeOf(msgspec.Struct, frozen=True):
    """Whose printed code this is."""

    account: str


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """An open recovery: which of the three said yes, when (0: not yet). `ready_ms` is set with the second."""

    account: str
    opened_ms: int
    printed_ms: int = 0
    guardian_ms: int = 0
    organisation_ms: int = 0
    ready_ms: int = 0

    @property
    def approvals(self) -> int:
        """How many of the three."""
        return sum(1 for one in (self.printed_ms, self.guardian_ms, self.organisation_ms) if one)


KITS: Final = Table("recovery", Kit, b"kit:")
CODES: Final = Table("recovery", CodeOf, b"code:")
OPEN: Final = Table("recovery", Recovery, b"open:")
OPEN_OF: Final = make_index(OPEN)
WARDS_OF: Final = make_index(KITS)


class RecoveryRefused(NotFound):
    """No code or ticket that holds. Which of the reasons it is, nobody is told."""

    code = "recovery-refused"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "this code does not hold", hint="check it letter by letter, or ask your organisation for help"
        )
        self.reason = reason


class RecoveryWaits(NotPermitted):
    """It is too early: an approval is missing, or the day is not over."""

    code = "recovery-waits"


# Being ready


async def make_kit(registry: Registry, account: str, now_ms: int) -> str:
    """A new printed code, shown once; a former one does not hold any more. It must be typed back."""
    code = new_code()
    digest = _printed(code)
    former = KITS.get(registry, account_key(account))
    guardian = former.value.guardian if former is not None else ""
    kit = Kit(account=account, code=digest, guardian=guardian, made_ms=now_ms, rehearsed_ms=0)
    changes = [
        KITS.put(account_key(account), kit, expected=former.version if former is not None else 0),
        CODES.put(digest, CodeOf(account), expected=0),
    ]
    if former is not None:
        changes.append(_drop_code(former.value.code))
    await registry.change(*changes)
    return code


async def rehearse(registry: Registry, account: str, code: str, now_ms: int) -> None:
    """The printed code was typed back: onboarding is finished. Raises RecoveryRefused, TooManyTries."""
    check_tries(registry, "rehearsal", account, now_ms)
    found = KITS.get(registry, account_key(account))
    if found is None or found.value.code != code_key("cl1.recovery-code", code):
        await count_wrong(registry, "rehearsal", account, now_ms)
        raise RecoveryRefused("unknown")
    await registry.change(KITS.renew(found, msgspec.structs.replace(found.value, rehearsed_ms=now_ms)))


def is_onboarded(registry: Registry, account: str) -> bool:
    """The printed code was rehearsed."""
    found = KITS.get(registry, account_key(account))
    return found is not None and found.value.rehearsed_ms > 0


async def name_guardian(registry: Registry, account: str, guardian: str) -> None:
    """Who may say yes for this person; '' for nobody. Raises Invalid, Conflict."""
    found = KITS.get(registry, account_key(account))
    if found is None:
        raise Invalid("print your recovery code first", code="recovery-no-kit")
    if guardian:
        other = get_account(registry, guardian)
        if guardian == account or other is None or other.value.is_disabled:
            raise Invalid("this person cannot be your guardian", code="recovery-guardian")
    key, former = account_key(account), found.value.guardian
    changes = [KITS.renew(found, msgspec.structs.replace(found.value, guardian=guardian))]
    if former and former != guardian:
        changes.append(WARDS_OF.change(registry, former, drop=(key,)))
    if guardian:
        changes.append(WARDS_OF.change(registry, guardian, add=(key,)))
    await registry.change(*changes)


# Saying yes


async def approve_with_code(registry: Registry, code: str, address: str, now_ms: int) -> str:
    """The printed code says yes. A ticket for the person, '' if there is one already. Raises RecoveryRefused, TooManyTries."""
    check_tries(registry, "recovery", address, now_ms)
    digest = code_key("cl1.recovery-code", code)
    owner = CODES.get(registry, digest) if digest is not None else None
    kit = KITS.get(registry, account_key(owner.value.account)) if owner is not None else None
    if owner is None or kit is None or kit.value.code != digest or not kit.value.rehearsed_ms:
        await count_wrong(registry, "recovery", address, now_ms)
        raise RecoveryRefused("unknown")
    return await _approve(registry, owner.value.account, "printed_ms", now_ms)


async def approve_as_guardian(registry: Registry, guardian: SignedIn, account: str, now_ms: int) -> str:
    """The guardian says yes, freshly verified. A ticket, '' if there is one already. Raises StepUpNeeded, RecoveryRefused."""
    check_step_up(guardian.session, now_ms)
    kit = KITS.get(registry, account_key(account))
    if kit is None or kit.value.guardian != guardian.account.id or account == guardian.account.id:
        raise RecoveryRefused("not-the-guardian")
    return await _approve(registry, account, "guardian_ms", now_ms)


async def approve_as_organisation(
    registry: Registry, account: str, administrators: tuple[str, str], now_ms: int
) -> str:
    """The organisation says yes, by two administrators (`duties.approve_act`), neither of them the person, nor the guardian."""
    kit = KITS.get(registry, account_key(account))
    guardian = kit.value.guardian if kit is not None else ""
    if len(set(administrators)) < 2 or {account, guardian or account} & set(administrators):
        raise NotPermitted("nobody decides on their own recovery, or twice", code="recovery-own")
    return await _approve(registry, account, "organisation_ms", now_ms)


async def _approve(registry: Registry, account: str, field: str, now_ms: int) -> str:
    """One of the three said yes. Raises RecoveryRefused (no such account), Conflict."""
    owner = get_account(registry, account)
    if owner is None or owner.value.is_disabled:
        raise RecoveryRefused("account")
    found = find_open(registry, account)
    ticket = "" if found is not None else new_code()
    key = found.key if found is not None else _ticket(ticket)
    standing = found.value if found is not None else Recovery(account=account, opened_ms=now_ms)
    if not getattr(standing, field):
        standing = msgspec.structs.replace(standing, **{field: now_ms})
    if standing.approvals >= NEEDED and not standing.ready_ms:
        standing = msgspec.structs.replace(standing, ready_ms=now_ms + WAIT_MS)
    expected = found.version if found is not None else 0
    until_ms = standing.opened_ms + LIFETIME_MS
    changes = [OPEN.put(key, standing, expected=expected, expires_ms=until_ms)]
    if found is None:
        changes.append(OPEN_OF.change(registry, account, add=(key,), expires_ms=until_ms))
    try:
        await registry.change(*changes)
    except RegistryMoved:
        raise Conflict("somebody else said yes at this moment", hint="repeat it") from None
    return ticket


# The wait, and the end


def find_open(registry: Registry, account: str) -> Found[Recovery] | None:
    """The open recovery of an account: the notice that the person sees wherever they are still signed in."""
    return next(iter(OPEN_OF.of(registry, account)), None)


def list_wards(registry: Registry, guardian: str) -> list[str]:
    """The accounts whose guardian this is."""
    return [one.value.account for one in WARDS_OF.of(registry, guardian)]


async def stop(registry: Registry, account: str) -> None:
    """The person says no: the recovery is over, its ticket worth nothing. Raises NotFound."""
    found = find_open(registry, account)
    if found is None:
        raise NotFound("no recovery is open", hint="nothing to stop")
    await registry.change(OPEN.drop(found))


async def find_ticket(registry: Registry, ticket: str, address: str, now_ms: int) -> Found[Recovery]:
    """The recovery of a ticket. Raises RecoveryRefused (and counts it), TooManyTries."""
    check_tries(registry, "ticket", address, now_ms)
    key = code_key("cl1.recovery-ticket", ticket)
    found = OPEN.get(registry, key) if key is not None else None
    if found is None:
        await count_wrong(registry, "ticket", address, now_ms)
        raise RecoveryRefused("unknown")
    return found


def check_ready(registry: Registry, key: bytes, now_ms: int) -> tuple[Found[Recovery], Account]:
    """The recovery and whose it is. Raises RecoveryWaits, RecoveryRefused."""
    found = OPEN.get(registry, key)
    owner = get_account(registry, found.value.account) if found is not None else None
    if found is None or owner is None or owner.value.is_disabled:
        raise RecoveryRefused("unknown")
    if found.value.approvals < NEEDED:
        raise RecoveryWaits("a second approval is missing", hint="ask your guardian, or your organisation")
    if not found.value.ready_ms or now_ms < found.value.ready_ms:
        raise RecoveryWaits("the day of waiting is not over", hint="come back later with your ticket")
    return found, owner.value


async def complete(registry: Registry, key: bytes, passkey: Passkey, address: str, now_ms: int) -> Account:
    """The new passkey is the account's only one; every session and the printed code end. Raises RecoveryWaits, RecoveryRefused."""
    found, account = check_ready(registry, key, now_ms)
    if passkey.account != account.id:
        raise RecoveryRefused("another-account")
    kit = KITS.get(registry, account_key(account.id))
    changes = [
        OPEN.drop(found),
        *replace_passkeys(registry, passkey),
        *drop_sessions(registry, account.id),
        forget_tries("ticket", address),
    ]
    if kit is not None:
        renewed = msgspec.structs.replace(kit.value, code=b"", rehearsed_ms=0)
        changes += [_drop_code(kit.value.code), KITS.renew(kit, renewed)]
    try:
        await registry.change(*changes)
    except RegistryMoved:
        raise RecoveryRefused("used") from None
    return account


def _drop_code(digest: bytes) -> Change:
    return Change(CODES.name, CODES.prefix + digest, None)


def _printed(code: str) -> bytes:
    return code_key("cl1.recovery-code", code) or b""


def _ticket(ticket: str) -> bytes:
    return code_key("cl1.recovery-ticket", ticket) or b""
