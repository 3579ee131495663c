"""The envelope of everything a chart holds: sealed so that only its keys open it, committed so that it can be proved.

Promises (protocol.md, Charts):
- what a stolen file shows of a version is its padded size and nothing else; equal versions look unrelated;
- one altered bit of a leaf, meta or body, or one put in the place of another, raises Corrupt: never an altered byte;
- a record opens with its chart's key alone; rotation (`reseal_meta`) changes no commitment and touches no body;
- a leaf says nothing without its salt, and nobody can open it to another header or body.

Wire forms (header and leaf: `commitments.py`):
    body        u8 format | AES-256-GCM(body key, zero nonce, packed, AAD = u8 format | first six)
    meta        nonce 12 | AES-256-GCM(meta key of the epoch, msgpack of `Opened`, AAD = `cl1.meta` | place | leaf)
    access      random 16 | u8 format | AES-256-GCM(…); see `seal_access`
    rows        nonce 12 | AES-256-GCM(rows key of the epoch, …); see `seal_rows`
The AAD of a linked body names the chart that sealed it first (`Opened.home`).
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careledger.primitives.errors import Corrupt, Invalid
from careledger.primitives.hashing import keyed_digest
from careledger.vault.access_entries import ENTRY_BYTES_MAX, decode_entry, encode_entry, steps
from careledger.vault.commitments import (
    HANDLE_BYTES,
    KEY_BYTES,
    body_hash,
    body_key,
    commit,
    derive,
    first_six,
    header,
    mac,
    place,
)
from careledger.vault.commitments import (
    Kind as Kind,
)
from careledger.vault.compression import FORMAT_BYTES, pack, squeeze, unpack, unsqueeze
from careledger.vault.model import AccessEntry, Row, RowColumns, RowNumbers
from careledger.vault.rows import columns_of, rows_of

SEGMENT_ROWS_MAX: Final = 65_536
_ZERO_NONCE: Final = bytes(12)
_SEGMENT_SQUEEZED_BYTES_MIN: Final = 256


class ChartKeys:
    """The opened keys of one chart at one epoch. Holds no patient data; never printed, never stored unwrapped."""

    __slots__ = ("_meta", "_rows", "access_key", "epoch", "handle", "organisation", "place", "record_key")

    def __init__(
        self, organisation: bytes, handle: bytes, epoch: int, record_key: bytes, access_key: bytes
    ) -> None:
        if not len(organisation) == len(handle) == HANDLE_BYTES:
            raise Invalid("organisation and chart handles have 32 bytes")
        if not len(record_key) == len(access_key) == KEY_BYTES:
            raise Invalid("chart keys have 32 bytes")
        self.organisation = organisation
        self.handle = handle
        self.epoch = epoch
        self.record_key = record_key
        self.access_key = access_key
        self.place = place(organisation, handle)
        self._meta = AESGCM(mac(record_key, b"meta"))
        self._rows = AESGCM(mac(record_key, b"rows"))

    @classmethod
    def generate(cls, organisation: bytes, handle: bytes | None = None) -> ChartKeys:
        """Keys of a new chart, epoch 0; a random handle unless given."""
        secret = os.urandom(HANDLE_BYTES + 2 * KEY_BYTES)
        return cls(organisation, handle or secret[:32], 0, secret[32:64], secret[64:])

    def next_epoch(self) -> ChartKeys:
        """The same chart under a fresh record key: the access log keeps its own."""
        return ChartKeys(
            self.organisation, self.handle, self.epoch + 1, os.urandom(KEY_BYTES), self.access_key
        )


class Sealed(NamedTuple):
    """What is stored of one version: all three are opaque. `body` is empty for a version without content."""

    leaf: bytes
    meta: bytes
    body: bytes
    digest: bytes
    """H(`cl1.body`, salt | body), which the leaf commits to: says nothing without the salt."""


class Opened(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An opened meta: the header's own fields, the secret, and how long the canonical body is."""

    kind: int
    type: str
    id: str
    version: int
    time_ms: int
    author: str
    length: int
    secret: bytes
    home: bytes = b""  # handle of the chart that sealed the body, if not this one
    put_created: bool = False  # always written, so that the length does not tell; committed nowhere
    late_ms: int = 0  # by how much `time_ms` was moved on (`redate`); committed nowhere

    @property
    def served_ms(self) -> int:
        """The time that the body and the index give: lastUpdated."""
        return self.time_ms - self.late_ms

    def __repr__(self) -> str:
        return f"Opened(kind={self.kind}, version={self.version})"


