"""Online access dies with the session that it was allowed in: what programs got without `offline_access`.

Whoever ends a session calls `end_online` after it; that looks at what stands then, so it is right however the session
ended, and may be repeated. Of a session that nobody ended, `compute_seconds_left` says how long tokens may live.
"""

from __future__ import annotations

from typing import Final

from careledger.smart.accounts import Account
from careledger.smart.grants import Grant, Revoke, end_grants, list_grants
from careledger.smart.passkeys import PASSKEYS
from careledger.smart.sessions import ABSOLUTE_MS, IDLE_MS, SESSIONS, is_over
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


async def end_online(registry: Registry, revoke: Revoke, account: Account, now_ms: int) -> None:
    """The account's grants whose session has ended are over on every worker when this returns; offline ones stay."""
    found = list_grants(registry, account=account.id)
    ending = [one for one in found if not one.is_offline and not is_signed_in(registry, one, account, now_ms)]
    await end_grants(registry, revoke, ending)
