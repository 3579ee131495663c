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
from careledger.node.workers import Workers


class Locks:
    """The parts of the sequencer that hand out locks and know the workers."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.workers = Workers()

    @asynccontextmanager
    async def conditional_lock(self, type: str) -> AsyncIterator[None]:
        async with self._lock:
            yield


async def _passes(worker: RemoteSequencer) -> None:
    async with worker.conditional_lock("Patient"):
        pass


class Holder:
    """A task that has the lock, until it is told to let go."""

    def __init__(self, worker: RemoteSequencer) -> None:
        self._worker, self._inside, self._over = worker, asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> Holder:
        self.task = asyncio.create_task(self._hold())
        await self._inside.wait()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._over.set()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _hold(self) -> None:
        async with self._worker.conditional_lock("Patient"):
            self._inside.set()
            await self._over.wait()


async def _gives_up_waiting(worker: RemoteSequencer) -> None:
    async with Holder(worker):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_passes(worker), 0.02)


async def _is_cancelled_inside(worker: RemoteSequencer) -> None:
    async with Holder(worker) as holder:
        holder.task.cancel()


async def _dies_inside(worker: RemoteSequencer) -> None:
    async with Holder(worker) as holder:
        await worker.stop()
        holder.task.cancel()


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
        async with asyncio.timeout(20):
            await _passes(other)
        await other.stop()
        await unlucky.stop()
        await door.close()

    asyncio.run(scene())
