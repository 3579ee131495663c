"""A worker that stops waiting for a lock, or goes away with one, keeps nobody else out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from careledger.node.door import Door
from careledger.node.remote import RemoteSequencer


class Locks:
    """The part of the sequencer that hands out locks."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def conditional_lock(self, type: str) -> AsyncIterator[None]:
        async with self._lock:
            yield


async def _held(worker: RemoteSequencer, seconds: float = 0.0) -> None:
    async with worker.conditional_lock("Patient"):
        await asyncio.sleep(seconds)


async def _gives_up_waiting(worker: RemoteSequencer) -> None:
    first = asyncio.create_task(_held(worker, 0.05))
    await asyncio.sleep(0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_held(worker), 0.02)
    await first


async def _is_cancelled_inside(worker: RemoteSequencer) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_held(worker, 9), 0.02)


async def _dies_inside(worker: RemoteSequencer) -> None:
    task = asyncio.create_task(_held(worker, 9))
    await asyncio.sleep(0.01)
    await worker.stop()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("fate", [_gives_up_waiting, _is_cancelled_inside, _dies_inside])
def test_a_lock_comes_back(tmp_path: Path, fate: Callable[[RemoteSequencer], Awaitable[None]]) -> None:
    async def scene() -> None:
        locks: Any = Locks()
        door = Door(tmp_path / "sock", locks, {})
        await door.open()
        unlucky, other = RemoteSequencer(tmp_path / "sock"), RemoteSequencer(tmp_path / "sock")
        await unlucky.start()
        await other.start()
        await fate(unlucky)
        async with asyncio.timeout(2):
            await _held(other)
        await other.stop()
        await unlucky.stop()
        await door.close()

    asyncio.run(scene())
