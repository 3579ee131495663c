"""Directives on the real server: granted by the command line, used by somebody else's token, revoked, and gone."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from careledger.cli.run import run
from tests.e2e.conftest import Loaded
from tests.e2e.node import Answer, Caller

VITAL = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
UNTIL = ("--until", "2999-12-31")


@dataclass(slots=True)
class Ward:
    """Anna and her records here, the custodian's caller, and a caller of another organisation."""

    anna: str
    observation: str
    condition: str
    house: Caller
    other: Caller
    organisation: str
    key: str
    _words: Callable[..., str]

    def do(self, *words: str) -> str:
        """Stdout of a command that succeeds."""
        return self._words(*words)

    def grant(self, *terms: str) -> str:
        return self.do("consent", "grant", self.anna, *terms, *UNTIL, "--key", self.key)

    def permit(self, *terms: str) -> str:
        return self.grant("--to", self.organisation, "--purpose", "TREAT", *terms)

    def listed(self) -> dict[str, dict[str, Any]]:
        found = json.loads(self.do("consent", "list", self.anna, "--json"))["directives"]
        return {one["id"]: one for one in found}

    def sees(self, caller: Caller) -> set[str]:
        """What of Anna's record the caller finds by searching and by reading; both must agree."""
        found = set()
        for type, id in (("Observation", self.observation), ("Condition", self.condition)):
            hits = caller.get(f"{type}?_id={id}")
            read = caller.get(f"{type}/{id}")
            assert hits.status == 200, hits.body
            assert (read.status == 200) == (f"{type}/{id}" in hits.ids), (type, read.status, hits.ids)
            assert hits.json["total"] == len(hits.ids)
            if read.status == 200:
                found.add(type)
            else:
                assert read.status == 404
        return found

    def explain(self, caller: Caller, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.do("consent", "explain", caller.token, reference, "--json"))
        return found


