"""Who sees what, and what the access log says before they do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from careledger.vault.model import HOUSE_CHART
from tests.fhir.client import Client, entries, observation, of, patient, practitioner


class Two:
    """Two patients with an Observation each, a shared Provenance-like resource, a practitioner; Ada's own caller."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.store = client.backend.store
        self.doctor = client.made(practitioner("1"))["id"]
        self.ada, self.bob = client.made(patient("Ada"))["id"], client.made(patient("Bob"))["id"]
        performer = [{"reference": f"Practitioner/{self.doctor}"}]
        self.hers = client.made(observation(self.ada, performer=performer))["id"]
        self.his = client.made(observation(self.bob, performer=performer))["id"]
        self.bound = client.as_("patient/*.cruds", patient=self.ada)
        self.store.accesses.clear()


@pytest.fixture
def two(client: Client) -> Two:
    return Two(client)


# A token of Ada's turned on Bob: the same answer as for what does not exist.
TURNED: dict[str, Callable[[Two, str], tuple[str, str, object]]] = {
    "read": lambda two, of_id: ("GET", f"Observation/{of_id}", None),
    "vread": lambda two, of_id: ("GET", f"Observation/{of_id}/_history/1", None),
    "history": lambda two, of_id: ("GET", f"Observation/{of_id}/_history", None),
    "update": lambda two, of_id: ("PUT", f"Observation/{of_id}", {**observation(two.ada), "id": of_id}),
    "delete": lambda two, of_id: ("DELETE", f"Observation/{of_id}", None),
    "search by id": lambda two, of_id: ("GET", f"Observation?_id={of_id}", None),
    "count by id": lambda two, of_id: ("GET", f"Observation?_id={of_id}&_summary=count", None),
    "conditional delete": lambda two, of_id: ("DELETE", f"Observation?_id={of_id}", None),
}


@pytest.mark.parametrize("name", TURNED)
def test_a_patients_token_finds_others_as_if_absent(two: Two, name: str) -> None:
    before = two.store.fingerprint
    hidden = two.bound.send(*TURNED[name](two, two.his))
    absent = two.bound.send(*TURNED[name](two, "absent"))
    assert hidden.status == absent.status
    assert _plain(hidden.body, two.his) == _plain(absent.body, "absent")
    assert [n for n, _ in hidden.headers] == [n for n, _ in absent.headers]
    assert two.store.fingerprint == before
    assert all(entry.chart == HOUSE_CHART for entry in two.store.accesses)
    assert two.client.get(f"Observation/{two.his}").status == 200


