"""Grants: what a person allowed a program, or the operator a backend service, until when, and how it is ended.

A grant is what access tokens name (`gid`): once it is revoked, every worker refuses all of its tokens at the next
request. Its refresh token rotates at each use. Former ones are recognised without being stored: token n is
HMAC(the grant's seed, n), so a genuine former token ends the grant (SMART App Launch 2.2, best practices; RFC 9700,
4.14.2), while an invented one ends nothing: nobody ends somebody else's grant by guessing.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec

from careledger.access.actor import DEFAULT_PURPOSE
from careledger.primitives.errors import NotFound
from careledger.primitives.hashing import hmac_sha256
from careledger.smart.errors import OAuthError
from careledger.smart.indexes import LISTS, build, make_index
from careledger.smart.tables import Found, Table, base64url, new_id
from careledger.vault.registry import Change, Registry, RegistryMoved

OFFLINE_MS: Final = 90 * 86_400_000
"""How long offline access holds, however often it is used, unless the person chose less."""
ONLINE_MS: Final = 12 * 3_600_000
SEED_BYTES: Final = 32
_REFRESH = re.compile(r"([A-Za-z0-9_-]{22})\.(0|[1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})", re.ASCII)

Revoke = Callable[[Iterable[str]], Awaitable[None]]
"""Makes tokens with one of these ids (`jti` or `gid`) refused, durably and on every worker, when it returns."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One grant. `account` is '' for a backend service; `session` the session that online access dies with.

    `scope` is what was allowed, `context` what the launch established (patient, encounter, intent …); `turn` counts
    the refresh tokens given, 0 for none. Times in ms.
    """

    id: str
    client: str
    account: str
    scope: str
    context: dict[str, str]
    created_ms: int
    used_ms: int
    expires_ms: int
    purpose: str = DEFAULT_PURPOSE
    verified_ms: int = 0
    nonce: str = ""
    session: bytes = b""
    is_offline: bool = False
    dpop_jkt: str = ""
    seed: bytes = b""
    turn: int = 0
    directive: str = ""
    """Id of the directive that remembers it on the ledger; '' for none. `code` revokes that one, and nothing else."""
    code: bytes = b""

    def __repr__(self) -> str:
        return f"Grant(client={self.client!r}, turn={self.turn})"


GRANTS: Final = Table("grant", Grant, without=LISTS)
BY_ACCOUNT: Final = make_index(GRANTS)
GRANTS_MAX: Final = 300
"""Of one account: whoever allows one more ends the one allowed first."""
TRIES: Final = 5


def new_grant_id() -> str:
    """22 characters that say nothing."""
    return new_id()


def grant_key(id: str) -> bytes:
    """Where a grant stands."""
    return id[:64].encode("ascii", "replace")


def get_grant(registry: Registry, id: str) -> Found[Grant] | None:
    """The grant, if it stands."""
    return GRANTS.get(registry, grant_key(id))


def list_grants(registry: Registry, *, account: str | None = None, client: str | None = None) -> list[Grant]:
    """Grants that stand, of an account, of a client or of both, newest first."""
    standing = GRANTS.list(registry) if account is None else BY_ACCOUNT.of(registry, account)
    found = [one.value for one in standing if client in (None, one.value.client)]
    return sorted(found, key=lambda one: (-one.created_ms, one.id))


def put_grant(registry: Registry, grant: Grant) -> tuple[Change, ...]:
    """The changes that begin it; a rival of the same account moves them (RegistryMoved)."""
    key = grant_key(grant.id)
    return (
        GRANTS.put(key, grant, expected=0, expires_ms=grant.expires_ms),
        BY_ACCOUNT.change(registry, grant.account, add=(key,)),
    )


async def make_room(registry: Registry, revoke: Revoke, account: str) -> None:
    """The account may have one grant more: the oldest ones over GRANTS_MAX - 1 are over."""
    await end_grants(registry, revoke, list_grants(registry, account=account)[GRANTS_MAX - 1 :])


async def index_grants(registry: Registry) -> None:
    """Grants of before there was an index are in it: once, by the writer, before anybody else writes."""
    await build(registry, BY_ACCOUNT, lambda grant: grant.account)


def refresh_token(grant: Grant) -> str:
    """The grant's current refresh token."""
    return f"{grant.id}.{grant.turn}.{_mac(grant, grant.turn)}"


def with_refresh(grant: Grant) -> Grant:
    """The grant with its first refresh token."""
    return msgspec.structs.replace(grant, seed=secrets.token_bytes(SEED_BYTES), turn=1)


async def end_grants(registry: Registry, revoke: Revoke, grants: Iterable[Grant]) -> None:
    """Their access tokens are refused, then they are forgotten; in this order, so that a crash leaves nothing open."""
    ending = list(grants)
    if not ending:
        return
    await revoke([one.id for one in ending])
    for start in range(0, len(ending), 32):
        keys = [grant_key(one.id) for one in ending[start : start + 32]]
        await registry.change(*(Change(GRANTS.name, key, None) for key in keys))


async def end_grant(registry: Registry, revoke: Revoke, id: str, *, account: str | None = None) -> None:
    """That grant is over. Raises NotFound if there is none, or it is another account's."""
    found = get_grant(registry, id)
    if found is None or account not in (None, found.value.account):
        raise NotFound("there is no such grant", hint="look again at the apps that you allowed")
    await end_grants(registry, revoke, [found.value])


def find_refreshed(registry: Registry, token: str) -> Found[Grant] | None:
    """The grant whose refresh token this is or was; None for what was never one."""
    parsed = _REFRESH.fullmatch(token)
    if parsed is None:
        return None
    found = get_grant(registry, parsed[1])
    if found is None or not found.value.seed or not 0 < int(parsed[2]) <= found.value.turn:
        return None
    expected = _mac(found.value, int(parsed[2]))
    return found if hmac.compare_digest(expected, parsed[3]) else None


async def rotate(registry: Registry, revoke: Revoke, found: Found[Grant], token: str, used: Grant) -> Grant:
    """The grant with its next refresh token; `used` is how it stands after this use.

    Raises OAuthError (`invalid_grant`) and ends the grant if the token is a former one, or was used at the same time.
    """
    if token != refresh_token(found.value):
        await end_grants(registry, revoke, [found.value])
        raise _reused()
    following = msgspec.structs.replace(used, turn=found.value.turn + 1)
    change = GRANTS.put(found.key, following, expected=found.version, expires_ms=following.expires_ms)
    try:
        await registry.change(change)
    except RegistryMoved:
        await end_grants(registry, revoke, [found.value])
        raise _reused() from None
    return following


def _mac(grant: Grant, turn: int) -> str:
    return base64url(hmac_sha256(grant.seed, b"cl1.refresh" + turn.to_bytes(8, "big")))


def _reused() -> OAuthError:
    return OAuthError(
        "invalid_grant",
        "the refresh token was used before: the grant has been ended",
        hint="ask for authorisation again",
        code="refresh-reused",
    )
