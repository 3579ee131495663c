"""What the HTTP shell is given: who handles FHIR, sign-in and `/api`, who checks tokens, the limits, where it logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from careledger.access.actor import Actor
from careledger.access.tokens import Presented
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.web.api.messages import ApiHandler
from careledger.web.files import AppFiles
from careledger.web.smart.messages import SmartAnswer, SmartRequest


class SmartHandler(Protocol):
    """`careledger.web.smart.app.SmartApp`."""

    def is_mine(self, path: str) -> bool: ...
    def is_open(self, path: str) -> bool: ...
    def methods(self, path: str) -> frozenset[str]: ...
    async def handle(self, request: SmartRequest) -> SmartAnswer: ...
    async def prove(
        self, proofs: tuple[bytes, ...], presented: Presented, token: str, thumbprint: str
    ) -> None: ...
    def nonce(self) -> bytes: ...


class FhirHandler(Protocol):
    """`careledger.fhir.http.FhirApp`, or a stand-in in tests."""

    async def handle(self, request: FhirRequest) -> FhirResponse: ...


@dataclass(frozen=True, slots=True)
class RequestLog:
    """What may be said of a request in the log."""

    request_id: bytes
    method: str
    route: str
    status: int
    duration_ms: float
    client: str
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class Services:
    """What the shell needs: the FHIR handler, the token check, the node's health, limits and a log."""

    fhir: FhirHandler
    authenticate: Callable[[bytes | None, Presented | None], Actor]
    problems: Callable[[], tuple[str, ...]]  # fixed phrases; () when the node can read, write and log
    log: Callable[[RequestLog], None]
    max_body_bytes: int = 64 * 1024 * 1024
    max_gzip_ratio: int = 200
    body_seconds: int = 30
    request_seconds: int = 300
    gzip_responses: bool = False
    smart: SmartHandler | None = None
    api: ApiHandler | None = None
    public_url: str = ""
    behind_proxy: bool = False
    files: AppFiles = field(default_factory=AppFiles)
