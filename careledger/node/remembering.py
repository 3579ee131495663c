"""A directive that remembers an app's grant ends with it, however the grant ended: by the code that the node kept.

The patient's key is not needed: her browser gave the code when she allowed the app, and it revokes this directive and
nothing else. Until that is done the directive opens nothing (no decision looks at it), and its own period ends anyway.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from careledger.contracts.consent import ACTIVE
from careledger.node import consents, directives
from careledger.node.log import logger
from careledger.primitives.errors import CareLedgerError, Conflict, Unavailable
from careledger.smart.memories import Memory, drop_memory, list_over

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext

LOOK_SECONDS: Final = 15.0
SHARE_MAX: Final = 0.02
"""Of one processor, for looking: with very many memories it looks less often."""


class Remembering:
    """Looks now and then, in the node's writing half; every round by itself may fail."""

    def __init__(self, node: CommandContext) -> None:
        self._node = node
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            looked_s = await end_outlived(self._node)
            await asyncio.sleep(max(LOOK_SECONDS, looked_s / SHARE_MAX))


async def end_outlived(node: CommandContext) -> float:
    """Directives whose grants have ended are revoked; what cannot be done now is tried the next time. The seconds that
    looking took."""
    begun = time.monotonic()
    ended = await asyncio.to_thread(list_over, node.registry, node.backend.now_ms())
    looked_s = time.monotonic() - begun
    for memory in ended:
        try:
            await _end(node, memory)
        except CareLedgerError as error:
            logger().warning("a directive waits for its revocation", code=error.code, reason=error.message)
            if isinstance(
                error, Unavailable
            ):  # the node stops, a network stands still, the disk takes nothing
                break
    return looked_s


async def _end(node: CommandContext, memory: Memory) -> None:
    """Revoked and forgotten. One that the ledger does not know is kept: this node may lag behind it."""
    if _status(node, memory) is None:
        return
    try:
        await consents.revoke(node, {"id": memory.directive, "code": memory.code}, lambda _step: None)
    except Conflict:
        if _status(node, memory) == ACTIVE:
            raise
    await node.registry.change(drop_memory(memory.directive))


def _status(node: CommandContext, memory: Memory) -> int | None:
    with node.reader.snapshot() as snapshot:
        entry = directives.entry_of(snapshot, memory.directive)
    return None if entry is None else entry.status
