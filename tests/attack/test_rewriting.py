"""An operator with its real keys and a node of its own making: whoever kept one old checkpoint convicts it.

The operator here holds every key, alters its own index and signs what it likes. The verifiers know one checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from careledger.ledger.export_verification import verify_export
from careledger.ledger.log import Frontier
from careledger.node import pins
from careledger.node.lognodes import LogNodes
from careledger.primitives.errors import VerificationFailed
from careledger.vault.tables import ACCESS_LOG, CHART, CHART_KEY, RECORD_LOG
from tests.faults.rig import Node, new_home, node_of, observation, patient
from tests.verifier.twins import export_verdict


def export(node: Node, path: Path, kind: str = "chart") -> bytes:
    node.command(f"{kind}.export", patient="a", path=str(path))
    return path.read_bytes()


def hand_out(node: Node) -> bytes:
    return bytes(node.command("checkpoint")["file"].encode())


def begin(node: Node) -> None:
    node.client.put("Patient/a", patient("a"))
    node.client.put("Observation/kept", observation("kept", "a", 60))
    node.client.put("Observation/lost", observation("lost", "a", 61))
    node.client.get("Observation/lost")


def refused(file: bytes, trust: bytes) -> str:
    """Why both verifiers refuse the file."""
    with pytest.raises(VerificationFailed) as caught:
        verify_export(file, trust)
    assert export_verdict(file, trust) == "refused"
    return caught.value.message


def cut_log(node: Node, log: int, keep: int) -> None:
    """Let the chart's log end after `keep` entries, as if the rest had never been."""
    home = node.service.context.home
    node.rest()
    with node.service.context.reader.snapshot() as snapshot:
        chart = snapshot.chart_of("a")
    assert chart is not None
    with home.tables.env.begin(write=True) as txn:
        short = Frontier.at(keep, LogNodes(txn, home.tables, chart, log).get)
        if log == ACCESS_LOG:
            txn.put(CHART_KEY.pack(chart), short.to_bytes(), db=home.tables.access)
        else:
            data = txn.get(CHART_KEY.pack(chart), db=home.tables.chart)
            txn.put(CHART_KEY.pack(chart), data[: CHART.size] + short.to_bytes(), db=home.tables.chart)
    home.access._frontiers.clear()
    home.writer._states.clear()


def size_of(node: Node, log: int) -> int:
    """Entries of the chart's log now."""
    home = node.service.context.home
    node.rest()
    with node.service.context.reader.snapshot() as snapshot:
        chart = snapshot.chart_of("a")
    if log == ACCESS_LOG:
        return home.access.frontier(chart).size
    with home.tables.env.begin() as txn:
        return Frontier.from_bytes(txn.get(CHART_KEY.pack(chart), db=home.tables.chart)[CHART.size :]).size


def drop_a_version(node: Node) -> None:
    """The last version goes; something else takes its place."""
    cut_log(node, RECORD_LOG, size_of(node, RECORD_LOG) - 1)
    node.client.put("Observation/other", observation("other", "a", 62))


def date_a_version_anew(node: Node) -> None:
    """The last version goes and comes back with a later time."""
    cut_log(node, RECORD_LOG, size_of(node, RECORD_LOG) - 1)
    node.client.put("Observation/again", observation("again", "a", 61))
    node.client.put("Observation/more", observation("more", "a", 61))


def cut_the_access_log(node: Node) -> None:
    """Who looked last was never there."""
    cut_log(node, ACCESS_LOG, size_of(node, ACCESS_LOG) - 1)


@pytest.mark.parametrize("kind", ["chart", "access_log"])
@pytest.mark.parametrize("cheat", [drop_a_version, date_a_version_anew, cut_the_access_log])
def test_a_chart_that_began_otherwise_is_refused(tmp_path, cheat: Callable[[Node], None], kind: str):
    with node_of(new_home(tmp_path / "home")) as node:
        begin(node)
        old = hand_out(node)
        assert verify_export(export(node, tmp_path / "before", kind), old)
        cheat(node)
        file = export(node, tmp_path / "after", kind)
        if kind == "access_log" and cheat is not cut_the_access_log:
            return  # it shows the head of the record log alone
        assert "does not begin as it stood" in refused(file, old)


def test_pins_that_are_left_out_are_missed(tmp_path, monkeypatch):
    with node_of(new_home(tmp_path / "home")) as node:
        begin(node)
        old = hand_out(node)
        drop_a_version(node)
        monkeypatch.setattr(pins, "take_pins", lambda *ignored: [])
        assert "how the chart stood" in refused(export(node, tmp_path / "file"), old)


def test_another_history_with_the_real_keys_is_refused(tmp_path):
    home = new_home(tmp_path / "home")
    with node_of(home) as node:
        node.client.put("Patient/a", patient("a"))
    shutil.copytree(home, tmp_path / "copy")
    with node_of(home) as node:
        begin(node)
        old = hand_out(node)
    with node_of(tmp_path / "copy") as node:
        for i in range(12):
            node.client.put(f"Observation/{i}", observation(str(i), "a", 50 + i))
            hand_out(node)
        file = tmp_path / "file"
        node.command("chart.export", patient="a", path=str(file), since=old.decode())
        assert "written anew" in refused(file.read_bytes(), old)
    # and one that was cut short has no export that reaches so far
    with node_of(home) as node:
        node.client.put("Patient/a", patient("a", "Later"))
        later = hand_out(node)
    with node_of(tmp_path / "copy") as node:
        assert refused(export(node, tmp_path / "short"), later)
