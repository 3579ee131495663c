"""Index values as bytes: how each FHIR data type is written into a values blob, by kind of search parameter.

Tokens and references are 8-byte hashes (of SHA-256): equal values give equal bytes, which compress well and compare
fast; the blob is sealed by the vault, so the hash need not be keyed. So are uris. Dates are pairs of integers,
strings and decimals are text. An element that is there but holds nothing to search for leaves a mark for `:missing`.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from careledger.fhir.definitions import definitions
from careledger.fhir.search.dates import BEGINNING, END, date_range
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import sha256

Encoder = Callable[[Sequence[Any], str], bytes]
"""(values, own base URL) -> bytes; empty if none of the values is there."""

TOKEN, STRING, DATE, REFERENCE, QUANTITY, NUMBER, URI = range(7)
KINDS: Final = {
    "token": TOKEN,
    "string": STRING,
    "date": DATE,
    "reference": REFERENCE,
    "quantity": QUANTITY,
    "number": NUMBER,
    "uri": URI,
}

NONE: Final = bytes(8)
"""Hash of what is not there: no system, no code. No query has it."""
FOREIGN: Final = 255
"""Reference tag: a URL that is not this server's, or a canonical."""
LOGICAL: Final = 254
"""Reference tag: an identifier in place of a literal reference (two hashes follow)."""
OTHER: Final = 253
"""Reference tag: a literal reference to a type that R4 does not define."""
STRING_MAX: Final = 1024
"""Characters of a string that are searched; queries are shorter."""

_DATE = struct.Struct("<qq")
_SPECIAL: Final = "http://terminology.hl7.org/CodeSystem/special-values"


@lru_cache(maxsize=65536)
def hash8(text: str) -> bytes:
    """8 bytes that stand for `text`; `NONE` for the empty string."""
    return sha256(text.encode("utf-8", "replace"))[:8] if text else NONE


@lru_cache(maxsize=65536)
def token(system: str, code: str) -> bytes:
    return hash8(system) + hash8(code)


@lru_cache(maxsize=1)
def type_tags() -> dict[str, int]:
    """Resource type -> its tag in references: the position among R4's types in alphabetical order."""
    return {name: tag for tag, name in enumerate(sorted(definitions().resource_types))}


@lru_cache(maxsize=32768)
def normalise(text: str) -> str:
    """Case, accents and white space do not count in a string search (R4 search.html#string)."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in folded if not unicodedata.combining(c)).split())


def number_text(value: Any) -> str:
    """The decimal as received, or "" if it is not a number."""
    if value.__class__ is bool or value is None or isinstance(value, (dict, list)):
        return ""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _framed(texts: Sequence[str]) -> bytes:
    parts = []
    for text in texts:
        data = text[:STRING_MAX].encode("utf-8", "replace")
        parts.append(len(data).to_bytes(2, "little"))
        parts.append(data)
    return b"".join(parts)


# token: (hash of system, hash of code) each


def codes(values: Sequence[Any], base: str) -> bytes:
    """code, id, string, uri: no system."""
    if len(values) == 1:
        return token("", values[0]) if values[0].__class__ is str else b""
    return b"".join([token("", value) for value in values if value.__class__ is str])


def booleans(values: Sequence[Any], base: str) -> bytes:
    return b"".join(
        [token(_SPECIAL, "true" if value else "false") for value in values if value.__class__ is bool]
    )


def codings(values: Sequence[Any], base: str) -> bytes:
    return b"".join(
        [token(_text(v.get("system")), _text(v.get("code"))) for v in values if v.__class__ is dict]
    )


def concepts(values: Sequence[Any], base: str) -> bytes:
    """CodeableConcept: every coding; one of text alone leaves its mark."""
    found = []
    for value in values:
        if value.__class__ is dict:
            listed = value.get("coding")
            if listed.__class__ is list and listed:
                for coding in listed:
                    system, code = coding.get("system", ""), coding.get("code", "")
                    found.append(
                        token(system, code) if code.__class__ is system.__class__ is str else NONE + NONE
                    )
            else:
                found.append(NONE + NONE)
    return b"".join(found)


def identifiers(values: Sequence[Any], base: str) -> bytes:
    return b"".join(
        [token(_text(v.get("system")), _text(v.get("value"))) for v in values if v.__class__ is dict]
    )


def contacts(values: Sequence[Any], base: str) -> bytes:
    """ContactPoint: its value; `phone` and `email` are no systems in a token's sense."""
    return b"".join([token("", _text(v.get("value"))) for v in values if v.__class__ is dict])


