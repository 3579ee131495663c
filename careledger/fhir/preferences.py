"""What a request asks of its answer: format, `Prefer`, `_summary`, `_elements`, validators of caches."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import gmtime, strftime

from careledger.fhir.messages import FhirRequest
from careledger.fhir.refusals import Refused

_JSON_TYPES = frozenset(
    {
        "application/fhir+json",
        "application/json",
        "application/*",
        "*/*",
        "json",
        "text/json",
        "application/json+fhir",
    }
)
_RETURNS = frozenset({"minimal", "representation", "OperationOutcome"})
_BODY_TYPES = frozenset(
    {b"application/fhir+json", b"application/json", b"application/json+fhir", b"text/json"}
)


@dataclass(frozen=True, slots=True)
class Prefer:
    """RFC 7240 as R4 uses it."""

    returns: str = ""  # minimal, representation, OperationOutcome, or "" where the caller does not say
    strict: bool = False


_NO_PREFERENCE = Prefer()


def prefer(request: FhirRequest) -> Prefer:
    """The caller's `Prefer`; unknown preferences are ignored, as RFC 7240 demands."""
    header = request.headers.get(b"prefer")
    return _parse_prefer(header) if header else _NO_PREFERENCE


@lru_cache(maxsize=256)
def _parse_prefer(header: bytes) -> Prefer:
    returns, strict = "", False
    for part in header.decode("latin-1").replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        value = value.strip('" ')
        if name == "return" and value in _RETURNS:
            returns = value
        elif name == "handling":
            strict = value == "strict"
    return Prefer(returns, strict)


def check_accept(request: FhirRequest) -> None:
    """Raise Refused(406) unless the caller takes FHIR JSON. `_format` outweighs `Accept` (R4 http.html#mime-type)."""
    for name, value in request.query:
        if name == "_format":
            if not _is_json(value.replace(" ", "+")):
                raise _not_acceptable()
            return
    accept = request.headers.get(b"accept")
    if accept and not _accepts(accept):
        raise _not_acceptable()


@lru_cache(maxsize=256)
def _accepts(accept: bytes) -> bool:
    return any(_is_json(part) for part in accept.decode("latin-1").split(","))


def _is_json(media_type: str) -> bool:
    kind, *parameters = (part.strip().lower() for part in media_type.split(";"))
    if any(p.startswith("q=") and not p[2:].strip("0.") for p in parameters):
        return False
    version = next((p[12:] for p in parameters if p.startswith("fhirversion=")), "4.0")
    return kind in _JSON_TYPES and version.strip('"') in ("4.0", "4.0.1")


def _not_acceptable() -> Refused:
    return Refused(
        406,
        "not-supported",
        "Only FHIR R4 JSON is served.",
        hint="Ask for application/fhir+json (or _format=json).",
    )


def check_content_type(request: FhirRequest, allowed: frozenset[bytes] = _BODY_TYPES) -> None:
    """Raise Refused(415) unless the body is declared as FHIR JSON in UTF-8."""
    header = request.headers.get(b"content-type", b"")
    if not _is_body_type(header, allowed):
        raise Refused(
            415,
            "not-supported",
            "The Content-Type is not FHIR JSON in UTF-8.",
            hint="Send Content-Type: application/fhir+json.",
        )


@lru_cache(maxsize=256)
def _is_body_type(header: bytes, allowed: frozenset[bytes]) -> bool:
    kind, *parameters = (part.strip().lower() for part in header.split(b";"))
    charset = next((p[8:].strip(b'"') for p in parameters if p.startswith(b"charset=")), b"utf-8")
    return kind in allowed and charset in (b"utf-8", b"utf8")


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a resource is wanted: `summary` is true, text, data, count or empty."""

    summary: str = ""
    elements: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return not self.elements and self.summary in ("", "false")


WHOLE = View()
_SUMMARIES = frozenset({"true", "text", "data", "count", "false"})


def view(query: list[tuple[str, str]], *, counts: bool = True) -> View:
    """`_summary` and `_elements` of a query (R4 search.html#summary). Raises Refused(400) for what they cannot be."""
    summary = ""
    elements: tuple[str, ...] = ()
    for name, value in query:
        if name == "_summary":
            if value not in _SUMMARIES or (value == "count" and not counts):
                raise Refused(
                    400, "value", "_summary is not true, text, data, count or false.", where="_summary"
                )
            summary = value
        elif name == "_elements":
            elements += tuple(part for part in value.split(",") if part)
    if not summary and not elements:
        return WHOLE
    if elements and summary not in ("", "false"):
        raise Refused(400, "value", "_summary and _elements exclude each other.", where="_elements")
    return View(summary, elements)


@lru_cache(maxsize=4096)
def http_date(second: int) -> bytes:
    """An IMF-fixdate (RFC 9110 5.6.7) of a second since 1970."""
    return strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(second)).encode()


def is_fresh(request: FhirRequest, version: int, time_ms: int) -> bool:
    """Does the caller hold this version already (304)? If-None-Match outweighs If-Modified-Since (RFC 9110 13.2.2)."""
    tags = request.headers.get(b"if-none-match")
    if tags is not None:
        return tags.strip() == b"*" or any(_tag_of(tag) == version for tag in tags.split(b","))
    since = request.headers.get(b"if-modified-since")
    if since is None:
        return False
    try:
        return time_ms // 1000 <= int(parsedate_to_datetime(since.decode("latin-1")).timestamp())
    except (ValueError, TypeError):
        return False


ABSENT = -1
"""What a write expects that says `If-None-Match: *`: that there is no such resource."""


def if_match(request: FhirRequest) -> int | None:
    """The version that a write expects: of If-Match, ABSENT for If-None-Match: *, None if it does not say."""
    header, absent = request.headers.get(b"if-match"), request.headers.get(b"if-none-match")
    if header is None and absent is None:
        return None
    return expected_version(
        None if header is None else header.decode("latin-1"),
        None if absent is None else absent.decode("latin-1"),
    )


def expected_version(tag: str | None, none_match: str | None) -> int | None:
    """As `if_match`, of texts. 0 is a tag that no version of this server has. Raises Refused(400) for no ETag at all."""
    if tag is None:
        return ABSENT if none_match is not None and none_match.strip() == "*" else None
    version = _tag_of(tag.encode("latin-1", "replace"))
    if version is None:
        raise Refused(400, "value", "If-Match is not one ETag.", hint='Send If-Match: W/"<versionId>".')
    return version


def _tag_of(tag: bytes) -> int | None:
    text = tag.strip()
    if text[:2] == b"W/":
        text = text[2:]
    if len(text) < 2 or text[:1] != b'"' or text[-1:] != b'"':
        return None
    digits = text[1:-1]
    return int(digits) if digits.isdigit() and len(digits) < 10 else 0
