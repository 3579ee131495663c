"""Directives on a real node: every persona by type by interaction by state of consent (E1), and canary patients (H2)."""

from __future__ import annotations

import itertools
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from careledger.cli import decisions
from tests.e2e.conftest import Loaded
from tests.e2e.node import Answer, Caller, Node
from tests.node.consenting import ELSEWHERE, Device

PSYCHIATRY = "urn:kind|mind"
TYPES = ("Observation", "Condition", "Patient")
REASON = {
    "resourceType": "Parameters",
    "parameter": [{"name": "reason", "valueString": "unconscious, alone"}],
}


@dataclass(slots=True)
class Chart:
    """A patient with a device, one resource of each type, and one more Observation that no category names."""

    patient: str
    device: Device
    ids: dict[str, str]
    spare: str
    callers: dict[str, Caller] = field(default_factory=dict)


class Pen(Device):
    """Her device, deciding about whomever; "house" stands for the node's own organisation."""

    def signed(self, supersedes: str = "", **terms: Any) -> dict[str, Any]:
        house = self.command("config")["did"]
        terms["to"] = tuple(house if one == "house" else one for one in terms["to"])
        prepared = self.prepare(dids=[one for one in terms["to"] if one.startswith("did:")])
        return decisions.sign(self.make(prepared, supersedes, **terms), prepared, self.key)


def device(node: Node, patient: str, seed: int = 1) -> Device:
    made = Pen(lambda method, **params: node.command(method, **params), patient, bytes([seed]) * 32)
    made.enrol()
    return made


def admit(loaded: Loaded, seed: int = 1) -> Chart:
    """A new patient who enrols a key."""
    c = loaded.caller
    patient = c.post("Patient", {"resourceType": "Patient", "name": [{"family": "E1"}]}).json["id"]
    subject = {"subject": {"reference": f"Patient/{patient}"}}
    kind = {"category": [{"coding": [{"system": "urn:kind", "code": "mind"}]}]}
    seen = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **subject}
    ids = {
        "Patient": patient,
        "Observation": c.post("Observation", {**seen, **kind}).json["id"],
        "Condition": c.post("Condition", {"resourceType": "Condition", **subject, **kind}).json["id"],
    }
    spare = c.post("Observation", seen).json["id"]
    return Chart(patient, device(loaded.node, patient, seed), ids, spare)


PERSONAS: dict[str, dict[str, Any]] = {
    "denied clinician": {"practitioner": "quill"},
    "colleague": {"practitioner": "other"},
    "program": {},
    "researcher": {"purpose": "HRESCH"},
    "emergency without box": {"practitioner": "quill", "purpose": "ETREAT"},
    "payer elsewhere": {"org": ELSEWHERE, "purpose": "HPAYMT"},
    "clinician elsewhere": {"org": ELSEWHERE, "practitioner": "quill"},
    "herself": {"scope": "patient/*.cruds", "patient": "{her}"},
    "another patient": {"scope": "patient/*.cruds", "patient": "{other}"},
}
HOUSE = {"denied clinician", "colleague", "program"}
TOLD = {"herself"}
QUILL = "Practitioner/quill"

State = tuple[Callable[[Device], list[str]], Callable[[str, str], bool]]
"""What she decides; and whether a persona then sees a type (of the psychiatric category, but for the Patient)."""

STATES: dict[str, State] = {
    "nothing": (lambda d: [], lambda who, kind: who in HOUSE),
    "a clinician denied": (
        lambda d: [d.grant(to=(QUILL,), deny=True, purpose=())],
        lambda who, kind: who in HOUSE - {"denied clinician"},
    ),
    "a category denied": (
        lambda d: [d.grant(to=(QUILL,), deny=True, purpose=("TREAT",), category=(PSYCHIATRY,))],
        lambda who, kind: who in HOUSE and (who != "denied clinician" or kind == "Patient"),
    ),
    "a payer permitted a type": (
        lambda d: [d.grant(to=(ELSEWHERE,), purpose=("HPAYMT",), type=("Condition", "Patient"))],
        lambda who, kind: who in HOUSE or (who == "payer elsewhere" and kind != "Observation"),
    ),
    "an organisation permitted, its clinician denied": (
        lambda d: [d.grant(to=(ELSEWHERE,), purpose=("TREAT", "HPAYMT")), d.grant(to=(QUILL,), deny=True, purpose=())],
        lambda who, kind: who in HOUSE - {"denied clinician"} | {"payer elsewhere"},
    ),
    "the house denied, research permitted": (
        lambda d: [
            d.grant(to=("house",), deny=True, purpose=("TREAT",)),
            d.grant(to=("house",), purpose=("HRESCH",), category=("mind",)),
        ],
        lambda who, kind: who == "researcher" and kind != "Patient",
    ),
    "permitted from next year on": (
        lambda d: [d.grant(to=(ELSEWHERE,), purpose=("HPAYMT",), start="2998-01-01")],
        lambda who, kind: who in HOUSE,
    ),
}  # fmt: skip

