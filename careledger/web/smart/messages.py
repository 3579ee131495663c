"""A request to the authorisation server and its answer, as plain values: handlers are tested without a socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

import msgspec

from careledger.smart.errors import OAuthError
from careledger.smart.limits import TooManyRequests
from careledger.smart.requests import read_parameters
from careledger.web.target import parse_query

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
HTML = b"text/html;charset=utf-8"
COOKIES_BYTES_MAX = 8192


@dataclass(frozen=True, slots=True)
class SmartRequest:
    """One request. `headers` have lower-case names; a repeated one is joined by ", "; `proofs` are the DPoP headers as
    they came. `address` is that of the client, for limits; `body` is complete and within its limit."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[bytes, bytes]
    body: bytes
    address: str
    proofs: tuple[bytes, ...] = ()

    def form(self) -> Mapping[str, str]:
        """The fields of a form, each once. Raises OAuthError."""
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != FORM:
            raise OAuthError("invalid_request", "send application/x-www-form-urlencoded", code="content-type")
        return read_parameters(parse_query(self.body))

    def parameters(self) -> Mapping[str, str]:
        """The query's parameters, each once. Raises OAuthError."""
        return read_parameters(self.query)

    def cookie(self, name: str) -> str:
        """A cookie's value, '' if there is none, or more than one."""
        raw = self.headers.get(b"cookie", b"")
        if len(raw) > COOKIES_BYTES_MAX or raw.count(name.encode() + b"=") > 1:
            return ""
        try:
            found = SimpleCookie(raw.decode("latin-1")).get(name)
        except CookieError:
            return ""
        return "" if found is None else found.value


@dataclass(frozen=True, slots=True)
class SmartAnswer:
    """The answer. The shell adds length, request id, `no-store` and `nosniff`."""

    status: int
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


Handler = Callable[[SmartRequest], Awaitable[SmartAnswer]]
Routes = Mapping[tuple[str, str], Handler]
"""(method, path) -> handler: literal, and the whole of it."""


def answer_json(content: Any, status: int = 200) -> SmartAnswer:
    """A JSON document."""
    return SmartAnswer(status, msgspec.json.encode(content), [(b"content-type", JSON)])


def answer_error(error: OAuthError) -> SmartAnswer:
    """A refusal as OAuth spells it (RFC 6749, 5.2)."""
    answer = answer_json({"error": error.error, "error_description": error.description}, error.status)
    if error.status == 401 and error.error == "invalid_client":
        answer.headers.append((b"www-authenticate", b'Basic realm="careledger"'))
    elif error.status == 401:
        said = b'Bearer realm="careledger", error="%b"' % error.error.encode("ascii")
        answer.headers.append((b"www-authenticate", said))
    return answer


def answer_too_many(error: TooManyRequests) -> SmartAnswer:
    """Wait, and for how long."""
    answer = answer_json({"error": "slow_down", "error_description": error.message}, 429)
    answer.headers.append((b"retry-after", b"%d" % error.wait_s))
    return answer


def redirect(url: str) -> SmartAnswer:
    """The browser goes on to `url`, with a GET."""
    return SmartAnswer(303, b"", [(b"location", url.encode("ascii")), (b"referrer-policy", b"no-referrer")])
