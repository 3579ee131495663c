"""What waits for the sequencer, and how long its disk takes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from careledger.node.group import Group
from careledger.vault.messages import SealedCommit
from careledger.vault.model import AccessEntry, CommitResult

Entered = tuple[tuple[AccessEntry, ...], asyncio.Future[None]]
"""Access entries of one answer, and whom to tell."""


GROUPS_KEPT = 5_000


@dataclass(slots=True)
class Waiting:
    """A commit in the queue and whom to tell."""

    commit: SealedCommit
    done: asyncio.Future[CommitResult]
    work: Callable[[Group], Iterator[None]] | None = None  # instead of placing the commit


@dataclass(slots=True)
class SyncTimes:
    """How long the disk takes to make a group durable; decides whether to wait inline or in a thread."""

    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more sync: a moving average over about sixteen."""
        self.seconds += (seconds - self.seconds) / 16 if self.seconds else seconds


@dataclass(slots=True)
class AnchorTimes:
    """How long versions wait between their durability and their block, on a network."""

    anchored: int = 0
    _waiting: list[tuple[float, int]] = field(default_factory=list)
    _flying: list[tuple[float, int]] = field(default_factory=list)
    _landed: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=GROUPS_KEPT))

    def wrote(self, now: float, versions: int) -> None:
        """A group of versions is about to be durable."""
        if not versions:
            return
        if len(self._waiting) == GROUPS_KEPT:  # no block for long: the newest count as one
            now, more = self._waiting.pop()
            versions += more
        self._waiting.append((now, versions))

    def departed(self) -> None:
        """What waited is in flight."""
        self._flying += self._waiting
        self._waiting = []

    def landed(self, now: float) -> None:
        """What was in flight is anchored."""
        self._landed += [(now - then, versions) for then, versions in self._flying]
        self.anchored += sum(versions for _, versions in self._flying)
        self._flying = []

    def quantile_ms(self, share: float) -> float:
        """Of the newest groups, each as often as it has versions; 0 before the first."""
        times = sorted(self._landed)
        left = share * sum(versions for _, versions in times)
        for seconds, versions in times:
            left -= versions
            if left <= 0:
                return 1000 * seconds
        return 0.0


async def in_slices(steps: Iterator[None], seconds: float, pause: Callable[[], None] | None = None) -> None:
    """Take the steps; where so many seconds are over, `pause` and give way to what waits."""
    started = time.monotonic()
    for _ in steps:
        if time.monotonic() - started > seconds:
            if pause is not None:
                pause()
            await asyncio.sleep(0)
            started = time.monotonic()
