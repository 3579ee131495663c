"""The access log of a chart over FHIR: `AuditEvent?patient=ID[&date=…][&_count][&_total]` and `AuditEvent/access-…`.

A read-only view made from the access entries, newest first (`_sort=-date` may say so), then the AuditEvents that clients wrote into the chart,
which stay ordinary resources; a search with any other parameter is an ordinary one and finds those alone. For the
custodian's clients and the patient herself; a look at the log is entered in it before it is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from careledger.access.decision import Decision
from careledger.fhir import audit, interactions, paging, searches
from careledger.fhir.asking import Asking, ask
from careledger.fhir.authority import (
    ByChart,
    Denied,
    demand_whole,
    judge_whole,
    leaving,
    merge,
    record,
    record_entries,
)
from careledger.fhir.charts import patient_id
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.refusals import Refused, is_id, not_found
from careledger.fhir.responses import resource, search_bundle
from careledger.fhir.routes import Match
from careledger.fhir.search.conditions import DateRange
from careledger.fhir.search.cursor import Cursor
from careledger.fhir.search.execute import SearchResult
from careledger.fhir.search.execute import search as execute
from careledger.fhir.search.query import CURSOR, Query, parse
from careledger.fhir.search.slots import matching_dates
from careledger.fhir.slices import Slices
from careledger.fhir.visibility import search_scope
from careledger.primitives.errors import VerificationFailed
from careledger.vault.model import HOUSE_CHART, AccessEntry, Commit, Snapshot, Version

KIND = "audit"
TYPE = "AuditEvent"
_KNOWN = frozenset({"patient", "date", "_count", "_total", "_sort", "_format", "_pretty", CURSOR})
_ORDER = "-date"
_CHUNK = 256

Found = tuple[int, AccessEntry]


async def search(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """The view where it is asked for; else an ordinary search of the AuditEvents that clients wrote."""
    patient = _patient_asked(context, request)
    if not patient:
        return await searches.search(context, request, match)
    query = _query(context, request)
    page = _Page.of(context, request, query)
    with context.backend.snapshot() as snapshot:
        asking = ask(context, request, snapshot)
        demand_whole(asking, "search", TYPE)
        chart = snapshot.chart_of(patient)
        decision = judge_log(asking, "search", chart)
    await enter_log(asking, decision, query, chart)
    if chart is None or not decision.permit:
        return search_bundle(
            context.backend.base_url, [], [], _told(query, 0), _links(context, query, page, None)
        )
    return await _answer(context, request, query, page, chart, patient)


async def read(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """One event of the view (its one version too), or an ordinary read. 404 for what is not there or not to be seen."""
    if not match.id.startswith(audit.ID_PREFIX):
        handler = interactions.vread if match.interaction == "vread" else interactions.read
        return await handler(context, request, match)
    with context.backend.snapshot() as snapshot:
        asking = ask(context, request, snapshot)
        place = _place(asking, match)
        decision = judge_log(asking, match.interaction, place[0] if place else None)
        if not decision.permit:
            raise Denied(decision)
    what = f"{TYPE}/{match.id}"
    if place is None:
        await record(asking, decision, KIND, what, {})
        raise not_found()
    await record(asking, decision, KIND, what, {place[0]: []})
    with context.backend.snapshot() as snapshot:
        entry = snapshot.accesses(place[0], place[1], place[1] + 1)[0]
        patient = _patient_of(asking, snapshot, place[0])
    return resource(_version(match.id, entry, *place), _render(asking, entry, place[1], match.id, patient))


def _patient_asked(context: Context, request: FhirRequest) -> str:
    """The patient whose log is asked for, "" where the search is another."""
    if request.method != "GET" or any(name not in _KNOWN for name, _ in request.query):
        return ""
    if any(name == "_sort" and value != _ORDER for name, value in request.query):
        return ""
    named = [value for name, value in request.query if name == "patient"]
    if len(named) != 1:
        return ""
    return patient_id(named[0], context.backend.base_url) or (named[0] if is_id(named[0]) else "")


def _query(context: Context, request: FhirRequest) -> Query:
    backend, limits = context.backend, context.limits
    return parse(
        TYPE,
        request.query,
        now_ms=backend.now_ms(),
        base=backend.base_url,
        count=limits.page_default,
        count_max=limits.page_max,
    )


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a page begins. `before` is the index that it stays below, and `size` the log's when the first was asked for.

    -1: not known yet. `stored` is the cursor among the stored ones, "" for their first page; `phase` 1 is theirs.
    """

    phase: int = 0
    before: int = -1
    size: int = -1
    stored: str = ""

    @classmethod
    def of(cls, context: Context, request: FhirRequest, query: Query) -> _Page:
        if not query.cursor:
            return cls()
        position = paging.open_cursor(context, query.cursor, _scope(query))
        if len(position) != 4:
            raise Refused(400, "value", "The page link leads nowhere.", hint="Begin at the first page.")
        phase, before, size, stored = position
        return cls(int(phase), int(before), int(size), str(stored))


