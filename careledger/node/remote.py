"""The sequencer as a worker process sees it: the same methods, over HOME/node.sock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from careledger.node import wire
from careledger.node.group import ChartExists
from careledger.primitives.errors import Unavailable
from careledger.primitives.sockets import connect_socket
from careledger.vault.messages import SealedCommit
from careledger.vault.model import AccessEntry, CommitResult

_ERRORS = {"ChartExists": ChartExists}
_decode_result = msgspec.msgpack.Decoder(CommitResult).decode
_decode_answer = msgspec.msgpack.Decoder(dict[str, Any]).decode


class RemoteSequencer:
    """`Order` over the socket. Requests are answered in any order; all fail when the node goes away.

    `forget` is called when something was erased: it drops keys and caches of this process.
    """

    def __init__(self, path: Path, forget: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self.forget = forget
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._number = 0
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._outbox: list[bytes] = []

    async def start(self) -> None:
        """Connect."""
        try:
            connection = connect_socket(self._path)
        except OSError as error:
            raise wire.gone() from error
        reader, self._writer = await asyncio.open_unix_connection(sock=connection, limit=1 << 20)
        self._task = asyncio.create_task(self._receive(reader))
        await self._ask("worker", None)

    async def stop(self) -> None:
        """Disconnect. Whoever still waits for an answer is told that there will be none."""
        if self._writer is not None:
            self._writer.close()
        if self._task is not None:
            self._task.cancel()
        self._give_up()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        while (message := await wire.receive(reader)) is not None:
            if message.kind == "forget":
                self.forget()
                self._begin("forgotten", None)
                continue
            if message.kind == "progress":
                continue
            future = self._waiting.pop(message.number, None)
            if future is None or future.done():
                continue
            if message.kind == "error":
                future.set_exception(wire.error_of(message.content, _ERRORS))
            else:
                future.set_result(message.content)
        self._give_up()

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._writer = None
        for future in waiting.values():
            if not future.done():
                future.set_exception(wire.gone())

    async def _ask(self, kind: str, content: Any) -> msgspec.Raw:
        return await self._begin(kind, content)

    def _begin(self, kind: str, content: Any) -> asyncio.Future[msgspec.Raw]:
        """Send a request; its answer."""
        writer = self._writer
        if writer is None:
            raise wire.gone()
        self._number += 1
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        self._outbox.append(wire.pack(self._number, kind, content))
        if len(self._outbox) == 1:
            asyncio.get_running_loop().call_soon(self._flush)
        return future

    def _flush(self) -> None:
        """Requests of one turn of the loop leave together."""
        outbox, self._outbox = self._outbox, []
        if self._writer is not None:
            self._writer.write(b"".join(outbox))

    async def commit(self, commit: SealedCommit) -> CommitResult:
        """As `Sequencer.commit`."""
        return _decode_result(await self._ask("commit", commit))

    async def log_access(self, entries: tuple[AccessEntry, ...]) -> None:
        """As `Sequencer.log_access`."""
        await self._ask("access", entries)

    async def call(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """One of `commands.COMMANDS`, without its steps. Raises what it raises."""
        return _decode_answer(await self._ask(name, params))

    @asynccontextmanager
    async def conditional_lock(self, type: str) -> AsyncIterator[None]:
        """As `Sequencer.conditional_lock`; given back by the node if this worker dies.

        Whoever stops waiting gives back what they did not get, or nobody would ever get it. A node that goes away
        with the lock takes it along: what was done under it stays done.
        """
        taken = self._begin("lock", type)
        number = self._number
        try:
            await taken
            yield
        finally:
            with suppress(Unavailable):
                await self._ask("unlock", number)

    def check_health(self) -> None:
        """Raise Unavailable if the writer is out of reach."""
        if self._writer is None:
            raise Unavailable("the writer is out of reach", hint="the node is stopping or must be restarted")
