"""A received batch or transaction Bundle, read strictly but with its resources still as bytes.

Only where its entries lie is found at once: they, and each resource of theirs, are decoded in their turn, so that 20,000
of them do not hold up everybody else. Frame, entries and resources together are read as strictly as one JSON document.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

import msgspec

from careledger.fhir import json
from careledger.fhir.refusals import Refused, is_id
from careledger.fhir.slices import Slices
from careledger.primitives.errors import Invalid


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


class _Outline(msgspec.Struct):
    """A Bundle whose entries are still bytes."""

    resourceType: str = ""
    type: str = ""
    entry: list[msgspec.Raw] = []


ENTRIES_PER_STEP = 64
_decode = msgspec.json.Decoder(Form).decode
_decode_outline = msgspec.json.Decoder(_Outline).decode
_decode_entry = msgspec.json.Decoder(Entry).decode


async def read_form(body: bytes, entries_max: int, slices: Slices) -> Form:
    """The Bundle's frame. Raises Invalid or Refused(400) for what is no Bundle to process, Refused(413) over the limit."""
    try:
        outline = _decode_outline(body)
        _check_count(len(outline.entry), entries_max)
        form = Form(outline.resourceType, outline.type, [])
        between = Remainder(body)
        for at in range(0, len(outline.entry), ENTRIES_PER_STEP):
            if slices.due():
                await slices.rest()
            raws = outline.entry[at : at + ENTRIES_PER_STEP]
            entries = [_decode_entry(raw) for raw in raws]
            form.entry += entries
            for raw in raws:
                between.leave_out(bytes(raw))
            _check_entries(raws, entries, body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        json.loads(body)  # raises with the place, if the JSON itself is at fault
        raise Refused(400, "structure", "The body is not a Bundle of entries.", where="Bundle") from None
    json.loads(between.text())
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


def _check_count(count: int, entries_max: int) -> None:
    if count > entries_max:
        raise Refused(
            413,
            "too-costly",
            f"The Bundle has more than {entries_max} entries.",
            hint="Send it in parts.",
            where="Bundle.entry",
        )


def _check_entries(raws: list[msgspec.Raw], entries: list[Entry], body: bytes) -> None:
    """Read some entries strictly, but for their resources. Raises Invalid, with the place in the whole body."""
    frames = []
    for raw, entry in zip(raws, entries, strict=True):
        frame = Remainder(bytes(raw))
        if entry.resource:
            frame.leave_out(bytes(entry.resource))
        frames.append(frame.text())
    try:
        json.loads(b'{"entry":[' + b",".join(frames) + b"]}")
    except Invalid:
        json.loads(_frame(body, _decode(body)))
        raise


def _frame(body: bytes, form: Form) -> bytes:
    """The Bundle with its resources left out."""
    frame = Remainder(body)
    for entry in form.entry:
        if entry.resource:
            frame.leave_out(bytes(entry.resource))
    return frame.text()


class Remainder:
    """JSON from which values are left out, in their order: what remains is read strictly by itself."""

    __slots__ = ("_body", "_parts", "_position")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._parts: list[bytes] = []
        self._position = 0

    def leave_out(self, value: bytes) -> None:
        """Put 0 in the place of the next occurrence of `value`."""
        start = self._body.index(value, self._position)
        self._parts.append(self._body[self._position : start])
        self._parts.append(b"0")
        self._position = start + len(value)

    def text(self) -> bytes:
        """What remains."""
        return b"".join((*self._parts, self._body[self._position :]))


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
