"""The stored chain comes to its app hashes whatever surrounds the process: hash seed, time zone, language, -O, folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "vectors"
PROGRAM = """
import sys
from pathlib import Path
from careledger.contracts import CONTRACTS
from careledger.ledger.consensus.embedded import EmbeddedLedger
from careledger.ledger.store.memory import MemoryKV
from tests.ledger.play import SIGNER, make_genesis

data = Path(sys.argv[1]).read_bytes()
at = len(make_genesis().to_bytes())
kv = MemoryKV()
ledger = EmbeddedLedger.create(kv, make_genesis(), CONTRACTS, SIGNER)
while at < len(data):
    size = int.from_bytes(data[at : at + 4], "big")
    ledger.replay(kv, data[at + 4 : at + 4 + size])
    at += 4 + size
    print(ledger.app_hash.hex())
"""
SURROUNDINGS = {
    "hash seed 0": {"PYTHONHASHSEED": "0"},
    "hash seed 4711": {"PYTHONHASHSEED": "4711"},
    "Turkish, far east": {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"},
    "plain C, far west": {"LANG": "C", "LC_ALL": "C", "TZ": "Pacific/Marquesas", "PYTHONUTF8": "0"},
    "without asserts": {"PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "7"},
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_the_stored_chain_replays_alike_everywhere(surroundings, tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **surroundings}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(VECTORS / "chain.bin")],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    expected = json.loads((VECTORS / "chain.json").read_text())["app_hashes"]
    assert ran.stdout.split() == expected
