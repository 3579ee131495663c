"""The search interaction, by GET and by POST (R4 http.html#search): parse, find, log, answer."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

import msgspec

from careledger.fhir import paging
from careledger.fhir.asking import ask
from careledger.fhir.authority import ByChart, demand_whole, leaving, merge, record
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.outcomes import Issue, outcome
from careledger.fhir.preferences import View, check_content_type, prefer
from careledger.fhir.refusals import Refused
from careledger.fhir.responses import Link, search_bundle, subset
from careledger.fhir.routes import Match
from careledger.fhir.search.cursor import Cursor
from careledger.fhir.search.execute import SearchResult
from careledger.fhir.search.execute import search as execute
from careledger.fhir.search.query import CURSOR, Query, parse
from careledger.fhir.visibility import search_scope
from careledger.vault.model import Version

_FORM = frozenset({b"application/x-www-form-urlencoded"})
_FORM_PAIRS_MAX = 128
_CUT = Issue(
    "warning",
    "too-costly",
    "",
    "More was to be included than a page holds: some of it is left out.",
    "Ask for smaller pages by _count, or search for what is missing by itself.",
)
PAGE = "_page"
"""A whole search, sealed: what was posted does not turn up in a link."""


async def search(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """A searchset of what the caller may see. Denials, counts and empty answers are logged as the house's."""
    pairs, sealed = _pairs(context, request, match.type)
    backend = context.backend
    query = parse(
        match.type,
        pairs,
        strict=prefer(request).strict,
        now_ms=backend.now_ms(),
        base=backend.base_url,
        count=context.limits.page_default,
        count_max=context.limits.page_max,
    )
    with backend.snapshot() as snapshot:
        asking = ask(context, request, snapshot)
        decision = demand_whole(asking, "count" if query.count_only else "search", match.type)
        scope = search_scope(asking, match.type)
        after = Cursor.decode(query.cursor, backend.cursor_key, query) if query.cursor else None
        including = bool(query.includes or query.revincludes)
        room = context.limits.page_bytes
        result = execute(snapshot, context.charts, query, scope, after, room // 2 if including else room)
        bodies = result.bodies or []
        matches = list(zip(result.matches, bodies, strict=True))
        includes: list[tuple[Version, bytes]] = []
        if result.includes:
            opened = snapshot.bodies(result.includes, room - sum(map(len, bodies)))
            includes = list(zip(result.includes, opened, strict=False))
    kind = "count" if query.count_only else "search"
    await record(asking, decision, kind, _what(query), _leaving(result.matches, includes))
    cut = result.truncated or len(includes) < len(result.includes)
    if query.summary or query.elements:
        view = View(query.summary, query.elements)
        if not view.whole:
            matches = [(version, subset(body, view)) for version, body in matches]
    links = _links(context, match.type, query, result, sealed)
    said = outcome([_CUT]) if cut else b""
    return search_bundle(backend.base_url, matches, includes, result.total, links, said)


def _leaving(matches: Sequence[Version], includes: Sequence[tuple[Version, bytes]]) -> ByChart:
    charts: ByChart = {}
    for version in matches:
        _leave(charts, version)
    for version, _ in includes:
        _leave(charts, version)
    return charts


def _leave(charts: ByChart, version: Version) -> None:
    if version.links:
        merge(charts, leaving(version))
    elif version.chart in charts:
        charts[version.chart].append(version.leaf)
    else:
        charts[version.chart] = [version.leaf]


def _pairs(context: Context, request: FhirRequest, type: str) -> tuple[Sequence[tuple[str, str]], bool]:
    """The search parameters, and whether they must stay out of links: those of a form (R4: url and form together)."""
    if request.method == "POST":
        check_content_type(request, _FORM)
        try:
            form = parse_qsl(
                request.body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FORM_PAIRS_MAX
            )
        except ValueError:
            raise Refused(400, "value", "The form cannot be read.", hint="UTF-8, percent-encoded.") from None
        return [*request.query, *form], True
    page = next((value for name, value in request.query if name == PAGE), None)
    if page is None:
        return request.query, False
    opened = paging.open_cursor(context, page, f"search {type}")
    return msgspec.json.decode(str(opened[0]), type=list[tuple[str, str]]), True


def _links(context: Context, type: str, query: Query, result: SearchResult, sealed: bool) -> list[Link]:
    base = f"{context.backend.base_url}/{type}"
    following = None if result.next is None else result.next.encode(context.backend.cursor_key, query)
    if sealed:
        found = [("self", f"{base}/_search")]
        if following is not None:
            pairs = msgspec.json.encode([*query.applied, (CURSOR, following)]).decode()
            found.append(("next", f"{base}?{PAGE}={paging.seal(context, f'search {type}', (pairs,))}"))
        return found
    here = [*query.applied, (CURSOR, query.cursor)] if query.cursor else query.applied
    found = [("self", paging.url(base, here))]
    if following is not None:
        found.append(("next", paging.url(base, [*query.applied, (CURSOR, following)])))
    return found


def _what(query: Query) -> str:
    return f"{query.type}?" + "&".join(f"{name}={value}" for name, value in query.applied)
