"""The sparse Merkle map of protocol.md: what its root is, and proofs of existence and of absence.

Keys are 256-bit digests, most significant bit first. empty = 32 zero bytes; leaf = SHA-256(02 | key |
H(`cl1.value`, value)); node = SHA-256(03 | left | right); a subtree with exactly one leaf is that leaf. How a map is
kept is in `tree`.
"""

from __future__ import annotations

from dataclasses import dataclass

from careledger.primitives.encoding import DIGEST, List, Option, Pair, Schema
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import ZERO_DIGEST, new_sha256, tag_prefix

EMPTY = ZERO_DIGEST
"""Root of a map without keys."""

KEY_BITS = 256
VALUE_PREFIX = tag_prefix("cl1.value")


def hash_value(value: bytes) -> bytes:
    """H(`cl1.value`, value)."""
    return new_sha256(VALUE_PREFIX + value).digest()


def hash_leaf(key: bytes, value_hash: bytes) -> bytes:
    """SHA-256(02 | key | value hash)."""
    return new_sha256(b"\x02" + key + value_hash).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """SHA-256(03 | left | right)."""
    return new_sha256(b"\x03" + left + right).digest()


def key_bit(key: bytes, depth: int) -> int:
    """Which half the key belongs to at `depth`: 0 left, 1 right."""
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


@dataclass(frozen=True, slots=True)
class MapProof:
    """Siblings from the root down (None = empty subtree), and the leaf found in place of an absent key, if any."""

    siblings: tuple[bytes | None, ...]
    other: tuple[bytes, bytes] | None = None
    """(key, value hash) of the only leaf of the subtree in which an absent key would lie."""


MAP_PROOF: Schema[MapProof] = Schema(
    MapProof, siblings=List(Option(DIGEST), KEY_BITS), other=Option(Pair(DIGEST, DIGEST))
)


def root_from_proof(key: bytes, value: bytes | None, proof: MapProof) -> bytes:
    """The root under which this proof shows that `key` has `value` (None: is absent). Raises VerificationFailed."""
    depth = len(proof.siblings)
    if len(key) != 32 or depth > KEY_BITS:
        raise VerificationFailed("the map proof is malformed")
    if value is not None:
        if proof.other is not None:
            raise VerificationFailed("a proof of existence names no other leaf")
        root = hash_leaf(key, hash_value(value))
    elif proof.other is None:
        root = EMPTY
    else:
        other_key = proof.other[0]
        if other_key == key or any(key_bit(key, at) != key_bit(other_key, at) for at in range(depth)):
            raise VerificationFailed("the other leaf does not stand in the absent key's place")
        root = hash_leaf(*proof.other)
    if depth and proof.siblings[-1] is None:
        raise VerificationFailed("the map proof is longer than its path")
    for at in range(depth - 1, -1, -1):
        sibling = proof.siblings[at] or EMPTY
        root = hash_node(sibling, root) if key_bit(key, at) else hash_node(root, sibling)
    return root


def verify_map_proof(root: bytes, key: bytes, value: bytes | None, proof: MapProof) -> None:
    """Returns only if the map under `root` holds `value` at `key`, or (value None) does not hold `key`."""
    if root_from_proof(key, value, proof) != root:
        raise VerificationFailed("the map proof does not lead to the root")