_encode_meta = msgspec.msgpack.Encoder().encode
_decode_meta = msgspec.msgpack.Decoder(Opened).decode


def seal_version(
    chart: ChartKeys,
    kind: int,
    type: str,
    id: str,
    version: int,
    time_ms: int,
    author: str,
    body: bytes | None,
    *,
    put_created: bool = False,
) -> Sealed:
    """Seal and commit one version under a fresh secret. `body` is the canonical bytes, None for none.

    Raises Invalid on a field over its limit, TooLarge on a body over `compression.CONTENT_BYTES_MAX`.
    """
    fresh = os.urandom(44)
    secret = fresh[:32]
    key, salt = derive(secret)
    six = first_six(chart.place, kind, type, id, version)
    if body is None:
        content = sealed_body = b""
    else:
        content = body
        sealed_body = _seal_body(key, six, body)
    digest = body_hash(salt, content)
    leaf = commit(salt, header(six, time_ms, author, digest))
    opened = Opened(kind, type, id, version, time_ms, author, len(content), secret, b"", put_created)
    nonce = fresh[32:]
    sealed_meta = chart._meta.encrypt(nonce, _encode_meta(opened), _meta_data(chart, leaf))
    return Sealed(leaf, nonce + sealed_meta, sealed_body, digest)


def seal_link(
    further: ChartKeys, first: ChartKeys, opened: Opened, body: bytes | None
) -> tuple[bytes, bytes]:
    """(leaf, meta) of an already sealed version in a further chart: the one sealed body serves both.

    `opened` is the first chart's meta, `body` the canonical bytes. Both leaves share salt and body hash, so each
    holder sees only their own chart: the other leaf cannot be recognised without its 32-byte handle.
    """
    _, salt = derive(opened.secret)
    six = first_six(further.place, opened.kind, opened.type, opened.id, opened.version)
    leaf = commit(salt, header(six, opened.time_ms, opened.author, body_hash(salt, body or b"")))
    linked = msgspec.structs.replace(opened, home=opened.home or first.handle)
    return leaf, _seal_meta(further, leaf, linked)


def redate(
    chart: ChartKeys, leaf: bytes, meta: bytes, digest: bytes | None, time_ms: int
) -> tuple[bytes, bytes]:
    """(leaf, meta) of the same version recorded at `time_ms`: times never decrease within a log.

    `digest` is what the leaf commits to of the body (`Sealed.digest`), None where there is no body. A body's key and associated data name no
    time: it stays sealed.
    """
    opened = open_meta(chart, leaf, meta)
    moved = msgspec.structs.replace(opened, time_ms=time_ms, late_ms=time_ms - opened.served_ms)
    _, salt = derive(opened.secret)
    six = first_six(chart.place, opened.kind, opened.type, opened.id, opened.version)
    if digest is None:
        digest = body_hash(salt, b"")
    leaf = commit(salt, header(six, time_ms, opened.author, digest))
    return leaf, _seal_meta(chart, leaf, moved)


def open_meta(chart: ChartKeys, leaf: bytes, meta: bytes) -> Opened:
    """The opened meta that was sealed with exactly this leaf in exactly this chart, else Corrupt."""
    try:
        plain = chart._meta.decrypt(meta[:12], meta[12:], _meta_data(chart, leaf))
        return _decode_meta(plain)
    except (InvalidTag, ValueError, msgspec.DecodeError):
        raise _corrupt("the sealed secret of a version") from None


def open_body(chart: ChartKeys, opened: Opened, sealed_body: bytes) -> bytes:
    """The canonical bytes as committed (empty for a version without content), else Corrupt."""
    if not sealed_body:
        if opened.length:
            raise _corrupt("a version without its body")
        return b""
    where = place(chart.organisation, opened.home) if opened.home else chart.place
    six = first_six(where, opened.kind, opened.type, opened.id, opened.version)
    return _open_body(body_key(opened.secret), six, sealed_body, opened.length)


def reseal_meta(old: ChartKeys, new: ChartKeys, leaf: bytes, meta: bytes) -> bytes:
    """The same secret under another epoch of the same chart; leaf and body stay. Raises Corrupt, Invalid."""
    if old.place != new.place:
        raise Invalid("a secret is re-sealed only within its chart", hint="a move seals a version anew")
    return _seal_meta(new, leaf, open_meta(old, leaf, meta))


def seal_stub(chart: ChartKeys, leaf: bytes, opened: Opened) -> bytes:
    """What stays of an erased version: type, id, version and time, without secret, author and length."""
    stub = Opened(
        opened.kind,
        opened.type,
        opened.id,
        opened.version,
        opened.time_ms,
        "",
        0,
        b"",
        late_ms=opened.late_ms,
    )
    return _seal_meta(chart, leaf, stub)


