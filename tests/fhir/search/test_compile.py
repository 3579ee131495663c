"""Every R4 search parameter is compiled, save those that are named; blobs hold what was put in."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.fhir.definitions import definitions
from careledger.fhir.search.compile import ERRATA, NOT_COMPILED, PATIENTS_SLOT, pack, search_of, slot_values
from careledger.fhir.search.expressions import parse
from careledger.fhir.search.extract import extract
from careledger.fhir.search.values import DATE, TOKEN, hash8, token, type_tags
from careledger.primitives.errors import Invalid, NotFound

TYPES = definitions().resource_types


def test_every_parameter_is_compiled_but_composites_and_the_named() -> None:
    compiled = 0
    for type in TYPES:
        search = search_of(type)
        left_out = {
            code
            for code, parameter in definitions().search_parameters(type).items()
            if code not in search.parameters and parameter.type != "composite" and parameter.url not in ERRATA
        }
        assert left_out <= NOT_COMPILED
        for code, parameter in search.parameters.items():
            assert parameter.slots or code in ("_id", "_lastUpdated"), (type, code)
        compiled += len(search.parameters)
        assert len(search.slots) < PATIENTS_SLOT
    assert compiled > 2_000


def test_every_expression_parses() -> None:
    parameters = {p.url: p for type in TYPES for p in definitions().search_parameters(type).values()}
    assert len(parameters) > 1_300
    for parameter in parameters.values():
        if parameter.expression:
            parse(parameter.expression)


@pytest.mark.parametrize("text", ["", "Patient.name.first()", "Patient.where(x > 1)", "1 + 1"])
def test_other_fhirpath_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text)


def test_slot_numbers_and_type_tags_are_part_of_the_stored_format() -> None:
    """If this turns red, stored blobs would be read wrongly: raise the version of the blob, then the digest."""
    state = repr(([(type, search_of(type).slots) for type in sorted(TYPES)], sorted(type_tags().items())))
    assert hashlib.sha256(state.encode()).hexdigest()[:16] == DIGEST


DIGEST = "b44dda939d9dc34c"


@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=300)),
        max_size=20,
        unique_by=lambda x: x[0],
    )
)
def test_blob_round_trip(found: list[tuple[int, bytes]]) -> None:
    blob = pack(dict(found))
    for slot in range(255):
        assert slot_values(blob, slot) == dict(found).get(slot, b"")


def test_wide_blob() -> None:
    found = {1: b"a" * 70_000, 2: b"b"}
    assert slot_values(pack(found), 1) == b"a" * 70_000
    assert slot_values(pack(found), 2) == b"b"


def test_choices_casts_and_filters() -> None:
    observation = {
        "resourceType": "Observation",
        "effectivePeriod": {"start": "2020"},
        "valueQuantity": {"value": 1},
        "code": {"coding": [{"code": "x"}]},
        "component": [{"code": {"coding": [{"code": "y"}]}}],
    }
    search = search_of("Observation")
    found = dict(search.values(observation))
    kinds = {
        code: [found.get(slot) for slot in search.parameters[code].slots] for code in ("date", "combo-code")
    }
    assert search.parameters["date"].kind == DATE and kinds["date"][0]
    assert kinds["combo-code"] == [token("", "x"), token("", "y")]
    patient = {"telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}]}
    search = search_of("Patient")
    found = dict(search.values(patient))
    assert found[search.parameters["phone"].slots[0]] == token("", "1")
    assert search.parameters["phone"].kind == TOKEN
    assert search_of("Bundle").elements(
        {"entry": [{"resource": {"id": "a"}}, {"resource": {"id": "b"}}]},
        search_of("Bundle").parameters["composition"],
    ) == [{"id": "a"}]


def test_unknown_type() -> None:
    with pytest.raises(NotFound):
        search_of("Nonsense")


def test_terms_are_few_and_hold_no_text() -> None:
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "Patient/p"},
        "encounter": {"reference": "Encounter/e"},
    }
    found = extract("Observation", observation)
    assert found.terms == ()
    assert len(found.chart_terms) == 3
    assert hash8("8867-4") in found.chart_terms[0] + found.chart_terms[1]
    provenance = {
        "resourceType": "Provenance",
        "target": [{"reference": "Patient/p"}] + [{"reference": f"Observation/{n}"} for n in range(100)],
    }
    assert len(extract("Provenance", provenance).chart_terms) == 2
