"""A request to `/api` and the answers to it, as plain values: handlers are tested without a socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from careledger.access.actor import Actor
from careledger.fhir.messages import Chunks, FhirResponse
from careledger.primitives.errors import Invalid, Unauthenticated
from careledger.primitives.hashing import sha256

JSON: Final = (b"content-type", b"application/json")
BYTES: Final = (b"content-type", b"application/octet-stream")
API_BODY_BYTES_MAX: Final = 262_144
NUMBER_DIGITS_MAX: Final = 15
ETAG_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request. `path` begins with `/api/`; `actor` is None on open routes alone; `body` is complete and within its
    limit; `request_id` are 16 bytes that go into access entries; `address` is the client's, for limits."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[bytes, bytes]
    body: bytes
    actor: Actor | None
    request_id: bytes
    address: str

    @property
    def caller(self) -> Actor:
        """Who asks. Raises Unauthenticated for nobody."""
        if self.actor is None:
            raise Unauthenticated("a token is needed", code="token-missing", hint="sign in")
        return self.actor

    def parameters(self, *known: str) -> dict[str, str]:
        """The query's parameters, each known and given once. Raises Invalid."""
        found: dict[str, str] = {}
        for name, value in self.query:
            if name not in known or name in found:
                raise Invalid(
                    "a parameter is unknown here, or given twice",
                    hint=f"known: {', '.join(known) or 'none'}",
                    code="parameter",
                )
            found[name] = value
        return found


class ApiHandler(Protocol):
    """`careledger.web.api.app.ApiApp`."""

    def methods(self, path: str) -> frozenset[str]: ...
    def template(self, path: str) -> str: ...
    def is_open(self, path: str) -> bool: ...
    async def handle(self, request: ApiRequest) -> FhirResponse: ...


def read_number(text: str, name: str) -> int:
    """A whole number of at most 15 digits. Raises Invalid."""
    if not (text.isascii() and text.isdigit()) or len(text) > NUMBER_DIGITS_MAX:
        raise Invalid(f"{name} is no number", hint=f"{name}=42", code="parameter")
    return int(text)


def read_count(text: str | None, default: int, most: int) -> int:
    """How many are asked for: `default` if nothing is said, never over `most`. Raises Invalid."""
    return default if text is None else max(1, min(most, read_number(text, "count")))


def answer(content: Any, status: int = 200) -> FhirResponse:
    """A JSON document."""
    return FhirResponse(status, [JSON], msgspec.json.encode(content))


def answer_file(data: bytes) -> FhirResponse:
    """A proof file, byte for byte: it is JSON already."""
    return FhirResponse(200, [JSON], data)


def answer_kept(request: ApiRequest, content: Any) -> FhirResponse:
    """A JSON document that does not change: with its ETag, and 304 for who has it (RFC 9110, 13.1.2)."""
    body = msgspec.json.encode(content)
    tag = b'"%s"' % sha256(body)[:ETAG_BYTES].hex().encode()
    headers = [(b"etag", tag), (b"cache-control", b"private, no-cache")]
    known = [one.strip() for one in request.headers.get(b"if-none-match", b"").split(b",")]
    if tag in known:
        return FhirResponse(304, headers)
    return FhirResponse(200, [JSON, *headers], body)


def answer_stream(chunks: Chunks, size: int, name: str, type: tuple[bytes, bytes] = JSON) -> FhirResponse:
    """A file of `size` bytes to keep under `name`, piece by piece."""
    headers = [
        type,
        (b"content-length", b"%d" % size),
        (b"content-disposition", b'attachment; filename="%s"' % name.encode("ascii")),
    ]
    return FhirResponse(200, headers, chunks=chunks)
