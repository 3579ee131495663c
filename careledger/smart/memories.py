"""Directives that remember what an app was allowed, with the codes that revoke them: kept until the ledger says so, too.

A grant may end with nobody there who knows of its directive: it expires, its session idles out, its refresh token came
twice, the client or the account is disabled, a backup is restored. So a memory stands by itself, is begun before its
directive is, and is over when no grant of the account holds that names the directive.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from careledger.smart.accounts import get_account
from careledger.smart.clients import find_client
from careledger.smart.grants import BY_ACCOUNT, GRANTS, OFFLINE_MS, Grant
from careledger.smart.online import is_signed_in
from careledger.smart.remembering import Remembered
from careledger.smart.tables import Table
from careledger.vault.registry import Change, Registry

BEGINNING_MS: Final = 300_000
"""So long a directive may stand before its grant: the ledger takes it, then the app redeems its code."""
KEPT_MS: Final = OFFLINE_MS + 7 * 86_400_000
"""Longer than the period of any directive that remembers a grant: what could not be revoked by then has ended."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """A directive, by its id, the code that revokes it and nothing else, and whose grants it remembers since when."""

    directive: str
    code: bytes
    account: str
    since_ms: int

    def __repr__(self) -> str:
        return f"Memory(directive={self.directive!r})"


MEMORIES: Final = Table("remembered", Memory)


def memory_key(directive: str) -> bytes:
    """Where a memory stands."""
    return directive[:64].encode("ascii", "replace")


async def begin_memory(registry: Registry, remembered: Remembered, account: str, now_ms: int) -> None:
    """It stands from now on, anew if it stood; nothing for a grant without a directive."""
    if not remembered.directive:
        return
    memory = Memory(directive=remembered.directive, code=remembered.code, account=account, since_ms=now_ms)
    await registry.change(MEMORIES.put(memory_key(memory.directive), memory, expires_ms=now_ms + KEPT_MS))


def drop_memory(directive: str) -> Change:
    """The change that forgets it: the directive is without force on the ledger, or never came there."""
    return Change(MEMORIES.name, memory_key(directive), None)


def list_over(registry: Registry, now_ms: int) -> list[Memory]:
    """Memories whose grants have all ended, oldest first."""
    found = [one.value for one in MEMORIES.list(registry) if is_over(registry, one.value, now_ms)]
    return sorted(found, key=lambda one: (one.since_ms, one.directive))


def is_over(registry: Registry, memory: Memory, now_ms: int) -> bool:
    """Whether no grant holds any more that it remembers, however it ended."""
    if now_ms < memory.since_ms + BEGINNING_MS:
        return False
    grants = (one.value for one in BY_ACCOUNT.of(registry, memory.account))
    return not any(one.directive == memory.directive and holds(registry, one, now_ms) for one in grants)


def holds(registry: Registry, grant: Grant, now_ms: int) -> bool:
    """Whether its program gets anything by a grant that stands: client, account and, online, the session are there."""
    account = get_account(registry, grant.account)
    if account is None or account.value.is_disabled or find_client(registry, grant.client) is None:
        return False
    return grant.is_offline or is_signed_in(registry, grant, account.value, now_ms)


async def keep_memories(registry: Registry, now_ms: int) -> None:
    """Grants of before there were memories have theirs: for the writer, before anybody else writes."""
    for grant in _unkept(registry, (one.value for one in GRANTS.list(registry))):
        await begin_memory(registry, Remembered(grant.directive, grant.code), grant.account, now_ms)


def _unkept(registry: Registry, grants: Iterable[Grant]) -> list[Grant]:
    known = {one.value.directive for one in MEMORIES.list(registry)}
    return [one for one in grants if one.directive and one.directive not in known]
