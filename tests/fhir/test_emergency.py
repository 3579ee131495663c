"""Emergency access: entered before any data, for whom it is meant, as long as its box, and never beyond the chart."""

from __future__ import annotations

from typing import Any

import pytest

from careledger.fhir.validation import validate
from careledger.vault.model import EMERGENCY_TYPE, HOUSE_CHART
from tests.fhir.client import Client, entries, observation, of, patient, practitioner
from tests.fhir.deciding import FOREIGN, Decider, caller, organisation
from tests.fhir.fakes import FakeBackend

REASON = "unconscious after a fall, no relatives"
HOURS = 3_600_000


def reason(text: object = REASON, name: str = "reason") -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": name, "valueString": text}]}


class Clocked(FakeBackend):
    """A node whose clock the test moves."""

    ahead = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead


class Night:
    """Ada denies everything to the house; a practitioner on duty acts in an emergency."""

    def __init__(self) -> None:
        self.backend = Clocked()
        self.client = Client(self.backend)
        self.store = self.backend.store
        self.doctor = self.client.made(practitioner("1"))["id"]
        self.ada, self.ben = (self.client.made(patient(name))["id"] for name in ("Ada", "Ben"))
        performer = [{"reference": f"Practitioner/{self.doctor}"}]
        self.hers, self.his = (
            self.client.made(observation(who, performer=performer))["id"] for who in (self.ada, self.ben)
        )
        Decider(self.backend, self.ada).grant(organisation("did:careledger:house"), effect="deny")
        self.duty = caller(self.client, practitioner=self.doctor, purpose="ETREAT")
        self.store.accesses.clear()

    def open(self, who: Client | None = None, sent: object = None) -> Any:
        url = f"Patient/{self.ada}/$emergency-access"
        return (who or self.duty).post(url, reason() if sent is None else sent)


@pytest.fixture
def night() -> Night:
    return Night()


def test_an_emergency_opens_one_chart_and_says_so(night: Night) -> None:
    for who in (night.client, night.duty):
        assert who.get(f"Observation/{night.hers}").status == 404
    night.store.accesses.clear()
    answer = night.open()
    assert answer.status == 200
    chart = night.store.charts[night.ada]
    (entry,) = night.store.accesses
    assert (entry.chart, entry.kind, entry.rule, entry.what) == (chart, "emergency", "emergency", REASON)
    assert (entry.actor, entry.purpose, entry.permitted) == (night.doctor, "ETREAT", True)
    night.store.accesses.clear()
    assert night.duty.get(f"Observation/{night.hers}").status == 200
    assert {e["resource"]["id"] for e in entries(night.duty.get("Observation"))} == {night.hers}
    found = {
        e["resource"]["resourceType"] for e in entries(night.duty.get(f"Patient/{night.ada}/$everything"))
    }
    assert found == {"Patient", "Observation", "Task", "Practitioner"}
    assert {(e.rule, e.purpose) for e in night.store.accesses if e.chart == chart} == {
        ("emergency", "ETREAT")
    }
    assert night.duty.get(f"Observation/{night.his}").status == 404
    assert night.client.get(f"Observation/{night.hers}").status == 404
    noted = night.duty.post("Observation", observation(night.ada))
    assert noted.status == 201
    assert night.duty.post("Observation", observation(night.ben)).status == 403


def test_the_review_has_its_clock(night: Night) -> None:
    task = of(night.open())["parameter"][1]["valueReference"]["reference"]
    shown = of(night.duty.get(task))
    assert not [issue for issue in validate(shown) if issue.severity in ("error", "fatal")]
    assert shown["status"] == "requested"
    assert shown["for"] == {"reference": f"Patient/{night.ada}"}
    assert shown["reasonCode"] == {"text": REASON}
    due, begun = shown["restriction"]["period"]["end"], shown["authoredOn"]
    assert due[:10] > begun[:10]


def test_the_box_ends_by_itself_and_can_be_opened_again(night: Night) -> None:
    night.open()
    night.backend.ahead = 4 * HOURS - 60_000
    assert night.duty.get(f"Observation/{night.hers}").status == 200
    night.backend.ahead = 4 * HOURS
    assert night.duty.get(f"Observation/{night.hers}").status == 404
    assert night.open().status == 200
    assert night.duty.get(f"Observation/{night.hers}").status == 200
    assert len([e for e in night.store.accesses if e.kind == "emergency"]) == 2


