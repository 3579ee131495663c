"""Checkpoints that were handed out are remembered: durably, alike at every replay, a bounded number of them."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from careledger.ledger.verification import read_trust
from careledger.node import handed
from careledger.node.home import OpenHome
from tests.faults.rig import copy_home, new_home, node_of, open_home, patient


def sizes(home: OpenHome) -> list[int]:
    with home.tables.env.begin() as txn:
        return handed.read_sizes(txn, home.tables)


def test_what_was_handed_out_is_remembered_alike_at_every_replay(tmp_path: Path) -> None:
    path = new_home(tmp_path / "home")
    given = []
    with node_of(path) as node:
        for number in range(3):
            node.client.put(f"Patient/p{number}", patient(f"p{number}"))
            given.append(read_trust(node.command("checkpoint")["file"].encode()).size)
            height = node.state()[0]
            assert read_trust(node.command("checkpoint")["file"].encode()).size == given[-1] == height + 1
        node.command("receipt", reference="Patient/p0")
        known = sizes(node.service.context.home)
        assert set(given) <= set(known), "and the first block of the day"
    again = open_home(copy_home(path, tmp_path / "copy"))
    assert sizes(again.home) == known
    again.close()


def test_the_oldest_are_thinned_out(tmp_path: Path) -> None:
    locked = open_home(new_home(tmp_path / "home"))
    home = locked.home
    with mock.patch.object(handed, "SIZES_MAX", 10):
        txn = home.writer.begin()
        for size in range(100, 140):
            handed.add_size(txn, home.tables, size)
        kept = handed.read_sizes(txn, home.tables)
        home.writer.abort()
    assert kept[-5:] == list(range(135, 140)) and len(kept) <= 10 and kept == sorted(kept)
    assert kept[0] <= 101, "thinner, but far back"
    locked.close()
