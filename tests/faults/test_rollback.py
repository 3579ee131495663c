"""An older copy of a home put back, or a history written anew: seen by whoever kept a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from careledger.ledger.verification import verify_receipt
from careledger.primitives.errors import VerificationFailed
from tests.faults.rig import Node, copy_home, new_home, node_of, patient


def write(node: Node, names: str, family: str = "Quill") -> None:
    for name in names:
        assert node.client.put(f"Patient/{name}", patient(name, family)).status in (200, 201)


def test_a_rolled_back_home_is_shown_by_a_checkpoint_kept_elsewhere(tmp_path: Path) -> None:
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        write(node, "ab")
    older = copy_home(path, tmp_path / "older", index=True)
    with node_of(path) as node:
        write(node, "cd")
        kept = node.command("checkpoint")["file"]
        height = node.state()[0]
        write(node, "e")
        assert node.command("fsck", trust=kept)["ok"]
    shutil.rmtree(path)
    with node_of(older) as node:
        report = node.command("fsck", trust=kept)
        assert not report["ok"]
        assert any("rolled back" in one for one in report["problems"])
        while node.state()[0] < height - 1:  # a receipt notes in a block of its own that it is handed out
            write(node, "c", f"Other{node.state()[0]}")
        forked = node.command("receipt", reference="Patient/a")["file"].encode()
        same_height = node.state()[0] == height
        write(node, "dfg", "Another")
        report = node.command("fsck", trust=kept)
        assert any("written anew" in one for one in report["problems"])
        assert node.command("fsck", trust=node.command("checkpoint")["file"])["ok"]
        with pytest.raises(VerificationFailed):
            node.command("fsck", trust=kept[:-9])
    assert same_height
    with pytest.raises(VerificationFailed):
        verify_receipt(forked, kept.encode(), None)


def test_a_checkpoint_of_another_ledger_is_named(tmp_path: Path) -> None:
    with node_of(new_home(tmp_path / "other", "Another clinic")) as node:
        foreign = node.command("checkpoint")["file"]
    with node_of(new_home(tmp_path / "home")) as node:
        assert "the checkpoint is of another ledger" in node.command("fsck", trust=foreign)["problems"]