def check_version(chart: ChartKeys, leaf: bytes, opened: Opened, body: bytes) -> None:
    """Raise Corrupt unless the leaf commits to this header and body: `fsck` and receipts, not the read path."""
    _, salt = derive(opened.secret)
    if commit(salt, header_of(chart, opened, body)) != leaf:
        raise _corrupt("a commitment")


def header_of(chart: ChartKeys, opened: Opened, body: bytes) -> bytes:
    """The encoded header that this chart's leaf commits to (for receipts, with `derive(opened.secret)[1]`)."""
    _, salt = derive(opened.secret)
    six = first_six(chart.place, opened.kind, opened.type, opened.id, opened.version)
    return header(six, opened.time_ms, opened.author, body_hash(salt, body))


def _corrupt(what: str) -> Corrupt:
    return Corrupt(f"{what} is not what was committed", hint="it is not served; run: careledger fsck")


def _meta_data(chart: ChartKeys, leaf: bytes) -> bytes:
    return b"cl1.meta" + chart.place + leaf


def _seal_meta(chart: ChartKeys, leaf: bytes, opened: Opened) -> bytes:
    nonce = os.urandom(12)
    return nonce + chart._meta.encrypt(nonce, _encode_meta(opened), _meta_data(chart, leaf))


def _seal_body(key: bytes, six: bytes, content: bytes) -> bytes:
    form, packed = pack(content)
    prefix = FORMAT_BYTES[form]
    return prefix + AESGCM(key).encrypt(_ZERO_NONCE, packed, prefix + six)


def _open_body(key: bytes, six: bytes, sealed: bytes, length: int | None) -> bytes:
    try:
        packed = AESGCM(key).decrypt(_ZERO_NONCE, sealed[1:], sealed[:1] + six)
    except (InvalidTag, ValueError):
        raise _corrupt("a sealed body") from None
    return unpack(sealed[0], packed, length, ENTRY_BYTES_MAX)


# -- access entries ---------------------------------------------------------------------------------------------


def seal_access(chart: ChartKeys, index: int, entry: AccessEntry) -> tuple[bytes, bytes]:
    """(leaf, sealed) of the entry at position `index` of the chart's access log, under the access key.

    secret = HMAC(access key, `entry` | u64 index | random 16): nothing secret is stored, and an index used again
    (a torn frame, a restored backup) still gets a key of its own. Header: kind access, no type, id, author;
    version = index; content = `encode_entry`. The chart's number is local to the node and not committed.
    """
    fresh = os.urandom(16)
    secret = mac(chart.access_key, b"entry" + index.to_bytes(8, "big") + fresh)
    key, salt = derive(secret)
    six = first_six(chart.place, Kind.ACCESS, "", "", index)
    content = encode_entry(entry)
    leaf = commit(salt, header(six, entry.time_ms, "", body_hash(salt, content)))
    return leaf, fresh + _seal_body(key, six, content)


def open_access(chart: ChartKeys, number: int, index: int, leaf: bytes, sealed: bytes) -> AccessEntry:
    """The entry at `index` of chart `number`, checked against its leaf, else Corrupt."""
    return disclose_access(chart, number, index, leaf, sealed)[0]


def disclose_access(
    chart: ChartKeys, number: int, index: int, leaf: bytes, sealed: bytes
) -> tuple[AccessEntry, bytes, bytes]:
    """As `open_access`, with the committed content and its salt: what a stranger needs to check the leaf."""
    secret = mac(chart.access_key, b"entry" + index.to_bytes(8, "big") + sealed[:16])
    key, salt = derive(secret)
    six = first_six(chart.place, Kind.ACCESS, "", "", index)
    content = _open_body(key, six, sealed[16:], None)
    entry = decode_entry(number, content)
    if commit(salt, header(six, entry.time_ms, "", body_hash(salt, content))) != leaf:
        raise _corrupt("an access entry's commitment")
    return entry, content, salt


# -- index segments ---------------------------------------------------------------------------------------------


class _Columns(msgspec.Struct, array_like=True, gc=False):
    """`RowColumns` as stored: equal things lie together, rising numbers are stored as steps, types once."""

    types: list[str]
    type: list[int]
    id: list[str]
    version: list[int]
    flags: bytes
    time_ms: list[int]
    height: list[int]
    leaf: list[int]
    values: list[bytes]


