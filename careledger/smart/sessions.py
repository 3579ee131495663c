"""Sessions: somebody is signed in at a browser. A secret cookie there; here its digest, and when it was last used.

A session ends by itself when nobody used it for a while (15 minutes for staff, 30 for patients) and 12 hours after the
sign-in whatever happens; at once with its passkey, its account, by the person from any other place, or by a recovery.
Reading never writes; being used is written at most once a minute, so idle time is kept to that minute, never longer
than promised.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from careledger.primitives.errors import Conflict, NotFound, NotPermitted
from careledger.smart.accounts import Account, get_account
from careledger.smart.indexes import make_index
from careledger.smart.passkeys import PASSKEYS, Verified, passkey_key
from careledger.smart.tables import Found, Table, new_secret, secret_key
from careledger.vault.registry import Change, Registry, RegistryMoved

MINUTE_MS: Final = 60_000
IDLE_MS: Final = {"patient": 30 * MINUTE_MS, "clinician": 15 * MINUTE_MS, "administrator": 15 * MINUTE_MS}
ABSOLUTE_MS: Final = 12 * 60 * MINUTE_MS
STEP_UP_MS: Final = 5 * MINUTE_MS
"""So fresh must the verification of the person be for signing, adding passkeys, approving."""
SEEN_EVERY_MS: Final = MINUTE_MS
SESSIONS_MAX: Final = 20
TRIES: Final = 5
LABEL_MAX: Final = 60


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One browser of one account. `passkey` is where the passkey stands that opened it; times in ms."""

    account: str
    passkey: bytes
    started_ms: int
    seen_ms: int
    verified_ms: int
    label: str
    csrf: bytes


