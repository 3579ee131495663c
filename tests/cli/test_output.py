"""Files are written whole or not at all; results are the same data for people and programs."""

from __future__ import annotations

import json
import os
import stat

import pytest

from careledger.cli import output
from careledger.primitives.errors import Misconfigured


def test_exactly_this_file_is_written(tmp_path):
    target = tmp_path / "receipt.json"
    output.write_file(target, b"one")
    output.write_file(target, b"two")
    assert target.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["receipt.json"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~output.get_umask() & 0o644


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "receipt.json"
    target.write_bytes(b"old")

    def full(source, destination):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Misconfigured, match="No space left"):
        output.write_file(target, b"new and longer")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["receipt.json"]


def test_a_folder_that_is_absent_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(Misconfigured) as refusal:
        output.write_file(tmp_path / "no" / "receipt.json", b"x")
    assert refusal.value.hint


def test_people_and_programs_get_the_same(capsys):
    result = {"ok": True, "checked": {"bodies": 3, "logs": 2}, "problems": []}
    output.print_result(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result
    output.print_result(result, as_json=False)
    assert capsys.readouterr().out == "ok: yes\nchecked:\n  bodies: 3\n  logs: 2\nproblems: none\n"


def test_a_table_has_its_columns_in_line():
    rows = [{"actor": "Practitioner/grace", "kind": "read"}, {"actor": "-", "kind": "search"}]
    assert output.compute_table(rows, ("actor", "kind")) == (
        "actor               kind\nPractitioner/grace  read\n-                   search\n"
    )


def test_progress_is_silent_without_a_terminal(capsys):
    with output.progress_bar("importing") as progress:
        progress({"what": "importing", "done": 1, "total": 2})
    assert capsys.readouterr() == ("", "")
