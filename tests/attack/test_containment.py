"""What is put inside another resource is not put out of its patient's sight."""

from __future__ import annotations

import pytest

from careledger.fhir.charts import patients_of
from tests.fhir.client import observation


def bundle(*resources: object) -> dict[str, object]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


BOBS = {**observation("bob"), "id": "x"}
HELD: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "a Bundle in a Bundle": (bundle(observation("ada"), bundle(bundle(BOBS))), ("ada", "bob")),
    "contained": ({**observation("ada"), "contained": [BOBS]}, ("ada", "bob")),
    "contained in what anybody reads": ({"resourceType": "Location", "contained": [BOBS]}, ("bob",)),
    "contained in a Bundle": (
        bundle({**observation("ada"), "contained": [BOBS]}),
        ("ada", "bob"),
    ),
    "a contained Patient is a fragment": (
        {**observation("ada"), "contained": [{"resourceType": "Patient", "id": "bob"}]},
        ("ada",),
    ),
    "contained of the same patient": ({**observation("bob"), "contained": [BOBS]}, ("bob",)),
}


@pytest.mark.parametrize("name", HELD)
def test_what_is_held_within_counts(name: str) -> None:
    resource, patients = HELD[name]
    assert patients_of(resource) == patients
