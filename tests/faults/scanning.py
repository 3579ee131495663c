"""Looks for what patients' records say in every file of a stopped home, in many spellings, compressed or not."""

from __future__ import annotations

import base64
import contextlib
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import zstandard

CANARY_CHARACTERS_MIN: Final = 6
"""Shorter texts occur by chance."""
WINDOW: Final = 6
UNPACKED_BYTES_MAX: Final = 1 << 20
ZLIB_HEADS: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b")
ZSTD_HEAD: Final = b"\x28\xb5\x2f\xfd"


def canaries_of(resources: Iterable[Any]) -> set[str]:
    """Every text and number of these resources that is long enough to be told from chance."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)
        elif not isinstance(value, bool) and len(str(value)) >= CANARY_CHARACTERS_MIN:
            found.add(str(value))

    for resource in resources:
        walk(resource)
    return found


class Scanner:
    """Finds any of the canaries in bytes. A window of six bytes is looked up; then the whole spelling must be there."""

    def __init__(self, canaries: Iterable[str]) -> None:
        self._spellings: dict[bytes, list[tuple[bytes, str]]] = {}
        for canary in canaries:
            for spelling in _spell(canary):
                if len(spelling) >= WINDOW:
                    self._spellings.setdefault(spelling[:WINDOW], []).append((spelling, canary))

    def scan(self, data: bytes, depth: int = 2) -> set[str]:
        """The canaries in the bytes, and in whatever they unpack to."""
        found, spellings = set(), self._spellings
        for at in range(len(data) - WINDOW + 1):
            known = spellings.get(data[at : at + WINDOW])
            if known is not None:
                found |= {canary for spelling, canary in known if data.startswith(spelling, at)}
        if depth:
            for unpacked in _unpack(data):
                found |= self.scan(unpacked, depth - 1)
        return found

    def scan_home(self, home: Path) -> dict[str, set[str]]:
        """Canaries by file; names of files and folders are read too. Only `keys/` is left out."""
        found: dict[str, set[str]] = {}
        for path in sorted(home.rglob("*")):
            name = str(path.relative_to(home))
            hits = self.scan(name.encode(), 0)
            if path.is_file() and not name.startswith("keys/"):
                hits |= self.scan(path.read_bytes())
            if hits:
                found[name] = hits
        return found


def _spell(canary: str) -> Iterator[bytes]:
    for text in {canary, canary.lower(), canary.upper(), canary.casefold()}:
        raw = text.encode()
        yield raw
        yield text.encode("utf-16-le")
        yield text.encode("utf-16-be")
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        yield json.dumps(text)[1:-1].encode()
        if len(raw) >= 2 * WINDOW - 2:
            for shift in range(3):  # base64 of a longer text, wherever this one begins in it
                whole = base64.b64encode(bytes(shift) + raw)
                part = whole[(0, 2, 3)[shift] : len(whole) - 4]
                yield part
                yield part.replace(b"+", b"-").replace(b"/", b"_")


def _unpack(data: bytes) -> Iterator[bytes]:
    for head in ZLIB_HEADS:
        for at in _places(data, head):
            with contextlib.suppress(zlib.error):
                unpacked = zlib.decompressobj(47).decompress(data[at:], UNPACKED_BYTES_MAX)
                if unpacked:
                    yield unpacked
    for at in _places(data, ZSTD_HEAD):
        with contextlib.suppress(zstandard.ZstdError):
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[at : at + UNPACKED_BYTES_MAX])


def _places(data: bytes, head: bytes) -> Iterator[int]:
    at = data.find(head)
    while at >= 0:
        yield at
        at = data.find(head, at + 1)
