"""The sequencer of a network's node: commits become durable at once, their anchor follows, blocks come from the engine.

A block is executed when the engine has decided it (`begin_block`) and made durable, visible and answerable together
(`commit_block`): journal, sync, index. In between no group runs. Transactions of a commit go to the ledger first, and
the commit is applied when they are final: what the ledger refuses changes nothing here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import lmdb

from careledger.ledger.consensus.replica import Decided, Finalised
from careledger.ledger.consensus.verdicts import Gone, Why
from careledger.ledger.execution import SequenceMismatch
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import compute_id, decode_transaction
from careledger.node import founding
from careledger.node.finality import Headers
from careledger.node.group import Group, apply_event, ledger_refuses, sequence_moved
from careledger.node.home import OpenHome
from careledger.node.persevering import PerseveringSequencer
from careledger.node.profile import ProfileDiffers, check_profile
from careledger.node.sequencer import ACCESS_ANCHOR_SECONDS, HANDED
from careledger.node.waiting import AnchorTimes, Waiting
from careledger.primitives.errors import CareLedgerError, Conflict, Corrupt, NotFound, Unavailable
from careledger.vault import journal as journal_frames
from careledger.vault import records
from careledger.vault.journal import pack_record
from careledger.vault.messages import SealedCommit
from careledger.vault.model import AccessEntry, CommitResult
from careledger.vault.tables import COMMITTED_KEY

FINAL_SECONDS: Final = 30.0
"""How long a commit waits for its transactions; after that nobody knows what becomes of them."""
RESUBMIT_SECONDS: Final = 5.0
"""After that an anchor that is in no block yet is handed to the pool again."""


Compose = Callable[[], tuple[AccessEntry, ...]]
"""Access entries of what is about to be shown, as it is when it is called."""


class Ordering(Protocol):
    """Where transactions go to be ordered: the node's pool."""

    def submit(self, transaction: bytes) -> None:
        """Take a transaction of this node's. Raises Conflict with the reason if it can never be executed, and
        Unavailable while there is no room."""


