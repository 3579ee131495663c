"""A small request makes no answer of any size."""

from __future__ import annotations

from pathlib import Path

from careledger.fhir.context import Limits
from careledger.fhir.http import FhirApp
from tests.faults.rig import Node, new_home
from tests.fhir.client import Client, entries, observation, patient


def test_the_reads_of_a_bundle_have_a_bound_together(tmp_path: Path) -> None:
    node = Node(new_home(tmp_path / "home"))
    backend = node.client.backend
    client = Client(backend, app=FhirApp(backend, limits=Limits(bundle_answer_bytes=5_000)))
    ada = client.made(patient("Ada"))["id"]
    client.made(observation(ada))
    url = f"Patient/{ada}/$everything"
    reads = [{"request": {"method": "GET", "url": url}} for _ in range(50)]
    for kind in ("batch", "transaction"):
        before = len(node.command("access_log", patient=ada)["entries"])
        answer = client.post("", {"resourceType": "Bundle", "type": kind, "entry": reads})
        served = [entry["response"]["status"][:3] for entry in entries(answer)]
        after = len(node.command("access_log", patient=ada)["entries"])
        assert served == sorted(served)
        assert set(served) == {"200", "413"}
        assert served.count("200") == after - before < 10
    node.close()
