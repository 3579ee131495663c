"""Links between nodes of one machine that can be cut: a partition without root.

A node dials each peer at a relay's port of its own; the relay passes everything on to the peer's real port. While it
is cut, what was connected is reset and whoever connects is reset at once, as by a firewall that rejects.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from careledger.engine.configuration import Address
from careledger.primitives.files import write_durably

CUT_NAME: Final = "cut"
CONNECTIONS_MAX: Final = 64
"""Through one relay at a time; further ones are reset."""
DIAL_SECONDS_MAX: Final = 3.0
WAITING_BYTES_MAX: Final = 1 << 20
"""That one side has not taken yet before the other side is not read any more."""
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends a reset


def write_cut(folder: Path, names: Iterable[str]) -> None:
    """Keep in a node's folder to whom nothing passes: a link that is cut does not heal by a start of the node."""
    write_durably(folder / CUT_NAME, "".join(f"{name}\n" for name in sorted(names)).encode())


def read_cut(folder: Path) -> frozenset[str]:
    """What `write_cut` kept; nobody, if nothing was."""
    path = folder / CUT_NAME
    return frozenset(path.read_text().split()) if path.exists() else frozenset()


class Relay:
    """One link, from a port of its own on loopback to `target`."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self._server: asyncio.Server | None = None
        self._ends: set[_End] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes."""
        return self._is_cut

    async def start(self, port: int = 0) -> Address:
        """Listen on loopback, on this port or any; the address to dial."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self, None), "127.0.0.1", port)
        return Address("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def cut(self) -> None:
        """Reset what is connected; pass nothing until `heal`."""
        self._is_cut = True
        for end in tuple(self._ends):
            end.reset()
        await asyncio.sleep(0)  # the resets are on their way when this returns

    async def heal(self) -> None:
        """Let connections through again. Nodes dial again by themselves, after some seconds."""
        self._is_cut = False

    async def stop(self) -> None:
        """Reset everything and stop listening."""
        server, self._server = self._server, None
        await self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        if server is not None:
            server.close()
            with contextlib.suppress(asyncio.CancelledError):
                await server.wait_closed()

    def accepted(self, end: _End) -> None:
        """A node connected."""
        self._ends.add(end)
        if self._is_cut or len(self._ends) > 2 * CONNECTIONS_MAX:
            end.reset()
            return
        task = asyncio.get_running_loop().create_task(self._dial(end))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self, end: _End) -> None:
        loop = asyncio.get_running_loop()
        host = self.target.host.strip("[]")
        try:
            async with asyncio.timeout(DIAL_SECONDS_MAX):
                await loop.create_connection(lambda: _End(self, end), host, self.target.port)
        except (OSError, TimeoutError):
            end.reset()

    def connected(self, end: _End) -> None:
        """The peer answered."""
        self._ends.add(end)
        if self._is_cut:
            end.reset()

    def lost(self, end: _End) -> None:
        """One side is gone."""
        self._ends.discard(end)


class _End(asyncio.Protocol):
    """One side of a connection through a relay: what it hears it writes to the other."""

    def __init__(self, relay: Relay, other: _End | None) -> None:
        self._relay = relay
        self._other = other
        self._transport: Any = None
        self._early: list[bytes] = []  # came before the peer answered: uvloop reads once even so

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=WAITING_BYTES_MAX)
        self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._other is None:
            self._transport.pause_reading()  # until there is somebody to pass it on to
            self._relay.accepted(self)
            return
        self._relay.connected(self)
        if self._other._transport.is_closing():
            self.reset()
            return
        self._other.join(self)

    def join(self, other: _End) -> None:
        """The peer is there: begin."""
        self._other = other
        for data in self._early:
            other._transport.write(data)
        self._early.clear()
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other._transport.write(data)
            return
        self._early.append(data)
        self._transport.pause_reading()

    def pause_writing(self) -> None:
        if self._other is not None and not self._other._transport.is_closing():
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and not self._other._transport.is_closing():
            self._other._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.lost(self)
        if self._other is not None:
            self._other._transport.close()

    def reset(self) -> None:
        """End this side at once, unsent bytes and all; the other side follows."""
        if self._transport.is_closing():
            return
        with contextlib.suppress(OSError):
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _socket(self) -> Any:
        return self._transport.get_extra_info("socket")


class Relays:
    """The links of one node, by the name of the peer at the other end."""

    def __init__(self, targets: dict[str, Address]) -> None:
        self._relays = {name: Relay(target) for name, target in targets.items()}

    async def start(self) -> dict[str, Address]:
        """Listen for all; the address at which to dial each peer."""
        return {name: await relay.start() for name, relay in self._relays.items()}

    async def add(self, name: str, target: Address) -> Address:
        """A new link, in place of any before to this peer; the address at which to dial it."""
        if name in self._relays:
            await self._relays[name].stop()
        relay = self._relays[name] = Relay(target)
        return await relay.start()

    async def cut(self, names: Iterable[str]) -> None:
        """Cut exactly the links to these peers; the others pass."""
        cut = set(names)
        for name, relay in self._relays.items():
            await (relay.cut() if name in cut else relay.heal())

    async def heal(self) -> None:
        """Let everything pass."""
        await self.cut(())

    async def stop(self) -> None:
        """End all links."""
        for relay in self._relays.values():
            await relay.stop()

    def list_cut(self) -> tuple[str, ...]:
        """Which links are cut."""
        return tuple(name for name, relay in self._relays.items() if relay.is_cut)