class NetworkSequencer(PerseveringSequencer):
    """As `Sequencer`; the engine's application calls `begin_block`, `commit_block` and `abort_block`."""

    def __init__(
        self,
        home: OpenHome,
        clock_ms: Callable[[], int],
        ordering: Ordering,
        headers: Headers | None = None,
    ) -> None:
        super().__init__(home, clock_ms)
        self._ordering = ordering
        self._headers = headers
        self._finals: dict[bytes, asyncio.Future[int]] = {}
        self._deciding: Decided | None = None
        self._decided: Finalised | None = None
        self._is_committing = False
        self._submitted_at = 0.0
        self._asked: list[tuple[Compose, asyncio.Future[None], asyncio.Event]] = []
        self._views: list[tuple[int, asyncio.Future[None], asyncio.Event]] = []
        self._landed = 0
        self.anchor_times = AnchorTimes()
        self.block_at = time.monotonic()
        """When the newest block was committed."""
        self.failed = asyncio.Event()
        """Set once the node cannot follow the ledger any more."""

    async def start(self) -> None:
        """As `Sequencer.start`. What the ledger decided while this node was away it does not know yet: readers see
        a stale node until the first block comes."""
        with self._home.tables.env.begin(write=True) as txn:
            txn.delete(COMMITTED_KEY, db=self._home.tables.meta)
        await super().start()

    # What workers ask for

    async def commit(self, commit: SealedCommit) -> CommitResult:
        """As `Sequencer.commit`; transactions are final before anything is applied."""
        self._check_open()
        if not commit.transactions:
            return await super().commit(commit)
        height = await self.finalise(commit.transactions)
        rest = SealedCommit(
            charts=commit.charts,
            versions=commit.versions,
            accesses=commit.accesses,
            events=commit.events,
            epochs=commit.epochs,
        )
        if rest != SealedCommit():
            await super().commit(rest)
        return CommitResult(height)

    async def finalise(self, transactions: tuple[bytes, ...]) -> int:
        """All of them are executed when it returns, now or before: the height of the last one's block.

        Raises Conflict with the ledger's reason, or Unavailable if no block came in time: the outcome is unknown then.
        """
        loop = asyncio.get_running_loop()
        heights: list[int] = []
        waiting: list[tuple[bytes, asyncio.Future[int]]] = []
        try:
            for one in transactions:
                body, _ = decode_transaction(one)
                id = compute_id(body.body)
                final = self._find_final(id)
                if final:  # whoever seals a commit anew brings the same transactions again
                    heights.append(final)
                    continue
                self._ordering.submit(one)
                waiting.append((id, self._finals.setdefault(id, loop.create_future())))
            async with asyncio.timeout(FINAL_SECONDS):
                return max(heights + [await asyncio.shield(future) for _, future in waiting])
        except TimeoutError:
            raise Unavailable(
                "the network made no block with this in time: it may still come",
                hint="careledger network status; read before you repeat",
                code="outcome-unknown",
            ) from None
        finally:
            for id, future in waiting:
                if not future.done():
                    self._finals.pop(id, None)

    def _find_final(self, id: bytes) -> int:
        """The height at which this transaction was executed; 0 if it was not."""
        with self._home.tables.env.begin() as txn:
            try:
                found = self._home.the_ledger.transaction(LmdbKV(txn, self._home.tables.ledger), id)
            except NotFound:
                return 0
        return found.height if found.code == 0 else 0

    @asynccontextmanager
    async def shown(self, compose: Compose = tuple) -> AsyncIterator[None]:
        """As `Sequencer.shown`: what was journalled before, and the entries that `compose` gives, are anchored, and
        the header that holds that state is decided. The block that follows waits until the caller is done.

        `compose` is called when a batch departs: what comes after is in a later batch, and not shown.
        """
        self._check_open()
        if self._awaits_adoption():
            raise Unavailable(
                "the network does not know yet what this home anchored before it joined",
                hint="careledger migrate --adopt, once the organisation is admitted",
                code="not-adopted",
            )
        finished = asyncio.Event()
        try:
            async with asyncio.timeout(FINAL_SECONDS):
                await self._await_view(compose, finished)
            yield
        except TimeoutError:
            raise Unavailable(
                "the network made no block in time", hint="careledger network status; then repeat"
            ) from None
        finally:
            finished.set()
            self._views[:] = [view for view in self._views if view[2] is not finished]

    async def _await_view(self, compose: Compose, finished: asyncio.Event) -> None:
        """Until the batch is anchored that holds what is journalled now; the next block then waits for `finished`."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with self._busy:  # a batch that departs is counted at its end
            home, self._anchored_at = self._home, 0.0
            if compose is not tuple:
                self._asked.append((compose, granted, finished))
            else:
                waits = bool(home.access.changed or home.outbox.records)
                self._views.append((self._departed + waits, granted, finished))  # the next batch holds it
        self._wake.set()
        await granted

    @property
    def _departed(self) -> int:
        """How many batches have departed since the start, as `_landed` counts those that landed."""
        return self._landed + (self._home.outbox.flight is not None)

    async def _compose_asked(self) -> None:
        """A batch is about to depart: it holds the entries of those who ask to be shown something."""
        asked, self._asked = self._asked, []
        for compose, granted, finished in asked:
            if granted.done():
                continue
            try:
                entries = compose()
                if entries:
                    await self.log_access(entries)
            except (CareLedgerError, lmdb.Error) as error:
                if not granted.done():
                    granted.set_exception(error)
                continue
            self._views.append((self._departed + 1, granted, finished))

    # Blocks

    async def begin_block(self, decided: Decided) -> Finalised:
        """Execute a decided block; nothing is durable or visible before `commit_block`. While the disk takes nothing it
        waits: the engine decides nothing more before it is answered."""
        await self._take_turn()
        try:
            await self._grant_views()
            self._check_failed()
            check_profile(self._home)
            self._deciding = decided
            self._decided = await self._until_possible(self._execute)
            return self._decided
        except BaseException:
            self._home.abort()
            self._busy.release()
            raise

    async def commit_block(self) -> Finalised:
        """The block that `begin_block` executed is durable, visible, and told to whom it concerns."""
        done, home = self._decided, self._home
        if done is None:
            raise Corrupt("the engine commits what was not executed", hint="restart the node")
        self._decided, self._is_committing = None, True  # from here on it is not aborted
        try:
            flight = home.outbox.flight
            await self._keep(done)
            now = home.outbox.flight
            has_landed = flight is not None and (now is None or now.seq != flight.seq)
        except BaseException as failure:  # also its connection's end: nobody knows what the disk holds
            self._fail(failure)
            home.abort()
            raise
        finally:
            self._is_committing = False
            self._busy.release()
        self.block_at = time.monotonic()
        if has_landed:
            self._landed += 1
            self.anchor_times.landed(self.block_at)
        self._tell(done)
        self._wake.set()
        self._check_program()
        return done

    async def _keep(self, done: Finalised) -> None:
        """The executed block in journal and index. What the index cannot take, it takes from the journal as soon as it
        can; where there is no room in the journal, the block is executed anew when there is."""
        home, is_journalled = self._home, False
        while not is_journalled:
            try:
                txn = home.writer.txn
                if txn is None:
                    raise RuntimeError("no block is open")
                home.outbox.settle(home, txn)
                self._abandon_staged()
                home.journal.append(journal_frames.COMMITTED, [pack_record(records.BLOCK, done.block)])
                is_journalled = True
                self._index_accesses(txn, home.view + 1)
                await self._sync()
                now_ms = time.monotonic_ns() // 1_000_000
                txn.put(COMMITTED_KEY, now_ms.to_bytes(8, "big"), db=home.tables.meta)
                home.writer.commit()
                home.access.applied()
            except (lmdb.Error, Unavailable) as failure:
                await self._pause(failure)
                if is_journalled:
                    await self._sync()
                await self._until_possible(home.reload if is_journalled else self._execute)

    def _execute(self) -> Finalised:
        if self._deciding is None:
            raise RuntimeError("no block is decided")
        txn = self._home.writer.begin()
        return self._home.replica.finalise(LmdbKV(txn, self._home.tables.ledger), self._deciding)

    def abort_block(self) -> None:
        """The engine went away between the two: it will decide the same block again."""
        if self._decided is not None:
            self._decided = None
            self._home.abort()
            self._busy.release()

    async def settle(self) -> None:
        """Before a block is decided: none is half done. An engine that was away between the two decides it again; one
        that ended during the second finds it committed."""
        self.abort_block()
        if self._is_committing:
            async with self._busy:
                return

    def _tell(self, done: Finalised) -> None:
        for receipt in done.receipts:
            future = self._finals.pop(receipt.id, None)
            if future is None or future.done():
                continue
            if receipt.code == 0:
                future.set_result(done.height)
            elif receipt.code == SequenceMismatch.number:
                future.set_exception(sequence_moved())
            else:
                future.set_exception(ledger_refuses(receipt.code, receipt.reason))

    def tell_gone(self, gone: Gone) -> None:
        """A transaction of this node's left the pool without a block: who waits for it is told why."""
        future = self._finals.pop(gone.id, None)
        if future is None or future.done():
            return
        if gone.why == Why.REFUSED:
            future.set_exception(ledger_refuses(gone.number))
        elif gone.why == Why.OVERTAKEN:
            future.set_exception(sequence_moved())
        else:
            future.set_exception(
                Unavailable(
                    f"the transaction is in no block and left the pool ({gone.why.name.lower()})",
                    hint="read before you repeat: another node may still hold it",
                    code="outcome-unknown",
                )
            )

    async def _grant_views(self) -> None:
        """The header of the block to come is decided and holds the state as it is now: who waits may look."""
        ready = [view for view in self._views if view[0] <= self._landed]
        if not ready or self._headers is None:
            return
        try:
            self._home.signed_state = await self._headers.signed_state(self._home)
        except CareLedgerError as error:  # it concerns who asked alone: the block goes on
            for _, granted, _ in ready:
                if not granted.done():
                    granted.set_exception(error)
            return
        await self._note_handed()
        for _, granted, finished in ready:
            if granted.done():
                continue
            granted.set_result(None)
            await finished.wait()
        self._home.signed_state = None

    async def _note_handed(self) -> None:
        """Durable before anybody has it: how the heads stand under the header that is about to be shown."""
        home = self._home
        if home.is_handed():
            return
        self._abandon_staged()
        txn = home.writer.begin()
        apply_event(home, txn, HANDED)
        home.journal.append(journal_frames.COMMITTED, [pack_record(records.EVENT, HANDED)])
        self._index_accesses(txn, home.view + 1)
        await self._sync()
        home.writer.commit()
        home.access.applied()

    def fail(self, error: BaseException) -> None:
        """The engine's application cannot follow the ledger any more: nothing more is accepted or answered."""
        self._fail(error)
        cause = error.__cause__ if isinstance(error.__cause__, ProfileDiffers) else error
        if isinstance(cause, ProfileDiffers):
            self._failure = Unavailable(cause.message, hint=cause.hint, code=cause.code)
        self.failed.set()

    def _check_program(self) -> None:
        """Before anything of the next block is asked for: a node that may not execute it stops here."""
        try:
            check_profile(self._home)
        except ProfileDiffers as error:
            self.fail(error)

    def _check_failed(self) -> None:
        if self._failure is not None:
            raise self._failure

    # Anchors

    def _anchor_due(self) -> bool:
        outbox = self._home.outbox
        if self._awaits_adoption():
            return False
        if outbox.flight is not None:
            return self._due(self._submitted_at, RESUBMIT_SECONDS)
        due = self._due(self._anchored_at, ACCESS_ANCHOR_SECONDS)
        return bool(outbox.records or self._asked) or (due and bool(self._home.access.changed))

    def _awaits_adoption(self) -> bool:
        """The home has joined, and the ledger does not know yet what its batches continue."""
        return self._home.migrated_view is not None and not self._home.outbox.landings

    async def _after_group(self) -> None:
        if self._failure is None and self._anchor_due():
            await self._anchor()

    async def _leave(self) -> None:
        """What waits is in the journal: it is anchored after the next start."""

    def _takes_accesses(self, waiting: list[Waiting]) -> bool:
        return False

    async def _anchor(self) -> None:
        """Compose the next batch, make it durable, and hand its anchor to the pool; or hand it over once more."""
        async with self._busy:
            if self._failure is not None or not self._anchor_due():  # a block may have come meanwhile
                return
            try:
                if self._home.outbox.flight is None:
                    await self._depart()
                self._submit_flight()
            except (lmdb.Error, Unavailable) as failure:
                self._undo([], self._index_failed(failure))
            except (CareLedgerError, OSError) as failure:
                self._fail(failure)
                self._undo([], self._failure or Unavailable("the node has stopped"))

    async def _depart(self) -> None:
        home = self._home
        await self._compose_asked()
        self._abandon_staged()
        txn = home.writer.begin()
        with_accesses = self._accesses_due()
        cut = home.journal.position.sequence
        changed = self._taken = home.access.take_changed() if with_accesses else set()
        changes = home.outbox.changes(home, changed)
        root = home.heads.preview(LmdbKV(txn, home.tables.heads), changes)
        seq, transaction = founding.next_anchor(
            home.replica,
            LmdbKV(txn, home.tables.ledger),
            home.keys,
            home.organisation,
            root,
            self._clock_ms(),
        )
        home.outbox.depart(seq, root, transaction, changes, home.view)
        packed = [pack_record(records.ANCHOR, records.pack_anchor(seq, root, transaction))]
        if with_accesses:
            packed.append(pack_record(records.CUT, records.pack_cut(cut)))
        home.journal.append(journal_frames.COMMITTED, packed)
        self._index_accesses(txn, home.view + 1)
        await self._sync()
        home.writer.commit()
        home.access.applied()
        self._taken = set()
        self.anchor_times.departed()
        if with_accesses:
            self._anchored_at, self._anchored_ms = time.monotonic(), self._clock_ms()

    def _submit_flight(self) -> None:
        """Give the anchor to the pool; one that expired meanwhile is signed anew for the same batch."""
        flight, home = self._home.outbox.flight, self._home
        if flight is None:
            return
        transaction = flight.transaction
        with home.tables.env.begin() as txn:
            kv = LmdbKV(txn, home.tables.ledger)
            if founding.is_expired(transaction, home.replica.time_ms):
                _, transaction = founding.next_anchor(
                    home.replica, kv, home.keys, home.organisation, flight.root, self._clock_ms()
                )
        self._submitted_at = time.monotonic()
        try:
            self._ordering.submit(transaction)
        except (Conflict, Unavailable):
            return  # in the pool already, or no room: it is tried again

    async def _close_group(self, group: Group, accepted: list[Waiting], with_accesses: bool) -> list[bytes]:
        """No block: what was written waits for its anchor."""
        self._home.outbox.records |= self._home.writer.touched_heads().keys()
        self._home.writer.flush()
        self.anchor_times.wrote(time.monotonic(), sum(len(one.commit.versions) for one in accepted))
        return []