INTERACTIONS: dict[str, Callable[[Caller, str, str], Answer]] = {
    "read": lambda c, kind, at: c.get(f"{kind}/{at}"),
    "head": lambda c, kind, at: c.call("HEAD", f"{kind}/{at}"),
    "conditional read": lambda c, kind, at: c.get(f"{kind}/{at}", If_None_Match='W/"1"'),
    "vread": lambda c, kind, at: c.get(f"{kind}/{at}/_history/1"),
    "history": lambda c, kind, at: c.get(f"{kind}/{at}/_history"),
    "search": lambda c, kind, at: c.get(f"{kind}?_id={at}"),
    "search by form": lambda c, kind, at: c.call(
        "POST",
        f"{kind}/_search",
        f"_id={at}".encode(),
        Content_Type="application/x-www-form-urlencoded",
    ),
    "count": lambda c, kind, at: c.get(f"{kind}?_id={at}&_summary=count"),
    "in a batch": lambda c, kind, at: c.post("", batch(f"{kind}/{at}", f"{kind}?_id={at}")),
    "stale deletion": lambda c, kind, at: c.delete(f"{kind}/{at}", If_Match='W/"7"'),
    "stale update": lambda c, kind, at: c.put(f"{kind}/{at}", body(kind, at), If_Match='W/"7"'),
    "include": lambda c, kind, at: c.get(
        f"{kind}?_id={at}&_include={kind}:*&_revinclude=Observation:subject"
    ),
}


