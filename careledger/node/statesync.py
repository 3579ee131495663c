"""Beginning with a snapshot of other nodes instead of every block since the genesis.

The engine fetches the chunks and says which app hash its light client found; the block's time comes from a header that
our own light client verifies, from the header that the network file names. Nothing is written before the whole is
verified; then chunks and index become durable together, and a replay of the journal comes to the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import lmdb

from careledger.ledger.consensus import snapshots
from careledger.ledger.consensus.abci.table import ApplySnapshotChunkResult, OfferSnapshotResult
from careledger.ledger.consensus.snapshots import Contents, Expected
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node import handed
from careledger.node.group import Group
from careledger.node.log import logger
from careledger.node.sequencer import Sequencer
from careledger.primitives.errors import CareLedgerError, Conflict, Corrupt, VerificationFailed
from careledger.vault import records

if TYPE_CHECKING:
    from careledger.node.home import OpenHome

FindTime = Callable[[int], Awaitable[int]]
"""The time in ms of the block of a height, from headers that are trusted. Raises if none vouches for it."""
SENDERS_MAX: Final = 256


class OtherRecords(Conflict):
    """The snapshot's ledger and this home's records do not belong together."""

    code = "anchored-elsewhere"


@dataclass(frozen=True, slots=True)
class Offered:
    """A snapshot as a peer offers it, and the app hash that the engine's light client found for its height."""

    height: int
    format: int
    chunks: int
    hash: bytes
    metadata: bytes
    app_hash: bytes


@dataclass(frozen=True, slots=True)
class Applied:
    """What becomes of a chunk: the engine fetches again what is listed, and asks no more of these senders."""

    result: ApplySnapshotChunkResult
    refetch: tuple[int, ...] = ()
    reject: tuple[str, ...] = ()


@dataclass(slots=True)
class _Incoming:
    expected: Expected
    hashes: tuple[bytes, ...]
    chunks: dict[int, bytes] = field(default_factory=dict)
    senders: set[str] = field(default_factory=set)


class StateSync:
    """Takes a snapshot in, for one home. `on_done` is called when the home stands at the snapshot's height."""

    def __init__(
        self,
        home: OpenHome,
        sequencer: Sequencer,
        find_time: FindTime | None,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        """`find_time` None: this home takes none."""
        self._home = home
        self._sequencer = sequencer
        self._find_time = find_time
        self._on_done = on_done
        self._incoming: _Incoming | None = None
        self.failure: CareLedgerError | None = None
        """Why no snapshot can be taken, now and later."""

    @property
    def problem(self) -> str:
        """The same for people; '' if nothing is wrong."""
        return "" if self.failure is None else f"{self.failure.message} ({self.failure.hint})"

    async def offer(self, offered: Offered) -> OfferSnapshotResult:
        """Whether to fetch it."""
        self._incoming = None
        if self._find_time is None or self.failure is not None:
            return OfferSnapshotResult.ABORT
        if offered.format != snapshots.FORMAT:
            return OfferSnapshotResult.REJECT_FORMAT
        if offered.height <= self._home.height:
            return OfferSnapshotResult.REJECT
        try:
            hashes = snapshots.read_metadata(offered.metadata, offered.chunks, offered.hash)
        except VerificationFailed:
            return OfferSnapshotResult.REJECT_SENDER
        try:
            time_ms = await self._find_time(offered.height)
        except CareLedgerError as error:
            logger().warning("a snapshot was refused", height=offered.height, reason=error.message)
            return OfferSnapshotResult.REJECT
        genesis_hash = self._home.the_ledger.genesis_hash
        self._incoming = _Incoming(Expected(genesis_hash, offered.height, time_ms, offered.app_hash), hashes)
        return OfferSnapshotResult.ACCEPT

    async def apply(self, index: int, chunk: bytes, sender: str) -> Applied:
        """Take a chunk in; with the last one the home stands at the snapshot's height, or is as before."""
        incoming = self._incoming
        if incoming is None or index >= len(incoming.hashes):
            return Applied(ApplySnapshotChunkResult.ABORT)
        try:
            snapshots.check_chunk(chunk, incoming.hashes[index])
        except VerificationFailed:
            logger().warning("a peer sent a wrong chunk of a snapshot", count=index)
            return Applied(ApplySnapshotChunkResult.RETRY, (index,), (sender,))
        incoming.chunks[index] = chunk
        if len(incoming.senders) < SENDERS_MAX:
            incoming.senders.add(sender)
        if sum(map(len, incoming.chunks.values())) > snapshots.SIZE_MAX:
            self._incoming = None
            logger().warning("a snapshot is larger than any that is made", height=incoming.expected.height)
            return Applied(ApplySnapshotChunkResult.REJECT_SNAPSHOT, (), tuple(sorted(incoming.senders)))
        if len(incoming.chunks) < len(incoming.hashes):
            return Applied(ApplySnapshotChunkResult.ACCEPT)
        self._incoming = None
        return await self._finish(incoming)

    async def _finish(self, incoming: _Incoming) -> Applied:
        chunks = [incoming.chunks[at] for at in range(len(incoming.hashes))]
        try:
            contents = snapshots.read_chunks(chunks)
            snapshots.check_head(contents.head, incoming.expected)
            await self._restore(contents, chunks)
        except VerificationFailed as error:
            logger().warning("a false snapshot was refused", reason=error.message)
            return Applied(ApplySnapshotChunkResult.REJECT_SNAPSHOT, (), tuple(sorted(incoming.senders)))
        except CareLedgerError as error:
            self.failure = error
            logger().error("no snapshot can be taken in", reason=error.message)
            return Applied(ApplySnapshotChunkResult.ABORT)
        logger().info("began with a snapshot", height=self._home.height)
        self._on_done()
        return Applied(ApplySnapshotChunkResult.ACCEPT)

    async def _restore(self, contents: Contents, chunks: list[bytes]) -> None:
        """Journal and index at once, or nothing."""

        def work(group: Group) -> Iterator[None]:
            restore_ledger(self._home, group.txn, contents)
            for chunk in chunks:
                group.add_record(records.SNAPSHOT, chunk)
                yield

        async with self._sequencer.quiet():
            await self._sequencer.run_alone(work)


def restore_ledger(home: OpenHome, txn: lmdb.Transaction, contents: Contents) -> None:
    """The home's ledger stands where the snapshot does; so do its heads, if they belong together.

    Raises VerificationFailed for a false snapshot, and OtherRecords; then abort the transaction.
    """
    home.replica.restore(LmdbKV(txn, home.tables.ledger), contents)
    handed.forget(txn, home.tables)
    try:
        home.outbox.settle(home, txn)
    except Corrupt:
        raise OtherRecords(
            "the ledger holds anchors of this organisation that this home does not know",
            hint="restore the organisation's newest backup into a new folder and serve that; if there is none, "
            "join anew under new keys, and let the members remove the old organisation by vote",
        ) from None
