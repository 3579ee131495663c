"""Every refusal of the shell as an OperationOutcome: own code, place-free text, hint, no echo of the request."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from careledger.primitives import errors

FHIR_JSON = b"application/fhir+json;charset=utf-8"
CODE_SYSTEM = "urn:careledger:error"

STATUS_OF: tuple[tuple[type[errors.CareLedgerError], int], ...] = (
    (errors.TooLarge, 413),
    (errors.Invalid, 400),
    (errors.NotFound, 404),
    (errors.NotPermitted, 403),
    (errors.Unauthenticated, 401),
    (errors.Conflict, 409),
    (errors.Unavailable, 503),
    (errors.VerificationFailed, 422),
    (errors.Corrupt, 500),
    (errors.Misconfigured, 500),
)
"""The first class that fits decides; an error of no class is 500."""

ISSUE_TYPE: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid",
        401: "login",
        403: "forbidden",
        404: "not-found",
        405: "not-supported",
        408: "timeout",
        409: "conflict",
        413: "too-long",
        414: "too-long",
        415: "not-supported",
        422: "processing",
        431: "too-long",
        500: "exception",
        503: "transient",
        504: "timeout",
    }
)
"""Issue types of FHIR R4 by status."""


def status_of(error: errors.CareLedgerError) -> int:
    """The HTTP status of an error raised on purpose."""
    for kind, status in STATUS_OF:
        if isinstance(error, kind):
            return status
    return 500


def outcome(status: int, code: str, message: str, hint: str = "") -> bytes:
    """An OperationOutcome with one issue."""
    issue = {
        "severity": "fatal" if status >= 500 else "error",
        "code": ISSUE_TYPE.get(status, "processing"),
        "details": {"coding": [{"system": CODE_SYSTEM, "code": code}], "text": message},
        "diagnostics": f"{message}. {hint[:1].upper()}{hint[1:]}" if hint else message,
    }
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})
