"""The embedded ledger: what it executed it replays, proves and signs; what differs is corrupt; aborts leave nothing."""

from __future__ import annotations

import dataclasses
import random

import pytest

from careledger.contracts import CONTRACTS, anchor_message
from careledger.contracts.identity import SET_END_POINTS, SetEndPoints
from careledger.contracts.records import BATCHES, HEADS, encode_batch
from careledger.ledger.blocks import BLOCK, hash_history_leaf
from careledger.ledger.checkpoint import (
    cosign,
    parse_note,
    verify_cosignature,
    verify_note_ed25519,
    verify_note_ml_dsa_44,
)
from careledger.ledger.consensus.embedded import EmbeddedLedger
from careledger.ledger.execution import HISTORY
from careledger.ledger.log import leaf_hash, verify_consistency, verify_inclusion
from careledger.ledger.map_proof import verify_map_proof
from careledger.ledger.store.memory import MemoryKV
from careledger.primitives.errors import Corrupt, Invalid, NotFound, VerificationFailed
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import ed25519_public_key
from tests.ledger.play import CLINIC, HOSPITAL, SIGNER, START_MS, Play, make_genesis

GOLDEN_BLOCKS = 300


def run_chain(blocks: int) -> Play:
    """A chain with every kind of outcome; the same at every call but for hedged signatures, which it avoids."""
    play = Play()
    choose = random.Random(20260101)
    previous = bytes(32)
    for number in range(blocks):
        root = sha256(b"batch %d" % number)
        transactions = [play.build([anchor_message(HOSPITAL.did, number, previous, root)], [HOSPITAL.node])]
        previous = root
        if choose.random() < 0.3:
            address = f"https://node.example/{number}"
            message = SET_END_POINTS.encode(SetEndPoints(HOSPITAL.did, (address,)))
            transactions.append(play.build([message], [HOSPITAL.root], lane=2))
        if choose.random() < 0.2:
            transactions.append(choose.choice([b"", b"junk", transactions[0][:-1], transactions[0]]))
        play.run(transactions)
    return play


def replay(blocks: list[bytes]) -> EmbeddedLedger:
    kv = MemoryKV()
    ledger = EmbeddedLedger.create(kv, make_genesis(), CONTRACTS, SIGNER)
    for block in blocks:
        ledger.replay(kv, block)
    return ledger


@pytest.mark.vectors
def test_golden_chain_replays_to_the_same_app_hashes(vector):
    """Does a change alter the app hash of an old block? Then this is red, and the change needs a new profile."""
    play = run_chain(GOLDEN_BLOCKS)
    blocks = b"".join(len(block).to_bytes(4, "big") + block for block in play.blocks)
    vector("chain.bin", make_genesis().to_bytes() + blocks)
    hashes = [BLOCK.decode(block).app_hash.hex() for block in play.blocks]
    vector("chain.json", {"chain": play.ledger.chain_id, "app_hashes": hashes})
    assert replay(play.blocks).app_hash == play.ledger.app_hash


def test_replay_writes_what_execute_wrote():
    play = run_chain(20)
    kv = MemoryKV()
    ledger = EmbeddedLedger.create(kv, make_genesis(), CONTRACTS, SIGNER, START_MS)
    for block in play.blocks:
        ledger.replay(kv, block)
    assert list(kv.scan(b"", b"\xff")) == list(play.kv.scan(b"", b"\xff"))
    assert EmbeddedLedger.open(kv, CONTRACTS, SIGNER).app_hash == play.ledger.app_hash


@pytest.mark.parametrize(
    "change",
    [
        {"height": 3},
        {"time_ms": START_MS},
        {"codes": (7,)},
        {"app_hash": bytes(32)},
        {"signature": bytes(64)},
        {"transactions": ()},
        {"transactions": (b"junk",)},
    ],
)
def test_an_altered_block_does_not_replay(change):
    play = run_chain(2)
    blocks = list(play.blocks)
    blocks[1] = BLOCK.encode(dataclasses.replace(BLOCK.decode(blocks[1]), **change))
    for bad in (blocks[1], blocks[1][:-1]):
        with pytest.raises(Corrupt):
            replay([blocks[0], bad])


def test_an_aborted_block_leaves_nothing():
    play = run_chain(5)
    before, app_hash = play.kv.copy(), play.ledger.app_hash
    again = play.kv.copy()
    transaction = play.build(
        [anchor_message(HOSPITAL.did, 5, sha256(b"batch 4"), bytes(32))], [HOSPITAL.node]
    )
    kept = play.ledger.execute(play.kv, [transaction], play.now_ms)
    play.ledger.reset(before)
    assert (play.ledger.app_hash, play.ledger.height) == (app_hash, 5)
    assert play.ledger.execute(again, [transaction], play.now_ms).block == kept.block


