"""Errors have their exit code and never print what may be a patient's data; help loads nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from careledger.cli import run as cli_run
from careledger.cli.errors import UsageError, compute_exit_code, print_error
from careledger.primitives import errors

EXPECTED = [
    (errors.CareLedgerError, 1),
    (errors.Invalid, 1),
    (errors.TooLarge, 1),
    (errors.Misconfigured, 1),
    (UsageError, 2),
    (errors.NotFound, 3),
    (errors.NotPermitted, 4),
    (errors.Unauthenticated, 4),
    (errors.Conflict, 5),
    (errors.VerificationFailed, 6),
    (errors.Corrupt, 6),
    (errors.Unavailable, 7),
]


@pytest.mark.parametrize("kind, code", EXPECTED, ids=lambda value: getattr(value, "__name__", None))
def test_every_error_has_its_exit_code(kind, code, capsys):
    assert compute_exit_code(kind("what happened", hint="what to do")) == code
    assert print_error(kind("what happened", hint="what to do"), as_json=True) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert json.loads(printed.err)["error"] == {
        "code": kind.code,
        "message": "what happened",
        "hint": "what to do",
        "exit": code,
    }


@pytest.mark.parametrize("kind", [kind for kind, _ in EXPECTED], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("as_json", [False, True])
def test_no_error_is_printed_without_a_hint(kind, as_json, capsys):
    print_error(kind("what happened"), as_json=as_json)
    printed = capsys.readouterr().err
    hint = json.loads(printed)["error"]["hint"] if as_json else printed.partition("\nhint: ")[2]
    assert hint.strip()


def test_no_error_kind_was_forgotten():
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert kinds == {kind for kind, _ in EXPECTED} - {UsageError}


def test_a_defect_prints_its_place_and_not_its_text(monkeypatch, capsys):
    def crash(arguments):
        raise ValueError("Ada Lovelace, 1815-12-10")

    monkeypatch.setattr(cli_run, "dispatch", crash)
    assert cli_run.run(["fsck"]) == 1
    printed = capsys.readouterr()
    assert "Ada" not in printed.err + printed.out
    assert "ValueError at test_errors.py:" in printed.err


def test_an_interruption_exits_with_130(monkeypatch, capsys):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_run, "dispatch", interrupt)
    assert cli_run.run(["fsck"]) == 130


@pytest.mark.parametrize(
    "arguments, heavy",
    [
        (["--help"], {"cyclopts", "rich", "cryptography", "lmdb", "uvicorn", "msgspec"}),
        (["--version"], {"cyclopts", "rich", "cryptography", "lmdb", "uvicorn", "msgspec"}),
        (["token", "--help"], {"cryptography", "lmdb", "uvicorn", "careledger.node"}),
    ],
)
def test_help_loads_nothing_heavy(arguments, heavy):
    program = (
        "import sys\nfrom careledger.cli.run import run\n"
        f"code = run({arguments!r})\nloaded = set(sys.modules) & {heavy!r}\n"
        "sys.exit(f'loaded {loaded}' if loaded else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    "mistyped", ["zzz", "30ecd3b0e0e3661b0caf317ded8d76", "30ecd3b0e0e3661b0caf317ded8d767f "]
)
def test_what_is_no_token_is_not_told_to_be_revoked(tmp_path, mistyped, capsys):
    assert cli_run.run(["token", "revoke", mistyped, "--home", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert (printed.out, "hint: " in printed.err) == ("", True)
