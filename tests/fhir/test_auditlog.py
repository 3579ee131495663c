"""The access log over FHIR: a view in the shape of IHE BALP, for the custodian and the patient, itself logged."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from careledger.access.directives import Grantee
from careledger.fhir.validation import validate
from tests.fhir.client import Client, entries, observation, of, patient, practitioner
from tests.fhir.deciding import FOREIGN, Decider, caller, organisation
from tests.fhir.fakes import FakeBackend
from tests.fhir.test_emergency import reason


class Desk:
    """Ada's chart, looked at in several ways."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.client = Client(self.backend)
        self.store = self.backend.store
        self.doctor = self.client.made(practitioner("1"))["id"]
        self.ada, self.ben = (self.client.made(patient(name))["id"] for name in ("Ada", "Ben"))
        self.hers = self.client.made(observation(self.ada))["id"]
        self.herself = caller(self.client, "patient/*.rs", patient=self.ada)
        quill = caller(self.client, practitioner=self.doctor)
        duty = caller(self.client, practitioner=self.doctor, purpose="ETREAT")
        quill.get(f"Observation/{self.hers}")
        quill.get(f"Observation/{self.hers}/_history/1")
        quill.get(f"Observation/{self.hers}/_history")
        quill.get(f"Observation?patient={self.ada},{self.ben}&code=8867-4")
        quill.get(f"Patient/{self.ada}/$everything")
        duty.post(f"Patient/{self.ada}/$emergency-access", reason())
        self.chart = self.store.charts[self.ada]

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.store.accesses if entry.chart == self.chart]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def listed(answer: Any) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    return [entry["resource"] for entry in entries(answer)]


def code(event: dict[str, Any]) -> str:
    found: str = event["subtype"][0]["code"]
    return found


