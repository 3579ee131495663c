"""What a directive withholds is as if absent on every path to a chart; what it opens is open on all of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from careledger.access.directives import Coding
from careledger.vault.model import HOUSE_CHART
from tests.fhir.client import Client, entries, observation, of, patient, practitioner
from tests.fhir.deciding import FOREIGN, Decider, caller, coding, organisation
from tests.fhir.deciding import practitioner as doctor
from tests.fhir.fakes import FakeBackend

KINDS = ("mind", "heart", "loose", "")
"""Categories of the Observations: two with a system, one whose code stands alone, none."""
LABELS = ("R", "")
LABEL = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def labelled(label: str) -> dict[str, Any]:
    return {"meta": {"security": [{"system": LABEL, "code": label}]}} if label else {}


def of_kind(kind: str) -> dict[str, Any]:
    coded = {"code": "mind"} if kind == "loose" else {"system": "urn:kind", "code": kind}
    return {"category": [{"coding": [coded]}]} if kind else {}


class Ward:
    """Ada decides; Ben does not. Each has an Observation of every kind and label, a Condition, an Encounter."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.client = Client(self.backend)
        self.store = self.backend.store
        self.ada, self.ben = (self.client.made(patient(name))["id"] for name in ("Ada", "Ben"))
        self.doctors = [self.client.made(practitioner(str(number)))["id"] for number in range(2)]
        self.ids: dict[tuple[str, str], str] = {}
        for who, performer in ((self.ada, self.doctors[0]), (self.ben, self.doctors[1])):
            encounter = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
            visit = self.client.made({**encounter, "subject": {"reference": f"Patient/{who}"}})["id"]
            for kind, label in itertools.product(KINDS, LABELS):
                more = {**of_kind(kind), **labelled(label), "encounter": {"reference": f"Encounter/{visit}"}}
                more["performer"] = [{"reference": f"Practitioner/{performer}"}]
                made = self.client.made(observation(who, **more))["id"]
                if who == self.ada:
                    self.ids[kind, label] = made
            self.client.made({"resourceType": "Condition", "subject": {"reference": f"Patient/{who}"}})
            if who == self.ada:
                self.visit = visit
        self.device = Decider(self.backend, self.ada)
        self.quill = caller(self.client, practitioner="quill")
        self.store.accesses.clear()

    @property
    def hidden(self) -> str:
        return self.ids["mind", ""]

    def readable(self, who: Client, type: str = "Observation") -> set[str]:
        every = {id for kind, id in self.store.versions if kind == type}
        return {id for id in every if who.get(f"{type}/{id}").status == 200}


@pytest.fixture
def ward() -> Ward:
    return Ward()


DENIALS: dict[str, dict[str, Any]] = {
    "the whole chart": {},
    "a type": {"types": ("Observation",)},
    "a category": {"categories": (coding("mind"),)},
    "a category of any system": {"categories": (Coding(code="mind", system=""),)},
}