def truths(values: Sequence[Any], base: str) -> bytes:
    """`x.exists() and x != false`: always one boolean, also where the element is absent."""
    return token(_SPECIAL, "true" if any(value is not False for value in values) else "false")


# string: framed text


def strings(values: Sequence[Any], base: str) -> bytes:
    return _framed([value for value in values if value.__class__ is str])


def _parts(values: Sequence[Any], singles: tuple[str, ...], lists: tuple[str, ...]) -> bytes:
    found: list[str] = []
    for value in values:
        if value.__class__ is dict:
            found += [_text(value.get(name)) for name in singles]
            for name in lists:
                listed = value.get(name)
                if listed.__class__ is list:
                    found += [text for text in listed if text.__class__ is str]
    return _framed([text for text in found if text]) or (_framed([""]) if values else b"")


def names(values: Sequence[Any], base: str) -> bytes:
    """HumanName: any of its parts (R4 search.html#string)."""
    return _parts(values, ("family", "text"), ("given", "prefix", "suffix"))


def addresses(values: Sequence[Any], base: str) -> bytes:
    return _parts(values, ("city", "district", "state", "postalCode", "country", "text"), ("line",))


# date: pairs of 64-bit integers


@lru_cache(maxsize=16384)
def _packed_date(text: str) -> bytes:
    try:
        return _DATE.pack(*date_range(text))
    except Invalid:
        return b""  # content is checked on writing; what slips through is not found by date


def dates(values: Sequence[Any], base: str) -> bytes:
    if len(values) == 1:
        return _packed_date(values[0]) if values[0].__class__ is str else b""
    return b"".join([_packed_date(value) for value in values if value.__class__ is str])


def _edge(text: Any, start: bool) -> int:
    packed = _packed_date(text) if isinstance(text, str) else b""
    if not packed:
        return BEGINNING if start else END
    lo, hi = _DATE.unpack(packed)
    return int(lo if start else hi)


def periods(values: Sequence[Any], base: str) -> bytes:
    return b"".join(
        [
            _DATE.pack(_edge(v.get("start"), True), _edge(v.get("end"), False))
            for v in values
            if v.__class__ is dict
        ]
    )


def timings(values: Sequence[Any], base: str) -> bytes:
    """Timing: from its first event (or bound) to its last."""
    found = []
    for value in values:
        if value.__class__ is dict:
            events = dates(value.get("event") or (), base)
            repeat = value.get("repeat")
            bounds = repeat.get("boundsPeriod") if repeat.__class__ is dict else None
            spans = events + (periods((bounds,), base) if bounds else b"")
            pairs = list(_DATE.iter_unpack(spans))
            if pairs:
                found.append(_DATE.pack(min(lo for lo, _ in pairs), max(hi for _, hi in pairs)))
    return b"".join(found)


# reference: a tag, then one hash (two after LOGICAL)


@lru_cache(maxsize=65536)
def literal(reference: str, base: str) -> bytes:
    """A literal reference or canonical: of this server by type and id, of elsewhere by its URL (with, without version)."""
    if base and reference.startswith(base) and reference.startswith("/", len(base)):
        reference = reference[len(base) + 1 :]
    if reference.startswith("#") or not reference:
        return b""
    parts = reference.split("/")
    if ":" not in reference and (len(parts) == 2 or (len(parts) == 4 and parts[2] == "_history")):
        return bytes((type_tags().get(parts[0], OTHER),)) + hash8(parts[1])
    plain, bar, _ = reference.partition("|")
    mark = bytes((FOREIGN,))
    return mark + hash8(plain) + (mark + hash8(reference) if bar else b"")


def references(values: Sequence[Any], base: str) -> bytes:
    if len(values) == 1 and values[0].__class__ is dict and "identifier" not in values[0]:
        target = values[0].get("reference")  # nearly always
        return literal(target, base) if target.__class__ is str else b""
    found = []
    for value in values:
        if value.__class__ is dict:
            target = value.get("reference")
            if target.__class__ is str:
                found.append(literal(target, base))
            identifier = value.get("identifier")
            if identifier.__class__ is dict:
                found.append(bytes((LOGICAL,)) + identifiers((identifier,), base))
    return b"".join(found)


