"""Connections shared fairly: a worker that has more of them than another leaves the next one to that other.

With a plain shared socket the first worker awake takes every waiting connection, and keep-alive clients stay with
it: with eight clients and two workers one core often idles. Here each worker takes one connection at a time, and
waits a moment when another has fewer. The counts lie in memory shared by the forked workers; they are advice, so
no lock is needed.
"""

from __future__ import annotations

import asyncio
import mmap
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

POLITE_SECONDS = 0.008
UNUSED = 0xFFFFFFFF
_COUNT = struct.Struct("=I")


class Loads:
    """How many connections each worker has. Make it before forking; `number` is set in the worker."""

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, workers * _COUNT.size)
        self._workers = workers
        self.number = 0
        for number in range(workers):
            self.clear(number)

    def set(self, count: int) -> None:
        """This worker has `count` connections."""
        _COUNT.pack_into(self._memory, self.number * _COUNT.size, count)

    def clear(self, number: int) -> None:
        """That worker is gone (or not there yet)."""
        _COUNT.pack_into(self._memory, number * _COUNT.size, UNUSED)

    def least(self) -> int:
        """The smallest count of any worker."""
        counts: Iterator[int] = (
            _COUNT.unpack_from(self._memory, number * _COUNT.size)[0] for number in range(self._workers)
        )
        return min(counts)


class Acceptor:
    """Takes connections from the shared socket and gives each to a new protocol object."""

    def __init__(
        self,
        listener: socket.socket,
        connect: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext | None,
        loads: Loads,
        connections: set[Any],
    ) -> None:
        self._listener = listener
        self._connect = connect
        self._context = context
        self._loads = loads
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ticker: asyncio.TimerHandle | None = None
        self._running = False

    def start(self) -> None:
        """Begin to accept."""
        self._running = True
        self._tick()
        self._loop.add_reader(self._listener.fileno(), self._readable)

    def stop(self) -> None:
        """Accept no more; connections that are open stay."""
        self._running = False
        if self._ticker is not None:
            self._ticker.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._loads.set(UNUSED)

    def _tick(self) -> None:
        self._loads.set(len(self._connections))
        self._ticker = self._loop.call_later(0.25, self._tick)

    def _readable(self) -> None:
        mine = len(self._connections) + len(self._tasks)
        self._loads.set(mine)
        if mine > self._loads.least():
            self._pause()
        else:
            self._accept()

    def _pause(self) -> None:
        """Let a worker with fewer connections take it; if none does, take it after all."""
        self._loop.remove_reader(self._listener.fileno())
        self._loop.call_later(POLITE_SECONDS, self._resume)

    def _resume(self) -> None:
        if self._running:
            self._loop.add_reader(self._listener.fileno(), self._readable)
            self._accept()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError:  # out of file descriptors: leave it to the backlog for a while
            self._pause()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._adopt(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._loads.set(len(self._connections) + len(self._tasks))

    async def _adopt(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._connect, connection, ssl=self._context)
        except (OSError, ssl.SSLError):
            connection.close()