TURNED: dict[str, Callable[[Ward, str], tuple[str, str, Any, dict[str, str]]]] = {
    "read": lambda w, at: ("GET", f"Observation/{at}", None, {}),
    "read what one has": lambda w, at: ("GET", f"Observation/{at}", None, {"if_none_match": 'W/"1"'}),
    "vread": lambda w, at: ("GET", f"Observation/{at}/_history/1", None, {}),
    "history": lambda w, at: ("GET", f"Observation/{at}/_history", None, {}),
    "update": lambda w, at: ("PUT", f"Observation/{at}", {**observation(w.ben), "id": at}, {}),
    "update of a version": lambda w, at: (
        "PUT",
        f"Observation/{at}",
        {**observation(w.ben), "id": at},
        {"if_match": 'W/"1"'},
    ),
    "delete": lambda w, at: ("DELETE", f"Observation/{at}", None, {}),
    "delete of a version": lambda w, at: ("DELETE", f"Observation/{at}", None, {"if_match": 'W/"1"'}),
    "search": lambda w, at: ("GET", f"Observation?_id={at}", None, {}),
    "search with more": lambda w, at: ("GET", f"Observation?_id={at}&status=final&_total=accurate", None, {}),
    "count": lambda w, at: ("GET", f"Observation?_id={at}&_summary=count", None, {}),
    "conditional update": lambda w, at: (
        "PUT",
        f"Observation?_id={at}",
        {**observation(w.ben), "id": at},
        {},
    ),
    "conditional delete": lambda w, at: ("DELETE", f"Observation?_id={at}", None, {}),
    "conditional reference": lambda w, at: (
        "POST",
        "Observation",
        {**observation(w.ben), "focus": [{"reference": f"Observation?_id={at}"}]},
        {},
    ),
    "batch": lambda w, at: ("POST", "", bundle("batch", ("GET", f"Observation/{at}")), {}),
    "batch of deletions": lambda w, at: ("POST", "", bundle("batch", ("DELETE", f"Observation/{at}")), {}),
    "transaction": lambda w, at: ("POST", "", bundle("transaction", ("DELETE", f"Observation/{at}")), {}),
}


def bundle(type: str, *requests: tuple[str, str]) -> dict[str, Any]:
    listed = [{"request": {"method": method, "url": url}} for method, url in requests]
    return {"resourceType": "Bundle", "type": type, "entry": listed}


def plain(body: bytes, id: str) -> bytes:
    return re.sub(rb'"id":"[0-9a-f-]{36}"', b'"id":""', body.replace(id.encode(), b"?"))


@pytest.mark.parametrize("what", DENIALS)
@pytest.mark.parametrize("name", TURNED)
def test_what_is_denied_is_as_if_absent(ward: Ward, name: str, what: str) -> None:
    id = ward.device.grant(doctor("quill"), effect="deny", **DENIALS[what])
    before = ward.store.fingerprint
    ward.store.accesses.clear()
    found = []
    for target in (ward.hidden, "00000000-0000-4000-8000-000000000000"):
        method, url, body, sent = TURNED[name](ward, target)
        answer = ward.quill.send(method, url, body, **sent)
        found.append((answer.status, plain(answer.body, target), [key for key, _ in answer.headers]))
    assert found[0] == found[1]
    assert found[0][0] in (200, 204, 404, 412)
    assert ward.store.fingerprint == before
    assert {entry.chart for entry in ward.store.accesses} == {HOUSE_CHART}
    if name in ("read", "vread", "history", "delete"):
        first = ward.store.accesses[0]
        assert (first.kind, first.rule, first.directives) == ("denied", "directive-deny", (id,))
    assert ward.client.get(f"Observation/{ward.hidden}").status == 200


def test_a_deletion_does_not_unlock_what_was_denied(ward: Ward) -> None:
    ward.device.grant(doctor("quill"), effect="deny", categories=(coding("mind"),))
    assert ward.client.send("DELETE", f"Observation/{ward.hidden}").status == 204
    for url in ("", "/_history", "/_history/1", "/_history/2"):
        assert ward.quill.get(f"Observation/{ward.hidden}{url}").status == 404
    listed = entries(ward.quill.get("Observation/_history?_count=100"))
    assert ward.hidden not in {entry["fullUrl"].rpartition("/")[2] for entry in listed}


def test_a_label_added_later_hides_what_was_before(ward: Ward) -> None:
    ward.device.grant(doctor("quill"), effect="deny", categories=(coding("mind"),))
    id = ward.ids["heart", ""]
    assert ward.quill.get(f"Observation/{id}/_history/1").status == 200
    ward.client.put(f"Observation/{id}", {**observation(ward.ada, **of_kind("mind")), "id": id})
    for url in ("", "/_history", "/_history/1", "/_history/2"):
        assert ward.quill.get(f"Observation/{id}{url}").status == 404
    assert id not in ward.quill.get("Observation/_history?_count=100").body.decode()
    ward.client.put(f"Observation/{id}", {**observation(ward.ada), "id": id})
    listed = entries(ward.quill.get(f"Observation/{id}/_history"))
    assert [entry["resource"]["meta"]["versionId"] for entry in listed] == ["3", "1"]
    listed = entries(ward.quill.get("Observation/_history?_count=100"))
    own = [entry for entry in listed if entry["fullUrl"].endswith(id)]
    assert [entry["resource"]["meta"]["versionId"] for entry in own] == ["3", "1"]


