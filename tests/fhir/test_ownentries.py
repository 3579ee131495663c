"""What a patient writes herself is marked; she changes nothing else; nobody else puts the mark where it was not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from careledger.access.actor import Actor
from careledger.access.scopes import parse_scopes
from careledger.fhir.messages import FhirResponse
from careledger.vault.model import HOUSE_CHART
from tests.fhir.client import Client, entries, observation, of, patient

MARK = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "PATAST",
    "display": "patient asserted",
}
OTHER = {"system": "urn:app", "code": "PATAST"}
SAID = {"meta": {"tag": [MARK]}}


class Ward:
    """Ada with a doctor's entry and one of her own, and all who write into her chart."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.store = client.backend.store
        self.ada = client.made(patient("Ada"))["id"]
        at = Actor("", "app", client.backend.organisation, parse_scopes("patient/*.cruds"), patient=self.ada)
        ada = f"Patient/{self.ada}"
        self.herself = self.caller(replace(at, subject=ada, account="a-1"))
        self.doctor_in_context = self.caller(replace(at, subject="did:x:d", account="a-2", practitioner="d"))
        self.program_in_context = self.caller(at)
        self.doctor = self.caller(
            replace(at, patient="", account="a-2", practitioner="d", scopes=parse_scopes("user/*.cruds"))
        )
        self.doctors = self.doctor.made(observation(self.ada))["id"]
        self.own = self.herself.made(observation(self.ada))["id"]
        self.store.accesses.clear()

    def caller(self, who: Actor) -> Client:
        return Client(self.client.backend, who, self.client.app)

    def tags(self, id: str) -> Any:
        return of(self.client.get(f"Observation/{id}"))["meta"].get("tag")

    def changed(self, id: str, **more: Any) -> dict[str, Any]:
        return {**observation(self.ada), "status": "amended", "id": id, **more}


@pytest.fixture
def ward(client: Client) -> Ward:
    return Ward(client)


def _bundle(kind: str, method: str, url: str, resource: dict[str, Any] | None = None, **more: str) -> Any:
    entry: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if resource is not None:
        entry["resource"] = resource
    return {"resourceType": "Bundle", "type": kind, "entry": [entry]}


Act = Callable[[Ward, str], FhirResponse]

CHANGES: dict[str, Act] = {
    "update": lambda w, one: w.herself.put(f"Observation/{one}", w.changed(one)),
    "a mark sent along": lambda w, one: w.herself.put(f"Observation/{one}", w.changed(one, **SAID)),
    "conditional update": lambda w, one: w.herself.put(f"Observation?_id={one}", w.changed(one)),
    "delete": lambda w, one: w.herself.send("DELETE", f"Observation/{one}"),
    "conditional delete": lambda w, one: w.herself.send("DELETE", f"Observation?_id={one}"),
}
for _kind in ("batch", "transaction"):
    for _name, _method, _url in (
        ("update", "PUT", "Observation/{}"),
        ("conditional update", "PUT", "Observation?_id={}"),
        ("delete", "DELETE", "Observation/{}"),
        ("conditional delete", "DELETE", "Observation?_id={}"),
    ):

        def _act(w: Ward, id: str, kind: str = _kind, method: str = _method, url: str = _url) -> FhirResponse:
            body = w.changed(id) if method == "PUT" else None
            return w.herself.post("", _bundle(kind, method, url.format(id), body))

        CHANGES[f"{_name} in a {_kind}"] = _act


def _outcome(answer: FhirResponse) -> tuple[int, Any]:
    """Status and OperationOutcome, of the entry if it is a batch's."""
    found = of(answer)
    if found["resourceType"] == "Bundle":
        response = found["entry"][0]["response"]
        return int(response["status"][:3]), response.get("outcome")
    return answer.status, found


@pytest.mark.parametrize("name", CHANGES)
def test_she_changes_nothing_that_others_wrote(ward: Ward, name: str) -> None:
    before = ward.store.fingerprint
    status, outcome = _outcome(CHANGES[name](ward, ward.doctors))
    assert status == 403
    [issue] = outcome["issue"]
    assert issue["details"]["coding"][0]["code"] == "not-your-entry"
    assert "hint: say what is wrong beside it: a Communication about it" in issue["diagnostics"]
    assert ward.store.fingerprint == before
    refused = [one for one in ward.store.accesses if not one.permitted]
    assert [(e.chart, e.kind, e.rule) for e in refused] == [(HOUSE_CHART, "denied", "not-your-entry")]
    assert (refused[0].actor, ward.tags(ward.doctors)) == (f"Patient/{ward.ada}", None)


@pytest.mark.parametrize("name", CHANGES)
def test_she_changes_what_is_hers_and_it_stays_marked(ward: Ward, name: str) -> None:
    answer = CHANGES[name](ward, ward.own)
    assert answer.status in (200, 204), answer.body
    if "delete" in name:
        assert ward.client.get(f"Observation/{ward.own}").status == 410
        assert ward.herself.put(f"Observation/{ward.own}", ward.changed(ward.own)).status == 201, (
            "it was hers"
        )
    assert ward.tags(ward.own) == [MARK]
    assert of(ward.client.get(f"Observation/{ward.own}"))["status"] == "amended"
    assert [one for one in ward.store.accesses if not one.permitted] == []


