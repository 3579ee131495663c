"""The supervisor: it forks the writer and the workers, restarts a worker that dies, and takes all with it.

The supervisor itself has no event loop, no thread and no open home: it can fork safely at any time. A child dies
with it twice over: the kernel sends SIGTERM when the parent ends (PR_SET_PDEATHSIG), and a pipe that only the
supervisor holds open reads as ended. The writer is not restarted: when it dies the node stops, so that the next
start recovers from the journal with nothing in memory that could disagree.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from careledger.node.config import Config
from careledger.node.log import logger
from careledger.primitives import errors
from careledger.web.server import (
    MakeWorker,
    MakeWriter,
    OnReady,
    Worker,
    Writer,
    address_of,
    ending_with,
    run,
    serve_worker,
)
from careledger.web.share import Loads

PR_SET_PDEATHSIG = 1
WRITER = -1
BACK_OFF_MIN_SECONDS = 0.1
BACK_OFF_MAX_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A worker that lived this long starts again without back-off."""
WRITER_STOP_SECONDS = 60.0
REPORT_MAX_BYTES = 4096


class Report(msgspec.Struct, frozen=True):
    """What a child says once: ready, or why it could not start; a writer, later, why it cannot go on."""

    ready: bool
    kind: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""


@dataclass(slots=True)
class _Child:
    number: int  # WRITER, or the worker's number
    pid: int
    report: int  # file descriptor; -1 once read
    started: float
    ready: bool = False


