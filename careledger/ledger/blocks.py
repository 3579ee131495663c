"""Blocks, receipts and the history log's leaves: what a block is, as bytes and as values."""

from __future__ import annotations

from dataclasses import dataclass

from careledger.ledger.kernel import EVIDENCE, Event, Evidence
from careledger.ledger.log import leaf_hash
from careledger.ledger.transaction import TRANSACTION_SIZE_MAX
from careledger.primitives.encoding import DIGEST, U16, U64, Bytes, Fixed, List, Pair, Schema
from careledger.primitives.signing import ED25519_SIGNATURE_SIZE

TRANSACTIONS_MAX = 100_000
HISTORY_LEAF = Pair(U64, U64, DIGEST)
"""enc(height, time in ms, app hash)."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block with its outcome, self-contained: enough to execute it again and to check the result."""

    height: int
    time_ms: int
    transactions: tuple[bytes, ...]
    codes: tuple[int, ...]
    app_hash: bytes
    signature: bytes
    """Ed25519 over the checkpoint's text at this height."""


BLOCK: Schema[Block] = Schema(
    Block,
    height=U64,
    time_ms=U64,
    transactions=List(Bytes(TRANSACTION_SIZE_MAX + 1), TRANSACTIONS_MAX),
    codes=List(U16, TRANSACTIONS_MAX),
    app_hash=DIGEST,
    signature=Fixed(ED25519_SIGNATURE_SIZE),
)


EVIDENCE_MAX = 4_096
"""Evidence of 256 KiB, the most of a network's block (`engine.genesis`), holds no more signatures of 64 bytes."""


@dataclass(frozen=True, slots=True)
class NetworkBlock(Block):
    """A block that a network's validators decided, with its outcome. `signature` is empty: theirs are the engine's."""

    evidence: tuple[Evidence, ...] = ()


NETWORK_BLOCK: Schema[NetworkBlock] = Schema(
    NetworkBlock,
    height=U64,
    time_ms=U64,
    transactions=List(Bytes(TRANSACTION_SIZE_MAX + 1), TRANSACTIONS_MAX),
    codes=List(U16, TRANSACTIONS_MAX),
    app_hash=DIGEST,
    signature=Fixed(0),
    evidence=List(EVIDENCE, EVIDENCE_MAX),
)


@dataclass(frozen=True, slots=True)
class TransactionReceipt:
    """What became of a transaction: code 0 and events, or the number of the rule that refused it.

    `id` is 32 zero bytes where the bytes are no transaction. `reason` is for people; it is no part of the ledger.
    """

    id: bytes
    code: int
    events: tuple[Event, ...] = ()
    reason: str = ""


def encode_history_leaf(height: int, time_ms: int, app_hash: bytes) -> bytes:
    """Leaf `height` of the history log, before hashing."""
    return HISTORY_LEAF.encode((height, time_ms, app_hash))


def hash_history_leaf(height: int, time_ms: int, app_hash: bytes) -> bytes:
    """Its leaf hash."""
    return leaf_hash(encode_history_leaf(height, time_ms, app_hash))