def canonicals(values: Sequence[Any], base: str) -> bytes:
    return b"".join([literal(value, base) for value in values if value.__class__ is str])


def resources(values: Sequence[Any], base: str) -> bytes:
    """A resource inside another stands for a reference to it (Bundle's composition and message)."""
    return b"".join(
        [
            literal(f"{v.get('resourceType')}/{v.get('id')}", base)
            for v in values
            if v.__class__ is dict and "id" in v
        ]
    )


# uri: one hash


def uris(values: Sequence[Any], base: str) -> bytes:
    return b"".join([hash8(value) for value in values if value.__class__ is str and value])


def versioned_uris(values: Sequence[Any], base: str) -> bytes:
    """canonical: found with its version and without."""
    found = []
    for value in values:
        if value.__class__ is str and value:
            plain, bar, _ = value.partition("|")
            found.append(hash8(plain) + hash8(value) if bar else hash8(value))
    return b"".join(found)


# number: framed decimals; quantity: hashes of system, code, unit, then one framed decimal


def numbers(values: Sequence[Any], base: str) -> bytes:
    return b"".join([_decimal(value) for value in values])


def _decimal(value: Any) -> bytes:
    text = number_text(value).encode()
    return bytes((len(text),)) + text if 0 < len(text) < 256 else b""


def quantities(values: Sequence[Any], base: str) -> bytes:
    found = []
    for value in values:
        if value.__class__ is dict:
            amount = _decimal(value.get("value"))
            if amount:
                system, code, unit = value.get("system"), value.get("code"), value.get("unit")
                found.append(token(_text(system), _text(code)) + hash8(_text(unit)) + amount)
    return b"".join(found)


def money(values: Sequence[Any], base: str) -> bytes:
    found = []
    for value in values:
        if value.__class__ is dict:
            amount = _decimal(value.get("value"))
            if amount:
                found.append(token("urn:iso:std:iso:4217", _text(value.get("currency"))) + NONE + amount)
    return b"".join(found)


def quantity_ranges(values: Sequence[Any], base: str) -> bytes:
    """Range: its two ends."""
    ends = [v.get(end) for v in values if v.__class__ is dict for end in ("low", "high")]
    return quantities([end for end in ends if end is not None], base)


def number_ranges(values: Sequence[Any], base: str) -> bytes:
    ends = [v.get(end) for v in values if v.__class__ is dict for end in ("low", "high")]
    return numbers([end.get("value") for end in ends if end.__class__ is dict], base)


def nothing(values: Sequence[Any], base: str) -> bytes:
    return b""


def _each(types: str, encoder: Encoder) -> dict[str, Encoder]:
    return dict.fromkeys(types.split(), encoder)


ENCODERS: Final[dict[int, dict[str, Encoder]]] = {
    TOKEN: {
        **_each("code string id uri url canonical oid uuid markdown date dateTime", codes),
        "boolean": booleans,
        "Coding": codings,
        "CodeableConcept": concepts,
        "Identifier": identifiers,
        "ContactPoint": contacts,
    },
    STRING: {
        **_each("string markdown code id uri", strings),
        "HumanName": names,
        "Address": addresses,
    },
    DATE: {
        **_each("date dateTime instant", dates),
        "Period": periods,
        "Timing": timings,
        **_each("string Age Range", nothing),
    },
    REFERENCE: {
        "Reference": references,
        **_each("canonical uri", canonicals),
        "Resource": resources,
        "Attachment": nothing,
    },
    QUANTITY: {
        **_each("Quantity Age Duration Count Distance", quantities),
        "Money": money,
        "Range": quantity_ranges,
        "SampledData": nothing,
    },
    NUMBER: {**_each("decimal integer positiveInt unsignedInt", numbers), "Range": number_ranges},
    URI: {**_each("uri url oid uuid", uris), "canonical": versioned_uris},
}
"""Kind -> data type -> encoder. `nothing`: text, ages and samples have no date or amount to search by."""

SYSTEMLESS: Final = frozenset(
    name for name in ENCODERS[TOKEN] if name not in ("Coding", "CodeableConcept", "Identifier")
)
"""Token types without a system of their own: `|code` and `system|code` find them as `code` does."""
