"""A sealed copy of a chart: one file that only its patient opens, with her passkey, her printed kit or her key file.

Promises (docs/spec/copy.md):
- without one of the secrets that its wraps are under, the file is its size, its wraps' kinds and noise;
- one altered byte, a chunk left out, added, doubled or moved, another header or another chart's wraps, and it is refused
  (CopyRefused): never an altered byte of what was sealed;
- a file has one form: what `seal_copy` would not write is refused, with its reason.

What it holds is the chart export and the access-log export, byte for byte, for `verify`. The copy key comes from
`vault.copies`. Pure but for the random id; reads no file itself.

File: u32 length | enc(header), then chunks of 65,536 bytes of content (the last 1 to 65,536), each with a tag of 16.
Content: u64 length | chart export | u64 length | access-log export.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careledger.primitives.encoding import U8, Bytes, Fixed, Schema, Set, Text
from careledger.primitives.errors import CareLedgerError, Invalid, VerificationFailed
from careledger.primitives.hashing import hkdf_sha256, tagged

FORMAT: Final = "careledger/copy/1"
SUITE: Final = 1
"""HKDF-SHA-256, AES-256-GCM."""
KEY_BYTES: Final = 32
CREDENTIAL_BYTES_MAX: Final = 1023
WRAPS_MAX: Final = 8
HEADER_BYTES_MAX: Final = 16_384
CHUNK_BYTES: Final = 65_536
TAG_BYTES: Final = 16
CHUNKS_MAX: Final = 65_536
"""4 GiB of content."""
LENGTH_BYTES: Final = 8
PARTS: Final = ("chart.json", "access-log.json")
"""What is in it, in this order, under the names by which it is saved."""
_ZERO_NONCE: Final = bytes(12)


class CopyRefused(VerificationFailed):
    """This is no sealed copy, not whole, altered, or not opened by this secret."""

    code = "copy-refused"


class NotAmongWraps(CopyRefused):
    """No wrap of the file is under a secret of this kind, or this secret does not open it."""

    code = "copy-not-yours"


class Kind(IntEnum):
    """What the secret of a wrap comes from. Numbers are part of files: never reused."""

    PASSKEY = 1  # PRF of her passkey on `prf_input(salt)`
    KIT = 2  # the 32 bytes of her printed kit
    KEY_FILE = 3  # the seed of her key file


@dataclass(frozen=True, slots=True)
class Wrap:
    """The copy key under a secret of hers. `credential` names the passkey, b"" for other kinds; `salt` is used once."""

    kind: int
    credential: bytes
    salt: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the chunks. `id` is 32 random bytes and says nothing of the chart."""

    format: str
    suite: int
    id: bytes
    wraps: tuple[Wrap, ...]


WRAP: Final = Schema(
    Wrap,
    kind=U8,
    credential=Bytes(CREDENTIAL_BYTES_MAX),
    salt=Fixed(KEY_BYTES),
    key=Fixed(KEY_BYTES + TAG_BYTES),
)
WRAPS: Final = Set(WRAP, WRAPS_MAX)
HEADER: Final = Schema(Header, format=Text(32), suite=U8, id=Fixed(KEY_BYTES), wraps=WRAPS)


# ---- Wraps --------------------------------------------------------------------------------------------------


def prf_input(salt: bytes) -> bytes:
    """What PRF is evaluated on for a wrap: never what a directive's key comes from (`cl1.directive`)."""
    return tagged("cl1.copy.prf", salt)


def wrap_key(copy_key: bytes, kind: Kind, secret: bytes, salt: bytes, credential: bytes = b"") -> Wrap:
    """The copy key under a secret of 32 random bytes; `salt` is 32 random bytes, used once."""
    check_secret(secret)
    cipher, bound = _wrapping(kind, secret, salt, credential)
    return Wrap(int(kind), credential, salt, cipher.encrypt(_ZERO_NONCE, copy_key, bound))


