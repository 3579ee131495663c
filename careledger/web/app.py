"""The HTTP shell: routes, who is asking, bodies, errors. It knows no FHIR and opens no record.

Order of a request: route and method, token, then the body; so nobody without a token makes the node read, unpack or
parse anything. Every answer below /fhir carries `Cache-Control: no-store` and `nosniff`; every error is an
OperationOutcome; what is not raised on purpose becomes a 500 that says nothing about the inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from careledger.access.actor import Actor
from careledger.access.tokens import Presented, challenge
from careledger.fhir.definitions import definitions
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.outcomes import status_of
from careledger.fhir.routes import allowed_methods
from careledger.primitives.errors import CareLedgerError, Invalid, NotFound, Unauthenticated
from careledger.web.api.messages import API_BODY_BYTES_MAX, JSON, ApiHandler, ApiRequest
from careledger.web.body import (
    DISCARD_BODIES,
    DISCARD_MAX_BYTES,
    DISCARD_SECONDS,
    Disconnected,
    Receive,
    declared_length,
    discard,
    read_body,
    unpack_gzip,
)
from careledger.web.crossing import FHIR_PREFLIGHT, PREFLIGHT, READABLE
from careledger.web.files import File
from careledger.web.outcome import FHIR_JSON, HINTS, outcome
from careledger.web.services import RequestLog, Services, SmartHandler
from careledger.web.smart.messages import SmartRequest
from careledger.web.streaming import send_pieces
from careledger.web.target import parse_query, split_path

Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]

BASE = b"/fhir"
API = b"/api/"
FHIR_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
PROBE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
WITH_BODY = frozenset(("POST", "PUT", "PATCH"))

PUBLIC = frozenset((("GET", ("metadata",)),))
"""Method and path below the FHIR base that need no token. Everything else does."""

GZIP_MIN_BYTES = 4096
SLOW_MS = 1000

_ONCE = frozenset(
    (b"authorization", b"content-length", b"content-type", b"content-encoding", b"host", b"if-match")
)
_OVERRIDES = frozenset((b"x-http-method-override", b"x-http-method", b"x-method-override"))
_CLIENT_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_NO_STORE = (b"cache-control", b"no-store")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
SMART_BODY_BYTES_MAX = 262_144
_JSON = (b"content-type", b"application/json")


class _Refused(Exception):
    """An answer that the shell gives itself."""

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", allow: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.hint, self.allow = status, code, message, hint, allow


def create_app(services: Services) -> AsgiApp:
    """The ASGI application. Literal routes: /fhir and below, /livez, /readyz; anything else is 404."""

    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1002})
            return
        exchange = _Exchange(services, scope, receive, send)
        with contextlib.suppress(Disconnected):
            await exchange.run()

    return app


class _Exchange:
    """One request and its answer."""

    __slots__ = (
        "actor",
        "api_route",
        "body_pending",
        "expected",
        "is_fhir",
        "method",
        "own_id",
        "receive",
        "scope",
        "send",
        "services",
        "shown_id",
    )

    def __init__(self, services: Services, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.services = services
        self.scope = scope
        self.receive = receive
        self.send = send
        self.own_id = os.urandom(16)
        self.shown_id = b""
        self.method: str = scope["method"]
        self.actor: Actor | None = None
        self.expected: int | None = 0  # declared length of the body; None if chunked
        self.body_pending = False
        self.api_route = ""
        self.is_fhir = False

    async def run(self) -> None:
        """Answer, whatever happens, and log it."""
        start = time.perf_counter()
        failure: BaseException | None = None
        try:
            response = await self.respond()
        except _Refused as refused:
            response = self.refusal(refused.status, refused.code, refused.message, refused.hint)
            if refused.allow:
                response.headers.append((b"allow", ", ".join(sorted(refused.allow)).encode()))
        except CareLedgerError as error:
            response = self.told(error)
            failure = error if response.status >= 500 else None
        except TimeoutError as error:
            failure, response = error, self.too_late()
        except Disconnected:
            raise
        except Exception as error:  # the outermost boundary: a defect must not show its inside
            failure = error
            response = self.refusal(
                500, "internal", "something went wrong inside; nothing more can be said here"
            )
        await self.answer(response)
        duration_ms = (time.perf_counter() - start) * 1000
        client = self.actor.client if self.actor is not None else ""
        self.services.log(
            RequestLog(
                self.own_id, self.method, response.route, response.status, duration_ms, client, failure
            )
        )

    def told(self, error: CareLedgerError) -> FhirResponse:
        """What was raised on purpose, as an answer."""
        response = self.refusal(status_of(error), error.code, error.message, error.hint)
        if isinstance(error, Unauthenticated):
            response.headers.append((b"www-authenticate", challenge(error)))
            self.give_nonce(response)
        elif response.status == 503:
            response.headers.append((b"retry-after", b"1"))
        return response

    def too_late(self) -> FhirResponse:
        """Whose time it was that ran out."""
        if self.body_pending:
            return self.refusal(408, "body-timeout", "the body did not arrive in time", "send it faster")
        return self.refusal(
            504,
            "request-timeout",
            "the request took too long",
            "ask for less at once; read before you repeat a write",
        )

    async def respond(self) -> FhirResponse:
        """The answer by route."""
        path: bytes = self.scope.get("raw_path") or self.scope["path"].encode()
        smart = self.services.smart
        if smart is not None and smart.is_mine(named := path.decode("latin-1")):
            return await self.smart(smart, named)
        if path.startswith(BASE) and (len(path) == 5 or path[5] == 0x2F):
            return await self.fhir(path[5:])
        if self.services.api is not None and path.startswith(API):
            return await self.api(self.services.api, path.decode("latin-1"))
        if path == b"/livez" or path == b"/readyz":
            self.headers()
            return self.probe(path)
        if (file := self.services.files.find(path.decode("latin-1"))) is not None:
            return self.file(file)
        self.headers()
        raise NotFound("there is nothing at this address", hint="FHIR is at /fhir")

    def file(self, file: File) -> FhirResponse:
        """A file of the web application; nothing of anybody is in it, so nobody is asked for a token."""
        headers = self.headers()
        if self.method not in PROBE_METHODS:
            raise _Refused(405, "method-not-allowed", "this method is not possible here", allow=PROBE_METHODS)
        if self.method == "OPTIONS":
            return self.options(PROBE_METHODS, file.route)
        told = [*file.headers, (b"etag", file.etag)] if file.etag else list(file.headers)
        if file.etag and headers.get(b"if-none-match") == file.etag:
            return FhirResponse(304, told, b"", file.route)
        if file.packed and b"br" in headers.get(b"accept-encoding", b""):
            return FhirResponse(200, [*told, (b"content-encoding", b"br")], file.packed, file.route)
        return FhirResponse(200, told, file.plain, file.route)

    def probe(self, path: bytes) -> FhirResponse:
        """Whether the process runs; whether the node can serve."""
        route = path.decode()
        if self.method not in PROBE_METHODS:
            raise _Refused(405, "method-not-allowed", "this method is not possible here", allow=PROBE_METHODS)
        if self.method == "OPTIONS":
            return self.options(PROBE_METHODS, route)
        problems = self.services.problems() if path == b"/readyz" else ()
        status = "ok" if path == b"/livez" else "unavailable" if problems else "ready"
        body = msgspec.json.encode(
            {"status": status, "problems": problems} if problems else {"status": status}
        )
        return FhirResponse(503 if problems else 200, [_JSON], body, route)

    async def fhir(self, below: bytes) -> FhirResponse:
        """A request at or below the FHIR base: method, token, body, handler, in this order."""
        self.is_fhir = True
        headers = self.headers()
        method = self.method
        services = self.services
        if method not in FHIR_METHODS:
            raise _Refused(405, "method-not-allowed", "this method is not possible here", allow=FHIR_METHODS)
        if method == "OPTIONS":
            types = frozenset(definitions().resource_types)
            allowed = allowed_methods(split_path(below), types) or FHIR_METHODS
            response = self.options(allowed, "/fhir")
            response.headers.extend(FHIR_PREFLIGHT)
            response.headers.append((b"access-control-allow-methods", ", ".join(sorted(allowed)).encode()))
            return response
        path = split_path(below)
        if method == "HEAD":
            method = "GET"
        if (method, path) not in PUBLIC:
            await self.authenticate(headers)
        query = parse_query(self.scope["query_string"])
        body = b""
        async with asyncio.timeout(self.seconds()) as deadline:
            if self.body_pending:
                body = await self.body(headers, deadline)
            request = FhirRequest(method, path, query, headers, body, self.actor, self.own_id)
            return await services.fhir.handle(request)

    async def authenticate(self, headers: dict[bytes, bytes]) -> None:
        """Who is asking, and that they hold the key that their token is bound to. Raises Unauthenticated."""
        services, authorization = self.services, headers.get(b"authorization")
        if b"dpop" not in headers:
            self.actor = services.authenticate(authorization, None)
            return
        url = services.public_url + self.scope.get("raw_path", b"").decode("latin-1")
        presented = Presented(headers[b"dpop"], self.method, url)
        actor = services.authenticate(authorization, presented)
        if actor.confirmation:
            if services.smart is None:
                raise Unauthenticated(
                    "a token that is bound to a key cannot be checked here", code="dpop-refused"
                )
            token = (authorization or b"").partition(b" ")[2].decode("latin-1")
            await services.smart.prove(self.proofs(), presented, token, actor.confirmation)
        self.actor = actor

    def give_nonce(self, response: FhirResponse) -> None:
        """What the next DPoP proof must carry, where one is asked for (RFC 9449, 9)."""
        nonce = self.services.smart.nonce() if self.services.smart is not None else b""
        if nonce:
            response.headers.append((b"dpop-nonce", nonce))

    def proofs(self) -> tuple[bytes, ...]:
        """The DPoP headers, each as it came."""
        return tuple(value for name, value in self.scope["headers"] if name == b"dpop")

    async def smart(self, smart: SmartHandler, path: str) -> FhirResponse:
        """A request to the authorisation server: method, a small body, handler."""
        headers, services = self.headers(), self.services
        methods = smart.methods(path)
        if self.method == "OPTIONS":
            return self.preflight(methods, path)
        method = "GET" if self.method == "HEAD" else self.method
        if method not in methods:
            raise _Refused(405, "method-not-allowed", "this method is not possible here", allow=methods)
        body = b""
        async with asyncio.timeout(services.body_seconds) as deadline:
            if self.body_pending:
                body = await self.body(headers, deadline, SMART_BODY_BYTES_MAX)
            request = SmartRequest(
                method,
                path,
                parse_query(self.scope["query_string"]),
                headers,
                body,
                self.address(headers),
                self.proofs(),
            )
            answer = await smart.handle(request)
        return FhirResponse(answer.status, answer.headers, answer.body, path)

    async def api(self, api: ApiHandler, path: str) -> FhirResponse:
        """A request to the application's interface: method, token, a small body, handler, in this order."""
        self.api_route = api.template(path)
        headers = self.headers()
        methods = api.methods(path)
        if not methods:
            raise NotFound("there is nothing at this address", hint="docs/spec/api.md lists what there is")
        if self.method == "OPTIONS":
            return self.options(methods, "/api")
        method = "GET" if self.method == "HEAD" else self.method
        if method not in methods:
            raise _Refused(405, "method-not-allowed", "this method is not possible here", allow=methods)
        if b"authorization" in headers or not api.is_open(path):
            await self.authenticate(headers)
        query = parse_query(self.scope["query_string"])
        body = b""
        async with asyncio.timeout(self.seconds()) as deadline:
            if self.body_pending:
                body = await self.body(headers, deadline, API_BODY_BYTES_MAX)
            where = self.address(headers)
            asked = ApiRequest(method, path, query, headers, body, self.actor, self.own_id, where)
            return await api.handle(asked)

    def seconds(self) -> int:
        """How long is waited at first: for the body if one comes (`body` moves that on), else for the answer."""
        return self.services.body_seconds if self.body_pending else self.services.request_seconds

    def address(self, headers: dict[bytes, bytes]) -> str:
        """Where the request comes from. Behind a proxy it is the last address of X-Forwarded-For, which the proxy itself
        adds; what stands before it anybody can send, and without a proxy nothing of the header is believed."""
        client = self.scope.get("client")
        if self.services.behind_proxy:
            named = headers.get(b"x-forwarded-for", b"").rpartition(b",")[2].strip().decode("latin-1")
            with contextlib.suppress(ValueError):
                return str(ipaddress.ip_address(named))
        return client[0] if client else ""

    def preflight(self, methods: frozenset[str], route: str) -> FhirResponse:
        """Programs in browsers may use what needs no cookie (CORS); it says nothing of what is stored."""
        response = self.options(methods, route)
        if self.services.smart is not None and self.services.smart.is_open(route):
            response.headers.extend(PREFLIGHT)
            response.headers.append((b"access-control-allow-methods", ", ".join(sorted(methods)).encode()))
        return response

    def headers(self) -> dict[bytes, bytes]:
        """The header fields by name. Sets the request id to show and whether a body waits. Raises for bad ones."""
        headers: dict[bytes, bytes] = {}
        for name, value in self.scope["headers"]:
            if name in headers:
                if name in _ONCE:
                    self.body_pending = True
                    raise Invalid(f"the header {name.decode()} is given twice", code="header-repeated")
                value = headers[name] + b", " + value
            headers[name] = value
        shown = headers.get(b"x-request-id")
        if shown is not None and _CLIENT_REQUEST_ID.fullmatch(shown):
            self.shown_id = shown
        if b"content-length" in headers or b"transfer-encoding" in headers:
            self.body_pending = True
            self.expected = declared_length(headers)
            self.body_pending = self.expected != 0
        if not _OVERRIDES.isdisjoint(headers):
            raise Invalid(
                "method override is not supported", code="method-override", hint="use the method itself"
            )
        return headers

    async def body(self, headers: dict[bytes, bytes], deadline: asyncio.Timeout, bytes_max: int = 0) -> bytes:
        """The body, complete and unpacked. Raises TooLarge, Invalid, TimeoutError, Disconnected."""
        services = self.services
        bytes_max = bytes_max or services.max_body_bytes
        if self.method not in WITH_BODY:
            raise Invalid("this method takes no body", code="body-unexpected", hint="leave the body out")
        encoding = headers.get(b"content-encoding", b"identity").lower()
        if encoding not in (b"identity", b"gzip"):
            raise _Refused(
                415, "encoding-unknown", "this Content-Encoding is not supported", "send gzip or plain"
            )
        body = await read_body(self.receive, self.expected, bytes_max, deadline)
        self.body_pending = False
        deadline.reschedule(asyncio.get_running_loop().time() + services.request_seconds)
        if encoding == b"gzip":
            if len(body) > DISCARD_MAX_BYTES:
                return await asyncio.to_thread(unpack_gzip, body, bytes_max, services.max_gzip_ratio)
            return unpack_gzip(body, bytes_max, services.max_gzip_ratio)
        return body

    def refusal(self, status: int, code: str, message: str, hint: str = "") -> FhirResponse:
        """An error as OperationOutcome; of `/api` its code, message and hint alone."""
        if self.api_route:
            said = {"code": code, "message": message, "hint": hint or HINTS.get(status, "")}
            return FhirResponse(status, [JSON], msgspec.json.encode(said), self.api_route)
        return FhirResponse(status, [(b"content-type", FHIR_JSON)], outcome(status, code, message, hint))

    def options(self, methods: frozenset[str], route: str) -> FhirResponse:
        """Which methods the address has. Says nothing of what is stored, so it needs no token."""
        return FhirResponse(204, [(b"allow", ", ".join(sorted(methods)).encode())], b"", route)

    async def answer(self, response: FhirResponse) -> None:
        """Send it; with a body still waiting, take some of it in and close the connection."""
        body = response.body
        shown_id = self.shown_id or self.own_id.hex().encode()
        headers = [*response.headers, (b"x-request-id", shown_id), _NOSNIFF]  # handlers may share theirs
        if self.is_fhir:
            headers.extend(READABLE)
        if not any(name == b"cache-control" for name, _ in response.headers):
            headers.append(_NO_STORE)
        if self.services.gzip_responses and len(body) >= GZIP_MIN_BYTES and self.accepts_gzip():
            body = zlib.compress(body, 1, wbits=31)
            headers.append((b"content-encoding", b"gzip"))
            headers.append((b"vary", b"accept-encoding"))
        if response.chunks is not None:
            await send_pieces(self.send, headers, response.chunks, with_body=self.method != "HEAD")
            return
        if response.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(body)))
        if self.method == "HEAD":
            body = b""
        send = self.send
        if not self.body_pending:
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        known = self.actor is not None
        services = self.services
        bytes_max = DISCARD_BODIES * services.max_body_bytes if known else DISCARD_MAX_BYTES
        await discard(self.receive, bytes_max, services.body_seconds if known else DISCARD_SECONDS)
        await send({"type": "http.response.body", "body": b""})

    def accepts_gzip(self) -> bool:
        """The client asks for gzip (and does not rule it out by q=0)."""
        for name, value in self.scope["headers"]:
            if name == b"accept-encoding":
                return b"gzip" in value and b"gzip;q=0" not in value.replace(b" ", b"")
        return False
