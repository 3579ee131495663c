"""What is sent is what is read; versions, conditions and Bundles do what R4 http.html says."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Loaded
from tests.e2e.node import Answer, Caller

REFERENCE = re.compile(r'"reference": "[^"#][^"]*"')
OBSERVATION = """{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org",
"code":"8302-2"}]},"valueQuantity":{"value":72.50,"unit":"cm"},"subject":{"reference":"Patient/%s"},
"note":[{"text":"\\u00e4\\ud83d\\ude00 \\u0022q\\u0022 \\n"}],
"referenceRange":[{"low":{"value":1.0E+2},"high":{"value":100000000000000000000.000000001}}]}"""


def mark() -> str:
    return uuid.uuid4().hex[:10]


def observation(patient: str, **more: object) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"},
        **more,
    }


def patient(identifier: str, **more: object) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:e2e", "value": identifier}], **more}


def entry(method: str, url: str, resource: object = None, full_url: str = "", **more: str) -> dict[str, Any]:
    return {
        **({"fullUrl": full_url} if full_url else {}),
        **({"resource": resource} if resource else {}),
        "request": {"method": method, "url": url, **more},
    }


def bundle(*entries: object, type: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type, "entry": list(entries)}


def compute_comparable(resource: dict[str, Any]) -> str:
    """Everything but id, the server's part of meta, and where references lead."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    rest = {k: v for k, v in resource.items() if k not in ("id", "meta")}
    return REFERENCE.sub("", json.dumps({"meta": meta, **rest}))


def at_once(loaded: Loaded, number: int, act: Callable[[Caller], Answer]) -> list[Answer]:
    """The answers of that many clients that do the same at the same time."""
    answers: list[Answer] = []
    start = threading.Barrier(number)

    def run() -> None:
        caller = Caller(loaded.node.port, loaded.caller.token)
        start.wait()
        answers.append(act(caller))
        caller.close()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def compute_state(loaded: Loaded) -> tuple[int, int]:
    """What a write would change. (Not the height: the access log is anchored each second.)"""
    status = loaded.node.command("status")
    return status["charts"], status["resources"]