def test_lists_includes_and_totals_leave_out_what_is_denied(ward: Ward) -> None:
    ward.device.grant(doctor("quill"), effect="deny", categories=(coding("mind"),))
    mind = {ward.ids[kind, label] for kind in ("mind", "loose") for label in LABELS}
    total = of(ward.client.get(f"Observation?patient={ward.ada}&_summary=count"))["total"]
    for url in (
        f"Observation?patient={ward.ada}",
        "Observation?code=8867-4&_sort=-date&_count=100",
        f"Encounter?_id={ward.visit}&_revinclude=Observation:encounter",
        f"Patient/{ward.ada}/$everything",
        "Observation/_history?_count=100",
    ):
        assert mind <= {entry["resource"]["id"] for entry in entries(ward.client.get(url))}, url
        assert not mind & {entry["resource"]["id"] for entry in entries(ward.quill.get(url))}, url
    assert of(ward.quill.get(f"Observation?patient={ward.ada}&_summary=count"))["total"] == total - 4
    assert of(ward.quill.get(f"Observation?patient={ward.ada}&category=mind"))["total"] == 0
    assert of(ward.quill.get(f"Observation?patient={ward.ada}&category:not=mind"))["total"] == total - 4
    ward.device.grant(doctor("quill"), effect="deny", types=("Encounter",))
    url = f"Observation?_id={ward.ids['heart', '']}&_include=Observation:encounter"
    assert len(entries(ward.client.get(url))) == 2
    assert len(entries(ward.quill.get(url))) == 1


def test_everything_follows_only_what_is_seen(ward: Ward) -> None:
    """A practitioner whom only withheld resources name does not turn up."""
    ward.device.grant(doctor("quill"), effect="deny", types=("Observation",))
    url = f"Patient/{ward.ada}/$everything"
    assert ward.doctors[0] in {entry["resource"]["id"] for entry in entries(ward.client.get(url))}
    assert ward.doctors[0] not in {entry["resource"]["id"] for entry in entries(ward.quill.get(url))}


TERMS = st.fixed_dictionaries(
    {
        "effect": st.sampled_from(("deny", "permit")),
        "to": st.sampled_from((doctor("quill"), organisation(), organisation("did:careledger:house"))),
        "categories": st.sampled_from(((), (coding("mind"),), (coding("heart"), coding("mind")))),
        "labels": st.sampled_from(((), (Coding(code="R", system=LABEL),), (Coding(code="R", system=""),))),
        "types": st.sampled_from(((), ("Observation",), ("Condition",), ("Observation", "Patient"))),
    }
)


@pytest.fixture(scope="module")
def decided() -> Ward:
    return Ward()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(terms=st.lists(TERMS, min_size=1, max_size=3), foreign=st.booleans())
