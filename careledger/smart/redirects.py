"""Where an authorisation response may go: addresses that were registered, compared character by character.

An address has one spelling only, so there is nothing to interpret at comparison: what is not equal is refused, and the
browser is then sent nowhere. The one exception is the port of a native app's own loopback address (RFC 8252, 7.3).
RFC 9700, 2.1 and 4.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl

from careledger.primitives.errors import Invalid

ADDRESS_MAX: Final = 2048
ADDRESSES_MAX: Final = 20

_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_FORBIDDEN: Final = frozenset('\\"<>^`{|}#@')
_WEB = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[::1\]|[a-z0-9.\-]{1,253})(?P<port>:[1-9][0-9]{0,4})?(?P<rest>(?:[/?].*)?)",
    re.ASCII,
)
_OWN = re.compile(r"(?P<scheme>[a-z][a-z0-9\-]*(?:\.[a-z0-9\-]+)+):(?P<rest>/(?!/).*)", re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?", re.ASCII)
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.ASCII)
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}", re.ASCII)
_ESCAPE = re.compile(r"%(?:[0-9A-F]{2})?", re.ASCII)
_HIDING: Final = frozenset(f"%{code:02X}" for code in (*range(0x20), 0x7F, *b"./\\%#?@:"))
_LOOPBACK: Final = frozenset(("127.0.0.1", "[::1]"))
_PORTLESS = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?(.*)", re.ASCII | re.DOTALL)
_ANSWERS: Final = frozenset(
    (
        "code",
        "state",
        "iss",
        "error",
        "error_description",
        "error_uri",
        "response",
        "id_token",
        "access_token",
    )
)


def check_redirect(address: str, *, is_public: bool) -> None:
    """Return only if the address may be registered. Raises Invalid (`redirect-…`) with the rule that it breaks.

    https; http for this machine only; a native app's own scheme (`com.example.app:/path`) for public clients.
    """
    if not 0 < len(address) <= ADDRESS_MAX or not _VISIBLE.fullmatch(address):
        raise _refuse("redirect-text", f"1 to {ADDRESS_MAX} visible ASCII characters")
    if not _FORBIDDEN.isdisjoint(address):
        raise _refuse("redirect-characters", "no fragment, user name, backslash, quote or bracket")
    own = _OWN.fullmatch(address)
    if own is not None:
        if not is_public:
            raise _refuse("redirect-scheme", "an app's own scheme is for public clients")
        _check_rest(own["rest"])
        return
    web = _WEB.fullmatch(address)
    if web is None:
        raise _refuse("redirect-scheme", "https://HOST/…, in lower case up to the path")
    _check_host(web["scheme"], web["host"])
    if web["port"] and (
        int(web["port"][1:]) > 65_535 or web["port"] == {"http": ":80", "https": ":443"}[web["scheme"]]
    ):
        raise _refuse("redirect-port", "a port up to 65535, left out if it is the usual one")
    _check_rest(web["rest"])


def matches(registered: Sequence[str], requested: str) -> bool:
    """The address of a request is one of the client's. If it is not: answer with a page, redirect nowhere."""
    if requested in registered:
        return True
    if len(requested) > ADDRESS_MAX or not _has_port(requested):
        return False
    found = _PORTLESS.fullmatch(requested)
    return found is not None and any(_portless(one) == found.groups() for one in registered)


def _portless(registered: str) -> tuple[str | None, ...] | None:
    found = _PORTLESS.fullmatch(registered)
    return found.groups() if found is not None else None


def _has_port(requested: str) -> bool:
    """Its port, if it has one, is a port in its one spelling."""
    web = _WEB.fullmatch(requested)
    return web is not None and (not web["port"] or int(web["port"][1:]) <= 65_535)


def _check_host(scheme: str, host: str) -> None:
    if host == "[::1]":
        is_local = True
    else:
        labels = host.split(".")
        if not all(map(_LABEL.fullmatch, labels)) or (
            _NUMERIC.fullmatch(labels[-1]) and not _IPV4.fullmatch(host)
        ):
            raise _refuse("redirect-host", "a host name in lower case, or an IPv4 address of four numbers")
        is_local = host in _LOOPBACK or host == "localhost"
    if scheme == "http" and not is_local:
        raise _refuse("redirect-scheme", "https, except on this machine (127.0.0.1, [::1], localhost)")


def _check_rest(rest: str) -> None:
    """Path and query: no dot segments, nothing hidden behind an escape, no parameter that the answer itself has."""
    path, _, query = rest.partition("?")
    for escape in _ESCAPE.findall(rest):
        if len(escape) != 3 or escape in _HIDING:
            raise _refuse(
                "redirect-escape", "escapes in capitals, none for dots, slashes or control characters"
            )
    if any(segment in (".", "..") for segment in path.split("/")) or "//" in path:
        raise _refuse("redirect-path", "a path without empty and dot segments")
    if any(name in _ANSWERS for name, _ in parse_qsl(query, keep_blank_values=True)):
        raise _refuse("redirect-query", "no query parameter with a name that the answer uses")


def _refuse(code: str, rule: str) -> Invalid:
    return Invalid(
        f"a redirect address that breaks a rule: {rule}",
        code=code,
        hint="for example https://app.example/callback",
    )
