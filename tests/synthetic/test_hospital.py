"""The demo hospital: the same everywhere, valid, coherent, closed in itself."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest

from careledger.fhir import json as fhir_json
from careledger.fhir.validation import validate
from careledger.synthetic import encode, first_patient_id, hospital, write_bundles
from careledger.synthetic.lives import REFERENCE_DATE

PATIENTS = 12
DIGEST = "32ccf7a3ece01853221e557a01a94ec60a52221c8b5df98484aa952608cb2700"


@pytest.fixture(scope="module")
def bundles() -> list[dict[str, Any]]:
    return list(hospital(patients=PATIENTS))


def resources(bundle: dict[str, Any], *types: str) -> list[dict[str, Any]]:
    return [e["resource"] for e in bundle["entry"] if not types or e["resource"]["resourceType"] in types]


def test_same_seed_same_bytes(bundles):
    """Pinned: another Python or machine must make the same patients."""
    assert hashlib.sha256(b"".join(map(encode, bundles))).hexdigest() == DIGEST


def test_patients_do_not_depend_on_how_many_there_are(bundles):
    assert [encode(b) for b in hospital(patients=3)] == [encode(b) for b in bundles[:4]]
    assert encode(next(iter(hospital(seed=2)))) != encode(bundles[0])


def test_every_resource_is_valid_r4(bundles):
    for bundle in bundles:
        for resource in resources(fhir_json.loads(encode(bundle))):
            assert validate(resource) == []


def test_every_reference_resolves(bundles):
    """Within the Bundle by urn:uuid, to the house by an identifier that the first Bundle creates."""
    house = {
        f"{resource['resourceType']}?identifier={one['system']}|{one['value']}"
        for resource in (entry["resource"] for entry in bundles[0]["entry"])
        for one in resource["identifier"]
    }
    for bundle in bundles:
        known = {e["fullUrl"] for e in bundle["entry"]}
        assert len(known) == len(bundle["entry"])
        for reference in iter_references(bundle):
            assert reference in known or reference in house or reference.startswith("#"), reference


def test_first_patient_is_where_the_welcome_says(bundles, tmp_path):
    first = bundles[1]["entry"][0]
    assert first["request"] == {"method": "PUT", "url": f"Patient/{first_patient_id()}"}
    paths = write_bundles(tmp_path, 1)
    assert [path.name for path in paths] == ["hospitalInformation.json", "patient-0001.json"]
    assert paths[1].read_bytes() == encode(bundles[1])


def test_nothing_before_birth_or_after_the_reference_date(bundles):
    for bundle in bundles[1:]:
        patient = bundle["entry"][0]["resource"]
        visits = resources(bundle, "Encounter")
        starts = [visit["period"]["start"][:10] for visit in visits]
        assert starts == sorted(starts)
        assert patient["birthDate"] <= starts[0] and starts[-1] <= REFERENCE_DATE.isoformat()
        for value in resources(bundle, "Observation"):
            assert value["effectiveDateTime"][:10] in starts


def test_treatment_follows_diagnosis_and_helps():
    """Hypertension: found high, then an order, then lower on average. Diabetes: HbA1c is followed and falls."""
    before, after, first_hba1c, last_hba1c = [], [], [], []
    for bundle in list(hospital(patients=50))[1:]:
        onset = {c["code"]["coding"][0]["code"]: c["onsetDateTime"] for c in resources(bundle, "Condition")}
        if found := onset.get("59621000"):
            orders = [
                m["authoredOn"] for m in resources(bundle, "MedicationRequest") if "lisinopril" in str(m)
            ]
            assert orders and min(orders) >= found
            systolic = [
                (o["effectiveDateTime"], o["component"][1]["valueQuantity"]["value"])
                for o in resources(bundle, "Observation")
                if "component" in o
            ]
            before += [value for when, value in systolic if when == found]
            after += [value for when, value in systolic if when[:10] > f"{int(found[:4]) + 1}{found[4:10]}"]
        if found := onset.get("44054006"):
            series = [
                o["valueQuantity"]["value"]
                for o in resources(bundle, "Observation")
                if o["code"]["coding"][0]["code"] == "4548-4" and o["effectiveDateTime"] >= found
            ]
            first_hba1c.append(series[0])
            last_hba1c.append(series[-1])
    assert min(map(len, (before, after, first_hba1c))) >= 3
    assert sum(after) / len(after) < sum(before) / len(before) - 10
    assert sum(last_hba1c) < sum(first_hba1c)


def test_money_adds_up(bundles):
    for bundle in bundles[1:]:
        claims = {"urn:uuid:" + c["id"]: c for c in resources(bundle, "Claim")}
        answers = resources(bundle, "ExplanationOfBenefit")
        assert len(answers) == len(claims) == len(resources(bundle, "Encounter"))
        for answer in answers:
            claim = claims[answer["claim"]["reference"]]
            priced = [item["net"]["value"] for item in claim["item"] if "net" in item]
            assert answer["total"][0]["amount"] == claim["total"]
            assert claim["total"]["value"] - sum(priced) > 0
            assert answer["payment"]["amount"]["value"] <= sum(priced, Decimal(0))


def test_sizes_and_kinds(bundles):
    """A chart of a useful size; decimals keep their places; every promised type occurs."""
    counts = [len(bundle["entry"]) for bundle in bundles[1:]]
    assert all(80 <= count <= 450 for count in counts) and 150 <= sum(counts) / len(counts) <= 300
    text = b"".join(map(encode, bundles))
    for kind in (
        "MedicationRequest",
        "Immunization",
        "AllergyIntolerance",
        "Procedure",
        "CarePlan",
        "Provenance",
    ):
        assert f'"resourceType":"{kind}"'.encode() in text
    assert b'"value":136.00,' in text and any(letter.encode() in text for letter in "éøüñ")


def iter_references(value: Any):
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "reference":
                yield item
            else:
                yield from iter_references(item)
    elif isinstance(value, list):
        for item in value:
            yield from iter_references(item)
