"""`careledger chart export`, `access-log export` and `verify` on a real home, served and stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_consent import TERMS, Call, call, done, either
from tests.verifier.twins import VERIFIER

__all__ = ["call", "either"]


def alone(*words: str) -> tuple[int, str, str]:
    """The stand-alone verifier as its user runs it."""
    found = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), *words], capture_output=True, text=True, check=False
    )
    return found.returncode, found.stdout, found.stderr


def test_a_patient_keeps_her_chart(call: Call, either: Path, tmp_path: Path) -> None:
    done(call, "checkpoint", "-o", "trust")
    done(call, "patient", "enrol", "anna", "--key-out", "anna.key")
    done(call, "patient", "enrol", "berta", "--key-out", "berta.key")
    done(call, "consent", "grant", "anna", *TERMS, "--key", "anna.key")
    done(call, "chart", "export", "Patient/anna", "-o", "chart")
    done(call, "access-log", "export", "anna", "-o", "log", "--since", "trust")
    said = json.loads(done(call, "verify", "chart", "--trust", "trust", "--key", "anna.key", "--json"))
    assert (said["holds"], said["level"], said["directives"], said["key_checked"]) == (
        "the whole chart",
        "anchored",
        1,
        True,
    )
    Path("id").write_text(said["enrolled_key"] + "\n")
    done(call, "verify", "chart", "--trust", "trust", "--key", "id")
    later = json.loads(done(call, "verify", "log", "--trust", "trust", "--earlier", "chart", "--json"))
    assert later["earlier_entries_unchanged"] == said["entries"] + said["access_entries"]
    code, out, err = alone("chart", "--trust", "trust")
    assert (code, err) == (0, "") and f"enrolled key: {said['enrolled_key']}" in out
    assert alone("log", "--trust", "trust", "--earlier", "chart")[0] == 0
    printed = done(call, "access-log", "export", "anna")
    Path("printed").write_text(printed)
    done(call, "verify", "printed", "--trust", "trust")
    assert '"careledger/access-log/1"' in printed
    # What does not hold, or cannot be meant.
    assert call("verify", "chart", "--trust", "trust", "--key", "berta.key")[0] == 6
    Path("altered").write_text(Path("chart").read_text().replace('"version":1', '"version":2', 1))
    code, out, err = call("verify", "altered", "--trust", "trust")
    assert (code, out) == (6, "") and "entry 1" in err
    code, out, err = alone("altered", "--trust", "trust")
    assert (code, out) == (6, "") and "entry 1" in err
    Path("receipt").write_text(done(call, "receipt", "Observation/pulse"))
    for words in (
        ("chart", "--body", "trust"),
        ("receipt", "--earlier", "chart"),
        ("receipt", "--key", "id"),
    ):
        assert call("verify", words[0], "--trust", "trust", *words[1:])[0] == 2
        assert "--key" in words or alone(words[0], "--trust", "trust", *words[1:])[0] == 2
    assert call("verify", "chart", "--trust", "trust", "--key", "trust")[0] == 2
    assert call("chart", "export", "nobody", "-o", "x")[0] == 3
    assert not Path("x").exists()


@pytest.mark.parametrize("words", [("chart", "export"), ("access-log", "export")])
def test_help_says_what_it_is(call: Call, words: tuple[str, ...]) -> None:
    code, out, _ = call(*words, "--help")
    assert code == 0 and "--since" in out