def _scope(query: Query) -> str:
    return "access log " + repr([pair for pair in query.applied if pair[0] in ("patient", "date")])


def judge_log(asking: Asking, interaction: str, chart: int | None) -> Decision:
    """The decision on a chart's access log. No directive opens it to other organisations."""
    if chart is None or chart == HOUSE_CHART:
        return judge_whole(asking, interaction, TYPE)
    part = asking.partition(interaction, TYPE, chart, asking.patients_in(chart)).of_type(TYPE)
    rule, directive = part.applies(TYPE, (), ())
    if asking.actor.organisation != asking.context.backend.organisation:
        rule, directive = "no-directive", ""
    decision = asking.decision(rule, directive)
    if decision.permit:
        asking.note(chart, decision)
    return decision


async def enter_log(asking: Asking, decision: Decision, query: Query, chart: int | None) -> None:
    """Make the entry of this look durable; in a commit, which also brings the index up to the log that is shown."""
    what = f"{TYPE}?" + "&".join(f"{name}={value}" for name, value in query.applied)
    kind = "count" if query.count_only else KIND
    if chart is None or not decision.permit:
        await record(asking, decision, kind, what, {})
        return
    entries = record_entries(asking, decision, kind, what, {chart: []})
    await asking.context.backend.commit(Commit(accesses=entries))


async def _answer(
    context: Context, request: FhirRequest, query: Query, page: _Page, chart: int, patient: str
) -> FhirResponse:
    with context.backend.snapshot() as snapshot:
        size = snapshot.access_count(chart) if page.size < 0 else page.size
    before = size if page.before < 0 else page.before
    found: list[Found] = []
    counted, more = 0, False
    if page.phase == 0 and not query.count_only:
        found, more = await _matching(context, query, chart, before)
    if query.total != "none" or query.count_only:
        counted = await _count(context, query, chart, size)
    with context.backend.snapshot() as snapshot:
        asking = ask(context, request, snapshot)
        decision = judge_whole(asking, "search", TYPE)
        stored, bodies = _stored(asking, query, page)
        matches = [
            (_version(id, entry, chart, index), _render(asking, entry, index, id, patient))
            for index, entry in found
            for id in (audit.event_id(context.backend.cursor_key, chart, index),)
        ]
    if page.phase == 1:
        matches = list(zip(stored.matches, bodies, strict=True))
        if matches:
            charts: ByChart = {}
            for version, _ in matches:
                merge(charts, leaving(version))
            await record(asking, decision, "search", f"{TYPE}?patient={patient}", charts)
    following = None
    if more:
        following = _Page(0, found[-1][0], size)
    elif page.phase == 0 and stored.total and not query.count_only:
        following = _Page(1, 0, size)
    elif page.phase == 1 and stored.next is not None:
        plain = replace(query, cursor="")
        following = _Page(1, 0, size, stored.next.encode(context.backend.cursor_key, plain))
    total = None if query.total == "none" and not query.count_only else counted + (stored.total or 0)
    return search_bundle(
        context.backend.base_url, matches, [], total, _links(context, query, page, following)
    )


