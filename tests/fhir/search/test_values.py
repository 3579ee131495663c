"""Dates, decimals, strings, tokens and references, one row a rule."""

from __future__ import annotations

from typing import Any

import pytest

from careledger.fhir.search.chartindex import ChartIndexCache
from careledger.fhir.search.dates import date_range
from careledger.fhir.search.execute import search
from careledger.fhir.search.query import parse
from careledger.primitives.errors import Invalid
from tests.fhir.search.fake import Store, decode

DAY = 86_400_000
BASE = "https://here.example/fhir"


def finds(resource: dict[str, Any], name: str, value: str) -> bool:
    store = Store()
    store.put({"id": "x", **resource})
    with store.snapshot() as snapshot:
        query = parse(
            resource["resourceType"], [(name, value)], strict=True, base=BASE, now_ms=1_600_000_000_000
        )
        return [match.id for match in search(snapshot, ChartIndexCache(), query).matches] == ["x"]


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("1970", 0, 365 * DAY),
        ("1970-02", 31 * DAY, 59 * DAY),
        ("2020-02", 18293 * DAY, 18322 * DAY),
        ("1969-12-31", -DAY, 0),
        ("1970-01-01T00:00Z", 0, 60_000),
        ("1970-01-01T00:00:00Z", 0, 1000),
        ("1970-01-01T00:00:00", 0, 1000),
        ("1970-01-01T02:00:00+02:00", 0, 1000),
        ("1970-01-01T02:00:00 02:00", 0, 1000),
        ("1969-12-31T20:00:00-04:00", 0, 1000),
        ("1970-01-01T00:00:00.5Z", 500, 600),
        ("1970-01-01T00:00:00.123456Z", 123, 124),
        ("1970-01-01T00:00:60Z", 59_000, 60_000),
        ("9999-12-31", 2932896 * DAY, 2932897 * DAY),
    ],
)
def test_a_date_is_its_implicit_range(text: str, lo: int, hi: int) -> None:
    assert date_range(text) == (lo, hi)