def batch(*urls: str) -> dict[str, Any]:
    listed = [{"request": {"method": "GET", "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": "batch", "entry": listed}


def body(type: str, at: str) -> dict[str, Any]:
    """What would be put there; it names no other patient."""
    more = {"Observation": {"status": "final", "code": {"text": "x"}}, "Condition": {}, "Patient": {}}[type]
    subject = {} if type == "Patient" else {"subject": {"reference": "Patient/nobody-e1"}}
    return {"resourceType": type, "id": at, **more, **subject}


def plain(answer: Answer, at: str) -> tuple[int, bytes, list[str]]:
    """The answer without ids and times."""
    raw = answer.body.replace(at.encode(), b"?")
    raw = re.sub(rb'"id":"[0-9a-f-]{36}"', b'"id":""', raw)
    names = [name for name in answer.headers if name not in ("date", "x-request-id")]
    return answer.status, raw, names


@pytest.fixture(scope="module")
def ward(loaded: Loaded) -> Iterator[Chart]:
    """One patient a worker mode; her callers, and another patient's."""
    chart = admit(loaded)
    other = loaded.caller.post("Patient", {"resourceType": "Patient"}).json["id"]
    for name, terms in PERSONAS.items():
        filled = {key: value.format(her=chart.patient, other=other) for key, value in terms.items()}
        chart.callers[name] = loaded.node.caller(**filled)
    yield chart
    for caller in chart.callers.values():
        caller.close()


@pytest.mark.parametrize("state", STATES)
def test_outside_consent_is_as_if_absent(ward: Chart, state: str) -> None:
    chart = ward
    decide, sees = STATES[state]
    granted = decide(chart.device)
    try:
        for (name, caller), type in itertools.product(chart.callers.items(), TYPES):
            at = chart.ids[type]
            expected = name in TOLD or sees(name, type)
            absent = str(uuid.uuid4())
            for interaction, act in INTERACTIONS.items():
                if expected and interaction not in ("read", "search"):
                    continue
                where = (name, type, interaction)
                shown, nothing = plain(act(caller, type, at), at), plain(act(caller, type, absent), absent)
                assert (shown != nothing) is expected, (where, shown, nothing)
            assert (caller.get(f"{type}/{at}").status == 200) is expected, (name, type)
            listed = caller.get(f"{type}?_sort=-_lastUpdated&_count=1000").body
            assert (f"{type}/{at}".encode() in listed) is expected, (name, type)
        spared = "a category denied", "an organisation permitted, its clinician denied"
        if state in spared:
            seen = chart.callers["denied clinician"].get(f"Observation/{chart.spare}").status == 200
            assert seen is (state == spared[0])
    finally:
        for id in granted:
            chart.device.revoke(id)


def test_a_revocation_acts_at_its_block_in_every_worker(loaded: Loaded) -> None:
    """On pages that were begun before, and over connections that other workers serve."""
    chart = admit(loaded, 2)
    permit = chart.device.grant(to=(ELSEWHERE,), purpose=("TREAT",))
    them = [loaded.node.caller(org=ELSEWHERE) for _ in range(4)]
    links = []
    for url in (
        f"Observation?patient={chart.patient}&_count=1",
        f"Patient/{chart.patient}/$everything?_count=1",
    ):
        for one in them:
            page = one.get(url).json
            links.append((one, next(link["url"] for link in page["link"] if link["relation"] == "next")))
    assert all(one.get(link).ids for one, link in links)
    chart.device.revoke(permit)
    for one, link in links:
        answer = one.get(link)
        assert answer.status == 404 or answer.ids == []
    for one in them:
        one.close()


def test_an_emergency_outlives_a_restart_and_every_worker_knows_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    node = Node(tmp_path_factory.mktemp("night") / "home", 2).init().start()
    try:
        loaded = Loaded(node, node.caller(), [])
        chart = admit(loaded, 3)
        chart.device.grant(to=("house",), deny=True, purpose=())
        duty = {"practitioner": "owl", "purpose": "ETREAT"}
        url = f"Observation/{chart.spare}"
        first = node.caller(**duty)
        assert first.get(url).status == 404
        assert first.post(f"Patient/{chart.patient}/$emergency-access", REASON).status == 200
        callers = [first, *(node.caller(**duty) for _ in range(3))]
        assert {one.get(url).status for one in callers} == {200}
        assert node.caller(practitioner="owl").get(url).status == 404
        kinds = [(entry["kind"], entry["rule"], entry["purpose"]) for entry in node.access(chart.patient)]
        assert kinds == [("emergency", "emergency", "ETREAT")] + [("read", "emergency", "ETREAT")] * 4
        node.stop()
        shutil.rmtree(node.home / "index")  # made again from the journal
        node.start()
        assert Caller(node.port, first.token).get(url).status == 200
        assert node.caller(practitioner="mouse", purpose="ETREAT").get(url).status == 404
    finally:
        node.stop()


def test_every_byte_of_a_canary_is_traced_to_an_entry(loaded: Loaded) -> None:
    """Whatever answer names a canary's chart, its access log has an entry of that request, not later than it says."""
    charts = [admit(loaded, seed) for seed in (4, 5)]
    marks = {}
    c = loaded.caller
    for number, chart in enumerate(charts):
        mark = f"Kanarie{uuid.uuid4().hex[:12]}"
        marks[chart.patient] = mark.encode()
        c.put(
            f"Patient/{chart.patient}",
            {"resourceType": "Patient", "id": chart.patient, "name": [{"family": mark}]},
        )
        note = {"resourceType": "Observation", "status": "final", "code": {"text": mark}, "id": chart.spare}
        c.put(f"Observation/{chart.spare}", {**note, "subject": {"reference": f"Patient/{chart.patient}"}})
        if number == 0:
            chart.device.grant(to=(ELSEWHERE,), purpose=("TREAT",))
    her, him = (chart.patient for chart in charts)
    callers = [
        c,
        loaded.node.caller(org=ELSEWHERE),
        loaded.node.caller(practitioner="owl", purpose="ETREAT"),
        loaded.node.caller("patient/*.rs", patient=her),
    ]
    urls = [
        *(f"Patient/{id}" for id in (her, him)),
        *(f"Patient/{id}/$everything" for id in (her, him)),
        *(f"Patient/{id}/_history" for id in (her, him)),
        f"Patient?_id={her},{him}",
        f"Observation?patient={her}&_include=Observation:subject",
        f"Patient?_id={him}&_revinclude=Observation:subject",
        "Observation?_count=1000&_sort=-_lastUpdated",
        "Observation/_history?_count=1000",
        f"AuditEvent?patient={her}",
    ]
    named = 0
    for caller, url in itertools.product(callers, urls):
        answer = caller.get(url)
        height = loaded.node.command("status")["height"]
        for patient in (patient for patient, mark in marks.items() if mark in answer.body):
            named += 1
            request = answer.headers["x-request-id"]
            traced = [one for one in loaded.node.access(patient) if one["request"] == request]
            assert len(traced) == 1, (url, patient)
            assert traced[0]["permitted"]
            assert traced[0]["versions"]
            assert traced[0]["height"] <= height
    assert named > 20
    strangers = loaded.node.caller(org="did:careledger:" + "7" * 64)
    silent = [len(loaded.node.access(patient)) for patient in marks]
    for url in urls:
        answer = strangers.get(url)
        assert not any(mark in answer.body for mark in marks.values()), url
    assert [len(loaded.node.access(patient)) for patient in marks] == silent
