"""A received batch or transaction Bundle, read strictly but with its resources still as bytes.

Only the frame is decoded at once: each resource is decoded in its turn, so that 20,000 of them do not hold up
everybody else. Frame and resources together are read as strictly as one JSON document.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

import msgspec

from careledger.fhir import json
from careledger.fhir.refusals import Refused, is_id


class EntryRequest(msgspec.Struct):
    """Bundle.entry.request (R4 bundle.html)."""

    method: str = ""
    url: str = ""
    ifMatch: str | None = None
    ifNoneMatch: str | None = None
    ifModifiedSince: str | None = None
    ifNoneExist: str | None = None


class Entry(msgspec.Struct):
    """One entry; `resource` is empty where there is none."""

    request: EntryRequest | None = None
    resource: msgspec.Raw = msgspec.Raw()
    fullUrl: str | None = None


class Form(msgspec.Struct):
    """The frame of a Bundle."""

    resourceType: str = ""
    type: str = ""
    entry: list[Entry] = []


_decode = msgspec.json.Decoder(Form).decode


def read_form(body: bytes, entries_max: int) -> Form:
    """The Bundle's frame. Raises Invalid or Refused(400) for what is no Bundle to process, Refused(413) over the limit."""
    try:
        form = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        json.loads(body)  # raises with the place, if the JSON itself is at fault
        raise Refused(400, "structure", "The body is not a Bundle of entries.", where="Bundle") from None
    if len(form.entry) > entries_max:
        raise Refused(
            413,
            "too-costly",
            f"The Bundle has more than {entries_max} entries.",
            hint="Send it in parts.",
            where="Bundle.entry",
        )
    json.loads(_frame(body, form))
    if form.resourceType != "Bundle":
        raise Refused(400, "invalid", "Only a Bundle can be posted to the base.", where="resourceType")
    if form.type not in ("transaction", "batch"):
        raise Refused(
            400,
            "value",
            "Bundle.type is neither transaction nor batch.",
            where="Bundle.type",
            hint="Set Bundle.type.",
        )
    return form


def _frame(body: bytes, form: Form) -> bytes:
    """The Bundle with its resources left out: what remains to be read strictly."""
    parts, position = [], 0
    for entry in form.entry:
        if entry.resource:
            raw = bytes(entry.resource)
            start = body.index(raw, position)
            parts.append(body[position:start])
            parts.append(b"0")
            position = start + len(raw)
    parts.append(body[position:])
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Address:
    """What Bundle.entry.request.url names: `Type`, `Type/id`, `Type?criteria`, or more path with a query."""

    type: str
    id: str = ""
    query: str = ""
    path: tuple[str, ...] = ()


def address(url: str, base_url: str, types: frozenset[str]) -> Address:
    """Raises Refused(400) for a url that is not below this server's base or names no resource type."""
    if url in types:
        return _address_of(url)  # as every create of a Bundle
    if url.startswith(base_url + "/"):
        url = url[len(base_url) + 1 :]
    path, _, query = url.lstrip("/").partition("?")
    segments = tuple(unquote(part) for part in path.split("/"))
    if segments[0] not in types or any(not part for part in segments):
        raise Refused(
            400,
            "value",
            "entry.request.url names no resource type of this server.",
            hint="Write it relative to the base: Type, Type/id or Type?criteria.",
        )
    logical_id = segments[1] if len(segments) == 2 and is_id(segments[1]) else ""
    return Address(segments[0], logical_id, query, segments)


@cache
def _address_of(type: str) -> Address:
    return Address(type, path=(type,))