@pytest.fixture
def ward(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ward:
    mark = uuid.uuid4().hex[:12]
    anna, organisation = f"anna-{mark}", "did:careledger:" + uuid.uuid4().hex * 2
    made: Answer = loaded.caller.put(f"Patient/{anna}", {"resourceType": "Patient", "id": anna})
    assert made.status == 201
    subject = {"subject": {"reference": f"Patient/{anna}"}}
    vital = {"status": "final", "category": [{"coding": [VITAL]}], "code": {"text": "pulse"}}
    ids = [
        loaded.caller.post(type, {"resourceType": type, **body, **subject}).json["id"]
        for type, body in (("Observation", vital), ("Condition", {"code": {"text": "cold"}}))
    ]
    monkeypatch.setenv("CARELEDGER_HOME", str(loaded.node.home))

    def words(*words: str) -> str:
        assert run(words) == 0, capsys.readouterr().err
        return capsys.readouterr().out.strip()

    key = str(tmp_path / "anna.key")
    words("patient", "enrol", anna, "--key-out", key)
    other = loaded.node.caller("system/*.rs", org=organisation)
    return Ward(anna, ids[0], ids[1], loaded.caller, other, organisation, key, words)


def test_granted_used_revoked_and_gone(ward: Ward) -> None:
    everything = {"Observation", "Condition"}
    assert ward.sees(ward.other) == set()
    assert ward.explain(ward.other, f"Observation/{ward.observation}")["rule"] == "no-directive"
    some = ward.permit("--category", f"{VITAL['system']}|{VITAL['code']}", "--type", "Observation")
    assert ward.sees(ward.other) == {"Observation"}
    whole = ward.permit()
    assert ward.sees(ward.other) == everything
    explained = ward.explain(ward.other, f"Condition/{ward.condition}")
    assert (explained["rule"], explained["directives"]) == ("directive-permit", [whole])
    deny = ward.grant("--to", ward.organisation, "--deny", "--type", "Condition")
    assert ward.sees(ward.other) == {"Observation"}
    explained = ward.explain(ward.other, f"Condition/{ward.condition}")
    assert (explained["answer"], explained["directives"]) == ("absent", [deny])
    ward.do("consent", "revoke", deny, "--key", ward.key)
    assert ward.sees(ward.other) == everything
    ward.do("consent", "revoke", whole, "--key", ward.key)
    assert ward.sees(ward.other) == {"Observation"}
    ward.do("consent", "revoke", some, "--key", ward.key)
    assert ward.sees(ward.other) == set()
    assert {one["status"] for one in ward.listed().values()} == {"revoked"}
    assert ward.sees(ward.house) == everything


def test_a_revocation_holds_in_every_worker_when_it_returns(ward: Ward) -> None:
    """Twenty fresh connections land on every worker; none answers on the revoked directive's authority."""
    for _ in range(3):
        id = ward.permit()
        callers = [Caller(ward.other.port, ward.other.token) for _ in range(20)]
        assert {one.get(f"Observation/{ward.observation}").status for one in callers} == {200}
        ward.do("consent", "revoke", id, "--key", ward.key)
        assert {one.get(f"Observation/{ward.observation}").status for one in callers} == {404}
        for one in callers:
            one.close()


def test_superseding_replaces_what_was_granted(ward: Ward) -> None:
    old = ward.permit()
    new = ward.do(
        "consent", "supersede", old, "--to", ward.organisation, "--purpose", "TREAT", "--type", "Condition",
        *UNTIL, "--key", ward.key,
    )  # fmt: skip
    assert ward.sees(ward.other) == {"Condition"}
    held = ward.listed()
    assert (held[old]["status"], held[new]["status"], held[new]["supersedes"]) == ("revoked", "active", old)
    statuses = {
        one["identifier"][0]["value"]: one["status"]
        for one in (
            entry["resource"] for entry in ward.house.get(f"Consent?patient={ward.anna}").json["entry"]
        )
    }
    assert statuses == {old: "inactive", new: "active"}


def test_a_deny_binds_the_custodian_too(ward: Ward, loaded: Loaded) -> None:
    did = loaded.node.command("config")["did"]
    id = ward.grant("--to", did, "--deny", "--type", "Condition")
    assert ward.sees(ward.house) == {"Observation"}
    ward.do("consent", "revoke", id, "--key", ward.key)
    assert ward.sees(ward.house) == {"Observation", "Condition"}


def test_a_consent_over_fhir_changes_no_decision(ward: Ward) -> None:
    """Copied with every field from a directive's own Consent it is a record without force; that one itself is the node's."""
    id = ward.permit("--type", "Condition")
    shown = ward.house.get(ward.listed()[id]["consent"]).json
    forged = {**shown, "provision": {**shown["provision"], "class": [{"code": "Observation"}]}}
    assert ward.house.post("Consent", {k: v for k, v in forged.items() if k != "id"}).status == 201
    assert ward.sees(ward.other) == {"Condition"}
    for refused in (
        ward.house.put(f"Consent/{shown['id']}", forged),
        ward.house.put(f"Consent/{shown['id']}", {**shown, "status": "inactive"}),
        ward.house.delete(f"Consent/{shown['id']}"),
    ):
        assert refused.status == 409
        assert refused.json["issue"][0]["details"]["coding"][0]["code"] == "form-of-a-directive"
    assert ward.house.get(ward.listed()[id]["consent"]).json == shown
    assert ward.sees(ward.other) == {"Condition"}
    ward.do("consent", "revoke", id, "--key", ward.key)
    assert ward.sees(ward.other) == set()


def test_a_practitioner_and_a_role_are_named(ward: Ward, loaded: Loaded) -> None:
    ward.grant("--to", "Practitioner/osler", "--purpose", "TREAT", "--type", "Condition")
    osler = loaded.node.caller("system/*.rs", org=ward.organisation, practitioner="osler")
    assert ward.sees(osler) == {"Condition"}
    assert ward.sees(ward.other) == set()
    assert ward.explain(osler, f"Observation/{ward.observation}")["permit"] is False
