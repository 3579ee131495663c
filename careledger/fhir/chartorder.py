"""The current resources of a chart in the order of commitment, remembered by the process and grown by new rows."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from careledger.access.decision import Partition
from careledger.fhir.responses import entry_prefix
from careledger.fhir.search.compile import is_shared
from careledger.vault.model import LEAF_TYPES, Row, Snapshot, Version

SEEN_KEPT = 8
RESOURCES_KEPT = 40_000
"""Resources whose order a process remembers, of all charts together; each costs some 700 bytes."""


@dataclass(slots=True)
class ChartOrder:
    """The current resources of a chart, in the order of commitment; grown by the rows that were added since.

    A place is a row number; the Patient's own is -1. `prefixes` are the entries' first bytes, made once; `scanned`
    holds the `Type/id` of all that the resource at a place refers to; `shared` are places of what stands in other
    charts too; `seen` are the places that a partition of the chart permits.
    """

    rows: int = 0
    place_of: dict[tuple[str, str], int] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    prefixes: dict[int, bytes] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    scanned: dict[int, tuple[str, ...]] = field(default_factory=dict)
    shared: set[int] = field(default_factory=set)
    seen: dict[Partition, list[int]] = field(default_factory=dict)

    def grow(self, snapshot: Snapshot, chart: int, patient: str, base_url: str) -> None:
        """Take in the rows committed since the last time."""
        count = snapshot.row_count(chart)
        if count == self.rows:
            return
        if count < self.rows:  # an older view than the one remembered: begin again
            self._clear()
        for row in snapshot.rows(chart, self.rows):
            self._take(snapshot, chart, row, patient, base_url)
        self.rows = count
        self.places = sorted(self.versions)
        self.seen.clear()

    def keep_seen(self, part: Partition, places: list[int]) -> list[int]:
        """Remember what a partition permits of the order as it is, among at most SEEN_KEPT."""
        if len(self.seen) >= SEEN_KEPT:
            self.seen.clear()
        self.seen[part] = places
        return places

    def _clear(self) -> None:
        self.rows = 0
        for kept in (self.place_of, self.versions, self.prefixes, self.scanned):
            kept.clear()
        self.shared.clear()

    def _take(self, snapshot: Snapshot, chart: int, row: Row, patient: str, base_url: str) -> None:
        if row.type in LEAF_TYPES:
            return
        key = (row.type, row.id)
        old = self.place_of.pop(key, None)
        if old is not None:
            for kept in (self.versions, self.prefixes, self.scanned):
                kept.pop(old, None)
            self.shared.discard(old)
        if row.deleted or row.moved:
            return
        shared = is_shared(row.values)
        if shared:  # it may be sealed in another chart
            version = snapshot.version(row.type, row.id, row.version)
        else:
            version = Version(row.type, row.id, row.version, False, row.time_ms, row.height, chart, row.leaf)
        if version is not None:
            place = -1 if key == ("Patient", patient) else row.number
            self.place_of[key] = place
            self.versions[place] = version
            self.prefixes[place] = entry_prefix(base_url, row.type, row.id)
            if shared:
                self.shared.add(place)


class ChartOrders:
    """The orders of the charts read last by this process, as many as RESOURCES_KEPT allows."""

    def __init__(self, resources_max: int = RESOURCES_KEPT) -> None:
        self._orders: OrderedDict[int, ChartOrder] = OrderedDict()
        self._resources_max = resources_max
        self._resources = 0

    def clear(self) -> None:
        """Forget every chart."""
        self._orders.clear()
        self._resources = 0

    def of(self, snapshot: Snapshot, chart: int, patient: str, base_url: str) -> ChartOrder:
        """The chart's order as of the snapshot."""
        order = self._orders.get(chart)
        if order is None:
            order = self._orders[chart] = ChartOrder()
        else:
            self._orders.move_to_end(chart)
        before = len(order.places)
        order.grow(snapshot, chart, patient, base_url)
        self._resources += len(order.places) - before
        while self._resources > self._resources_max and len(self._orders) > 1:
            _, oldest = self._orders.popitem(last=False)
            self._resources -= len(oldest.places)
        return order
