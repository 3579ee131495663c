"""A directive's readable Consent is the node's: no way of writing over FHIR reaches it, and all other Consents are records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from careledger.access.actor import Actor
from careledger.access.scopes import parse_scopes
from careledger.fhir import writing
from careledger.fhir.messages import FhirResponse
from tests.faults.rig import Node, new_home, node_of, observation, patient
from tests.fhir.client import Client, of
from tests.node.consenting import Device


@dataclass(slots=True)
class Scene:
    """Anna has decided; the node keeps the Consent `form` of it. `caller` writes what `altered` says."""

    node: Node
    anna: Device
    directive: str
    form: str
    caller: Client

    def resource(self) -> dict[str, Any]:
        return of(self.node.client.get(f"Consent/{self.form}"))

    def altered(self, **more: Any) -> dict[str, Any]:
        return {**self.resource(), "status": "rejected", **more}

    def herself(self) -> Client:
        scopes = parse_scopes("patient/*.cruds")
        organisation = self.node.service.context.backend.organisation
        who = Actor("Patient/anna", "app", organisation, scopes, patient="anna", account="a-1")
        return Client(self.node.service.context.backend, who, self.node.client.app)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with node_of(new_home(tmp_path / "home")) as node:
        for name in ("anna", "berta"):
            assert node.client.put(f"Patient/{name}", patient(name)).status == 201
        anna = Device(node.command, "anna", bytes([1]) * 32)
        anna.enrol()
        id = anna.grant()
        (shown,) = node.command("consent.list", patient="anna")["directives"]
        yield Scene(node, anna, id, shown["consent"].removeprefix("Consent/"), node.client)


def bundle(kind: str, *entries: tuple[str, str, dict[str, Any] | None]) -> dict[str, Any]:
    def entry(method: str, url: str, resource: dict[str, Any] | None) -> dict[str, Any]:
        return {"request": {"method": method, "url": url}, **({"resource": resource} if resource else {})}

    return {"resourceType": "Bundle", "type": kind, "entry": [entry(*one) for one in entries]}


Act = Callable[[Scene], FhirResponse]
MINE = "identifier=urn:careledger:directive|"

WAYS: dict[str, Act] = {
    "update": lambda s: s.caller.put(f"Consent/{s.form}", s.altered()),
    "update of the version seen": lambda s: s.caller.put(f"Consent/{s.form}", s.altered(), if_match='W/"1"'),
    "update of another version": lambda s: s.caller.put(f"Consent/{s.form}", s.altered(), if_match='W/"7"'),
    "the same again": lambda s: s.caller.put(f"Consent/{s.form}", s.resource()),
    "without its identifier": lambda s: s.caller.put(f"Consent/{s.form}", s.altered(identifier=[{"value": "x"}])),
    "into another chart": lambda s: s.caller.put(
        f"Consent/{s.form}", s.altered(patient={"reference": "Patient/berta"})
    ),
    "conditional update": lambda s: s.caller.put(f"Consent?{MINE}{s.directive}", s.altered()),
    "conditional update that finds nothing": lambda s: s.caller.put(
        "Consent?identifier=urn:x|none", s.altered()
    ),
    "delete": lambda s: s.caller.send("DELETE", f"Consent/{s.form}"),
    "delete of the version seen": lambda s: s.caller.send("DELETE", f"Consent/{s.form}", if_match='W/"1"'),
    "conditional delete": lambda s: s.caller.send("DELETE", f"Consent?{MINE}{s.directive}"),
}  # fmt: skip
for _kind in ("batch", "transaction"):
    for _name, _method, _url in (
        ("update", "PUT", "Consent/{form}"),
        ("conditional update", "PUT", "Consent?" + MINE + "{directive}"),
        ("delete", "DELETE", "Consent/{form}"),
        ("conditional delete", "DELETE", "Consent?" + MINE + "{directive}"),
    ):

        def _act(s: Scene, kind: str = _kind, method: str = _method, url: str = _url) -> FhirResponse:
            where = url.format(form=s.form, directive=s.directive)
            return s.caller.post("", bundle(kind, (method, where, s.altered() if method == "PUT" else None)))

        WAYS[f"{_name} in a {_kind}"] = _act


def outcome(answer: FhirResponse) -> tuple[int, dict[str, Any]]:
    """Status and the one issue; of the entry if it is a batch's."""
    found = of(answer)
    if found["resourceType"] == "Bundle":
        response = found["entry"][0]["response"]
        return int(response["status"][:3]), response["outcome"]["issue"][0]
    return answer.status, found["issue"][0]


