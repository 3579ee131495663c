"""Answers made of stored bytes: a body is never decoded in order to be sent.

A Bundle is its entries' bytes between commas. Only `_summary` and `_elements` take a resource apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from careledger.fhir import json
from careledger.fhir.definitions import summary_elements
from careledger.fhir.messages import FhirResponse
from careledger.fhir.outcomes import outcome
from careledger.fhir.preferences import View, http_date
from careledger.vault.model import Version

FHIR_JSON = (b"content-type", b"application/fhir+json; charset=utf-8")
STATUS_TEXT = {200: "200 OK", 201: "201 Created", 204: "204 No Content"}

Link = tuple[str, str]


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


def issues_response(status: int, severity: str, code: str, text: str) -> FhirResponse:
    """An OperationOutcome of one issue: for what went well and is worth a word."""
    return FhirResponse(status, [FHIR_JSON], outcome(severity, code, text))
