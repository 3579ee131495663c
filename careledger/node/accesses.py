"""Access entries on their way into the journal: sealed at the next places of their charts' access logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from careledger.node.home import OpenHome
from careledger.node.waiting import Entered
from careledger.primitives.errors import CareLedgerError, Corrupt, Unavailable
from careledger.vault import journal as frames
from careledger.vault import records
from careledger.vault.envelope import open_access, seal_access
from careledger.vault.index import PlacedAccess
from careledger.vault.journal import RECORD_HEADER, pack_record
from careledger.vault.model import AccessEntry
from careledger.vault.tables import ACCESS_LOG


@dataclass(frozen=True, slots=True)
class SealedEntries:
    """Records for the journal, and where each will stand once it is there."""

    packed: list[bytes]
    placed: list[PlacedAccess]


class AccessEntries:
    """Seals and places entries. What was sealed must be journalled before anything else is sealed, or given back."""

    def __init__(self, home: OpenHome) -> None:
        self._home = home
        self.newest_ms = max([home.the_ledger.time_ms, *map(self._last_ms, home.access.changed)])
        """Of the newest entry or block: no entry is earlier than what stands before it."""

    def _last_ms(self, chart: int) -> int:
        """Time of the last entry of a chart that the newest block does not hold yet."""
        index = self._home.access.frontier(chart).size - 1
        try:
            with self._home.reader(0).snapshot() as snapshot:
                record = records.unpack_access(snapshot.record(chart, ACCESS_LOG, index))
            keys = self._home.keyring.get(chart)
            return open_access(keys, chart, index, record.leaf, record.sealed).time_ms
        except Corrupt:
            return 0  # `fsck` names it

    def seal(self, entries: Sequence[AccessEntry]) -> SealedEntries:
        """Take the next places for these entries. If one cannot be sealed, none has taken a place."""
        try:
            return self._seal(entries)
        except CareLedgerError:
            self._home.access.forget({entry.chart for entry in entries})
            raise

    def _seal(self, entries: Iterable[AccessEntry]) -> SealedEntries:
        access, keyring = self._home.access, self._home.keyring
        self.newest_ms = max(self.newest_ms, self._home.the_ledger.time_ms)
        packed, placed = [], []
        for entry in entries:
            keys = keyring.get(entry.chart)
            index = access.frontier(entry.chart).size
            if entry.time_ms < self.newest_ms:
                entry = msgspec.structs.replace(entry, time_ms=self.newest_ms)
            self.newest_ms = entry.time_ms
            leaf, sealed = seal_access(keys, index, entry)
            index, hashed, nodes = access.append(entry.chart, leaf)
            content = records.pack_access(entry.chart, index, leaf, sealed)
            packed.append(pack_record(records.ACCESS, content))
            placed.append(PlacedAccess(entry.chart, index, hashed, 0, len(content), nodes))
        return SealedEntries(packed, placed)

    def place(self, base: int, sealed: SealedEntries) -> None:
        """The records were journalled from `base` on."""
        for record, entry in zip(sealed.packed, sealed.placed, strict=True):
            entry.offset = base + RECORD_HEADER.size
            self._home.access.placed(entry)
            base += len(record)

    def give_back(self, sealed: SealedEntries) -> None:
        """The records did not reach the journal: their places are free again."""
        self._home.access.forget({entry.chart for entry in sealed.placed})

    def append(self, entries: Sequence[AccessEntry]) -> None:
        """Seal and journal entries in a frame of their own; the caller syncs. Raises, with nothing changed."""
        sealed = self.seal(entries)
        try:
            base = self._home.journal.append(frames.ACCESS, sealed.packed)
        except CareLedgerError:
            self.give_back(sealed)
            raise
        self.place(base, sealed)


class AccessQueue:
    """Entries that wait for the journal. `run` takes all that wait in one frame and one sync.

    `failure` says why nothing may be journalled now, if so; `sync` makes durable what was appended; `fail` is called if
    it cannot; `journalled` after each batch.
    """

    def __init__(
        self,
        entries: AccessEntries,
        failure: Callable[[], Unavailable | None],
        sync: Callable[[], Awaitable[None]],
        fail: Callable[[BaseException], Unavailable],
        journalled: Callable[[], None],
    ) -> None:
        self._entries = entries
        self._failure = failure
        self._sync = sync
        self._fail = fail
        self._journalled = journalled
        self._waiting: list[Entered] = []
        self._wake = asyncio.Event()
        self._stopping = False

    async def enter(self, entries: tuple[AccessEntry, ...]) -> None:
        """The entries are durable when it returns. Raises Unavailable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entries, done))
        self._wake.set()
        await done

    def stop(self) -> None:
        """`run` ends once nothing waits."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """There is a failure: whoever waits is told so."""
        self._wake.set()

    def refuse_all(self, failure: Unavailable) -> None:
        """A defect ended a loop: nobody may wait for ever."""
        for _, done in self._waiting:
            if not done.done():
                done.set_exception(failure)
        self._waiting.clear()

    async def run(self) -> None:
        """Journal what is entered, until `stop`."""
        while not (self._stopping and not self._waiting):
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            if batch:
                await self._journal(batch)

    async def _journal(self, batch: list[Entered]) -> None:
        error = self._failure()
        try:
            if error is None:
                batch = self._append(batch)
                await self._sync()
        except OSError as failure:
            error = self._fail(failure)
        for _, done in batch:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._journalled()

    def _append(self, batch: list[Entered]) -> list[Entered]:
        """Journal all of them in one frame; if that is refused, each caller's alone. Returns those journalled."""
        try:
            self._entries.append([entry for entries, _ in batch for entry in entries])
            return batch
        except CareLedgerError as refusal:
            if len(batch) == 1:
                if not batch[0][1].done():
                    batch[0][1].set_exception(refusal)
                return []
        return [one for waiting in batch for one in self._append([waiting])]
