"""What the HTTP shell hands to FHIR and gets back: the seam between `web` and `fhir`.

Both are plain values, so a handler is tested without a socket and the shell without FHIR.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from careledger.access.actor import Actor


@dataclass(frozen=True, slots=True)
class FhirRequest:
    """One authenticated request below the FHIR base.

    `method` is GET, POST, PUT, PATCH or DELETE (HEAD arrives as GET). `path` are the segments below the base,
    decoded, each of `A-Z a-z 0-9 - . _ $ * |` and 1 to 256 long; the base itself is (). `query` keeps order and
    repetition. `headers` have lower-case names; a repeated one is joined by ", ". `body` is complete, within the
    limit and no longer content-encoded. `actor` is None on the public routes only (see `web.app.PUBLIC`).
    `request_id` are 16 bytes, new for each request: they go into the access entry.
    """

    method: str
    path: tuple[str, ...]
    query: list[tuple[str, str]]
    headers: dict[bytes, bytes]
    body: bytes
    actor: Actor | None
    request_id: bytes


class Chunks(Protocol):
    """The pieces of a long answer, in their order; closed whether they were taken or not."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FhirResponse:
    """The answer. The shell adds Content-Length, X-Request-Id, Cache-Control and nosniff: do not set them.

    `route` is the template for logs and metrics (`Patient/[id]`, never an id). `chunks` instead of a body: sent piece by
    piece, with their own Content-Length; the shell closes them.
    """

    status: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    route: str = ""
    chunks: Chunks | None = None
