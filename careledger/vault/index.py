"""Writes what a group of commits changes into the index: the same code at commit time and when it is rebuilt.

Nothing here decides: refusals happen before. Everything happens inside one LMDB transaction; `abort` forgets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import lmdb
import msgspec

from careledger.ledger.log import Frontier
from careledger.ledger.log import leaf_hash as log_leaf
from careledger.primitives.errors import Corrupt
from careledger.vault.envelope import ChartKeys, open_columns, seal_rows
from careledger.vault.model import Row, RowColumns
from careledger.vault.rows import rows_of
from careledger.vault.tables import (
    ACCESS_LOG,
    CHART,
    CHART_KEY,
    DELETED,
    ERASED,
    FIND,
    LEAF,
    LEAF_KEY,
    LINK,
    LINKED,
    NODE_KEY,
    PATIENT_TABLE,
    RECORD_LOG,
    RESOURCE,
    RESOURCE_TABLE,
    ROW_KEY,
    SEGMENT,
    VERSION_TABLE,
    Tables,
)

NODE_LEVEL_STEP = 4
"""Only every fourth level of a log is stored: the levels between cost 15 hashes when a proof is made."""
SEGMENT_ROWS = 32
"""Rows that make a segment full. Fewer are a tail, sealed anew with what comes once there are as many."""
SEGMENT_ROWS_AT_ONCE = 128
"""Rows of one segment where many come together, as with a Bundle; a chart's first segment holds its Patient, which is
opened alone, so that one stays small."""
STATES_MAX = 20_000


@dataclass(slots=True)
class ChartState:
    """What the writer must know of a chart to append to it."""

    number: int
    handle: bytes
    epoch: int
    rows: int
    tail_first: int
    frontier: Frontier
    newest_ms: int | None = None
    """Recorded time of the newest leaf; None while this process has not seen one."""
    new_rows: list[Row] = field(default_factory=list)
    visited: set[bytes] = field(default_factory=set)
    """Terms that already lead to this chart, as far as this process knows."""


class Current(msgspec.Struct, frozen=True, gc=False):
    """Where a resource stands before a write."""

    chart: int
    version: int
    deleted: bool
    leaf: int
    height: int
    time_ms: int
    links: tuple[tuple[int, int], ...]
    erased: bool = False
    linked: bool = False


class PlacedRow(msgspec.Struct, frozen=True, gc=False):
    """What the index learns of a version in one chart."""

    type: str
    id: str
    version: int
    deleted: bool
    moved: bool
    time_ms: int
    leaf: int
    values: bytes
    finds: tuple[bytes, ...]
    visits: tuple[bytes, ...]
    erased: bool = False


def unpack_resource(data: bytes) -> Current:
    """An opened value of the `resource` or `version` table."""
    chart, version, flags, leaf, height, time_ms = RESOURCE.unpack_from(data)
    links = tuple(LINK.iter_unpack(data[RESOURCE.size :])) if len(data) > RESOURCE.size else ()
    deleted, erased, linked = bool(flags & DELETED), bool(flags & ERASED), bool(flags & LINKED)
    return Current(chart, version, deleted, leaf, height, time_ms, links, erased, linked)


def pack_resource(c: Current) -> bytes:
    """Reverse of `unpack_resource`; `Pointers.stamp` must follow."""
    flags = c.deleted * DELETED | c.erased * ERASED | c.linked * LINKED
    head = RESOURCE.pack(c.chart, c.version, flags, c.leaf, c.height, c.time_ms)
    return head + b"".join(LINK.pack(*link) for link in c.links) if c.links else head


def open_segment(keys: ChartKeys, first: int, value: bytes) -> RowColumns:
    """The rows of a value of the `row` table."""
    (count,) = SEGMENT.unpack_from(value)
    return open_columns(keys, first, count, value[SEGMENT.size :])


class IndexWriter:
    """The single writer's view of the index."""

    def __init__(self, tables: Tables, chart_keys: Callable[[int], ChartKeys]) -> None:
        self._tables = tables
        self._pointers = tables.pointers
        self._chart_keys = chart_keys
        self._states: dict[int, ChartState] = {}
        self._touched: dict[int, ChartState] = {}
        self.txn: lmdb.Transaction | None = None
        self.new_charts: list[int] = []
        self._next_chart = 0

    def begin(self) -> lmdb.Transaction:
        """Open the transaction that everything until `commit` or `abort` belongs to."""
        if self.txn is not None:
            raise RuntimeError("the previous transaction is still open")
        self.txn = self._tables.env.begin(write=True)
        self._next_chart = int(self.txn.stat(self._tables.chart)["entries"])
        self.new_charts = []
        return self.txn

    def commit(self) -> None:
        """Make the transaction visible to readers (not durable: the journal is)."""
        txn, self.txn = self._open(), None
        txn.commit()
        self._touched.clear()
        if len(self._states) > STATES_MAX:
            self._states.clear()

    def abort(self) -> None:
        """Forget the transaction and all that was remembered through it."""
        if self.txn is not None:
            self.txn.abort()
            self.txn = None
        for number in self._touched:
            self._states.pop(number, None)
        self._touched.clear()

    def _open(self) -> lmdb.Transaction:
        if self.txn is None:
            raise RuntimeError("no transaction is open")
        return self.txn

    # Charts

    @property
    def next_chart(self) -> int:
        """The number of the next chart to begin: charts are numbered from 0 without gaps."""
        return self._next_chart

    def chart_of(self, patient: bytes) -> int | None:
        """The chart of a patient's blind token."""
        number = self._open().get(patient, db=self._tables.patient)
        if number is None:
            return None
        return int(CHART_KEY.unpack(self._pointers.opened(PATIENT_TABLE, patient, number))[0])

    def add_chart(self, number: int, patient: bytes, handle: bytes, epoch: int, wrap: bytes) -> ChartState:
        """A chart begins; its keys must be with the keyring already."""
        txn, key = self._open(), CHART_KEY.pack(number)
        txn.put(patient, self._pointers.stamp(PATIENT_TABLE, patient, key), db=self._tables.patient)
        txn.put(key, wrap, db=self._tables.wrap)
        state = ChartState(number, handle, epoch, 0, 0, Frontier())
        self._states[number] = self._touched[number] = state
        self.new_charts.append(number)
        self._next_chart += 1
        return state

    def state(self, number: int) -> ChartState:
        """The chart, about to be changed."""
        state = self._touched.get(number)
        if state is None:
            state = self._states.get(number) or self._load(number)
            self._states[number] = self._touched[number] = state
        return state

    def epoch(self, number: int) -> int:
        """The epoch of the chart's keys, without touching the chart."""
        state = self._states.get(number)
        if state is not None:
            return state.epoch
        data = self._open().get(CHART_KEY.pack(number), db=self._tables.chart)
        return -1 if data is None else int(CHART.unpack_from(data)[1])

    def reset(self) -> None:
        """Forget every chart: the index begins anew."""
        self._states.clear()
        self._touched.clear()

    def _load(self, number: int) -> ChartState:
        data = self._open().get(CHART_KEY.pack(number), db=self._tables.chart)
        if data is None:
            raise Corrupt("the index names a chart that it does not hold", hint="run `careledger fsck`")
        handle, epoch, rows, tail = CHART.unpack_from(data)
        return ChartState(number, handle, epoch, rows, tail, Frontier.from_bytes(data[CHART.size :]))

    # Versions

    def current(self, token: bytes) -> Current | None:
        """The newest version of a resource's blind token, uncommitted ones of this transaction included."""
        data = self._open().get(token, db=self._tables.resource)
        return None if data is None else unpack_resource(self._pointers.opened(RESOURCE_TABLE, token, data))

    def add_leaf(self, state: ChartState, commitment: bytes) -> tuple[int, bytes]:
        """Append to the chart's record log; `place` must follow. Returns (index, leaf hash)."""
        index, hashed = state.frontier.size, log_leaf(commitment)
        self.put_nodes(state.number, RECORD_LOG, state.frontier.append(hashed))
        return index, hashed

    def put_nodes(self, chart: int, log: int, nodes: Iterable[tuple[int, int, bytes]]) -> None:
        """Store the completed subtrees of a log that proofs will start from."""
        txn, table = self._open(), self._tables.node
        for level, index, hashed in nodes:
            if level and level % NODE_LEVEL_STEP == 0:
                txn.put(NODE_KEY.pack(chart, log, level, index), hashed, db=table)

    def place(self, chart: int, log: int, index: int, hashed: bytes, offset: int, length: int) -> None:
        """Where the leaf's record lies in the journal."""
        self._open().put(
            LEAF_KEY.pack(chart, log, index), LEAF.pack(offset, length, hashed), db=self._tables.leaf
        )

    def add_resource(
        self,
        token: bytes,
        row: PlacedRow,
        chart: int,
        height: int,
        links: tuple[tuple[int, int], ...],
        linked: bool = False,
    ) -> None:
        """The newest version of a resource; the one before moves to the `version` table."""
        txn, tables = self._open(), self._tables
        if row.version > 1:
            before = txn.get(token, db=tables.resource)
            if before is not None:
                before = self._pointers.opened(RESOURCE_TABLE, token, before)
                key = token + CHART_KEY.pack(unpack_resource(before).version)
                txn.put(key, self._pointers.stamp(VERSION_TABLE, key, before), db=tables.version)
        value = pack_resource(
            Current(chart, row.version, row.deleted, row.leaf, height, row.time_ms, links, row.erased, linked)
        )
        txn.put(token, self._pointers.stamp(RESOURCE_TABLE, token, value), db=tables.resource)

    def add_row(self, state: ChartState, row: PlacedRow, height: int) -> None:
        """One more index row of the chart; sealed at `flush`."""
        txn, number = self._open(), state.rows
        state.new_rows.append(
            Row(
                number,
                row.type,
                row.id,
                row.version,
                row.deleted,
                row.moved,
                row.time_ms,
                height,
                row.leaf,
                row.values,
            )
        )
        state.rows += 1
        place = FIND.pack(state.number, number)
        for term in row.finds:
            txn.put(term, place, db=self._tables.find)
        if not state.visited.issuperset(row.visits):
            for term in row.visits:
                txn.put(term, place[:4], db=self._tables.visit)
            state.visited.update(row.visits)

    def flush(self) -> None:
        """Seal the new rows and write the state of each chart that was touched."""
        for _ in self.flush_steps():
            pass

    def flush_steps(self) -> Iterator[None]:
        """As `flush`, a segment a step; nothing may be added between the first and the last."""
        txn = self._open()
        for state in self._touched.values():
            if state.new_rows:
                yield from self._seal_rows(state)
            head = CHART.pack(state.handle, state.epoch, state.rows, state.tail_first)
            txn.put(CHART_KEY.pack(state.number), head + state.frontier.to_bytes(), db=self._tables.chart)

    def _seal_rows(self, state: ChartState) -> Iterator[None]:
        txn, table = self._open(), self._tables.row
        keys = self._chart_keys(state.number)
        rows, first = state.new_rows, state.rows - len(state.new_rows)
        state.new_rows = []
        if first > state.tail_first and state.rows - state.tail_first >= SEGMENT_ROWS:
            rows = self._tail(state, first, keys) + rows
            first = state.tail_first
        at = 0
        while at < len(rows):
            part = rows[at : at + (SEGMENT_ROWS_AT_ONCE if at else SEGMENT_ROWS)]
            txn.put(
                ROW_KEY.pack(state.number, first + at),
                SEGMENT.pack(len(part)) + seal_rows(keys, part),
                db=table,
            )
            at += len(part)
            if len(part) >= SEGMENT_ROWS:
                state.tail_first = first + at
            yield

    def _tail(self, state: ChartState, stop: int, keys: ChartKeys) -> list[Row]:
        rows: list[Row] = []
        prefix = CHART_KEY.pack(state.number)
        with self._open().cursor(self._tables.row) as cursor:
            found = cursor.set_range(ROW_KEY.pack(state.number, state.tail_first))
            while found and cursor.key()[:4] == prefix:
                first = ROW_KEY.unpack(cursor.key())[1]
                if first >= stop:
                    break
                rows += rows_of(open_segment(keys, first, cursor.value()))
                found = cursor.delete()
        return rows

    def touched_heads(self) -> dict[int, tuple[bytes, int, bytes]]:
        """(handle, size, root) of the record log of every chart that this transaction touched."""
        return {n: (s.handle, s.frontier.size, s.frontier.root()) for n, s in self._touched.items()}


