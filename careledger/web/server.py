"""Serve: one process, or a writer with N workers; ready when it says so, gone when it is told to go.

With `workers = 1` writer and worker share one process and one event loop. With more, a supervisor binds the socket,
forks the writer, and, when that is ready, the workers; all of them die with it (see `web.processes`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Protocol

import uvicorn
import uvloop

from careledger.node.config import Config, is_loopback, url_of
from careledger.primitives.errors import Misconfigured
from careledger.web.app import AsgiApp
from careledger.web.guard import GuardLimits, guarded, sweep_forever
from careledger.web.share import Acceptor, Loads


class Writer(Protocol):
    """The single writer of the home. `stop` is called once after a `start` that returned; `ended` raises, while it serves,
    what it cannot go on for."""

    async def start(self) -> None: ...
    async def ended(self) -> None: ...
    async def stop(self) -> None: ...


class Worker(Protocol):
    """One HTTP worker: `start` opens what it needs and gives the application."""

    async def start(self) -> AsgiApp: ...
    def leave(self) -> None:
        """The process is about to end: requests that only wait for something are answered now."""

    async def stop(self) -> None: ...


GC_THRESHOLDS = (10_000, 100, 50)
"""A large Bundle is a hundred thousand objects that soon go by reference count: look for cycles rarely beyond the youngest,
and never among more than 10,000 of those at once, which takes 3 ms."""

MakeWriter = Callable[[], Writer]
MakeWorker = Callable[[int], Worker]
OnReady = Callable[[str], None]


def announce(address: str) -> None:
    """The one line on stdout that says: ready."""
    sys.stdout.write(f"CareLedger is ready at {address}\n")
    sys.stdout.flush()


def serve(
    make_worker: MakeWorker,
    config: Config,
    make_writer: MakeWriter | None = None,
    on_ready: OnReady = announce,
    listener: socket.socket | None = None,
) -> None:
    """Run in the foreground until SIGINT or SIGTERM, then end cleanly: requests finish, workers stop, writer stops.
    It ends so, too, when the writer cannot go on, and raises why.

    `make_worker` is called in the process that runs the worker, with its number from 0; `make_writer` likewise.
    `on_ready` is called once, in the calling process, with the address. `listener` is what `bind` gave, if the caller
    had to know its port before. Raises as `bind` does, and whatever `start` raises.
    """
    listener = listener or bind(config)
    try:
        if config.server.workers > 1:
            from careledger.web.processes import supervise

            supervise(make_worker, make_writer, config, listener, on_ready)
        else:
            run(_serve_one(make_worker, make_writer, config, listener, on_ready))
    finally:
        listener.close()


def run(main: Awaitable[None]) -> None:
    """Run to the end on uvloop."""

    async def start() -> None:
        await main

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(start())


def check_exposure(config: Config) -> None:
    """Off loopback only with TLS, or with the explicit word that a proxy does it. Raises Misconfigured."""
    host, _ = config.server.address
    if not is_loopback(host) and not config.server.tls_cert and not config.server.behind_proxy:
        raise Misconfigured(
            f"listening on {host} needs TLS",
            code="tls-needed",
            hint="add --tls-cert FILE --tls-key FILE, or --behind-proxy, or listen on 127.0.0.1",
        )


def bind(config: Config) -> socket.socket:
    """The listening socket. Raises Misconfigured, with what to type, if the port is in use, the certificate unusable or
    TLS missing."""
    check_exposure(config)
    tls_context(config)  # fail before anything is started
    host, port = config.server.address
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise Misconfigured(
            f"{host} is not an address of this machine", hint="use --listen 127.0.0.1:8080"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(config.server.backlog)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            other = port + 1000 if port < 64_000 else 9000
            hint = f"type `make run PORT={other}`, or `careledger serve --listen {host}:{other}`"
            raise Misconfigured(f"port {port} is in use", code="port-in-use", hint=hint) from error
        if error.errno == errno.EACCES:
            hint = "ports under 1024 belong to the system: use --listen with a higher one"
            raise Misconfigured(f"port {port} is not allowed", code="port-forbidden", hint=hint) from error
        raise Misconfigured(f"cannot listen on {host}:{port}", hint="use --listen 127.0.0.1:8080") from error
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket, config: Config) -> str:
    """Where clients reach the listener."""
    if config.server.base_url:
        return config.server.public_url
    host, _ = config.server.address
    return url_of(host, listener.getsockname()[1], tls=bool(config.server.tls_cert))


def tls_context(config: Config) -> ssl.SSLContext | None:
    """TLS 1.2 and up with the node's certificate; None without one. Raises Misconfigured."""
    server = config.server
    if not server.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(server.tls_cert, server.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            "the TLS certificate or its key cannot be read",
            code="tls-invalid",
            hint="both are PEM files that fit together",
        ) from error
    return context