@pytest.mark.parametrize("who", ["a client of the house", "herself"])
@pytest.mark.parametrize("way", WAYS)
def test_nobody_writes_the_consent_of_a_directive_over_fhir(scene: Scene, way: str, who: str) -> None:
    if who == "herself":
        scene.caller = scene.herself()
    scene.node.rest()
    history = of(scene.node.client.get(f"Consent/{scene.form}/_history"))["entry"]
    status, issue = outcome(WAYS[way](scene))
    if who == "herself" and way.startswith("into another"):
        assert status == 403, "she writes into her own chart alone"
    else:
        assert (status, issue["code"]) == (409, "conflict")
        assert issue["details"]["coding"][0]["code"] == "form-of-a-directive"
        assert "hint: revoke or supersede the directive with the patient's key" in issue["diagnostics"]
    assert of(scene.node.client.get(f"Consent/{scene.form}/_history"))["entry"] == history
    (shown,) = scene.node.command("consent.list", patient="anna")["directives"]
    assert (shown["status"], scene.resource()["status"]) == ("active", "active")
    scene.anna.revoke(scene.directive)
    assert scene.resource()["status"] == "inactive", "the node itself goes on"
    scene.caller = scene.node.client
    assert outcome(WAYS["update"](scene))[0] == 409, "a revoked one's as well"


def test_patch_is_not_there(scene: Scene) -> None:
    assert scene.caller.send("PATCH", f"Consent/{scene.form}", b"[]").status in (405, 501)
    assert scene.resource()["meta"]["versionId"] == "1"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_transaction_with_one_such_entry_writes_nothing(scene: Scene, method: str) -> None:
    others = (
        ("PUT", "Observation/pulse", observation("pulse", "anna", 70)),
        (method, f"Consent/{scene.form}", scene.altered() if method == "PUT" else None),
    )
    answer = scene.caller.post("", bundle("transaction", *others))
    [issue] = of(answer)["issue"]
    assert (answer.status, issue["details"]["coding"][0]["code"]) == (409, "form-of-a-directive")
    assert issue["expression"] == ["Bundle.entry[1]"]
    assert scene.caller.get("Observation/pulse").status == 404
    found = of(scene.caller.post("", bundle("batch", *others)))["entry"]
    assert [one["response"]["status"][:3] for one in found] == ["201", "409"], "a batch's others stand alone"
    assert scene.resource()["meta"]["versionId"] == "1"


def test_a_consent_that_no_directive_names_is_a_record_like_any_other(scene: Scene) -> None:
    """Also one that bears the identifier of a directive, and one of a chart without any."""
    copied = {name: value for name, value in scene.altered().items() if name not in ("id", "meta")}
    for subject in ("anna", "berta"):
        made = scene.caller.made({**copied, "patient": {"reference": f"Patient/{subject}"}})
        changed = {**made, "status": "inactive"}
        assert scene.caller.put(f"Consent/{made['id']}", changed, if_match='W/"1"').status == 200
        assert scene.caller.send("DELETE", f"Consent/{made['id']}").status == 204
        assert scene.caller.put(f"Consent/{made['id']}", changed).status == 201
    assert scene.resource()["meta"]["versionId"] == "1"


def test_who_may_not_see_it_is_told_nothing_of_it(scene: Scene) -> None:
    """A deny hides the Consent from its writer: absent, there or not."""
    osler = Actor("did:x:o", "ward", scene.caller.who.organisation, parse_scopes("user/*.cruds"),
                  account="a-2", practitioner="osler")  # fmt: skip
    scene.caller = Client(scene.caller.backend, osler, scene.caller.app)
    assert outcome(WAYS["update"](scene))[0] == 409
    scene.anna.grant(to=(scene.caller.who.organisation,), deny=True, type=("Consent",), purpose=())
    body = {"resourceType": "Consent", "id": scene.form, "status": "active", "scope": {"text": "x"},
            "category": [{"text": "x"}], "patient": {"reference": "Patient/anna"},
            "policyRule": {"text": "x"}}  # fmt: skip
    assert scene.caller.put(f"Consent/{scene.form}", body).status == 404
    assert scene.caller.send("DELETE", f"Consent/{scene.form}").status == 204


def test_what_an_earlier_program_let_pass_is_put_right_by_the_node_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved into another chart, or deleted, before this was refused: still the directive's, still nobody's to write."""
    altered = scene.altered(patient={"reference": "Patient/berta"})
    with monkeypatch.context() as earlier:
        earlier.setattr(writing, "check_form", lambda _asking, _current: None)
        assert scene.caller.put(f"Consent/{scene.form}", altered).status == 200
    assert outcome(WAYS["update"](scene))[0] == 409
    scene.anna.revoke(scene.directive)
    shown = scene.resource()
    assert (shown["status"], shown["patient"]["reference"]) == ("inactive", "Patient/anna")
    with monkeypatch.context() as earlier:
        earlier.setattr(writing, "check_form", lambda _asking, _current: None)
        assert scene.caller.send("DELETE", f"Consent/{scene.form}").status == 204
    answer = scene.caller.put(f"Consent/{scene.form}", shown)
    assert outcome(answer)[0] == 409, "it is not brought back either"
    assert json.loads(answer.body)["issue"][0]["details"]["coding"][0]["code"] == "form-of-a-directive"


def test_erasure_and_shredding_go_on(scene: Scene) -> None:
    scene.anna.revoke(scene.directive)
    scene.node.command("erase", reference=f"Consent/{scene.form}/_history/1", reason="misfiled")
    assert scene.caller.get(f"Consent/{scene.form}/_history/1").status == 410
    assert outcome(WAYS["delete"](scene))[0] == 409
    scene.node.command("shred", patient="anna", reason="asked for")
    assert scene.node.fsck() == []
