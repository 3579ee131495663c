"""Every command about a node, on a real home: while it is served (through its socket) and while it is stopped."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from careledger.cli.run import run
from careledger.node import client
from tests.faults.killing import serving
from tests.faults.rig import PASSPHRASE, new_home, node_of, patient

Call = Callable[..., tuple[int, str, str]]
KEY_STORE_BYTES_MAX = 1_000_000


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call(words…)` runs one command and gives (exit code, stdout, stderr). The passphrase comes from a file."""
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARELEDGER_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.delenv("CARELEDGER_HOME", raising=False)

    def run_one(*words: str) -> tuple[int, str, str]:
        code = run(words)
        out, err = capsys.readouterr()
        return code, out, err

    return run_one


@pytest.fixture(params=["stopped", "served"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        node.client.put("Patient/p0", patient("p0"))
        assert node.client.get("Patient/p0").status == 200
    with serving(path, 1) if request.param == "served" else nullcontext():
        assert client.is_served(path) == (request.param == "served")
        yield path


def get_json(call: Call, *words: str) -> dict[str, Any]:
    """The one JSON object on stdout of a command that succeeds."""
    code, out, err = call(*words, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_commands_work_served_and_stopped(call: Call, home: Path, tmp_path: Path) -> None:
    at = ("--home", str(home))
    (tmp_path / "p1.json").write_text(json.dumps({"resourceType": "Patient", "id": "p1"}))
    assert get_json(call, "import", "p1.json", *at)["resources"] == 1
    assert get_json(call, "status", *at)["resources"] == 2
    assert get_json(call, "doctor", *at)["checks"]
    assert get_json(call, "fsck", *at)["problems"] == []
    assert get_json(call, "config", "show", "--origin", *at)["did"].startswith("did:careledger:")
    assert get_json(call, "backup", "b.backup", *at)["bytes"] == (tmp_path / "b.backup").stat().st_size
    for name in ("p0", "Patient/p0"):
        entries = get_json(call, "access-log", name, *at)["entries"]
        assert [entry["what"] for entry in entries] == ["Patient/p0"]
    for words, file in ((("receipt", "Patient/p1"), "r.json"), (("checkpoint",), "c.txt")):
        assert call(*words, "-o", file, *at) == (0, "", "")
        assert (tmp_path / file).stat().st_size
    assert get_json(call, "verify", "r.json", "--trust", "c.txt")["level"] == "anchored"
    assert get_json(call, "fsck", "--trust", "c.txt", *at)["ok"]


def test_a_token_is_printed_alone_and_revoked(call: Call, home: Path) -> None:
    at = ("--home", str(home))
    code, out, err = call("token", "--client", "app", "--scope", "system/*.rs", *at)
    assert code == 0
    assert out.count("\n") == 1
    assert out.count(".") == 2
    assert "expires" in err
    assert get_json(call, "token", "revoke", out.strip(), *at)["id"]


def test_what_is_not_there_is_3_and_has_a_hint(call: Call, home: Path) -> None:
    at = ("--home", str(home))
    for words in (("receipt", "Patient/nobody"), ("access-log", "nobody"), ("import", "nowhere.json")):
        code, out, err = call(*words, *at)
        assert (code, out) == (3, ""), (words, err)
        assert "hint:" in err


def test_init_asks_nothing_and_the_key_store_is_one_small_folder(call: Call, tmp_path: Path) -> None:
    made = get_json(call, "init", "new", "--name", "Clinic")
    assert made["did"] == get_json(call, "config", "show", "--home", "new")["did"]
    assert sum(file.stat().st_size for file in (tmp_path / "new" / "keys").iterdir()) < KEY_STORE_BYTES_MAX
    assert call("init", "new", "--name", "Clinic")[0] != 0


def test_an_init_that_fails_leaves_nothing_behind(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad").write_text("short")
    code, _, err = call("init", "new", "--name", "Clinic", "--passphrase-file", "bad")
    assert code == 1
    assert "hint:" in err
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config.toml").write_text("")
    monkeypatch.setattr("careledger.node.making.mark_stopped", fail_as_a_full_disk)
    assert call("init", "new", "--name", "Clinic")[0] == 1
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["config.toml"]
    monkeypatch.undo()
    passphrase = ("--passphrase-file", str(tmp_path / "passphrase"))
    assert call("init", str(tmp_path / "new"), "--name", "Clinic", *passphrase)[0] == 0


def fail_as_a_full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_every_shell_gets_its_completion(call: Call) -> None:
    for shell in ("bash", "zsh", "fish"):
        code, out, _ = call("completion", shell)
        assert code == 0
        assert "careledger" in out


@pytest.mark.parametrize("workers", [1, 2])
def test_links_of_a_node_on_a_free_port_lead_to_it(tmp_path: Path, workers: int) -> None:
    """`--listen HOST:0` takes a free port; addresses in answers name that one, in every worker."""
    with serving(new_home(tmp_path / "home"), workers) as (_process, port):
        for _ in range(4):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/fhir/metadata") as answer:
                statement = json.load(answer)
            assert statement["implementation"]["url"] == f"http://localhost:{port}/fhir"
        found = client.call(tmp_path / "home", "config", {}, PASSPHRASE)
        assert found["settings"]["server.listen"]["value"] == f"127.0.0.1:{port}"
