"""A full or failing disk: nothing acknowledged is lost, nothing unlogged is read, and it goes on when there is room."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from careledger.node import sequencer
from careledger.vault.index import IndexWriter
from tests.faults.rig import (
    WAIT_SECONDS,
    Node,
    impatient,
    new_home,
    node_of,
    observation,
    patient,
    transaction,
)

TMPFS_BYTES = 24 << 20


def start(path: Path) -> Node:
    node = Node(path)
    node.client.put("Patient/p0", patient("p0", "Zebulon"))
    node.client.put("Observation/o0", observation("o0", "p0", 61))
    return node


def check_refused(node: Node) -> None:
    """No write, no read, no search leaves anything of a chart."""
    for method, url, body in (
        ("PUT", "Observation/o1", observation("o1", "p0", 62)),
        ("PUT", "Observation/o0", observation("o0", "p0", 63)),
        ("POST", "", transaction([observation(f"b{at}", "p0", at) for at in range(50)])),
        ("GET", "Patient/p0", None),
        ("GET", "Observation/o0", None),
        ("GET", "Observation?subject=Patient/p0", None),
        ("GET", "Patient/p0/$everything", None),
        ("GET", "Observation/o0/_history", None),
        ("DELETE", "Observation/o0", None),
    ):
        answer = node.client.send(method, url, body)
        assert answer.status == 503, (method, url, answer.status, answer.body)
        assert b'"OperationOutcome"' in answer.body
        assert b"Zebulon" not in answer.body
        assert b"8867-4" not in answer.body


def check_recovered(node: Node, state: tuple[int, str, str]) -> None:
    """Everything from before is there, nothing of what was refused, and new work is done."""
    assert node.state()[:2] == state[:2]
    assert node.client.get("Observation/o1").status == 404
    assert node.client.get("Observation/b0").status == 404
    assert b'"value":61' in node.client.get("Observation/o0").body.replace(b" ", b"")
    assert node.client.put("Observation/o1", observation("o1", "p0", 64)).status == 201
    assert node.fsck() == []


@pytest.mark.parametrize("partial", [0, 30])
def test_no_room_for_the_journal(partial: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with impatient():
        node = start(new_home(tmp_path / "home"))
        node.settle(0.05)
        state, pwrite = node.state(), os.pwrite

        def full(descriptor: int, data: bytes, offset: int) -> int:
            if partial:
                pwrite(descriptor, bytes(data)[:partial], offset)
            raise OSError(errno.ENOSPC, "planted")

        monkeypatch.setattr(os, "pwrite", full)
        check_refused(node)
        monkeypatch.undo()
        check_recovered(node, state)
        node.close()
        with node_of(tmp_path / "home") as again:
            assert again.fsck() == []


def test_a_group_refused_in_its_middle_answers_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full from the second staged frame on: no commit of the group waits for ever, none happened."""
    with impatient():
        node = start(new_home(tmp_path / "home"))
        node.settle(0.05)
        pwrite, calls = os.pwrite, 0

        def full_soon(descriptor: int, data: bytes, offset: int) -> int:
            nonlocal calls
            calls += 1
            if calls > 2:
                raise OSError(errno.ENOSPC, "planted")
            return pwrite(descriptor, data, offset)

        monkeypatch.setattr(os, "pwrite", full_soon)
        send = node.client.asend
        bundle = transaction([observation(f"b{at}", "p0", at) for at in range(80)])
        works = [
            send("POST", "", bundle),
            *(send("PUT", f"Observation/c{at}", observation(f"c{at}", "p0", 1)) for at in range(4)),
        ]
        answers = node.all(works)
        assert {answer.status for answer in answers} <= {201, 503}
        assert answers[0].status == 503
        monkeypatch.undo()
        assert node.client.get("Observation/b0").status == 404
        for at, answer in enumerate(answers[1:]):
            assert node.client.get(f"Observation/c{at}").status == (200 if answer.status == 201 else 404)
        assert node.client.post("", bundle).status == 200
        assert node.fsck() == []
        node.close()


