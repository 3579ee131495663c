"""History of a resource and of a type (R4 http.html#history), newest first, paged by a signed cursor."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest

from careledger.fhir import paging
from careledger.fhir.asking import Asking, ask, at_view
from careledger.fhir.authority import ByChart, Denied, demand_whole, judge, leaving, merge, record
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.refusals import Refused, not_found
from careledger.fhir.responses import HistoryEntry, history_bundle
from careledger.fhir.routes import Match
from careledger.fhir.search.terms import type_term
from careledger.fhir.slices import Slices
from careledger.fhir.visibility import seen_versions
from careledger.vault.model import HOUSE_CHART, Row, Snapshot, Version

_KNOWN = frozenset({"_count", "_since", "_format", "_pretty", paging.CURSOR})


@dataclass(frozen=True, slots=True)
class Wanted:
    """The page asked for: at most `count` versions, not before `since_ms`, after `position`."""

    count: int
    since_ms: int
    position: tuple[int | str, ...]


def wanted(context: Context, request: FhirRequest, match: Match) -> Wanted:
    """Raises Refused(400) for values that cannot be read, unknown parameters, and altered cursors."""
    paging.check_known(request, _KNOWN)
    since = paging.instant_parameter(request.query, "_since")
    scope = f"history {match.type}/{match.id} {since}"
    position = paging.position(context, request, scope)
    return Wanted(paging.count(context, request.query), since, position)


async def history_instance(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """Every version of one resource that the caller may see; 404 if there never was one."""
    page = wanted(context, request, match)
    with context.backend.snapshot() as snapshot:
        asking = ask(context, request, snapshot)
        versions = snapshot.versions(match.type, match.id)
        decision = judge(asking, "history-instance", match.type, versions[0] if versions else None)
        if not decision.permit:
            raise Denied(decision)
        versions = [v for v in versions if judge(asking, "history-instance", match.type, v).permit]
        versions = [v for v in versions if v.time_ms >= page.since_ms]
        total = len(versions)
        before = int(page.position[0]) if page.position else 0
        rest = [v for v in versions if v.version < before] if before else versions
        shown, charts = _opened(snapshot, rest[: page.count], context.limits.page_bytes)
        known = bool(versions) or bool(snapshot.current(match.type, match.id))
    await record(asking, decision, "history", f"{match.type}/{match.id}/_history", charts)
    if not known:
        raise not_found()
    after = (shown[-1].version.version,) if len(rest) > len(shown) and shown else None
    links = _links(context, request, match, page, after)
    return history_bundle(context.backend.base_url, shown, total, links)


def _opened(
    snapshot: Snapshot, versions: list[Version], bytes_max: int
) -> tuple[list[HistoryEntry], ByChart]:
    """The first of these versions whose bodies fit together, opened, and the charts that leave."""
    charts: ByChart = {}
    present = [place for place, version in enumerate(versions) if not version.deleted]
    opened = snapshot.bodies([versions[place] for place in present], bytes_max)
    if len(opened) < len(present):
        versions = versions[: present[len(opened)]]
    bodies = dict(zip(present, opened, strict=False))
    shown = []
    for place, version in enumerate(versions):
        merge(charts, leaving(version))
        put_created = not version.deleted and snapshot.put_created(version)
        shown.append(HistoryEntry(version, bodies.get(place), put_created))
    return shown, charts


async def history_type(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """Every version of every resource of a type, newest first. Visits each chart that held the type, in slices."""
    page = wanted(context, request, match)
    if page.count == 0:
        raise Refused(400, "value", "_count=0 is not offered for a type's history.", where="_count")
    slices = Slices(context.limits.slice_ms)
    with context.backend.snapshot() as snapshot:
        asking = ask(context, request, snapshot)
        height = snapshot.height
        decision = demand_whole(asking, "history-type", match.type)
        pending = _charts(asking, match.type)
    best: list[tuple[tuple[int, str, int], Row]] = []
    for chart in pending:
        with context.backend.snapshot() as snapshot:
            found = dict(best) | _candidates(at_view(asking, snapshot), chart, match.type, page, height)
        best = nlargest(page.count + 1, found.items(), key=lambda pair: pair[0])
        if slices.due():
            await slices.rest()
    with context.backend.snapshot() as snapshot:
        stored = (snapshot.version(row.type, row.id, row.version) for _, row in best[: page.count])
        listed = [version for version in stored if version is not None]
        shown, charts = _opened(snapshot, listed, context.limits.page_bytes)
    await record(asking, decision, "history", f"{match.type}/_history", charts)
    last = shown[-1].version if shown and (len(shown) < len(listed) or len(best) > page.count) else None
    after = None if last is None else (last.time_ms, last.id, last.version)
    return history_bundle(context.backend.base_url, shown, None, _links(context, request, match, page, after))


def _charts(asking: Asking, type: str) -> list[int]:
    """Charts that may hold the type and that the caller may see something of, the house chart first."""
    seen = asking.seen_charts()
    held = [chart for chart in asking.snapshot.charts_with(type_term(type)) if chart != HOUSE_CHART]
    if seen is None:
        return [HOUSE_CHART, *held]
    return [HOUSE_CHART, *sorted(seen.intersection(held))]


def _candidates(
    asking: Asking, chart: int, type: str, page: Wanted, height: int
) -> dict[tuple[int, str, int], Row]:
    """The chart's rows that can be on the page, keyed so that the newest is the largest; a shared version once."""
    found: dict[tuple[int, str, int], Row] = {}
    seen = seen_versions(asking, "history-type", chart, type)
    if seen is None:
        return found
    for row in asking.snapshot.rows(chart):
        if row.type != type or row.moved or row.height > height or row.time_ms < page.since_ms:
            continue
        key = (row.time_ms, row.id, row.version)
        if (not page.position or key < page.position) and seen(row):
            found[key] = row
    return found


def _links(
    context: Context, request: FhirRequest, match: Match, page: Wanted, after: tuple[int | str, ...] | None
) -> list[tuple[str, str]]:
    path = f"{match.type}/{match.id}/_history" if match.id else f"{match.type}/_history"
    kept = [(name, value) for name, value in request.query if name in ("_count", "_since")]
    since = page.since_ms
    return paging.links(context, path, kept, request, f"history {match.type}/{match.id} {since}", after)
