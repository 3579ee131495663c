"""The ledger of one node: its sequencer orders, every block is final when the node's commit is durable.

All functions work on a KV bound to the caller's transaction. What `execute` wrote is real only if the caller commits;
if the transaction is aborted, call `reset` with a fresh KV before anything else. One writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from careledger.ledger.blocks import BLOCK, TRANSACTIONS_MAX, Block, TransactionReceipt
from careledger.ledger.checkpoint import (
    ED25519_TYPE,
    Checkpoint,
    NoteSignature,
    SignedCheckpoint,
    compute_key_id,
    sign_note_ed25519,
    sign_note_ml_dsa_44,
    verify_note_ed25519,
)
from careledger.ledger.consensus import index
from careledger.ledger.consensus.chain import HISTORY_PREFIX, KEPT_MAX, Chain, lane_order, read_genesis
from careledger.ledger.execution import Outcome, Rules
from careledger.ledger.genesis import EMBEDDED, Genesis
from careledger.ledger.kernel import Contract
from careledger.ledger.log import Frontier
from careledger.ledger.store.kv import KV
from careledger.primitives.errors import Corrupt, Invalid, Misconfigured, TooLarge, VerificationFailed
from careledger.primitives.signing import ed25519_public_key, ml_dsa_44_public_key


class Signer(Protocol):
    """Who signs checkpoints: two seeds of 32 bytes."""

    @property
    def ed25519_seed(self) -> bytes: ...
    @property
    def ml_dsa_44_seed(self) -> bytes: ...


@dataclass(frozen=True, slots=True, repr=False)
class CheckpointSigner:
    """The two seeds, held in memory."""

    ed25519_seed: bytes
    ml_dsa_44_seed: bytes


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """A block as executed. `block` is what the journal keeps; `receipts[i]` belongs to the i-th given transaction."""

    height: int
    time_ms: int
    block: bytes
    app_hash: bytes
    receipts: tuple[TransactionReceipt, ...]
    checkpoint: str
    """The checkpoint at this height, signed with Ed25519, as a note."""


class EmbeddedLedger(Chain):
    """Executes blocks on a KV and answers questions about them. Make one with `create` or `open`."""

    mode = EMBEDDED

    def __init__(self, contracts: Sequence[Contract], genesis: Genesis, signer: Signer) -> None:
        super().__init__(Rules(contracts), genesis)
        self._signer = signer
        if genesis.ed25519 != ed25519_public_key(signer.ed25519_seed):
            raise Misconfigured(
                "the checkpoint key is not the one that the genesis names",
                hint="these are another node's keys, or another node's ledger",
            )

    @classmethod
    def create(
        cls,
        kv: KV,
        genesis: Genesis,
        contracts: Sequence[Contract],
        signer: Signer,
        now_ms: int | None = None,
    ) -> EmbeddedLedger:
        """Writes the genesis into an empty KV; the result depends on the genesis alone.

        `now_ms`, if given, checks the clock against the genesis.
        """
        ledger = cls(contracts, genesis, signer)
        ledger._write_block(kv, (), ledger._begin(kv, now_ms))
        return ledger

    @classmethod
    def open(cls, kv: KV, contracts: Sequence[Contract], signer: Signer) -> EmbeddedLedger:
        """The ledger that `kv` holds. Raises NotFound if it holds none."""
        ledger = cls(contracts, read_genesis(kv), signer)
        ledger.reset(kv)
        return ledger

    # execution

    def execute(self, kv: KV, transactions: Sequence[bytes], now_ms: int) -> ExecutedBlock:
        """Makes and executes the next block; its time is `now_ms`, or the last block's if that is later.

        Transactions of lane 0 are moved to the front. Refused ones stay in the block with their code.
        """
        if len(transactions) > TRANSACTIONS_MAX:
            raise TooLarge(f"a block has at most {TRANSACTIONS_MAX} transactions")
        order = lane_order(transactions)
        # What is over the limit is refused by its length alone: the block keeps one byte more than the limit.
        ordered = tuple([transactions[at][:KEPT_MAX] for at in order or range(len(transactions))])
        time_ms = max(now_ms, self.time_ms)
        outcome = self._apply(kv, self.height + 1, time_ms, ordered)
        block, note = self._write_block(kv, ordered, outcome)
        receipts = outcome.receipts
        if order:
            places = sorted(range(len(order)), key=order.__getitem__)
            receipts = tuple(receipts[at] for at in places)
        return ExecutedBlock(self.height, time_ms, block, self.app_hash, receipts, note.note())

    def replay(self, kv: KV, block: bytes) -> None:
        """Executes a block of the journal again. Raises Corrupt if it is not next, or anything in it comes out
        otherwise: codes, app hash, signature. The caller then aborts and resets."""
        try:
            expected = BLOCK.decode(block)
        except Invalid:
            raise Corrupt("a block of the journal cannot be read") from None
        if expected.height != self.height + 1 or expected.time_ms < self.time_ms:
            raise Corrupt(f"block {expected.height} does not follow block {self.height}")
        outcome = self._apply(kv, expected.height, expected.time_ms, expected.transactions)
        if tuple(receipt.code for receipt in outcome.receipts) != expected.codes:
            raise Corrupt(f"block {expected.height}: a transaction comes out otherwise")
        if self.app_hash != expected.app_hash:
            raise Corrupt(f"block {expected.height}: the app hash differs")
        try:
            verify_note_ed25519(
                self._note(self._checkpoint(), expected.signature), self.origin, self.genesis.ed25519
            )
        except VerificationFailed as error:
            raise Corrupt(f"block {expected.height}: {error.message}") from None
        self._index(kv, block, outcome)

    def _write_block(
        self, kv: KV, transactions: tuple[bytes, ...], outcome: Outcome
    ) -> tuple[bytes, SignedCheckpoint]:
        checkpoint = self._checkpoint()
        line = sign_note_ed25519(checkpoint, self.origin, self._signer.ed25519_seed, self.genesis.ed25519)
        codes = tuple(receipt.code for receipt in outcome.receipts) if transactions else ()
        block = BLOCK.encode(
            Block(self.height, self.time_ms, transactions, codes, self.app_hash, line.signature)
        )
        self._index(kv, block, outcome)
        return block, SignedCheckpoint(checkpoint, (line,))

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self.origin, self._history.size, self._history.root())

    def _note(self, checkpoint: Checkpoint, signature: bytes) -> SignedCheckpoint:
        key_id = compute_key_id(self.origin, ED25519_TYPE, self.genesis.ed25519)
        return SignedCheckpoint(checkpoint, (NoteSignature(self.origin, key_id, signature),))

    def checkpoint(self, kv: KV, height: int | None = None, post_quantum: bool = False) -> str:
        """The signed note of a height (None: the newest), with an ML-DSA-44 line made now if asked for."""
        height = self.height if height is None else height
        block = self.block(kv, height)
        frontier = Frontier.at(height + 1, index.node_getter(kv, HISTORY_PREFIX))
        note = self._note(Checkpoint(self.origin, height + 1, frontier.root()), block.signature)
        if post_quantum:
            seed = self._signer.ml_dsa_44_seed
            if ml_dsa_44_public_key(seed) != self.genesis.ml_dsa_44:
                raise Misconfigured("the ML-DSA-44 key is not the one that the genesis names")
            line = sign_note_ml_dsa_44(
                note.checkpoint, self.origin, seed, self.genesis.ml_dsa_44, block.time_ms // 1000
            )
            note = note.with_signature(line)
        return note.note()
