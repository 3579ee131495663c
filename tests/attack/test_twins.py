"""The stand-alone verifier refuses nothing that the package proves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.faults.rig import Node, new_home
from tests.fhir.client import Client, observation, patient
from tests.verifier.twins import verdict


def test_an_author_of_brackets_does_not_nest(tmp_path: Path) -> None:
    node = Node(new_home(tmp_path / "home"))
    odd = Client(node.client.backend, replace(node.client.who, subject='[{"\\' * 60), node.client.app)
    ada = odd.made(patient("Ada"))["id"]
    written = odd.made(observation(ada))["id"]
    receipt = node.command("receipt", reference=f"Observation/{written}")["file"].encode()
    trust = node.command("checkpoint")["file"].encode()
    node.close()
    assert verdict(receipt, trust) == "anchored"
