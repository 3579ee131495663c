"""The CapabilityStatement, made of the route table and the definitions: what it states is what is served."""

from __future__ import annotations

from typing import Any

from careledger import __version__
from careledger.fhir import json
from careledger.fhir.definitions import definitions
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.refusals import Refused
from careledger.fhir.responses import FHIR_JSON
from careledger.fhir.routes import ROUTES
from careledger.fhir.search.compile import search_of
from careledger.primitives.hashing import sha256

PUBLISHED = "2026-11-23"
"""Date of the statement's last change in kind (CapabilityStatement.date is required)."""

_AUDIT = (
    "By patient, and at most date, _count and _total, a search shows the patient's access log, newest first (read-only,"
    " in the shape of IHE BALP), and then the AuditEvents that clients wrote; any other search shows those alone."
)
_ALWAYS = ("_id", "_lastUpdated")
_SECURITY_SYSTEM = "http://terminology.hl7.org/CodeSystem/restful-security-service"


def statement(base_url: str) -> dict[str, Any]:
    """The whole statement for a server at `base_url` (R4 capabilitystatement.html)."""
    return {
        "resourceType": "CapabilityStatement",
        "id": "careledger",
        "url": f"{base_url}/metadata",
        "name": "CareLedger",
        "title": "CareLedger FHIR R4 server",
        "status": "active",
        "date": PUBLISHED,
        "publisher": "CareLedger",
        "kind": "instance",
        "software": {"name": "CareLedger", "version": __version__},
        "implementation": {"description": "CareLedger node", "url": base_url},
        "fhirVersion": definitions().version,
        "format": ["json", "application/fhir+json"],
        "rest": [_rest()],
    }


def _rest() -> dict[str, Any]:
    codes = {code for route in ROUTES if route.pattern == "" for code in route.code.split()}
    return {
        "mode": "server",
        "security": {
            "cors": False,
            "service": [
                {
                    "coding": [
                        {"system": _SECURITY_SYSTEM, "code": "SMART-on-FHIR", "display": "SMART-on-FHIR"}
                    ],
                    "text": "Signed bearer tokens with SMART v2 scopes",
                }
            ],
            "description": "Every read is entered in the chart's access log before it is answered.",
        },
        "resource": [_resource(type) for type in definitions().resource_types],
        "interaction": [{"code": code} for code in ("transaction", "batch") if code in codes],
    }


def _resource(type: str) -> dict[str, Any]:
    interactions = [route.interaction for route in ROUTES if route.pattern.startswith("{type}")]
    codes = [
        route.code
        for route in ROUTES
        if route.pattern.startswith("{type}") and route.code and not route.code.startswith("$")
    ]
    reads = sorted(_include_names(type))
    return {
        "type": type,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{type}",
        **({"documentation": _AUDIT} if type == "AuditEvent" else {}),
        "interaction": [{"code": code} for code in dict.fromkeys(codes)],
        "versioning": "versioned-update",
        "readHistory": "vread" in interactions,
        "updateCreate": "update" in interactions,
        "conditionalCreate": "create" in interactions,
        "conditionalRead": "full-support",
        "conditionalUpdate": "conditional_update" in interactions,
        "conditionalDelete": "single" if "conditional_delete" in interactions else "not-supported",
        "referencePolicy": ["literal", "logical"],
        **({"searchInclude": reads} if reads else {}),
        "searchParam": _search_parameters(type),
        **({"operation": found} if (found := _operations(type)) else {}),
    }


def _include_names(type: str) -> list[str]:
    compiled = search_of(type).parameters
    known = definitions().search_parameters(type)
    return [f"{type}:{code}" for code in compiled if code in known and known[code].type == "reference"]


def _search_parameters(type: str) -> list[dict[str, str]]:
    """What the search compiler took in, with the urls of the published definitions."""
    known = definitions().search_parameters(type)
    codes = sorted({*search_of(type).parameters, *_ALWAYS} & known.keys())
    return [{"name": code, "definition": known[code].url, "type": known[code].type} for code in codes]


def _operations(type: str) -> list[dict[str, str]]:
    """Operations of the route table that this type has."""
    urls = definitions().operations
    found = []
    for route in ROUTES:
        name = route.code.removeprefix("$")
        owner = "Resource" if route.pattern.startswith("{type}") else route.pattern.partition("/")[0]
        if route.code.startswith("$") and owner in ("Resource", type):
            definition = urls.get(f"{owner}-{name}", f"urn:careledger:operation:{name}")
            found.append({"name": name, "definition": definition})
    return found


class Capability:
    """The statement as served, made on first use; needs no token."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._body = b""
        self._etag = b""

    def answer(self, request: FhirRequest) -> FhirResponse:
        """200, or 304 to one who has it."""
        mode = next((value for name, value in request.query if name == "mode"), "full")
        if mode not in ("full", "normative"):
            raise Refused(501, "not-supported", "Only the CapabilityStatement is offered.", where="mode")
        if not self._body:
            self._body = json.dumps(statement(self._base_url))
            self._etag = b'W/"%s"' % sha256(self._body)[:8].hex().encode()
        headers = [(b"etag", self._etag)]
        if request.headers.get(b"if-none-match") == self._etag:
            return FhirResponse(304, headers)
        return FhirResponse(200, [FHIR_JSON, *headers], self._body)
