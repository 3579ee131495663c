"""Where a search must look: single rows, a few charts, or every chart that holds the type.

Terms only choose candidates; whatever is chosen is matched again on its values. So a plan may be too wide, never
too narrow: each rule below names why nothing outside its candidates can match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from careledger.fhir.charts import DECIDES
from careledger.fhir.search import terms as t
from careledger.fhir.search.compile import Parameter, search_of
from careledger.fhir.search.conditions import Condition, DateRange, Reference, Text, Token
from careledger.fhir.search.parsing import local_reference
from careledger.fhir.search.query import Query
from careledger.fhir.search.values import _DATE, NONE
from careledger.vault.model import HOUSE_CHART, Snapshot

ROWS_MAX: Final = 2_000
"""Rows opened singly; beyond that whole charts are cheaper."""
_DAY: Final = 86_400_000

Find = Callable[[bytes], list[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Either `rows` (chart, number), or else `charts`, ascending."""

    charts: tuple[int, ...] = ()
    rows: tuple[tuple[int, int], ...] | None = None


def plan(snapshot: Snapshot, query: Query, scope: frozenset[int] | None) -> Plan:
    """The narrowest candidates that the query's conditions allow, within the scope."""
    charts = None if scope is None else set(scope)
    for condition in query.conditions:
        found = _charts_of(snapshot, query.type, condition)
        if found is not None:
            charts = found if charts is None else charts & found
    if charts is not None and len(charts) == 1:
        return Plan(tuple(charts))
    rows = _rows(snapshot, query)
    if rows is not None and (len(rows) <= ROWS_MAX or query.type in t.LISTED):
        return Plan(rows=tuple(sorted(row for row in rows if charts is None or row[0] in charts)))
    if charts is None:
        charts = _with_house(snapshot.charts_with(t.type_term(query.type)))
    return Plan(tuple(sorted(charts)))


def _with_house(charts: Iterable[int]) -> set[int]:
    """Rows of the house chart leave no chart-level terms: it is always a candidate."""
    found = set(charts)
    found.add(HOUSE_CHART)
    return found


def _charts_of(snapshot: Snapshot, type: str, condition: Condition) -> set[int] | None:
    """Charts outside which the condition cannot hold; None if it says nothing about charts."""
    if (
        condition.modifier
        and condition.modifier not in ("", "identifier")
        and not condition.modifier[0].isupper()
    ):
        return None
    if condition.parameter is None:
        return _charts_of_ids(snapshot, type, condition)
    if condition.modifier == "identifier":
        return None
    found: set[int] = set()
    for value in condition.values:
        if isinstance(value, Reference):
            more = _charts_of_reference(snapshot, type, condition.parameter, value)
        elif (
            isinstance(value, Token) and t.CHART_TOKENS.get(type) == condition.code and value.code is not None
        ):
            more = _with_house(snapshot.charts_with(t.token_term(type, value.code)))
        else:
            return None
        if more is None:
            return None
        found |= more
    return found


def _charts_of_ids(snapshot: Snapshot, type: str, condition: Condition) -> set[int] | None:
    """A resource lies where its versions were committed; earlier pages may show it where it was before."""
    if condition.code != "_id":
        return None
    found: set[int] = set()
    for id in condition.values:
        if isinstance(id, str):
            for version in snapshot.versions(type, id):
                found.add(version.chart)
                found.update(chart for chart, _ in version.links)
    return found


def _charts_of_reference(
    snapshot: Snapshot, type: str, parameter: Parameter, value: Reference
) -> set[int] | None:
    if value.bare:
        return _charts_of_bare(snapshot, type, parameter, value)
    found: set[int] = set()
    if value.patient:
        chart = snapshot.chart_of(value.patient)
        if chart is not None:
            found.add(chart)
        if all(slot in deciding_slots(type) for slot in parameter.slots):
            return found  # the reference that decides the chart: the resource is in that patient's chart
    found |= _with_house(snapshot.charts_with(t.reference_term(value.key)))
    found.update(snapshot.charts_with(t.crowded_term(type)))
    return found


def _charts_of_bare(snapshot: Snapshot, type: str, parameter: Parameter, value: Reference) -> set[int] | None:
    """An id without a type may be of any target type."""
    if not 0 < len(parameter.targets) <= 12:
        return None
    found: set[int] = set()
    for target in parameter.targets:
        more = _charts_of_reference(snapshot, type, parameter, local_reference(target, value.id))
        if more is None:
            return None
        found |= more
    return found


@cache
def deciding_slots(type: str) -> frozenset[int]:
    """Slots whose every reference to a Patient puts the resource into that patient's chart."""
    groups = DECIDES.get(type, ((),))
    names = {f"3 {path}" for path in groups[0]}
    return frozenset(number for number, name in enumerate(search_of(type).slots) if name in names)


def _rows(snapshot: Snapshot, query: Query) -> set[tuple[int, int]] | None:
    """The rows found by one condition's resource-level terms: those of the condition that finds fewest."""
    best: set[tuple[int, int]] | None = None
    for condition in query.conditions:
        terms = _row_terms(query.type, condition)
        if terms is not None:
            found = {row for term in terms for row in snapshot.find(term)}
            if best is None or len(found) < len(best):
                best = found
    if best is None and query.type in t.LISTED:
        best = set(snapshot.find(t.listed_term(query.type)))
    return best


def _row_terms(type: str, condition: Condition) -> Sequence[bytes] | None:
    """One term for each value, or None if a value has none."""
    if condition.modifier not in ("", "exact") or condition.parameter is None:
        return None
    found = [_row_term(type, condition, value) for value in condition.values]
    known = [term for term in found if term is not None]
    return known if len(known) == len(found) else None


def _row_term(type: str, condition: Condition, value: object) -> bytes | None:
    code = t.ALIASES.get(condition.code, condition.code)
    if isinstance(value, Token) and value.code is not None:
        if code == "identifier":
            return t.identifier_term(type, value.code)
        if code in t.EXACT.get(type, ()):
            return t.exact_term(type, code, NONE + value.code)
    if isinstance(value, Text) and condition.code in t.PREFIXED.get(type, ()) and value.folded:
        return t.prefix_term(type, t.lookup_prefix(value.folded))
    if isinstance(value, DateRange) and value.prefix == "eq" and value.hi - value.lo == _DAY:
        return (
            t.exact_term(type, code, _DATE.pack(value.lo, value.hi))
            if code in t.EXACT.get(type, ())
            else None
        )
    return None
