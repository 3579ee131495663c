"""One engine as a child of its node: started in order, watched, started again after a crash, ended for certain.

The engine's environment is empty but for what is named here: it would take any setting from a variable `CMT_…`. Its
working directory is its home, so that its sockets have short names wherever the home is. It is in a process group of
its own, so that a Ctrl-C reaches the node alone, which orders the end; and the kernel kills it if the node is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from careledger.engine.configuration import EngineSettings
from careledger.engine.logs import LINE_BYTES_MAX, Said, parse_line
from careledger.engine.peering import watch_peers
from careledger.engine.rpc import Rpc, Status, parse_time
from careledger.primitives.errors import CareLedgerError, Misconfigured, Unavailable

BACK_OFF_MIN_SECONDS: Final = 0.2
BACK_OFF_MAX_SECONDS: Final = 10.0
STEADY_SECONDS: Final = 30.0
"""An engine that ran this long starts again without back-off."""
READY_SECONDS_MAX: Final = 60.0
STARTS_WITHOUT_READY_MAX: Final = 3
STOP_SECONDS_MAX: Final = 10.0
POLL_SECONDS: Final = 0.1
TAIL_LINES: Final = 20
RUNTIME_VARIABLES: Final = ("GOMAXPROCS", "GOGC", "GOMEMLIMIT", "TZ")
CORES: Final = max(1, (os.cpu_count() or 1) // 4)
"""For the engine, unless GOMAXPROCS says otherwise: left all of them, it spends a third of its time looking for work."""
_LAUNCH: Final = Path(__file__).with_name("launch.py")

Log = Callable[[str, str, Mapping[str, object]], None]
"""Called with level, a fixed phrase, and fields: `log("warning", "engine ended", {"exit_code": 1})`."""


@dataclass(frozen=True, slots=True)
class Health:
    """How an engine does: `height` and `time_ms` of its newest block; all zero while it does not answer."""

    is_running: bool
    is_answering: bool
    restarts: int
    height: int = 0
    time_ms: int = 0
    is_catching_up: bool = False


class EngineProcess:
    """The engine of one node. `start`, `wait_until_ready`, `stop`; never two of it at once."""

    def __init__(
        self,
        engine: Path,
        home: Path,
        settings: EngineSettings,
        log: Log,
        *,
        fail_index: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`fail_index` (for tests): the engine ends itself at its n-th fail point, at the first start only.

        `environment`: settings of the Go runtime, such as GOMAXPROCS (else `CORES`) and GOGC; nothing else is taken.
        """
        # Its working directory is its home: paths as the caller gives them would lead elsewhere.
        self._words = (str(engine.absolute()), "start", "--home", str(home.absolute()))
        self._home = home
        self._settings = settings
        self._log = log
        self._fail_index = fail_index
        given = {n: v for n, v in (environment or {}).items() if n in RUNTIME_VARIABLES}
        self._environment = {"GOMAXPROCS": str(CORES)} | given
        self._process: asyncio.subprocess.Process | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._deaths = 0  # since it was last steady
        self._was_ready = False
        self._stopping = asyncio.Event()
        self.restarts = 0
        self.rpc = Rpc(settings.rpc)

    @property
    def pid(self) -> int | None:
        """The engine's process id; none while it is not running."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start it and keep it running. Raises Misconfigured unless the application listens already.

        An engine that finds no application waits three seconds before it asks again, at every start.
        """
        if self._supervision is not None:
            raise RuntimeError("the engine is started already")
        self._check_application()
        self._stopping.clear()
        await self._spawn()
        self._supervision = asyncio.create_task(self._supervise(), name="engine")
        if self._settings.peers:
            watching = watch_peers(self, self._settings.peers, self._log)
            self._watch = asyncio.create_task(watching, name="peers of the engine")

    async def wait_until_ready(self, seconds: float = READY_SECONDS_MAX) -> Status:
        """Its status, as soon as it answers. Raises Unavailable, with its last words, if it keeps ending, or is late."""
        deadline = time.monotonic() + seconds
        while True:
            if self.pid is not None:
                with contextlib.suppress(CareLedgerError):
                    status = await Rpc(self._settings.rpc, seconds_max=2.0).status()
                    self._was_ready = True
                    return status
            if self._supervision is None or self._supervision.done():
                raise self._not_started("it is not running")
            if not self._was_ready and self._deaths >= STARTS_WITHOUT_READY_MAX:
                raise self._not_started(f"it ended {self._deaths} times")
            if time.monotonic() > deadline:
                raise self._not_started(f"it did not answer within {seconds:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def get_health(self) -> Health:
        """How it does now. Never raises."""
        is_running = self.pid is not None
        if not is_running:
            return Health(False, False, self.restarts)
        try:
            sync = (await Rpc(self._settings.rpc, seconds_max=2.0).status()).sync_info
        except CareLedgerError:
            return Health(True, False, self.restarts)
        seconds, nanoseconds = parse_time(sync.latest_block_time)
        time_ms = seconds * 1000 + nanoseconds // 1_000_000 if sync.latest_block_height else 0
        return Health(True, True, self.restarts, sync.latest_block_height, time_ms, sync.catching_up)

    def pause(self) -> None:
        """Freeze it (for fault tests)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """End it in order; it starts again at once, and dials its peers anew."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would (for fault tests); it starts again."""
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """End it, in order if it can, and for certain; it is gone when this returns."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a frozen one could not take its leave
        supervision, self._supervision = self._supervision, None
        if supervision is None:
            return
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        done, _ = await asyncio.wait([supervision], timeout=STOP_SECONDS_MAX)
        if not done:
            self._log("warning", "engine did not stop, killing it", {})
            self._signal(signal.SIGKILL)
        await supervision

    # --- the life of the child ---------------------------------------------------------------------------------
    async def _supervise(self) -> None:
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                code = await self._follow()
                if self._stopping.is_set():
                    return
                self._deaths = 1 if time.monotonic() - started > STEADY_SECONDS else self._deaths + 1
                wait = compute_back_off(self._deaths)
                self._log("warning", "engine ended, starting it again", {"exit_code": code, "seconds": wait})
                if await self._is_stopped_within(wait):
                    return
                self.restarts += 1
                try:
                    await self._spawn()
                except OSError as error:  # the machine has no process to spare now
                    reason = error.strerror or type(error).__name__
                    self._log("error", "engine cannot be started, trying again", {"reason": reason})
        finally:
            await self._end()

    async def _is_stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _spawn(self) -> None:
        """Start the child. What a killed one left where the signer is awaited would keep it from listening there."""
        if self._settings.signer is not None:
            (self._home / self._settings.signer).unlink(missing_ok=True)
        environment = dict(self._environment)
        if self._fail_index is not None:
            environment["FAIL_TEST_INDEX"], self._fail_index = str(self._fail_index), None
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())),
            *self._words,
            cwd=self._home,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_BYTES_MAX,
            start_new_session=True,
        )
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)

    async def _follow(self) -> int:
        """Read what the child says until it ends; its exit code."""
        process = self._process
        assert process is not None and process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line over the limit: it was thrown away
                continue
            if not line:
                break
            self._heard(parse_line(line))
        return await process.wait()

    def _heard(self, said: Said) -> None:
        if said.is_plain:
            self._tail.append(said.text)
        elif said.level == "error":
            self._tail.append(" ".join(filter(None, (said.text, said.reason))))
        self._log(said.level, said.event, said.fields)

    async def _end(self) -> None:
        """No child is left, whatever ended the supervision."""
        process = self._process
        if process is not None and process.returncode is None:
            self._signal(signal.SIGKILL)
            await process.wait()

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    def _check_application(self) -> None:
        name = self._settings.application
        if not name.endswith(".sock"):
            return
        path = self._home / name
        if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
            raise Misconfigured(
                "the engine was to be started before its application listens",
                hint="start the application first",
                code="engine-order",
            )

    def _not_started(self, why: str) -> Unavailable:
        said = " / ".join(list(self._tail)[-3:]) or "it said nothing"
        return Unavailable(
            f"the engine does not run: {why}; its last words: {said}",
            hint="careledger engine doctor; the node's log says more",
            code="engine-not-running",
        )


def compute_back_off(deaths: int) -> float:
    """Seconds before the next start, after so many deaths in a row."""
    return min(BACK_OFF_MAX_SECONDS, BACK_OFF_MIN_SECONDS * (1 << min(deaths, 10) - 1))
