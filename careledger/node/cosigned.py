"""What witnesses sign of what `/api` hands out: asked for as seldom and as briefly as it can be (docs/spec/api.md).

An answer that wants their lines waits for them at most `PATIENCE_SECONDS`; then, or if a witness refuses, it goes without
and says less. Answers that come together share one round, rounds keep a distance, and after a round that took too long
nobody waits for a while. What a witness found wrong is noted by the round itself, as on the command line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from careledger.ledger.checkpoint import COSIGNATURE_TYPE, SignedCheckpoint, compute_key_id
from careledger.ledger.proof_files import encode_binary
from careledger.node.peers import Peer
from careledger.primitives.errors import CareLedgerError
from careledger.vault.model import AccessEntry

PATIENCE_SECONDS: Final = 3.0
SPACING_SECONDS: Final = 0.2
REST_SECONDS: Final = 30.0
ALL: Final = "all"
WANTED_MAX: Final = 32
Compose = Callable[[], tuple[AccessEntry, ...]]


class AskAll(Protocol):
    """`Witnesses.ask_all`."""

    async def __call__(
        self, *, handed: bool, compose: Compose = ..., take: Callable[[], None] | None = None
    ) -> SignedCheckpoint: ...


class _GivenUpError(Exception):
    """The round has not begun while its answer waited: it went without, and the round need not be."""


@dataclass(slots=True)
class _Moment:
    """What becomes of one answer's own round: whether its entries were composed, and what it shows was taken."""

    compose: Compose
    take: Callable[[], None]
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    is_entered: bool = False
    is_given_up: bool = False

    def enter(self) -> tuple[AccessEntry, ...]:
        if self.is_given_up:
            raise _GivenUpError
        self.is_entered = True
        return self.compose()

    def show(self) -> None:
        if self.is_given_up:
            raise _GivenUpError
        self.take()
        self.taken.set()


class Cosigned:
    """The witnesses of one node as `/api` asks them."""

    def __init__(
        self, peers: Sequence[Peer], ask_all: AskAll, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._peers = tuple(peers)
        self._ask_all = ask_all
        self._clock = clock
        self._newest: SignedCheckpoint | None = None
        self._coming: asyncio.Task[SignedCheckpoint] | None = None
        self._begun = -SPACING_SECONDS
        self._rests_until = -REST_SECONDS
        self._tasks: set[asyncio.Task[SignedCheckpoint]] = set()

    async def stop(self) -> None:
        """No round goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wants(self, wanted: Sequence[str]) -> bool:
        """Whether somebody who is wanted may be asked now."""
        return bool(self._known(wanted)) and self._clock() >= self._rests_until

    def narrow(self, note: SignedCheckpoint, wanted: Sequence[str]) -> SignedCheckpoint:
        """The note with the operator's lines and those of the wanted witnesses: any other a reader would not know."""
        ids = {
            (peer.name, compute_key_id(peer.name, COSIGNATURE_TYPE, peer.key.public))
            for peer in self._known(wanted)
        }
        lines = (
            line
            for line in note.signatures
            if line.name == note.checkpoint.origin or (line.name, line.key_id) in ids
        )
        return SignedCheckpoint(note.checkpoint, tuple(lines))

    def _known(self, wanted: Sequence[str]) -> list[Peer]:
        return [peer for peer in self._peers if ALL in wanted or encode_binary(peer.key.public) in wanted]

    async def cover(self, size: int) -> SignedCheckpoint | None:
        """A checkpoint of this size or a later one, as witnesses signed it; None if it did not come in time."""
        newest = self._newest
        if newest is not None and newest.checkpoint.size >= size:
            return newest
        task = self._coming = self._coming or self._begin(self._round())
        return await self._wait(task)

    async def _round(self) -> SignedCheckpoint:
        await asyncio.sleep(max(0.0, self._begun + SPACING_SECONDS - self._clock()))
        self._coming = None  # who comes from now on may need a later block than this round is about
        self._begun = self._clock()
        self._newest = await self._ask_all(handed=True)
        return self._newest

    async def take(self, compose: Compose, take: Callable[[], None]) -> SignedCheckpoint | None:
        """Have `take` called at the moment of a checkpoint, after the entries of `compose`; that one, if it was signed.

        None without a call of `take` if there was no such moment in time. Raises what these two raise.
        """
        moment = _Moment(compose, take)
        task = self._begin(self._ask_all(handed=True, compose=moment.enter, take=moment.show))
        try:
            await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
            if moment.is_entered and not task.done():
                # it is at the witnesses now, or the node itself is at it, which comes to its end
                seen = asyncio.ensure_future(moment.taken.wait())
                await asyncio.wait({task, seen}, return_when=asyncio.FIRST_COMPLETED)
                seen.cancel()
        finally:
            moment.is_given_up = not moment.taken.is_set()
        if task.done() and not moment.taken.is_set():
            task.result()
        return self._result(task)

    def _begin(self, work: Coroutine[Any, Any, SignedCheckpoint]) -> asyncio.Task[SignedCheckpoint]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[SignedCheckpoint]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have

    async def _wait(self, task: asyncio.Task[SignedCheckpoint]) -> SignedCheckpoint | None:
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        return self._result(task)

    def _result(self, task: asyncio.Task[SignedCheckpoint]) -> SignedCheckpoint | None:
        """None for a round that takes too long, which is not waited for again so soon, or could not be made."""
        if not task.done():
            self._rests_until = self._clock() + REST_SECONDS
            return None
        if task.cancelled() or isinstance(task.exception(), CareLedgerError):
            return None
        return task.result()
