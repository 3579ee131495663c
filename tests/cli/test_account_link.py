"""`careledger account link|unlink`: who somebody is at the organisation's provider, as an operator types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from careledger.cli.run import run
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.sequencer import system_clock_ms
from careledger.smart.accounts import Account, add_account
from careledger.vault.registry import StoredRegistry
from tests.faults.rig import PASSPHRASE, new_home
from tests.smart.people_support import run as run_async

Call = Callable[..., tuple[int, str, str]]
ISSUER = "https://idp.riverside.example/realms/staff"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call(words…)` runs one command about one home with Mei Chen's account and gives (exit code, stdout, stderr)."""
    home = new_home(tmp_path / "home")
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("CARELEDGER_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    layout = Layout(home)
    registry = StoredRegistry(layout.registry, open_keys(layout, PASSPHRASE)[1].registry_key, system_clock_ms)
    mei = Account(id="mei", kind="clinician", name="Mei Chen", fhir_user="Practitioner/d1")
    run_async(add_account(registry, mei))
    registry.close()

    def run_one(*words: str) -> tuple[int, str, str]:
        code = run((*words, "--home", str(home)))
        out, err = capsys.readouterr()
        return code, out, err

    return run_one


def test_an_operator_links_lists_and_unlinks(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def subjects() -> list[str]:
        (mei,) = json.loads(call("account", "list", "--json")[1])["accounts"]
        found: list[str] = mei["subjects"]
        return found

    assert "provider" in call("account", "link", "mei", "--subject", "s-1")[2]  # none is configured
    monkeypatch.setenv("CARELEDGER_SMART__PROVIDER_ISSUER", ISSUER)
    assert call("account", "link", "mei")[0] == 2
    assert call("account", "link", "nobody", "--subject", "s-1")[0] == 3
    assert subjects() == []
    assert call("account", "link", "mei", "--subject", "s-1")[:2] == (0, "linked mei\n")
    assert "linked already" in call("account", "link", "mei", "--subject", "s-1")[2]
    assert subjects() == ["s-1"]
    assert call("account", "unlink", "mei", "--subject", "s-2")[0] == 3
    assert call("account", "unlink", "mei", "--subject", "s-1")[:2] == (0, "unlinked mei\n")
    assert subjects() == []
