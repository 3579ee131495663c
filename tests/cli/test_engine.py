"""`careledger engine recover-guard`: by whom, when, and that the validator signs above the floor alone."""

from __future__ import annotations

import json

import pytest

from careledger.cli.run import run
from careledger.engine.genesis import compute_address
from careledger.engine.sign_bytes import PRECOMMIT, Asked
from careledger.engine.signing_guard import GUARD_NAME, GuardRefused, open_guard
from careledger.engine.validator_key import create_validator_key
from careledger.node.layout import HomeLock, Layout
from careledger.primitives.errors import Conflict
from careledger.vault.keystore import Cost
from tests.faults.rig import PASSPHRASE, new_home


def ask(height: int) -> Asked:
    return Asked(height, 0, PRECOMMIT, b"content", 1, 0, b"bytes")


def test_a_guard_is_recovered_by_who_has_the_passphrase_while_nobody_serves(tmp_path, monkeypatch, capsys):
    (tmp_path / "right").write_text(PASSPHRASE)
    (tmp_path / "wrong").write_text(PASSPHRASE + "x")
    monkeypatch.setenv("CARELEDGER_PASSPHRASE_FILE", str(tmp_path / "right"))
    layout = Layout(new_home(tmp_path / "home"))
    command = ["engine", "recover-guard", "--home", str(layout.path), "--above", "41", "--json"]
    assert run(command) == 3  # it has no validator's key
    public = create_validator_key(layout.keys, PASSPHRASE, cost=Cost(1, 1024, 1))
    assert run([*command, "--passphrase-file", str(tmp_path / "wrong")]) not in (0, 3)
    lock = HomeLock(layout)
    assert run(command) not in (0, 3)
    lock.release()
    guard_file = layout.engine / GUARD_NAME
    chain_id = layout.read().chain_id
    with pytest.raises((GuardRefused, FileNotFoundError)):
        open_guard(guard_file, chain_id, public, used=True)
    capsys.readouterr()
    assert run(command) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"validator": compute_address(public).hex(), "signs_above": 41}
    guard = open_guard(guard_file, chain_id, public, used=True)
    with pytest.raises(Conflict):
        guard.sign(ask(41), lambda _: b"signature")
    assert guard.sign(ask(42), lambda _: b"signature").height == 42
    guard.close()
    assert run([*command[:-2], "40", "--json"]) not in (0, 3)  # it signed at 42 meanwhile
