"""uvicorn's HTTP/1.1 protocol with the limits that it lacks: head size, head time, stalled readers, connections.

One sweep a second looks at every connection, so that the limits of time cost nothing a request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from careledger.web.outcome import FHIR_JSON, outcome

SWEEP_SECONDS = 1.0

_REASON = {
    400: b"Bad Request",
    408: b"Request Timeout",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Limits of a connection: bytes, fields and seconds."""

    max_header_bytes: int = 32_768
    max_headers: int = 100
    max_url_bytes: int = 16_384
    max_connections: int = 1000
    header_seconds: float = 10
    write_seconds: float = 30
    idle_seconds: float = 75


class CorkedTransport:
    """Holds the head of an answer until its body follows: one system call an answer, and one wake-up of the client.

    Everything else goes straight through. `flush` sends a head that no body follows (HEAD, 204, 304).
    """

    __slots__ = ("_held", "_transport", "_write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write = transport.write
        self._held = b""

    def write(self, data: bytes) -> None:
        held = self._held
        if held:
            self._held = b""
            self._transport.writelines((held, data) if data else (held,))
        elif data.startswith(_FINAL_HEAD):
            self._held = data
        else:
            self._write(data)

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            held, self._held = self._held, b""
            self._write(held)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


_FINAL_HEAD = (b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.1 4", b"HTTP/1.1 5")


class _HeadTooLarge(Exception):
    """Stops the parser; the answer is in `refusal`."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. Subclassed by `guarded` with the limits of the node."""

    limits = GuardLimits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head_bytes = 0
        self.in_head = True
        self.waiting_since = 0.0  # no request is running since then; 0 while one is
        self.stalled_since = 0.0
        self.refusal = (400, "http-invalid", "this is not an HTTP request")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(CorkedTransport(transport))  # type: ignore[arg-type]
        self.waiting_since = self.loop.time()
        if len(self.connections) > self.limits.max_connections:
            self.refusal = (503, "connections-exhausted", "too many connections")
            self.send_400_response("")

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.in_head:
            self.head_bytes += len(data)
        super().data_received(data)
        endless = self.in_head and self.head_bytes > self.limits.max_header_bytes
        if endless and not self.transport.is_closing():
            self.refuse_head()
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_head = True
        if not self.waiting_since:
            self.waiting_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.max_url_bytes:
            self.refusal = (414, "address-too-long", "the address is too long")
            raise _HeadTooLarge

    def on_headers_complete(self) -> None:
        limits = self.limits
        # Sizes are added up only where the bytes received so far could be over the limit.
        if len(self.headers) > limits.max_headers or (
            self.head_bytes > limits.max_header_bytes
            and sum(len(name) + len(value) + 4 for name, value in self.headers) > limits.max_header_bytes
        ):
            self.refuse_head()
            raise _HeadTooLarge
        self.in_head = False
        self.head_bytes = 0
        self.waiting_since = 0.0
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()
        if not self.pipeline:
            self.waiting_since = self.loop.time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled_since = 0.0

    def refuse_head(self) -> None:
        """Have the next refusal say that the head is too large."""
        self.refusal = (431, "headers-too-large", "the head of the request is too large")

    def send_400_response(self, msg: str) -> None:
        """The refusal in force, as OperationOutcome; then the connection ends."""
        status, code, message = self.refusal
        body = outcome(status, code, message)
        head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n" % (
            status,
            _REASON[status],
            FHIR_JSON,
            len(body),
        )
        self.transport.write(
            head
            + b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
            + body
        )
        self.transport.close()

    def sweep(self, now: float) -> None:
        """End the connection if its head is late, or if its client does not read."""
        if self.transport.is_closing():
            return
        if self.stalled_since and now - self.stalled_since > self.limits.write_seconds:
            self.transport.abort()
        elif self.waiting_since:
            started = self.in_head and self.head_bytes > 0
            fresh = self.cycle is None
            seconds = self.limits.header_seconds if started or fresh else self.limits.idle_seconds
            if now - self.waiting_since > seconds:
                if started:
                    self.refusal = (408, "header-timeout", "the head of the request did not arrive in time")
                    self.send_400_response("")
                else:
                    self.transport.close()


def guarded(limits: GuardLimits) -> type[GuardedProtocol]:
    """The protocol class with these limits (uvicorn makes the instances itself)."""
    return type("LimitedProtocol", (GuardedProtocol,), {"limits": limits})


async def sweep_forever(connections: set[Any]) -> None:
    """Look at every connection once a second. Runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        now = loop.time()
        for connection in list(connections):
            connection.sweep(now)