@dataclass(slots=True)
class _Supervisor:
    make_worker: MakeWorker
    make_writer: MakeWriter | None
    config: Config
    listener: socket.socket
    loads: Loads
    life: tuple[int, int]
    selector: selectors.BaseSelector
    children: dict[int, _Child] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)  # worker number -> when to start it
    deaths: dict[int, int] = field(default_factory=dict)
    stopping: bool = False

    def start(self, number: int) -> None:
        """Fork the writer or a worker."""
        report_read, report_write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(report_read)
            os.close(self.life[1])
            self.child(parent, number, report_write)
        os.close(report_write)
        self.children[pid] = _Child(number, pid, report_read, time.monotonic())
        self.selector.register(report_read, selectors.EVENT_READ, pid)

    def child(self, parent: int, number: int, report: int) -> None:
        """Be the child. Never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(
                signal.SIGINT, signal.SIG_IGN
            )  # Ctrl-C reaches the group; the supervisor orders the end
            die_with(parent)
            if number == WRITER:
                assert self.make_writer is not None
                run(_writer(self.make_writer(), self.life[0], report))
            else:
                self.loads.number = number
                main = _worker(
                    self.make_worker(number), self.config, self.listener, self.life[0], report, self.loads
                )
                run(main)
            code = 0
        except errors.CareLedgerError as error:
            _send(report, Report(False, _kind_of(error), error.code, error.message, error.hint))
        except BaseException as error:
            logger().error("process failed", error=type(error).__name__, exc_info=error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def step(self, timeout: float) -> None:
        """Wait for something to happen, and take note of it. Raises what a starting child reports."""
        failed: Report | None = None
        for key, _ in self.selector.select(timeout):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 4096)
            else:
                failed = self.heard(self.children[key.data]) or failed
        failed = self.reap(failed)
        if failed is not None:
            raise _error_of(failed)

    def heard(self, child: _Child) -> Report | None:
        """Read a child's report; it, if it is a failure."""
        raw = os.read(child.report, REPORT_MAX_BYTES)
        if not raw and child.ready:  # a writer that ended without a word
            self.forget(child)
            return None
        report = msgspec.msgpack.decode(raw, type=Report) if raw else Report(False)
        if child.number != WRITER or not report.ready:  # a writer may have to say later why it ends
            self.forget(child)
        child.ready = report.ready
        if report.ready:
            return None
        if not self.deaths.get(child.number, 0):
            return report
        logger().warning("worker could not start", worker=child.number, code=report.code)
        return None

    def forget(self, child: _Child) -> None:
        """Close the child's report pipe."""
        if child.report >= 0:
            self.selector.unregister(child.report)
            os.close(child.report)
            child.report = -1

    def reap(self, failed: Report | None) -> Report | None:
        """Take leave of children that ended; plan the next start of a worker. `failed`, or what one of them reports."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return failed
            if pid == 0:
                return failed
            child = self.children.pop(pid, None)
            if child is None:
                continue
            if child.report >= 0:  # it reported and ended since the pipes were looked at
                failed = self.heard(child) or failed
            if child.number == WRITER:
                if not self.stopping and failed is None:  # else the report says why
                    raise errors.Unavailable(
                        "the writer process ended", hint="start the node again: it recovers"
                    )
                continue
            self.loads.clear(child.number)
            if not self.stopping:
                self.plan(child, os.waitstatus_to_exitcode(status))

    def plan(self, child: _Child, exit_code: int) -> None:
        """Start the worker again, the later the oftener it died young."""
        now = time.monotonic()
        deaths = 1 if now - child.started > STEADY_SECONDS else self.deaths.get(child.number, 0) + 1
        self.deaths[child.number] = deaths
        wait = 0.0 if deaths == 1 else min(BACK_OFF_MAX_SECONDS, BACK_OFF_MIN_SECONDS * 2 ** min(deaths, 10))
        self.due[child.number] = now + wait
        logger().warning(
            "worker ended, starting it again", worker=child.number, exit_code=exit_code, seconds=wait
        )

    def start_due(self) -> float:
        """Start what is due; seconds until the next is."""
        now = time.monotonic()
        for number in [number for number, when in self.due.items() if when <= now]:
            del self.due[number]
            self.start(number)
        return min([1.0, *(max(0.0, when - now) for when in self.due.values())])

    def await_ready(self, stopped: Callable[[], bool]) -> None:
        """Return when every child is ready, or at a signal."""
        while not stopped() and (self.due or not all(child.ready for child in self.children.values())):
            self.step(self.start_due())

    def end(self, numbers: Callable[[int], bool], seconds: float) -> None:
        """End the children with those numbers: ask, wait, then kill."""
        self.stopping = True
        for kind, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            pids = [child.pid for child in self.children.values() if numbers(child.number)]
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, kind)
            deadline = time.monotonic() + wait
            while any(pid in self.children for pid in pids) and time.monotonic() < deadline:
                with contextlib.suppress(errors.CareLedgerError):
                    self.step(0.05)


def supervise(
    make_worker: MakeWorker,
    make_writer: MakeWriter | None,
    config: Config,
    listener: socket.socket,
    on_ready: OnReady,
) -> None:
    """Run writer and workers until SIGINT or SIGTERM. Raises what a first start of a child raised, and what the writer
    cannot go on for."""
    life = os.pipe()
    selector = selectors.DefaultSelector()
    supervisor = _Supervisor(
        make_worker, make_writer, config, listener, Loads(config.server.workers), life, selector
    )
    with _signals(selector) as stopped:
        try:
            if make_writer is not None:
                supervisor.start(WRITER)
                supervisor.await_ready(stopped)
            if not stopped():
                supervisor.due.update(dict.fromkeys(range(config.server.workers), 0.0))
                supervisor.await_ready(stopped)
            if not stopped():
                on_ready(address_of(listener, config))
            while not stopped():
                supervisor.step(supervisor.start_due())
        finally:
            supervisor.end(lambda number: number != WRITER, config.server.drain_seconds + 5.0)
            supervisor.end(lambda number: number == WRITER, WRITER_STOP_SECONDS)
            os.close(life[0])
            os.close(life[1])
            selector.close()


@contextlib.contextmanager
def _signals(selector: selectors.BaseSelector) -> Iterator[Callable[[], bool]]:
    """SIGINT and SIGTERM as a flag, SIGCHLD as a wake-up; what was before comes back at the end."""
    received: list[int] = []
    wake_read, wake_write = os.pipe()
    for descriptor in (wake_read, wake_write):
        os.set_blocking(descriptor, False)
    selector.register(wake_read, selectors.EVENT_READ, None)
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda number, _frame: received.append(number)),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number)),
        signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda _number, _frame: None),
    }
    wake_before = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    try:
        yield lambda: bool(received)
    finally:
        signal.set_wakeup_fd(wake_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake_read)
        os.close(wake_write)


def die_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends; at once if it already has."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


async def _writer(writer: Writer, life: int, report: int) -> None:
    """The writer's process: start, say so, wait for the end."""
    stop = stop_event(life)
    await writer.start()
    try:
        _send(report, Report(True))
        async with ending_with(writer, stop):
            await stop.wait()
    finally:
        await writer.stop()


async def _worker(
    worker: Worker, config: Config, listener: socket.socket, life: int, report: int, loads: Loads
) -> None:
    """A worker's process."""
    stop = stop_event(life)
    await serve_worker(worker, config, listener, stop, lambda: _send(report, Report(True)), loads)


def stop_event(life: int) -> asyncio.Event:
    """Set at SIGTERM, or when the supervisor is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def parent_gone() -> None:
        loop.remove_reader(life)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(life, parent_gone)
    return stop


def _send(report: int, message: Report) -> None:
    with contextlib.suppress(OSError):
        os.write(report, msgspec.msgpack.encode(message)[:REPORT_MAX_BYTES])


def _kind_of(error: errors.CareLedgerError) -> str:
    """The class that decides the exit code: the error's own, or the first above it that everybody knows."""
    return next(kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__))


def _error_of(report: Report) -> errors.CareLedgerError:
    """The error that a child could not start with, as if raised here."""
    kind = getattr(errors, report.kind, errors.Unavailable)
    message = report.message or "a process of the node ended before it was ready"
    error: errors.CareLedgerError = kind(
        message, hint=report.hint or "the log says more", code=report.code or None
    )
    return error
