"""Online access dies with the session that it was allowed in: what programs got without `offline_access`.

Whoever ends a session calls `end_online` after it; that looks at what stands then, so it is right however the session
ended, and may be repeated. Of a session that nobody ended, `compute_seconds_left` says how long tokens may live.
"""

from __future__ import annotations

from typing import Final

from careledger.smart.accounts import Account, get_account
from careledger.smart.grants import Grant, Revoke, end_grants, list_grants
from careledger.smart.passkeys import PASSKEYS, Verified
from careledger.smart.sessions import (
    ABSOLUTE_MS,
    BY_ACCOUNT,
    IDLE_MS,
    SESSIONS,
    SESSIONS_MAX,
    SignedIn,
    is_over,
    open_session,
    session_key,
)
from careledger.vault.registry import Registry

SECONDS_LEAST: Final = 1


def is_signed_in(registry: Registry, grant: Grant, account: Account, now_ms: int) -> bool:
    """Whether the session stands in which the grant was given, and the passkey that opened it."""
    found = SESSIONS.get(registry, grant.session) if grant.session else None
    if found is None or is_over(found.value, account, now_ms):
        return False
    return PASSKEYS.get(registry, found.value.passkey) is not None


def compute_seconds_left(registry: Registry, grant: Grant, account: Account, now_ms: int, most: int) -> int:
    """How long an access token of the grant may live: `most`, online only until its session is idle or old."""
    session = SESSIONS.get(registry, grant.session) if grant.session else None
    if grant.is_offline or session is None:
        return most
    seen_ms, started_ms = session.value.seen_ms, session.value.started_ms
    ends_ms = min(seen_ms + IDLE_MS[account.kind], started_ms + ABSOLUTE_MS)
    return max(SECONDS_LEAST, min(most, (ends_ms - now_ms) // 1000))


async def sign_in(
    registry: Registry,
    revoke: Revoke,
    verified: Verified,
    label: str,
    now_ms: int,
    *,
    former: str = "",
    verified_ms: int | None = None,
) -> tuple[str, SignedIn]:
    """`open_session`, and the end of online access in those that it ends: the browser's former one, whoever's it was, and
    one too many. Where it ends none, no grant is looked at."""
    owner = SESSIONS.get(registry, session_key(former)) if former else None
    crowded = len(BY_ACCOUNT.of(registry, verified.account.id)) >= SESSIONS_MAX
    cookie, signed_in = await open_session(
        registry, verified, label, now_ms, former=former, verified_ms=verified_ms
    )
    ended = {owner.value.account} if owner is not None else set()
    for id in ended | ({verified.account.id} if crowded else set()):
        account = get_account(registry, id)
        if account is not None:
            await end_online(registry, revoke, account.value, now_ms)
    return cookie, signed_in


async def end_online(registry: Registry, revoke: Revoke, account: Account, now_ms: int) -> None:
    """The account's grants whose session has ended are over on every worker when this returns; offline ones stay."""
    found = list_grants(registry, account=account.id)
    ending = [one for one in found if not one.is_offline and not is_signed_in(registry, one, account, now_ms)]
    await end_grants(registry, revoke, ending)
