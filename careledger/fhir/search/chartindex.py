"""The searchable memory of one chart, fed by the chart's sealed rows, and the cache that keeps a few of them.

Rows are only ever appended, so an index is brought up to date by reading the rows it lacks: nothing invalidates it.
Everything is answered as of a ledger height, also when the index has newer rows. Memory is kept in arrays and bytes,
which the garbage collector does not visit.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from careledger.access.decision import Partition
from careledger.fhir.search.bitsets import bits_of
from careledger.fhir.search.chartrows import ChartRows
from careledger.fhir.search.compile import PATIENTS_SLOT, is_shared
from careledger.fhir.search.conditions import Condition, SortKey
from careledger.fhir.search.layouts import Layouts
from careledger.fhir.search.matching import holds
from careledger.fhir.search.ordering import Keys, sort_keys
from careledger.fhir.search.slots import Slot, new_slot
from careledger.vault.model import ROW_DELETED, ROW_MOVED, Row, RowColumns, Snapshot, Version

_SHARED: Final = 4
_TYPED_BYTES: Final = 24
"""Memory of a row in the index of its type: number, place of its blob, flags, ordinal among those of its layout."""
_LAST_BYTES: Final = 110
"""Memory of an entry in the table of ids."""
_ID: Final = attrgetter("id")
_TIME: Final = attrgetter("time_ms")
_HEIGHT: Final = attrgetter("height")
OPENED_MAX: Final = 4096
"""Version objects kept for one type of one chart."""
ORDERS_MAX: Final = 8
"""Sort orders kept for one type of one chart."""


Share = tuple[str, str, int]
"""A rule, the directive behind it ("" for none), and the ordinals on which it decides."""


class TypeIndex:
    """The rows of one resource type in one chart. An *ordinal* is a row's position here.

    Ids, times and heights are read from the chart's rows when they are first asked for; so is the chain of versions,
    as long as every row is the first version of its resource: there is none then.
    """

    def __init__(self, type: str, chart: int, source: ChartRows | None = None) -> None:
        self.type = type
        self.chart = chart
        self.rows = array("I")
        self.flags = bytearray()
        self.newest = -1
        """Height of the newest row."""
        self.current = 0
        self.shared = 0
        self._source = source or ChartRows()
        self._ids: list[str] = []
        self._times = array("q")
        self._heights = array("Q")
        self._is_chained = False
        self._previous = array("i")
        self._last: dict[str, int] = {}
        self._layouts = Layouts()
        self._slots: dict[int, Slot] = {}
        self._orders: OrderedDict[tuple[SortKey, ...], array[int]] = OrderedDict()
        self._keys: dict[SortKey, Keys] = {}
        self._opened: dict[int, Version] = {}
        self.grown = False
        self.shares: dict[Partition, tuple[int, list[Share]]] = {}
        """How partitions divide the rows, when there were so many of them (see `withheld`)."""

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, seen: int) -> None:
        """Take in the chart's rows of this type from number `seen` on."""
        start = len(self.rows)
        blobs: list[bytes] = []
        is_first = True
        for numbers, flags, values, first in self._source.of_type(self.type, seen):
            self.rows.extend(numbers)
            self.flags.extend(flags)
            blobs.extend(values)
            is_first &= first
        if not blobs:
            return
        self._layouts.add(blobs)
        for ordinals, _, _ in self._layouts.values(PATIENTS_SLOT, start):
            for ordinal in ordinals:
                self.flags[ordinal] |= _SHARED
        part, at = self._source.place(self.rows[-1])
        self.newest = part.height[at]
        if self._is_chained or not is_first:
            self._chain()
        self._settle(start)

    def add_row(self, row: Row) -> None:
        """Take in one row that was opened by itself; the only one."""
        shared = is_shared(row.values) * _SHARED
        self.rows.append(row.number)
        self.flags.append(row.deleted * ROW_DELETED | row.moved * ROW_MOVED | shared)
        self._layouts.add((row.values,))
        self.newest = row.height
        self._ids.append(row.id)
        self._times.append(row.time_ms)
        self._heights.append(row.height)
        self._opened[0] = Version(
            self.type, row.id, row.version, row.deleted, row.time_ms, row.height, self.chart, row.leaf
        )
        self._settle(0)

    @property
    def ids(self) -> list[str]:
        """By ordinal."""
        if len(self._ids) < len(self.rows):
            self._ids.extend(self._source.pick(self.rows[len(self._ids) :], _ID))
            self.grown = True
        return self._ids

    @property
    def times(self) -> array[int]:
        """By ordinal, in milliseconds."""
        if len(self._times) < len(self.rows):
            self._times.extend(self._source.pick(self.rows[len(self._times) :], _TIME))
            self.grown = True
        return self._times

    @property
    def heights(self) -> array[int]:
        """By ordinal, never falling."""
        if len(self._heights) < len(self.rows):
            self._heights.extend(self._source.pick(self.rows[len(self._heights) :], _HEIGHT))
            self.grown = True
        return self._heights

    @property
    def last(self) -> dict[str, int]:
        """The newest row of each resource."""
        if not self._is_chained and len(self._last) < len(self.rows):
            ids, listed = self.ids, len(self._last)
            self._last.update(zip(ids[listed:], range(listed, len(ids)), strict=True))
        return self._last

    def _chain(self) -> None:
        """Which row each of the rows since the last time supersedes: -1 for none."""
        if not self._is_chained:
            self._is_chained = True
            self._last.clear()
        ids, last, previous = self.ids, self._last, self._previous
        for ordinal in range(len(previous), len(ids)):
            id = ids[ordinal]
            previous.append(last.get(id, -1))
            last[id] = ordinal

    def _before(self, ordinal: int) -> int:
        """The row that this one supersedes, or -1."""
        return self._previous[ordinal] if self._is_chained else -1

    def _settle(self, start: int) -> None:
        """Bring what is derived up to date after rows from ordinal `start` on were added."""
        size = len(self.rows)
        live = (1 << size) - (1 << start)
        if self.flags.count(0, start) < size - start:
            kept = [at for at in range(start, size) if not self.flags[at] & (ROW_DELETED | ROW_MOVED)]
            live = bits_of(kept, size)
            self.shared |= bits_of([at for at in kept if self.flags[at] & _SHARED], size)
        closed = [ordinal for ordinal in self._previous[start:] if ordinal >= 0]
        self.current = (self.current | live) & ~bits_of(closed, size)
        self._orders.clear()
        self._keys.clear()
        self.grown = True

    def current_at(self, height: int) -> int:
        """Ordinals that were current at that height: neither superseded, deleted nor moved away by then."""
        if self.newest <= height:
            return self.current
        current = self.current
        for ordinal in range(len(self.rows) - 1, bisect_right(self.heights, height) - 1, -1):
            current &= ~(1 << ordinal)
            before = self._before(ordinal)
            if before >= 0 and not self.flags[before] & (ROW_DELETED | ROW_MOVED):
                current |= 1 << before
        return current

    def match(self, conditions: Sequence[Condition], height: int) -> int:
        """Ordinals of current resources for which every condition holds, as an integer set."""
        bits = self.current_at(height)
        for condition in conditions:
            if not bits:
                return 0
            bits &= holds(self, condition)
        return bits

    def slot(self, kind: int, number: int) -> Slot:
        """The slot, indexed up to the newest row."""
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = new_slot(kind, number)
        if slot.covered < self._layouts.count:
            slot.extend(self._layouts)
            self.grown = True
        return slot

    def versions_of(self, id: str) -> list[int]:
        """Ordinals of every row of the resource, newest first."""
        found = []
        ordinal = self.last.get(id, -1)
        while ordinal >= 0:
            found.append(ordinal)
            ordinal = self._before(ordinal)
        return found

    def keys(self, key: SortKey) -> Keys:
        """By ordinal, what the resource is sorted by; None without a value."""
        found = self._keys.get(key)
        if found is None:
            found = self._keys[key] = sort_keys(self, key)
        return found

    def order(self, sort: tuple[SortKey, ...]) -> Sequence[int]:
        """All ordinals in the order of `sort`, rows without a value last, ties by row."""
        if not sort:
            return range(len(self.rows))
        found = self._orders.get(sort)
        if found is None:
            listed = list(range(len(self.rows)))
            for key in reversed(sort):
                keys = self.keys(key)
                without: list[int] = []
                if None in keys:
                    without = [ordinal for ordinal in listed if keys[ordinal] is None]
                    listed = [ordinal for ordinal in listed if keys[ordinal] is not None]
                listed.sort(key=keys.__getitem__, reverse=key.descending)  # type: ignore[arg-type]
                listed += without
            found = self._orders[sort] = array("I", listed)
            self.grown = True
            if len(self._orders) > ORDERS_MAX:
                self._orders.popitem(last=False)
        return found

    def version(self, ordinal: int) -> Version:
        """The stored version of a row. For a resource of several charts ask the snapshot instead."""
        found = self._opened.get(ordinal)
        if found is None:
            if len(self._opened) >= OPENED_MAX:
                self._opened.clear()
            part, at = self._source.place(self.rows[ordinal])
            ids, times, heights, leaves = part.numbers
            found = self._opened[ordinal] = Version(
                self.type,
                ids[at],
                part.version[at],
                bool(self.flags[ordinal] & ROW_DELETED),
                times[at],
                heights[at],
                self.chart,
                leaves[at],
            )
        return found

    @staticmethod
    def version_of(index: TypeIndex, ordinal: int) -> Version:
        """`version`, as a plain function."""
        return index.version(ordinal)

    def memory(self) -> int:
        """Bytes, estimated from above."""
        derived = sum(slot.memory() for slot in self._slots.values())
        size = len(self.rows)
        orders = sum(4 * size for _ in self._orders) + sum(64 * size for _ in self._keys)
        orders += sum(len(found) * (size >> 3) for _, found in self.shares.values())
        read = 8 * (len(self._ids) + len(self._times) + len(self._heights)) + _LAST_BYTES * len(self._last)
        return (
            derived + orders + read + _TYPED_BYTES * size + self._layouts.memory() + 250 * len(self._opened)
        )


