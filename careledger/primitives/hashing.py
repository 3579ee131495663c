"""Every digest of the project is made here, each purpose under a domain tag of its own (protocol.md, `H`).

The only module that uses `hashlib`.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Protocol

DIGEST_SIZE = 32
ZERO_DIGEST = bytes(DIGEST_SIZE)


class Hash(Protocol):
    """A running SHA-256."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


new_sha256 = hashlib.sha256
"""The constructor itself, for loops that hash a million nodes: `new_sha256(data).digest()`."""


def sha256(data: bytes) -> bytes:
    """SHA-256 of `data`: 32 bytes."""
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 of `data` under `key`: 32 bytes."""
    return hmac.digest(key, data, "sha256")


def hkdf_sha256(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869): 32 bytes."""
    return hmac_sha256(hmac_sha256(salt, key), info + b"\x01")


@lru_cache(maxsize=256)
def tag_prefix(tag: str) -> bytes:
    """`u8 length | tag`: what `tagged` hashes before its data. Tags are ASCII, begin `cl1.`, at most 255 long."""
    raw = tag.encode("ascii")
    if not tag.startswith("cl1.") or len(raw) > 255:
        raise RuntimeError(f"not a domain tag: {tag!r}")
    return bytes([len(raw)]) + raw


def tagged(tag: str, data: bytes) -> bytes:
    """`H(tag, data)` of protocol.md: SHA-256(u8 length | tag | data)."""
    return hashlib.sha256(tag_prefix(tag) + data).digest()


def fingerprint(*parts: bytes) -> bytes:
    """SHA-256 over the parts, each preceded by its u64 length; for files and caches, never for the protocol."""
    running = hashlib.sha256()
    for part in parts:
        running.update(len(part).to_bytes(8, "big"))
        running.update(part)
    return running.digest()


def keyed_digest(key: bytes, data: bytes) -> bytes:
    """BLAKE2b-128 of `data` under a 32-byte key: frames of the journal and blind index terms, never the protocol."""
    return hashlib.blake2b(data, digest_size=16, key=key).digest()
