"""The CapabilityStatement says what is served, no more and no less."""

from __future__ import annotations

import pytest

from careledger.fhir import json
from careledger.fhir.definitions import definitions
from careledger.fhir.http import HANDLERS
from careledger.fhir.refusals import Refused
from careledger.fhir.routes import ROUTES, match
from careledger.fhir.validation import validate
from tests.fhir.client import Client, header, of

TYPES = frozenset(definitions().resource_types)


def test_the_statement_is_valid_fhir_and_needs_no_token(client: Client) -> None:
    client.who = None  # type: ignore[assignment]
    answer = client.get("metadata")
    assert answer.status == 200
    assert validate(json.loads(answer.body)) == []
    assert of(answer)["fhirVersion"] == "4.0.1"
    assert {resource["type"] for resource in of(answer)["rest"][0]["resource"]} == TYPES
    assert client.get("metadata", if_none_match=header(answer, "etag")).status == 304
    assert client.get("metadata?mode=terminology").status == 501
    assert client.get("metadata?_format=xml").status == 406


def test_every_stated_interaction_is_routed_and_every_route_is_stated(client: Client) -> None:
    rest = of(client.get("metadata"))["rest"][0]
    observation = next(found for found in rest["resource"] if found["type"] == "Observation")
    stated = {found["code"] for found in observation["interaction"]}
    assert stated == {
        "read",
        "vread",
        "update",
        "delete",
        "history-instance",
        "history-type",
        "create",
        "search-type",
    }
    assert {found["code"] for found in rest["interaction"]} == {"transaction", "batch"}
    operations = {
        found["type"]: {operation["name"] for operation in found.get("operation", ())}
        for found in rest["resource"]
    }
    assert operations["Patient"] == {"validate", "everything", "emergency-access"}
    assert operations["Observation"] == {"validate"}
    assert {route.interaction for route in ROUTES} == {*HANDLERS, "capabilities", "bundle"}


def test_every_stated_search_parameter_is_searched(client: Client) -> None:
    rest = of(client.get("metadata"))["rest"][0]
    patient = next(found for found in rest["resource"] if found["type"] == "Patient")
    for parameter in patient["searchParam"]:
        answer = client.get(f"Patient?{parameter['name']}:missing=true", prefer="handling=strict")
        assert answer.status == 200, parameter
        assert parameter["definition"].startswith("http://hl7.org/fhir/SearchParameter/")


MATCHES = [
    ("GET", "Patient", "search"),
    ("GET", "Patient/1", "read"),
    ("GET", "Patient/1/_history", "history_instance"),
    ("GET", "Patient/_history", "history_type"),
    ("GET", "Patient/1/_history/2", "vread"),
    ("GET", "Patient/1/$everything", "everything"),
    ("POST", "Patient/_search", "search"),
    ("POST", "", "bundle"),
    ("GET", "Patient/1/$export", 501),
    ("GET", "Observation/1/$everything", 501),
    ("GET", "Patient/1/Observation", 404),
    ("GET", "Patient/1/2/3/4", 404),
    ("GET", "$export", 501),
    ("POST", "Patient/1", 405),
    ("PATCH", "Patient/1", 405),
    ("BREW", "Patient/1", 501),
    ("GET", "Patient/a_b", 400),
    ("GET", "{type}/1", 404),
    ("GET", "Patient/{id}", 400),
]


@pytest.mark.parametrize("method, path, expected", MATCHES)
def test_paths_lead_to_interactions(method: str, path: str, expected: str | int) -> None:
    segments = tuple(path.split("/")) if path else ()
    if isinstance(expected, str):
        assert match(method, segments, TYPES).interaction == expected
        return
    with pytest.raises(Refused) as refused:
        match(method, segments, TYPES)
    assert refused.value.status == expected
