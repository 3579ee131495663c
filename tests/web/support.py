"""A node without FHIR: the shell on a real socket, with a handler that only counts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from careledger.access.tokens import TokenIssuer, TokenVerifier
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.node.config import Config, load
from careledger.web.api.messages import ApiHandler
from careledger.web.app import AsgiApp, create_app
from careledger.web.server import bind, run, serve_worker
from careledger.web.services import RequestLog, Services

NODE = "did:careledger:house"
AUDIENCE = "chain-1"
WAIT_S = 30.0
"""Nobody waits for ever; a machine with much else to do is waited for."""


def now_ms() -> int:
    return int(time.time() * 1000)


ISSUER = TokenIssuer(bytes(32), NODE, AUDIENCE, now_ms)
TOKEN = ISSUER.issue(client="test", scope="system/*.cruds", organisation=NODE, lifetime_seconds=3600)
BEARER = f"Authorization: Bearer {TOKEN}\r\n".encode()


@dataclass
class Node:
    """Worker and FHIR handler of the tests. `seen` are the requests that reached FHIR."""

    seen: list[FhirRequest] = field(default_factory=list)
    logged: list[RequestLog] = field(default_factory=list)
    problems: tuple[str, ...] = ()
    raising: BaseException | None = None
    seconds: float = 0.0
    response: FhirResponse | None = None
    limits: dict[str, int] = field(default_factory=dict)
    api: ApiHandler | None = None
    started: int = 0
    stopped: int = 0

    async def handle(self, request: FhirRequest) -> FhirResponse:
        self.seen.append(request)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if self.raising is not None:
            raise self.raising
        if self.response is not None:
            return self.response
        body = json.dumps(
            {"path": request.path, "query": request.query, "length": len(request.body)}
        ).encode()
        return FhirResponse(200, [(b"content-type", b"application/fhir+json")], body, "/fhir/[type]")

    def services(self) -> Services:
        verifier = TokenVerifier(ISSUER.public_key, NODE, AUDIENCE, lambda _id: False, now_ms)
        services = Services(self, verifier.authenticate, lambda: self.problems, self.logged.append)
        return replace(services, api=self.api, **self.limits)  # type: ignore[arg-type]

    async def start(self) -> AsgiApp:
        self.started += 1
        return create_app(self.services())

    def leave(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped += 1


@contextlib.contextmanager
def serving(node: Node, **flags: object) -> Iterator[int]:
    """The node on a free port of 127.0.0.1, in a thread; gives the port."""
    names = {name.replace("__", "."): value for name, value in flags.items()}
    config: Config = load(None, {}, {"server.listen": "127.0.0.1:0", "server.drain_seconds": 2, **names})  # type: ignore[dict-item]
    listener = bind(config)
    port = listener.getsockname()[1]
    ready = threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        ends.append((asyncio.get_running_loop(), stop))
        await serve_worker(node, config, listener, stop, ready.set)

    thread = threading.Thread(target=run, args=(main(),))
    thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield port
    finally:
        loop, stop = ends[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_S)
        listener.close()
        assert not thread.is_alive()


@dataclass
class Answer:
    """One HTTP response as read from the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def outcome(self) -> str:
        """The own code of the OperationOutcome; fails if it is none."""
        assert self.headers["content-type"].startswith("application/fhir+json")
        document = json.loads(self.body)
        assert document["resourceType"] == "OperationOutcome"
        code: str = document["issue"][0]["details"]["coding"][0]["code"]
        return code


class Client:
    """A raw socket: sends any bytes, reads one response at a time."""

    def __init__(self, port: int, seconds: float = WAIT_S) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Client:
        self.socket.sendall(data)
        return self

    def read(self, *, head: bool = False) -> Answer:
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        top, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = 0 if head else int(headers.get("content-length", "0"))
        while len(self.buffer) < length:
            self._more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(int(lines[0].split(" ")[1]), headers, body)

    def closed(self) -> bool:
        """The server ends the connection (waits up to the socket's timeout)."""
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError(f"connection closed after {self.buffer[:200]!r}")
        self.buffer += data


def ask(port: int, method: str, target: str, headers: bytes = BEARER, body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    length = f"Content-Length: {len(body)}\r\n".encode() if body else b""
    with Client(port) as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n".encode() + headers + length + b"\r\n" + body)
        return client.read(head=method == "HEAD")
