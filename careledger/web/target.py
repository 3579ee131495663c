"""Request targets: path segments and query fields, decoded once, strictly, with one reading only."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from careledger.primitives.errors import Invalid

QUERY_FIELDS_MAX = 1000
_SEGMENT = re.compile(r"[A-Za-z0-9\-._$*|]{1,256}", re.ASCII)
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def split_path(raw: bytes) -> tuple[str, ...]:
    """The segments of the path below the base; one slash at the end is dropped. Raises Invalid.

    Dot segments, empty segments, encoded slashes and characters that no FHIR path has are refused rather than
    normalised: what a proxy in front made of them may differ from what we would.
    """
    if not raw or raw == b"/":
        return ()
    pieces = raw.removesuffix(b"/").removeprefix(b"/").split(b"/")
    segments = tuple(
        _decode(piece) for piece in pieces
    )  # after the split: an encoded slash separates nothing
    for segment in segments:
        if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
            raise Invalid(
                "the path cannot be read", code="path-invalid", hint="a path is Type/id, Type/$operation, …"
            )
    return segments


def parse_query(raw: bytes) -> list[tuple[str, str]]:
    """(name, value) in order, as in application/x-www-form-urlencoded. Raises Invalid."""
    if not raw:
        return []
    if raw.count(b"&") >= QUERY_FIELDS_MAX:
        raise Invalid("too many parameters", code="query-invalid", hint=f"at most {QUERY_FIELDS_MAX}")
    if b"%" in raw or b"+" in raw or not raw.isascii():
        fields = [field.partition(b"=") for field in raw.replace(b"+", b" ").split(b"&") if field]
        return [(_decode(name), _decode(value)) for name, _, value in fields]
    text = raw.decode("ascii")
    if _CONTROL.search(text):
        raise Invalid("the address holds control characters", code="encoding-invalid")
    pairs = [field.partition("=") for field in text.split("&") if field]
    return [(name, value) for name, _, value in pairs]


def _decode(raw: bytes) -> str:
    if raw.isascii() and raw.isalnum():
        return raw.decode()
    if _BROKEN_ESCAPE.search(raw):
        raise Invalid("a percent escape is broken", code="encoding-invalid", hint="encode % as %25")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("the address is not UTF-8", code="encoding-invalid") from error
    if _CONTROL.search(text):
        raise Invalid("the address holds control characters", code="encoding-invalid")
    return text
