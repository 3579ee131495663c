"""`careledger network found` and `careledger join`: a home that can be served, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from careledger.cli.run import run
from careledger.engine.configuration import read_node_id
from careledger.engine.validator_key import open_validator_key
from careledger.ledger.genesis import NETWORK, Genesis
from careledger.node import founders
from careledger.node.config import load
from careledger.node.layout import Layout
from careledger.vault.keystore import Cost, KeyStore

PASSPHRASE = "a passphrase for tests only"
CHEAP = Cost(1, 8, 1)


@pytest.fixture(autouse=True)
def cheap_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create, make = KeyStore.create, founders.create_validator_key
    monkeypatch.setattr(
        KeyStore, "create", staticmethod(lambda keys, passphrase: create(keys, passphrase, CHEAP))
    )
    monkeypatch.setattr(
        founders,
        "create_validator_key",
        lambda folder, passphrase, kind: make(folder, passphrase, kind, CHEAP),
    )
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("CARELEDGER_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.delenv("CARELEDGER_HOME", raising=False)


@pytest.mark.parametrize("key_type, name", [("ml_dsa_65", "cometbft/PubKeyMlDsa65"), ("ed25519", "tendermint/PubKeyEd25519")])  # fmt: skip
def test_a_network_is_begun_by_one_organisation_that_validates_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key_type: str, name: str
) -> None:
    home = tmp_path / "home"
    words = [
        "--name",
        "Harbour",
        "--key-type",
        key_type,
        "--p2p",
        "10.0.0.7:1",
        "--rpc",
        "127.0.0.1:2",
        "--json",
    ]
    assert run(["network", "found", str(home), *words]) == 0
    told = json.loads(capsys.readouterr().out)
    layout = Layout(home)
    file, key = layout.read(), open_validator_key(layout.keys, PASSPHRASE)
    assert (file.chain_id, file.did, key.type) == (told["chain_id"], told["did"], key_type)
    engine = json.loads((layout.engine / "config" / "genesis.json").read_bytes())
    genesis = Genesis.from_bytes(bytes.fromhex(engine["app_state"]["genesis"]))
    assert (genesis.mode, genesis.chain_id, engine["chain_id"]) == (NETWORK, file.chain_id, file.chain_id)
    assert genesis.to_bytes().hex() == file.genesis
    (validator,) = engine["validators"]
    assert (validator["address"], validator["pub_key"]["type"]) == (key.address.hex().upper(), name)
    assert told["node_id"] == read_node_id(layout.engine)
    config = load(home, {}).network
    assert (config.p2p, config.rpc) == ("10.0.0.7:1", "127.0.0.1:2")


def test_what_cannot_be_begun_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    for words in (["--name", ""], ["--name", "x" * 201], ["--name", "A", "--key-type", "rsa"], ["--name", "A", "--p2p", "here"]):  # fmt: skip
        assert run(["network", "found", str(home), *words]) != 0, words
        assert not home.exists(), words
    home.mkdir()
    (home / "config.toml").write_text("")
    assert run(["network", "found", str(home), "--name", ""]) != 0
    assert [entry.name for entry in home.iterdir()] == ["config.toml"], "it was there before"
    (home / "letter").write_text("mine")
    assert run(["network", "found", str(home), "--name", "Harbour"]) != 0
    assert sorted(entry.name for entry in home.iterdir()) == ["config.toml", "letter"]
    assert "defect" not in capsys.readouterr().err
