"""An access entry as a FHIR AuditEvent, in the shape of IHE BALP (Basic Audit Log Patterns 1.1): a view, never stored.

Reads are shaped like PatientRead, everything that asks for more like PatientQuery, an emergency access like a DICOM
security alert. BALP wants the client's network address; the node keeps none, and says so by an extension.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from careledger.fhir import json
from careledger.primitives.opaque import open_place, seal_place
from careledger.vault.model import AccessEntry

ID_PREFIX: Final = "access-"
"""Ids of these events begin so; no AuditEvent can be written under one."""

_TERM: Final = "http://terminology.hl7.org/CodeSystem/"
_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_REST: Final = "http://hl7.org/fhir/restful-interaction"
_PROFILE: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
_BASIC: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_UNKNOWN: Final = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    ]
}
_SUBTYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "read": "read",
        "vread": "vread",
        "history": "history-instance",
        "search": "search-type",
        "audit": "search-type",
        "count": "search-type",
    }
)
"""Kind of an access entry -> FHIR's code of the interaction; others are operations."""
_READING: Final = frozenset({"read", "vread"})
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?")
_PAIR = re.compile(r"([A-Za-z_][A-Za-z_:.\-]*)=[^&]*")


def event_id(key: bytes, chart: int, index: int) -> str:
    """The logical id of the event of a chart's access entry."""
    return ID_PREFIX + seal_place(key, chart, index)


def place_of(key: bytes, id: str) -> tuple[int, int]:
    """(chart, index) of an event. Raises VerificationFailed."""
    return open_place(key, id.removeprefix(ID_PREFIX))


def render(
    entry: AccessEntry, index: int, id: str, patient: str, base_url: str, custodian: str, *, herself: bool
) -> bytes:
    """The event as served. To the patient `herself` a query's values are left out: they may name others."""
    reading = entry.kind in _READING and _REFERENCE.fullmatch(entry.what) is not None
    when = json.instant(entry.time_ms)
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": id,
        "meta": {"versionId": "1", "lastUpdated": when, "profile": [_profile(entry, reading)]},
        "extension": [
            {"url": "urn:careledger:access-index", "valueUnsignedInt": index},
            {"url": "urn:careledger:height", "valueUnsignedInt": entry.height},
        ],
        "type": _type(entry),
        "subtype": [_subtype(entry)],
        "action": "R" if reading else "E",
        "recorded": when,
        "outcome": "0" if entry.permitted else "8",
        "purposeOfEvent": [{"coding": [_purpose(entry)]}],
        "agent": _agents(entry, base_url, reading),
        "source": {
            "observer": {"identifier": {"system": "urn:ietf:rfc:3986", "value": custodian}},
            "type": [_coding(_TERM + "security-source-type", "4", "Application Server")],
        },
        "entity": _entities(entry, patient, reading, herself),
    }
    if not event["meta"]["profile"][0]:
        del event["meta"]["profile"]
    return json.dumps(event)


def without_values(what: str) -> str:
    """A query without the values that were asked for: they may name others."""
    return _PAIR.sub(r"\1=", what)


def _profile(entry: AccessEntry, reading: bool) -> str:
    if entry.kind == "emergency":
        return ""
    return _PROFILE + ("PatientRead" if reading else "PatientQuery")


def _coding(system: str, code: str, display: str = "") -> dict[str, str]:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def _type(entry: AccessEntry) -> dict[str, str]:
    if entry.kind == "emergency":
        return _coding(_DCM, "110113", "Security Alert")
    return _coding(_TERM + "audit-event-type", "rest", "RESTful Operation")


def _subtype(entry: AccessEntry) -> dict[str, str]:
    if entry.kind == "emergency":
        return _coding(_DCM, "110127", "Emergency Override Started")
    if entry.kind == "history" and entry.what.count("/") < 2:
        return _coding(_REST, "history-type")
    return _coding(_REST, _SUBTYPES.get(entry.kind, "operation"))


def _purpose(entry: AccessEntry) -> dict[str, str]:
    return _coding(_TERM + "v3-ActReason", entry.purpose)


def _agents(entry: AccessEntry, base_url: str, reading: bool) -> list[dict[str, Any]]:
    """Client and server (DICOM: whence data goes, or a query), who asked, and for which organisation."""
    source, destination = (
        _coding(_DCM, "110153", "Source Role ID"),
        _coding(_DCM, "110152", "Destination Role ID"),
    )
    practitioner = {"reference": f"Practitioner/{entry.actor}"} if entry.subject else None
    return [
        {
            "type": {"coding": [destination if reading else source]},
            "who": {"identifier": {"value": entry.client}},
            "requestor": False,
            "policy": [
                f"urn:careledger:rule:{entry.rule}",
                *(f"urn:careledger:directive:{id}" for id in entry.directives),
            ],
            "network": _UNKNOWN,
        },
        {
            "type": {"coding": [source if reading else destination]},
            "who": {"display": "CareLedger node"},
            "requestor": False,
            "network": {"address": base_url, "type": "5"},
        },
        {
            "type": {"coding": [_coding(_TERM + "v3-ParticipationType", "IRCP", "information recipient")]},
            **({"role": [{"text": role} for role in entry.roles]} if entry.roles else {}),
            "who": practitioner or {"identifier": {"value": entry.actor}},
            "requestor": True,
            "purposeOfUse": [{"coding": [_purpose(entry)]}],
        },
        {
            "type": {"coding": [_coding(_TERM + "v3-RoleClass", "PROV", "healthcare provider")]},
            "who": {"identifier": {"system": "urn:ietf:rfc:3986", "value": entry.organisation}},
            "requestor": False,
        },
    ]


def _entities(entry: AccessEntry, patient: str, reading: bool, herself: bool) -> list[dict[str, Any]]:
    thing = _coding(_TERM + "audit-entity-type", "2", "System Object")
    found: list[dict[str, Any]] = []
    if patient:
        person = _coding(_TERM + "audit-entity-type", "1", "Person")
        role = _coding(_TERM + "object-role", "1", "Patient")
        found.append({"what": {"reference": f"Patient/{patient}"}, "type": person, "role": role})
    if reading:
        role = _coding(_TERM + "object-role", "4", "Domain Resource")
        found.append({"what": {"reference": entry.what}, "type": thing, "role": role})
    elif entry.kind == "emergency":
        found.append({"type": thing, "detail": [{"type": "reason", "valueString": entry.what}]})
    else:
        asked = without_values(entry.what) if herself else entry.what
        role = _coding(_TERM + "object-role", "24", "Query")
        query = base64.b64encode(asked.encode()).decode()
        found.append({"type": thing, "role": role, "description": asked, "query": query})
    request = {"identifier": {"value": entry.request_id.hex()}}
    found.append({"what": request, "type": _coding(_BASIC, "XrequestId")})
    return found
