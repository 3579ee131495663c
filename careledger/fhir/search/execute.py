"""Searching: candidates, exact matching on the sealed values, a stable order, one page, and what it includes.

A page is a view of one ledger height: rows written later do not show, and what they supersede still does. So pages
neither repeat nor lose a resource while the record grows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from careledger.fhir.search.bitsets import members, membership
from careledger.fhir.search.candidates import Plan, plan
from careledger.fhir.search.chartindex import ChartIndexCache, TypeIndex
from careledger.fhir.search.cursor import Cursor
from careledger.fhir.search.includes import included
from careledger.fhir.search.query import Query
from careledger.fhir.search.scope import EVERYTHING, Scope, version_at
from careledger.primitives.errors import Invalid
from careledger.vault.model import Row, Snapshot, Version

ROWS_COUNTED: Final = 200
"""Candidate rows up to which a page is always counted whole."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page. `total` is None where counting would cost more than was asked for; `next` is None at the end.

    `bodies` are those of the matches, if the search had a bound for them.
    """

    matches: list[Version]
    total: int | None
    next: Cursor | None
    includes: list[Version]
    height: int
    truncated: bool = False  # more was to be included than fits a page
    bodies: list[bytes] | None = None


@dataclass(frozen=True, slots=True)
class _Hit:
    """A match: where it lies, and what it is sorted by."""

    order: tuple[Any, ...]
    chart: int
    row: int
    version: Version


class _Descending:
    """Orders backwards."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]


def search(
    snapshot: Snapshot,
    cache: ChartIndexCache,
    query: Query,
    scope: Scope = EVERYTHING,
    after: Cursor | None = None,
    bytes_max: int | None = None,
) -> SearchResult:
    """The page after `after` (the first without one). Raises Invalid if the cursor's place is not there.

    With `bytes_max` it ends early where its matches' bodies would be more together; one match it always holds.
    """
    height = snapshot.height if after is None else min(after.height, snapshot.height)
    page = _page(snapshot, cache, query, scope, after, height)
    bodies = None if bytes_max is None else snapshot.bodies(page[0], bytes_max)
    while bodies is not None and len(bodies) < len(page[0]):  # as if no more had been asked for
        page = _page(snapshot, cache, replace(query, count=len(bodies)), scope, after, height)
        bodies = snapshot.bodies(page[0], bytes_max)
    found, total, following = page
    includes, truncated = included(snapshot, cache, query, scope, found, height)
    return SearchResult(found, total, following, includes, height, truncated, bodies)


_Page = tuple[list[Version], int | None, Cursor | None]


def _page(
    snapshot: Snapshot,
    cache: ChartIndexCache,
    query: Query,
    scope: Scope,
    after: Cursor | None,
    height: int,
) -> _Page:
    direct = after is None and _is_direct(query)
    chosen = Plan() if direct else plan(snapshot, query, scope.charts)
    view = _View(snapshot, cache, query, scope, height, chosen.charts)
    if direct:
        page = _of_ids(view)
    elif chosen.rows is not None:
        page = _of_rows(view, chosen.rows, after)
    elif len(chosen.charts) == 1:
        page = _of_one_chart(view, chosen.charts[0], after)
    elif query.sort and not query.count_only:
        page = _sorted_page(view, [hit for chart in chosen.charts for hit in view.hits(chart)], after)
    else:
        page = _of_charts(view, chosen.charts, after)
    if view.opened:
        cache.settle(view.opened[-1])
    return page


