"""The bucketed map has the root that the definition gives, and its proofs cannot be bent."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.ledger.map_proof import EMPTY, MAP_PROOF, MapProof, hash_value, verify_map_proof
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.tree import BUCKET_LIMIT, MapTree, ValueReader, compute_root
from careledger.primitives.errors import Corrupt, VerificationFailed
from careledger.primitives.hashing import sha256


def key(number: int) -> bytes:
    """Some keys are spread, some share 40 or 255 bits."""
    if number % 4 == 0:
        return bytes(5) + sha256(b"%d" % number)[:27]
    if number % 4 == 1:
        return bytes(31) + bytes([number])
    return sha256(b"%d" % number)


KEYS = [key(number) for number in range(120)]
CHANGES = st.dictionaries(st.sampled_from(KEYS), st.none() | st.binary(max_size=20), max_size=30)


@given(st.lists(CHANGES, max_size=8))
@settings(max_examples=60)
def test_root_is_that_of_the_definition(batches):
    kv, tree, plain = MemoryKV(), MapTree(), {}
    for changes in batches:
        plain.update(changes)
        plain = {one: value for one, value in plain.items() if value is not None}
        before = tree.root
        assert tree.preview(kv, changes) == compute_root(plain)
        assert tree.root == before
        assert tree.update(kv, changes) == compute_root(plain)
        assert MapTree.open(kv).root == tree.root
    reader = ValueReader()
    for one in KEYS:
        assert tree.get(kv, one) == plain.get(one) == reader.read(kv, one)
        proof = tree.prove(kv, one)
        assert MAP_PROOF.decode(MAP_PROOF.encode(proof)) == proof
        verify_map_proof(tree.root, one, plain.get(one), proof)
        for lie in {None, b"", b"a lie"} - {plain.get(one)}:
            with pytest.raises(VerificationFailed):
                verify_map_proof(tree.root, one, lie, proof)


def grown(count: int = 200) -> tuple[MemoryKV, MapTree, dict[bytes, bytes]]:
    kv, tree = MemoryKV(), MapTree()
    items = {sha256(b"key %d" % at): b"value %d" % at for at in range(count)}
    tree.update(kv, items)
    return kv, tree, items


def test_buckets_split_and_do_not_show_in_the_root():
    kv, tree, items = grown()
    stored = [value[32] << 8 | value[33] for _, value in kv.scan(b"", b"\xff")]
    assert len(stored) > len(items) // BUCKET_LIMIT
    assert max(stored) <= BUCKET_LIMIT
    assert tree.root == compute_root(items)
    tree.update(kv, dict.fromkeys(items))
    assert tree.root == EMPTY == MapTree.open(kv).root


def test_shrinking_leaves_no_trace_of_former_splits():
    kv, tree, items = grown()
    for gone in list(items)[:-1]:
        del items[gone]
        assert tree.update(kv, {gone: None}) == compute_root(items)
        if len(items) < 12:
            assert MapTree.open(kv).root == tree.root
            for one in (gone, *items):
                verify_map_proof(tree.root, one, items.get(one), tree.prove(kv, one))


def test_altered_proofs_are_refused():
    kv, tree, items = grown()
    shuffled = random.Random(7)
    for one in list(items)[:40]:
        proof = tree.prove(kv, one)
        at = shuffled.randrange(len(proof.siblings))
        siblings = list(proof.siblings)
        siblings[at] = sha256(siblings[at] or b"")
        other = (sha256(b"other"), hash_value(b""))
        for bad in (
            MapProof(tuple(siblings)),
            MapProof(proof.siblings[:-1]),
            MapProof((*proof.siblings, None)),
            dataclasses.replace(proof, other=other),
        ):
            with pytest.raises(VerificationFailed):
                verify_map_proof(tree.root, one, items[one], bad)


def test_absence_is_not_shown_by_a_leaf_of_another_place():
    kv, tree, items = grown()
    present = next(iter(items))
    for one in list(items)[1:]:
        proof = tree.prove(kv, one)
        bent = MapProof(proof.siblings, (one, hash_value(items[one])))
        with pytest.raises(VerificationFailed):
            verify_map_proof(tree.root, present, None, bent)
        with pytest.raises(VerificationFailed):
            verify_map_proof(tree.root, one, None, bent)


def test_reset_forgets_an_aborted_update():
    kv, tree, items = grown()
    root, aborted = tree.root, kv.copy()
    tree.update(aborted, dict.fromkeys(items, b"aborted"))
    assert tree.root != root
    tree.reset(kv)
    assert tree.root == root
    assert all(tree.get(kv, one) == value for one, value in items.items())


def test_a_missing_bucket_is_corrupt():
    kv, tree, items = grown()
    for place, _ in list(kv.scan(b"", b"\xff")):
        kv.delete(place)
    with pytest.raises(Corrupt):
        tree.get(kv, next(iter(items)))


def test_an_altered_value_is_corrupt_and_never_returned():
    kv, tree, items = grown(20)
    for place, data in list(kv.scan(b"", b"\xff")):
        if data[32:34] != b"\x00\x00":
            kv.put(place, data[:-1] + bytes([data[-1] ^ 1]))
    for read in (tree.get, ValueReader().read):
        corrupt = 0
        for one, value in items.items():
            try:
                assert read(kv, one) == value
            except Corrupt:
                corrupt += 1
        assert corrupt >= 20 // BUCKET_LIMIT
    for place, data in list(kv.scan(b"", b"\xff")):
        kv.put(place, data[:33])
    for read in (tree.get, ValueReader().read):
        with pytest.raises(Corrupt):
            read(kv, next(iter(items)))


@pytest.mark.vectors
def test_map_vectors(vector):
    cases = []
    for count in (0, 1, 2, 3, 17, 100):
        kv, tree, items = grown(count)
        probes = [*list(items)[:3], sha256(b"absent"), bytes(32)]
        cases.append(
            {
                "count": count,
                "root": tree.root.hex(),
                "proofs": [
                    {
                        "key": one.hex(),
                        "value": items[one].hex() if one in items else None,
                        "proof": MAP_PROOF.encode(tree.prove(kv, one)).hex(),
                    }
                    for one in probes
                ],
            }
        )
    vector("map.json", {"items": "SHA-256('key N') -> 'value N', N below count", "cases": cases})