SESSIONS: Final = Table("session", Session, b"at:")
BY_ACCOUNT: Final = make_index(SESSIONS)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that holds, and whose it is. `key` names it (grants of online access die with it)."""

    found: Found[Session]
    account: Account

    @property
    def key(self) -> bytes:
        """The digest of the cookie."""
        return self.found.key

    @property
    def session(self) -> Session:
        """The session itself."""
        return self.found.value


class StepUpNeeded(NotPermitted):
    """The person has to show their passkey again first."""

    code = "step-up-needed"


def session_key(cookie: str) -> bytes:
    """Where the session of a cookie stands."""
    return secret_key("cl1.session", cookie)


def is_over(session: Session, account: Account, now_ms: int) -> bool:
    """Idle for too long, or older than any session gets; a clock that went back ends it too."""
    idle_ms = now_ms - session.seen_ms
    return (
        idle_ms >= IDLE_MS[account.kind]
        or now_ms - session.started_ms >= ABSOLUTE_MS
        or now_ms < session.started_ms
    )


def find_session(registry: Registry, cookie: str, now_ms: int) -> SignedIn | None:
    """Who holds this cookie now. None for what is unknown, over, or of a disabled account or a removed passkey."""
    found = SESSIONS.get(registry, session_key(cookie)) if cookie else None
    if found is None:
        return None
    account = get_account(registry, found.value.account)
    if account is None or account.value.is_disabled or is_over(found.value, account.value, now_ms):
        return None
    if PASSKEYS.get(registry, found.value.passkey) is None:
        return None
    return SignedIn(found, account.value)


async def open_session(
    registry: Registry,
    verified: Verified,
    label: str,
    now_ms: int,
    *,
    former: str = "",
    verified_ms: int | None = None,
) -> tuple[str, SignedIn]:
    """A new session and its cookie, never one that the browser brought: `former` (its cookie) ends.

    Over SESSIONS_MAX the ones unused for longest end. `verified_ms` is when the person was verified, if not now.
    """
    cookie = new_secret()
    account = verified.account
    session = Session(
        account=account.id,
        passkey=passkey_key(verified.passkey.id),
        started_ms=now_ms,
        seen_ms=now_ms,
        verified_ms=now_ms if verified_ms is None else verified_ms,
        label=label[:LABEL_MAX],
        csrf=secrets.token_bytes(32),
    )
    key, expires_ms = session_key(cookie), now_ms + ABSOLUTE_MS
    for _ in range(TRIES):
        ending = _surplus(registry, account.id)
        old = SESSIONS.get(registry, session_key(former)) if former else None
        if old is not None and old.key not in {one.key for one in ending}:
            ending.append(old)
        gone = [one.key for one in ending]
        try:
            await registry.change(
                SESSIONS.put(key, session, expected=0, expires_ms=expires_ms),
                BY_ACCOUNT.change(registry, account.id, add=(key,), drop=gone, expires_ms=expires_ms),
                *_ending(ending),
            )
        except RegistryMoved:  # the same person, signing in elsewhere at this moment
            continue
        return cookie, SignedIn(Found(key, session, 1, expires_ms), account)
    raise Conflict("too many sign-ins at this moment", hint="try again", code="session-rivals")


def _surplus(registry: Registry, account: str) -> list[Found[Session]]:
    standing = sorted(BY_ACCOUNT.of(registry, account), key=lambda one: one.value.seen_ms, reverse=True)
    return standing[SESSIONS_MAX - 1 :]


async def keep_alive(registry: Registry, signed_in: SignedIn, now_ms: int) -> None:
    """The session was used now. Written at most once a minute; whoever was first, it is written."""
    if now_ms - signed_in.session.seen_ms < SEEN_EVERY_MS:
        return
    seen = msgspec.structs.replace(signed_in.session, seen_ms=now_ms)
    try:
        await registry.change(SESSIONS.renew(signed_in.found, seen))
    except RegistryMoved:  # another request of this browser wrote it, or the session has just ended
        return


async def mark_verified(registry: Registry, signed_in: SignedIn, now_ms: int) -> None:
    """The person was verified again. Raises NotFound if the session ended meanwhile."""
    verified = msgspec.structs.replace(signed_in.session, seen_ms=now_ms, verified_ms=now_ms)
    for _ in range(3):
        found = SESSIONS.get(registry, signed_in.key)
        if found is None:
            break
        try:
            await registry.change(SESSIONS.renew(found, verified))
        except RegistryMoved:
            continue
        return
    raise NotFound("this session has ended", hint="sign in again", code="session-ended")


def check_step_up(session: Session, now_ms: int) -> None:
    """Raises StepUpNeeded unless the person was verified within the last five minutes."""
    if not 0 <= now_ms - session.verified_ms < STEP_UP_MS:
        raise StepUpNeeded("this needs your passkey again", hint="confirm with your passkey, then repeat")


def list_sessions(registry: Registry, account: Account, now_ms: int) -> list[Found[Session]]:
    """Where the account is signed in, newest use first."""
    standing = [one for one in BY_ACCOUNT.of(registry, account.id) if not is_over(one.value, account, now_ms)]
    return sorted(standing, key=lambda one: one.value.seen_ms, reverse=True)


async def end_session(registry: Registry, account: str, key: bytes) -> None:
    """That session is over. Somebody else's is as unknown as none (NotFound)."""
    found = SESSIONS.get(registry, key)
    if found is None or found.value.account != account:
        raise NotFound("there is no such session", hint="look again at where you are signed in")
    await _end(registry, [found])


async def end_all(registry: Registry, account: str, *, but: bytes = b"") -> int:
    """Every session of the account is over, except `but`. Returns how many were."""
    ending = [one for one in BY_ACCOUNT.of(registry, account) if one.key != but]
    await _end(registry, ending)
    return len(ending)


def drop_sessions(registry: Registry, account: str) -> list[Change]:
    """The changes that end all sessions of an account, to be made with others at once."""
    return _ending(BY_ACCOUNT.of(registry, account))


async def _end(registry: Registry, ending: list[Found[Session]]) -> None:
    if ending:
        await registry.change(*_ending(ending))


def _ending(ending: Iterable[Found[Session]]) -> list[Change]:
    """Whatever they are now: a session that was used meanwhile ends too."""
    return [Change(SESSIONS.name, SESSIONS.prefix + one.key, None) for one in ending]
