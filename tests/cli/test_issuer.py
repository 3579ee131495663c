"""`careledger issuer`, and clients whose keys are fetched: a home that is stopped, as an operator types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from careledger.cli.run import run
from tests.faults.rig import PASSPHRASE, new_home

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call(words…)` runs one command about one home and gives (exit code, stdout, stderr)."""
    home = new_home(tmp_path / "home")
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("CARELEDGER_PASSPHRASE_FILE", str(tmp_path / "passphrase"))

    def run_one(*words: str) -> tuple[int, str, str]:
        code = run((*words, "--home", str(home)))
        out, err = capsys.readouterr()
        return code, out, err

    return run_one


def test_keys_are_listed_rotated_and_withdrawn(call: Call) -> None:
    assert call("issuer", "keys") == (0, "no keys yet: the first start makes them\n", "")
    code, out, _ = call("issuer", "rotate", "--json")
    first = json.loads(out)["keys"]
    assert code == 0 and [(key["alg"], key["signs"]) for key in first] == [
        ("RS256", True), ("ES256", True), ("ES384", True),
    ]  # fmt: skip
    stolen = first[1]["kid"]
    code, out, err = call("issuer", "withdraw", stolen)
    assert code == 0 and stolen not in out and out.count(" now ") == 3 and "believe" in err
    assert call("issuer", "keys")[1] == out
    code, _, err = call("issuer", "withdraw", stolen)
    assert code == 1 and "there is no such key" in err


def test_keys_are_fetched_from_hosts_that_the_operator_listed_alone(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = ("client", "add", "--name", "Lab", "--scope", "system/*.rs", "--grant", "client_credentials")
    address = "https://keys.example:8443/lab/jwks.json"
    assert "does not fetch" in call(*add, "--jwks-uri", address)[2]
    monkeypatch.setenv("CARELEDGER_SMART__JWKS_HOSTS", "other.example,keys.example:8443")
    assert "does not fetch" in call(*add, "--jwks-uri", "https://keys.example/lab/jwks.json")[2]
    code, out, _ = call(*add, "--jwks-uri", address)
    assert code == 0 and out.strip() in call("client", "list")[1]
    monkeypatch.setenv("CARELEDGER_SMART__JWKS_HOSTS", "https://keys.example")
    code, _, err = call(*add, "--jwks-uri", address)
    assert code and "smart.jwks_hosts" in err