def test_a_failed_sync_ends_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what the disk holds: refuse everything from then on, even when the disk seems well again."""
    node = start(new_home(tmp_path / "home"))

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "planted")

    monkeypatch.setattr(os, "fdatasync", broken)
    assert node.client.put("Observation/o1", observation("o1", "p0", 62)).status == 503
    monkeypatch.undo()
    check_refused(node)
    assert node.service.context.backend.problems()
    node.close()
    with node_of(tmp_path / "home") as again:
        assert b"61" in again.client.get("Observation/o0").body
        assert again.client.get("Observation/o1").status in (200, 404)  # its outcome was unknown
        assert again.fsck() == []


def test_a_failed_sync_of_an_access_entry_ends_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start(new_home(tmp_path / "home"))

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "planted")

    monkeypatch.setattr(os, "fdatasync", broken)
    answer = node.client.get("Patient/p0")
    assert answer.status == 503
    assert b"Zebulon" not in answer.body
    monkeypatch.undo()
    check_refused(node)
    node.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 24 MiB; the test is skipped, loudly, where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("SKIPPED: no tmpfs can be mounted here, so no real disk was filled")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("left", [0, 4096, 1 << 20])
def test_a_full_disk(left: int, small_disk: Path) -> None:
    with impatient():
        node = start(new_home(small_disk / "home"))
        node.settle(0.05)
        state = node.state()
        filler = small_disk / "filler"
        room = os.statvfs(small_disk)
        with filler.open("wb") as out:
            out.truncate(0)
            os.posix_fallocate(out.fileno(), 0, max(4096, room.f_bavail * room.f_frsize - left))
        check_refused(node)
        node.settle(0.05)
        check_refused(node)
        assert not node.service.context.backend.problems()
        filler.unlink()
        check_recovered(node, state)
        node.close()
        with node_of(small_disk / "home") as again:
            assert again.fsck() == []


def test_the_disk_fills_while_it_works(small_disk: Path) -> None:
    """Written until it is full: what was acknowledged is there, and what was not is not."""
    with impatient():
        node = start(new_home(small_disk / "home"))
        kept = 0
        while True:
            bundle = transaction([observation(f"k{kept}-{at}", "p0", at) for at in range(300)])
            answer = node.client.post("", bundle)
            if answer.status != 200:
                break
            kept += 1
        assert answer.status == 503
        assert kept > 2
        node.close()
        room = subprocess.run(
            ["mount", "-o", f"remount,size={4 * TMPFS_BYTES}", str(small_disk)], check=False
        )
        assert room.returncode == 0
        with node_of(small_disk / "home") as again:
            assert again.client.get(f"Observation/k{kept - 1}-299").status == 200
            assert again.client.get(f"Observation/k{kept}-0").status == 404
            assert again.fsck() == []


@pytest.mark.parametrize("bundle", [False, True])
def test_an_index_that_cannot_be_written_catches_up(
    bundle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal took it, the index could not: nothing is served meanwhile; then it is there wholly."""
    with impatient():
        node = start(new_home(tmp_path / "home"))
        commit = IndexWriter.commit

        def full(self: IndexWriter) -> None:
            raise lmdb.DiskError("planted")

        monkeypatch.setattr(IndexWriter, "commit", full)
        many = [observation(f"b{at}", "p0", at) for at in range(40 if bundle else 1)]
        assert node.client.post("", transaction(many)).status == 503
        assert node.client.get("Patient/p0").status == 503
        monkeypatch.setattr(IndexWriter, "commit", commit)
        monkeypatch.setattr(sequencer, "REPAIR_SECONDS", 0.01)
        end = time.monotonic() + WAIT_SECONDS
        while node.service.context.backend.problems() and time.monotonic() < end:
            node.settle(0.01)
        assert {node.client.get(f"Observation/b{at}").status for at in range(len(many))} == {200}
        assert node.client.put("Observation/o1", observation("o1", "p0", 64)).status == 201
        assert node.fsck() == []
        state = node.state()
        node.close()
        with node_of(tmp_path / "home") as again:
            assert again.state() >= state
            assert again.fsck() == []
