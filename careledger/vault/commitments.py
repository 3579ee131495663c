"""What a leaf commits to: secrets, salts, headers and their hashes (protocol.md, Charts). Pure, no sealing.

Whoever holds an opened header, the salt and the body can recompute a leaf with this file and nothing else; the
stand-alone verifier has its own twin, held to the same `vectors/envelope.json`.

    header      organisation 32 | handle 32 | u8 kind | text type | text id | u64 version   (the first six)
                | u64 time ms | text author | H(`cl1.body`, salt | canonical body bytes; empty for none) 32
    leaf        H(`cl1.commit`, salt | header)

Text carries a u32 length in bytes; digests and handles are 32 bytes as they are; numbers are big-endian.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final

from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import new_sha256 as sha256


class Kind(IntEnum):
    """What a leaf records. Numbers are part of every commitment: never reused."""

    ENROLMENT = 0  # leaf 0 of each chart
    VERSION = 1
    DELETION = 2
    GUARDIAN = 3  # controller or guardian
    DIRECTIVE = 4
    KEY_EVENT = 5
    MOVE = 6
    CLOSE = 7
    ACCESS = 32  # the only kind in an access log


HANDLE_BYTES: Final = 32
KEY_BYTES: Final = 32
TYPE_BYTES_MAX: Final = 64
ID_BYTES_MAX: Final = 64
AUTHOR_BYTES_MAX: Final = 512

_BODY_TAG: Final = b"\x08cl1.body"
_COMMIT_TAG: Final = b"\x0acl1.commit"
_INNER_PAD: Final = bytes(i ^ 0x36 for i in range(256))
_OUTER_PAD: Final = bytes(i ^ 0x5C for i in range(256))
_INNER: Final = b"\x36" * 32
_INNER_BODY: Final = _INNER + b"body"
_INNER_SALT: Final = _INNER + b"salt"
_OUTER: Final = b"\x5c" * 32


def derive(secret: bytes) -> tuple[bytes, bytes]:
    """(body key, salt) of a 32-byte secret: HMAC-SHA-256(secret, `body`) and (secret, `salt`).

    RFC 2104 written out, because `hmac.digest` twice costs double on the hot path.
    """
    inner = secret.translate(_INNER_PAD)
    outer = secret.translate(_OUTER_PAD) + _OUTER
    return (
        sha256(outer + sha256(inner + _INNER_BODY).digest()).digest(),
        sha256(outer + sha256(inner + _INNER_SALT).digest()).digest(),
    )


def body_key(secret: bytes) -> bytes:
    """The body key alone: what opening needs."""
    inner = sha256(secret.translate(_INNER_PAD) + _INNER_BODY).digest()
    return sha256(secret.translate(_OUTER_PAD) + _OUTER + inner).digest()


def body_hash(salt: bytes, body: bytes) -> bytes:
    """H(`cl1.body`, salt | canonical bytes)."""
    return sha256(_BODY_TAG + salt + body).digest()


def commit(salt: bytes, encoded_header: bytes) -> bytes:
    """The leaf: H(`cl1.commit`, salt | enc(header))."""
    return sha256(_COMMIT_TAG + salt + encoded_header).digest()


def header(six: bytes, time_ms: int, author: str, digest: bytes) -> bytes:
    """enc(header) from its encoded first six fields."""
    name = author.encode()
    if len(name) > AUTHOR_BYTES_MAX:
        raise Invalid("the author of a version is too long", hint=f"at most {AUTHOR_BYTES_MAX} bytes")
    return b"".join((six, time_ms.to_bytes(8, "big"), len(name).to_bytes(4, "big"), name, digest))


def first_six(place: bytes, kind: int, type: str, id: str, version: int) -> bytes:
    """enc of a header's first six fields; `place` = enc(organisation, handle). Raises Invalid over a limit."""
    name = id.encode()
    if len(name) > ID_BYTES_MAX:
        raise Invalid("an id is too long", hint=f"at most {ID_BYTES_MAX} bytes")
    return b"".join(
        (place, _kind_type(kind, type), len(name).to_bytes(4, "big"), name, version.to_bytes(8, "big"))
    )


@lru_cache(maxsize=1024)
def _kind_type(kind: int, type: str) -> bytes:
    name = type.encode()
    if len(name) > TYPE_BYTES_MAX:
        raise Invalid("a type name is too long", hint=f"at most {TYPE_BYTES_MAX} bytes")
    return bytes((kind,)) + len(name).to_bytes(4, "big") + name


def place(organisation: bytes, handle: bytes) -> bytes:
    """enc(organisation, handle), both 32 bytes."""
    return organisation + handle


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 under a key of exactly 32 bytes."""
    inner = sha256(key.translate(_INNER_PAD) + _INNER + message).digest()
    return sha256(key.translate(_OUTER_PAD) + _OUTER + inner).digest()
