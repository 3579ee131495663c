"""Answers made of stored bytes: a body is never decoded in order to be sent.

A Bundle is its entries' bytes between commas. Only `_summary` and `_elements` take a resource apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from careledger.fhir import json
from careledger.fhir.definitions import definitions
from careledger.fhir.freshid import fresh_id
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.outcomes import outcome
from careledger.fhir.preferences import View, http_date, prefer
from careledger.vault.model import ResourceWrite, Version

FHIR_JSON = (b"content-type", b"application/fhir+json; charset=utf-8")
STATUS_TEXT = {200: "200 OK", 201: "201 Created", 204: "204 No Content"}

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "Resource encoded in summary mode",
}

Link = tuple[str, str]
"""Relation and url."""


def validators(version: int, time_ms: int) -> list[tuple[bytes, bytes]]:
    """ETag and Last-Modified of a version (R4 http.html#versioning)."""
    return [(b"etag", b'W/"%d"' % version), (b"last-modified", http_date(time_ms // 1000))]


def location(base_url: str, type: str, id: str, version: int) -> tuple[bytes, bytes]:
    return (b"location", f"{base_url}/{type}/{id}/_history/{version}".encode())


def resource(version: Version, body: bytes) -> FhirResponse:
    """200 with the stored bytes."""
    return FhirResponse(
        200,
        [
            FHIR_JSON,
            (b"etag", b'W/"%d"' % version.version),
            (b"last-modified", http_date(version.time_ms // 1000)),
        ],
        body,
    )


def not_modified(version: Version) -> FhirResponse:
    return FhirResponse(304, validators(version.version, version.time_ms))


def projected(version: Version, body: bytes, view: View) -> FhirResponse:
    """200 with the part of the resource that `_summary` or `_elements` leaves."""
    response = resource(version, body)
    return FhirResponse(200, response.headers, subset(body, view))


def subset(body: bytes, view: View) -> bytes:
    """The part asked for, tagged SUBSETTED; mandatory elements and modifiers always stay (R4 search.html#elements)."""
    whole = json.loads(body)
    type = whole["resourceType"]
    keep = _kept(type, view.summary, view.elements)
    part = {name: value for name, value in whole.items() if name in keep or name.lstrip("_") in keep}
    if view.summary == "data":
        part = {name: value for name, value in whole.items() if name != "text"}
    meta = dict(part.get("meta") or {})
    meta["tag"] = [*meta.get("tag", ()), _SUBSETTED]
    part["meta"] = meta
    return json.dumps(part)


@lru_cache(maxsize=512)
def _kept(type: str, summary: str, elements: tuple[str, ...]) -> frozenset[str]:
    """Top-level JSON properties that stay."""
    always = {"resourceType", "id", "meta"}
    wanted = {name.removeprefix(type + ".").split(".")[0] for name in elements}
    for name, element in definitions().type(type).elements.items():
        asked = element.summary if summary == "true" else name in wanted or element.name in wanted
        if asked or element.min or element.modifier or (summary == "text" and name == "text"):
            always.add(name)
    if summary == "text":
        always.add("text")
    return frozenset(always)


def stored(
    base_url: str,
    request: FhirRequest,
    write: ResourceWrite | Version,
    status: int,
    body: bytes | None = None,
) -> FhirResponse:
    """The answer to a write: where it is, its version, and what `Prefer: return` asks for."""
    if isinstance(write, Version):
        version = write.version
    else:
        version, body = write.expected_version + 1, write.body
    headers = [
        location(base_url, write.type, write.id, version),
        (b"etag", b'W/"%d"' % version),
        (b"last-modified", http_date(write.time_ms // 1000)),
    ]
    returns = prefer(request).returns
    if returns == "minimal":
        return FhirResponse(status, headers)
    headers.append(FHIR_JSON)
    if returns == "OperationOutcome":
        return FhirResponse(status, headers, outcome(()))
    return FhirResponse(status, headers, body or b"")


def deleted(write: ResourceWrite | None) -> FhirResponse:
    """204; with the deletion's version where there was something to delete."""
    return FhirResponse(204, [] if write is None else [(b"etag", b'W/"%d"' % (write.expected_version + 1))])


# Bundles


def entry_prefix(base_url: str, type: str, id: str) -> bytes:
    """The first bytes of an entry, up to its resource."""
    return f'{{"fullUrl":"{base_url}/{type}/{id}","resource":'.encode()


_MATCH = b',"search":{"mode":"match"}}'
_INCLUDE = b',"search":{"mode":"include"}}'


def everything_bundle(parts: Sequence[tuple[bytes, bytes]], links: Sequence[Link]) -> FhirResponse:
    """A searchset of (prefix, body)."""
    out = [_head("searchset", None, links)]
    if parts:
        out.append(b',"entry":[')
        for prefix, body in parts:
            out += (prefix, body, _MATCH, b",")
        out[-1] = b"]"
    out.append(b"}")
    return FhirResponse(200, [FHIR_JSON], b"".join(out))


def search_bundle(
    base_url: str,
    matches: Sequence[tuple[Version, bytes]],
    includes: Sequence[tuple[Version, bytes]],
    total: int | None,
    links: Sequence[Link],
    outcomes: bytes = b"",
) -> FhirResponse:
    """A searchset: matches, then includes, then an OperationOutcome with what was ignored, if anything was."""
    out = [_head("searchset", total, links)]
    if matches or includes or outcomes:
        out.append(b',"entry":[')
        start = f'{{"fullUrl":"{base_url}/'
        for version, body in matches:
            out += (f'{start}{version.type}/{version.id}","resource":'.encode(), body, _MATCH, b",")
        for version, body in includes:
            out += (f'{start}{version.type}/{version.id}","resource":'.encode(), body, _INCLUDE, b",")
        if outcomes:
            out += (b'{"resource":', outcomes, b',"search":{"mode":"outcome"}}', b",")
        out[-1] = b"]"
    out.append(b"}")
    return FhirResponse(200, [FHIR_JSON], b"".join(out))


def _head(kind: str, total: int | None, links: Sequence[Link]) -> bytes:
    count = "" if total is None else f',"total":{total}'
    rows = ",".join(
        f'{{"relation":"{relation}","url":{json.dumps(url).decode()}}}' for relation, url in links
    )
    return f'{{"resourceType":"Bundle","id":"{fresh_id()}","type":"{kind}"{count},"link":[{rows}]'.encode()


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A version in a history: its body (None for a deletion, or if it was erased), and whether a PUT made the resource with it."""

    version: Version
    body: bytes | None
    put_created: bool


def history_bundle(
    base_url: str,
    shown: Sequence[HistoryEntry],
    total: int | None,
    links: Sequence[Link],
) -> FhirResponse:
    """A history Bundle: each version with how it came about (R4 bundle.html#history)."""
    entries = [_history_entry(base_url, entry) for entry in shown]
    body = _head("history", total, links) + (b',"entry":[' + b",".join(entries) + b"]}" if entries else b"}")
    return FhirResponse(200, [FHIR_JSON], body)


def _history_entry(base_url: str, entry: HistoryEntry) -> bytes:
    version, body = entry.version, entry.body
    name = f"{version.type}/{version.id}"
    if body is None:
        method, url, status = "DELETE", name, "410 Gone" if version.erased else STATUS_TEXT[204]
    elif version.version == 1 and not entry.put_created:
        method, url, status = "POST", version.type, STATUS_TEXT[201]
    else:
        method, url, status = "PUT", name, STATUS_TEXT[201 if entry.put_created else 200]
    content = b"" if body is None else b',"resource":' + body
    return b'{"fullUrl":"%s"%s,"request":{"method":"%s","url":"%s"},"response":%s}' % (
        f"{base_url}/{name}".encode(),
        content,
        method.encode(),
        url.encode(),
        _response(status, "", version.version, version.time_ms),
    )


def _response(status: str, place: str, version: int, time_ms: int) -> bytes:
    where = f'"location":"{place}",' if place else ""
    return f'{{"status":"{status}",{where}"etag":"W/\\"{version}\\"","lastModified":"{json.instant(time_ms)}"}}'.encode()


def written_entry(
    write: ResourceWrite | None, found: Version | None, status: int, returns: str, found_body: bytes = b""
) -> bytes:
    """The response entry of a write in a batch or transaction."""
    done = write or found
    if done is None:
        return b'{"response":{"status":"204 No Content"}}'
    version = done.version if isinstance(done, Version) else done.expected_version + 1
    place = "" if status == 204 else f"{done.type}/{done.id}/_history/{version}"
    response = _response(STATUS_TEXT[status], place, version, done.time_ms)
    if returns == "OperationOutcome":
        response = response[:-1] + b',"outcome":' + outcome(()) + b"}"
    body = write.body if write is not None else found_body
    if returns == "representation" and body:
        return b'{"resource":%s,"response":%s}' % (body, response)
    return b'{"response":%s}' % response


def answered_entry(answer: FhirResponse) -> bytes:
    """The response entry of what was served as a request of its own."""
    fields = [f'"status":"{answer.status} {_PHRASES.get(answer.status, "")}"'.replace(' "', '"').encode()]
    for name, key in ((b"location", b"location"), (b"etag", b"etag")):
        value = next((value for header, value in answer.headers if header == name), None)
        if value is not None:
            fields.append(b'"%s":%s' % (key, json.dumps(value.decode())))
    if answer.body and answer.status >= 400:
        fields.append(b'"outcome":' + answer.body)
    response = b"{" + b",".join(fields) + b"}"
    if answer.body and answer.status < 400:
        return b'{"resource":%s,"response":%s}' % (answer.body, response)
    return b'{"response":%s}' % response
