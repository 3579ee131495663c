"""Patient/[id]/$everything: the whole chart, then what it refers to in the organisation's own chart.

R4 patient-operation-everything.html. Ordered by commitment, the Patient first, so that pages stay stable while
others write. What a chart refers to (practitioners, organisations, locations, medications, …) follows on the last
pages, each once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from careledger.access.decision import Decision
from careledger.fhir import paging
from careledger.fhir.authority import ByChart, Denied, judge, leaving, merge, record
from careledger.fhir.chartorder import ChartOrder
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.refusals import Refused, not_found
from careledger.fhir.responses import entry_prefix, everything_bundle
from careledger.fhir.routes import Match
from careledger.fhir.slices import Slices
from careledger.vault.model import HOUSE_CHART, Snapshot, Version

_KNOWN = frozenset({"_count", "_since", "_type", "_format", "_pretty", paging.CURSOR})
_NOT_OFFERED = frozenset({"start", "end"})
_REFERENCE = re.compile(rb'[{,]"reference":"([A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64})')


async def everything(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """One page. 404 if there is no such Patient or the caller may not know of them."""
    page = _wanted(context, request, match)
    with context.backend.snapshot() as snapshot:
        decision, chart = _allow(context, request, snapshot, match, page)
        height = snapshot.height
        found = chart is not None and _patient_present(snapshot, chart, match)
        if found and chart is not None:
            order = context.orders.of(snapshot, chart, match.id, context.backend.base_url)
            parts, charts, after = _own_page(snapshot, order, page, context.limits.page_bytes)
    if not found or chart is None:
        await record(context, request, decision, "everything", f"Patient/{match.id}", height, {})
        raise not_found()
    if after is None:
        more, after = await _supporting(context, request, chart, match, page, page.count - len(parts))
        room = context.limits.page_bytes - sum([len(body) for _, body in parts]) if more else 0
        with context.backend.snapshot() as snapshot:
            bodies = snapshot.bodies(more, room)
        if len(bodies) < len(more):
            more = more[: len(bodies)]
            after = _after(more[-1])
        for version, body in zip(more, bodies, strict=True):
            parts.append((entry_prefix(context.backend.base_url, version.type, version.id), body))
            merge(charts, {version.chart: [version.leaf]})
    await record(context, request, decision, "everything", f"Patient/{match.id}/$everything", height, charts)
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


def _allow(
    context: Context, request: FhirRequest, snapshot: Snapshot, match: Match, page: Page
) -> tuple[Decision, int | None]:
    """The decision on this chart, and its number. Raises Denied; every type that is asked for must be in the scope."""
    decision = judge(context, request, "everything", "Patient", (match.id,), snapshot.height)
    if not decision.permit:
        raise Denied(decision)
    for type in page.types or ("*",):
        of_type = judge(context, request, "everything", type, (match.id,), snapshot.height)
        if not of_type.permit:
            raise Denied(of_type)
    return decision, snapshot.chart_of(match.id)


def _patient_present(snapshot: Snapshot, chart: int, match: Match) -> bool:
    current = snapshot.current("Patient", match.id)
    return current is not None and not current.deleted and current.chart == chart


def _own_page(
    snapshot: Snapshot, order: ChartOrder, page: Page, bytes_max: int
) -> tuple[list[tuple[bytes, bytes]], ByChart, paging.Position | None]:
    if page.phase or not isinstance(page.after, int):
        return [], {}, None
    start = bisect_right(order.places, page.after)
    if page.plain:
        places = order.places[start : start + page.count]
        more = len(order.places) > start + page.count
    else:
        rest = [place for place in order.places[start:] if _selected(order.versions[place], page)]
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
    context: Context, request: FhirRequest, chart: int, match: Match, page: Page, room: int
) -> tuple[list[Version], paging.Position | None]:
    """The next resources of the house chart that the chart refers to, by name; at most `room`."""
    names = await _referred(context, chart, match)
    after = page.after if page.phase and isinstance(page.after, str) else ""
    found: list[Version] = []
    pending = [name for name in names if name > after]
    with context.backend.snapshot() as snapshot:
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
            if not judge(context, request, "include", type, (), snapshot.height).permit:
                continue
            if len(found) == room:
                return found, _after(found[-1]) if found else (1, after)
            found.append(version)
    return found, None


def _after(version: Version) -> paging.Position:
    return 1, f"{version.type}/{version.id}"


async def _referred(context: Context, chart: int, match: Match) -> list[str]:
    """`Type/id` of all that the chart's current resources refer to, sorted; each body is looked through once."""
    slices = Slices(context.limits.slice_ms)
    while True:
        with context.backend.snapshot() as snapshot:
            order = context.orders.of(snapshot, chart, match.id, context.backend.base_url)
            unread = [place for place in order.places if place not in order.scanned]
            for place in unread:
                body = snapshot.body(order.versions[place])
                order.scanned[place] = tuple({name.decode() for name in _REFERENCE.findall(body)})
                if slices.due():
                    break
            else:
                return sorted({name for names in order.scanned.values() for name in names})
        await slices.rest()
