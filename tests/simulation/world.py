"""What a simulated run stands on: one thread, time that only passes when everybody waits, one source of chance, a trace.

The shipped modules read clocks and draw random bytes as ever; for the length of a run both come from here.
"""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest import mock

from careledger.primitives.hashing import sha256

START_MS = 1_800_000_000_000
"""Wall clock at virtual second 0."""


class Violation(AssertionError):
    """A promise was broken; the text says which, where and when."""


class Killed(BaseException):
    """A process ended in the middle of what it did."""


class _Sleeper(selectors.SelectSelector):
    """Nothing ever arrives from outside: to wait is to move the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Violation("everybody waits for ever")
        self.now_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual."""

    def __init__(self) -> None:
        self._sleeper = _Sleeper()
        super().__init__(self._sleeper)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._sleeper.now_s


class VirtualTime:
    """Stands in for the module `time` in the modules that read it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.monotonic = loop.time
        self._loop = loop

    def monotonic_ns(self) -> int:
        return int(self._loop.time() * 1_000_000_000)

    def perf_counter(self) -> float:
        """The disk takes no time: nothing is handed to a thread."""
        return 0.0

    def time(self) -> float:
        return START_MS / 1000 + self._loop.time()

    def time_ns(self) -> int:
        return START_MS * 1_000_000 + int(self._loop.time() * 1_000_000_000)


def list_clock_readers() -> list[ModuleType]:
    """Shipped modules that read a clock by themselves: for waiting and for dates, never for what replicas agree on."""
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith("careledger.") and getattr(module, "time", None) is time
    ]


class Trace:
    """The hash chain of everything that happened; `tail` are the newest events, for whoever looks for a reason."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._digest = bytes(32)
        self.count = 0
        self.tail: list[str] = []
        self.tail_max = 200

    def add(self, who: object, what: str, *fields: object) -> None:
        """One event. Fields have a text that is the same in every process."""
        line = f"{self._now():.6f} {who} {what} " + " ".join(
            one.hex()[:16] if isinstance(one, bytes) else str(one) for one in fields
        )
        self._digest = sha256(self._digest + line.encode())
        self.count += 1
        self.tail.append(line)
        if len(self.tail) > 2 * self.tail_max:
            del self.tail[: -self.tail_max]

    @property
    def digest(self) -> str:
        """Of all events so far."""
        return self._digest.hex()


class World:
    """Loop, chance and trace of one run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.loop = VirtualLoop()
        self.chance = random.Random(f"careledger simulation {seed}")
        self._bytes = random.Random(f"careledger bytes {seed}")
        self.trace = Trace(self.loop.time)
        self.failures: list[BaseException] = []
        self.loop.set_exception_handler(self._unhandled)

    def now_ms(self) -> int:
        """Wall clock of a machine that goes right."""
        return START_MS + int(self.loop.time() * 1000)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Killed):
            self.failures.append(error or RuntimeError(context["message"]))

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Clocks and random bytes of the shipped modules are this world's."""
        with ExitStack() as stack:
            for module in list_clock_readers():
                stack.enter_context(mock.patch.object(module, "time", VirtualTime(self.loop)))
            stack.enter_context(mock.patch.object(os, "urandom", self._bytes.randbytes))
            yield

    def close(self) -> None:
        """Every task has ended, or is ended now."""
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()
