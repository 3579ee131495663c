"""What may be used once is used once: also over a restart, a kill, and by two workers at the same time."""

from __future__ import annotations

from typing import Final

from careledger.primitives.hashing import fingerprint
from careledger.vault.registry import Change, Registry, RegistryMoved

MARGIN_MS: Final = 60_000
"""Kept this much longer than it could be used: clocks are set."""


async def use_once(registry: Registry, kind: str, owner: str, id: str, until_ms: int) -> bool:
    """Whether this is the first use of `id` by `owner`, durably known when it returns. It cannot be used after `until_ms`."""
    key = fingerprint(kind.encode(), owner.encode(), id.encode())
    try:
        await registry.change(Change("replay", key, b"", expected=0, expires_ms=until_ms + MARGIN_MS))
    except RegistryMoved:
        return False
    return True
