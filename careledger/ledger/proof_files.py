"""Receipt and checkpoint files: their fields, and one spelling for each (docs/spec/receipt.md).

Canonical JSON (RFC 8785) of a closed shape: unknown fields are refused and a file must re-encode to itself, so no
byte of it can change without changing what it says. Sizes and encodings are checked here; what the proofs show is
checked in `verification`. Errors: VerificationFailed, naming what is malformed, never its content.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final, Literal, TypeVar

import msgspec

from careledger.ledger.map_proof import EMPTY, MapProof
from careledger.primitives.errors import VerificationFailed

RECEIPT_FORMAT: Final[Literal["careledger/receipt/1"]] = "careledger/receipt/1"
CHECKPOINT_FORMAT: Final[Literal["careledger/checkpoint/1"]] = "careledger/checkpoint/1"
FILE_BYTES_MAX: Final = 1_000_000
KEYS_MAX: Final = 32
UNSET: Final = msgspec.UNSET
INTEGER_MAX: Final = 2**53 - 1
"""The largest whole number that RFC 8785 writes exactly."""
Algorithm = Literal["ed25519", "ml-dsa-44"]

T = TypeVar("T")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields in the order of RFC 8785: sorted by name."""


class AnchorPart(_Part, frozen=True, kw_only=True):
    """Value of the state entry `records/<org>` but its root, which is computed: the newest batch, the log of batches."""

    log: str
    seq: int
    size: int
    time: int


class BatchPart(_Part, frozen=True, kw_only=True):
    """An earlier batch, leaf `seq` of the log of batches, whose root is computed; `newest` is the anchor's root."""

    newest: str
    path: str
    seq: int
    time: int


class BlockPart(_Part, frozen=True, kw_only=True):
    """Leaf of the history log but its state root, which is computed."""

    height: int
    time: int


class HeadPart(_Part, frozen=True, kw_only=True):
    """Size and root of the chart's record log."""

    root: str
    size: int


class HeaderPart(_Part, frozen=True, kw_only=True):
    """The opened header of one leaf."""

    author: str
    body: str
    handle: str
    id: str
    kind: str
    org: str
    time: int
    type: str
    version: int


class BlockIdPart(_Part, frozen=True, kw_only=True):
    """The block before, as an engine's header names it."""

    hash: str
    parts: str
    total: int


class VersionPart(_Part, frozen=True, kw_only=True):
    """Versions that an engine's header states."""

    app: int
    block: int


class EngineHeaderPart(_Part, frozen=True, kw_only=True):
    """A header of the engine but its chain id; times are milliseconds and the nanoseconds beyond."""

    app_hash: str
    consensus_hash: str
    data_hash: str
    evidence_hash: str
    height: int
    last: BlockIdPart | msgspec.UnsetType = msgspec.UNSET
    last_commit_hash: str
    last_results_hash: str
    nanos: int
    next_validators_hash: str
    proposer: str
    time: int
    validators_hash: str
    version: VersionPart


class VotePart(_Part, frozen=True, kw_only=True):
    """A signature for the block, by the validator at place `index` of the set."""

    index: int
    nanos: int
    signature: str
    time: int


class CommitPart(_Part, frozen=True, kw_only=True):
    """Who signed a header: those at no place of `signatures` did not. Height and hash are the header's."""

    parts: str
    round: int
    signatures: list[VotePart]
    total: int


class ValidatorPart(_Part, frozen=True, kw_only=True):
    """A validator's key and weight."""

    alg: Literal["ed25519", "ml-dsa-65"]
    power: int
    public: str


class BridgePart(_Part, frozen=True, kw_only=True):
    """A signed header on the way from the trusted one; a set that the reader has met is not repeated."""

    commit: CommitPart
    header: EngineHeaderPart
    validators: list[ValidatorPart] | msgspec.UnsetType = msgspec.UNSET


class PastPart(_Part, frozen=True, kw_only=True):
    """Root of the history log that the header's state holds, and the map path to it."""

    root: str
    state: str


class TimePart(_Part, frozen=True, kw_only=True):
    """The nanoseconds beyond `block.time`, and the log path of that time in the hash of the block's own header."""

    nanos: int
    path: str


class SignedPart(_Part, frozen=True, kw_only=True):
    """The signed part. Embedded: `note` and `path`, a signed checkpoint and where the block lies in its history.

    Network: all others, and `path` where the block is older than the header's state.
    """

    bridges: list[BridgePart] | msgspec.UnsetType = msgspec.UNSET
    commit: CommitPart | msgspec.UnsetType = msgspec.UNSET
    header: EngineHeaderPart | msgspec.UnsetType = msgspec.UNSET
    note: str | msgspec.UnsetType = msgspec.UNSET
    past: PastPart | msgspec.UnsetType = msgspec.UNSET
    path: str | msgspec.UnsetType = msgspec.UNSET
    time: TimePart | msgspec.UnsetType = msgspec.UNSET
    validators: list[ValidatorPart] | msgspec.UnsetType = msgspec.UNSET


class ReceiptFile(_Part, frozen=True, kw_only=True):
    """A receipt (docs/spec/receipt.md)."""

    anchor: AnchorPart
    batch: BatchPart | msgspec.UnsetType = msgspec.UNSET
    block: BlockPart
    chain: str
    format: Literal["careledger/receipt/1"]
    head: HeadPart
    header: HeaderPart
    heads: str
    index: int
    path: str
    salt: str
    signed: SignedPart
    state: str


