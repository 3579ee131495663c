"""kill -9 at a random moment of a load: nothing acknowledged is lost, nothing is half there."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from careledger.vault.journal import start_position
from tests.faults import killed_erasing
from tests.faults.killing import Told, find_losses, load_and_kill, prepare
from tests.faults.rig import copy_home, impatient, new_home, node_of, observation, patient, transaction


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_under_load(workers: int, tmp_path: Path) -> None:
    path = new_home(tmp_path / ("a-path-too-long-for-a-socket-" * 5))
    told, chance = Told(), random.Random(workers)
    token = prepare(path)
    for round_ in range(2):
        load_and_kill(path, token, told, round_, workers=workers, seconds=chance.uniform(0.1, 1.0))
    assert told.has_grown((10, 1, 1)), "two rounds' worth"
    assert find_losses(path, told) == []


def test_after_a_power_cut_all_that_was_answered_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not synced is lost, or zeros: every answer must lie in front of that."""
    path, synced = new_home(tmp_path / "home"), 0
    fdatasync = os.fdatasync

    def remember(descriptor: int) -> None:
        nonlocal synced
        fdatasync(descriptor)
        synced = os.fstat(descriptor).st_size

    moments: list[tuple[int, int, int]] = []  # written, read, synced when the answer came
    with node_of(path) as node, impatient():
        monkeypatch.setattr(os, "fdatasync", remember)
        node.client.put("Patient/p0", patient("p0"))
        for at in range(12):
            many = [observation(f"n{at}-{number}", "p0", number) for number in range(1 + at % 3 * 20)]
            assert node.client.post("", transaction(many)).status == 200
            moments.append((at + 1, at, synced))
            assert node.client.get(f"Observation/n{at}-0").status == 200
            moments.append((at + 1, at + 1, synced))
        monkeypatch.undo()
    journal = (path / "journal" / "log").read_bytes()
    for number, (written, read, end) in enumerate(moments):
        cut = copy_home(path, tmp_path / f"cut{number}")
        lost = journal[end : end + 37 * number] if number % 3 else b""
        (cut / "journal" / "log").write_bytes(journal[:end] + lost + bytes(number % 2 * 5000))
        with node_of(cut) as node:
            entries = node.command("access_log", patient="p0")["entries"]
            assert sum(entry["kind"] == "read" for entry in entries) >= read
            assert {node.client.get(f"Observation/n{at}-0").status for at in range(written)} == {200}
            assert node.fsck() == []


def test_a_journal_cut_at_any_byte_starts_with_every_synced_frame(tmp_path: Path) -> None:
    """Each byte of the last frames would be millions of starts: every 23rd, and around each frame's ends."""
    path = new_home(tmp_path / "home")
    with node_of(path) as node, impatient():
        node.client.put("Patient/p0", patient("p0"))
        home = node.service.context.home
        safe = home.journal.position
        node.client.post("", transaction([observation(f"t{at}", "p0", at) for at in range(40)]))
        node.client.get("Observation/t0")
        frames = list(home.journal.frames(start_position(home.keys.home_id)))
        data = (path / "journal" / "log").read_bytes()
    later = [frame for frame in frames if frame.offset >= safe.end]
    done = next(frame.end for frame in later if frame.kind == 2)
    edges = {frame.end + step for frame in later for step in (-1, 0, 1)}
    cuts = sorted({*range(safe.end, len(data), len(data) // 25), *edges} & set(range(safe.end, len(data))))
    base = copy_home(path, tmp_path / "cut")
    for cut in cuts:
        (base / "journal" / "log").write_bytes(data[:cut])
        for name in ("index", "running"):
            _remove(base / name)
        with node_of(base) as node:
            assert node.client.get("Patient/p0").status == 200
            statuses = {node.client.get(f"Observation/t{at}").status for at in range(40)}
            assert statuses == ({200} if cut >= done else {404}), cut
            assert node.fsck() == []


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("work", killed_erasing.WORKS, ids=lambda work: work.method)
def test_kill_9_in_the_middle_of_an_erasure(work: killed_erasing.Work, tmp_path: Path) -> None:
    """The real process; at every call that changes a file: `make campaign-faults`."""
    ground = killed_erasing.make_ground(tmp_path / "ground")
    home = copy_home(ground.path, tmp_path / "home", index=True)
    asked = killed_erasing.erase_and_kill(home, work, 3, None)
    assert killed_erasing.find_wrong(home, ground, work, asked)[1] == []
