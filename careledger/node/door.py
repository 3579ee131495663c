"""HOME/node.sock: where a served node takes commands, and where its workers reach the sequencer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from careledger.node import log, wire
from careledger.node.sequencer import Sequencer
from careledger.primitives.errors import CareLedgerError, Invalid, NotFound
from careledger.primitives.sockets import listen_at
from careledger.vault.messages import SealedCommit
from careledger.vault.model import AccessEntry

Progress = Callable[[dict[str, Any]], None]
Command = Callable[[dict[str, Any], Progress], Awaitable[dict[str, Any]]]

_decode_commit = msgspec.msgpack.Decoder(SealedCommit).decode
_decode_entries = msgspec.msgpack.Decoder(tuple[AccessEntry, ...]).decode
_decode_text = msgspec.msgpack.Decoder(str).decode
_decode_params = msgspec.msgpack.Decoder(dict).decode


class Door:
    """Serves the socket. Commands come as a literal table; the others in `Caller._do` are the workers'."""

    def __init__(self, path: Path, sequencer: Sequencer, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._sequencer = sequencer
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. Only the home's user may connect."""
        self._server = await asyncio.start_unix_server(self._serve, sock=listen_at(self._path), limit=1 << 20)

    async def close(self) -> None:
        """Stop listening and drop whoever is still there."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        caller = Caller(self._sequencer, self._commands, writer)
        try:
            while (message := await wire.receive(reader)) is not None:
                caller.take(message)
        except asyncio.CancelledError:
            pass
        finally:
            await caller.leave()
            writer.close()
            if task is not None:
                self._tasks.discard(task)


class Caller:
    """One connection: its requests run side by side; its locks are given back when it leaves."""

    def __init__(
        self, sequencer: Sequencer, commands: Mapping[str, Command], writer: asyncio.StreamWriter
    ) -> None:
        self._sequencer = sequencer
        self._commands = commands
        self._writer = writer
        self._held: dict[int, AsyncExitStack] = {}
        self._renounced: set[int] = set()  # locks given back before they were got
        self._running: set[asyncio.Task[None]] = set()
        self._forgetting: asyncio.Future[None] | None = None
        self._take_leave: Callable[[], None] = lambda: None

    def take(self, message: wire.Message) -> None:
        """Begin to answer one request."""
        task = asyncio.ensure_future(self._answer(message))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def leave(self) -> None:
        """The other side has gone."""
        self._take_leave()
        self._forgotten()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for held in self._held.values():
            await held.aclose()

    async def _answer(self, message: wire.Message) -> None:
        try:
            result = await self._do(message)
            self._send(message.number, "result", result)
        except CareLedgerError as error:
            self._send(message.number, "error", wire.failure_of(error))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            refused = Invalid(
                f"the parameters of {message.kind} are not as they must be", hint="see careledger --help"
            )
            self._send(message.number, "error", wire.failure_of(refused))
        except Exception as error:  # the caller must not wait for ever
            log.logger().error("a command failed", error=type(error).__name__, frames=log.frames_of(error))
            self._send(message.number, "error", wire.failure_of(wire.defect()))

    def _send(self, number: int, kind: str, content: Any) -> None:
        if not self._writer.is_closing():
            self._writer.write(wire.pack(number, kind, content))

    async def _do(self, message: wire.Message) -> Any:
        if message.kind == "access":
            await self._sequencer.log_access(_decode_entries(message.content))
            return None
        if message.kind == "commit":
            return await self._sequencer.commit(_decode_commit(message.content))
        if message.kind == "worker":
            self._take_leave = self._sequencer.workers.add(self._forget)
            return None
        if message.kind == "forgotten":
            self._forgotten()
            return None
        if message.kind == "health":
            self._sequencer.check_health()
            return None
        if message.kind == "lock":
            await self._lock(message.number, _decode_text(message.content))
            return None
        if message.kind == "unlock":
            await self._unlock(msgspec.msgpack.decode(message.content, type=int))
            return None
        command = self._commands.get(message.kind)
        if command is None:
            raise NotFound(f"the node has no method {message.kind}", hint="client and node differ in version")
        return await command(
            _decode_params(message.content), lambda step: self._send(message.number, "progress", step)
        )

    async def _forget(self) -> None:
        """Tell the worker on the other side to forget; return once it has, or is gone."""
        self._forgetting = asyncio.get_running_loop().create_future()
        self._send(0, "forget", None)
        await self._forgetting

    def _forgotten(self) -> None:
        if self._forgetting is not None and not self._forgetting.done():
            self._forgetting.set_result(None)

    async def _lock(self, number: int, type: str) -> None:
        stack = AsyncExitStack()
        await stack.enter_async_context(self._sequencer.conditional_lock(type))
        if number in self._renounced:
            self._renounced.discard(number)
            await stack.aclose()
        else:
            self._held[number] = stack

    async def _unlock(self, number: int) -> None:
        held = self._held.pop(number, None)
        if held is None:
            self._renounced.add(number)
        else:
            await held.aclose()
