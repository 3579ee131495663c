"""The listener of `metrics.listen`: `GET /metrics`, on loopback, one answer a connection, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from careledger.node.config import split_listen
from careledger.primitives.errors import Misconfigured

HEAD_BYTES_MAX: Final = 8192
SECONDS_MAX: Final = 5.0
CONNECTIONS_MAX: Final = 8
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


class MetricsListener:
    """`compose` gives the text anew for each question. `start` before use; `stop` ends it."""

    def __init__(self, listen: str, compose: Callable[[], bytes]) -> None:
        self._address = split_listen(listen)
        self._compose = compose
        self._open = 0
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Raises Misconfigured if the port is in use."""
        try:
            self._server = await asyncio.start_server(self._meet, *self._address, limit=HEAD_BYTES_MAX)
        except OSError as error:
            raise Misconfigured(
                "metrics.listen cannot be listened on", hint="choose another port", code="metrics-port"
            ) from error

    async def stop(self) -> None:
        """Nobody is answered any more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        broken = (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError)
        try:
            if self._open <= CONNECTIONS_MAX:
                with contextlib.suppress(*broken):
                    async with asyncio.timeout(SECONDS_MAX):
                        writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                        await writer.drain()
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3 or words[1].partition(b"?")[0] != b"/metrics":
            return _respond("404 Not Found", b"figures are at /metrics\n")
        if words[0] != b"GET":
            return _respond("405 Method Not Allowed", b"GET only\n")
        return _respond("200 OK", self._compose())


def _respond(status: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {_TEXT}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
