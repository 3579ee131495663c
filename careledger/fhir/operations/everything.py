"""Patient/[id]/$everything: the whole chart, then what it refers to in the organisation's own chart.

R4 patient-operation-everything.html. Ordered by commitment, the Patient first, so that pages stay stable while
others write. What a chart refers to (practitioners, organisations, locations, medications, …) follows on the last
pages, each once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from careledger.access.decision import Decision
from careledger.fhir import paging
from careledger.fhir.asking import Asking, ask, at_view
from careledger.fhir.authority import ByChart, Denied, demand_whole, judge, judge_new, leaving, merge, record
from careledger.fhir.chartorder import ChartOrder
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.refusals import Refused, not_found
from careledger.fhir.responses import entry_prefix, everything_bundle
from careledger.fhir.routes import Match
from careledger.fhir.slices import Slices
from careledger.fhir.visibility import seen_places
from careledger.vault.model import HOUSE_CHART, Snapshot, Version

_KNOWN = frozenset({"_count", "_since", "_type", "_format", "_pretty", paging.CURSOR})
_NOT_OFFERED = frozenset({"start", "end"})
_REFERENCE = re.compile(rb'[{,]"reference":"([A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64})')


async def everything(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """One page. 404 if there is no such Patient or the caller may not know of them."""
    page = _wanted(context, request, match)
    with context.backend.snapshot() as snapshot:
        asking = ask(context, request, snapshot)
        decision = _allow(asking, match, page)
        chart = _chart_of(asking, match)
        if chart is not None:
            order = context.orders.of(snapshot, chart, match.id, context.backend.base_url)
            places = seen_places(asking, order, chart)
            parts, charts, after = _own_page(snapshot, order, places, page, context.limits.page_bytes)
    if chart is None:
        await record(asking, decision, "everything", f"Patient/{match.id}", {})
        raise not_found()
    if after is None:
        more, after = await _supporting(asking, chart, match, page, page.count - len(parts))
        room = context.limits.page_bytes - sum([len(body) for _, body in parts]) if more else 0
        with context.backend.snapshot() as snapshot:
            bodies = snapshot.bodies(more, room)
        if len(bodies) < len(more):
            more = more[: len(bodies)]
            after = _after(more[-1])
        for version, body in zip(more, bodies, strict=True):
            parts.append((entry_prefix(context.backend.base_url, version.type, version.id), body))
            merge(charts, {version.chart: [version.leaf]})
    await record(asking, decision, "everything", f"Patient/{match.id}/$everything", charts)
    kept = [(name, value) for name, value in request.query if name in ("_count", "_since", "_type")]
    links = paging.links(context, f"Patient/{match.id}/$everything", kept, request, page.scope, after)
    return everything_bundle(parts, links)


@dataclass(frozen=True, slots=True)
class Page:
    """The page asked for. `phase` 0 are the chart's own resources, 1 what they refer to."""

    count: int
    since_ms: int
    types: frozenset[str]
    scope: str
    phase: int
    after: int | str
    plain: bool


def _wanted(context: Context, request: FhirRequest, match: Match) -> Page:
    paging.check_known(request, _KNOWN | _NOT_OFFERED)
    names: set[str] = set()
    for name, value in request.query:
        if name in _NOT_OFFERED:
            raise Refused(
                400, "not-supported", "start and end are not offered.", hint="Use _since.", where=name
            )
        if name == "_type":
            names.update(value.split(","))
    if names - context.types:
        raise Refused(400, "value", "_type names no FHIR R4 resource type.", where="_type")
    since = paging.instant_parameter(request.query, "_since")
    count = paging.count(context, request.query)
    if not count:
        raise Refused(400, "value", "_count=0 is not offered for $everything.", where="_count")
    scope = f"everything {match.id} {since} {','.join(sorted(names))}"
    position = paging.position(context, request, scope)
    phase, after = (int(position[0]), position[1]) if len(position) == 2 else (0, -2)
    return Page(count, since, frozenset(names), scope, phase, after, not since and not names)


