"""The reference that decides the chart, type by type."""

from __future__ import annotations

from typing import Any

import pytest

from careledger.fhir.charts import DECIDES, patients_of
from careledger.fhir.definitions import definitions

BASE = "https://here.example/fhir"


def ref(text: str) -> dict[str, str]:
    return {"reference": text}


@pytest.mark.parametrize(
    ("resource", "patients"),
    [
        ({"resourceType": "Patient", "id": "p"}, ("p",)),
        ({"resourceType": "Observation", "subject": ref("Patient/p")}, ("p",)),
        ({"resourceType": "Observation", "subject": ref("Patient/p/_history/2")}, ("p",)),
        ({"resourceType": "Observation", "subject": ref(BASE + "/Patient/p")}, ("p",)),
        ({"resourceType": "Observation", "subject": ref("https://else.example/Patient/p")}, ()),
        ({"resourceType": "Observation", "subject": ref("Group/p")}, ()),
        ({"resourceType": "Observation", "subject": ref("Patient/p/x")}, ()),
        ({"resourceType": "Observation", "subject": ref("Patient/" + "p" * 65)}, ()),
        ({"resourceType": "Observation", "performer": [ref("Patient/q")]}, ("q",)),
        (
            {"resourceType": "Observation", "subject": ref("Patient/p"), "performer": [ref("Patient/q")]},
            ("p",),
        ),
        (
            {"resourceType": "Claim", "patient": ref("Patient/p"), "payee": {"party": ref("Patient/q")}},
            ("p",),
        ),
        ({"resourceType": "Provenance", "target": [ref("Patient/p"), ref("Observation/o")]}, ("p",)),
        ({"resourceType": "Group", "member": [{"entity": ref("Patient/" + x)} for x in "pqp"]}, ("p", "q")),
        (
            {"resourceType": "Appointment", "participant": [{"actor": ref("Patient/p")}, {"status": "x"}]},
            ("p",),
        ),
        ({"resourceType": "Practitioner", "id": "p"}, ()),
        ({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "p"}}]}, ("p",)),
        ({"resourceType": "Observation", "subject": "Patient/p"}, ()),
        ({"resourceType": ["Patient"], "id": "p"}, ()),
    ],
)
def test_patients_of(resource: dict[str, Any], patients: tuple[str, ...]) -> None:
    assert patients_of(resource, BASE) == patients


def test_every_type_of_the_patient_compartment_has_its_row_and_every_path_exists() -> None:
    types = {type for type, codes in definitions().compartment("Patient").items() if codes}
    assert types - {"Patient"} <= set(DECIDES)
    for type, groups in DECIDES.items():
        for path in (path for group in groups for path in group):
            current = [type]
            for step in path.split("."):
                current = [
                    e.type
                    for name in current
                    for e in definitions().type(name).elements.values()
                    if e.name == step
                ]
            assert "Reference" in current, (type, path)
