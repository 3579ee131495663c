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
from itertools import repeat
from typing import Final

from careledger.access.decision import Partition
from careledger.fhir.search.bitsets import bits_of
from careledger.fhir.search.compile import PATIENTS_SLOT, is_shared
from careledger.fhir.search.conditions import Condition, SortKey
from careledger.fhir.search.layouts import Layouts
from careledger.fhir.search.matching import holds
from careledger.fhir.search.ordering import Keys, sort_keys
from careledger.fhir.search.slots import Slot, new_slot
from careledger.vault.model import ROW_DELETED, ROW_MOVED, Row, RowColumns, Snapshot, Version

_SHARED: Final = 4
ROW_BYTES: Final = 330
"""Memory of a row besides its values: id, its entry in the table of ids, numbers."""
OPENED_MAX: Final = 4096
"""Version objects kept for one type of one chart."""
ORDERS_MAX: Final = 8
"""Sort orders kept for one type of one chart."""


Share = tuple[str, str, int]
"""A rule, the directive behind it ("" for none), and the ordinals on which it decides."""


class TypeIndex:
    """The rows of one resource type in one chart. An *ordinal* is a row's position here."""

    def __init__(self, type: str, chart: int) -> None:
        self.type = type
        self.chart = chart
        self.rows = array("I")
        self.versions = array("I")
        self.times = array("q")
        self.heights = array("Q")
        self.leaves = array("Q")
        self.previous = array("i")
        self.flags = bytearray()
        self.ids: list[str] = []
        self.last: dict[str, int] = {}
        self.blobs: list[bytes] = []
        self.current = 0
        self.shared = 0
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

    def add(self, rows: _Rows, numbers: list[int]) -> None:
        """Take in these rows, which are of this type and newer than all it has."""
        start = len(self.rows)
        blobs = list(map(rows.values.__getitem__, numbers))
        self.rows.extend(numbers)
        self.versions.extend(map(rows.versions.__getitem__, numbers))
        self.times.extend(map(rows.times.__getitem__, numbers))
        self.heights.extend(map(rows.heights.__getitem__, numbers))
        self.leaves.extend(map(rows.leaves.__getitem__, numbers))
        self.flags.extend(map(rows.flags.__getitem__, numbers))
        self._take(blobs)
        for ordinals, _ in self._layouts.values(self.blobs, PATIENTS_SLOT, start):
            for ordinal in ordinals:
                self.flags[ordinal] |= _SHARED
        self._chain(list(map(rows.ids.__getitem__, numbers)))
        self._settle(start)

    def add_row(self, row: Row) -> None:
        """Take in one row that was opened by itself."""
        shared = is_shared(row.values) * _SHARED
        self.rows.append(row.number)
        self.versions.append(row.version)
        self.times.append(row.time_ms)
        self.heights.append(row.height)
        self.leaves.append(row.leaf)
        self.flags.append(row.deleted * ROW_DELETED | row.moved * ROW_MOVED | shared)
        self._take([row.values])
        self._chain([row.id])
        self._settle(len(self.rows) - 1)

    def _take(self, blobs: list[bytes]) -> None:
        self._layouts.add(blobs, len(self.blobs))
        self.blobs += blobs

    def _chain(self, ids: list[str]) -> None:
        """Which row each of the next rows supersedes."""
        last, start = self.last, len(self.ids)
        new = dict(zip(ids, range(start, start + len(ids)), strict=True))
        if len(new) == len(ids) and last.keys().isdisjoint(new):  # nearly always
            self.previous.extend(repeat(-1, len(ids)))
            self.ids += ids
            last.update(new)
            return
        for ordinal, id in enumerate(ids, start):
            before = last.get(id, -1)
            self.previous.append(before)
            id = self.ids[before] if before >= 0 else id
            self.ids.append(id)
            last[id] = ordinal

    def _settle(self, start: int) -> None:
        """Bring what is derived up to date after rows from ordinal `start` on were added."""
        size = len(self.rows)
        live = (1 << size) - (1 << start)
        if self.flags.count(0, start) < size - start:
            kept = [at for at in range(start, size) if not self.flags[at] & (ROW_DELETED | ROW_MOVED)]
            live = bits_of(kept, size)
            self.shared |= bits_of([at for at in kept if self.flags[at] & _SHARED], size)
        closed = [ordinal for ordinal in self.previous[start:] if ordinal >= 0]
        self.current = (self.current | live) & ~bits_of(closed, size)
        self._orders.clear()
        self._keys.clear()
        self.grown = True

    def current_at(self, height: int) -> int:
        """Ordinals that were current at that height: neither superseded, deleted nor moved away by then."""
        if not self.heights or self.heights[-1] <= height:
            return self.current
        current = self.current
        for ordinal in range(len(self.rows) - 1, bisect_right(self.heights, height) - 1, -1):
            current &= ~(1 << ordinal)
            before = self.previous[ordinal]
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
        if slot.covered < len(self.blobs):
            slot.extend(self.blobs, self._layouts)
            self.grown = True
        return slot

    def versions_of(self, id: str) -> list[int]:
        """Ordinals of every row of the resource, newest first."""
        found = []
        ordinal = self.last.get(id, -1)
        while ordinal >= 0:
            found.append(ordinal)
            ordinal = self.previous[ordinal]
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
                valued = [ordinal for ordinal in listed if keys[ordinal] is not None]
                valued.sort(key=keys.__getitem__, reverse=key.descending)  # type: ignore[arg-type]
                listed = valued + [ordinal for ordinal in listed if keys[ordinal] is None]
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
            found = self._opened[ordinal] = Version(
                self.type,
                self.ids[ordinal],
                self.versions[ordinal],
                bool(self.flags[ordinal] & ROW_DELETED),
                self.times[ordinal],
                self.heights[ordinal],
                self.chart,
                self.leaves[ordinal],
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
        return derived + orders + self._layouts.memory() + 250 * len(self._opened)


class _Rows:
    """All rows of a chart by column: a row's number is its position."""

    def __init__(self) -> None:
        self.types: dict[str, int] = {}
        self.kinds = bytearray()  # a row's type, by its number in `types`: R4 has fewer than 256
        self.flags = bytearray()
        self.versions = array("I")
        self.times = array("q")
        self.heights = array("Q")
        self.leaves = array("Q")
        self.ids: list[str] = []
        self.values: list[bytes] = []

    def add(self, part: RowColumns) -> None:
        types = self.types
        table = bytes([types.setdefault(type, len(types)) for type in part.types]).ljust(256, b"\0")
        self.kinds += bytes(part.type).translate(table)
        self.flags += part.flags
        self.versions.extend(part.version)
        self.times.extend(part.time_ms)
        self.heights.extend(part.height)
        self.leaves.extend(part.leaf)
        self.ids += part.id
        self.values += part.values

    def of_type(self, type: str, start: int) -> list[int]:
        """Numbers of the rows of that type from `start` on."""
        wanted = self.types.get(type)
        if wanted is None:
            return []
        return [number for number, kind in enumerate(self.kinds[start:], start) if kind == wanted]


class ChartIndex:
    """One chart. `count` is the number of rows it has taken in; a type's are sorted out when it is asked for."""

    def __init__(self, chart: int) -> None:
        self.chart = chart
        self.count = 0
        self._rows = _Rows()
        self._types: dict[str, TypeIndex] = {}
        self._sorted: dict[str, int] = {}  # type -> rows of the chart that its index has seen
        self._values = 0
        self._grown = False

    def extend(self, parts: Sequence[RowColumns]) -> None:
        """Take in the chart's next rows, in the order of commitment, none left out."""
        for part in parts:
            self._rows.add(part)
            self._values += sum(map(len, part.values))
        self.count = len(self._rows.ids)
        self._grown = True

    def type(self, type: str) -> TypeIndex | None:
        """The rows of that type, or None if the chart never had one."""
        index = self._types.get(type)
        seen = self._sorted.get(type, 0)
        if seen < self.count:
            numbers = self._rows.of_type(type, seen)
            if numbers:
                if index is None:
                    index = self._types[type] = TypeIndex(type, self.chart)
                index.add(self._rows, numbers)
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
        return self._values + ROW_BYTES * self.count + sum(index.memory() for index in self._types.values())


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
