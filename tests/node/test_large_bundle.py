"""The size of a large real chart in one transaction Bundle: accepted, whole, found again, exported and verified."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from careledger.ledger.export_verification import verify_export
from tests.faults.rig import new_home, node_of, observation, patient, transaction
from tests.fhir.client import Client
from tests.verifier.twins import export_verdict

RESOURCES = 20_000


@pytest.mark.slow
def test_a_transaction_of_20_000_resources_is_accepted(tmp_path: Path) -> None:
    bundle = transaction(
        [patient("large"), *(observation(f"n{number}", "large", number) for number in range(RESOURCES - 1))]
    )
    with node_of(new_home(tmp_path / "home")) as node:
        trust = node.command("checkpoint")["file"].encode()
        context = node.service.context
        client = Client(node.client.backend, app=context.fhir)  # the limits of the node's configuration
        answer = client.post("", bundle)
        assert answer.status == 200
        assert len(json.loads(answer.body)["entry"]) == RESOURCES
        found = json.loads(client.get("Observation?patient=large&_summary=count").body)
        assert found["total"] == RESOURCES - 1
        assert client.get(f"Observation/n{RESOURCES - 2}").status == 200
        node.command("chart.export", patient="large", path=str(tmp_path / "export"))
    export = (tmp_path / "export").read_bytes()
    assert export_verdict(export, trust) == "anchored"
    assert verify_export(export, trust).entries == RESOURCES + 1