def test_out_of_scope_is_said_before_what_is_wrong_with_the_request(two: Two) -> None:
    reader, wrong = two.client.as_("system/Observation.rs"), {"resourceType": "Observation", "status": "?"}
    entry = {"request": {"method": "POST", "url": "Observation"}, "resource": wrong}
    asked = (
        ("POST", "Observation", wrong),
        ("PUT", "Observation/x", wrong),
        ("PUT", "Observation?_id=x", wrong),
        ("GET", "Patient?birthdate=nonsense", None),
        ("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
    )
    for method, url, body in asked:
        assert reader.send(method, url, body).status == 403, url
    assert [(one.chart, one.kind, one.rule) for one in two.store.accesses] == [
        (HOUSE_CHART, "denied", "scope")
    ] * 5


def _plain(body: bytes, id: str) -> bytes:
    import re

    return re.sub(rb'"id":"[0-9a-f-]{36}"', b'"id":""', body.replace(id.encode(), b"?"))


@pytest.mark.parametrize("how", ["alone", "if-match", "batch", "transaction"])
def test_a_deletion_of_what_is_not_hers_is_logged_as_denied(two: Two, how: str) -> None:
    """Once a request, for what is Bob's and for what is nowhere alike; her own deletions are no denials."""
    for ids in ((two.his, two.bob), ("absent", "nobody")):
        urls = [f"Observation/{ids[0]}", f"Patient/{ids[1]}"]
        two.store.accesses.clear()
        if how in ("alone", "if-match"):
            sent = {"if_match": 'W/"1"'} if how == "if-match" else {}
            status = two.bound.send("DELETE", urls.pop(0), **sent).status
            urls.pop()
            assert status == (412 if sent else 204)
        else:
            deletions = [{"request": {"method": "DELETE", "url": url}} for url in urls]
            answer = two.bound.post("", {"resourceType": "Bundle", "type": how, "entry": deletions})
            assert {entry["response"]["status"] for entry in entries(answer)} == {"204 No Content"}
        logged = [(e.chart, e.kind, e.permitted, e.rule) for e in two.store.accesses]
        assert logged == [(HOUSE_CHART, "denied", False, "other-patient")]
        assert two.store.accesses[0].what.startswith(f"DELETE Observation/{ids[0]}")
        assert all(url in two.store.accesses[0].what for url in urls)
    assert two.client.get(f"Observation/{two.his}").status == 200
    two.store.accesses.clear()
    for _ in range(2):
        assert two.bound.send("DELETE", f"Observation/{two.hers}").status == 204
    assert two.store.accesses == []


@pytest.mark.parametrize("url", ["Observation/{his}", "Observation/absent"])
def test_with_the_log_unwritable_a_denied_deletion_is_not_answered(two: Two, url: str) -> None:
    two.client.backend.log_broken = True
    assert two.bound.send("DELETE", url.format(his=two.his)).status == 503


def test_a_patients_token_sees_one_chart(two: Two) -> None:
    bound = two.bound
    assert bound.get(f"Observation/{two.hers}").status == 200
    assert bound.get(f"Practitioner/{two.doctor}").status == 200
    assert bound.get(f"Patient/{two.bob}/$everything").status == 404
    found = entries(bound.get(f"Patient/{two.ada}/$everything"))
    assert {entry["resource"]["id"] for entry in found} == {two.ada, two.hers, two.doctor}
    for url in (
        "Observation",
        "Observation?code=8867-4",
        f"Observation?_include=Observation:subject&_id={two.hers}",
    ):
        ids = {entry["resource"]["id"] for entry in entries(bound.get(url))}
        assert ids <= {two.ada, two.hers}, url
        assert two.hers in ids
    assert entries(bound.get(f"Observation?patient={two.bob}")) == []
    assert of(bound.get("Patient?_summary=count"))["total"] == 1
    assert {entry["resource"]["id"] for entry in entries(bound.get("Observation/_history"))} == {two.hers}
    reverse = f"Practitioner?_id={two.doctor}&_revinclude=Observation:performer"
    assert two.his not in {entry["resource"]["id"] for entry in entries(bound.get(reverse))}


def test_a_patients_token_writes_into_one_chart(two: Two) -> None:
    before = two.store.fingerprint
    assert two.bound.post("Observation", observation(two.bob)).status == 403
    assert two.bound.post("Observation", observation("absent")).status == 403
    assert two.bound.post("Practitioner", practitioner("3")).status == 403
    moved = {**observation(two.bob), "id": two.hers}
    assert two.bound.put(f"Observation/{two.hers}", moved).status == 403
    assert two.bound.put("Observation/mine", {**observation(two.ada), "id": "mine"}).status == 404
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": observation(subject), "request": {"method": "POST", "url": "Observation"}}
            for subject in (two.ada, two.bob)
        ],
    }
    assert two.bound.post("", bundle).status == 403
    assert two.store.fingerprint == before
    assert two.bound.post("Observation", observation(two.ada)).status == 201


def test_conditional_references_see_what_the_caller_sees(two: Two) -> None:
    by_name = {"subject": {"reference": f"Patient/{two.ada}"}, "focus": [{"reference": "Patient?family=Bob"}]}
    hidden = two.bound.post("Observation", {**observation(two.ada), **by_name})
    absent = two.bound.post(
        "Observation", {**observation(two.ada), **by_name, "focus": [{"reference": "Patient?family=Nobody"}]}
    )
    assert (hidden.status, hidden.body) == (absent.status, absent.body)
    assert hidden.status == 412


SCOPED = [
    ("system/Patient.r", "GET", "Observation/{hers}", None),
    ("system/Observation.r", "GET", "Observation", None),
    ("system/Observation.s", "GET", "Observation/{hers}", None),
    ("system/Observation.s", "GET", "Observation/{hers}/_history", None),
    ("system/Observation.r", "GET", "Observation/_history", None),
    ("system/Observation.rs", "POST", "Observation", "new"),
    ("system/Observation.cruds", "GET", "Patient/{ada}/$everything", None),
    ("system/Observation.c", "PUT", "Observation/{hers}", "same"),
    ("system/Observation.cru", "DELETE", "Observation/{hers}", None),
    ("system/Patient.cruds", "POST", "Observation/$validate", "new"),
    ("system/Observation.cru", "DELETE", "Observation?_id={hers}", None),
    ("system/Observation.rud", "PUT", "Observation?_id={hers}", "same"),
]


