"""The size of a large real chart in one transaction Bundle: accepted, whole, and found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.rig import new_home, node_of, observation, patient, transaction
from tests.fhir.client import Client

RESOURCES = 20_000


@pytest.mark.slow
def test_a_transaction_of_20_000_resources_is_accepted(tmp_path: Path) -> None:
    bundle = transaction(
        [patient("large"), *(observation(f"n{number}", "large", number) for number in range(RESOURCES - 1))]
    )
    with node_of(new_home(tmp_path / "home")) as node:
        context = node.service.context
        client = Client(node.client.backend, app=context.fhir)  # the limits of the node's configuration
        answer = client.post("", bundle)
        assert answer.status == 200
        assert len(json.loads(answer.body)["entry"]) == RESOURCES
        found = json.loads(client.get("Observation?patient=large&_summary=count").body)
        assert found["total"] == RESOURCES - 1
        assert client.get(f"Observation/n{RESOURCES - 2}").status == 200
