"""Every error becomes one status and an OperationOutcome that is itself valid FHIR."""

from __future__ import annotations

import pytest

from careledger.fhir import json
from careledger.fhir.outcomes import STATUSES, Issue, from_error, outcome, status_of
from careledger.fhir.refusals import Invalidated, Refused
from careledger.fhir.validation import validate
from careledger.primitives import errors

CASES = [
    (errors.Invalid("m", hint="h"), 400, "invalid"),
    (errors.Invalid("m", code="malformed-json"), 400, "structure"),
    (errors.TooLarge("m"), 413, "too-long"),
    (errors.Unauthenticated("m"), 401, "login"),
    (errors.NotPermitted("m"), 403, "forbidden"),
    (errors.NotFound("m"), 404, "not-found"),
    (errors.Conflict("m"), 409, "conflict"),
    (errors.Unavailable("m"), 503, "transient"),
    (errors.Corrupt("m"), 500, "exception"),
    (errors.VerificationFailed("m"), 422, "security"),
    (errors.Misconfigured("m"), 500, "exception"),
    (errors.CareLedgerError("m"), 500, "exception"),
    (Refused(410, "deleted", "m"), 410, "deleted"),
    (Refused(412, "conflict", "m"), 412, "conflict"),
    (Invalidated((Issue("error", "required", "Patient.x", "is required and absent", "h"),)), 422, "required"),
]


@pytest.mark.parametrize("error, status, code", CASES, ids=lambda value: getattr(value, "code", str(value)))
def test_status_and_issue(error, status, code):
    got, body = from_error(error)
    resource = json.loads(body)
    assert (got, status_of(error)) == (status, status)
    assert [issue["code"] for issue in resource["issue"]] == [code]
    assert validate(resource) == []


def test_every_error_class_has_a_row_before_its_base():
    rows = [kind for kind, _, _ in STATUSES]
    classes = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    assert classes == set(rows)
    assert all(not issubclass(later, row) for i, row in enumerate(rows) for later in rows[i + 1 :])


def test_an_issue_carries_place_words_hint_and_own_code():
    body = outcome([Issue("error", "value", "Patient.birthDate", "must be a date", "write YYYY", "bad-date")])
    assert json.loads(body)["issue"] == [
        {
            "severity": "error",
            "code": "value",
            "details": {"coding": [{"system": "urn:careledger:error", "code": "bad-date"}]},
            "diagnostics": "Patient.birthDate: must be a date; hint: write YYYY",
            "expression": ["Patient.birthDate"],
        }
    ]


@pytest.mark.parametrize("error, status, code", CASES, ids=lambda value: getattr(value, "code", str(value)))
def test_every_refusal_has_an_own_code_and_a_hint(error, status, code):
    for issue in json.loads(from_error(error)[1])["issue"]:
        assert issue["details"]["coding"][0]["code"]
        assert issue["diagnostics"].partition("; hint: ")[2]


def test_no_issue_is_all_ok():
    resource = json.loads(outcome([]))
    assert resource["issue"][0]["severity"] == "information"
    assert validate(resource) == []