def test_every_look_is_an_event_newest_first_and_so_is_this_one(desk: Desk) -> None:
    events = listed(desk.client.get(f"AuditEvent?patient={desk.ada}"))
    assert [code(event) for event in events] == [
        "search-type",
        "110127",
        "operation",
        "search-type",
        "history-instance",
        "vread",
        "read",
    ]
    assert desk.kinds()[-1] == "audit"
    again = listed(desk.client.get(f"AuditEvent?patient=Patient/{desk.ada}&_sort=-date"))
    assert again[1:] == events
    for event in events:
        assert not [issue for issue in validate(event) if issue.severity in ("error", "fatal")], event
        assert event["outcome"] == "0"
        who = {str(agent["type"]["coding"][0]["code"]): agent["who"] for agent in event["agent"]}
        assert set(who) == {"110152", "110153", "IRCP", "PROV"}
        assert who["PROV"]["identifier"]["value"] == "did:careledger:house"
        assert {"reference": f"Patient/{desk.ada}"} in [entity.get("what") for entity in event["entity"]]
    read = events[-1]
    assert read["action"] == "R"
    assert read["meta"]["profile"][0].endswith("IHE.BasicAudit.PatientRead")
    assert {"reference": f"Observation/{desk.hers}"} in [entity.get("what") for entity in read["entity"]]
    assert {"reference": f"Practitioner/{desk.doctor}"} in [agent["who"] for agent in read["agent"]]
    assert read["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    search = events[3]
    query = next(entity["query"] for entity in search["entity"] if "query" in entity)
    assert base64.b64decode(query).decode() == f"Observation?patient={desk.ada},{desk.ben}&code=8867-4"
    alert = events[1]
    assert alert["type"]["code"] == "110113"
    assert reason()["parameter"][0]["valueString"] in str(alert["entity"])


def test_pages_and_totals_hold_while_others_look(desk: Desk) -> None:
    url = f"AuditEvent?patient={desk.ada}&_count=3"
    seen: list[str] = []
    totals = []
    while url:
        answer = desk.client.get(url)
        seen += [event["id"] for event in listed(answer)]
        totals.append(of(answer)["total"])
        url = next((link["url"] for link in of(answer)["link"] if link["relation"] == "next"), "")
    assert len(seen) == len(set(seen)) == 7
    assert set(totals) == {7}
    for id in seen:
        event = of(desk.client.get(f"AuditEvent/{id}"))
        assert event["id"] == id
        assert desk.client.get(f"AuditEvent/{id}/_history/1").status == 200
    assert "total" not in of(desk.client.get(f"AuditEvent?patient={desk.ada}&_total=none"))
    counted = desk.client.get(f"AuditEvent?patient={desk.ada}&_count=0")
    assert entries(counted) == []
    assert of(counted)["total"] == len(desk.kinds())


def test_dates_narrow_the_log(desk: Desk) -> None:
    events = listed(desk.client.get(f"AuditEvent?patient={desk.ada}"))
    middle = events[3]["recorded"]
    older = listed(desk.client.get(f"AuditEvent?patient={desk.ada}&date=lt{middle}"))
    assert [event["id"] for event in older] == [event["id"] for event in events[4:]]
    answer = desk.client.get(f"AuditEvent?patient={desk.ada}&date=lt{middle}&_count=1")
    assert of(answer)["total"] == 3
    assert listed(desk.client.get(f"AuditEvent?patient={desk.ada}&date=2001")) == []


def test_what_clients_wrote_stays_an_ordinary_resource(desk: Desk) -> None:
    own = {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "recorded": "2026-01-02T03:04:05Z",
        "agent": [{"requestor": True, "who": {"reference": f"Patient/{desk.ada}"}}],
        "source": {"observer": {"display": "an application"}},
    }
    made = [desk.client.made(own)["id"] for _ in range(3)]
    assert desk.client.get(f"AuditEvent/{made[0]}").status == 200
    url, seen, totals = f"AuditEvent?patient={desk.ada}&_count=2", [], set()
    while url:
        answer = desk.client.get(url)
        seen += [event["id"] for event in listed(answer)]
        totals.add(of(answer)["total"])
        url = next((link["url"] for link in of(answer)["link"] if link["relation"] == "next"), "")
    assert seen[-3:] == made
    assert len(seen) == 8 + 3  # the read of one of them is a look as well
    assert totals == {11}
    plain = listed(desk.client.get(f"AuditEvent?patient={desk.ada}&_lastUpdated=gt1990"))
    assert [event["id"] for event in plain] == made
    for id in ("access-" + "0" * 32, seen[0]):
        assert desk.client.put(f"AuditEvent/{id}", {**own, "id": id}).status == 405


def test_the_patient_sees_her_log_and_nobody_elses_names(desk: Desk) -> None:
    events = listed(desk.herself.get(f"AuditEvent?patient={desk.ada}"))
    assert len(events) == 7
    assert desk.ben not in str(events)
    assert desk.ben in str(listed(desk.client.get(f"AuditEvent?patient={desk.ada}")))
    assert listed(desk.herself.get(f"AuditEvent?patient={desk.ben}")) == []
    assert of(desk.herself.get(f"AuditEvent?patient={desk.ben}"))["total"] == 0
    his = caller(desk.client, "patient/*.rs", patient=desk.ben)
    for id in (events[0]["id"], "access-" + "0" * 32):
        assert his.get(f"AuditEvent/{id}").status == 404


def test_no_directive_opens_the_log_to_others_and_a_denial_closes_it(desk: Desk) -> None:
    device = Decider(desk.backend, desk.ada)
    device.grant(organisation())
    them = caller(desk.client, organisation=FOREIGN)
    assert them.get(f"Observation/{desk.hers}").status == 200
    id = listed(desk.client.get(f"AuditEvent?patient={desk.ada}"))[0]["id"]
    assert listed(them.get(f"AuditEvent?patient={desk.ada}")) == []
    assert them.get(f"AuditEvent/{id}").status == 404
    device.grant(Grantee(kind="practitioner", value=desk.doctor), effect="deny")
    quill = caller(desk.client, practitioner=desk.doctor)
    assert listed(quill.get(f"AuditEvent?patient={desk.ada}")) == []
    assert quill.get(f"AuditEvent/{id}").status == 404
    assert caller(desk.client, "system/Observation.rs").get(f"AuditEvent?patient={desk.ada}").status == 403


def test_with_the_log_unwritable_it_is_not_shown(desk: Desk) -> None:
    id = listed(desk.client.get(f"AuditEvent?patient={desk.ada}"))[0]["id"]
    desk.backend.log_broken = True
    assert desk.client.get(f"AuditEvent?patient={desk.ada}").status == 503
    assert desk.client.get(f"AuditEvent/{id}").status == 503


def test_an_event_names_the_directive_that_opened(desk: Desk) -> None:
    id = Decider(desk.backend, desk.ada).grant(organisation())
    caller(desk.client, organisation=FOREIGN).get(f"Observation/{desk.hers}")
    events = listed(desk.client.get(f"AuditEvent?patient={desk.ada}"))
    policy = [uri for agent in events[1]["agent"] for uri in agent.get("policy", ())]
    assert policy == ["urn:careledger:rule:directive-permit", f"urn:careledger:directive:{id}"]