def test_time_never_decreases():
    play = run_chain(3)
    block = play.ledger.execute(play.kv, [], 0)
    assert block.time_ms == play.now_ms


def test_queries_find_what_happened():
    play = run_chain(12)
    ledger, kv = play.ledger, play.kv
    events = ledger.events(kv, "records.anchored", 4, 9)
    assert [event.height for event in events] == [4, 5, 6, 7, 8]
    assert len(ledger.events(kv, "records.anchored", limit=2)) == 2
    assert ledger.events(kv, "records.anchor") == []
    assert ledger.block(kv, 12).height == 12
    for absent in (13, -1, 2**70):
        with pytest.raises(NotFound):
            ledger.block(kv, absent)
    with pytest.raises(NotFound):
        ledger.transaction(kv, bytes(32))


def test_proofs_lead_from_state_to_checkpoint():
    play = run_chain(9)
    ledger, kv = play.ledger, play.kv
    proof = ledger.prove_state(kv, "records", "anchors", HOSPITAL.did)
    verify_map_proof(ledger.app_hash, proof.key, proof.value, proof.proof)
    absent = ledger.prove_state(kv, "records", "anchors", CLINIC.did)
    assert absent.value is None
    verify_map_proof(ledger.app_hash, absent.key, None, absent.proof)
    note = parse_note(ledger.checkpoint(kv))
    leaf = hash_history_leaf(ledger.height, ledger.time_ms, ledger.app_hash)
    path = ledger.history_path(kv, ledger.height, note.checkpoint.size)
    verify_inclusion(leaf, ledger.height, note.checkpoint.size, path, note.checkpoint.root)
    head = HEADS.value.decode(proof.value or b"")
    batch = leaf_hash(encode_batch(4, sha256(b"batch 4"), START_MS + 5000))
    path = ledger.log_path(kv, "records", BATCHES.name, HOSPITAL.did, 4, head.size)
    verify_inclusion(batch, 4, head.size, path, head.log_root)
    old = parse_note(ledger.checkpoint(kv, 3)).checkpoint
    steps = ledger.history_consistency(kv, old.size, note.checkpoint.size)
    verify_consistency(old.size, note.checkpoint.size, steps, old.root, note.checkpoint.root)


def test_state_names_the_history_before_it():
    """A fresh header proves every older state root: sys/history is (size, root) of the leaves before this block."""
    play = run_chain(6)
    raw = play.ledger.state(play.kv, "sys", "history", b"")
    before = parse_note(play.ledger.checkpoint(play.kv, 5)).checkpoint
    history = HISTORY.value.decode(raw or b"")
    assert (history.size, history.root) == (before.size, before.root)


def test_checkpoints_are_signed_twice_and_cosigned():
    play = run_chain(2)
    ledger = play.ledger
    text = ledger.checkpoint(play.kv, None, True)
    note = parse_note(text)
    assert note.note() == text
    verify_note_ed25519(note, ledger.origin, ledger.genesis.ed25519)
    assert verify_note_ml_dsa_44(note, ledger.origin, ledger.genesis.ml_dsa_44) == ledger.time_ms // 1000
    witness = ed25519_public_key(bytes(32))
    cosigned = note.with_signature(
        cosign(note.checkpoint, "witness.example", bytes(32), witness, 1_800_000_009)
    )
    assert verify_cosignature(parse_note(cosigned.note()), "witness.example", witness) == 1_800_000_009
    other = dataclasses.replace(note, checkpoint=dataclasses.replace(note.checkpoint, size=2))
    for check, key in (
        (verify_note_ed25519, ledger.genesis.ed25519),
        (verify_note_ml_dsa_44, ledger.genesis.ml_dsa_44),
    ):
        with pytest.raises(VerificationFailed):
            check(other, ledger.origin, key)
    with pytest.raises(VerificationFailed):
        verify_cosignature(note, "witness.example", witness)


@pytest.mark.parametrize(
    "bend",
    [
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: text.replace("\n3\n", "\n03\n"),
        lambda text: text.replace("\n3\n", "\n+3\n"),
        lambda text: text.replace("\n3\n", "\n٣\n"),
        lambda text: text.replace("\n\n", "\nmore\n\n"),
        lambda text: text.replace("\u2014", "-"),
        lambda text: text.replace("=\n\n", "\n\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.split("\n\n")[0] + "\n\n",
    ],
)
def test_bent_notes_are_refused(bend):
    play = run_chain(2)
    text = play.ledger.checkpoint(play.kv)
    parse_note(text)
    with pytest.raises(Invalid):
        parse_note(bend(text))
