"""A network on one machine is made whole or not at all, and what has ended is no error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from careledger.cli import localnet, newcomer
from careledger.cli.localnet import LocalNetwork, Organisation, Plan
from careledger.node import founders
from careledger.primitives.errors import CareLedgerError, Conflict, Misconfigured

QUIET = lambda text: None  # noqa: E731


def plan_of(folder: Path, *names: str) -> LocalNetwork:
    plan = Plan("cl-x", "ed25519", [Organisation(name, 1, 2, 3, "0" * 40) for name in names])
    for name in names:
        (folder / name).mkdir(parents=True)
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


def test_who_failed_to_join_once_is_told_what_is_in_the_way(tmp_path: Path) -> None:
    network = plan_of(tmp_path / "n", "A")
    (tmp_path / "n" / "E").mkdir()
    with pytest.raises(CareLedgerError, match="in the way") as refused:
        newcomer.join(network, "E", QUIET)
    assert refused.value.hint
