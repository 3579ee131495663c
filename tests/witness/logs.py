"""A log with an operator's keys, to be shown to witnesses: it grows, forks, and signs whatever it is told to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from careledger.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_note_ed25519, sign_note_ml_dsa_44
from careledger.ledger.log import Frontier, consistency_path, leaf_hash
from careledger.ledger.proof_files import (
    CHECKPOINT_FORMAT,
    CheckpointFile,
    KeyPart,
    encode_binary,
    encode_file,
)
from careledger.ledger.witnessing import encode_submission
from careledger.primitives.signing import ed25519_public_key, ml_dsa_44_public_key


@dataclass
class OperatorLog:
    """Leaves, and the operator's two seeds. `fork` shares the keys and the first leaves."""

    name: str = "clinic"
    leaves: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seed = hashlib.sha256(self.name.encode()).digest()
        self.pq_seed = hashlib.sha256(b"pq" + self.name.encode()).digest()
        self.chain = "cl-" + hashlib.sha256(b"chain" + self.name.encode()).hexdigest()[:32]
        self.origin = "careledger/" + self.chain

    def grow(self, count: int, what: str = "") -> OperatorLog:
        self.leaves += [leaf_hash(f"{what}{len(self.leaves) + i}".encode()) for i in range(count)]
        return self

    def fork(self, at: int, count: int) -> OperatorLog:
        return OperatorLog(self.name, self.leaves[:at]).grow(count, "other")

    def _node(self, level: int, index: int) -> bytes:
        frontier = Frontier()
        for leaf in self.leaves[index << level : (index + 1) << level]:
            frontier.append(leaf)
        return frontier.root()

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        frontier = Frontier()
        for leaf in self.leaves[:size]:
            frontier.append(leaf)
        return Checkpoint(self.origin, frontier.size, frontier.root())

    def sign(self, checkpoint: Checkpoint, *, both: bool = True) -> SignedCheckpoint:
        public = ed25519_public_key(self.seed)
        note = SignedCheckpoint(checkpoint, (sign_note_ed25519(checkpoint, self.origin, self.seed, public),))
        if not both:
            return note
        pq = ml_dsa_44_public_key(self.pq_seed)
        return note.with_signature(
            sign_note_ml_dsa_44(checkpoint, self.origin, self.pq_seed, pq, 1_700_000_000)
        )

    def note(self, size: int | None = None) -> str:
        return self.sign(self.checkpoint(size)).note()

    def path(self, old: int, new: int | None = None) -> list[bytes]:
        return consistency_path(old, new or len(self.leaves), self._node)

    def file(self, size: int | None = None) -> bytes:
        keys = [
            KeyPart(alg="ed25519", name=self.origin, public=encode_binary(ed25519_public_key(self.seed))),
            KeyPart(
                alg="ml-dsa-44", name=self.origin, public=encode_binary(ml_dsa_44_public_key(self.pq_seed))
            ),
        ]
        return encode_file(
            CheckpointFile(
                chain=self.chain, format=CHECKPOINT_FORMAT, keys=keys, mode="embedded", note=self.note(size)
            )
        )

    def offer(self, old: int, size: int | None = None) -> bytes:
        return encode_submission(old, self.path(old, size), self.note(size))
