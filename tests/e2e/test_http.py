"""What FHIR clients expect of HTTP: content types, methods, headers, negotiation."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Loaded
from tests.e2e.node import Caller

EMPTY_BATCH = {"resourceType": "Bundle", "type": "batch"}


@pytest.mark.parametrize("base", ["", "/"])
def test_the_base_with_and_without_slash(loaded: Loaded, base: str) -> None:
    assert loaded.caller.call("POST", base, EMPTY_BATCH).status == 200


def test_head_is_get_without_the_body(loaded: Loaded) -> None:
    for path in (
        f"Patient/{loaded.largest}",
        "metadata",
        "Patient?_count=1",
        f"Patient/{loaded.largest}/_history/1",
    ):
        head, get = loaded.caller.call("HEAD", path), loaded.caller.get(path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(get.body))
        assert head.etag == get.etag


def test_headers_of_a_resource(loaded: Loaded) -> None:
    answer = loaded.caller.get(f"Patient/{loaded.largest}", X_Request_Id="e2e-1")
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["last-modified"].endswith("GMT")
    assert answer.headers["x-request-id"] == "e2e-1"
    assert not {"server", "x-powered-by"} & answer.headers.keys()


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/fhir+json", 200), ("application/json", 200), ("*/*", 200), ("application/*", 200),
        ("application/fhir+json;q=0.9, text/html", 200), ("application/fhir+xml", 406), ("text/html", 406),
        ("application/fhir+json; fhirVersion=3.0", 406),
    ],
)  # fmt: skip
def test_accept(loaded: Loaded, accept: str, status: int) -> None:
    answer = loaded.caller.get("Patient?_count=1", Accept=accept)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("application/fhir+json")


@pytest.mark.parametrize(
    ("format", "status"), [("json", 200), ("application/fhir%2Bjson", 200), ("xml", 406)]
)
def test_format_outweighs_accept(loaded: Loaded, format: str, status: int) -> None:
    assert loaded.caller.get(f"Patient?_count=1&_format={format}", Accept="text/html").status == status


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/fhir+json", 201), ("application/json; charset=UTF-8", 201), ("application/fhir+xml", 415),
        ("text/plain", 415), ("application/fhir+json; charset=latin1", 415),
    ],
)  # fmt: skip
def test_content_type(loaded: Loaded, kind: str, status: int) -> None:
    body = b'{"resourceType":"Basic","code":{"text":"x"}}'
    assert loaded.caller.call("POST", "Basic", body, Content_Type=kind).status == status


def test_methods_that_a_path_does_not_take(loaded: Loaded) -> None:
    answer = loaded.caller.call("PUT", f"Patient/{loaded.largest}/_history/1", {"resourceType": "Patient"})
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert answer.json["resourceType"] == "OperationOutcome"
    assert loaded.caller.call("OPTIONS", "Patient").status in (200, 204)


def test_probes_need_no_token(loaded: Loaded) -> None:
    nobody = Caller(loaded.node.port, "")
    for path in ("/livez", "/readyz", "/fhir/metadata"):
        assert nobody.call("GET", path, prefix="").status == 200, path
    assert nobody.call("GET", "/nothing", prefix="").status == 404


def test_the_statement_is_of_this_server_and_valid(loaded: Loaded) -> None:
    """Interactions that it lists work; what the server says of itself passes its own validation."""
    c = loaded.caller
    metadata = c.get("metadata")
    statement = metadata.json
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == loaded.node.base
    patient = next(r for r in statement["rest"][0]["resource"] if r["type"] == "Patient")
    assert {i["code"] for i in patient["interaction"]} >= {
        "read", "vread", "update", "delete", "history-instance", "history-type", "create", "search-type",
    }  # fmt: skip
    assert {o["name"] for o in patient["operation"]} == {"everything", "emergency-access", "validate"}
    assert {i["code"] for i in statement["rest"][0]["interaction"]} == {"transaction", "batch"}
    id = loaded.largest
    for type, body in (
        ("CapabilityStatement", metadata.body),
        ("Bundle", c.get("Patient?_count=3").body),
        ("Bundle", c.get(f"Patient/{id}/_history").body),
        ("Bundle", c.get(f"Patient/{id}/$everything?_count=20").body),
        ("OperationOutcome", c.get("Patient/none").body),
    ):
        issues = c.post(f"{type}/$validate", body).json["issue"]
        assert [issue["severity"] for issue in issues] == ["information"], (type, issues[:2])
