"""A home, opened: keys, journal, index, ledger and heads, by the one process that may write it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import lmdb

from careledger.ledger.consensus.chain import Chain
from careledger.ledger.consensus.embedded import EmbeddedLedger, ExecutedBlock
from careledger.ledger.consensus.replica import Replica
from careledger.ledger.genesis import NETWORK, compute_chain_id, compute_genesis_hash
from careledger.ledger.past import Keeper
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.tree import MapTree
from careledger.node import former, founding, handed, pins
from careledger.node.finality import SignedState
from careledger.node.layout import (
    HomeFile,
    HomeLock,
    Layout,
    index_is_trusted,
    mark_running,
    mark_stopped,
)
from careledger.node.outbox import Outbox
from careledger.primitives.errors import Corrupt, Misconfigured
from careledger.primitives.types import did_text, parse_did
from careledger.vault.index import AccessIndex, IndexWriter
from careledger.vault.journal import Journal, Position, start_position
from careledger.vault.keyring import Keyring
from careledger.vault.keystore import Keys, KeyStore
from careledger.vault.snapshot import VaultReader
from careledger.vault.tables import CHART_KEY, Tables

Progress = Callable[[int, int], None]


class OpenHome:
    """Everything the single writer needs, over one index. `LockedHome` opens one; `close` leaves the home clean."""

    def __init__(self, layout: Layout, keys: Keys, file: HomeFile, index: Path, *, write: bool) -> None:
        self.layout = layout
        self.file = file
        self.did = file.did
        self.organisation = bytes(parse_did(file.did))
        self.tables = Tables.open(index, keys.journal_key, write=True)
        self.keyring = Keyring(keys, self.organisation, self.tables)
        self.erasures = 0
        """How often something was erased: the generation of what readers remember."""
        self.closed: set[int] = set()
        """Charts that were shredded."""
        self.writer = IndexWriter(self.tables, self.keyring.for_writing)
        self.access = AccessIndex(self.tables)
        self.is_network = False
        """Whether validators decide the blocks."""
        self.migrated_view: int | None = None
        """The commit with which the home left its embedded ledger for a network; None if it did not, or not yet."""
        self.ledger: Chain | None = None
        self.outbox = Outbox()
        self.signed_state: SignedState | None = None
        """On a network, while somebody may look (`Sequencer.shown`): what the validators signed of the newest state."""
        self.heads = MapTree()
        self.past = Keeper()
        with self.tables.env.begin() as txn:
            self.read_phase(txn)
            self.applied = self._read_applied(txn)
            self.access.changed = _read_changed(txn, self.tables)
            self.base_url = txn.get(b"base", b"", db=self.tables.meta).decode()
            self._recall(txn)
        self.journal = Journal.open(
            layout.journal, keys.home_id, keys.journal_key, write=write, at=self.applied
        )

    @property
    def keys(self) -> Keys:
        """The home's keys as they are now."""
        return self.keyring.keys

    def read_phase(self, txn: lmdb.Transaction) -> None:
        """Whose blocks the journal holds at this place: a home that has joined a network begins with its own."""
        self.migrated_view = former.read_migrated(txn, self.tables.meta)
        encoded, began = self.file.genesis, self.file.former
        if isinstance(began, str) and self.migrated_view is None:
            encoded = began
        self.genesis = founding.read_genesis(bytes.fromhex(encoded))
        self.is_network = self.genesis.mode == NETWORK

    def _recall(self, txn: lmdb.Transaction) -> None:
        """Memory says what the index says: heads, pins, erasures, view, outbox."""
        self.heads.reset(LmdbKV(txn, self.tables.heads))
        self.past.reset(pins.read_newest(txn, self.tables))
        self._read_erasures(txn)
        self._view = _read_view(txn, self.tables)
        self.outbox.reset(txn, self.tables)

    def _read_erasures(self, txn: lmdb.Transaction) -> None:
        self.erasures = int.from_bytes(txn.get(b"height", b"", db=self.tables.meta)[8:], "big")
        closed = txn.get(b"closed", b"", db=self.tables.meta)
        self.closed = {number for (number,) in CHART_KEY.iter_unpack(closed)}

    def put_closed(self, txn: lmdb.Transaction, chart: int) -> None:
        """The chart is shredded from here on."""
        self.closed.add(chart)
        packed = b"".join(map(CHART_KEY.pack, sorted(self.closed)))
        txn.put(b"closed", packed, db=self.tables.meta)

    def put_floor(self, txn: lmdb.Transaction, floor: int) -> None:
        """Wrap masters below `floor` are due to be destroyed; what was freed in the index is due to go as well."""
        self.erasures += 1
        txn.put(b"floor", floor.to_bytes(4, "big"), db=self.tables.meta)
        txn.put(b"compact", b"\x01", db=self.tables.meta)

    def is_compaction_due(self) -> bool:
        """Whether freed pages of the index may still hold what was erased."""
        with self.tables.env.begin() as txn:
            return txn.get(b"compact", db=self.tables.meta) is not None

    def destroy_due(self) -> None:
        """Destroy the wrap masters that the journal says are due. Raises ForeignKeys if the store is an older one."""
        with self.tables.env.begin() as txn:
            floor = int.from_bytes(txn.get(b"floor", b"", db=self.tables.meta), "big")
        if floor:
            self.keyring.keys = KeyStore.destroy_below(self.layout.keys, self.keys, floor)

    def begin_index(self) -> None:
        """Empty the index: the journal will say it all again."""
        self.writer.abort()
        with self.tables.env.begin(write=True) as txn:
            for table in self.tables.all():
                txn.drop(table, delete=False)
        self.writer.reset()
        self.keyring.coming.clear()
        self.keyring.clear()
        self.ledger = None
        with self.tables.env.begin() as txn:
            self.read_phase(txn)
            self.applied = self._read_applied(txn)
            self.access.reset(set())
            self.base_url = ""
            self._recall(txn)

    def _read_applied(self, txn: lmdb.Transaction) -> Position:
        data = txn.get(b"applied", db=self.tables.meta)
        if data is None:
            return start_position(self.keys.home_id)
        return Position(int.from_bytes(data[:8], "big"), int.from_bytes(data[8:16], "big"), data[16:])

    def reader(self, cache_bytes: int) -> VaultReader:
        """A reader within this process."""
        return VaultReader(self.tables, self.journal, self.keyring, cache_bytes)

    # What a group changes beside charts

    def put_applied(self, txn: lmdb.Transaction, view: int) -> None:
        """The index holds all that the journal holds up to here; readers know it as `view`."""
        at = self.journal.position
        self.record_applied(txn, at, view)

    def record_applied(self, txn: lmdb.Transaction, at: Position, view: int) -> None:
        """As `put_applied`, for a position met while replaying."""
        value = at.end.to_bytes(8, "big") + at.sequence.to_bytes(8, "big") + at.digest
        txn.put(b"applied", value, db=self.tables.meta)
        generation = self.erasures.to_bytes(8, "big") if self.erasures else b""
        txn.put(b"height", view.to_bytes(8, "big") + generation, db=self.tables.meta)
        txn.put(b"time", self.the_ledger.time_ms.to_bytes(8, "big"), db=self.tables.meta)
        if self.is_network:
            self._view = view
            txn.put(b"block", self.height.to_bytes(8, "big"), db=self.tables.meta)
            self.outbox.store(txn, self.tables)
        changed = b"".join(CHART_KEY.pack(chart) for chart in sorted(self.access.changed))
        txn.put(b"unanchored", changed, db=self.tables.meta)
        handed.mark_day(txn, self.tables, self.height + 1, self.the_ledger.time_ms)
        pins.mark(self, txn)

    def update_heads(self, txn: lmdb.Transaction, changes: dict[bytes, bytes]) -> None:
        """Write heads into the heads map; what a pin may ask for of the old ones is kept."""
        kv = LmdbKV(txn, self.tables.heads)
        self.past.keep(self.heads, kv, LmdbKV(txn, self.tables.past), changes)
        self.heads.update(kv, changes)

    def execute(
        self, txn: lmdb.Transaction, root: bytes | None, transactions: Sequence[bytes], now_ms: int
    ) -> ExecutedBlock:
        """The next block: the anchor of `root` if there is one, then the given transactions."""
        kv = LmdbKV(txn, self.tables.ledger)
        ledger = self.embedded
        if root is not None:
            _, anchor = founding.next_anchor(ledger, kv, self.keys, self.organisation, root, now_ms)
            transactions = [anchor, *transactions]
        block = ledger.execute(kv, transactions, now_ms)
        if root is not None and block.receipts[0].code != 0:
            raise Corrupt(
                f"the ledger refused this node's anchor with code {block.receipts[0].code}",
                hint="stop the node and run `careledger fsck`",
            )
        return block

    @property
    def the_ledger(self) -> Chain:
        """The ledger, once founded or recovered."""
        if self.ledger is None:
            raise RuntimeError("the ledger is not open yet")
        return self.ledger

    @property
    def embedded(self) -> EmbeddedLedger:
        """The ledger of a home that orders its own blocks. Raises Misconfigured on a network."""
        if isinstance(self.the_ledger, EmbeddedLedger):
            return self.the_ledger
        raise Misconfigured("this home's ledger is a network's", hint="its validators sign, not the home")

    @property
    def replica(self) -> Replica:
        """The ledger of a network's node. Raises Misconfigured in an embedded home."""
        if isinstance(self.the_ledger, Replica):
            return self.the_ledger
        raise Misconfigured("this home's ledger is embedded", hint="careledger network, careledger migrate")

    @property
    def the_signed_state(self) -> SignedState:
        """See `signed_state`. Raises RuntimeError where nothing is shown."""
        if self.signed_state is None:
            raise RuntimeError("no signed state is at hand")
        return self.signed_state

    @property
    def view(self) -> int:
        """Number of the newest commit, as readers know it: the ledger's height, unless a network orders the blocks."""
        return self._view if self.is_network else self.height

    @property
    def height(self) -> int:
        """Height of the newest block."""
        return self.the_ledger.height

    def is_handed(self) -> bool:
        """Whether it is noted that somebody may hold the newest checkpoint."""
        with self.tables.env.begin() as txn:
            return self.height + 1 in handed.read_sizes(txn, self.tables)[-2:]

    def sign_checkpoint(self, txn: lmdb.Transaction) -> str:
        """The newest checkpoint with its post-quantum signature; made at most once a height, kept in the index."""
        height = self.height.to_bytes(8, "big")
        kept = txn.get(b"checkpoint", b"", db=self.tables.meta)
        if kept[:8] == height:
            return kept[8:].decode()
        return self.embedded.checkpoint(LmdbKV(txn, self.tables.ledger), post_quantum=True)

    def keep_checkpoint(self, txn: lmdb.Transaction) -> None:
        """Sign the newest checkpoint now (protocol.md: ML-DSA-44 is added each second)."""
        note = self.sign_checkpoint(txn)
        txn.put(b"checkpoint", self.height.to_bytes(8, "big") + note.encode(), db=self.tables.meta)

    def abort(self) -> None:
        """Forget what the open transaction changed, in the index and in memory."""
        for number in self.writer.new_charts:
            self.keyring.forget(number)
        self.keyring.coming.clear()
        self.writer.abort()
        with self.tables.env.begin() as txn:
            self._recall(txn)
            if self.ledger is not None:
                self.ledger.reset(LmdbKV(txn, self.tables.ledger))

    def reload(self) -> None:
        """Forget what memory holds and bring the index up to the journal, as a restart would."""
        from careledger.node.recovery import catch_up

        self.writer.abort()
        with self.tables.env.begin() as txn:
            self.applied = self._read_applied(txn)
            self.access.reset(_read_changed(txn, self.tables))
            self._recall(txn)
        catch_up(self)
        self.destroy_due()

    def close(self) -> None:
        """Sync the index and give everything back. Only after the sequencer has stopped."""
        self.writer.abort()
        self.tables.close()
        self.journal.close()


