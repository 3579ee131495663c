"""Bring the index up to the journal: after a kill the last frames, after a crash of the machine all of them.

The same `IndexWriter` that served commits rebuilds them here, and every block is executed again and compared with
what it says: a journal that was altered does not come up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import lmdb
import msgspec

from careledger.access.directives import leaf_terms
from careledger.fhir import json as fhir_json
from careledger.fhir.search.extract import Extracted, extract
from careledger.ledger.consensus.snapshots import read_chunks
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node import former, founding, pins
from careledger.node.group import apply_event, departed_row, erased_row
from careledger.node.heads import head_changes
from careledger.node.home import OpenHome
from careledger.node.statesync import restore_ledger
from careledger.node.tombstones import Tombstones, read_tombstones
from careledger.primitives.errors import Corrupt
from careledger.vault import journal as frames
from careledger.vault import records
from careledger.vault.envelope import ChartKeys, Kind, Opened, check_version, open_body, open_meta
from careledger.vault.erasure import put_resealed
from careledger.vault.index import PlacedAccess, PlacedRow
from careledger.vault.journal import Frame, Position, Record, TornTail
from careledger.vault.model import LEAF_TYPES
from careledger.vault.records import LinkRecord, ResealRecord, VersionRecord
from careledger.vault.tables import RECORD_LOG

Progress = Callable[[int, int], None]
BATCH_FRAMES = 256


def catch_up(home: OpenHome, progress: Progress | None = None, stop: Position | None = None) -> int:
    """Apply every journal frame that the index has not seen; returns how many. Raises Corrupt at a damaged one.

    A last frame that is cut short was never synced, so nobody was told of it: it is kept aside and cut off; and
    staged frames of a group that never came to its end are abandoned, so that no later replay takes them for a
    part of the next group. With `stop` the journal is not changed, and frames from there on are left.
    """
    check_journal(home)
    size = home.journal.size() if stop is None else stop.end
    tombstones = _read_tombstones(home, size)
    _open_ledger(home)
    replay = Replay(home, tombstones)
    position = home.applied
    try:
        for frame in home.journal.frames(position, size):
            replay.add(frame)
            position = Position(frame.end, frame.sequence + 1, frame.digest)
            if replay.frames % BATCH_FRAMES == 0 and progress:
                progress(position.end, size)
    except TornTail as torn:
        if not torn.torn or stop is not None:
            raise
        _cut(home, position)
    home.journal.position = position
    if replay.unfinished and stop is None:
        home.journal.append(frames.ABANDONED, ())
        home.journal.sync()
        position = home.journal.position
    replay.finish(position)
    return replay.frames


def _read_tombstones(home: OpenHome, size: int) -> Tombstones:
    """What the frames to come say of others. An index that was made before an erasure is begun anew."""
    found = read_tombstones(home.journal, home.applied, size)
    with home.tables.env.begin() as txn:
        charts = int(txn.stat(home.tables.chart)["entries"])
    if any(chart < charts for chart in found.wraps):
        home.begin_index()
        found = read_tombstones(home.journal, home.applied, size)
    home.keys.require_epoch(found.floor)
    return found


def check_journal(home: OpenHome) -> None:
    """Raise Corrupt unless the journal holds what the index was made from: neither cut nor another one."""
    if home.journal.size() < home.applied.end:
        raise Corrupt(
            "the journal is shorter than what this home has acknowledged",
            hint="the file was cut or replaced by an older copy: put the right one back, or restore the newest backup",
            code="journal-shorter",
        )
    if not home.journal.ends_with(home.applied):
        raise Corrupt(
            f"the journal is not the one that this home wrote up to byte {home.applied.end}",
            hint="it was altered or replaced: put the right one back, or restore the newest backup",
            code="journal-replaced",
        )


def _cut(home: OpenHome, position: Position) -> None:
    """Remove a torn tail; its (sealed) bytes stay beside the journal, in case somebody wants to know."""
    aside = home.layout.journal.with_name(f"torn-{position.end}")
    aside.write_bytes(home.journal.cut_tail(position))
    aside.chmod(0o600)


def _open_ledger(home: OpenHome) -> None:
    with home.tables.env.begin() as txn:
        if txn.stat(home.tables.ledger)["entries"]:
            home.ledger = founding.open_ledger(home.genesis, LmdbKV(txn, home.tables.ledger), home.keys)
            return
    txn = home.writer.begin()
    home.ledger = founding.create_ledger(home.genesis, LmdbKV(txn, home.tables.ledger), home.keys)
    home.writer.commit()


def _migrate(home: OpenHome, txn: lmdb.Transaction, height: int, app_hash: bytes, view: int) -> None:
    """From here on the home's ledger is its network's, from the genesis on."""
    former.set_aside(home, txn, height, app_hash, view)
    home.read_phase(txn)
    home.past.reset(pins.read_newest(txn, home.tables))
    home.outbox.reset(txn, home.tables)
    home.ledger = founding.create_ledger(home.genesis, LmdbKV(txn, home.tables.ledger), home.keys)


@dataclass(slots=True)
class Pending:
    """A version whose links are still being read.

    `row` is None while only a shredded chart is known to have held it. `linked`: it is read through a link, because
    the chart that sealed it was shredded. `departed`: where it is known from alone, if it left a chart for that one.
    """

    record: VersionRecord
    row: PlacedRow | None
    chart: int
    linked: bool = False
    departed: tuple[int, PlacedRow] | None = None
    links: list[tuple[int, int]] = field(default_factory=list)


class Replay:
    """Applies frames in order. One index transaction a committed group."""

    def __init__(self, home: OpenHome, tombstones: Tombstones) -> None:
        self._home = home
        self._tombstones = tombstones
        self._staged: list[Frame] = []
        self._waiting: list[
            Frame
        ] = []  # access frames since the last COMMITTED one: its cut may lie among them
        self._pending: Pending | None = None
        self.frames = 0

    def add(self, frame: Frame) -> None:
        """One more frame."""
        self.frames += 1
        if frame.kind == frames.STAGED:
            self._staged.append(frame)
        elif frame.kind == frames.ABANDONED:
            self._staged.clear()
        elif frame.kind == frames.COMMITTED:
            self._commit(frame)
        else:
            self._waiting.append(frame)

    @property
    def unfinished(self) -> bool:
        """Whether the last group was staged in part and never finished."""
        return bool(self._staged)

    def finish(self, position: Position) -> None:
        """Index what is still pending, up to `position`."""
        self._take_waiting(None)
        home = self._home
        txn = home.writer.txn or home.writer.begin()
        home.access.apply(home.writer)
        home.record_applied(txn, position, home.view)
        home.writer.commit()
        home.access.applied()

    def _take_waiting(self, cut: int | None) -> None:
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            if cut is None or frame.sequence < cut:
                self._accesses(frame.records())
            else:
                self._waiting.append(frame)

    def _accesses(self, found: Iterable[Record]) -> None:
        access = self._home.access
        for record in found:
            if record.kind != records.ACCESS:
                raise _strange(record)
            entry = records.unpack_access(record.content)
            index, hashed, nodes = access.append(entry.chart, entry.leaf)
            if index != entry.index:
                raise Corrupt("an access log skips an entry", hint="run `careledger fsck`")
            access.placed(PlacedAccess(entry.chart, index, hashed, record.offset, len(record.content), nodes))

    def _commit(self, frame: Frame) -> None:
        home = self._home
        txn = home.writer.begin()
        height = home.view + 1
        block, anchor, cut, late, chunks = b"", b"", None, [], list[bytes]()
        migrated = b""
        for record in self._group(frame):
            if record.kind == records.BLOCK:
                block = record.content
            elif record.kind == records.ANCHOR:
                anchor = record.content
            elif record.kind == records.SNAPSHOT:
                chunks.append(record.content)
            elif record.kind == records.MIGRATED:
                migrated = record.content
            elif record.kind == records.CUT:
                cut = records.unpack_cut(record.content)
            elif record.kind == records.EVENT:
                apply_event(home, txn, record.content)
            elif record.kind == records.ACCESS:
                late.append(record)
            elif record.kind == records.RESEAL:
                self._flush_pending(height)
                self._reseal(txn, records.unpack_reseal(record.content))
            elif record.kind == records.DESTROY:
                home.put_floor(txn, records.unpack_destroy(record.content))
            elif record.kind == records.REWRAP:
                continue  # the chart began under its last wrap
            else:
                self._place(record, height)
        self._flush_pending(height)
        if migrated:
            _migrate(home, txn, *records.unpack_migrated(migrated), height)
        if chunks:
            restore_ledger(home, txn, read_chunks(chunks))
        if home.is_network:
            self._network(txn, block, anchor, cut)
        else:
            self._anchor(txn, block, cut)
        self._take_waiting(None)
        self._accesses(late)
        home.access.apply(home.writer)
        view = height if home.is_network else home.height
        home.record_applied(txn, Position(frame.end, frame.sequence + 1, frame.digest), view)
        home.writer.commit()
        home.access.applied()

    def _group(self, last: Frame) -> Iterator[Record]:
        staged, self._staged = self._staged, []
        for frame in (*staged, last):
            yield from frame.records()

    def _anchor(self, txn: lmdb.Transaction, block: bytes, cut: int | None) -> None:
        home = self._home
        changed: set[int] = set()
        if cut is not None:
            self._take_waiting(cut)
            changed = home.access.take_changed()
        changes = head_changes(home, home.writer.touched_heads(), changed)
        if changes:
            home.update_heads(txn, changes)
        home.writer.flush()
        kv = LmdbKV(txn, home.tables.ledger)
        home.embedded.replay(kv, block)
        anchored = founding.newest_anchor(home.the_ledger, kv, home.organisation)
        if anchored is None or anchored.root != home.heads.root:
            raise Corrupt(
                f"block {home.height} anchors other records than the journal holds",
                hint="run `careledger fsck`",
            )

    def _network(self, txn: lmdb.Transaction, block: bytes, anchor: bytes, cut: int | None) -> None:
        """A frame of a network's node: commits that wait for their anchor, then a batch that departs, or a block."""
        home = self._home
        home.outbox.records |= home.writer.touched_heads().keys()
        home.writer.flush()
        if anchor:
            seq, root, transaction = records.unpack_anchor(anchor)
            changed: set[int] = set()
            if cut is not None:
                self._take_waiting(cut)
                changed = home.access.take_changed()
            changes = home.outbox.changes(home, changed)
            if home.heads.preview(LmdbKV(txn, home.tables.heads), changes) != root:
                raise Corrupt(
                    f"batch {seq} anchors other records than the journal holds",
                    hint="run `careledger fsck`",
                )
            home.outbox.depart(seq, root, transaction, changes, home.view)
        if block:
            home.replica.replay(LmdbKV(txn, home.tables.ledger), block)
            home.outbox.settle(home, txn)

    def _place(self, record: Record, height: int) -> None:
        if record.kind == records.LINK:
            self._link(record, height)
            return
        self._flush_pending(height)
        if record.kind == records.CHART:
            self._chart(record)
        elif record.kind == records.VERSION:
            self._version(record)
        else:
            raise _strange(record)

    def _chart(self, record: Record) -> None:
        home, chart = self._home, records.unpack_chart(record.content)
        if chart.chart != home.writer.next_chart:
            raise Corrupt("the journal skips a chart", hint="run `careledger fsck`")
        wrap = self._tombstones.wraps.get(chart.chart, chart.wrap)
        epoch = self._tombstones.epochs.get(chart.chart, chart.epoch)
        home.keyring.unwrap(chart.chart, chart.handle, epoch, wrap)
        state = home.writer.add_chart(chart.chart, chart.patient, chart.handle, epoch, wrap)
        index, hashed = home.writer.add_leaf(state, chart.leaf)
        home.writer.place(chart.chart, RECORD_LOG, index, hashed, record.offset, len(record.content))

    def _version(self, record: Record) -> None:
        version = records.unpack_version(record.content)
        self._leaf(version.chart, version.index, version.leaf, record)
        row = None
        if version.chart not in self._tombstones.closed:
            keys = self._home.keyring.get(version.chart)
            meta, erased = self._tombstones.meta_of(
                version.chart, version.index, version.epoch, version.meta, keys
            )
            row = self._opened_row(keys, version.leaf, meta, version.body, version.index, erased=erased)
        self._pending = Pending(version, row, version.chart)

    def _opened_row(
        self, keys: ChartKeys, leaf: bytes, meta: bytes, sealed: bytes, index: int, *, erased: bool
    ) -> PlacedRow:
        """The row of a version, checked against its leaf; of an erased one, what its stub says."""
        opened = open_meta(keys, leaf, meta)
        if erased:
            return erased_row(opened.type, opened.id, opened.version, opened.served_ms, index)
        body = open_body(keys, opened, sealed)
        check_version(keys, leaf, opened, body)
        return self._row(opened, body, index)

    def _reseal(self, txn: lmdb.Transaction, reseal: ResealRecord) -> None:
        put_resealed(txn, self._home.tables, reseal.chart, reseal.metas)
        if reseal.closed:
            self._home.put_closed(txn, reseal.chart)

    def _row(self, opened: Opened, body: bytes, index: int) -> PlacedRow:
        deleted = opened.kind == Kind.DELETION
        blind = self._home.keyring.blind
        if opened.kind in (Kind.VERSION, Kind.DELETION) and opened.type not in LEAF_TYPES:
            found = extract(opened.type, {} if deleted else fhir_json.loads(body), self._home.base_url)
        else:
            found = Extracted(b"", (), leaf_terms(opened.type, body))
        return PlacedRow(
            type=opened.type,
            id=opened.id,
            version=opened.version,
            deleted=deleted,
            moved=False,
            time_ms=opened.served_ms,
            leaf=index,
            values=b"" if deleted else found.values,
            finds=() if deleted else tuple(map(blind, found.terms)),
            visits=() if deleted else tuple(map(blind, found.chart_terms)),
        )

    def _leaf(self, chart: int, index: int, leaf: bytes, record: Record) -> None:
        writer = self._home.writer
        placed, hashed = writer.add_leaf(writer.state(chart), leaf)
        if placed != index:
            raise Corrupt("a record log skips a leaf", hint="run `careledger fsck`")
        writer.place(chart, RECORD_LOG, index, hashed, record.offset, len(record.content))

    def _link(self, record: Record, height: int) -> None:
        link: LinkRecord = records.unpack_link(record.content)
        if self._pending is None:
            raise _strange(record)
        self._leaf(link.chart, link.index, link.leaf, record)
        if link.chart in self._tombstones.closed:
            return
        pending = self._pending
        target = pending.row if pending.row is not None else self._found_by_link(pending, link)
        if link.moved:
            row = departed_row(target.type, target.id, target.version, target.time_ms, link.index)
        else:
            row = msgspec.structs.replace(target, leaf=link.index)
            if not (pending.linked and link.chart == pending.chart):  # else it stands here itself
                pending.links.append((link.chart, link.index))
        self._home.writer.add_row(self._home.writer.state(link.chart), row, height)

    def _found_by_link(self, pending: Pending, link: LinkRecord) -> PlacedRow:
        """What a link says of a version whose chart was shredded: it is read there from here on, if it stayed there."""
        keys = self._home.keyring.get(link.chart)
        meta, erased = self._tombstones.meta_of(link.chart, link.index, link.epoch, link.meta, keys)
        if link.moved:
            opened = open_meta(keys, link.leaf, meta)
            row = erased_row(opened.type, opened.id, opened.version, opened.served_ms, link.index)
            pending.departed = pending.departed or (link.chart, row)
            return row
        row = self._opened_row(keys, link.leaf, meta, pending.record.body, link.index, erased=erased)
        pending.row, pending.chart, pending.linked = row, link.chart, True
        return row

    def _flush_pending(self, height: int) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        row, chart = pending.row, pending.chart
        if row is None:
            if pending.departed is None:
                return
            chart, row = pending.departed
        writer, token = self._home.writer, self._home.keyring.token(row.type, row.id)
        writer.add_resource(token, row, chart, height, tuple(pending.links), pending.linked)
        if pending.row is not None and not pending.linked:
            writer.add_row(writer.state(chart), row, height)


def _strange(record: Record) -> Corrupt:
    return Corrupt(
        f"the journal holds a record of kind {record.kind} where none can be", hint="run `careledger fsck`"
    )