class _View:
    """One search over one snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        cache: ChartIndexCache,
        query: Query,
        scope: Scope,
        height: int,
        charts: tuple[int, ...],
    ) -> None:
        self.snapshot = snapshot
        self.query = query
        self.scope = scope
        self.height = height
        self.charts = charts
        self.opened: list[int] = []
        self._cache = cache
        self._among = frozenset(charts)

    def index(self, chart: int) -> TypeIndex | None:
        if self.opened:
            self._cache.settle(self.opened[-1])
        self.opened.append(chart)
        return self._cache.get(self.snapshot, chart).type(self.query.type)

    def match(self, index: TypeIndex) -> int:
        """Matching ordinals; a resource of several charts counts in the first of those that are searched."""
        bits = index.match(self.query.conditions, self.height)
        if len(self.charts) > 1:
            for ordinal in members(bits & index.shared):
                version = self.version(index, ordinal)
                held = {version.chart, *(chart for chart, _ in version.links)}
                if min(held & self._among, default=index.chart) != index.chart:
                    bits &= ~(1 << ordinal)
        if self.scope.within is not None:
            return self.scope.within(index, bits)
        visible = self.scope.visible
        if visible is not None:
            for ordinal in members(bits):
                if not visible(self.query.type, self.version(index, ordinal)):
                    bits &= ~(1 << ordinal)
        return bits

    def stays(self, index: TypeIndex) -> bool:
        """Whether the one row of this index is visible now as well, where the page is of an older height."""
        return self.height >= self.snapshot.height or self.scope.sees(self.version(index, 0))

    def version(self, index: TypeIndex, ordinal: int) -> Version:
        """The stored version; of a resource of several charts, the one in the chart that seals it."""
        found = index.version(ordinal)
        if index.shared >> ordinal & 1:
            return self.snapshot.version(found.type, found.id, found.version) or found
        return found

    def hits(self, chart: int) -> Iterator[_Hit]:
        index = self.index(chart)
        if index is not None:
            for ordinal in members(self.match(index)):
                yield self.hit(index, ordinal)

    def hit(self, index: TypeIndex, ordinal: int) -> _Hit:
        order: list[Any] = []
        for key in self.query.sort:
            value = index.keys(key)[ordinal]
            if value is None:
                order.append((1,))
            else:
                order.append((0, _Descending(value) if key.descending else value))
        row = index.rows[ordinal]
        return _Hit((*order, index.chart, row), index.chart, row, self.version(index, ordinal))

    def cursor(self, chart: int, row: int) -> Cursor:
        return Cursor(self.height, chart, row)


def _is_direct(query: Query) -> bool:
    """Whether ids alone are asked for, and fit a page."""
    if len(query.conditions) != 1 or query.sort:
        return False
    only = query.conditions[0]
    return only.code == "_id" and not only.modifier and (query.count_only or len(only.values) <= query.count)


def _of_ids(view: _View) -> _Page:
    """By id: no chart is opened."""
    query, found = view.query, []
    for id in query.conditions[0].values:
        version = version_at(view.snapshot, query.type, str(id), view.height)
        if version is not None and view.scope.sees(version):
            found.append(version)
    found.sort(key=lambda version: (version.chart, version.leaf))
    return [] if query.count_only else found, _total(query, len(found)), None


def _of_one_chart(view: _View, chart: int, after: Cursor | None) -> _Page:
    """The hot path: one chart, its rows already in order."""
    query = view.query
    index = view.index(chart)
    if index is None:
        return [], _total(query, 0), None
    bits = view.match(index)
    total = _total(query, bits.bit_count())
    if query.count_only or not bits:
        return [], total, None
    order = index.order(query.sort)
    start = 0 if after is None else _place(index, order, after) + 1
    walked = order[start:] if start else order
    found = list(islice(filter(membership(bits, len(index)).__getitem__, walked), query.count + 1))
    following = None
    if len(found) > query.count:
        found.pop()
        following = view.cursor(chart, index.rows[found[-1]])
    version = view.version if index.shared else index.version_of
    return [version(index, ordinal) for ordinal in found], total, following


def _place(index: TypeIndex, order: Any, after: Cursor) -> int:
    ordinal = bisect_right(index.rows, after.row) - 1
    if after.chart != index.chart or ordinal < 0 or index.rows[ordinal] != after.row:
        raise _lost()
    return int(order.index(ordinal))


def _of_charts(view: _View, charts: tuple[int, ...], after: Cursor | None) -> _Page:
    """Chart by chart in the default order; charts past the page are opened only to count."""
    query = view.query
    counting = query.count_only or query.total in ("accurate", "estimate")
    found: list[tuple[TypeIndex, int]] = []
    total = 0
    for chart in charts:
        if not counting and after is not None and chart < after.chart:
            continue
        index = view.index(chart)
        if index is None:
            continue
        bits = view.match(index)
        total += bits.bit_count()
        if query.count_only or (after is not None and chart < after.chart) or len(found) > query.count:
            continue
        start = (
            _place(index, range(len(index)), after) + 1 if after is not None and chart == after.chart else 0
        )
        wanted = query.count + 1 - len(found)
        flags = membership(bits, len(index))
        found += [(index, at) for at in islice(filter(flags.__getitem__, range(start, len(index))), wanted)]
        if len(found) > query.count and not counting:
            break
    following = None
    complete = counting or (after is None and len(found) <= query.count)
    if len(found) > query.count:
        found.pop()
        last, ordinal = found[-1]
        following = view.cursor(last.chart, last.rows[ordinal])
    return (
        [view.version(index, at) for index, at in found],
        _total(query, total) if complete else None,
        following,
    )


def _sorted_page(view: _View, hits: list[_Hit], after: Cursor | None, total: int | None = None) -> _Page:
    """A page of hits from several charts, all of them known."""
    query = view.query
    total = _total(query, len(hits) if total is None else total)
    if query.count_only:
        return [], total, None
    hits.sort(key=lambda hit: hit.order)
    start = 0
    if after is not None:
        start = bisect_right([hit.order for hit in hits], _order_at(view, after, hits))
    shown = hits[start : start + query.count]
    following = view.cursor(shown[-1].chart, shown[-1].row) if len(hits) > start + query.count else None
    return [hit.version for hit in shown], total, following


def _order_at(view: _View, after: Cursor, hits: list[_Hit]) -> tuple[Any, ...]:
    """The order of the cursor's row, read again from its chart."""
    for hit in hits:
        if hit.chart == after.chart and hit.row == after.row:
            return hit.order
    index = view.index(after.chart) if view.scope.holds(after.chart) else None
    ordinal = -1 if index is None else bisect_right(index.rows, after.row) - 1
    if index is None or ordinal < 0 or index.rows[ordinal] != after.row:
        raise _lost()
    return view.hit(index, ordinal).order


