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


HINTS: Mapping[int, str] = MappingProxyType(
    {
        400: "correct the request and repeat it",
        401: "get a new token",
        403: "ask for a token whose scope covers it",
        404: "check the address",
        405: "the Allow header names what is possible",
        408: "send it again, faster or in parts",
        409: "read again and repeat it",
        413: "send it in parts",
        414: "send a search by POST to Type/_search",
        415: "send FHIR JSON in UTF-8",
        422: "correct the content and repeat it",
        431: "send fewer and shorter header fields",
        500: "look in the node's log for the request id",
        503: "repeat it later",
        504: "read before you repeat a write; ask for less at once",
    }
)
"""What to do where the refusal itself does not say it."""


def outcome(status: int, code: str, message: str, hint: str = "") -> bytes:
    """An OperationOutcome with one issue."""
    hint = hint or HINTS.get(status, "")
    issue = {
        "severity": "fatal" if status >= 500 else "error",
        "code": ISSUE_TYPE.get(status, "processing"),
        "details": {"coding": [{"system": CODE_SYSTEM, "code": code}], "text": message},
        "diagnostics": f"{message}. {hint[:1].upper()}{hint[1:]}" if hint else message,
    }
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})