@pytest.mark.parametrize("scope, method, url, body", SCOPED)
def test_outside_the_scope_is_403_and_logged(
    two: Two, scope: str, method: str, url: str, body: str | None
) -> None:
    before = two.store.fingerprint
    sent = None if body is None else {**observation(two.ada), **({"id": two.hers} if body == "same" else {})}
    answer = two.client.as_(scope).send(method, url.format(hers=two.hers, ada=two.ada), sent)
    assert answer.status == 403
    assert two.store.fingerprint == before
    assert two.his.encode() not in answer.body
    assert [(e.chart, e.kind, e.permitted) for e in two.store.accesses] == [(HOUSE_CHART, "denied", False)]


def test_includes_stay_within_the_scope(two: Two) -> None:
    url = f"Observation?_id={two.hers}&_include=Observation:performer"
    assert len(entries(two.client.get(url))) == 2
    assert len(entries(two.client.as_("system/Observation.rs").get(url))) == 1


# What leaves is in the log, and the log comes first.

READS = {
    "read": ("Observation/{hers}", "read", {"ada": 1}),
    "vread": ("Observation/{hers}/_history/1", "vread", {"ada": 1}),
    "history": ("Observation/{hers}/_history", "history", {"ada": 1}),
    "type history": ("Observation/_history", "history", {"ada": 1, "bob": 1}),
    "search": ("Observation?patient={ada}", "search", {"ada": 1}),
    "search of several charts": ("Observation", "search", {"ada": 1, "bob": 1}),
    "include": ("Observation?patient={ada}&_include=Observation:performer", "search", {"ada": 1, "house": 1}),
    "everything": ("Patient/{ada}/$everything", "everything", {"ada": 2, "house": 1}),
    "count": ("Observation?patient={ada}&_summary=count", "count", {"house": 0}),
    "empty": ("Observation?patient=nobody", "empty", {"house": 0}),
    "absent": ("Observation/absent", "empty", {"house": 0}),
    "everything of nobody": ("Patient/absent/$everything", "empty", {"house": 0}),
}


@pytest.mark.parametrize("name", READS)
def test_each_chart_that_leaves_gets_one_entry(two: Two, name: str) -> None:
    url, kind, expected = READS[name]
    two.client.get(url.format(hers=two.hers, ada=two.ada))
    charts = {"ada": two.store.charts[two.ada], "bob": two.store.charts[two.bob], "house": HOUSE_CHART}
    assert {entry.chart: len(entry.leaves) for entry in two.store.accesses} == {
        charts[who]: leaves for who, leaves in expected.items()
    }
    assert len(two.store.accesses) == len(expected)
    assert {entry.kind for entry in two.store.accesses} == {kind}


@pytest.mark.parametrize("name", READS)
def test_with_the_log_unwritable_nothing_leaves(two: Two, name: str) -> None:
    two.client.backend.log_broken = True
    answer = two.client.get(READS[name][0].format(hers=two.hers, ada=two.ada))
    assert answer.status == 503
    assert two.hers.encode() not in answer.body
    assert two.ada.encode() not in answer.body


def test_what_stands_in_two_charts_is_logged_in_both(two: Two) -> None:
    shared = two.client.made(
        {
            "resourceType": "Provenance",
            "target": [{"reference": f"Patient/{two.ada}"}, {"reference": f"Patient/{two.bob}"}],
            "recorded": "2026-01-02T03:04:05Z",
            "agent": [{"who": {"reference": f"Practitioner/{two.doctor}"}}],
        }
    )["id"]
    both = {two.store.charts[two.ada], two.store.charts[two.bob]}
    for url in (
        f"Provenance/{shared}",
        "Provenance",
        f"Patient/{two.bob}/$everything",
        f"Provenance/{shared}/_history",
    ):
        two.store.accesses.clear()
        assert shared in two.client.get(url).body.decode()
        assert both <= {entry.chart for entry in two.store.accesses}, url
    assert two.bound.get(f"Provenance/{shared}").status == 200
    assert two.bound.send("DELETE", f"Provenance/{shared}").status in (403, 204)
    assert two.client.get(f"Provenance/{shared}").status == 200


def test_without_a_caller_only_metadata_answers(client: Client) -> None:
    client.who = None  # type: ignore[assignment]
    assert client.get("Patient").status == 401
    assert client.post("", {"resourceType": "Bundle", "type": "batch"}).status == 401
