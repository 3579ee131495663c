"""The web application's files, as the build left them: pages, scripts and styles, packed by brotli beforehand.

A file of `/assets/` has the hash of its content in its name and may be kept for ever; the page itself is asked for each
time. The page may load and reach nothing but this node: no style or script in the page, no frame around it, and Trusted
Types, under which a string never becomes code (docs/decisions/0044-the-web-application.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from careledger.primitives.hashing import sha256

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self'; connect-src 'self'; "
    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types default"
)
PAGE_HEADERS: Final = (
    (b"content-security-policy", POLICY.encode("ascii")),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"camera=(), microphone=(), geolocation=(), publickey-credentials-get=(self), publickey-credentials-create=(self)",
    ),
)
KINDS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "html": b"text/html;charset=utf-8",
        "js": b"text/javascript;charset=utf-8",
        "css": b"text/css;charset=utf-8",
        "svg": b"image/svg+xml",
        "png": b"image/png",
        "webmanifest": b"application/manifest+json",
    }
)
PAGE: Final = "index.html"
CALLBACK: Final = "/app/callback"
"""Where the application's own requests for a code end: an empty answer, which only the page that asked reads."""
FOREVER: Final = b"public, max-age=31536000, immutable"
ANEW: Final = b"no-cache"
_ASSET = re.compile(r"/assets/[A-Za-z0-9_.-]{1,100}", re.ASCII)
_PAGES: Final = ("/app", "/explorer")
_TOP: Final = ("/sw.js", "/manifest.webmanifest")


@dataclass(frozen=True, slots=True)
class File:
    """One answer: as it is, packed (b"" if it is not), and its headers. `route` names it in the log."""

    plain: bytes
    packed: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    etag: bytes
    route: str


class AppFiles:
    """The files of a build, in memory once they were asked for. Read-only; nothing of anybody is in them."""

    def __init__(self) -> None:
        self._folder = files("careledger.web").joinpath("_ui", "app")
        self._known: dict[str, File] = {}
        self._callback = File(b"", b"", PAGE_HEADERS, b"", CALLBACK)

    def find(self, path: str) -> File | None:
        """What stands at this path of the address; None if nothing of ours does."""
        if path == CALLBACK:
            return self._callback
        if path in _TOP or _ASSET.fullmatch(path):
            return self._read(path[1:])
        if path == "/" or any(path == page or path.startswith(f"{page}/") for page in _PAGES):
            return self._read(PAGE)
        return None

    def _read(self, name: str) -> File | None:
        known = self._known.get(name)
        if known is not None:
            return known
        place = self._folder.joinpath(*name.split("/"))
        kind = KINDS.get(name.rpartition(".")[2])
        if kind is None or not place.is_file():
            return None
        packed = self._folder.joinpath(*f"{name}.br".split("/"))
        self._known[name] = made = make_file(
            name, place.read_bytes(), packed.read_bytes() if packed.is_file() else b""
        )
        return made


def make_file(name: str, plain: bytes, packed: bytes) -> File:
    """The answer for a file of this name."""
    is_asset = name.startswith("assets/")
    headers = [
        (b"content-type", KINDS[name.rpartition(".")[2]]),
        (b"cache-control", FOREVER if is_asset else ANEW),
        (b"vary", b"accept-encoding"),
    ]
    if name == PAGE:
        headers += PAGE_HEADERS
    elif name.endswith(".js"):  # a worker obeys the policy of its own file
        headers.append(PAGE_HEADERS[0])
    etag = b'"%b"' % sha256(plain).hex()[:32].encode()
    route = "/assets/{name}" if is_asset else "/" if name == PAGE else f"/{name}"
    return File(plain, packed, tuple(headers), etag, route)
