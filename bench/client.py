"""A lean HTTP/1.1 client, so that the client does not hide the server: raw protocols, requests as ready bytes.

It keeps the whole answer, reads only what it needs of the head, and knows only answers with a Content-Length.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Make = Callable[[int], bytes]
"""The bytes of request number i."""


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self.parts: list[bytes] = []
        self.missing = -1
        self.status = 0
        self.head_end = 0
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            if self.parts:
                data = b"".join((*self.parts, data))
                self.parts.clear()
            self.head_end = data.find(b"\r\n\r\n") + 4
            if self.head_end < 4:
                self.parts.append(data)
                return
            self.status, self.head = int(data[9:12]), data[: self.head_end]
            self.missing = self.head_end + _content_length(self.head)
        self.parts.append(data)
        self.missing -= len(data)
        if self.missing <= 0:
            body = b"".join(self.parts)[self.head_end :]
            self.parts, self.missing = [], -1
            waiting, self.waiting = self.waiting, None
            if waiting is not None and not waiting.done():
                waiting.set_result((self.status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(ConnectionError("the server closed the connection"))

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        if self.transport is None or self.transport.is_closing():
            raise ConnectionError("the server closed the connection")
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.waiting


def _content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    return 0 if at < 0 else int(lower[at + 17 : lower.find(b"\r\n", at + 2)])


@dataclass(slots=True)
class Outcome:
    """What a phase gave: seconds of each request, statuses, a few refusals in words."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    received_bytes: int = 0
    client_cpu_s: float = 0.0
    server_cpu_s: float = 0.0

    def add(self, seconds: float, status: int, body: bytes) -> None:
        """Count one answer."""
        self.seconds.append(seconds)
        self.statuses[status] += 1
        self.received_bytes += len(body)
        if status >= 400 and len(self.refusals) < 3:
            self.refusals.append(f"{status} {body[:300].decode(errors='replace')}")

    def quantile_ms(self, share: float) -> float:
        """A quantile of the latency in milliseconds, 0 if nothing was measured."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    @property
    def count(self) -> int:
        """How many requests were answered."""
        return len(self.seconds)

    @property
    def refused(self) -> int:
        """How many answers were errors."""
        return sum(count for status, count in self.statuses.items() if status >= 400)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.count - self.refused) / self.wall_s if self.wall_s else 0.0

    @property
    def server_cpu_ms(self) -> float:
        """Server CPU a request in milliseconds."""
        return 1000 * self.server_cpu_s / self.count if self.count else 0.0

    def report(self) -> dict[str, Any]:
        """The numbers for `bench.json`."""
        return {
            "requests": self.count,
            "wall_s": round(self.wall_s, 3),
            "requests_s": round(self.rate, 1),
            "p50_ms": round(self.quantile_ms(0.5), 3),
            "p90_ms": round(self.quantile_ms(0.9), 3),
            "p99_ms": round(self.quantile_ms(0.99), 3),
            "max_ms": round(self.quantile_ms(1), 3),
            "server_cpu_ms": round(self.server_cpu_ms, 4),
            "client_cpu_ms": round(1000 * self.client_cpu_s / self.count, 4) if self.count else 0.0,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "refusals": self.refusals,
        }


class Client:
    """Some kept-open connections to one node (from `source`, if that is given), a token, and how to ask."""

    def __init__(
        self, host: str, port: int, token: str, server_cpu_s: Callable[[], float], source: str = ""
    ) -> None:
        self._address = host, port
        self._source = (source, 0) if source else None
        self._head = (
            f"Host: {host}:{port}\r\nAccept: application/fhir+json\r\nAuthorization: Bearer {token}\r\n"
        ).encode()
        self._server_cpu_s = server_cpu_s
        self._connections: list[_Connection] = []

    async def connect(self, count: int) -> None:
        """Have at least this many connections."""
        loop = asyncio.get_running_loop()
        while len(self._connections) < count:
            _, connection = await loop.create_connection(_Connection, *self._address, local_addr=self._source)
            self._connections.append(connection)

    def close(self) -> None:
        """End every connection."""
        for connection in self._connections:
            if connection.transport is not None:
                connection.transport.close()
        self._connections.clear()

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The bytes of a request to `/fhir` + path."""
        head = f"{method} /fhir{path} HTTP/1.1\r\n".encode() + self._head
        if body is None:
            return head + b"\r\n"
        length = b"Content-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head + length + body

    async def ask(self, request: bytes, connection: int = 0) -> tuple[int, bytes]:
        """One request and its answer."""
        await self.connect(connection + 1)
        return await self._connections[connection].ask(request)

    def header(self, name: bytes, connection: int = 0) -> bytes:
        """The first field of this (lower-case) name in the newest answer; b"" if there is none."""
        head, wanted = self._connections[connection].head, b"\r\n%s:" % name
        at = head.lower().find(wanted)
        return b"" if at < 0 else head[at + len(wanted) :].partition(b"\r\n")[0].strip()

    async def ask_json(self, method: str, path: str, body: bytes | None = None) -> Any:
        """One request that must succeed, its answer decoded."""
        status, answer = await self.ask(self.request(method, path, body))
        if status >= 300:
            raise RuntimeError(f"{method} {path} gave {status}: {answer[:400]!r}")
        return json.loads(answer)

    async def closed_loop(
        self, requests: Iterable[bytes], connections: int, see: Callable[[int, bytes], None] | None = None
    ) -> Outcome:
        """Each connection asks again as soon as it is answered, until the requests run out."""
        await self.connect(connections)
        outcome = Outcome()
        pending = iter(requests)

        async def run(connection: _Connection) -> None:
            for request in pending:
                start = time.perf_counter()
                status, body = await connection.ask(request)
                outcome.add(time.perf_counter() - start, status, body)
                if see is not None:
                    see(status, body)

        await self._measured(outcome, [run(connection) for connection in self._connections[:connections]])
        return outcome

    async def offered(
        self, make: Make, rate: float, seconds: float, connections: int, first_connection: int = 0
    ) -> Outcome:
        """Requests at a fixed rate; latency counts from when each was due, so a stalled server cannot hide it."""
        await self.connect(first_connection + connections)
        outcome = Outcome()
        total = int(rate * seconds)
        numbers = iter(range(total))
        start = time.perf_counter() + 0.05

        async def run(connection: _Connection) -> None:
            for number in numbers:
                due = start + number / rate
                wait = due - time.perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
                status, body = await connection.ask(make(number))
                outcome.add(time.perf_counter() - due, status, body)

        mine = self._connections[first_connection : first_connection + connections]
        await self._measured(outcome, [run(connection) for connection in mine])
        return outcome

    async def _measured(self, outcome: Outcome, runs: Sequence[Any]) -> None:
        cpu, own, start = self._server_cpu_s(), time.process_time(), time.perf_counter()
        await asyncio.gather(*runs)
        outcome.wall_s = time.perf_counter() - start
        outcome.client_cpu_s = time.process_time() - own
        outcome.server_cpu_s = self._server_cpu_s() - cpu
