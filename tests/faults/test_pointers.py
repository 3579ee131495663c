"""Whatever an index that rots under a running node points at: never another patient's, resource's or version's body."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from careledger.primitives.errors import Corrupt
from careledger.vault.model import Version
from careledger.vault.tables import LEAF, LEAF_KEY, RECORD_LOG
from tests.faults.rig import Node, new_home, node_of, observation, patient


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with node_of(new_home(tmp_path / "home")) as node:
        for at in range(2):
            node.client.put(f"Patient/p{at}", patient(f"p{at}"))
            node.client.put(f"Observation/o{at}", observation(f"o{at}", f"p{at}", 60 + at))
        node.client.put("Observation/o0", observation("o0", "p0", 77))
        yield node


def test_a_pointer_of_another_resource_or_with_a_flipped_bit_is_found(node: Node) -> None:
    home = node.service.context.home
    for table, type_ in ((home.tables.patient, "Patient"), (home.tables.resource, "Observation")):
        own, other = (
            home.keyring.token(type_, name) for name in (("p0", "p1") if type_ == "Patient" else ("o0", "o1"))
        )
        with home.tables.env.begin() as txn:
            good, foreign = bytes(txn.get(own, db=table)), bytes(txn.get(other, db=table))
        flipped = [good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :] for at in range(len(good))]
        for bad in [foreign, good[:-1], b"", *flipped]:
            with home.tables.env.begin(write=True) as txn:
                txn.put(own, bad, db=table)
            url = "Patient/p0/$everything" if type_ == "Patient" else "Observation/o0"
            answer = node.client.get(url)
            assert answer.status == 500, (type_, bad)
            assert b'"OperationOutcome"' in answer.body
            assert b"valueQuantity" not in answer.body
        assert any("resource" in one or "patient" in one for one in node.fsck())
        with home.tables.env.begin(write=True) as txn:
            txn.put(own, good, db=table)
    assert node.fsck() == []


def test_a_wrong_pointer_finds_no_other_body_not_even_in_the_cache(node: Node) -> None:
    with node.service.reader.snapshot() as snapshot:
        versions = [*snapshot.versions("Observation", "o0"), *snapshot.versions("Observation", "o1")]
        for cold in (True, False):
            for mine in versions:
                for other in versions:
                    if cold:
                        node.service.reader.cache._bodies.clear()
                    wrong = Version(
                        mine.type, mine.id, mine.version, mine.deleted, mine.time_ms, mine.height, other.chart, other.leaf
                    )  # fmt: skip
                    if mine is other:
                        assert snapshot.body(wrong)
                        continue
                    with pytest.raises(Corrupt):
                        snapshot.body(wrong)
                    with pytest.raises(Corrupt):
                        snapshot.bodies([mine, wrong])


def test_a_leaf_that_points_into_another_record_is_found(node: Node) -> None:
    home = node.service.context.home
    with node.service.reader.snapshot() as snapshot:
        version = snapshot.current("Observation", "o1")
        other = snapshot.current("Observation", "o0")
    assert version is not None
    assert other is not None
    key, foreign = (LEAF_KEY.pack(one.chart, RECORD_LOG, one.leaf) for one in (version, other))
    with home.tables.env.begin() as txn:
        good, borrowed = (bytes(txn.get(one, db=home.tables.leaf)) for one in (key, foreign))
    offset, length, hashed = LEAF.unpack(good)
    places = [
        (offset + 1, length),
        (offset, length - 1),
        (offset, 3),
        (1 << 63, length),
        (offset, (1 << 32) - 1),
    ]
    for bad in [borrowed, *(LEAF.pack(*place, hashed) for place in places)]:
        with home.tables.env.begin(write=True) as txn:
            txn.put(key, bad, db=home.tables.leaf)
        assert node.fresh().get("Observation/o1").status == 500
        assert any("leaf" in one for one in node.fsck())