def _of_rows(view: _View, rows: tuple[tuple[int, int], ...], after: Cursor | None) -> _Page:
    """Candidates opened singly. Many of them, in the default order, are opened only as far as the page goes."""
    query = view.query
    counted = query.count_only or query.sort or query.total in ("accurate", "estimate")
    if counted or len(rows) <= ROWS_COUNTED:
        return _sorted_page(view, list(_row_hits(view, rows)), after)
    first = 0 if after is None else bisect_right(rows, (after.chart, after.row))
    hits = list(islice(_row_hits(view, rows, first), query.count + 1))
    shown = hits[: query.count]
    following = view.cursor(shown[-1].chart, shown[-1].row) if len(hits) > query.count else None
    total = _total(query, len(hits)) if first == 0 and following is None else None
    return [hit.version for hit in shown], total, following


def _row_hits(view: _View, rows: tuple[tuple[int, int], ...], first: int = 0) -> Iterator[_Hit]:
    """Matches among the candidates from `first` on, in their order, each resource once."""
    charts = {chart for chart, _ in rows}
    for chart, number in rows[first:]:
        row = view.snapshot.row(chart, number)
        if row is None or not _is_current(view, row, view.query.type):
            continue
        index = TypeIndex(view.query.type, chart)
        index.add_row(row)
        if view.match(index) and view.stays(index):
            hit = view.hit(index, 0)
            held = {hit.version.chart, *(other for other, _ in hit.version.links)}
            if not index.shared or min(held & charts, default=chart) == chart:
                yield hit


def _is_current(view: _View, row: Row, type: str) -> bool:
    """Whether the row's version is what the resource is at the view's height."""
    if row.type != type or row.deleted or row.moved or row.height > view.height:
        return False
    current = version_at(view.snapshot, type, row.id, view.height)
    return current is not None and current.version == row.version


def _total(query: Query, total: int) -> int | None:
    return None if query.total == "none" and not query.count_only else total


def _lost() -> Invalid:
    return Invalid("The page link leads nowhere any more.", hint="Begin at the first page.", code="value")
