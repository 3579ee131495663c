"""`careledger practitioner` on a real home, served and stopped: their key stays in their file."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from careledger.cli import calls
from careledger.cli.run import run
from tests.faults.killing import serving
from tests.faults.rig import PASSPHRASE, new_home

Call = Callable[..., tuple[int, str, str]]
LETTER = "5e" * 32
NOBODY = "did:careledger:" + "00" * 32


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call(words…)` runs one command and gives (exit code, stdout, stderr)."""
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARELEDGER_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.setenv("CARELEDGER_HOME", str(tmp_path / "home"))

    def run_one(*words: str) -> tuple[int, str, str]:
        code = run(("practitioner", *words))
        out, err = capsys.readouterr()
        return code, out, err

    return run_one


@pytest.fixture(params=["stopped", "served"])
def home(request: pytest.FixtureRequest, tmp_path: Path, call: Call) -> Iterator[Path]:
    path = new_home(tmp_path / "home")
    with serving(path, 1) if request.param == "served" else nullcontext():
        yield path


def done(call: Call, *words: str) -> str:
    code, out, err = call(*words)
    assert code == 0, err
    return out.strip()


def refused(call: Call, *words: str) -> tuple[int, str]:
    code, out, err = call(*words)
    assert (out, "hint:" in err) == ("", True), err
    return code, err


def listed(call: Call) -> dict[str, Any]:
    found = json.loads(done(call, "list", "--json"))["practitioners"]
    return {one["did"]: one for one in found}


def test_a_practitioner_is_registered_licensed_suspended_and_reinstated(call: Call, home: Path) -> None:
    okafor = done(call, "register", "--key-out", "okafor.key", "--role", "nurse", "--role", "physician")
    quill = done(call, "register", "--key-out", "quill.key")
    assert list(listed(call)) == [okafor, quill]
    assert listed(call)[okafor]["roles"] == ["nurse", "physician"]
    assert stat.S_IMODE(Path("okafor.key").stat().st_mode) == 0o600
    done(call, "sign", LETTER, "--key", "okafor.key")
    assert "code 218" in refused(call, "sign", LETTER, "--key", "okafor.key")[1]
    done(call, "license", okafor, "physician", "--until", "2999-12-31")
    done(call, "license", quill, "surgeon", "--until", "2020-02-29")
    stands = listed(call)
    assert stands[okafor]["licences"] == [{"role": "physician", "until": "2999-12-31"}]
    assert (stands[okafor]["standing"], stands[quill]["standing"]) == ("active", "lapsed")
    assert "code 216" in refused(call, "sign", LETTER, "--key", "quill.key")[1]
    assert "suspended" in done(call, "suspend", okafor)
    assert (listed(call)[okafor]["standing"], listed(call)[okafor]["roles"]) == ("suspended", [])
    assert "code 213" in refused(call, "sign", "ab" * 32, "--key", "okafor.key")[1]
    assert refused(call, "suspend", okafor)[0] == 5
    done(call, "reinstate", okafor)
    assert listed(call)[okafor]["roles"] == ["nurse", "physician"]
    done(call, "sign", "ab" * 32, "--key", "okafor.key")
    table = done(call, "list")
    assert okafor in table
    assert "surgeon until 2020-02-29" in table


def test_what_is_refused_says_so_and_leaves_nothing(call: Call, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    done(call, "register", "--key-out", "okafor.key")
    for code, words in {
        2: ("register",),
        5: ("suspend", NOBODY),
        1: ("suspend", "did:careledger:1"),
    }.items():
        assert refused(call, *words)[0] == code, words
    for words in (
        ("register", "--key-out", "okafor.key"),
        ("register", "--key-out", str(home / "inside.key")),
        ("license", NOBODY, "physician"),
        ("license", NOBODY, "physician", "--until", "tomorrow"),
        ("sign", LETTER),
        ("sign", "letter", "--key", "okafor.key"),
        ("sign", LETTER, "--key", "passphrase"),
        ("sign", LETTER, "--key", "nowhere.key"),
    ):
        assert refused(call, *words)[0] == 2, words
    long = ("register", "--key-out", "long.key", "--role", "r" * 65)
    assert refused(call, *long)[0] == 1
    assert not Path("long.key").exists(), "a key that was not registered is not kept"
    operator = ("register", "--key-out", "operator.key", "--role", "operator")
    assert "code 205" in refused(call, *operator)[1]
    assert not Path("operator.key").exists()
    assert len(listed(call)) == 1
    new_home(tmp_path / "other", "Elsewhere")
    assert refused(call, "sign", LETTER, "--key", "okafor.key", "--home", str(tmp_path / "other"))[0] == 2


def test_a_sequence_that_moved_is_signed_again(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_home(tmp_path / "home")
    send = calls.Calls.__call__
    seen: list[str] = []

    def interfering(self: calls.Calls, method: str, **params: Any) -> dict[str, Any]:
        if method == "practitioner.register" and not seen:
            seen.append(method)
            assert call("register", "--key-out", "first.key")[0] == 0
        return send(self, method, **params)

    monkeypatch.setattr(calls.Calls, "__call__", interfering)
    done(call, "register", "--key-out", "second.key")
    assert len(listed(call)) == 2


def test_a_signature_over_anything_else_is_refused(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node signs only what it composed itself from what it was told."""
    new_home(tmp_path / "home")
    send = calls.Calls.__call__
    for change in (
        {"roles": ("chief",)},
        {"valid_until": 2**63},
        {"sequence": 7},
        {"signature": bytes(3309)},
    ):

        def lying(
            self: calls.Calls, method: str, *, change: dict[str, Any] = change, **params: Any
        ) -> dict[str, Any]:
            return send(self, method, **(params | change if method == "practitioner.register" else params))

        monkeypatch.setattr(calls.Calls, "__call__", lying)
        code, _, err = call("register", "--key-out", "okafor.key")
        assert code != 0, change
        assert "an authenticator" in err or "ML-DSA" in err, err
    monkeypatch.setattr(calls.Calls, "__call__", send)
    assert listed(call) == {}
