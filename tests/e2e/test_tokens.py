"""Tokens that do not hold, scopes that do not cover, and one patient's token turned on another patient."""

from __future__ import annotations

import base64
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import Loaded
from tests.e2e.node import Answer, Caller, Node

CHANCE = re.compile(
    r'(?<="resourceType":"Bundle",)"id":"[^"]*"|_cursor=[^"&]*|"lastUpdated":"[^"]*"|"etag":"[^"]*"'
)


@dataclass(slots=True)
class Two:
    """Anna, who asks, and Berta, who is not to be seen. `absent` exists nowhere."""

    anna: str
    berta: str
    absent: str
    caller: Caller
    of_berta: dict[str, str]  # type -> id
    secret: str


@pytest.fixture
def two(loaded: Loaded) -> Two:
    """Two patients with the same kinds of resources; Berta's observation has two versions, another is deleted."""
    mark = uuid.uuid4().hex[:8]
    c, anna, berta, secret = loaded.caller, f"anna-{mark}", f"bert-{mark}", f"Geheimnis{mark}"
    of_berta = {}
    for id, name in ((anna, f"Anna{mark}"), (berta, secret)):
        system = [{"system": "urn:e2e:mrn", "value": f"mrn-{id}"}]
        c.put(
            f"Patient/{id}",
            {"resourceType": "Patient", "id": id, "identifier": system, "name": [{"family": name}]},
        )
        subject: dict[str, Any] = {"subject": {"reference": f"Patient/{id}"}, "identifier": system}
        for resource in (
            {"resourceType": "Observation", "status": "final", "code": {"text": name}, **subject},
            {"resourceType": "Condition", "code": {"text": name}, **subject},
            {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, **subject},
        ):
            made = c.post(str(resource["resourceType"]), resource)
            assert made.status == 201
            if id == berta:
                of_berta[str(resource["resourceType"])] = made.json["id"]
    observation = c.get(f"Observation/{of_berta['Observation']}").json
    c.put(f"Observation/{observation['id']}", {**observation, "status": "amended"})
    bound = loaded.node.caller("patient/*.cruds", patient=anna)
    return Two(anna, berta, "none-" + mark, bound, of_berta, secret)


def compute_shown(answer: Answer, *ids: str) -> tuple[Any, ...]:
    """What the caller can tell two answers apart by: status, headers, body; without ids and chance."""
    body = answer.body.decode()
    for id in ids:
        body = body.replace(id, "ID")
    headers = {k: v for k, v in answer.headers.items() if k not in ("date", "x-request-id", "content-length")}
    return answer.status, headers, CHANCE.sub("", body)


def test_another_patient_is_as_if_absent(two: Two, loaded: Loaded) -> None:
    """Every interaction on what is Berta's answers as on what is nowhere, and changes nothing."""
    asked = [
        ("GET", "{t}/{i}"), ("HEAD", "{t}/{i}"), ("GET", "{t}/{i}/_history/1"), ("GET", "{t}/{i}/_history/2"),
        ("GET", "{t}/{i}/_history"), ("GET", "{t}/{i}/_history?_count=0"), ("DELETE", "{t}/{i}"),
        ("GET", "{t}?_id={i}"), ("GET", "{t}?_id={i}&_total=accurate"), ("GET", "{t}?_id={i}&_summary=count"),
        ("GET", "{t}?_id={i}&_include=*"), ("GET", "{t}?_id={i},{i}"),
    ]  # fmt: skip
    for type, id in [("Patient", two.berta), *two.of_berta.items()]:
        for method, path in asked:
            real = two.caller.call(method, path.format(t=type, i=id))
            none = two.caller.call(method, path.format(t=type, i=two.absent))
            assert compute_shown(real, id) == compute_shown(none, two.absent), (method, path, type)
            assert two.secret not in real.body.decode()
        for header in ({"If_Match": 'W/"1"'}, {"If_Match": 'W/"2"'}):
            real = two.caller.delete(f"{type}/{id}", **header)
            none = two.caller.delete(f"{type}/{two.absent}", **header)
            assert compute_shown(real) == compute_shown(none)
        assert loaded.caller.get(f"{type}/{id}").status == 200