def _read_changed(txn: lmdb.Transaction, tables: Tables) -> set[int]:
    data = txn.get(b"unanchored", b"", db=tables.meta)
    return {chart for (chart,) in CHART_KEY.iter_unpack(data)}


def _read_view(txn: lmdb.Transaction, tables: Tables) -> int:
    return int.from_bytes(txn.get(b"height", b"", db=tables.meta)[:8], "big")


def open_keys(layout: Layout, passphrase: str) -> tuple[HomeFile, Keys]:
    """What the home says, and its keys. Raises if either is another home's."""
    file = layout.read()
    keys = KeyStore.open(layout.keys, passphrase)
    keys.require_home(bytes.fromhex(file.home_id))
    genesis = founding.read_genesis(bytes.fromhex(file.genesis))
    chain_id = compute_chain_id(compute_genesis_hash(genesis))
    if (file.did, file.chain_id) != (did_text(founding.founder(keys)), chain_id):
        raise Misconfigured("home.json is not of this home", hint="put back the file that belongs to it")
    return file, keys


class LockedHome:
    """A home that this process alone may write, brought up to its journal."""

    def __init__(self, path: Path, file: HomeFile, keys: Keys, progress: Progress | None = None) -> None:
        """Raises with a hint; changes nothing then, apart from a torn last write that nobody was told of."""
        from careledger.node.recovery import catch_up, check_journal

        self._layout = Layout(path)
        self._key = keys.journal_key
        self._lock = HomeLock(self._layout)
        try:
            Journal.open(self._layout.journal, keys.home_id, self._key, write=True).close()
            self.rebuilt = _prepare_index(self._layout, self._key)
            self.home = OpenHome(self._layout, keys, file, self._layout.index, write=True)
        except BaseException:
            self._lock.release()
            raise
        try:
            check_journal(self.home)
            mark_running(self._layout)
            catch_up(self.home, progress)
            KeyStore.scrub(self._layout.keys)
            self.home.destroy_due()
        except BaseException:
            self.home.close()
            self._lock.release()
            raise

    def close(self) -> None:
        """Leave the home clean."""
        compact = self.home.is_compaction_due()
        self.home.close()
        if compact:
            with contextlib.suppress(OSError, lmdb.Error):  # no room: the next stop tries again
                _compact_index(self._layout.index, self._key)
        mark_stopped(self._layout, self._key)
        self._lock.release()


def _compact_index(index: Path, key: bytes) -> None:
    """After an erasure, write the index anew without its freed pages: they still hold what was taken out."""
    fresh = index / "compacted"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    tables = Tables.open(index, key, write=True)
    try:
        tables.env.copy(str(fresh), compact=True)
    finally:
        tables.close()
    tables = Tables.open(fresh, key, write=True)
    try:
        with tables.env.begin(write=True) as txn:
            txn.delete(b"compact", db=tables.meta)
    finally:
        tables.close()
    (fresh / "data.mdb").chmod(0o600)
    (fresh / "data.mdb").replace(index / "data.mdb")
    shutil.rmtree(fresh)


def _prepare_index(layout: Layout, key: bytes) -> bool:
    """Remove an index that cannot be trusted; says whether it will be rebuilt."""
    for left in layout.path.glob("fsck-*"):  # of a process that was killed while it checked
        shutil.rmtree(left, ignore_errors=True)
    trusted = index_is_trusted(layout, key)
    if not trusted and layout.index.exists():
        shutil.rmtree(layout.index)
    layout.index.mkdir(mode=0o700, exist_ok=True)
    return not trusted
