"""A state of another, embedded ledger, as its operator signed it: from the genesis down to single entries. Pure.

It is worth what the operator's word is worth; that word is only checked here.
"""

from __future__ import annotations

from dataclasses import dataclass

from careledger.ledger.blocks import hash_history_leaf
from careledger.ledger.checkpoint import Checkpoint, origin_of
from careledger.ledger.genesis import EMBEDDED, GENESIS, compute_chain_id, compute_genesis_hash
from careledger.ledger.log import verify_inclusion
from careledger.ledger.map_proof import MapProof, verify_map_proof
from careledger.primitives.encoding import DIGEST, U64, Bytes, Fixed, List, Option, Schema
from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.signing import ED25519_SIGNATURE_SIZE, verify_ed25519

GENESIS_BYTES_MAX = 65_536
VALUE_BYTES_MAX = 4_096


@dataclass(frozen=True, slots=True)
class SignedState:
    """The state after block `size` − 1: its leaf's path in the history log, and the signed head of that log."""

    genesis: bytes
    size: int
    root: bytes
    signature: bytes
    time_ms: int
    state_root: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry of that state: value, and the siblings of its key from the root down."""

    value: bytes
    siblings: tuple[bytes | None, ...]


SIGNED_STATE: Schema[SignedState] = Schema(
    SignedState,
    genesis=Bytes(GENESIS_BYTES_MAX, least=1),
    size=U64,
    root=DIGEST,
    signature=Fixed(ED25519_SIGNATURE_SIZE),
    time_ms=U64,
    state_root=DIGEST,
    path=List(DIGEST, 64),
)
PROVEN_ENTRY: Schema[ProvenEntry] = Schema(
    ProvenEntry, value=Bytes(VALUE_BYTES_MAX, least=1), siblings=List(Option(DIGEST), 256)
)


def check_signed_state(signed: SignedState) -> bytes:
    """The hash of the ledger's genesis, if its operator signed that this was its state. Raises VerificationFailed."""
    try:
        genesis = GENESIS.decode(signed.genesis)
    except Invalid:
        raise VerificationFailed("the genesis cannot be read") from None
    if genesis.mode != EMBEDDED or signed.size == 0:
        raise VerificationFailed("this is no block of an embedded ledger")
    genesis_hash = compute_genesis_hash(genesis)
    checkpoint = Checkpoint(origin_of(compute_chain_id(genesis_hash)), signed.size, signed.root)
    verify_ed25519(genesis.ed25519, checkpoint.text().encode(), signed.signature)
    leaf = hash_history_leaf(signed.size - 1, signed.time_ms, signed.state_root)
    verify_inclusion(leaf, signed.size - 1, signed.size, signed.path, signed.root)
    return genesis_hash


def check_entry(state_root: bytes, key: bytes, entry: ProvenEntry) -> None:
    """Returns only if the state has this value at the hashed key. Raises VerificationFailed."""
    verify_map_proof(state_root, key, entry.value, MapProof(entry.siblings))
