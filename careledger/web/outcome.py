"""Every refusal of the shell itself as an OperationOutcome: own code, hint, no echo of the request.

Which status an error has is said once, in `fhir.outcomes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

FHIR_JSON = b"application/fhir+json;charset=utf-8"
CODE_SYSTEM = "urn:careledger:error"

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


def outcome(status: int, code: str, message: str, hint: str = "") -> bytes:
    """An OperationOutcome with one issue."""
    issue = {
        "severity": "fatal" if status >= 500 else "error",
        "code": ISSUE_TYPE.get(status, "processing"),
        "details": {"coding": [{"system": CODE_SYSTEM, "code": code}], "text": message},
        "diagnostics": f"{message}. {hint[:1].upper()}{hint[1:]}" if hint else message,
    }
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})
