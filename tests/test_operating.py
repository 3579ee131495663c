"""Production files name what there is: settings, sections, commands, figures; wheels only; units hardened."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest

from bench import scale
from bench.scale import DAY
from careledger.cli.run import run
from careledger.contracts.consent import grant_message
from careledger.ledger.kernel import ED25519, ML_DSA_65
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.node.config import SETTINGS
from careledger.node.figures import FIGURES
from careledger.primitives.signing import ml_dsa_65_public_key
from careledger.primitives.types import Did
from tools.build_engine_samples import SAMPLES, load_sample

ROOT = Path(__file__).resolve().parent.parent
DEPLOY, OPERATING = ROOT / "deploy", ROOT / "docs" / "operating"
NAMES = {setting.name for setting in SETTINGS}
GROUPS = ("network", "engine", "config", "account", "client", "issuer", "practitioner")
"""Commands that have commands."""
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_configuration_sets_what_there_is(name):
    config = load_sample(name)
    tables = tomllib.loads((DEPLOY / f"{name}.toml").read_text("utf-8"))
    named = {f"{section}.{key}" for section, table in tables.items() for key in table}
    assert named <= NAMES
    assert {
        "network.p2p",
        "network.rpc",
        "network.peers",
        "network.snapshot_blocks",
        "network.retain_blocks",
    } <= named
    for listen in (
        config.network.rpc,
        config.metrics.listen,
        config.metrics.engine_listen,
        config.server.listen,
    ):
        assert listen.startswith("127.0.0.1:")


def test_what_the_engine_is_set_to_is_shown_as_it_is():
    done = subprocess.run([sys.executable, "tools/build_engine_samples.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "deploy/engine-*.toml differ from what a node writes; run: make docs"
    for name in SAMPLES:
        engine = tomllib.loads((DEPLOY / f"engine-{name}.toml").read_text("utf-8"))
        assert engine["rpc"]["laddr"].startswith("tcp://127.0.0.1:")
        assert not engine["p2p"]["pex"] and engine["p2p"]["max_num_inbound_peers"] == 0


def read_unit(name: str) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((DEPLOY / name).read_text("utf-8"))
    return unit


@pytest.mark.parametrize("name", ["careledger.service", "careledger-backup.service"])
def test_a_unit_runs_as_nobody_and_keeps_to_its_home(name):
    service = dict(read_unit(name)["Service"])
    assert {key: service.get(key) for key in HARDENED} == HARDENED
    assert service["User"] == "careledger"
    assert service["ExecStart"].split()[0] == "/opt/careledger/bin/careledger"
    assert "passphrase" not in service["ExecStart"]


def test_the_node_may_write_where_its_backup_goes():
    """The command asks the served node, which writes the file itself."""
    node, backup = (
        dict(read_unit(f"{name}.service")["Service"]) for name in ("careledger", "careledger-backup")
    )
    words = backup["ExecStart"].split()
    target = words[words.index("backup") + 1]
    writable = [f"/var/lib/{node['StateDirectory']}"]
    writable += [path.lstrip("-") for path in node["ReadWritePaths"].split()]
    assert any(Path(target).is_relative_to(folder) for folder in writable)


def test_the_container_is_built_of_hashed_wheels_and_runs_as_nobody():
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    installs = re.findall(r"pip install ([^&\n]*)", text)
    assert len(installs) == 3
    for words in installs:
        offline = "--no-index" in words and "--no-deps" in words
        assert offline or ("--require-hashes" in words and "--only-binary :all:" in words), words
    for words in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in words.split()), words
    assert re.search(r"^USER 10001:10001$", text.rpartition("FROM ")[2], re.MULTILINE)
    assert ":latest" not in text


@pytest.mark.parametrize("page", sorted(OPERATING.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_names_settings_and_figures_that_there_are(page):
    text = page.read_text("utf-8")
    sections = {name.partition(".")[0] for name in NAMES}
    for section, key in re.findall(r"`([a-z]+)\.([a-z0-9_]+)", text):
        if section in sections and key not in ("toml", "json", "service", "timer"):
            assert f"{section}.{key}" in NAMES, (section, key)
    figures = set(re.findall(r"\bcareledger_[a-z_]+", text)) - {"careledger_engine_restarts_total"}
    assert figures <= {figure.name for figure in FIGURES}


def test_every_figure_has_its_row():
    text = (OPERATING / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(careledger_[a-z_]+)` \| (\w+)[^|]*\| ([^|]*) \|", text, re.MULTILINE)
    assert [tuple(row) for row in rows] == [(one.name, one.kind, one.meaning) for one in FIGURES]


@pytest.mark.parametrize("page", sorted(OPERATING.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_names_commands_and_options_that_there_are(page, capsys):
    """Of each `careledger NOUN … --option` in a page, against the program's own help."""
    text = page.read_text("utf-8")
    code = "\n".join(re.findall(r"```\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    for line in re.findall(r"careledger ([a-z][a-z-]+[^|#;\n]*)", code):
        words = line.split()
        nouns = list(takewhile(re.compile("[a-z][a-z-]*").fullmatch, words))
        nouns = nouns[
            : {"governance": 3 if "propose" in nouns else 2}.get(nouns[0], 2 if nouns[0] in GROUPS else 1)
        ]
        assert run([*nouns, "--help"]) == 0, nouns
        shown = capsys.readouterr().out
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", shown), (line, option)


def test_the_model_of_scale_is_computed_from_its_constants():
    assert scale.DOCUMENT.read_text("utf-8").count(scale.compute_tables()) == 1, "run: make docs"
    assert scale.compute_block_bytes(4) == pytest.approx(13_925, abs=1)
    assert scale.compute_gossip_bytes(4, 13_925) == pytest.approx(58_000, rel=0.02)
    assert scale.compute_store_day(13_925, DAY) == pytest.approx(38_265, rel=0.01)


def test_a_grant_weighs_what_the_model_says():
    key, sponsor = SecretKey(ML_DSA_65, bytes(32)), SecretKey(ED25519, bytes(32))
    message = grant_message(bytes(32), ml_dsa_65_public_key(key.seed), 20_000, bytes(32))
    built = build_transaction(bytes(32), 1, Did(bytes(32)), 1, 0, [message], [sponsor, key])
    assert len(built) == {one.name: one.value for one in scale.CONSTANTS}["GRANT_BYTES"]