class KeyPart(_Part, frozen=True, kw_only=True):
    """A public key and the name under which it signs notes."""

    alg: Algorithm
    name: str
    public: str


class WitnessesPart(_Part, frozen=True, kw_only=True):
    """`k` of these witnesses (counted by name) make a proof witnessed."""

    k: int
    keys: list[KeyPart]


class CheckpointFile(_Part, frozen=True, kw_only=True):
    """A checkpoint as `checkpoint -o` writes it and `--trust` takes it; the optional fields are the reader's own."""

    chain: str
    format: Literal["careledger/checkpoint/1"]
    keys: list[KeyPart]
    level: Literal["anchored", "witnessed"] | msgspec.UnsetType = msgspec.UNSET
    max_age: int | msgspec.UnsetType = msgspec.UNSET
    mode: Literal["embedded"]
    note: str
    witnesses: WitnessesPart | msgspec.UnsetType = msgspec.UNSET


class NetworkCheckpointFile(_Part, frozen=True, kw_only=True):
    """A network's checkpoint: a header of the engine, its hash, and its validators; optional fields as above."""

    chain: str
    format: Literal["careledger/checkpoint/1"]
    hash: str
    header: EngineHeaderPart
    level: Literal["final"] | msgspec.UnsetType = msgspec.UNSET
    max_age: int | msgspec.UnsetType = msgspec.UNSET
    mode: Literal["network"]
    validators: list[ValidatorPart]


class _Mode(msgspec.Struct):
    mode: str = ""


def read_mode(data: bytes) -> str:
    """What a trust file says that it is of: `embedded` or `network`; "" if it says nothing."""
    try:
        return msgspec.json.decode(data, type=_Mode).mode
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""


def encode_file(value: _Part) -> bytes:
    """RFC 8785: the fields stand sorted in their types, and msgspec writes compact JSON with minimal escapes."""
    return msgspec.json.encode(value)


def encode_part(value: _Part) -> bytes:
    """One object of a file that is written piece by piece."""
    return msgspec.json.encode(value)


def encode_binary(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encode_map_path(siblings: Sequence[bytes | None]) -> str:
    """Siblings from the root down (None = empty) as u8 n | bitmap of n bytes | the others, joined."""
    bitmap = bytearray((len(siblings) + 7) // 8)
    for depth, sibling in enumerate(siblings):
        if sibling is not None:
            bitmap[depth >> 3] |= 0x80 >> (depth & 7)
    return encode_binary(
        bytes([len(bitmap)]) + bytes(bitmap) + b"".join(s for s in siblings if s is not None)
    )


def decode_file(data: bytes, type_: type[T], what: str, bytes_max: int = FILE_BYTES_MAX) -> T:
    """The file, if it re-encodes to exactly these bytes. Raises VerificationFailed."""
    _need(len(data) <= bytes_max, f"{what} is over {bytes_max} bytes")
    try:
        value = msgspec.json.decode(data, type=type_)
        again = msgspec.json.encode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise VerificationFailed(f"{what} is not of its format", hint="see docs/spec/receipt.md") from None
    _need(again == data, f"{what} is not in canonical form")
    return value


def decode_binary(value: str, smallest: int, largest: int) -> bytes:
    """Strict base64url of `smallest` to `largest` bytes."""
    _need(
        len(value) <= 2 * largest + 4 and "+" not in value and "/" not in value, "bytes are not in base64url"
    )
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise VerificationFailed("bytes are not in base64url") from None
    _need(encode_binary(raw) == value, "bytes are not in canonical base64url")
    _need(smallest <= len(raw) <= largest, "bytes have the wrong length")
    return raw


def decode_map_path(value: str) -> MapProof:
    """A proof of existence: the inverse of `encode_map_path`; refuses what that would not write."""
    raw = decode_binary(value, 1, 1 + 32 + 256 * 32)
    size = raw[0]
    _need(size <= 32 and len(raw) > size, "a map path has no bitmap")
    bitmap, packed = int.from_bytes(raw[1 : 1 + size], "big"), raw[1 + size :]
    # The deepest sibling is never empty (an only leaf stands for its whole subtree): the last set bit is the depth.
    depth = 8 * size - ((bitmap & -bitmap).bit_length() - 1) if bitmap else 0
    _need((depth + 7) // 8 == size, "a map path has a bitmap that is too long")
    _need(len(packed) == 32 * bitmap.bit_count(), "a map path and its bitmap disagree")
    siblings: list[bytes | None] = []
    at = 0
    for level in range(depth):
        if bitmap >> (8 * size - 1 - level) & 1:
            siblings.append(packed[at : at + 32])
            _need(siblings[-1] != EMPTY, "a map path writes an empty sibling out")
            at += 32
        else:
            siblings.append(None)
    return MapProof(tuple(siblings))


def decode_log_path(value: str) -> list[bytes]:
    """Siblings from the leaf to the root, at most 53 (an index has 53 bits)."""
    raw = decode_binary(value, 0, 53 * 32)
    _need(len(raw) % 32 == 0, "a log path is not made of digests")
    return [raw[at : at + 32] for at in range(0, len(raw), 32)]


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise VerificationFailed(message, hint="see docs/spec/receipt.md")
