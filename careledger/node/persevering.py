"""A sequencer that waits for a disk which takes nothing: a block that all others have cannot be refused, only be late.

What the index cannot take stands in the journal, and is taken from there; what the journal has no room for is executed
anew. Meanwhile nobody is answered, and nothing else is written. What the disk may have lost ends the node instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import lmdb

from careledger.node import sequencer as sequencing
from careledger.node.log import logger
from careledger.node.sequencer import Sequencer
from careledger.primitives.errors import Unavailable

POLL_SECONDS: Final = 0.05
T = TypeVar("T")


class PerseveringSequencer(Sequencer):
    """As `Sequencer`, whose steps within a block are repeated until they can be done."""

    async def ready(self) -> None:
        """Returns once the index has caught up with the journal. Raises Unavailable if the node can promise nothing more."""
        if self._index_behind:
            await self._take_turn()
            self._busy.release()
        self._check_open()

    async def _take_turn(self) -> None:
        """Nothing else is written when it returns, and the index has caught up."""
        await self._busy.acquire()
        while self._index_behind:
            self._busy.release()
            await asyncio.sleep(POLL_SECONDS)
            await self._busy.acquire()

    async def _until_possible(self, step: Callable[[], T]) -> T:
        """What `step` gives, tried each second until the disk takes it; meanwhile everybody else is refused."""
        while True:
            try:
                result = step()
            except (lmdb.Error, Unavailable) as failure:
                await self._pause(failure)
                continue
            if self._index_behind:
                self._index_behind, self._failure = False, None
                logger().warning("the disk takes blocks again", height=self._home.height)
            return result

    async def _pause(self, failure: Exception) -> None:
        """Undo what the step began, say so once, and wait a second."""
        if not self._index_behind:
            said = self._index_failed(failure)
            logger().error("a block waits for the disk", reason=said.message, hint=said.hint)
        self._home.access.kept()
        self._home.abort()
        await asyncio.sleep(sequencing.REPAIR_SECONDS)

    async def _repair_index(self) -> None:
        """As `Sequencer._repair_index`, never within a block: that repairs it by itself."""
        async with self._busy:
            if self._index_behind:
                await super()._repair_index()