def test_what_was_deleted_is_whose_it_was(ward: Ward) -> None:
    assert ward.doctor.send("DELETE", f"Observation/{ward.doctors}").status == 204
    assert ward.herself.put(f"Observation/{ward.doctors}", ward.changed(ward.doctors)).status == 403
    assert ward.client.get(f"Observation/{ward.doctors}").status == 410


def test_her_own_patient_resource_is_the_houses(ward: Ward) -> None:
    assert ward.herself.put(f"Patient/{ward.ada}", {**patient("Ada B"), "id": ward.ada}).status == 403


def _created(ward: Ward, how: str, resource: dict[str, Any]) -> dict[str, Any]:
    her, sent = ward.herself, {"Prefer": "return=representation"}
    if how == "create":
        return of(her.post("Observation", resource))
    if how == "conditional create":
        return of(her.post("Observation", resource, if_none_exist="code=none-such"))
    if how == "conditional update":
        return of(her.put("Observation?code=none-such", resource))
    bundle = _bundle(how, "POST", "Observation", resource)
    made = her.post("", bundle, **{name.lower(): value for name, value in sent.items()})
    return dict(entries(made)[0]["resource"])


CREATES = ("create", "conditional create", "conditional update", "batch", "transaction")


@pytest.mark.parametrize("how", CREATES)
def test_what_she_creates_is_marked_once_and_is_otherwise_as_sent(ward: Ward, how: str) -> None:
    sent = {**observation(ward.ada), "valueQuantity": {"value": 1.50, "unit": "mmol/L"}}
    security = [{"system": "urn:s", "code": "R"}]
    for meta, tags in (
        (None, [MARK]),
        ({"tag": [OTHER], "security": security}, [OTHER, MARK]),
        ({"tag": [{"system": MARK["system"], "code": "PATAST"}, OTHER]}, None),
    ):
        made = _created(ward, how, sent if meta is None else {**sent, "meta": meta})
        expected: Any = {} if meta is None else dict(meta)
        if tags is not None:
            expected["tag"] = tags
        kept = {n: v for n, v in made["meta"].items() if n not in ("versionId", "lastUpdated")}
        assert kept == expected
        assert {n: v for n, v in made.items() if n not in ("id", "meta")} == sent
        marked = entries(ward.client.get(f"Observation?_tag={MARK['system']}|PATAST&_id={made['id']}"))
        assert len(marked) == 1


def test_numbers_and_order_are_as_she_sent_them(ward: Ward) -> None:
    text = json.dumps({**observation(ward.ada), "valueQuantity": {"value": 0}}).replace(
        '"value": 0', '"value": 1.500'
    )
    id = of(ward.herself.post("Observation", text.encode()))["id"]
    assert b'"valueQuantity":{"value":1.500}}' in ward.client.get(f"Observation/{id}").body


OTHERS = ("doctor", "doctor_in_context", "program_in_context")


@pytest.mark.parametrize("who", OTHERS)
def test_others_are_not_marked_and_change_what_they_may(ward: Ward, who: str) -> None:
    """A token in her context is not herself: neither bound to what is hers nor marked."""
    them: Client = getattr(ward, who)
    made = them.made(observation(ward.ada))["id"]
    assert ward.tags(made) is None
    assert them.put(f"Observation/{ward.doctors}", ward.changed(ward.doctors)).status == 200
    assert them.put(f"Observation/{ward.own}", ward.changed(ward.own, **SAID)).status == 200
    assert ward.tags(ward.own) == [MARK], "who corrects keeps it"
    assert them.put(f"Observation/{ward.own}", ward.changed(ward.own)).status == 200
    assert ward.tags(ward.own) is None, "or drops it"
    assert ward.herself.put(f"Observation/{ward.own}", ward.changed(ward.own)).status == 403


@pytest.mark.parametrize("who", OTHERS)
def test_nobody_else_dresses_an_entry_as_hers(ward: Ward, who: str) -> None:
    them: Client = getattr(ward, who)
    new = {**observation(ward.ada), **SAID}
    before = ward.store.fingerprint
    for answer in (
        them.post("Observation", new),
        them.post("Observation", new, if_none_exist="code=none-such"),
        them.put(f"Observation/{ward.doctors}", ward.changed(ward.doctors, **SAID)),
        them.put(f"Observation?_id={ward.doctors}", ward.changed(ward.doctors, **SAID)),
        *(them.post("", _bundle(kind, "POST", "Observation", new)) for kind in ("batch", "transaction")),
    ):
        status, outcome = _outcome(answer)
        assert status == 422, answer.body
        assert outcome["issue"][0]["code"] == "business-rule"
        assert (
            "Observation.meta.tag" in outcome["issue"][0]["diagnostics"]
            or "resource.meta.tag" in outcome["issue"][0]["diagnostics"]
        )
    assert ward.store.fingerprint == before
    assert them.post("Observation", {**new, "meta": {"tag": [OTHER]}}).status == 201, "another system's code"


def test_programs_of_the_house_bring_the_mark_from_elsewhere(ward: Ward) -> None:
    id = ward.client.made({**observation(ward.ada), **SAID})["id"]
    assert ward.herself.put(f"Observation/{id}", ward.changed(id)).status == 200
    assert ward.client.put(f"Observation/{ward.doctors}", ward.changed(ward.doctors, **SAID)).status == 200
    practitioners = ward.caller(replace(ward.client.who, practitioner="d"))
    assert practitioners.post("Observation", {**observation(ward.ada), **SAID}).status == 422