def unwrap_key(wrap: Wrap, secret: bytes) -> bytes:
    """The copy key. Raises NotAmongWraps for every other secret."""
    check_secret(secret)
    cipher, bound = _wrapping(wrap.kind, secret, wrap.salt, wrap.credential)
    try:
        return cipher.decrypt(_ZERO_NONCE, wrap.key, bound)
    except InvalidTag:
        raise _not_among() from None


def open_wraps(header: Header, kind: Kind, secret: bytes) -> bytes:
    """The copy key by a secret of this kind. Raises NotAmongWraps."""
    for wrap in header.wraps:
        if wrap.kind == kind:
            try:
                return unwrap_key(wrap, secret)
            except NotAmongWraps:
                continue
    raise _not_among()


def check_secret(secret: bytes) -> None:
    """Raises Invalid unless it can be one."""
    if len(secret) != KEY_BYTES:
        raise Invalid("a secret of a wrap has 32 bytes")


def check_wraps(wraps: Sequence[Wrap]) -> None:
    """Raises Invalid for what no header holds: none, an unknown kind, a passkey without name or a name without passkey."""
    if not wraps:
        raise Invalid("a sealed copy has at least one wrap", code="copy-wraps")
    for wrap in wraps:
        if wrap.kind not in set(Kind) or bool(wrap.credential) != (wrap.kind == Kind.PASSKEY):
            raise Invalid("a wrap is of no known kind, or names what it must not", code="copy-wraps")


def check_enough(wraps: Sequence[Wrap]) -> None:
    """Raises Invalid where a lost device would take the only way in along: a passkey needs a wrap of another kind beside it.

    A key file is enough alone: it is a file of hers, and she keeps a copy of it elsewhere.
    """
    check_wraps(wraps)
    if {wrap.kind for wrap in wraps} == {Kind.PASSKEY}:
        raise Invalid(
            "a passkey alone may be lost",
            hint="wrap the key under the printed kit, too: at least two wraps of different kinds",
            code="one-wrap",
        )


def _wrapping(kind: int, secret: bytes, salt: bytes, credential: bytes) -> tuple[AESGCM, bytes]:
    info = b"cl1.copy.wrap" + bytes((kind,))
    return AESGCM(hkdf_sha256(secret, salt, info)), info + salt + credential


def _not_among() -> NotAmongWraps:
    return NotAmongWraps(
        "this does not open the copy", hint="use the passkey, kit or key file that she had when it was sealed"
    )


# ---- Sealing ------------------------------------------------------------------------------------------------


def make_header(wraps: Sequence[Wrap], id: bytes | None = None) -> Header:
    """A header of a new copy; a random id unless given. Raises Invalid."""
    check_wraps(wraps)
    return Header(FORMAT, SUITE, id or os.urandom(KEY_BYTES), WRAPS.sorted(wraps))