def _allow(asking: Asking, match: Match, page: Page) -> Decision:
    """The decision on asking for this chart. Raises Denied; every type that is asked for must be in the scope."""
    patients = (match.id,) if asking.actor.patient_bound else asking.own_patients
    decision = _whole(asking, "Patient", patients)
    for type in page.types or ("*",):
        _whole(asking, type, patients)
    return decision


def _whole(asking: Asking, type: str, patients: tuple[str, ...]) -> Decision:
    if not asking.actor.patient_bound:
        return demand_whole(asking, "everything", type)
    context, request = asking.context, asking.request
    decision = judge_new(context, request, "everything", type, patients, asking.height, None, None)
    if not decision.permit:
        raise Denied(decision)
    return decision


def _chart_of(asking: Asking, match: Match) -> int | None:
    """The chart, if its Patient is there. Raises Denied where the caller may not know of them."""
    chart = asking.snapshot.chart_of(match.id)
    current = asking.snapshot.current("Patient", match.id)
    if chart is None or current is None or current.chart != chart:
        current = None
    decision = judge(asking, "everything", "Patient", current)
    if not decision.permit:
        raise Denied(decision)
    return None if current is None or current.deleted else chart


def _own_page(
    snapshot: Snapshot, order: ChartOrder, seen: Sequence[int], page: Page, bytes_max: int
) -> tuple[list[tuple[bytes, bytes]], ByChart, paging.Position | None]:
    if page.phase or not isinstance(page.after, int):
        return [], {}, None
    start = bisect_right(seen, page.after)
    if page.plain:
        places = list(seen[start : start + page.count])
        more = len(seen) > start + page.count
    else:
        rest = [place for place in seen[start:] if _selected(order.versions[place], page)]
        places, more = rest[: page.count], len(rest) > page.count
    known = order.versions
    versions = [known[place] for place in places]
    bodies = snapshot.bodies(versions, bytes_max)
    if len(bodies) < len(versions):
        places, versions, more = places[: len(bodies)], versions[: len(bodies)], True
    charts: ByChart = {}
    if order.shared:
        for version in versions:
            merge(charts, leaving(version))
    elif versions:
        charts[versions[0].chart] = [version.leaf for version in versions]
    prefixes = order.prefixes
    parts = [(prefixes[place], body) for place, body in zip(places, bodies, strict=True)]
    return parts, charts, (0, places[-1]) if more else None


def _selected(version: Version, page: Page) -> bool:
    return version.time_ms >= page.since_ms and (not page.types or version.type in page.types)


async def _supporting(
    before: Asking, chart: int, match: Match, page: Page, room: int
) -> tuple[list[Version], paging.Position | None]:
    """The next resources of the house chart that what was seen of the chart refers to, by name; at most `room`."""
    names = await _referred(before, chart, match)
    after = page.after if page.phase and isinstance(page.after, str) else ""
    found: list[Version] = []
    pending = [name for name in names if name > after]
    with before.context.backend.snapshot() as snapshot:
        asking = at_view(before, snapshot)
        for name in pending:
            type, _, id = name.partition("/")
            version = snapshot.current(type, id)
            if (
                version is None
                or version.deleted
                or version.chart != HOUSE_CHART
                or not _selected(version, page)
            ):
                continue
            if not judge(asking, "include", type, version).permit:
                continue
            if len(found) == room:
                return found, _after(found[-1]) if found else (1, after)
            found.append(version)
    return found, None


def _after(version: Version) -> paging.Position:
    return 1, f"{version.type}/{version.id}"


async def _referred(before: Asking, chart: int, match: Match) -> list[str]:
    """`Type/id` of all that the current resources that the caller sees refer to, sorted; each body is read once."""
    context = before.context
    slices = Slices(context.limits.slice_ms)
    while True:
        with context.backend.snapshot() as snapshot:
            order = context.orders.of(snapshot, chart, match.id, context.backend.base_url)
            seen = seen_places(at_view(before, snapshot), order, chart)
            unread = [place for place in seen if place not in order.scanned]
            for place in unread:
                body = snapshot.body(order.versions[place])
                order.scanned[place] = tuple({name.decode() for name in _REFERENCE.findall(body)})
                if slices.due():
                    break
            else:
                return sorted({name for place in seen for name in order.scanned[place]})
        await slices.rest()