class ChartIndex:
    """One chart. `count` is the number of rows it has taken in; a type's are sorted out when it is asked for."""

    def __init__(self, chart: int) -> None:
        self.chart = chart
        self.count = 0
        self._rows = ChartRows()
        self._types: dict[str, TypeIndex] = {}
        self._sorted: dict[str, int] = {}  # type -> rows of the chart that its index has seen
        self._grown = False

    def extend(self, parts: Sequence[RowColumns]) -> None:
        """Take in the chart's next rows, in the order of commitment, none left out."""
        for part in parts:
            self._rows.add(part)
        self.count = self._rows.count
        self._grown = True

    def type(self, type: str) -> TypeIndex | None:
        """The rows of that type, or None if the chart never had one."""
        index = self._types.get(type)
        seen = self._sorted.get(type, 0)
        if seen < self.count:
            new = index or TypeIndex(type, self.chart, self._rows)
            new.add(seen)
            if len(new):
                index = self._types[type] = new
            self._sorted[type] = self.count
        return index

    def match(self, type: str, conditions: Sequence[Condition], height: int) -> list[int]:
        """Row numbers of the current resources for which all conditions hold, ascending."""
        index = self.type(type)
        if index is None:
            return []
        bits = index.match(conditions, height)
        return [index.rows[ordinal] for ordinal in range(len(index)) if bits >> ordinal & 1]

    def grown(self) -> bool:
        """Whether anything was taken in or built since the last time this was asked."""
        grown, self._grown = self._grown, False
        for index in self._types.values():
            grown |= index.grown
            index.grown = False
        return grown

    def memory(self) -> int:
        """Bytes, estimated from above."""
        return self._rows.memory() + sum(index.memory() for index in self._types.values())


