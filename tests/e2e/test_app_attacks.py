"""300 stored payloads in every text of a chart, on every screen of the web application: none runs (D7, F10 to F12)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from tests.attack.xss import payloads
from tests.e2e.app import CLINICIAN, PATIENT, Person, at_browser
from tests.e2e.smart import Clinic, open_clinic

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
DAYS = "2026-10-{:02d}T10:00:00Z"


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic in which Pat's whole chart, her doctor and her clinic are called what must not run."""
    folder = tmp_path_factory.mktemp("e2e-poisoned")
    clinic = open_clinic(folder, workers=1)
    try:
        caller = clinic.node.caller()
        texts, left = cycle(payloads()), len(payloads())
        while left > 0:
            for resource in poison(clinic.patients[0], clinic.practitioner, texts):
                answer = caller.post(resource["resourceType"], json.dumps(resource).encode())
                assert answer.status == 201, answer.body[:600]
                left -= json.dumps(resource).count("__ran")
        for path in (f"Patient/{clinic.patients[0]}", clinic.practitioner):
            held = json.loads(caller.get(path).body)
            held["name"] = [{"text": next(texts), "family": next(texts), "given": [next(texts)]}]
            held["address"] = [{"line": [next(texts)], "city": next(texts)}]
            assert caller.put(path, json.dumps(held).encode()).status == 200
        caller.close()
        yield clinic
    finally:
        clinic.node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def poison(patient: str, practitioner: str, texts: Iterator[str]) -> list[dict[str, Any]]:
    """One resource of each kind that the screens show, each text of it a payload."""
    subject = {"reference": f"Patient/{patient}", "display": next(texts)}
    doctor = {"reference": practitioner, "display": next(texts)}

    def concept(system: str = "", code: str = "") -> dict[str, Any]:
        coding = (
            {"system": system, "code": code, "display": next(texts)} if code else {"display": next(texts)}
        )
        return {"coding": [coding], "text": next(texts)}

    clinical = "http://terminology.hl7.org/CodeSystem/"
    category = clinical + "observation-category"
    note = [{"text": next(texts), "authorString": next(texts)}]
    return [
        {"resourceType": "Observation", "status": "final", "subject": subject, "performer": [doctor], "note": note,
         "category": [{"coding": [{"system": category, "code": "laboratory"}], "text": next(texts)}],
         "code": concept(LOINC, "2093-3"), "valueQuantity": {"value": 5, "unit": next(texts)[:60]},
         "referenceRange": [{"text": next(texts)}], "effectiveDateTime": DAYS.format(1)},
        {"resourceType": "Observation", "status": "final", "subject": subject, "code": concept(), "valueString": next(texts),
         "category": [{"coding": [{"system": category, "code": "vital-signs"}]}], "effectiveDateTime": DAYS.format(2)},
        {"resourceType": "Observation", "status": "final", "subject": subject, "code": concept(LOINC, "constructor"),
         "category": [{"coding": [{"system": category, "code": "laboratory"}]}], "effectiveDateTime": DAYS.format(3),
         "valueQuantity": {"value": 5, "unit": "constructor", "code": "__proto__"}, "note": [{"text": "A" * 300_000}]},
        {"resourceType": "Condition", "subject": subject, "code": concept(SNOMED, "38341003"), "note": note,
         "clinicalStatus": {"coding": [{"system": clinical + "condition-clinical", "code": "active"}]},
         "recordedDate": DAYS.format(3)},
        {"resourceType": "AllergyIntolerance", "patient": subject, "code": concept(), "note": note,
         "clinicalStatus": {"coding": [{"system": clinical + "allergyintolerance-clinical", "code": "active"}]},
         "reaction": [{"description": next(texts), "manifestation": [concept()]}]},
        {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": subject, "note": note,
         "medicationCodeableConcept": concept(), "requester": doctor, "authoredOn": DAYS.format(4),
         "dosageInstruction": [{"text": next(texts), "patientInstruction": next(texts)}]},
        {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": subject,
         "medicationCodeableConcept": concept(), "authoredOn": DAYS.format(4),
         "dosageInstruction": [{"asNeededCodeableConcept": concept(), "additionalInstruction": [concept()], "route": concept(),
                                "timing": {"code": concept()}, "doseAndRate": [{"doseQuantity": {"value": 1, "unit": next(texts)[:60]}}]}]},
        {"resourceType": "DiagnosticReport", "status": "final", "code": concept(), "subject": subject, "conclusion": next(texts),
         "conclusionCode": [concept()], "issued": DAYS.format(5),
         "presentedForm": [{"contentType": "text/html", "title": next(texts), "data": "PHNjcmlwdD5fX3Jhbj0xPC9zY3JpcHQ+"}]},
        {"resourceType": "Immunization", "status": "completed", "vaccineCode": concept(), "patient": subject,
         "occurrenceDateTime": DAYS.format(5), "lotNumber": next(texts)},
        {"resourceType": "Encounter", "status": "finished", "type": [concept()], "subject": subject,
         "class": {"system": clinical + "v3-ActCode", "code": "AMB", "display": next(texts)},
         "reasonCode": [concept()], "serviceProvider": {"display": next(texts)}, "period": {"start": DAYS.format(6)}},
        {"resourceType": "DocumentReference", "status": "current", "type": concept(), "subject": subject,
         "description": next(texts), "date": DAYS.format(7), "author": [{"display": next(texts)}],
         "content": [{"attachment": {"contentType": "text/plain", "title": next(texts), "url": "javascript:globalThis.__ran=1"}}]},
        {"resourceType": "Communication", "status": "completed", "subject": subject, "sent": DAYS.format(8),
         "payload": [{"contentString": next(texts)}], "note": note},
    ]  # fmt: skip


def visit(person: Person, paths: tuple[str, ...]) -> None:
    """Each screen, everything on it that opens opened; nothing of it ran."""
    page = person.page
    for path in paths:
        if path == "/app/chart":
            page.get_by_role("link", name="Patients").first.click()
            page.locator("main a, main button, main [role=option], main tr").first.wait_for()
            continue
        person.open(path)
        folds = page.locator("main details:not([open]) > summary")
        for _ in range(min(20, folds.count())):
            if folds.count():
                folds.first.click()  # one that is open is in the list no longer
        for button in page.locator("main button[aria-expanded=false]").all()[:10]:
            button.click()
        page.mouse.wheel(0, 4000)
        assert page.evaluate("() => globalThis.__ran") is None, path
        assert page.title() == "CareLedger"
    assert [
        one for one in person.complaints if "javascript:" in one or "dialog" in one or "Refused" in one
    ] == []


@pytest.mark.slow
def test_nothing_that_stands_in_a_chart_runs_for_its_patient(poisoned: Clinic, browser: Any) -> None:
    with at_browser(browser, poisoned, "Pat") as person:
        visit(person, PATIENT)
        assert all(url.startswith((poisoned.origin, "blob:")) for url in person.asked), person.asked[-5:]
        assert person.page.locator("main a[href^='javascript']").count() == 0


@pytest.mark.slow
def test_nothing_that_stands_in_a_chart_runs_for_a_clinician(poisoned: Clinic, browser: Any) -> None:
    with at_browser(browser, poisoned, "Clin") as person:
        visit(person, CLINICIAN)
        page = person.page
        page.keyboard.press("Control+k")
        page.get_by_role("combobox", name="Go to").fill("ran")
        page.wait_for_timeout(600)
        assert page.evaluate("() => globalThis.__ran") is None
        assert all(url.startswith((poisoned.origin, "blob:")) for url in person.asked), person.asked[-5:]
