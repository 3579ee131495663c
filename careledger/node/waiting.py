"""What waits for the sequencer, and how long its disk takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from careledger.node.group import Group
from careledger.vault.messages import SealedCommit
from careledger.vault.model import AccessEntry, CommitResult

Entered = tuple[tuple[AccessEntry, ...], asyncio.Future[None]]
"""Access entries of one answer, and whom to tell."""


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
