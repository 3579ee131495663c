"""The FHIR Consent of a directive: its readable form, without force of its own.

R4 consent.html. The node writes it beside the directive and its ledger entry; a Consent that anybody else writes is
a record like any other, and no decision reads either.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from careledger.access.directives import Coding, Grantee, Text
from careledger.fhir.json import instant

DIRECTIVE_SYSTEM: Final = "urn:careledger:directive"
"""System of the identifier whose value is the directive's id."""
ROLE_SYSTEM: Final = "urn:careledger:role"
CLIENT_SYSTEM: Final = "urn:careledger:client"
ACTION_SYSTEM: Final = "urn:careledger:action"
DID_SYSTEM: Final = "urn:ietf:rfc:3986"

_THO: Final = "http://terminology.hl7.org/CodeSystem/"
_SCOPE: Final = {"coding": [{"system": _THO + "consentscope", "code": "patient-privacy"}]}
_CATEGORY: Final = {"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}
_RECIPIENT: Final = {"coding": [{"system": _THO + "v3-ParticipationType", "code": "IRCP"}]}
_RULES: Final = {"permit": "OPTIN", "deny": "OPTOUT"}
_EPOCH: Final = date(1970, 1, 1)


def render(text: Text, id: str, patient: str, decided_ms: int, *, active: bool) -> dict[str, Any]:
    """The Consent that shows directive `id`; `decided_ms` is when the node entered it."""
    provision: dict[str, Any] = {
        "type": text.effect,
        "period": {"start": day(text.from_day), "end": day(text.until_day)},
        "actor": [{"role": _RECIPIENT, "reference": _grantee(one)} for one in text.grantees],
        "action": [{"coding": [_action(one)]} for one in text.actions],
    }
    if text.labels:
        provision["securityLabel"] = [_coding(one) for one in text.labels]
    if text.purposes:
        provision["purpose"] = [{"system": _THO + "v3-ActReason", "code": one} for one in text.purposes]
    if text.types:
        provision["class"] = [
            {"system": "http://hl7.org/fhir/resource-types", "code": one} for one in text.types
        ]
    if text.categories:
        provision["code"] = [{"coding": [_coding(one)]} for one in text.categories]
    return {
        "resourceType": "Consent",
        "identifier": [{"system": DIRECTIVE_SYSTEM, "value": id}],
        "status": "active" if active else "inactive",
        "scope": _SCOPE,
        "category": [_CATEGORY],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": instant(decided_ms),
        "policyRule": {"coding": [{"system": _THO + "v3-ActCode", "code": _RULES[text.effect]}]},
        "provision": provision,
    }


def day(number: int) -> str:
    """A day, counted from 1970-01-01, as FHIR writes it."""
    return (_EPOCH + timedelta(days=number)).isoformat()


def _action(action: str) -> dict[str, str]:
    if action == "access":
        return {"system": _THO + "consentaction", "code": "access"}
    return {"system": ACTION_SYSTEM, "code": action}


def _grantee(grantee: Grantee) -> dict[str, Any]:
    if grantee.kind == "role":
        return {"identifier": {"system": ROLE_SYSTEM, "value": grantee.value}}
    if grantee.kind == "client":
        return {"type": "Device", "identifier": {"system": CLIENT_SYSTEM, "value": grantee.value}}
    type = "Organization" if grantee.kind == "organisation" else "Practitioner"
    if grantee.kind == "practitioner" and not grantee.value.startswith("did:"):
        return {"reference": f"Practitioner/{grantee.value}"}
    return {"type": type, "identifier": {"system": DID_SYSTEM, "value": grantee.value}}


def _coding(coding: Coding) -> dict[str, str]:
    return {"system": coding.system, "code": coding.code} if coding.system else {"code": coding.code}
