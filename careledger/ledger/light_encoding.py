"""What the engine's validators hash and sign: headers, validator sets and precommits of CometBFT v0.40, as bytes.

Written out by hand: the messages are few, and their encoding must be the canonical one (fields in order, zeros left
out), which no general encoder promises. Names of the engine: types/block.go, types/canonical.go, types/validator.go.
Pure. Times are nanoseconds since 1970. What has no encoding raises VerificationFailed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from careledger.ledger.log import Frontier, inclusion_path, leaf_hash
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import sha256

KeyAlgorithm = Literal["ed25519", "ml-dsa-65"]
KEY_FIELDS: Final = {"ed25519": 1, "ml-dsa-65": 4}
"""Field of the engine's PublicKey that holds a key of this kind."""
ADDRESS_SIZE: Final = 20
HEADER_FIELDS: Final = 14
TIME_FIELD: Final = 3
"""The place of a header's time among the leaves of its hash."""
PRECOMMIT: Final = 2
_NANOS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BlockId:
    """A block as votes name it: its header's hash, and number and root of the parts in which it travels."""

    hash: bytes
    total: int
    parts: bytes


NO_BLOCK: Final = BlockId(b"", 0, b"")
"""What precedes the first block, and what a vote for nil names."""


@dataclass(frozen=True, slots=True)
class EngineHeader:
    """A header of the engine. `app_hash` is the state root after the block before."""

    chain_id: str
    height: int
    time_ns: int
    last_block_id: BlockId
    last_commit_hash: bytes
    data_hash: bytes
    validators_hash: bytes
    next_validators_hash: bytes
    consensus_hash: bytes
    app_hash: bytes
    last_results_hash: bytes
    evidence_hash: bytes
    proposer_address: bytes
    block_version: int
    app_version: int


@dataclass(frozen=True)
class Validator:
    """A key and its weight. Two validators are the same if their keys are."""

    algorithm: KeyAlgorithm
    public: bytes
    power: int

    @cached_property
    def address(self) -> bytes:
        """The first 20 bytes of SHA-256 of the key."""
        return sha256(self.public)[:ADDRESS_SIZE]


@dataclass(frozen=True)
class ValidatorSet:
    """Validators in the engine's order, which the hash depends on."""

    validators: tuple[Validator, ...]

    @cached_property
    def power(self) -> int:
        """All weights together."""
        return sum(one.power for one in self.validators)

    @cached_property
    def hash(self) -> bytes:
        """What headers call `validators_hash` and `next_validators_hash`."""
        return _hash_leaves(_encode_validator(one) for one in self.validators)


def hash_header(header: EngineHeader) -> bytes:
    """The hash by which votes, later headers and light clients name the block."""
    return _hash_leaves(_list_fields(header))


def prove_time(header: EngineHeader) -> list[bytes]:
    """Siblings from the header's time (leaf TIME_FIELD of HEADER_FIELDS) to its hash."""
    frontier, nodes = Frontier(), {}
    for field in _list_fields(header):
        for level, index, node in frontier.append(leaf_hash(field)):
            nodes[level, index] = node
    return inclusion_path(TIME_FIELD, HEADER_FIELDS, lambda level, index: nodes[level, index])


def _list_fields(header: EngineHeader) -> tuple[bytes, ...]:
    """What the leaves of a header's hash are made of."""
    return (
        _varint_field(1, header.block_version) + _varint_field(2, header.app_version),
        _bytes_field(1, header.chain_id.encode()),
        _varint_field(1, header.height),
        encode_time(header.time_ns),
        _encode_block_id(header.last_block_id),
        _bytes_field(1, header.last_commit_hash),
        _bytes_field(1, header.data_hash),
        _bytes_field(1, header.validators_hash),
        _bytes_field(1, header.next_validators_hash),
        _bytes_field(1, header.consensus_hash),
        _bytes_field(1, header.app_hash),
        _bytes_field(1, header.last_results_hash),
        _bytes_field(1, header.evidence_hash),
        _bytes_field(1, header.proposer_address),
    )


def encode_precommit(chain_id: str, height: int, round: int, block: BlockId, time_ns: int) -> bytes:
    """What a validator signs to commit a block (or nil, for NO_BLOCK): the canonical vote, behind its length."""
    vote = _varint_field(1, PRECOMMIT) + _fixed_field(2, height) + _fixed_field(3, round)
    if block != NO_BLOCK:
        vote += _message_field(4, _encode_block_id(block))
    vote += _message_field(5, encode_time(time_ns)) + _bytes_field(6, chain_id.encode())
    return _varint(len(vote)) + vote


def encode_time(time_ns: int) -> bytes:
    """A time as headers and votes hold it: seconds and the nanoseconds beyond."""
    seconds, nanos = divmod(time_ns, _NANOS)
    return _varint_field(1, seconds) + _varint_field(2, nanos)


def _hash_leaves(leaves: Iterable[bytes]) -> bytes:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf_hash(leaf))
    return frontier.root()


def _encode_block_id(block: BlockId) -> bytes:
    parts = _varint_field(1, block.total) + _bytes_field(2, block.parts)
    return _bytes_field(1, block.hash) + _message_field(2, parts)


def _encode_validator(validator: Validator) -> bytes:
    key = _message_field(KEY_FIELDS[validator.algorithm], validator.public)
    return _message_field(1, key) + _varint_field(2, validator.power)


# ---- Protocol Buffers ---------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; negative numbers as 64 bits in two's complement.

    Raises VerificationFailed for a number of more bits: two weights that differ must not hash alike.
    """
    _check_number(value)
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value) if value else b""


def _check_number(value: int) -> None:
    if not -(1 << 63) <= value < 1 << 63:
        raise VerificationFailed("a number is out of range", hint="no engine writes it: the answer is a lie")


def _fixed_field(number: int, value: int) -> bytes:
    _check_number(value)
    return _varint(number << 3 | 1) + value.to_bytes(8, "little", signed=True) if value else b""


def _bytes_field(number: int, value: bytes) -> bytes:
    return _message_field(number, value) if value else b""


def _message_field(number: int, value: bytes) -> bytes:
    """Also written if it is empty."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value