def test_every_resource_reads_back_equal(loaded: Loaded) -> None:
    """Key order, decimals (72.50), meta and all: only id, versionId, lastUpdated and references are the server's."""
    held = [resource for of_type in loaded.held.values() for resource in of_type.values()]
    assert Counter(map(compute_comparable, loaded.sent)) == Counter(map(compute_comparable, held))
    known = {f"{type}/{id}" for type, of_type in loaded.held.items() for id in of_type}
    for resource in held:
        for reference in re.findall(r'"reference": "([^"#]+)"', json.dumps(resource)):
            assert reference in known, f"{resource['resourceType']} refers to what is not there"
    for resource in held[:: max(1, len(held) // 100)]:
        answer = loaded.caller.get(f"{resource['resourceType']}/{resource['id']}")
        assert answer.exact == resource
        assert answer.etag == 'W/"1"'


def test_numbers_and_text_stay_as_received(loaded: Loaded) -> None:
    answer = loaded.caller.post("Observation", (OBSERVATION % mark()).encode())
    assert answer.status == 201
    for number in (b"72.50,", b"1.0E+2}", b"100000000000000000000.000000001}"):
        assert number in answer.body
    again = loaded.caller.get(f"Observation/{answer.json['id']}")
    assert again.body == answer.body
    assert again.json["note"][0]["text"] == 'ä😀 "q" \n'


def test_versions(loaded: Loaded) -> None:
    """create, read, update, stale If-Match, vread, history, 304, delete, 410, and back to life."""
    c, id = loaded.caller, "v-" + mark()
    first = c.put(f"Patient/{id}", {"resourceType": "Patient", "id": id, "gender": "female"})
    assert (first.status, first.etag) == (201, 'W/"1"')
    assert first.headers["location"].endswith(f"/fhir/Patient/{id}/_history/1")
    assert c.put(f"Patient/{id}", first.json, If_None_Match="*").status == 412
    second = c.put(f"Patient/{id}", {**first.json, "active": True}, If_Match='W/"1"')
    assert (second.status, second.etag) == (200, 'W/"2"')
    before = compute_state(loaded)
    assert c.put(f"Patient/{id}", first.json, If_Match='W/"1"').status == 412
    assert c.delete(f"Patient/{id}", If_Match='W/"1"').status == 412
    assert c.put(f"Patient/{id}", first.json, If_Match="nonsense").status == 400
    assert compute_state(loaded) == before
    assert c.get(f"Patient/{id}/_history/1").body == first.body
    assert c.get(f"Patient/{id}", If_None_Match='W/"2"').status == 304
    assert c.get(f"Patient/{id}", If_None_Match='W/"1"').body == second.body
    assert c.get(f"Patient/{id}", If_Modified_Since=second.headers["last-modified"]).status == 304
    assert c.delete(f"Patient/{id}").status == 204
    assert c.delete(f"Patient/{id}").status == 204
    assert c.get(f"Patient/{id}").status == 410
    assert c.get(f"Patient/{id}/_history/3").status == 410
    assert c.get(f"Patient/{id}/_history/2").body == second.body
    assert c.get(f"Patient?_id={id}").ids == []
    history = c.get(f"Patient/{id}/_history").json
    assert [e["request"]["method"] for e in history["entry"]][:2] == ["DELETE", "PUT"]
    assert "resource" not in history["entry"][0]
    assert c.put(f"Patient/{id}", first.json).etag == 'W/"4"'
    assert c.get(f"Patient/{id}").status == 200


@pytest.mark.parametrize(
    ("prefer", "body"),
    [("minimal", ""), ("representation", "Basic"), ("OperationOutcome", "OperationOutcome")],
)
def test_prefer(loaded: Loaded, prefer: str, body: str) -> None:
    resource = {"resourceType": "Basic", "code": {"text": "x"}}
    answer = loaded.caller.post("Basic", resource, Prefer=f"return={prefer}")
    assert answer.status == 201
    assert (answer.json["resourceType"] if answer.body else "") == body


def test_a_hundred_conditional_creates_make_one(loaded: Loaded) -> None:
    value = mark()
    answers = at_once(
        loaded, 100, lambda c: c.post("Patient", patient(value), If_None_Exist=f"identifier=urn:e2e|{value}")
    )
    assert Counter(answer.status for answer in answers) == {201: 1, 200: 99}
    assert len({answer.json["id"] for answer in answers}) == 1


def test_conditional_updates_and_transactions_make_one(loaded: Loaded) -> None:
    value = mark()
    answers = at_once(loaded, 20, lambda c: c.put(f"Patient?identifier=urn:e2e|{value}", patient(value)))
    assert sum(answer.status == 201 for answer in answers) == 1
    assert len({answer.json["id"] for answer in answers}) == 1
    value = mark()
    one = bundle(entry("POST", "Patient", patient(value), ifNoneExist=f"identifier=urn:e2e|{value}"))
    answers = at_once(loaded, 20, lambda c: c.post("", one))
    assert Counter(a.json["entry"][0]["response"]["status"][:3] for a in answers) == {"201": 1, "200": 19}


def test_one_of_many_stale_updates_wins(loaded: Loaded) -> None:
    basic = loaded.caller.post("Basic", {"resourceType": "Basic", "code": {"text": "x"}}).json
    answers = at_once(loaded, 20, lambda c: c.put(f"Basic/{basic['id']}", basic, If_Match='W/"1"'))
    assert Counter(answer.status for answer in answers) == {200: 1, 412: 19}
    history = loaded.caller.get(f"Basic/{basic['id']}/_history").json["entry"]
    assert [e["resource"]["meta"]["versionId"] for e in history] == ["2", "1"]


def test_conditions_that_match_several_or_say_nothing(loaded: Loaded) -> None:
    c, value = loaded.caller, mark()
    for _ in range(2):
        c.post("Patient", patient(value))
    before = compute_state(loaded)
    criteria = f"identifier=urn:e2e|{value}"
    assert c.put(f"Patient?{criteria}", patient(value)).status == 412
    assert c.post("Patient", patient(value), If_None_Exist=criteria).status == 412
    assert c.delete(f"Patient?{criteria}").status == 412
    assert c.put("Patient", patient(value)).status == 412
    assert c.delete("Patient").status == 412
    assert c.post("Patient", patient(value), If_None_Exist="frobnicate=1").status in (400, 412)
    assert c.delete("Patient?identifier=urn:e2e|nothing").status == 204
    assert compute_state(loaded) == before


def test_transaction_rewrites_references_and_answers_in_order(loaded: Loaded) -> None:
    c, value = loaded.caller, mark()
    doctor = {"resourceType": "Practitioner", "identifier": [{"system": "urn:np", "value": value}]}
    doctor_id = c.post("Practitioner", doctor).json["id"]
    urn = f"urn:uuid:{uuid.uuid4()}"
    seen = observation("", subject={"reference": urn}, note=[{"text": urn}])
    seen["performer"] = [{"reference": f"Practitioner?identifier=urn:np|{value}"}]
    answer = c.post(
        "",
        bundle(
            entry("GET", f"Patient?identifier=urn:e2e|{value}"),
            entry("POST", "Observation", seen),
            entry("POST", "Patient", patient(value), urn),
        ),
    )
    found, stored, made = answer.json["entry"]
    assert answer.json["type"] == "transaction-response"
    assert [e["response"]["status"][:3] for e in (found, stored, made)] == ["200", "201", "201"]
    made_id = made["response"]["location"].split("/_history")[0].rpartition("/")[2]
    assert [e["resource"]["id"] for e in found["resource"]["entry"]] == [made_id]
    kept = c.get(f"Observation?patient={made_id}").json["entry"][0]["resource"]
    assert kept["subject"]["reference"] == f"Patient/{made_id}"
    assert kept["performer"][0]["reference"] == f"Practitioner/{doctor_id}"
    assert kept["note"][0]["text"] == urn, "only references are rewritten"


REFUSED: list[tuple[str, Callable[[str], dict[str, Any]], int]] = [
    ("content", lambda v: entry("POST", "Observation", observation(v, status="nonsense")), 422),
    ("urn-of-nothing", lambda v: entry("POST", "Observation", observation(v, subject={"reference": f"urn:uuid:{uuid.uuid4()}"})), 400),
    ("condition-of-nothing", lambda v: entry("POST", "Observation", observation(v, subject={"reference": "Patient?identifier=urn:e2e|nix"})), 412),
    ("condition-of-several", lambda v: entry("POST", "Observation", observation(v, subject={"reference": f"Patient?identifier=urn:e2e|two{v}"})), 412),
    ("if-none-exist-several", lambda v: entry("POST", "Patient", patient(v), ifNoneExist=f"identifier=urn:e2e|two{v}"), 412),
    ("stale", lambda v: entry("PUT", f"Patient/t-{v}", {"resourceType": "Patient", "id": f"t-{v}"}, ifMatch='W/"9"'), 412),
    ("one-resource-twice", lambda v: entry("DELETE", f"Patient/u-{v}"), 400),
    ("one-resource-twice-by-condition", lambda v: entry("DELETE", f"Patient?identifier=urn:e2e|u{v}"), 400),
    ("type", lambda v: entry("POST", "Frob", {"resourceType": "Frob"}), 400),
    ("types-differ", lambda v: entry("POST", "Observation", patient(v)), 400),
    ("ids-differ", lambda v: entry("PUT", "Patient/other", {"resourceType": "Patient", "id": f"t-{v}"}), 400),
    ("method", lambda v: entry("FROB", "Patient", patient(v)), 400),
    ("no-request", lambda v: {"resource": patient(v)}, 400),
    ("another-server", lambda v: entry("POST", "http://elsewhere.example/fhir/Patient", patient(v)), 400),
]  # fmt: skip


@pytest.mark.parametrize(("make", "status"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_transaction_is_all_or_nothing(
    loaded: Loaded, make: Callable[[str], dict[str, Any]], status: int
) -> None:
    """Its second entry is refused: the first is not written either, and the outcome names the entry."""
    c, value = loaded.caller, mark()
    for _ in range(2):
        c.post("Patient", patient("two" + value))
    c.put(f"Patient/u-{value}", {**patient("u" + value), "id": f"u-{value}"})
    before = compute_state(loaded)
    first = entry("PUT", f"Patient/u-{value}", {**patient("u" + value), "id": f"u-{value}", "active": True})
    answer = c.post("", bundle(first, make(value)))
    assert (answer.status, answer.json["resourceType"]) == (status, "OperationOutcome"), answer.body
    issue = answer.json["issue"][0]
    assert issue["expression"][0].startswith("Bundle.entry[1]"), issue
    if status == 422:
        assert issue["expression"] == ["Bundle.entry[1].resource.status"]
    assert value not in answer.body.decode()
    assert compute_state(loaded) == before
    assert c.get(f"Patient/u-{value}").version == "1"


def test_entries_of_a_batch_stand_alone(loaded: Loaded) -> None:
    value = mark()
    answer = loaded.caller.post(
        "",
        bundle(
            entry("POST", "Patient", patient(value)),
            entry("POST", "Observation", observation(value, status="nonsense")),
            entry("GET", f"Patient/none-{value}"),
            entry("PUT", f"Patient/b-{value}", {"resourceType": "Patient", "id": f"b-{value}"}),
            entry("GET", "metadata"),
            type="batch",
        ),
    )
    statuses = [e["response"]["status"][:3] for e in answer.json["entry"]]
    assert statuses == ["201", "422", "404", "201", "200"]
    assert loaded.caller.get(f"Patient/b-{value}").status == 200


def test_references_to_what_is_absent_are_kept(loaded: Loaded) -> None:
    id = "absent-" + mark()
    made = loaded.caller.post("Observation", observation(id))
    assert made.status == 201
    assert loaded.caller.get(f"Observation?patient={id}").ids == [f"Observation/{made.json['id']}"]
