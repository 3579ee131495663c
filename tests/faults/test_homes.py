"""Homes that cannot be opened: each says why and what to do, and stays as it was. Homes that can: they open."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from careledger.node import client, layout
from careledger.node import upgrade as upgrades
from careledger.node.backup import SEAL_BYTES, restore
from careledger.node.layout import HomeFile, Layout, mark_running
from careledger.node.upgrade import upgrade
from careledger.primitives.errors import CareLedgerError, Corrupt, Misconfigured
from careledger.primitives.sockets import connect_socket, listen_at
from tests.faults.rig import PASSPHRASE, Node, new_home, node_of, observation, open_home, patient, transaction

VOLATILE = {"lock"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder; LMDB's table of readers is nobody's content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (*VOLATILE, "lock.mdb")
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        node.client.put("Patient/p0", patient("p0"))
        node.client.put("Patient/p1", patient("p1"))
    return path


def cut_journal(home: Path) -> None:
    journal = home / "journal" / "log"
    os.truncate(journal, journal.stat().st_size - 40)


def older_journal(home: Path) -> None:
    with node_of(home.with_name("twin")) as node:
        node.client.put("Patient/p9", patient("p9", "x" * 60))
        node.client.put("Patient/p8", patient("p8", "x" * 500))
    shutil.copy(home.with_name("twin") / "journal" / "log", home / "journal" / "log")


def newer_format(home: Path) -> None:
    file = json.loads((home / "home.json").read_text())
    (home / "home.json").write_text(json.dumps(file | {"format": 7}))


def other_keys(home: Path) -> None:
    other = new_home(home.with_name("other"), "Another clinic")
    shutil.copy(other / "keys" / "keystore", home / "keys" / "keystore")


def other_journal(home: Path) -> None:
    other = new_home(home.with_name("other"), "Another clinic")
    shutil.copy(other / "journal" / "log", home / "journal" / "log")


def other_file(home: Path) -> None:
    """Somebody who can compute the check, but has no keys."""
    file = layout.msgspec.json.decode((home / "home.json").read_bytes(), type=HomeFile)
    Layout(home).write(layout.msgspec.structs.replace(file, chain_id="cl-" + "0" * 32))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "journal missing": (lambda home: (home / "journal" / "log").unlink(), "journal is missing"),
    "journal and index missing": (lambda home: (shutil.rmtree(home / "index"), (home / "journal" / "log").unlink()), "missing"),
    "journal shorter": (cut_journal, "shorter than what this home has acknowledged"),
    "journal of another life": (older_journal, "is not the one that this home wrote"),
    "journal of another home": (other_journal, "different homes"),
    "keys of another home": (other_keys, "another home"),
    "keys missing": (lambda home: shutil.rmtree(home / "keys"), "key"),
    "home.json missing": (lambda home: (home / "home.json").unlink(), "no CareLedger home"),
    "home.json of another ledger": (other_file, "not of this home"),
    "newer format": (newer_format, "format 7"),
    "not JSON": (lambda home: (home / "home.json").write_bytes(b"\xff\x00"), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_home_is_refused_and_left_alone(what: str, home: Path) -> None:
    damage, message = BROKEN[what]
    new_home(home.with_name("twin"))
    damage(home)
    before = contents(home)
    for _ in range(2):
        with pytest.raises(CareLedgerError, match=message) as raised:
            Node(home)
        assert raised.value.hint
        assert contents(home) == before


def test_wrong_passphrase(home: Path) -> None:
    before = contents(home)
    with pytest.raises(Misconfigured, match="passphrase") as raised:
        client.call(home, "status", {}, "another-passphrase")
    assert raised.value.code == "wrong-passphrase"
    assert raised.value.hint
    assert contents(home) == before


def test_a_home_in_use(home: Path) -> None:
    with node_of(home):
        with pytest.raises(layout.AlreadyRunning) as raised:
            open_home(home)
        assert raised.value.hint
    open_home(home).close()


def test_a_home_that_cannot_be_written(home: Path) -> None:
    bound = subprocess.run(["mount", "--bind", str(home), str(home)], capture_output=True, check=False)
    if (
        bound.returncode
        or subprocess.run(["mount", "-o", "remount,ro,bind", str(home)], check=False).returncode
    ):
        pytest.skip("SKIPPED: nothing can be mounted read-only here")
    try:
        with pytest.raises(Misconfigured, match="cannot be written") as raised:
            Node(home)
        assert raised.value.hint
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


def test_what_can_be_derived_is_derived(home: Path) -> None:
    """A lost index, one that was altered, a copied running home, a stale socket: all open, none is half there."""
    copies = []
    for what in ("killed before a reboot", "lost", "emptied", "foreign sum", "running copy", "cut index"):
        copy = Path(shutil.copytree(home, home.with_name(what)))
        copies.append(copy)
        if what == "lost":
            shutil.rmtree(copy / "index")
        elif what == "emptied":
            (copy / "index" / "data.mdb").write_bytes(b"")
        elif what == "foreign sum":
            (copy / "index" / "sum").write_bytes(bytes(16))
        elif what == "cut index":
            os.truncate(copy / "index" / "data.mdb", 8192)
        elif what == "running copy":
            mark_running(Layout(home))
            shutil.copy(home / "running", copy / "running")
            os.truncate(copy / "index" / "data.mdb", 8192)
        else:
            (copy / "running").write_text("another-boot 1 2")
    for copy in copies:
        listener = listen_at(copy / "node.sock")
        listener.close()
        locked = open_home(copy)
        assert locked.rebuilt, copy.name
        locked.close()
        with node_of(copy) as node:
            assert node.client.get("Patient/p1").status == 200
            assert node.fsck() == []
        clean = open_home(copy)
        assert not clean.rebuilt
        clean.close()


def test_a_long_path_has_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("path" * 20)
    folder.mkdir(parents=True)
    path = folder / "node.sock"
    assert len(str(path)) > 2 * 107 - 54
    listener = listen_at(path)
    listener.setblocking(True)
    connection = connect_socket(path)
    accepted, _ = listener.accept()
    accepted.sendall(b"here")
    assert connection.recv(10) == b"here"
    for one in (listener, connection, accepted):
        one.close()
    with pytest.raises(OSError):
        connect_socket(path)
    again = listen_at(path)
    assert path.stat().st_mode & 0o077 == 0
    again.close()


# -- backups ------------------------------------------------------------------------------------------------------


def test_a_backup_while_writing(home: Path, tmp_path: Path) -> None:
    """Taken in the middle of commits: it holds a moment, all of it, and restores to exactly that."""
    with node_of(home) as node:
        send, backups = node.client.asend, [tmp_path / f"backup{at}" for at in range(4)]

        async def write(at: int) -> int:
            bundle = transaction([observation(f"w{at}-{number}", "p0", number) for number in range(30)])
            return (await send("POST", "", bundle)).status

        async def take(path: Path) -> int:
            return int(
                (await node.service.command("backup", {"path": str(path)}, lambda _step: None))["height"]
            )

        found = node.all([work for at in range(4) for work in (write(at), take(backups[at]))])
        assert found[::2] == [200] * 4
        assert node.fsck() == []
    for at, backup in enumerate(backups):
        directory = tmp_path / f"restored{at}"
        assert restore(backup, directory, PASSPHRASE)["height"] == found[2 * at + 1]
        with node_of(directory) as node:
            assert node.fsck() == []
            for bundle in range(4):
                statuses = {node.client.get(f"Observation/w{bundle}-{number}").status for number in range(30)}
                assert len(statuses) == 1


@pytest.fixture
def backup(home: Path, tmp_path: Path) -> Path:
    with node_of(home) as node:
        node.command("backup", path=str(tmp_path / "backup"))
    return tmp_path / "backup"


def resealed(data: bytes) -> bytes:
    """As somebody without the keys would repair the outer sum."""
    from careledger.primitives.hashing import sha256

    return data + b"CLBACK01" + sha256(data) + bytes(16)


ALTERED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "last byte gone": lambda data: data[:-1],
    "one byte more": lambda data: data + b"\0",
    "sum repaired, seal not": lambda data: resealed(data[:-SEAL_BYTES]),
    "a sealed file that is no tar": lambda _data: resealed(b"hello"),
    "member renamed and sum repaired": lambda data: resealed(data[:-SEAL_BYTES].replace(b"keys/keystore", b"../../keystor")),
}  # fmt: skip


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_backup_is_refused_and_leaves_nothing(what: str, backup: Path, tmp_path: Path) -> None:
    backup.write_bytes(ALTERED[what](backup.read_bytes()))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Corrupt) as raised:
        restore(backup, tmp_path / "new", PASSPHRASE)
    assert raised.value.hint
    assert sorted(tmp_path.iterdir()) == before


def test_restore_needs_an_empty_place_and_the_passphrase(backup: Path, home: Path, tmp_path: Path) -> None:
    before = contents(home)
    (tmp_path / "file").write_text("x")
    refused = [(home, PASSPHRASE), (tmp_path / "file", PASSPHRASE), (tmp_path / "new", "another-passphrase")]
    for place, passphrase in refused:
        with pytest.raises(Misconfigured) as raised:
            restore(backup, place, passphrase)
        assert raised.value.hint
    assert contents(home) == before
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.restoring").exists()


# -- upgrades -----------------------------------------------------------------------------------------------------


def to_two(copy: Path, passphrase: str) -> None:
    file = json.loads((copy / "home.json").read_text())
    Layout(copy).write(HomeFile(**(file | {"format": 2, "check": ""})))


def test_nothing_to_upgrade(home: Path) -> None:
    before = contents(home)
    assert upgrade(home, PASSPHRASE)["upgraded"] is False
    assert contents(home) == before


def test_an_upgrade_happens_on_a_copy_and_keeps_the_old_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(home)
    monkeypatch.setattr(layout, "FORMAT", 2)
    with pytest.raises(Misconfigured, match="format 1"):
        Node(home)
    monkeypatch.setattr(upgrades.upgrade, "__defaults__", ({1: to_two},))
    done = client.call(home, "upgrade", {}, PASSPHRASE)
    assert done["upgraded"]
    assert contents(Path(done["kept"])) == before
    with node_of(home) as node:
        assert node.client.get("Patient/p1").status == 200
        assert node.fsck() == []


def broken_step(copy: Path, passphrase: str) -> None:
    to_two(copy, passphrase)
    journal = bytearray((copy / "journal" / "log").read_bytes())
    journal[len(journal) // 2] ^= 1
    (copy / "journal" / "log").write_bytes(journal)


def full_step(copy: Path, passphrase: str) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "steps", [{}, {1: broken_step}, {1: full_step}, {1: lambda _copy, _passphrase: None}]
)
def test_an_upgrade_that_fails_leaves_the_home_as_it_was(
    steps: dict[int, Callable[[Path, str], None]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, beside = contents(home), sorted(home.parent.iterdir())
    monkeypatch.setattr(layout, "FORMAT", 2)
    with pytest.raises(CareLedgerError) as raised:
        upgrade(home, PASSPHRASE, steps)
    assert raised.value.hint
    assert contents(home) == before
    assert sorted(home.parent.iterdir()) == beside
