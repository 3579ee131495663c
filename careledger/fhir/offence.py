"""Where in refused JSON the offence stands. Runs only on refusals, and gives up after `TOKENS_MAX` tokens."""

from __future__ import annotations

import re
from typing import Final

import msgspec

TOKENS_MAX: Final = 100_000
"""Well under a tenth of a second; an offence behind that is reported without its place."""

FINDABLE: Final = frozenset(
    {"duplicate-property", "null-value", "number-too-long", "nested-too-deep", "too-many-properties"}
)
"""Codes of `fhir.json` whose place the decoder does not know."""

_TOKEN = re.compile(
    rb'"(?P<text>(?:[^"\\]|\\.)*)"(?P<colon>\s*:)?|(?P<bracket>[][{}])|(?P<number>-?[0-9][-+.0-9eE]*)|null'
)


def find_offence(data: bytes, code: str, depth_max: int, properties_max: int, digits_max: int) -> int | None:
    """Offset of the first offence of this code in `data`; None if it is not found in time."""
    open_objects: list[set[bytes] | None] = []  # names of each open object; None for an array
    for count, token in enumerate(_TOKEN.finditer(data)):
        if count > TOKENS_MAX:
            return None
        kind = token.lastgroup
        if kind == "bracket":
            bracket = token["bracket"]
            if bracket in b"]}":
                del open_objects[-1:]
                continue
            open_objects.append(set() if bracket == b"{" else None)
            if code == "nested-too-deep" and len(open_objects) > depth_max:
                return token.start()
        elif kind == "colon":
            names = open_objects[-1] if open_objects else None
            if names is None:
                continue
            name = _plain(token["text"])
            if code == "duplicate-property" and name in names:
                return token.start()
            names.add(name)
            if code == "too-many-properties" and len(names) > properties_max:
                return token.start()
        elif kind == "number":
            digits = token["number"].lower().partition(b"e")
            if code == "number-too-long" and (
                len(digits[0].strip(b"-0.")) > digits_max or len(digits[2]) > 3
            ):
                return token.start()
        elif kind is None and code == "null-value" and open_objects and open_objects[-1] is not None:
            return token.start()
    return None


def _plain(name: bytes) -> bytes:
    """A property's name without escapes, so that equal names are equal bytes."""
    if b"\\" not in name:
        return name
    try:
        return msgspec.json.decode(b'"' + name + b'"', type=str).encode()
    except (msgspec.DecodeError, UnicodeEncodeError):
        return name
