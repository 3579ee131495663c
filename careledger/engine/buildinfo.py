"""What a Go binary says it was built from: its module, version and module hash, read without Go.

The layout is Go's own (debug/buildinfo, since Go 1.18): a magic of 14 bytes at a multiple of 16, pointer size, flags,
and from byte 32 on two strings with varint lengths: Go's version, and the text that `go version -m` prints, between
two sentinels of 16 bytes.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from careledger.primitives.errors import Invalid

_MAGIC: Final = b"\xff Go buildinf:"
_ALIGNMENT: Final = 16
_HEADER_BYTES: Final = 32
_INLINE_STRINGS: Final = 0x02
_SENTINEL_BYTES: Final = 16
_TEXT_BYTES_MAX: Final = 1 << 20
BINARY_BYTES_MAX: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """The Go version, the package, and the module (with version and hash) that holds it."""

    go: str
    package: str
    module: str
    version: str
    sum: str


def read_build_info(path: Path) -> BuildInfo:
    """The build information of a binary. Raises Invalid if there is none, OSError where the disk does."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if not 0 < size <= BINARY_BYTES_MAX:
            raise _not_go(path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            at = content.find(_MAGIC)
            while at >= 0:
                found = _parse(content, at) if at % _ALIGNMENT == 0 else None
                if found is not None:
                    return found
                at = content.find(_MAGIC, at + 1)
    raise _not_go(path)


def _parse(content: mmap.mmap, at: int) -> BuildInfo | None:
    """The information that begins here; none if the magic stands here by chance."""
    if at + _HEADER_BYTES > len(content) or not content[at + 15] & _INLINE_STRINGS:
        return None
    go, position = _read_text(content, at + _HEADER_BYTES)
    text, position = _read_text(content, position)
    if not go or len(text) <= 2 * _SENTINEL_BYTES:
        return None
    return _parse_text(go, text[_SENTINEL_BYTES:-_SENTINEL_BYTES])


def _read_text(content: mmap.mmap, position: int) -> tuple[bytes, int]:
    """A string after its varint length, and where the next begins; empty if it is over the limit or cut off."""
    length, shift = 0, 0
    while position < len(content) and shift <= 28:
        byte = content[position]
        position += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = position + length
            return (
                (content[position:end], end)
                if end <= len(content) and length <= _TEXT_BYTES_MAX
                else (b"", 0)
            )
    return b"", len(content)


def _parse_text(go: bytes, text: bytes) -> BuildInfo | None:
    package = module = version = sum = ""
    for line in text.decode("utf-8", "replace").split("\n"):
        words = line.split("\t")
        if words[0] == "path" and len(words) == 2:
            package = words[1]
        elif words[0] == "mod" and len(words) >= 3:
            module, version, sum = words[1], words[2], words[3] if len(words) > 3 else ""
    return BuildInfo(go.decode("utf-8", "replace"), package, module, version, sum) if package else None


def _not_go(path: Path) -> Invalid:
    return Invalid(
        f"{path} does not say what it was built from",
        hint="name a binary that Go built from its module, or none: careledger engine install",
        code="engine-unknown",
    )