async def _matching(context: Context, query: Query, chart: int, before: int) -> tuple[list[Found], bool]:
    """The newest entries below `before` whose date is asked for, a page of them; and whether there are more."""
    slices = Slices(context.limits.slice_ms)
    found: list[Found] = []
    while before > 0:
        start = max(0, before - _CHUNK)
        with context.backend.snapshot() as snapshot:
            entries = snapshot.accesses(chart, start, before)
        for index in range(start + len(entries) - 1, start - 1, -1):
            if _is_dated(query, entries[index - start]):
                if len(found) == query.count:
                    return found, True
                found.append((index, entries[index - start]))
        before = start
        if slices.due():
            await slices.rest()
    return found, False


async def _count(context: Context, query: Query, chart: int, size: int) -> int:
    """How many entries of the log match."""
    if not _dates(query):
        return size
    return len((await _matching(context, replace(query, count=size + 1), chart, size))[0])


def _dates(query: Query) -> list[list[DateRange]]:
    return [
        [value for value in condition.values if isinstance(value, DateRange)]
        for condition in query.conditions
        if condition.code == "date"
    ]


def _is_dated(query: Query, entry: AccessEntry) -> bool:
    at = entry.time_ms
    return all(
        any(matching_dates(value, (0,), (at,), (at + 1,)) for value in values) for values in _dates(query)
    )


def _stored(asking: Asking, query: Query, page: _Page) -> tuple[SearchResult, list[bytes]]:
    """The AuditEvents that clients wrote: a page of them, or how many there are."""
    context = asking.context
    plain = replace(query, cursor="", count_only=page.phase == 0, total="accurate")
    after = Cursor.decode(page.stored, context.backend.cursor_key, plain) if page.stored else None
    result = execute(
        asking.snapshot, context.charts, plain, search_scope(asking, TYPE), after, context.limits.page_bytes
    )
    return result, result.bodies or []


def _links(context: Context, query: Query, page: _Page, following: _Page | None) -> Sequence[tuple[str, str]]:
    base = f"{context.backend.base_url}/{TYPE}"
    here = [*query.applied, (CURSOR, query.cursor)] if query.cursor else query.applied
    found = [("self", paging.url(base, here))]
    if following is not None:
        position = (following.phase, following.before, following.size, following.stored)
        found.append(
            (
                "next",
                paging.url(base, [*query.applied, (CURSOR, paging.seal(context, _scope(query), position))]),
            )
        )
    return found


def _told(query: Query, total: int) -> int | None:
    return None if query.total == "none" and not query.count_only else total


def _place(asking: Asking, match: Match) -> tuple[int, int] | None:
    """(chart, index) of an entry that is there."""
    try:
        chart, index = audit.place_of(asking.context.backend.cursor_key, match.id)
    except VerificationFailed:
        return None
    if match.vid not in ("", "1") or chart == HOUSE_CHART:
        return None
    return (chart, index) if index < asking.snapshot.access_count(chart) else None


def _patient_of(asking: Asking, snapshot: Snapshot, chart: int) -> str:
    """The logical id of a chart's patient; "" where no Patient was ever written."""
    index = asking.context.charts.get(snapshot, chart).type("Patient")
    asking.context.charts.settle(chart)
    return index.ids[0] if index is not None else ""


def _version(id: str, entry: AccessEntry, chart: int, index: int) -> Version:
    return Version(TYPE, id, 1, False, entry.time_ms, entry.height, chart, index)


def _render(asking: Asking, entry: AccessEntry, index: int, id: str, patient: str) -> bytes:
    backend = asking.context.backend
    herself = asking.actor.patient_bound
    return audit.render(entry, index, id, patient, backend.base_url, backend.organisation, herself=herself)
