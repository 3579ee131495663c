"""`careledger erase` and `shred`: asked first, on a stopped home and on a served one, with a certificate that verifies."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from careledger.cli import erase
from careledger.cli.errors import UsageError
from tests.faults.rig import PASSPHRASE, new_home, node_of, observation, patient
from tests.verifier.twins import verdict

VERSION = "Observation/o/_history/1"


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    secret = home.with_name("passphrase")
    secret.write_text(PASSPHRASE)
    command = [
        sys.executable,
        "-m",
        "careledger",
        *arguments,
        "--home",
        str(home),
        "--passphrase-file",
        str(secret),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_a_stopped_home_is_erased_from(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    with node_of(home) as node:
        node.client.put("Patient/ada", patient("ada"))
        for value in (1, 2):
            node.client.put("Observation/o", observation("o", "ada", value))
        (tmp_path / "trust").write_text(node.command("checkpoint")["file"])
    asked = run("erase", VERSION, "--reason", "misfiled", home=home)
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "--yes" in asked.stderr
    done = run("erase", VERSION, "--reason", "misfiled", "--yes", "--json", home=home)
    assert json.loads(done.stdout)["erased"] == VERSION
    assert run("erase", VERSION, "--reason", "misfiled", "--yes", home=home).returncode == 5
    assert run("shred", "nobody", "--reason", "x", "--yes", home=home).returncode == 3
    certificate = tmp_path / "certificate"
    done = run("shred", "Patient/ada", "--reason", "asked for", "--yes", "-o", str(certificate), home=home)
    assert (done.returncode, done.stdout) == (0, "shredded: 6 leaves\n")
    (home / "config.toml").write_text("[retention]\nmedical_records_years = 3\n")
    again = run("shred", "ada", "--reason", "asked for", "--yes", "-o", str(tmp_path / "again"), home=home)
    assert again.returncode == 0, again.stderr
    assert again.stdout == "was shredded before: 6 leaves\n"
    assert (
        json.loads((tmp_path / "again").read_text())["header"]
        == json.loads(certificate.read_text())["header"]
    )
    assert verdict(certificate.read_bytes(), (tmp_path / "trust").read_bytes()) == "anchored"


def test_somebody_on_a_terminal_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for answer, passes in (("yes\n", True), ("y\n", False), ("", False)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        if passes:
            erase.confirm("It goes.", yes=False)
        else:
            with pytest.raises(UsageError):
                erase.confirm("It goes.", yes=False)
        assert "It goes." in capsys.readouterr().err