def test_searches_by_or_for_another_patient_find_nothing(two: Two, loaded: Loaded) -> None:
    for query in (
        "Observation?patient={i}", "Observation?subject=Patient/{i}", "Observation?subject:Patient={i}",
        "Observation?subject=" + loaded.node.base + "/Patient/{i}", "Observation?patient={i}&_summary=count",
        "Patient?identifier=urn:e2e:mrn|mrn-{i}", "Patient?_id={i}&_revinclude=Observation:subject",
        "Condition?identifier=mrn-{i}&_total=accurate", "Patient/{i}/$everything", "Patient/{i}/$everything?_type=Observation",
    ):  # fmt: skip
        real, none = (two.caller.get(query.format(i=id)) for id in (two.berta, two.absent))
        assert compute_shown(real, two.berta) == compute_shown(none, two.absent), query
    for type in ("Patient", "Observation", "Condition", "Encounter"):
        for path in (f"{type}?_count=100", f"{type}/_history?_count=100"):
            text = "".join(page.body.decode() for page in two.caller.pages(path))
            assert two.secret not in text
            assert two.berta not in text, "nor its id"
            assert two.anna in text


def test_writes_for_or_over_another_patient(two: Two, loaded: Loaded) -> None:
    """Refused as for a patient who is nowhere; conditions do not see what the caller does not see."""
    c, observation = two.caller, {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    mine = {**observation, "subject": {"reference": f"Patient/{two.anna}"}}

    def both(make: Any) -> None:
        real, none = make(two.berta), make(two.absent)
        assert compute_shown(real, two.berta) == compute_shown(none, two.absent)
        assert real.status in (403, 404, 412)

    both(lambda who: c.post("Observation", {**observation, "subject": {"reference": f"Patient/{who}"}}))
    both(
        lambda who: c.post(
            "Observation", {**observation, "subject": {"reference": f"Patient?identifier=mrn-{who}"}}
        )
    )
    both(lambda who: c.post("Patient", {"resourceType": "Patient"}, If_None_Exist=f"identifier=mrn-{who}"))
    id = two.of_berta["Observation"]
    real, none = (c.put(f"Observation/{i}", {**mine, "id": i}) for i in (id, two.absent))
    assert compute_shown(real, id) == compute_shown(none, two.absent)
    made = c.post("Observation", mine, If_None_Exist=f"identifier=urn:e2e:mrn|mrn-{two.berta}")
    assert made.status == 201, "a condition must not see what the caller does not see"
    gone = c.delete(f"Encounter?identifier=urn:e2e:mrn|mrn-{two.berta}")
    assert gone.status == 204
    assert loaded.caller.get(f"Encounter/{two.of_berta['Encounter']}").status == 200
    assert two.secret in loaded.caller.get(f"Observation/{id}").body.decode()


def test_a_patient_without_a_chart_sees_an_empty_world(loaded: Loaded) -> None:
    """A token may be issued before the patient's first resource is there."""
    caller = loaded.node.caller("patient/*.cruds", patient="nobody-" + uuid.uuid4().hex[:8])
    for path in ("Patient", "Observation?status=final", "Observation/_history", "Encounter?_summary=count"):
        answer = caller.get(path)
        assert (answer.status, answer.ids) == (200, []), path
    assert caller.get(f"Patient/{loaded.largest}").status == 404
    assert caller.get(f"Patient/{loaded.largest}/$everything").status == 404


def test_a_page_link_of_another_caller_shows_no_more(two: Two, loaded: Loaded) -> None:
    """A link is no permission: followed with another token it shows what that token sees."""
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    for page in (
        loaded.caller.get("Observation?status=final&_count=3"),
        loaded.caller.get("Observation?status=final&_sort=-date&_count=3"),
        loaded.caller.get("Observation/_history?_count=3"),
        loaded.caller.call("POST", "Observation/_search", b"status=final&_count=3", **form),
    ):
        following = next(link["url"] for link in page.json["link"] if link["relation"] == "next")
        answer = two.caller.get(following)
        shown = [e["resource"]["subject"]["reference"] for e in answer.json.get("entry", ())]
        assert set(shown) <= {f"Patient/{two.anna}"}
    page = loaded.caller.get(f"Patient/{loaded.largest}/$everything?_count=3")
    following = next(link["url"] for link in page.json["link"] if link["relation"] == "next")
    assert two.caller.get(following).status == 404


def test_bundles_are_authorised_entry_by_entry(two: Two, loaded: Loaded) -> None:
    def make(patient: str, observation: str, type: str, *more: dict[str, Any]) -> dict[str, Any]:
        asked = [("GET", f"Patient/{patient}"), ("GET", f"Patient/{patient}/$everything"), ("GET", f"Observation/{observation}"),
                 ("GET", f"Observation/{observation}/_history/1"), ("GET", f"Observation?_id={observation}"), ("DELETE", f"Observation/{observation}")]  # fmt: skip
        entries = [{"request": {"method": m, "url": u}} for m, u in asked]
        return {"resourceType": "Bundle", "type": type, "entry": [*entries, *more]}

    c, observation = two.caller, two.of_berta["Observation"]
    for type in ("batch", "transaction"):
        real, none = (
            c.post("", make(two.berta, observation, type)),
            c.post("", make(two.absent, two.absent, type)),
        )
        assert compute_shown(real, two.berta, observation) == compute_shown(none, two.absent), type
        assert two.secret not in real.body.decode()
    identifier = [{"system": "urn:e2e", "value": "both-" + two.anna}]
    entries = [
        {"request": {"method": "POST", "url": "Observation"}, "resource": {"resourceType": "Observation", "status": "final",
         "identifier": identifier, "code": {"text": "x"}, "subject": {"reference": f"Patient/{id}"}}}
        for id in (two.anna, two.berta)
    ]  # fmt: skip
    answer = c.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status in (403, 404)
    assert loaded.caller.get(f"Observation?identifier=both-{two.anna}").ids == [], "all or nothing"


def test_outside_the_scope_is_403_on_every_path(two: Two, loaded: Loaded) -> None:
    reader = loaded.node.caller("system/Observation.rs")
    observation = two.of_berta["Observation"]
    for method, path in (
        ("GET", f"Patient/{two.anna}"), ("GET", f"Patient/{two.absent}"), ("GET", "Patient"), ("GET", "Patient?_summary=count"),
        ("GET", f"Patient/{two.anna}/_history"), ("GET", f"Patient/{two.anna}/_history/1"), ("GET", "Patient/_history"),
        ("GET", f"Patient/{two.anna}/$everything"), ("DELETE", f"Observation/{observation}"), ("DELETE", "Observation?status=final"),
    ):  # fmt: skip
        assert reader.call(method, path).status == 403, (method, path)
    body = {"resourceType": "Observation", "id": observation, "status": "final", "code": {"text": "x"}}
    for method, path in (
        ("POST", "Observation"),
        ("PUT", f"Observation/{observation}"),
        ("PUT", "Observation?status=final"),
    ):
        assert reader.call(method, path, body).status == 403, (method, path)
    page = reader.get(f"Observation?_id={observation}&_include=Observation:subject")
    assert page.ids == [f"Observation/{observation}"], "what is included needs a scope too"
    answer = reader.post("", {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": url}} for url in (f"Patient/{two.anna}", f"Observation/{observation}")]})  # fmt: skip
    assert [e["response"]["status"][:3] for e in answer.json["entry"]] == ["403", "200"]
    assert loaded.node.caller("system/*.s").get(f"Patient/{two.anna}").status == 403
    assert loaded.node.caller("system/*.r").get("Patient").status == 403


def test_tokens_that_do_not_hold(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Altered, unsigned, shortened, expired, of another node, in the wrong place, none at all: 401."""
    token, port = loaded.node.token(), loaded.node.port
    head, payload, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    bad = [token[:n] + ("B" if token[n] == "A" else "A") + token[n + 1 :] for n in range(0, len(token), 31)]
    bad += [f"{none}.{payload}.", f"{none}.{payload}.{signature}", f"{head}.{payload}", token + "x", "x"]
    expired = loaded.node.token(expires_s=1)
    other = Node(tmp_path_factory.mktemp("other") / "home", 1).init()
    bad.append(other.token())
    time.sleep(2.1)
    for one in [*bad, expired]:
        answer = Caller(port, one).get("Patient?_count=1")
        assert answer.status == 401, one[:20]
        assert answer.json["issue"][0]["code"] == "login"
        assert "www-authenticate" in answer.headers
    assert Caller(port, "").get("Patient").status == 401
    assert Caller(port, "").get(f"Patient?access_token={token}").status == 401
    assert Caller(port, "").get("metadata").status == 200


def test_a_revoked_token_is_refused_at_once_by_every_worker(loaded: Loaded) -> None:
    token = loaded.node.token()
    callers = [Caller(loaded.node.port, token) for _ in range(16)]
    assert {caller.get("Patient?_count=1").status for caller in callers} == {200}
    loaded.node.command("token.revoke", token=token)
    assert {caller.get("Patient?_count=1").status for caller in callers} == {401}
    for caller in callers:
        caller.close()
