"""kill -9 at a random moment of a load: nothing acknowledged is lost, nothing is half there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.killing import Told, find_losses, load_and_kill, prepare
from tests.faults.rig import new_home, node_of


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_under_load(workers: int, tmp_path: Path) -> None:
    path, told, chance = new_home(tmp_path / "home"), Told(), random.Random(workers)
    token = prepare(path)
    for round_ in range(2):
        load_and_kill(path, token, told, round_, workers=workers, seconds=chance.uniform(0.2, 1.2))
    assert len(told.values) > 20
    assert told.bundles
    assert told.reads
    assert find_losses(path, told) == []


def test_a_journal_cut_at_any_byte_starts_with_every_synced_frame(tmp_path: Path) -> None:
    """Each byte of the last frames would be millions of starts: every 23rd, and around each frame's ends."""
    from careledger.vault.journal import start_position
    from tests.faults.rig import copy_home, impatient, observation, patient, transaction

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
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