def compute_size(header: Header, lengths: Sequence[int]) -> int:
    """Bytes of the file that holds parts of these lengths. Raises Invalid if no copy holds so much."""
    content = sum(lengths) + LENGTH_BYTES * len(lengths)
    chunks = -(-content // CHUNK_BYTES)
    if chunks > CHUNKS_MAX:
        raise Invalid("a sealed copy holds at most 4 GiB", hint="careledger chart export", code="copy-size")
    return 4 + len(HEADER.encode(header)) + content + chunks * TAG_BYTES


def seal_copy(
    header: Header, copy_key: bytes, parts: Sequence[tuple[int, Iterable[bytes]]]
) -> Iterator[bytes]:
    """The file, piece by piece: `parts` are the length and the bytes of each of PARTS. Holds two chunks in memory."""
    encoded = HEADER.encode(header)
    cipher, bound = _sealing(copy_key, header, encoded)
    yield len(encoded).to_bytes(4, "big") + encoded
    waiting = bytearray()
    number = 0
    for piece in _content(parts):
        waiting += piece
        while len(waiting) > CHUNK_BYTES:
            yield cipher.encrypt(_nonce(number, is_last=False), bytes(waiting[:CHUNK_BYTES]), bound)
            del waiting[:CHUNK_BYTES]
            number += 1
    yield cipher.encrypt(_nonce(number, is_last=True), bytes(waiting), bound)


def _content(parts: Sequence[tuple[int, Iterable[bytes]]]) -> Iterator[bytes]:
    if len(parts) != len(PARTS):
        raise RuntimeError("a copy has two parts")
    for length, pieces in parts:
        yield length.to_bytes(LENGTH_BYTES, "big")
        left = length
        for piece in pieces:
            left -= len(piece)
            yield piece
        if left:
            raise RuntimeError("a part has another length than was said")


def _sealing(copy_key: bytes, header: Header, encoded: bytes) -> tuple[AESGCM, bytes]:
    """A key of this file alone, and what every chunk is bound to: the whole header."""
    bound = tagged("cl1.copy.header", encoded)
    return AESGCM(hkdf_sha256(copy_key, header.id, b"cl1.copy.file" + bound)), bound


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((is_last,))


# ---- Opening ------------------------------------------------------------------------------------------------


def read_header(file: IO[bytes]) -> Header:
    """The header at the beginning of a file. Raises CopyRefused for every other beginning."""
    size = int.from_bytes(_exactly(file, 4), "big")
    if size > HEADER_BYTES_MAX:
        raise _none()
    try:
        header: Header = HEADER.decode(_exactly(file, size))
    except CareLedgerError:
        raise _none() from None
    if header.format != FORMAT or header.suite != SUITE:
        raise CopyRefused(
            "this sealed copy has a form that this program does not know", hint="use a newer CareLedger"
        )
    try:
        check_wraps(header.wraps)
    except Invalid:
        raise _none() from None
    return header


def open_copy(file: IO[bytes], header: Header, copy_key: bytes, into: Sequence[IO[bytes]]) -> None:
    """Write the parts into these files, one for each of PARTS; `file` stands behind the header.

    Raises CopyRefused; then nothing of what was written may be used.
    """
    content = _Content(_chunks(file, header, copy_key))
    for part in into:
        left = int.from_bytes(content.take(LENGTH_BYTES), "big")
        while left:
            piece = content.take(min(left, CHUNK_BYTES))
            part.write(piece)
            left -= len(piece)
    if content.has_more():
        raise _altered()


def _chunks(file: IO[bytes], header: Header, copy_key: bytes) -> Iterator[bytes]:
    cipher, bound = _sealing(copy_key, header, HEADER.encode(header))
    sealed, number = file.read(CHUNK_BYTES + TAG_BYTES), 0
    while True:
        following = file.read(CHUNK_BYTES + TAG_BYTES)
        if number >= CHUNKS_MAX or len(sealed) <= TAG_BYTES:
            raise _altered()
        try:
            yield cipher.decrypt(_nonce(number, is_last=not following), sealed, bound)
        except InvalidTag:
            raise _altered() from None
        if not following:
            return
        sealed, number = following, number + 1


class _Content:
    """Opened chunks as one run of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def take(self, size: int) -> bytes:
        """Exactly so many bytes, at most a chunk's. Raises CopyRefused if there are fewer."""
        while len(self._rest) < size:
            piece = next(self._chunks, None)
            if piece is None:
                raise _altered()
            self._rest += piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def has_more(self) -> bool:
        """Whether bytes are left. Opens the last chunk, if that was not reached yet."""
        return bool(self._rest) or next(self._chunks, None) is not None


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _none()
    return data


def _none() -> CopyRefused:
    return CopyRefused("this is no sealed copy", hint="name the file as it was downloaded")


def _altered() -> CopyRefused:
    return CopyRefused(
        "this sealed copy was altered, or is not whole", hint="download it again; nothing of it was opened"
    )
