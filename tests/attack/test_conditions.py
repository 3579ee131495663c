"""What a conditional write tells its caller is in the access log before the caller learns it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from careledger.fhir.messages import FhirResponse
from tests.faults.rig import Node, new_home
from tests.fhir.client import Client, observation, patient, practitioner


class Clinic:
    """A real node with two patients, an Observation each, and callers."""

    def __init__(self, node: Node) -> None:
        self.node, self.client = node, node.client
        self.client.made(practitioner("1"))
        self.ada, self.bob = (self.client.made(patient(name))["id"] for name in ("Ada", "Bob"))
        self.hers, self.his = (
            self.client.made(observation(patient))["id"] for patient in (self.ada, self.bob)
        )
        self.adas = self.client.as_("patient/*.cruds", patient=self.ada)

    def entries(self, patient: str = "house") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.node.command("access_log", patient=patient)["entries"]
        return [one for one in found if one["rule"] != "log-read"]  # not what asking here leaves

    def logged(self, act: Callable[[], FhirResponse], patient: str = "house") -> tuple[int, list[str]]:
        """Status of the answer, and the kinds of the entries that it left in the patient's log."""
        before = len(self.entries(patient))
        status = act().status
        return status, [entry["kind"] for entry in self.entries(patient)[before:]]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    node = Node(new_home(tmp_path_factory.mktemp("conditions") / "home"))
    yield Clinic(node)
    node.close()


def _bundle(kind: str, method: str, url: str, resource: object, **request: str) -> dict[str, object]:
    entry = {"resource": resource, "request": {"method": method, "url": url, **request}}
    return {"resourceType": "Bundle", "type": kind, "entry": [entry]}


COUNTED: dict[str, Callable[[Client, dict[str, Any]], FhirResponse]] = {
    "create": lambda c, o: c.post("Observation", o, if_none_exist="status=final"),
    "update": lambda c, o: c.put("Observation?status=final", o),
    "delete": lambda c, o: c.send("DELETE", "Observation?status=final"),
    "reference to several": lambda c, o: c.post(
        "Observation", {**o, "hasMember": [{"reference": "Observation?status=final"}]}
    ),
    "reference to none": lambda c, o: c.post(
        "Observation", {**o, "performer": [{"reference": "Practitioner?name=nobody"}]}
    ),
    "transaction": lambda c, o: c.post(
        "", _bundle("transaction", "POST", "Observation", o, ifNoneExist="status=final")
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_a_refused_condition_tells_a_count_and_is_logged(clinic: Clinic, name: str) -> None:
    act = COUNTED[name]
    assert clinic.logged(lambda: act(clinic.client, observation(clinic.ada))) == (412, ["count"])


def test_a_condition_that_matches_nothing_is_logged_as_empty(clinic: Clinic) -> None:
    delete = clinic.logged(lambda: clinic.client.send("DELETE", "Observation?status=cancelled"))
    stale = clinic.logged(
        lambda: clinic.client.put("Observation?status=cancelled", observation(clinic.ada), if_match='W/"9"')
    )
    create = clinic.logged(
        lambda: clinic.client.post(
            "Practitioner", {"resourceType": "Practitioner"}, if_none_exist="name=nobody"
        )
    )
    assert (delete, stale, create) == ((204, ["empty"]), (412, ["empty"]), (201, ["empty"]))


def test_a_match_that_is_not_written_is_in_its_own_charts_log(clinic: Clinic) -> None:
    def probe() -> FhirResponse:
        return clinic.client.put(
            f"Observation?patient={clinic.bob}", observation(clinic.bob), if_match='W/"9"'
        )

    assert clinic.logged(probe, clinic.bob) == (412, ["search"])


def test_a_conditional_update_in_a_bundle_names_the_chart_of_its_match(clinic: Clinic) -> None:
    body = _bundle("transaction", "PUT", f"Observation?patient={clinic.bob}", observation(clinic.bob))
    assert clinic.logged(lambda: clinic.client.post("", body), clinic.bob) == (200, ["search"])


def test_a_patients_update_of_anothers_and_of_nothing_leave_the_same_entry(clinic: Clinic) -> None:
    """Each waits for the disk once, so neither answer comes sooner."""

    def update(id: str) -> tuple[int, list[str]]:
        return clinic.logged(
            lambda: clinic.adas.put(f"Observation/{id}", {**observation(clinic.ada), "id": id})
        )

    assert update(clinic.his) == update("absent") == (404, ["denied"])


@pytest.mark.parametrize("url", ["Observation", "Observation?_summary=count", "Observation?_sort=date"])
def test_a_token_of_a_patient_without_a_chart_finds_nothing(clinic: Clinic, url: str) -> None:
    ghost = clinic.client.as_("patient/*.cruds", patient="ghost")
    assert clinic.logged(lambda: ghost.get(url))[0] == 200
    assert b'"fullUrl"' in ghost.get("Practitioner").body
