"""OperationOutcomes, and the only mapping from our errors to HTTP status and FHIR issue type.

Every issue carries place, message and hint in `diagnostics`, and our own stable code in `details.coding`. No text holds patient data:
the callers' duty, kept by taking texts only from errors and issues, never from input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from careledger.fhir import json
from careledger.fhir.refusals import InvalidAt, Invalidated, Refused
from careledger.primitives import errors

ERROR_SYSTEM = "urn:careledger:error"
"""System of `details.coding`: the codes of CareLedgerError."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One line of an OperationOutcome: `severity` and `code` are FHIR's, `where` a FHIRPath (may be empty)."""

    severity: str  # fatal | error | warning | information
    code: str  # FHIR issue-type
    where: str
    text: str
    hint: str = ""
    own_code: str = ""


Row = tuple[type[errors.CareLedgerError], int, str]

STATUSES: tuple[Row, ...] = (
    (errors.TooLarge, 413, "too-long"),
    (errors.Invalid, 400, "invalid"),
    (errors.Unauthenticated, 401, "login"),
    (errors.NotPermitted, 403, "forbidden"),
    (errors.NotFound, 404, "not-found"),
    (errors.Conflict, 409, "conflict"),
    (errors.Unavailable, 503, "transient"),
    (errors.Corrupt, 500, "exception"),
    (errors.VerificationFailed, 422, "security"),
    (errors.Misconfigured, 500, "exception"),
    (errors.CareLedgerError, 500, "exception"),
)
"""Error class -> HTTP status and issue type; the first row that fits holds. Subclasses stand before their base."""

SYNTAX_CODES = {
    "malformed-json": "structure",
    "not-utf8": "structure",
    "not-an-object": "structure",
    "duplicate-property": "structure",
    "null-value": "structure",
    "number-too-long": "too-long",
    "nested-too-deep": "too-costly",
    "too-many-properties": "too-costly",
}
"""Finer issue types for what `fhir.json` refuses."""

OWN_ISSUE_CODES = frozenset({"value", "not-supported", "too-costly"})
"""Codes of Invalid that are FHIR issue types already (search)."""


HINTS: Mapping[str, str] = MappingProxyType(
    {
        "conflict": "Read it again and repeat.",
        "exception": "Tell the operator: the node's log says more.",
        "forbidden": "Ask for a token whose scope covers it.",
        "login": "Send Authorization: Bearer TOKEN.",
        "not-found": "Check type and id; a search shows what this token may see.",
        "not-supported": "See metadata for what is offered.",
        "transient": "Repeat in a few seconds.",
        "too-costly": "Ask for less, or in parts.",
        "too-long": "Send it in parts.",
    }
)
"""What to do, by issue type, where a refusal does not say it better itself. The same for hidden and absent."""
HINT_ELSE = "Correct this and repeat; POST Type/$validate checks a resource without writing."


def outcome(issues: Iterable[Issue]) -> bytes:
    """An OperationOutcome as served; with no issue it says that all is well (`$validate`)."""
    rows = list(issues) or [Issue("information", "informational", "", "All OK: no issue was found")]
    return json.dumps({"resourceType": "OperationOutcome", "issue": [_issue(row) for row in rows]})


def _issue(issue: Issue) -> dict[str, object]:
    row: dict[str, object] = {"severity": issue.severity, "code": issue.code}
    words = f"{issue.where}: {issue.text}" if issue.where else issue.text
    if issue.severity == "information":
        row["diagnostics"] = words
    else:
        row["details"] = {"coding": [{"system": ERROR_SYSTEM, "code": issue.own_code or issue.code}]}
        hint = issue.hint or HINTS.get(issue.code, HINT_ELSE)
        row["diagnostics"] = f"{words.removesuffix('.')}; hint: {hint}"
    if issue.where:
        row["expression"] = [issue.where]
    return row


def from_error(error: errors.CareLedgerError) -> tuple[int, bytes]:
    """(HTTP status, OperationOutcome) of a refusal."""
    if isinstance(error, Invalidated):
        return 422, outcome(issue for issue in error.issues if isinstance(issue, Issue))
    if isinstance(error, Refused):
        return error.status, outcome([Issue("error", error.code, error.where, error.message, error.hint)])
    status, code = status_of(error), issue_code(error)
    severity = "fatal" if status >= 500 or error.code in SYNTAX_CODES else "error"
    return status, outcome([Issue(severity, code, where_of(error), error.message, error.hint, error.code)])


def issue_code(error: errors.CareLedgerError) -> str:
    """The FHIR issue type of a refusal."""
    if isinstance(error, Refused) or (isinstance(error, errors.Invalid) and error.code in OWN_ISSUE_CODES):
        return error.code
    kind = next(code for kind, _, code in STATUSES if isinstance(error, kind))
    return SYNTAX_CODES.get(error.code, kind)


def where_of(error: errors.CareLedgerError) -> str:
    """The place in what was sent, "" if the refusal names none."""
    return error.where if isinstance(error, (Refused, InvalidAt)) else ""


def status_of(error: errors.CareLedgerError) -> int:
    """The HTTP status alone (Bundle entries, metrics)."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, Invalidated):
        return 422
    return next(status for kind, status, _ in STATUSES if isinstance(error, kind))
