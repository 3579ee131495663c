"""Receipts built from the parts that vault, ledger and contracts give; both verifiers accept them.

Every tree, leaf, key and signature is made by the room that owns it, so that a format that drifts in one room is
seen here and not by somebody who holds a receipt.
"""

from __future__ import annotations

import random

import pytest

from careledger.contracts import records
from careledger.ledger import checkpoint as checkpoints
from careledger.ledger.blocks import encode_history_leaf
from careledger.ledger.log import Frontier, inclusion_path, leaf_hash
from careledger.ledger.proof_files import SignedPart, encode_binary
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.tree import MapTree
from careledger.ledger.verification import ACCESS, ANCHOR_VALUE, HEADER, KINDS, verify_receipt
from careledger.node import founding
from careledger.node.receipts import Anchor, Batch, Block, Head, build_checkpoint, build_receipt, parse_header
from careledger.primitives.errors import Corrupt
from careledger.primitives.signing import ed25519_public_key, ml_dsa_44_public_key
from careledger.primitives.types import ChainId
from careledger.vault import commitments
from tests.verifier.twins import verdict

DRAW = random.Random(4)
CHAIN = ChainId("cl-" + DRAW.randbytes(16).hex())
ORGANISATION, HANDLE = DRAW.randbytes(32), DRAW.randbytes(32)
BODY = b'{"resourceType":"Observation","id":"o-1","meta":{"versionId":"2"}}'


class StoredLog:
    """A log and its nodes, as the node keeps them."""

    def __init__(self) -> None:
        self.frontier = Frontier()
        self.nodes: dict[tuple[int, int], bytes] = {}

    def append(self, entry: bytes) -> None:
        for level, index, digest in self.frontier.append(leaf_hash(entry)):
            self.nodes[level, index] = digest

    def path(self, index: int) -> list[bytes]:
        return inclusion_path(index, self.frontier.size, lambda level, at: self.nodes[level, at])


def make_log(entries: list[bytes]) -> StoredLog:
    log = StoredLog()
    for entry in entries:
        log.append(entry)
    return log


def make_map(items: dict[bytes, bytes]) -> tuple[MapTree, MemoryKV]:
    kv = MemoryKV()
    tree = MapTree.open(kv)
    tree.update(kv, dict(items))
    return tree, kv


def sign(size: int, root: bytes) -> tuple[str, bytes]:
    """(note, checkpoint file), signed by both keys of the operator."""
    seed, origin = b"\x07" * 32, checkpoints.origin_of(CHAIN)
    classic, quantum = ed25519_public_key(seed), ml_dsa_44_public_key(seed)
    checkpoint = checkpoints.Checkpoint(origin, size, root)
    lines = (
        checkpoints.sign_note_ed25519(checkpoint, origin, seed, classic),
        checkpoints.sign_note_ml_dsa_44(checkpoint, origin, seed, quantum, 1_790_000_000),
    )
    note = checkpoints.SignedCheckpoint(checkpoint, lines).note()
    return note, build_checkpoint(
        chain=CHAIN, keys=[(origin, "ed25519", classic), (origin, "ml-dsa-44", quantum)], note=note
    )


def build(
    *, kind: int = commitments.Kind.VERSION, old_batch: bool = False, state_root: bytes | None = None
) -> tuple[bytes, bytes]:
    """(receipt, checkpoint) of leaf 5 of 9."""
    salt = DRAW.randbytes(32)
    six = commitments.first_six(commitments.place(ORGANISATION, HANDLE), kind, "Observation", "o-1", 2)
    encoded = commitments.header(six, 1_790_000_000_000, "client:x", commitments.body_hash(salt, BODY))
    chart = make_log([commitments.commit(salt, encoded) if i == 5 else DRAW.randbytes(32) for i in range(9)])
    head = Head(9, chart.frontier.root())
    head_key = founding.head_key(int(kind == commitments.Kind.ACCESS), HANDLE)
    items = {DRAW.randbytes(32): DRAW.randbytes(40) for _ in range(50)}
    heads, heads_kv = make_map(items | {head_key: founding.head_value(head.size, head.root)})
    roots = [DRAW.randbytes(32) for _ in range(7)]
    roots[3 if old_batch else 6] = heads.root
    batches = make_log([records.encode_batch(seq, root, 1000 + seq) for seq, root in enumerate(roots)])
    newest = records.Head(6, roots[6], 1006, 7, batches.frontier.root())
    state_key = records.HEADS.state_key(ORGANISATION)  # type: ignore[arg-type]
    state, state_kv = make_map(
        {DRAW.randbytes(32): b"other" for _ in range(20)} | {state_key: records.HEADS.value.encode(newest)}
    )
    history = make_log(
        [encode_history_leaf(h, 1000 + h, state.root if h == 11 else bytes(32)) for h in range(14)]
    )
    note, checkpoint = sign(14, history.frontier.root())
    receipt = build_receipt(
        chain=CHAIN,
        header=parse_header(encoded),
        salt=salt,
        index=5,
        path=chart.path(5),
        head=head,
        heads_proof=heads.prove(heads_kv, head_key),
        anchor=Anchor(newest.seq, newest.root, newest.time_ms, newest.size, newest.log_root),
        state_proof=state.prove(state_kv, state_key),
        block=Block(11, 1011, state.root if state_root is None else state_root),
        signed=SignedPart(note=note, path=encode_binary(b"".join(history.path(11)))),
        batch=Batch(3, 1003, batches.path(3)) if old_batch else None,
    )
    return receipt, checkpoint


@pytest.mark.parametrize("old_batch", [False, True])
@pytest.mark.parametrize(
    "kind", [commitments.Kind.VERSION, commitments.Kind.DELETION, commitments.Kind.ACCESS]
)
def test_parts_of_every_room_make_a_receipt_that_holds(kind: commitments.Kind, old_batch: bool) -> None:
    receipt, checkpoint = build(kind=kind, old_batch=old_batch)
    assert verdict(receipt, checkpoint, BODY) == "anchored"
    verified = verify_receipt(receipt, checkpoint, BODY)
    assert (verified.header.kind, verified.header.id, verified.header.version) == (kind, "o-1", 2)
    assert (verified.chain, verified.height, verified.as_of_ms, verified.body_checked) == (
        CHAIN,
        11,
        1011,
        True,
    )


def test_the_rooms_agree_on_numbers_and_encodings() -> None:
    assert sorted(KINDS.values()) == sorted(commitments.Kind) and commitments.Kind.ACCESS == ACCESS
    salt = bytes(32)
    six = commitments.first_six(commitments.place(ORGANISATION, HANDLE), 1, "Patient", "p", 1)
    encoded = commitments.header(six, 7, "é", salt)
    assert HEADER.encode(parse_header(encoded)) == encoded
    assert parse_header(encoded).commitment(salt) == commitments.commit(salt, encoded)
    newest = records.Head(1, salt, 2, 3, salt)
    assert ANCHOR_VALUE.encode((1, salt, 2, 3, salt)) == records.HEADS.value.encode(newest)


def test_a_receipt_discloses_no_body_and_no_secret() -> None:
    receipt, _ = build()
    assert b"resourceType" not in receipt and b"secret" not in receipt


def test_parts_of_another_block_make_no_receipt() -> None:
    with pytest.raises(Corrupt):
        build(state_root=bytes(32))
