"""`_include` and `_revinclude`: one step along references, within the caller's scope, each resource once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from careledger.fhir.search import terms as t
from careledger.fhir.search.bitsets import members
from careledger.fhir.search.chartindex import ChartIndexCache
from careledger.fhir.search.compile import Parameter, search_of
from careledger.fhir.search.conditions import Condition
from careledger.fhir.search.parsing import local_reference
from careledger.fhir.search.query import Include, Query
from careledger.fhir.search.scope import Scope, version_at
from careledger.fhir.search.values import REFERENCE
from careledger.vault.model import HOUSE_CHART, Snapshot, Version

INCLUDED_MAX: Final = 1_000
"""Resources included in one page."""
LOOKED_UP_MAX: Final = 10_000
"""References that are followed for one page, whether they lead to something or not."""

_LITERAL = re.compile(
    r"(?:^|/)([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$"
)
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def included(
    snapshot: Snapshot,
    cache: ChartIndexCache,
    query: Query,
    scope: Scope,
    matches: list[Version],
    height: int,
) -> tuple[list[Version], bool]:
    """What the page's matches include, none of the matches among it; and whether some was left out over the limit."""
    if not matches or not (query.includes or query.revincludes):
        return [], False
    seen = {(match.type, match.id) for match in matches}
    found: list[Version] = []
    for looked_up, version in enumerate(_all(snapshot, cache, query, scope, matches, height)):
        if looked_up == LOOKED_UP_MAX:
            return found, True
        if version is not None and (version.type, version.id) not in seen:
            if len(found) == INCLUDED_MAX:
                return found, True
            seen.add((version.type, version.id))
            found.append(version)
    return found, False


def _all(
    snapshot: Snapshot,
    cache: ChartIndexCache,
    query: Query,
    scope: Scope,
    matches: list[Version],
    height: int,
) -> Iterator[Version | None]:
    """One after the other; None for a reference that leads to nothing the caller may see."""
    if query.includes:
        for type, id in _targets(snapshot, query, matches):
            version = version_at(snapshot, type, id, height)
            yield version if version is not None and scope.sees(version) else None
    for include in query.revincludes:
        yield from _referring(snapshot, cache, include, scope, matches, height)


def _targets(snapshot: Snapshot, query: Query, matches: list[Version]) -> Iterator[tuple[str, str]]:
    """(type, id) of what the matches refer to, in order, each once. Ids are in the bodies alone."""
    seen = set()
    search = search_of(query.type)
    for match in matches:
        resource = _decode(snapshot.body(match))
        for include in query.includes:
            for parameter in include.parameters:
                for target in _literals(search.elements(resource, parameter), parameter):
                    if target not in seen and include.target in ("", target[0]):
                        seen.add(target)
                        yield target


def _literals(elements: list[Any], parameter: Parameter) -> Iterator[tuple[str, str]]:
    for element in elements:
        text = element.get("reference") if element.__class__ is dict else element
        literal = _LITERAL.search(text) if text.__class__ is str else None
        if literal is not None and parameter.resolves in ("", literal.group(1)):
            yield literal.group(1), literal.group(2)


def _referring(
    snapshot: Snapshot,
    cache: ChartIndexCache,
    include: Include,
    scope: Scope,
    matches: list[Version],
    height: int,
) -> Iterator[Version]:
    """Resources of the include's source type that refer to a match.

    They are looked for in the matches' charts, the house chart, and charts with a term for the reference.
    """
    values = tuple(local_reference(match.type, match.id) for match in matches)
    charts = {HOUSE_CHART}
    for match, value in zip(matches, values, strict=True):
        charts.add(match.chart)
        charts.update(chart for chart, _ in match.links)
        charts.update(snapshot.charts_with(t.reference_term(value.key)))
    seen = set()
    for chart in sorted(charts):
        index = cache.get(snapshot, chart).type(include.source) if scope.holds(chart) else None
        if index is None:
            continue
        bits = 0
        for parameter in include.parameters:
            bits |= index.match((Condition(parameter.code, REFERENCE, values, "", parameter),), height)
        if scope.within is not None:
            bits = scope.within(index, bits)
        for ordinal in members(bits):
            version = version_at(snapshot, include.source, index.ids[ordinal], height)
            if version is None or version.id in seen:
                continue
            if scope.within is not None or scope.sees(version):
                seen.add(version.id)
                yield version
        cache.settle(chart)
