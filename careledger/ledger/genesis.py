"""The first state of a ledger: what its founders fixed, and the name that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from careledger.ledger.transaction import MESSAGE_SIZE_MAX
from careledger.primitives.encoding import DIGEST, U8, U64, Bytes, Fixed, List, Schema
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import ED25519_PUBLIC_SIZE, ML_DSA_44_PUBLIC_SIZE
from careledger.primitives.types import ChainId

EMBEDDED = 1
"""Mode: one sequencer, checkpoints signed by the two keys below."""

NETWORK = 2
"""Mode: the engine's validators order; the two keys below are 32 and 1,312 zero bytes."""

QUOTA_BYTES_DAY_DEFAULT = 1 << 40
GENESIS_MESSAGES_MAX = 64


@dataclass(frozen=True, slots=True)
class Genesis:
    """`entropy` is 32 random bytes, so two ledgers never share a name. `messages` run as if all had signed."""

    mode: int
    entropy: bytes
    time_ms: int
    ed25519: bytes
    ml_dsa_44: bytes
    quota_bytes_day: int
    messages: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """The canonical encoding, which the genesis hash covers."""
        return GENESIS.encode(self)

    @staticmethod
    def from_bytes(data: bytes) -> Genesis:
        """The genesis that `to_bytes` wrote. Raises Invalid."""
        return GENESIS.decode(data)

    @property
    def genesis_hash(self) -> bytes:
        """What every transaction of this ledger names."""
        return compute_genesis_hash(self)

    @property
    def chain_id(self) -> ChainId:
        """The ledger's name."""
        return compute_chain_id(compute_genesis_hash(self))


GENESIS: Schema[Genesis] = Schema(
    Genesis,
    mode=U8,
    entropy=DIGEST,
    time_ms=U64,
    ed25519=Fixed(ED25519_PUBLIC_SIZE),
    ml_dsa_44=Fixed(ML_DSA_44_PUBLIC_SIZE),
    quota_bytes_day=U64,
    messages=List(Bytes(MESSAGE_SIZE_MAX, least=2), GENESIS_MESSAGES_MAX),
)


def compute_genesis_hash(genesis: Genesis) -> bytes:
    """H(`cl1.genesis`, enc(genesis))."""
    return tagged("cl1.genesis", GENESIS.encode(genesis))


def compute_chain_id(genesis_hash: bytes) -> ChainId:
    """`cl-` and the first 32 hex digits of the genesis hash."""
    return ChainId("cl-" + genesis_hash.hex()[:32])
