"""Every path of the FHIR interface, in one literal table: method, pattern, interaction.

`{type}` matches a known resource type, `{id}` and `{vid}` an id; everything else matches itself. The
CapabilityStatement is made of this table, so what it states is what is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from careledger.fhir.refusals import Refused, is_id

_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Route:
    """One path with one method. `code` is the CapabilityStatement's interaction or operation name."""

    method: str
    pattern: str
    interaction: str
    code: str = ""


ROUTES: tuple[Route, ...] = (
    Route("GET", "metadata", "capabilities"),
    Route("POST", "", "bundle", "transaction batch"),
    Route("GET", "{type}", "search", "search-type"),
    Route("POST", "{type}/_search", "search"),
    Route("POST", "{type}", "create", "create"),
    Route("PUT", "{type}", "conditional_update"),
    Route("DELETE", "{type}", "conditional_delete"),
    Route("GET", "{type}/_history", "history_type", "history-type"),
    Route("POST", "{type}/$validate", "validate", "$validate"),
    Route("GET", "{type}/{id}", "read", "read"),
    Route("PUT", "{type}/{id}", "update", "update"),
    Route("DELETE", "{type}/{id}", "delete", "delete"),
    Route("GET", "{type}/{id}/_history", "history_instance", "history-instance"),
    Route("GET", "{type}/{id}/_history/{vid}", "vread", "vread"),
    Route("POST", "{type}/{id}/$validate", "validate"),
    Route("GET", "Patient/{id}/$everything", "everything", "$everything"),
    Route("POST", "Patient/{id}/$emergency-access", "emergency_access", "$emergency-access"),
)
"""HEAD is answered as GET without the body."""


@dataclass(frozen=True, slots=True)
class Match:
    """Where a request goes, and what its path named."""

    interaction: str
    type: str = ""
    id: str = ""
    vid: str = ""
    route: str = ""  # the pattern with its type: names no resource


def _shape(segments: tuple[str, ...], types: frozenset[str]) -> str:
    """The pattern a path would have in the table, or the path itself where it has none."""
    named = list(segments)
    if named and named[0] in types:
        named[0] = "{type}"
        if len(named) > 1 and named[1][:1] not in ("_", "$", ""):
            named[1] = "{id}"
        if len(named) == 4 and named[2] == "_history":
            named[3] = "{vid}"
    return "/".join(named)


_TABLE: dict[str, dict[str, Route]] = {}
for _route in ROUTES:
    _TABLE.setdefault(_route.pattern, {})[_route.method] = _route


def match(method: str, path: Sequence[str], types: frozenset[str]) -> Match:
    """The interaction for a method and a decoded path below the base.

    Raises Refused: 404 for what is no path of this interface, 501 for a FHIR path not offered, 405 for a method
    that the path does not take (with `Allow`).
    """
    segments, shape, routes = _routes_at(path, types)
    if routes is None:
        raise _no_such_path(segments, types)
    route = routes.get("GET" if method == "HEAD" else method)
    if route is None and not segments and method == "GET":
        raise Refused(
            501, "not-supported", "A search over all types is not supported.", hint="Search one type."
        )
    if route is None:
        raise _no_such_method(method, routes)
    if shape == route.pattern or shape.startswith("{type}/{id}"):
        return _match(route, segments)
    raise _no_such_path(segments, types)


def _match(route: Route, segments: tuple[str, ...]) -> Match:
    pattern = route.pattern
    if not pattern or pattern == "metadata":
        return Match(route.interaction, route=pattern or "/")
    logical_id = segments[1] if "{id}" in pattern else ""
    if logical_id and not is_id(logical_id):
        raise Refused(400, "value", "The id in the path is not a FHIR id.", hint="1 to 64 of A-Z a-z 0-9 - .")
    vid = segments[3] if "{vid}" in pattern else ""
    return Match(route.interaction, segments[0], logical_id, vid, _template(pattern, segments[0]))


@cache
def _template(pattern: str, type: str) -> str:
    return pattern.replace("{type}", type).replace("{id}", "[id]").replace("{vid}", "[vid]")


def _no_such_path(segments: tuple[str, ...], types: frozenset[str]) -> Refused:
    if not segments or segments[0] == "_history" or segments[0][:1] in ("$", "_"):
        return Refused(501, "not-supported", "This server has no such whole-system interaction.")
    if segments[0] not in types:
        return Refused(404, "not-supported", "The path names no FHIR R4 resource type.", hint="See metadata.")
    if segments[-1][:1] == "$":
        return Refused(501, "not-supported", "This operation is not supported.", hint="See metadata.")
    return Refused(404, "not-found", "There is no such path in the FHIR interface.", hint="See metadata.")


def _routes_at(
    path: Sequence[str], types: frozenset[str]
) -> tuple[tuple[str, ...], str, dict[str, Route] | None]:
    segments = tuple(path)
    if segments and segments[-1] == "":
        segments = segments[:-1]
    shape = _shape(segments, types)
    routes = _TABLE.get(shape)
    if len(segments) == 3 and segments[2][:1] == "$":
        routes = _TABLE.get(f"{segments[0]}/{{id}}/{segments[2]}", routes)
    return segments, shape, routes


def allowed_methods(path: Sequence[str], types: frozenset[str]) -> frozenset[str]:
    """The methods that a path takes, HEAD and OPTIONS included; none where there is no such path."""
    routes = _routes_at(path, types)[2]
    if not routes:
        return frozenset()
    return frozenset((*routes, "OPTIONS", *(("HEAD",) if "GET" in routes else ())))


def _no_such_method(method: str, routes: dict[str, Route]) -> Refused:
    allowed = ", ".join(sorted(routes) + (["HEAD"] if "GET" in routes else []))
    status = 405 if method in _KNOWN_METHODS else 501
    return Refused(
        status,
        "not-supported",
        "This path does not take that method.",
        hint=f"Allowed here: {allowed}.",
        headers=((b"allow", allowed.encode()),),
    )