NOT_FOR: dict[str, dict[str, Any]] = {
    "a payer": {"practitioner": "p", "purpose": "HPAYMT"},
    "a researcher": {"practitioner": "p", "purpose": "HRESCH"},
    "a clinician who treats": {"practitioner": "p", "purpose": "TREAT"},
    "a program": {"purpose": "ETREAT"},
    "another organisation": {"practitioner": "p", "purpose": "ETREAT", "organisation": FOREIGN},
    "a patient": {"practitioner": "p", "purpose": "ETREAT", "patient": "ada", "scope": "patient/*.cruds"},
    "who may not read": {"practitioner": "p", "purpose": "ETREAT", "scope": "system/Observation.cruds"},
}


@pytest.mark.parametrize("who", NOT_FOR)
def test_those_who_may_not_override_are_refused_for_any_patient(night: Night, who: str) -> None:
    them = caller(night.client, **NOT_FOR[who])
    before = night.store.fingerprint
    answers = [them.post(f"Patient/{id}/$emergency-access", reason()) for id in (night.ada, "nobody")]
    assert [(answer.status, answer.body) for answer in answers] == [(403, answers[0].body)] * 2
    assert night.store.fingerprint == before
    assert {(e.chart, e.kind, e.permitted) for e in night.store.accesses} == {(HOUSE_CHART, "denied", False)}


def test_an_open_box_is_nobody_elses(night: Night) -> None:
    night.open()
    for more in (
        {"practitioner": "another", "purpose": "ETREAT"},
        {"practitioner": night.doctor, "purpose": "TREAT"},
        {"practitioner": night.doctor, "purpose": "HRESCH"},
        {"practitioner": night.doctor, "purpose": "ETREAT", "organisation": FOREIGN},
        {"purpose": "ETREAT"},
    ):
        them = caller(night.client, **more)
        assert them.get(f"Observation/{night.hers}").status == 404, more
        assert entries(them.get("Observation?patient=" + night.ada)) == [], more


@pytest.mark.parametrize(
    "sent",
    [
        {"resourceType": "Parameters"},
        reason("too short"),
        reason("x" * 1001),
        reason("   a      b   "),
        reason(12345678901),
        reason(name="because"),
        {"resourceType": "Parameters", "parameter": reason()["parameter"] * 2},
        {"resourceType": "Patient"},
    ],
)
def test_without_a_reason_nothing_opens(night: Night, sent: dict[str, Any]) -> None:
    assert night.open(sent=sent).status == 400
    assert night.duty.get(f"Observation/{night.hers}").status == 404


def test_a_patient_who_is_not_there_has_no_emergency(night: Night) -> None:
    assert night.duty.post("Patient/nobody/$emergency-access", reason()).status == 404
    assert [(e.chart, e.kind) for e in night.store.accesses] == [(HOUSE_CHART, "empty")]


def test_with_the_log_unwritable_nothing_opens(night: Night) -> None:
    night.backend.log_broken = True
    assert night.open().status == 503
    night.backend.log_broken = False
    assert night.duty.get(f"Observation/{night.hers}").status == 404


def test_nobody_writes_an_emergency_over_fhir(night: Night) -> None:
    """The leaf is of no type of FHIR; a Task that looks alike opens nothing."""
    leaf = {"resourceType": EMERGENCY_TYPE, "id": "x"}
    assert night.client.put(f"{EMERGENCY_TYPE}/x", leaf).status == 404
    assert night.client.get(f"{EMERGENCY_TYPE}").status == 404
    night.open()
    listed = entries(night.duty.get(f"Patient/{night.ada}/$everything"))
    assert EMERGENCY_TYPE not in str(listed)
    task = next(e["resource"] for e in listed if e["resource"]["resourceType"] == "Task")
    night.backend.ahead = 5 * HOURS
    assert night.client.post("Task", {**task, "restriction": {"period": {"end": "2999-01-01"}}}).status == 201
    assert night.duty.get(f"Observation/{night.hers}").status == 404
