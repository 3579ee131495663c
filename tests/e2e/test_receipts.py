"""A receipt at once after 201; it holds elsewhere, under an earlier and a later checkpoint; altered, it does not."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from careledger.ledger.verification import verify_receipt
from careledger.primitives.errors import CareLedgerError
from tests.e2e.conftest import Loaded
from tests.e2e.node import ROOT, Node

VERIFIER = ROOT / "verifier" / "verify.py"
SIZE_LIMIT = 2_000
"""Bytes of a receipt without its signed part, at this size of a ledger."""


def run_verifier(receipt: Path, checkpoint: Path) -> int:
    """The stand-alone verifier as its user runs it: alone, isolated, elsewhere."""
    command = [sys.executable, "-I", str(VERIFIER), str(receipt), "--trust", str(checkpoint)]
    return subprocess.run(command, cwd=receipt.parent, capture_output=True, check=False).returncode


def load_verifier() -> object:
    spec = importlib.util.spec_from_file_location("e2e_verifier", VERIFIER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def receipts(loaded: Loaded) -> dict[str, str]:
    """Receipts of a version at its creation, after it was superseded and deleted, of its deletion, and others."""
    c, node, patient = loaded.caller, loaded.node, "receipt-" + uuid.uuid4().hex[:8]
    found = {"earlier": node.command("checkpoint")["file"]}
    made = c.post(
        "Observation",
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": f"Patient/{patient}"},
        },
    )
    name = f"Observation/{made.json['id']}"
    found["new"] = node.command("receipt", reference=name)["file"]
    c.put(name, {**made.json, "status": "amended"})
    found["superseded"] = node.command("receipt", reference=f"{name}/_history/1")["file"]
    c.delete(name)
    found["old"] = node.command("receipt", reference=f"{name}/_history/2")["file"]
    found["deletion"] = node.command("receipt", reference=name)["file"]
    organization = c.post("Organization", {"resourceType": "Organization", "name": "x"}).json["id"]
    found["of-the-house"] = node.command("receipt", reference=f"Organization/{organization}")["file"]
    who = [
        {"actor": {"reference": f"Patient/{id}"}, "status": "accepted"} for id in (patient, patient + "-2")
    ]
    shared = c.post(
        "Appointment", {"resourceType": "Appointment", "status": "booked", "participant": who}
    ).json["id"]
    found["of-two-charts"] = node.command("receipt", reference=f"Appointment/{shared}")["file"]
    found["Patient"] = node.command("receipt", reference=f"Patient/{loaded.largest}")["file"]
    found["later"] = node.command("checkpoint")["file"]
    return found


def test_receipts_hold_elsewhere(loaded: Loaded, receipts: dict[str, str], tmp_path: Path) -> None:
    trusted = {}
    for name in ("earlier", "later"):
        trusted[name] = tmp_path / f"{name}.json"
        trusted[name].write_text(receipts.pop(name))
    other = Node(tmp_path / "other", 1).init().command("checkpoint")["file"]
    (tmp_path / "foreign.json").write_text(other)
    for name, text in receipts.items():
        path = tmp_path / f"{name}.receipt"
        path.write_text(text)
        for checkpoint in trusted.values():
            verify_receipt(text.encode(), checkpoint.read_bytes())
        with pytest.raises(CareLedgerError):
            verify_receipt(text.encode(), other.encode())
    assert run_verifier(tmp_path / "new.receipt", trusted["earlier"]) == 0
    assert run_verifier(tmp_path / "deletion.receipt", trusted["later"]) == 0
    assert run_verifier(tmp_path / "of-two-charts.receipt", tmp_path / "foreign.json") != 0
    (tmp_path / "altered.receipt").write_text(receipts["new"].replace('"version":1', '"version":2'))
    assert run_verifier(tmp_path / "altered.receipt", trusted["later"]) != 0


def test_any_altered_byte_is_refused_by_both_verifiers(receipts: dict[str, str]) -> None:
    """Every 41st byte, and the ends: the two verifiers share no code and agree (campaign `verifier` does them all)."""
    verifier = load_verifier()
    text, trusted = receipts["superseded"].encode(), receipts["later"].encode()
    verifier.verify(text, trusted)  # type: ignore[attr-defined]
    for place in [*range(0, len(text), 41), len(text) - 1]:
        altered = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        with pytest.raises(CareLedgerError):
            verify_receipt(altered, trusted)
        with pytest.raises(Exception):  # noqa: B017 (whatever it raises, its exit code is not 0)
            verifier.verify(altered, trusted)  # type: ignore[attr-defined]


def test_size_and_speed(receipts: dict[str, str]) -> None:
    text, trusted = receipts["Patient"], receipts["later"].encode()
    proof = json.loads(text)
    signed = max(len(json.dumps(value, separators=(",", ":"))) for value in proof.values())
    assert len(text) - signed < SIZE_LIMIT
    times = []
    for _ in range(5):
        start = time.thread_time()
        verify_receipt(text.encode(), trusted)
        times.append(time.thread_time() - start)
    assert min(times) < 0.05, "10 ms on a quiet machine"


@pytest.mark.parametrize(
    "reference", ["Observation/none", "Frob/x", "x", "Patient/none/_history/1", "Patient/none/_history/x"]
)
def test_no_receipt_of_what_is_not_there(loaded: Loaded, reference: str) -> None:
    with pytest.raises(CareLedgerError) as refused:
        loaded.node.command("receipt", reference=reference)
    assert refused.value.hint