class _Soon(msgspec.Struct, array_like=True, gc=False):
    """`_Columns`, those that are read late as the bytes that they are."""

    types: list[str]
    type: list[int]
    id: msgspec.Raw
    version: list[int]
    flags: bytes
    time_ms: msgspec.Raw
    height: msgspec.Raw
    leaf: msgspec.Raw
    values: list[bytes]


class _Late(msgspec.Struct, array_like=True, gc=False):
    id: list[str]
    time_ms: list[int]
    height: list[int]
    leaf: list[int]


_encode_columns = msgspec.msgpack.Encoder().encode
_decode_soon = msgspec.msgpack.Decoder(_Soon).decode
_decode_late = msgspec.msgpack.Decoder(_Late).decode
_LATE_HEAD: Final = b"\x94"  # msgpack: an array of four
_ONES: Final = bytes([1]) * SEGMENT_ROWS_MAX
_SEGMENT_PLAIN: Final = b"\x00"
_SEGMENT_SQUEEZED: Final = b"\x01"


def seal_rows(chart: ChartKeys, rows: Sequence[Row]) -> bytes:
    """Seal consecutive rows as one segment, bound to the chart, the first row's number and the count.

    Wire: nonce 12 | AES-256-GCM(u8 form | msgpack of `_Columns`, squeezed from 256 bytes on). Raises Invalid unless
    there are 1 to `SEGMENT_ROWS_MAX` rows whose numbers follow each other.
    """
    count = len(rows)
    if not 0 < count <= SEGMENT_ROWS_MAX or rows[-1].number - rows[0].number != count - 1:
        raise Invalid(f"a segment has 1 to {SEGMENT_ROWS_MAX} consecutive rows")
    columns = columns_of(rows)
    plain = _encode_columns(
        _Columns(
            list(columns.types),
            list(columns.type),
            list(columns.id),
            list(columns.version),
            columns.flags,
            steps(columns.time_ms),
            steps(columns.height),
            steps(columns.leaf),
            list(columns.values),
        )
    )
    if len(plain) < _SEGMENT_SQUEEZED_BYTES_MIN:
        plain = _SEGMENT_PLAIN + plain
    else:
        plain = _SEGMENT_SQUEEZED + len(plain).to_bytes(4, "big") + squeeze(plain)
    nonce = os.urandom(12)
    return nonce + chart._rows.encrypt(nonce, plain, _segment_data(chart, rows[0].number, count))


def open_columns(chart: ChartKeys, first_row: int, count: int, sealed: bytes) -> RowColumns:
    """The `count` rows from `first_row` on that were sealed as this segment, by column, else Corrupt.

    The whole segment is authenticated here; what is late of its columns is only decoded late.
    """
    try:
        plain = chart._rows.decrypt(sealed[:12], sealed[12:], _segment_data(chart, first_row, count))
        if plain[:1] == _SEGMENT_SQUEEZED:
            plain = unsqueeze(plain[5:], int.from_bytes(plain[1:5], "big"))
            soon = _decode_soon(plain)
        else:
            soon = _decode_soon(memoryview(plain)[1:])
        types = bytes(soon.type)
    except (InvalidTag, ValueError, msgspec.DecodeError):
        raise _corrupt("a segment of index rows") from None
    version: Sequence[int] = soon.version
    if soon.version.count(1) == len(soon.version):
        version = _ONES[: len(soon.version)]
    late = partial(_numbers, b"".join((_LATE_HEAD, soon.id, soon.time_ms, soon.height, soon.leaf)))
    return RowColumns(first_row, soon.types, types, version, soon.flags, soon.values, late, len(plain))


def _numbers(plain: bytes) -> RowNumbers:
    """The late columns, of an opened segment. Raises Corrupt."""
    try:
        late = _decode_late(plain)
    except msgspec.DecodeError:
        raise _corrupt("a segment of index rows") from None
    return RowNumbers(
        late.id,
        array("q", accumulate(late.time_ms)),
        array("Q", accumulate(late.height)),
        array("Q", accumulate(late.leaf)),
    )


def open_rows(chart: ChartKeys, first_row: int, count: int, sealed: bytes) -> list[Row]:
    """As `open_columns`, row by row."""
    return rows_of(open_columns(chart, first_row, count, sealed))


def _segment_data(chart: ChartKeys, first_row: int, count: int) -> bytes:
    return b"cl1.rows" + chart.place + first_row.to_bytes(8, "big") + count.to_bytes(4, "big")


# -- blind terms ------------------------------------------------------------------------------------------------


def blind(blind_key: bytes, term: bytes) -> bytes:
    """16 bytes that stand for `term` in an index: keyed BLAKE2b. Equal terms look equal, nothing else shows."""
    return keyed_digest(blind_key, term)