@pytest.mark.parametrize(
    "text",
    ["", "0000", "2020-13", "2020-02-30", "2020-1-1", "20200101", "2020-01-01T", "2020-01-01T25:00Z", "today",
     "2020-01-01T10:61Z", "2020-01-01T10:00:61Z", "2020-01-01T10Z", "2020-01-01Z", "٢٠٢٠", "2020-01-01T10:00+15:00"],
)  # fmt: skip
def test_what_is_no_date_is_refused_without_echo(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        date_range(text)
    assert not text or text not in caught.value.message


def dated(text: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "effectiveDateTime": text}


@pytest.mark.parametrize(
    ("stored", "asked", "found"),
    [
        ("2020-02-29T23:30:00-02:00", "2020-03-01", True),
        ("2020-02-29T23:30:00-02:00", "2020-02-29", False),
        ("2020-03", "2020-03-01", False),
        ("2020-03-01", "2020-03", True),
        ("2020-03", "ge2020-03-15", True),
        ("2020-03", "sa2020-03-15", False),
        ("2020-04", "sa2020-03", True),
        ("2020-03", "eb2020-04", True),
        ("2020-03", "le2020-03", True),
        ("2020-03-31", "lt2020-03-31", False),
        ("2020-03-31", "ne2020-03-31", False),
        ("2020-03-01", "ap2020-03-13", True),
        ("2020-01-01", "ap2020-03-13", False),
    ],
)
def test_date_prefixes(stored: str, asked: str, found: bool) -> None:
    assert finds(dated(stored), "date", asked) is found


def test_open_periods_and_timings() -> None:
    until = {"resourceType": "Observation", "effectivePeriod": {"end": "2020"}}
    assert finds(until, "date", "lt1900") and not finds(until, "date", "gt2020")
    timing = {"resourceType": "Observation", "effectiveTiming": {"event": ["2020-01-01", "2020-03-01"]}}
    assert finds(timing, "date", "2020") and not finds(timing, "date", "2020-01")


@pytest.mark.parametrize(
    ("stored", "asked", "found"),
    [
        ("72.50", "72.50", True),
        ("72.50", "72.5", True),
        ("72.50", "72.51", False),
        ("72.504", "72.50", True),
        ("72.505", "72.50", False),
        ("72.495", "72.50", True),
        ("72.50", "72", False),
        ("72.49", "72", True),
        ("72.50", "gt72.49", True),
        ("72.50", "gt72.50", False),
        ("72.50", "ge72.5", True),
        ("0.1", "0.10", True),
        ("1e2", "100", True),
        ("140", "1e2", True),
        ("-1", "-1", True),
        ("79", "ap72.5", True),
        ("80", "ap72.5", False),
        ("72.50", "ne72.5", False),
        ("0.30000000000000004", "0.3000000000000000", True),
    ],
)
def test_decimals_are_exact_and_imply_their_precision(stored: str, asked: str, found: bool) -> None:
    body = b'{"resourceType":"Observation","valueQuantity":{"value":' + stored.encode() + b',"code":"mg"}}'
    assert finds(decode(body), "value-quantity", asked) is found
    assert finds(decode(body), "value-quantity", asked + "||mg") is found
    assert not finds(decode(body), "value-quantity", asked + "||kg")


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("name", "jose", True),
        ("name", "bartholomew-constantine", True),
        ("name", "bartholomew-constantinople", False),
        ("name", "JOSÉ", True),
        ("name", "osé", False),
        ("name:contains", "OSE", True),
        ("name:exact", "José", True),
        ("name:exact", "jose", False),
        ("family", "o'neil,nobody", True),
        ("family", "van  DER b", True),
        ("address-city", "munchen", True),
        ("address", "80331", True),
        ("name", "comma\\, j", True),
    ],
)
def test_strings_without_case_accents_and_white_space(name: str, value: str, found: bool) -> None:
    patient = {
        "resourceType": "Patient",
        "name": [
            {"given": ["José", "Comma, Jr", "Bartholomew-Constantine"], "family": "O'Neil"},
            {"family": "van der Berg"},
        ],
        "address": [{"city": "München", "postalCode": "80331"}],
    }
    assert finds(patient, name, value) is found


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("code", "x", True),
        ("code", "http://a|x", True),
        ("code", "|x", False),
        ("code", "|y", True),
        ("code", "http://a|", True),
        ("code", "http://b|", False),
        ("code", "http://b|x", False),
        ("code", "X", False),
        ("code:not", "z", True),
        ("code:not", "y", False),
        ("code", "p\\|q\\,r", True),
        ("status", "final", True),
        ("status", "http://hl7.org/fhir/observation-status|final", True),
        ("status", "|final", True),
        ("code:missing", "false", True),
        ("category:missing", "false", True),
        ("method:missing", "true", True),
        ("combo-code", "k", True),
    ],
)
def test_token_forms(name: str, value: str, found: bool) -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"text": "only text"}],
        "code": {"coding": [{"system": "http://a", "code": "x"}, {"code": "y"}, {"code": "p|q,r"}]},
        "component": [{"code": {"coding": [{"code": "k"}]}}],
    }
    assert finds(observation, name, value) is found


@pytest.mark.parametrize(
    ("reference", "name", "value", "found"),
    [
        ("Patient/p", "subject", "p", True),
        ("Patient/p", "subject", "Patient/p", True),
        ("Patient/p", "subject:Patient", "p", True),
        ("Patient/p", "subject:Group", "p", False),
        ("Patient/p", "patient", "p", True),
        ("Group/p", "patient", "p", False),
        ("Group/p", "patient:missing", "true", True),
        ("Group/p", "subject", "p", True),
        ("Patient/p/_history/3", "subject", "Patient/p", True),
        ("Patient/p", "subject", "Patient/p/_history/1", True),
        ("Patient/p", "subject", BASE + "/Patient/p", True),
        ("https://else.example/Patient/p", "subject", "https://else.example/Patient/p", True),
        ("https://else.example/Patient/p", "subject", "Patient/p", False),
        ("urn:uuid:1", "subject", "urn:uuid:1", True),
    ],
)
def test_reference_forms(reference: str, name: str, value: str, found: bool) -> None:
    observation = {"resourceType": "Observation", "subject": {"reference": reference}}
    assert finds(observation, name, value) is found


def test_logical_references_and_canonicals() -> None:
    logical = {"resourceType": "Observation", "subject": {"identifier": {"system": "urn:a", "value": "1"}}}
    assert finds(logical, "subject:identifier", "urn:a|1") and not finds(
        logical, "subject:identifier", "urn:b|1"
    )
    plan = {"resourceType": "CarePlan", "instantiatesCanonical": ["http://x/plan|2"]}
    assert finds(plan, "instantiates-canonical", "http://x/plan")
    assert finds(plan, "instantiates-canonical", "http://x/plan|2")
    assert not finds(plan, "instantiates-canonical", "http://x/plan|1")