def test_searches_find_what_reads_show(decided: Ward, terms: list[dict[str, Any]], foreign: bool) -> None:
    """By sets over the index or by one body: the decision is the same, for whatever directives."""
    ward, granted = decided, []
    for one in terms:
        more = {name: value for name, value in one.items() if name not in ("to", "effect")}
        granted.append(ward.device.grant(one["to"], effect=one["effect"], **more))
    who = caller(ward.client, organisation=FOREIGN, practitioner="quill") if foreign else ward.quill
    try:
        for type in ("Observation", "Condition", "Patient", "Encounter"):
            readable = ward.readable(who, type)
            for url in (
                type,
                f"{type}?_lastUpdated=gt1990",
                f"{type}?_sort=_lastUpdated",
                f"{type}/_history",
            ):
                joint = "&" if "?" in url else "?"
                answer = who.get(f"{url}{joint}_count=1000")
                assert {entry["resource"]["id"] for entry in entries(answer)} == readable, url
            assert of(who.get(f"{type}?_summary=count"))["total"] == len(readable)
            by_id = who.get(f"{type}?_id=" + ",".join(id for kind, id in ward.store.versions if kind == type))
            assert {entry["resource"]["id"] for entry in entries(by_id)} == readable
        everything = who.get(f"Patient/{ward.ada}/$everything")
        if ward.ada not in ward.readable(who, "Patient"):
            assert everything.status == 404
        else:
            own = {
                f"{type}/{id}"
                for type in ("Observation", "Condition", "Encounter", "Patient")
                for id in ward.readable(who, type)
                if ward.store.versions[type, id][-1].chart == ward.store.charts[ward.ada]
            }
            found = {
                f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
                for entry in entries(everything)
            }
            assert {name for name in found if not name.startswith("Practitioner/")} == own
    finally:
        for id in granted:
            ward.device.revoke(id)


def test_a_revocation_acts_on_the_next_page(ward: Ward) -> None:
    """Pages keep their view of the record, but not of consent; nor do kept orders and opened charts."""
    permit = ward.device.grant(organisation())
    them = caller(ward.client, organisation=FOREIGN)
    for first in (
        f"Observation?patient={ward.ada}&_count=2",
        f"Patient/{ward.ada}/$everything?_count=2",
        "Observation/_history?_count=2",
    ):
        answer = them.get(first)
        assert len(entries(answer)) == 2
        following = next(link["url"] for link in of(answer)["link"] if link["relation"] == "next")
        assert len(entries(them.get(following))) == 2
        ward.device.revoke(permit)
        answer = them.get(following)
        assert answer.status == 404 or entries(answer) == []
        permit = ward.device.grant(organisation())


def test_a_denial_acts_on_the_next_page(ward: Ward) -> None:
    answer = ward.quill.get(f"Observation?patient={ward.ada}&_count=1&_sort=_id")
    following = next(link["url"] for link in of(answer)["link"] if link["relation"] == "next")
    ward.device.grant(doctor("quill"), effect="deny", categories=(coding("mind"),))
    rest = []
    while following:
        answer = ward.quill.get(following)
        rest += [entry["resource"] for entry in entries(answer)]
        links = {link["relation"]: link["url"] for link in of(answer)["link"]}
        following = links.get("next", "")
    assert rest
    assert all("mind" not in str(one.get("category")) for one in rest)


def test_other_organisations_see_what_a_permit_opens_and_write_nothing(ward: Ward) -> None:
    them = caller(ward.client, organisation=FOREIGN)
    assert ward.readable(them) == set()
    assert entries(them.get("Practitioner")) == []
    id = ward.device.grant(organisation(), types=("Observation",), categories=(coding("heart"),))
    seen = {ward.ids["heart", label] for label in LABELS}
    ward.store.accesses.clear()
    assert {entry["resource"]["id"] for entry in entries(them.get("Observation"))} == seen
    chart = ward.store.charts[ward.ada]
    assert [(e.chart, e.rule, e.directives) for e in ward.store.accesses] == [
        (chart, "directive-permit", (id,))
    ]
    ward.store.accesses.clear()
    assert of(them.get("Observation?_summary=count"))["total"] == len(seen)
    assert entries(them.get("Observation?status=cancelled")) == []
    assert [(e.chart, e.kind, e.permitted) for e in ward.store.accesses] == [
        (HOUSE_CHART, "count", True),
        (HOUSE_CHART, "empty", True),
    ]
    assert ward.readable(them) == seen
    assert them.get(f"Practitioner/{ward.doctors[0]}").status == 200  # to understand what is open
    narrow = caller(ward.client, "system/Practitioner.rs", organisation=FOREIGN)
    assert narrow.get(f"Practitioner/{ward.doctors[0]}").status == 200
    assert them.get("Basic/none").status == 404
    assert them.get(f"Patient/{ward.ada}").status == 404
    before = ward.store.fingerprint
    heart = ward.ids["heart", ""]
    for method, url, body in (
        ("POST", "Observation", observation(ward.ada)),
        ("PUT", f"Observation/{heart}", {**observation(ward.ada), "id": heart}),
        ("DELETE", f"Observation/{heart}", None),
        ("POST", "Practitioner", practitioner("9")),
    ):
        assert them.send(method, url, body).status in (403, 404), (method, url)
    assert ward.store.fingerprint == before