class ChartIndexCache:
    """The charts last searched in this process, least recently used first out, bounded by estimated bytes."""

    def __init__(self, max_bytes: int = 96 << 20) -> None:
        self._max = max_bytes
        self._charts: OrderedDict[int, ChartIndex] = OrderedDict()
        self._sizes: dict[int, int] = {}
        self._total = 0

    def get(self, snapshot: Snapshot, chart: int) -> ChartIndex:
        """The chart's index with every row that the snapshot has (it may have newer ones: ask as of a height)."""
        index = self._charts.get(chart)
        if index is None:
            index = self._charts[chart] = ChartIndex(chart)
            self._sizes[chart] = 0
        else:
            self._charts.move_to_end(chart)
        count = snapshot.row_count(chart)
        if index.count < count:
            index.extend(snapshot.columns(chart, index.count))
        return index

    def settle(self, chart: int) -> None:
        """Account for what a search built in the chart's index, and drop the oldest charts if there is too much."""
        index = self._charts.get(chart)
        if index is None:
            return
        if not index.grown() and self._sizes[chart]:
            return
        size = index.memory()
        self._total += size - self._sizes[chart]
        self._sizes[chart] = size
        while self._total > self._max and len(self._charts) > 1:
            oldest, _ = self._charts.popitem(last=False)
            self._total -= self._sizes.pop(oldest)

    def clear(self) -> None:
        self._charts.clear()
        self._sizes.clear()
        self._total = 0

    def __len__(self) -> int:
        return len(self._charts)

    @property
    def memory(self) -> int:
        """Bytes in use, as estimated."""
        return self._total
