"""The sequencer: the single writer of a home. It decides the order, makes it durable, then says so.

Record commits are taken in groups; a group is one ledger block and one sync. Access entries are journalled and
synced on their own, so that a large Bundle in progress delays no read. Whatever fails before the group's last
frame is in the journal changes nothing; a failed sync ends the node, because nobody can know what the disk holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import lmdb

from careledger.ledger.consensus.chain import is_urgent
from careledger.node.accesses import AccessEntries, AccessQueue
from careledger.node.group import Group, Handed, NextBlock, encode_event
from careledger.node.heads import head_changes, write_heads
from careledger.node.home import OpenHome
from careledger.node.waiting import SyncTimes, Waiting, in_slices
from careledger.node.workers import Workers
from careledger.primitives.errors import CareLedgerError, Unavailable
from careledger.vault import journal as journal_frames
from careledger.vault import records
from careledger.vault.journal import pack_record
from careledger.vault.messages import SealedCommit
from careledger.vault.model import AccessEntry, CommitResult

GROUP_VERSIONS_MAX = 2_000
GROUP_TRANSACTIONS_MAX = 64
SLICE_SECONDS = 0.003
ACCESS_ANCHOR_SECONDS = 1.0
AHEAD_MS = 60_000
INDEX_LAG_SECONDS = 0.25
PENDING_ACCESS_MAX = 4_000
INLINE_SYNC_SECONDS = 0.002
ENTRIES_PER_SLICE = 24
ARRIVAL_TURNS = 4
REPAIR_SECONDS = 1.0
REAP_SECONDS = 30.0
HANDED = encode_event(Handed())
STOPPED_HINT = "restart the node; then run `careledger fsck`"


class Sequencer:
    """Runs on one event loop. `start` before use, `stop` drains."""

    def __init__(self, home: OpenHome, clock_ms: Callable[[], int]) -> None:
        self._home = home
        self._clock_ms = clock_ms
        self._commits: list[Waiting] = []
        self._entries = AccessEntries(home)
        self._accesses = AccessQueue(
            self._entries, lambda: self._failure, self._sync, self._fail, self._watch_pending
        )
        self._wake = asyncio.Event()
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: Unavailable | None = None
        self._index_behind = False
        self._stopping = False
        self._staged = False  # frames of an unfinished group are in the journal
        self._anchored_at, self._anchored_ms = time.monotonic(), clock_ms()
        self._indexed_at = time.monotonic()
        self._reaped_at = 0.0
        self._taken: set[int] = set()  # access heads on their way into a block
        self._busy = asyncio.Lock()
        self.steady = asyncio.Lock()  # held by whoever checks or copies keys and journal, and by an erasure
        self.workers = Workers()
        self.sync_times = SyncTimes()

    # What workers ask for

    async def commit(self, commit: SealedCommit) -> CommitResult:
        """Durable when it returns. Raises Conflict (nothing changed) or Unavailable (nothing changed)."""
        self._check_open()
        waiting = Waiting(commit, asyncio.get_running_loop().create_future())
        self._commits.append(waiting)
        self._wake.set()
        return await waiting.done

    async def log_access(self, entries: tuple[AccessEntry, ...]) -> None:
        """The entries are durable when it returns. Raises Unavailable."""
        self._check_open()
        await self._accesses.enter(entries)

    @asynccontextmanager
    async def conditional_lock(self, type: str) -> AsyncIterator[None]:
        """One conditional write of a resource type at a time, in the whole node."""
        async with self._locks.setdefault(type, asyncio.Lock()):
            yield

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Hold off groups: heads, ledger and index agree, and every journalled access entry is indexed."""
        async with self._busy:
            self._check_open()
            if self._home.access.pending:
                self._flush_index()
            yield

    async def run_alone(self, work: Callable[[Group], Iterator[None]]) -> CommitResult:
        """One block of what `work` changes, under `quiet`: durable when it returns, or nothing was changed."""
        alone = Waiting(SealedCommit(), asyncio.get_running_loop().create_future(), work)
        await self._run_quiet_group([alone])
        return await alone.done

    @asynccontextmanager
    async def shown(self, compose: Callable[[], tuple[AccessEntry, ...]] = tuple) -> AsyncIterator[None]:
        """As `quiet`, for what hands the newest checkpoint to somebody: that is durably noted (`handed`).

        The newest block's heads hold every access entry that was journalled before; so they do those that `compose`
        gives once groups are held off: entries of what is about to be shown, durable before anything is.
        """
        async with self._busy:
            self._check_open()
            entries = compose()
            if entries:
                await self.log_access(entries)
            if self._home.access.changed or not self._home.is_handed():
                noted = Waiting(SealedCommit(events=(HANDED,)), asyncio.get_running_loop().create_future())
                await self._run_quiet_group([noted], with_accesses=True)
                await noted.done
            self._check_open()
            if self._home.access.pending:
                self._flush_index()
            yield

    @property
    def _failure(self) -> Unavailable | None:
        """Why nothing is promised any more, if so. Each time another exception: one that is raised again and again
        keeps alive what every caller had open, the index's readers too."""
        kept = self._failed
        return None if kept is None else Unavailable(kept.message, hint=kept.hint, code=kept.code)

    @_failure.setter
    def _failure(self, failure: Unavailable | None) -> None:
        self._failed = failure

    def check_health(self) -> None:
        """Raise Unavailable if the node can no longer promise anything."""
        self._check_open()

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure  # under no name here: the exception would hold this frame, which would hold it
        if self._stopping:
            raise Unavailable("the node is stopping", hint="repeat in a few seconds")

    # Life

    async def start(self) -> None:
        """Measure the disk and begin to work."""
        for _ in range(5):
            self.sync_times.add(self._timed_sync())
        self._tasks = [asyncio.create_task(self._run_records()), asyncio.create_task(self._accesses.run())]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Finish what was accepted, anchor, and leave a clean home."""
        async with self.steady:  # an erasure that has begun comes to its end
            self._stopping = True
        self._wake.set()
        self._accesses.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failure is None:
            await self._leave()

    async def _leave(self) -> None:
        """What is still unanchored when nothing more is accepted."""
        if self._home.access.changed:
            await self._run_group([])

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A defect ended a loop: nobody may wait for ever, and nothing more is accepted."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        failure = self._fail(error)
        self._refuse_all(failure)
        self._accesses.refuse_all(failure)

    def _fail(self, error: BaseException) -> Unavailable:
        """Nothing can be promised any more: refuse everything until the node is started anew."""
        self._failure = Unavailable(
            f"the node has stopped accepting work: {type(error).__name__}", hint=STOPPED_HINT
        )
        self._wake.set()
        self._accesses.wake()
        return self._failure

    # Record groups

    async def _run_records(self) -> None:
        while True:
            if not self._commits:
                await self._wait_for_work()
            if self._failure is not None:
                self._refuse_all(self._failure)
                if self._index_behind and not self._stopping:
                    await self._repair_index()
            elif self._commits:
                await self._let_arrive()
                await self._run_group(self._take_group())
                await self._after_group()
            elif self._anchor_due():
                await self._anchor()
            elif self._home.access.pending:
                await self._catch_index_up()
            if self._stopping and not self._commits:
                return

    async def _after_group(self) -> None:
        """A group holds its own anchor: nothing is left to do."""

    def _anchor_due(self) -> bool:
        """Whether something waits for a block that no commit brings."""
        return self._due(self._anchored_at, ACCESS_ANCHOR_SECONDS) and bool(self._home.access.changed)

    async def _anchor(self) -> None:
        """A block of access heads alone."""
        if self._home.access.pending:
            await self._index_pending()
            await self._give_way()
        if self._failure is None:
            await self._run_group([])

    def _takes_accesses(self, waiting: list[Waiting]) -> bool:
        """Whether the group's anchor holds the access heads too: each second, or if there is nothing else."""
        return not waiting or self._accesses_due()

    def _accesses_due(self) -> bool:
        """A second after the last time; or if the clock has gone ahead of that, as after a machine slept: a block must
        not be an hour later than what was looked at before it and is not in it (docs/spec/export.md, 8)."""
        jumped = self._clock_ms() - self._anchored_ms > AHEAD_MS
        return jumped or self._due(self._anchored_at, ACCESS_ANCHOR_SECONDS)

    async def _wait_for_work(self) -> None:
        if self._stopping:
            return
        if self._due(self._reaped_at, REAP_SECONDS):
            self._home.tables.env.reader_check()  # a worker that was killed holds back the index's free pages
            self._reaped_at = time.monotonic()
        try:
            await asyncio.wait_for(self._wake.wait(), INDEX_LAG_SECONDS)
        except TimeoutError:
            pass
        self._wake.clear()

    async def _let_arrive(self) -> None:
        """Give requests that are being read a few turns of the loop: a larger group costs each of them less."""
        for _ in range(ARRIVAL_TURNS):
            arrived = len(self._commits)
            await asyncio.sleep(0)
            if len(self._commits) == arrived:
                return

    async def _give_way(self) -> None:
        """Let what came meanwhile be answered: in so many turns a read is logged and sent, however much is left here."""
        for _ in range(ARRIVAL_TURNS):
            await asyncio.sleep(0)

    def _watch_pending(self) -> None:
        """Entries were journalled: once too many are not indexed, the index is brought up at once."""
        if self._home.access.pending > PENDING_ACCESS_MAX:
            self._wake.set()

    def _due(self, since: float, seconds: float) -> bool:
        return time.monotonic() - since >= seconds

    def _take_group(self) -> list[Waiting]:
        """What fits into one block, lane 0 first: a revocation waits for nothing that came before it."""
        self._commits.sort(key=_comes_later)
        group: list[Waiting] = []
        versions = transactions = 0
        while self._commits:
            commit = self._commits[0].commit
            versions += len(commit.versions)
            transactions += len(commit.transactions)
            if group and (versions > GROUP_VERSIONS_MAX or transactions > GROUP_TRANSACTIONS_MAX):
                break
            group.append(self._commits.pop(0))
        return group

    def _refuse_all(self, error: CareLedgerError) -> None:
        waiting, self._commits = self._commits, []
        for one in waiting:
            if not one.done.done():
                one.done.set_exception(error)

    async def _run_group(self, waiting: list[Waiting]) -> None:
        async with self._busy:
            await self._run_quiet_group(waiting)

    async def _run_quiet_group(self, waiting: list[Waiting], *, with_accesses: bool = False) -> None:
        """One block: every accepted commit of the group, or none of them."""
        home = self._home
        accepted: list[Waiting] = []
        later: list[Waiting] = []
        try:
            self._abandon_staged()
            group = Group(home, home.writer.begin())
            for one in waiting:
                try:
                    await in_slices(group.check(one.commit, self._clock_ms()), SLICE_SECONDS)
                except NextBlock:
                    later.append(one)
                    continue
                except CareLedgerError as refusal:
                    if not one.done.done():  # whoever asked may have gone
                        one.done.set_exception(refusal)
                    continue
                accepted.append(one)
                await self._apply(group, one)
            with_accesses = with_accesses or self._takes_accesses(waiting)
            if not accepted and not (with_accesses and home.access.changed):
                home.writer.abort()
                return
            height = await self._finish(group, accepted, with_accesses)
        except CareLedgerError as error:
            self._undo(waiting, error)
            return
        except lmdb.Error as failure:
            self._undo(waiting, Unavailable(f"the index cannot be written ({type(failure).__name__})"))
            return
        except OSError as failure:
            self._undo(waiting, self._fail(failure))
            return
        self._commits[:0] = later
        for one in accepted:
            if not one.done.done():
                one.done.set_result(CommitResult(height))

    async def _apply(self, group: Group, one: Waiting) -> None:
        """Put the commit into the group, giving way to other requests every few milliseconds."""
        steps = one.work(group) if one.work else group.apply(one.commit)
        await in_slices(steps, SLICE_SECONDS, lambda: self._stage(group))

    def _stage(self, group: Group) -> None:
        """Journal what the group has so far; without effect until its last frame."""
        packed = group.take_records()
        if packed:
            self._staged = True
            group.place(self._home.journal.append(journal_frames.STAGED, packed))

    def _abandon_staged(self) -> None:
        if self._staged:
            self._home.journal.append(journal_frames.ABANDONED, ())
            self._staged = False

    async def _finish(self, group: Group, accepted: list[Waiting], with_accesses: bool) -> int:
        """Make the group durable, then visible; the height that who asked is told."""
        home, txn = self._home, group.txn
        own = [entry for one in accepted for entry in one.commit.accesses]
        tail = await self._close_group(group, accepted, with_accesses)
        packed = group.take_records()
        sealed = self._entries.seal(own)
        tail += [pack_record(records.EVENT, event) for one in accepted for event in one.commit.events]
        try:
            base = home.journal.append(journal_frames.COMMITTED, [*packed, *tail, *sealed.packed])
        except CareLedgerError:
            self._entries.give_back(sealed)
            raise
        self._staged = False
        try:
            group.place(base)
            if with_accesses:
                home.keep_checkpoint(txn)
            self._entries.place(base + sum(map(len, packed)) + sum(map(len, tail)), sealed)
            self._index_accesses(txn, group.height)
            await self._sync()
            home.writer.commit()
        except (lmdb.Error, Unavailable) as failure:
            raise self._index_failed(failure) from failure
        home.access.applied()
        self._taken = set()
        if with_accesses:
            self._anchored_at, self._anchored_ms = time.monotonic(), self._clock_ms()
        return home.height

    async def _close_group(self, group: Group, accepted: list[Waiting], with_accesses: bool) -> list[bytes]:
        """The group's block, with its anchor: the records of the journal that say so."""
        home, txn = self._home, group.txn
        cut = home.journal.position.sequence
        changed = self._taken = home.access.take_changed() if with_accesses else set()
        seen = {chart: home.access.frontier(chart).copy() for chart in changed}
        changes = head_changes(home, home.writer.touched_heads(), ())
        root = await write_heads(home, txn, changes, seen, self._give_way)
        await in_slices(home.writer.flush_steps(), SLICE_SECONDS)
        transactions = [t for one in accepted for t in one.commit.transactions]
        now_ms = max(self._clock_ms(), group.newest_ms, self._entries.newest_ms)
        block = home.execute(txn, root if changes or seen else None, transactions, now_ms)
        tail = [pack_record(records.BLOCK, block.block)]
        if with_accesses:
            tail.append(pack_record(records.CUT, records.pack_cut(cut)))
        return tail

    def _index_failed(self, failure: Exception) -> Unavailable:
        """The journal holds what the index could not take: nothing is served until the index has caught up."""
        self._index_behind = True
        self._failure = Unavailable(
            f"the index cannot be written ({type(failure).__name__}): a write may have been kept all the same",
            hint="free space on the home's disk; read before you repeat a write",
            code="outcome-unknown",
        )
        return self._failure

    async def _repair_index(self) -> None:
        """Bring the index up to the journal as a restart would; try again in a second if it cannot be written."""
        try:
            self._home.reload()
        except (lmdb.Error, Unavailable):
            await asyncio.sleep(REPAIR_SECONDS)
            return
        except CareLedgerError as error:
            self._index_behind = False
            self._fail(error)
            return
        self._index_behind = False
        self._failure = None

    def _index_accesses(self, txn: lmdb.Transaction, view: int) -> None:
        """Write pending access entries and where the index stands, in the open transaction."""
        self._home.access.apply(self._home.writer)
        self._home.put_applied(txn, view)
        self._indexed_at = time.monotonic()

    async def _catch_index_up(self) -> None:
        if self._due(self._indexed_at, INDEX_LAG_SECONDS) or self._home.access.pending > PENDING_ACCESS_MAX:
            await self._index_pending()

    async def _index_pending(self) -> None:
        """As `_flush_index`, giving way to other requests on the way to its last step."""
        access, writer = self._home.access, self._home.writer
        async with self._busy:
            try:
                writer.begin()
                while access.apply_some(writer, ENTRIES_PER_SLICE):
                    await self._give_way()
            except lmdb.Error as failure:
                self._not_indexed(failure)
                return
            self._flush_index()

    def _flush_index(self) -> None:
        writer = self._home.writer
        try:
            txn = writer.begin() if writer.txn is None else writer.txn
            self._index_accesses(txn, self._home.view)
            self._home.writer.commit()
            self._home.access.applied()
        except (lmdb.Error, Unavailable) as failure:
            self._not_indexed(failure)

    def _not_indexed(self, failure: Exception) -> None:
        self._home.access.kept()
        self._home.writer.abort()
        self._index_failed(failure)

    def _undo(self, waiting: list[Waiting], error: CareLedgerError) -> None:
        """Nothing of the group happened: all who still wait for it are told so."""
        self._home.access.changed |= self._taken
        self._taken = set()
        self._home.access.kept()
        self._home.abort()
        for one in waiting:
            if not one.done.done():
                one.done.set_exception(error)

    async def _sync(self) -> None:
        """Make everything appended so far durable: inline on a fast disk, else in a thread."""
        if self.sync_times.seconds < INLINE_SYNC_SECONDS:
            self.sync_times.add(self._timed_sync())
        else:
            self.sync_times.add(await asyncio.get_running_loop().run_in_executor(None, self._timed_sync))

    def _timed_sync(self) -> float:
        """Seconds in the disk alone: a thread's wait for its turn is not the disk's fault."""
        started = time.perf_counter()
        self._home.journal.sync()
        return time.perf_counter() - started


def _comes_later(waiting: Waiting) -> bool:
    """No transaction of lane 0 is among the commit's."""
    return not any(map(is_urgent, waiting.commit.transactions))


def system_clock_ms() -> int:
    """Wall clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