async def _serve_one(
    make_worker: MakeWorker,
    make_writer: MakeWriter | None,
    config: Config,
    listener: socket.socket,
    on_ready: OnReady,
) -> None:
    """Writer and worker in this process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        if make_writer is not None:
            writer = make_writer()
            await writer.start()
            stack.push_async_callback(writer.stop)
            await stack.enter_async_context(ending_with(writer, stop))
        if not stop.is_set():
            ready = lambda: on_ready(address_of(listener, config))  # noqa: E731
            await serve_worker(make_worker(0), config, listener, stop, ready)


@asynccontextmanager
async def ending_with(writer: Writer, stop: asyncio.Event) -> AsyncGenerator[None, None]:
    """`stop` is set when the writer cannot go on; its reason is raised once everything within has ended."""
    watching = asyncio.create_task(writer.ended())
    watching.add_done_callback(lambda _task: stop.set())
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def serve_worker(
    worker: Worker,
    config: Config,
    listener: socket.socket,
    stop: asyncio.Event,
    ready: Callable[[], None],
    loads: Loads | None = None,
) -> None:
    """One worker from start to drain. `ready` is called when it accepts; it ends after `stop` is set."""
    app = await worker.start()
    try:
        server = _Server(uvicorn_config(app, config), listener, loads)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not walk it again
        gc.set_threshold(*GC_THRESHOLDS)
        serving = asyncio.create_task(server.serve())
        sweeping = asyncio.create_task(sweep_forever(server.server_state.connections))
        stopping = asyncio.create_task(stop.wait())
        accepting = asyncio.create_task(server.accepting.wait())
        await asyncio.wait((accepting, serving), return_when=asyncio.FIRST_COMPLETED)
        if server.accepting.is_set():
            ready()
        await asyncio.wait((stopping, serving), return_when=asyncio.FIRST_COMPLETED)
        worker.leave()
        server.should_exit = True
        await serving
        for task in (sweeping, stopping, accepting):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    finally:
        await worker.stop()


def uvicorn_config(app: AsgiApp, config: Config) -> uvicorn.Config:
    """uvicorn with our protocol, without its logs, banners and WebSockets."""
    server = config.server
    limits = GuardLimits(
        max_header_bytes=config.limits.max_header_bytes,
        max_headers=config.limits.max_headers,
        max_url_bytes=config.limits.max_url_bytes,
        max_connections=server.max_connections,
        header_seconds=server.header_seconds,
        write_seconds=server.write_seconds,
        idle_seconds=server.keep_alive_seconds,
    )
    context = tls_context(config)
    return uvicorn.Config(
        app,
        http=guarded(limits),
        ws="none",
        lifespan="off",
        loop="none",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=server.backlog,
        timeout_keep_alive=server.keep_alive_seconds,
        timeout_graceful_shutdown=server.drain_seconds,
        ssl_context_factory=None if context is None else lambda _config, _default: context,
    )


class _Server(uvicorn.Server):
    """uvicorn's server on our socket, leaving signals to us and sharing connections fairly among workers."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, loads: Loads | None) -> None:
        super().__init__(config)
        self.listener = listener
        self.loads = loads
        self.acceptor: Acceptor | None = None
        self.accepting = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to `serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self.loads is None:
            await super().startup([self.listener])
            self.accepting.set()
            return
        await super().startup([])
        connect = lambda: self.config.http_protocol_class(  # type: ignore[call-arg]  # noqa: E731
            config=self.config, server_state=self.server_state, app_state={}, _loop=None
        )
        self.acceptor = Acceptor(
            self.listener, connect, self.config.ssl, self.loads, self.server_state.connections
        )
        self.acceptor.start()
        self.accepting.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.acceptor is not None:
            self.acceptor.stop()
        await super().shutdown(sockets)