def test_what_stands_in_two_charts_needs_a_permit_in_each(ward: Ward) -> None:
    targets = [{"reference": f"Patient/{who}"} for who in (ward.ada, ward.ben)]
    agent = [{"who": {"reference": f"Practitioner/{ward.doctors[0]}"}}]
    shared = ward.client.made(
        {"resourceType": "Provenance", "target": targets, "recorded": "2026-01-02T03:04:05Z", "agent": agent}
    )["id"]
    ben = Decider(ward.backend, ward.ben, 2)
    them = caller(ward.client, organisation=FOREIGN)
    urls = (f"Provenance?_id={shared}", f"Provenance?patient={ward.ada}", "Provenance", "Provenance/_history")
    for device, seen in ((ward.device, False), (ben, True)):
        device.grant(organisation())
        assert (them.get(f"Provenance/{shared}").status == 200) is seen
        for url in urls:
            assert bool(entries(them.get(url))) is seen, url
        listed = entries(them.get(f"Patient/{ward.ada}/$everything"))
        assert (shared in {entry["resource"]["id"] for entry in listed}) is seen
    ben.grant(doctor("quill"), effect="deny")
    assert entries(ward.quill.get(f"Provenance?patient={ward.ada}")) == []
    assert shared not in str(ward.quill.get(f"Patient/{ward.ada}/$everything").body)


def test_who_is_denied_anything_chooses_no_ids(ward: Ward) -> None:
    """An unknown id and a hidden one are told apart by nobody; others, and revoked denials, change nothing."""
    new = {**observation(ward.ben), "id": "chosen"}
    id = ward.device.grant(doctor("quill"), effect="deny", types=("Observation",))
    assert ward.quill.put("Observation/chosen", new).status == 404
    made = {"resourceType": "Basic", "id": "mine", "code": {"text": "x"}}
    assert ward.quill.put("Basic/mine", made).status == 201
    assert ward.client.put("Observation/other", {**new, "id": "other"}).status == 201
    ward.device.revoke(id)
    assert ward.quill.put("Observation/chosen", new).status == 201


def test_the_patient_herself_is_narrowed_by_no_directive(ward: Ward) -> None:
    ward.device.grant(organisation("did:careledger:house"), effect="deny")
    assert ward.client.get(f"Observation/{ward.hidden}").status == 404
    herself = ward.client.as_("patient/*.rs", patient=ward.ada)
    assert ward.readable(herself) == set(ward.ids.values())
    assert len(entries(herself.get(f"Patient/{ward.ada}/$everything"))) >= len(ward.ids)


def test_a_label_of_now_acts_on_a_page_of_before(ward: Ward) -> None:
    """The page shows the version of its height, unless a newer one bears what is denied."""
    ward.device.grant(doctor("quill"), effect="deny", categories=(coding("mind"),))
    answer = ward.quill.get(f"Observation?patient={ward.ada}&_count=1")
    following = next(link["url"] for link in of(answer)["link"] if link["relation"] == "next")
    rest = {entry["resource"]["id"] for entry in entries(ward.quill.get(f"{following}&_count=100"))}
    changed = next(iter(sorted(rest)))
    ward.client.put(f"Observation/{changed}", {**observation(ward.ada, **of_kind("mind")), "id": changed})
    now = {entry["resource"]["id"] for entry in entries(ward.quill.get(f"{following}&_count=100"))}
    assert now == rest - {changed}
