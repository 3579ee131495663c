"""A network on one machine is made whole or not at all, and what has ended is no error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from careledger.cli import localnet, newcomer
from careledger.cli import network as network_commands
from careledger.cli.localnet import LocalNetwork, Organisation, Plan
from careledger.engine.relay import write_cut
from careledger.node import founders
from careledger.primitives.errors import CareLedgerError, Conflict, Invalid, Misconfigured

QUIET = lambda text: None  # noqa: E731


def plan_of(folder: Path, *names: str) -> LocalNetwork:
    plan = Plan("cl-x", "ed25519", [Organisation(name, 1, 2, 3, name * 40) for name in names])
    for name in names:
        (folder / name / "home" / "engine").mkdir(parents=True)
    (folder / localnet.PLAN_NAME).write_bytes(msgspec.json.encode(plan))
    return LocalNetwork.open(folder)


@pytest.mark.parametrize("end", [KeyboardInterrupt, Misconfigured("no room", hint="make some")])
def test_a_network_that_was_not_finished_leaves_its_folder_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: type[BaseException] | BaseException
) -> None:
    def prepare(path: Path, name: str, *_: object) -> None:
        path.mkdir()
        (path / "keys").write_text(name)
        raise end

    monkeypatch.setattr(founders, "prepare", prepare)
    with pytest.raises(end if isinstance(end, type) else type(end)):
        LocalNetwork.create(tmp_path / "n", ["A", "B"], None, "ed25519", QUIET)
    assert list((tmp_path / "n").iterdir()) == []
    (tmp_path / "n" / "mine").touch()
    with pytest.raises(Conflict, match="not empty"):
        LocalNetwork.create(tmp_path / "n", ["A"], None, "ed25519", QUIET)
    assert (tmp_path / "n" / "mine").exists(), "what was there before is nobody's to remove"


def test_a_process_that_ended_as_it_was_to_be_stopped_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = plan_of(tmp_path / "n", "A")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    seen = iter([ended.pid, None] * 3)
    monkeypatch.setattr(LocalNetwork, "pid", lambda self, one: next(seen))
    network.stop()
    network.stop_one(network.find("A"))
    network.kill(network.find("A"))


def test_a_partition_holds_for_who_does_not_run_and_until_it_is_healed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = plan_of(tmp_path / "n", "A", "B", "C")
    a, b, c = network.plan.organisations
    asked: list[tuple[str, dict[str, list[str]]]] = []
    monkeypatch.setattr(LocalNetwork, "pid", lambda self, one: 1 if one.name == "A" else None)
    monkeypatch.setattr(
        LocalNetwork, "ask", lambda self, one, method, params: asked.append((one.name, params))
    )
    network_commands.partition("A,B/C", dir=network.folder, json=True)
    assert asked == [("A", {"peers": [c.node_id]})], "who runs is told"
    assert network.heard_by(b) == [a] and network.heard_by(c) == [], "who does not begins so"
    monkeypatch.setattr(LocalNetwork, "stop", lambda self: None)
    network_commands.stop(dir=network.folder, json=True)
    assert network.heard_by(b) == [a, c] and network.heard_by(c) == [a, b]


def test_who_starts_again_in_a_partition_waits_for_nobody_beyond_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = plan_of(tmp_path / "n", "A", "B", "C")
    write_cut(tmp_path / "n" / "C" / "home" / "engine", [network.find("A").node_id])
    waited: list[int] = []
    monkeypatch.setattr(LocalNetwork, "start", lambda self, one: None)
    monkeypatch.setattr(LocalNetwork, "height", lambda self, one: {"A": 9, "B": 5, "C": 5}[one.name])
    monkeypatch.setattr(LocalNetwork, "wait_ready", lambda self, ones, least, report: waited.append(least))
    network_commands.restart("C", dir=network.folder, json=True)
    assert waited == [5]


@pytest.mark.parametrize("base", [-5, 0, 65_534, 99_999])
def test_ports_that_there_are_not_are_refused(tmp_path: Path, base: int) -> None:
    with pytest.raises(Invalid, match="no ports"):
        LocalNetwork.create(tmp_path / "n", ["A"], base, "ed25519", QUIET)
    assert not (tmp_path / "n").exists()


def test_a_file_is_no_folder_for_a_network(tmp_path: Path) -> None:
    (tmp_path / "n").touch()
    with pytest.raises(Conflict, match="no folder"):
        LocalNetwork.create(tmp_path / "n", ["A"], None, "ed25519", QUIET)


def test_who_failed_to_join_once_is_told_what_is_in_the_way(tmp_path: Path) -> None:
    network = plan_of(tmp_path / "n", "A")
    (tmp_path / "n" / "E").mkdir()
    with pytest.raises(CareLedgerError, match="in the way") as refused:
        newcomer.join(network, "E", QUIET)
    assert refused.value.hint