class PlacedAccess(msgspec.Struct, gc=False):
    """An access entry that is in the journal at `offset`, and not yet in the index."""

    chart: int
    index: int
    hashed: bytes
    offset: int
    length: int
    nodes: tuple[tuple[int, int, bytes], ...]


class AccessIndex:
    """The access logs' frontiers, ahead of the index by the entries that `apply` has not written yet.

    Entries are durable once journalled, so answers need not wait for LMDB.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._frontiers: dict[int, Frontier] = {}
        self._pending: list[PlacedAccess] = []
        self._applying: int = 0
        self.changed: set[int] = set()  # charts whose access head is not anchored yet

    def frontier(self, chart: int) -> Frontier:
        """The chart's access log as journalled."""
        frontier = self._frontiers.get(chart)
        if frontier is None:
            with self._tables.env.begin() as txn:
                data = txn.get(CHART_KEY.pack(chart), db=self._tables.access)
            frontier = self._frontiers[chart] = Frontier() if data is None else Frontier.from_bytes(data)
        return frontier

    def append(self, chart: int, commitment: bytes) -> tuple[int, bytes, tuple[tuple[int, int, bytes], ...]]:
        """Take the next place in the chart's access log; `placed` must follow once it is journalled."""
        frontier = self.frontier(chart)
        index, hashed = frontier.size, log_leaf(commitment)
        return index, hashed, tuple(frontier.append(hashed))

    def placed(self, entry: PlacedAccess) -> None:
        """The entry is in the journal at that place."""
        self._pending.append(entry)
        self.changed.add(entry.chart)

    def forget(self, charts: Iterable[int]) -> None:
        """The entries just appended to these charts did not reach the journal: count from what did."""
        for chart in charts:
            self._frontiers.pop(chart, None)
            frontier = self.frontier(chart)
            for entry in self._pending:
                if entry.chart == chart:
                    frontier.append(entry.hashed)

    def take_changed(self) -> set[int]:
        """The charts whose access heads are about to be anchored; give them back to `changed` if it fails."""
        changed, self.changed = self.changed, set()
        return changed

    def apply(self, writer: IndexWriter) -> None:
        """Write what is pending inside the writer's transaction; `applied` or `kept` must follow."""
        txn = writer.begin() if writer.txn is None else writer.txn
        self.apply_some(writer, len(self._pending))
        for chart in {entry.chart for entry in self._pending}:
            txn.put(CHART_KEY.pack(chart), self._frontiers[chart].to_bytes(), db=self._tables.access)

    def apply_some(self, writer: IndexWriter, count: int) -> bool:
        """Write the next `count` entries inside the open transaction, so that less is left to `apply`, which must
        follow; whether any are left."""
        start = self._applying
        self._applying = min(start + count, len(self._pending))
        for entry in self._pending[start : self._applying]:
            writer.place(entry.chart, ACCESS_LOG, entry.index, entry.hashed, entry.offset, entry.length)
            writer.put_nodes(entry.chart, ACCESS_LOG, entry.nodes)
        return self._applying < len(self._pending)

    def applied(self) -> None:
        """The transaction was committed."""
        del self._pending[: self._applying]
        self._applying = 0
        if len(self._frontiers) > STATES_MAX and not self._pending:
            self._frontiers.clear()

    def reset(self, changed: set[int]) -> None:
        """Forget everything: the journal will say it again."""
        self._frontiers.clear()
        self._pending.clear()
        self._applying = 0
        self.changed = changed

    def kept(self) -> None:
        """The transaction was aborted: everything stays pending."""
        self._applying = 0

    @property
    def pending(self) -> int:
        """How many entries the index does not hold yet."""
        return len(self._pending)
