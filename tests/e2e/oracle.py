"""Search by brute force over decoded resources: a second reading of R4 search.html that shares no code with the server.

Only what the end-to-end tests ask for: a table from type and parameter to a kind and a path.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

Resource = dict[str, Any]

PATHS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Patient.name": ("string", ("name",)),
    "Patient.family": ("string", ("name.family",)),
    "Patient.given": ("string", ("name.given",)),
    "Patient.gender": ("token", ("gender",)),
    "Patient.birthdate": ("date", ("birthDate",)),
    "Patient.identifier": ("token", ("identifier",)),
    "Patient.address": ("string", ("address",)),
    "Patient.address-city": ("string", ("address.city",)),
    "Patient.address-state": ("string", ("address.state",)),
    "Patient.address-postalcode": ("string", ("address.postalCode",)),
    "Patient.telecom": ("token", ("telecom",)),
    "Patient.phone": ("phone", ("telecom",)),
    "Patient.death-date": ("date", ("deceasedDateTime",)),
    "Patient.language": ("token", ("communication.language",)),
    "Observation.code": ("token", ("code",)),
    "Observation.category": ("token", ("category",)),
    "Observation.status": ("token", ("status",)),
    "Observation.date": ("date", ("effectiveDateTime", "effectivePeriod", "effectiveInstant")),
    "Observation.value-quantity": ("quantity", ("valueQuantity",)),
    "Observation.value-concept": ("token", ("valueCodeableConcept",)),
    "Observation.value-string": ("string", ("valueString", "valueCodeableConcept.text")),
    "Observation.component-code": ("token", ("component.code",)),
    "Observation.component-value-quantity": ("quantity", ("component.valueQuantity",)),
    "Observation.combo-code": ("token", ("code", "component.code")),
    "Observation.patient": ("reference", ("subject",)),
    "Observation.subject": ("reference", ("subject",)),
    "Observation.encounter": ("reference", ("encounter",)),
    "Encounter.date": ("date", ("period",)),
    "Encounter.status": ("token", ("status",)),
    "Encounter.class": ("token", ("class",)),
    "Encounter.type": ("token", ("type",)),
    "Encounter.reason-code": ("token", ("reasonCode",)),
    "Encounter.patient": ("reference", ("subject",)),
    "Encounter.identifier": ("token", ("identifier",)),
    "Encounter.participant": ("reference", ("participant.individual",)),
    "Encounter.service-provider": ("reference", ("serviceProvider",)),
    "Encounter.location": ("reference", ("location.location",)),
    "Encounter.location-period": ("date", ("location.period",)),
    "Condition.code": ("token", ("code",)),
    "Condition.clinical-status": ("token", ("clinicalStatus",)),
    "Condition.verification-status": ("token", ("verificationStatus",)),
    "Condition.onset-date": ("date", ("onsetDateTime", "onsetPeriod")),
    "Condition.abatement-date": ("date", ("abatementDateTime", "abatementPeriod")),
    "Condition.recorded-date": ("date", ("recordedDate",)),
    "Condition.patient": ("reference", ("subject",)),
    "Condition.encounter": ("reference", ("encounter",)),
    "Procedure.code": ("token", ("code",)),
    "Procedure.date": ("date", ("performedDateTime", "performedPeriod")),
    "Procedure.patient": ("reference", ("subject",)),
    "MedicationRequest.code": ("token", ("medicationCodeableConcept",)),
    "MedicationRequest.authoredon": ("date", ("authoredOn",)),
    "MedicationRequest.status": ("token", ("status",)),
    "MedicationRequest.intent": ("token", ("intent",)),
    "MedicationRequest.requester": ("reference", ("requester",)),
    "MedicationRequest.patient": ("reference", ("subject",)),
    "Immunization.date": ("date", ("occurrenceDateTime",)),
    "Immunization.vaccine-code": ("token", ("vaccineCode",)),
    "Immunization.patient": ("reference", ("patient",)),
    "DiagnosticReport.code": ("token", ("code",)),
    "DiagnosticReport.category": ("token", ("category",)),
    "DiagnosticReport.date": ("date", ("effectiveDateTime", "effectivePeriod")),
    "DiagnosticReport.issued": ("date", ("issued",)),
    "DiagnosticReport.result": ("reference", ("result",)),
    "DiagnosticReport.patient": ("reference", ("subject",)),
    "Claim.patient": ("reference", ("patient",)),
    "Claim.created": ("date", ("created",)),
    "Claim.use": ("token", ("use",)),
    "Claim.status": ("token", ("status",)),
    "Claim.provider": ("reference", ("provider",)),
    "ExplanationOfBenefit.created": ("date", ("created",)),
    "ExplanationOfBenefit.claim": ("reference", ("claim",)),
    "ExplanationOfBenefit.patient": ("reference", ("patient",)),
    "AllergyIntolerance.code": ("token", ("code", "reaction.substance")),
    "AllergyIntolerance.patient": ("reference", ("patient",)),
    "AllergyIntolerance.category": ("token", ("category",)),
    "AllergyIntolerance.criticality": ("token", ("criticality",)),
    "CarePlan.date": ("date", ("period",)),
    "CarePlan.category": ("token", ("category",)),
    "CarePlan.status": ("token", ("status",)),
    "CareTeam.patient": ("reference", ("subject",)),
    "Organization.name": ("string", ("name", "alias")),
    "Organization.identifier": ("token", ("identifier",)),
    "Organization.active": ("token", ("active",)),
    "Organization.address-city": ("string", ("address.city",)),
    "Location.name": ("string", ("name", "alias")),
    "Location.organization": ("reference", ("managingOrganization",)),
    "Location.address-city": ("string", ("address.city",)),
    "Practitioner.name": ("string", ("name",)),
    "Practitioner.identifier": ("token", ("identifier",)),
    "Practitioner.gender": ("token", ("gender",)),
    "PractitionerRole.practitioner": ("reference", ("practitioner",)),
    "PractitionerRole.specialty": ("token", ("specialty",)),
    "Device.patient": ("reference", ("patient",)),
    "Device.type": ("token", ("type",)),
    "ImagingStudy.started": ("date", ("started",)),
    "ImagingStudy.patient": ("reference", ("subject",)),
    "Provenance.target": ("reference", ("target",)),
    "Provenance.recorded": ("date", ("recorded",)),
    "DocumentReference.type": ("token", ("type",)),
    "DocumentReference.date": ("date", ("date",)),
    "DocumentReference.patient": ("reference", ("subject",)),
    "SupplyDelivery.patient": ("reference", ("patient",)),
    "MedicationAdministration.effective-time": ("date", ("effectiveDateTime", "effectivePeriod")),
    "ChargeItem.factor-override": ("number", ("factorOverride",)),
    "RiskAssessment.probability": ("number", ("prediction.probabilityDecimal",)),
    "ValueSet.url": ("uri", ("url",)),
    "_profile": ("uri", ("meta.profile",)),
    "_lastUpdated": ("date", ("meta.lastUpdated",)),
}  # fmt: skip
_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)(?=[\d-])")
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)


def matches(resource: Resource, conditions: list[tuple[str, str]]) -> bool:
    """All of `name[:modifier]`, value pairs hold for the resource."""
    return all(_holds(resource, name, value) for name, value in conditions)


def at(resource: Resource, path: str) -> Iterator[Any]:
    """Everything found at a dotted path, lists opened."""
    found: list[Any] = [resource]
    for step in path.split("."):
        found = [
            inner
            for item in found
            if isinstance(item, dict) and step in item
            for inner in _listed(item[step])
        ]
    yield from found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _holds(resource: Resource, name: str, text: str) -> bool:
    code, _, modifier = name.partition(":")
    if code == "_id":
        return (resource["id"] in text.split(",")) != (modifier == "not")
    kind, paths = PATHS.get(f"{resource['resourceType']}.{code}") or PATHS[code]
    values = [value for path in paths for value in at(resource, path)]
    if modifier == "missing":
        return (not values) == (text == "true")
    test = {
        "token": _token, "string": _string, "date": _date, "reference": _reference,
        "quantity": _quantity, "number": _number, "uri": lambda v, t, m: v == t, "phone": _phone,
    }[kind]  # fmt: skip
    asked = text.split(",")
    if modifier == "not":
        return not any(test(value, one, "") for value in values for one in asked)
    return any(test(value, one, modifier) for value in values for one in asked)


def _token(value: Any, text: str, modifier: str) -> bool:
    bar = "|" in text
    system, _, code = text.partition("|") if bar else ("", "", text)
    pairs: list[tuple[str | None, str | None]] = []
    if isinstance(value, dict):
        for coding in [*value.get("coding", ()), *([value] if "coding" not in value else [])]:
            pairs.append((coding.get("system"), coding.get("code", coding.get("value"))))
    else:
        pairs.append((None, str(value).lower() if isinstance(value, bool) else value))
    for its_system, its_code in pairs:
        if code and (its_code is None or its_code.casefold() != code.casefold()):
            continue
        if bar and system and its_system != system:
            if not (its_system is None and isinstance(value, str)):
                continue
        if bar and not system and its_system is not None:
            continue
        if code or its_system is not None:
            return True
    return False


def _phone(value: Any, text: str, modifier: str) -> bool:
    return bool(value.get("system") == "phone" and value.get("value") == text)


def fold(text: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())


def _string(value: Any, text: str, modifier: str) -> bool:
    parts = list(_strings(value))
    if modifier == "exact":
        return text in parts
    if modifier == "contains":
        return any(fold(text) in fold(part) for part in parts)
    return any(fold(part).startswith(fold(text)) for part in parts)


def _strings(value: Any) -> Iterator[str]:
    """The parts of a HumanName or Address that R4 lets servers search; or the string itself."""
    if isinstance(value, str):
        yield value
        return
    for part in (
        "family",
        "given",
        "prefix",
        "suffix",
        "text",
        "line",
        "city",
        "district",
        "state",
        "country",
        "postalCode",
    ):
        yield from (str(one) for one in _listed(value.get(part, [])))


def _reference(value: Any, text: str, modifier: str) -> bool:
    reference = str(value.get("reference", ""))
    if modifier:
        return reference == f"{modifier}/{text}"
    return reference == text if "/" in text else reference.rpartition("/")[2] == text


def span(text: str) -> tuple[datetime, datetime]:
    """The implicit range of a date, half open."""
    found = _DATE.fullmatch(text)
    assert found is not None, text
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    offset = UTC
    if zone and zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        offset = timezone(sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6])))
    lo = datetime(
        int(year),
        int(month or 1),
        int(day or 1),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        tzinfo=offset,
    )
    if fraction:
        lo += timedelta(milliseconds=int(fraction[:3].ljust(3, "0")))
        return lo, lo + timedelta(milliseconds=1 if len(fraction) >= 3 else 10 ** (3 - len(fraction)))
    if second:
        return lo, lo + timedelta(seconds=1)
    if hour:
        return lo, lo + timedelta(minutes=1)
    if day:
        return lo, lo + timedelta(days=1)
    if month:
        return lo, lo + timedelta(days=monthrange(int(year), int(month))[1])
    return lo, lo.replace(year=lo.year + 1)


_EVER = datetime.max.replace(tzinfo=UTC)
_NEVER = datetime.min.replace(tzinfo=UTC)


def _date(value: Any, text: str, modifier: str) -> bool:
    if isinstance(value, dict):
        lo = span(value["start"])[0] if "start" in value else _NEVER
        hi = span(value["end"])[1] if "end" in value else _EVER
    else:
        lo, hi = span(value)
    return _compare(lo, hi, text, span)


def _decimal_span(text: str) -> tuple[Decimal, Decimal]:
    number = Decimal(text)
    half = Decimal(5).scaleb(int(number.as_tuple().exponent) - 1)
    return number - half, number + half


def _compare(lo: Any, hi: Any, text: str, read: Any) -> bool:
    """R4 search.html#prefix, for ranges."""
    prefix = _PREFIX.match(text)
    name = prefix.group(1) if prefix else "eq"
    a, b = read(text[2:] if prefix else text)
    inside = a <= lo and hi <= b
    return {
        "eq": inside, "ne": not inside, "gt": hi > b, "lt": lo < a, "ge": hi > b or inside, "le": lo < a or inside,
        "sa": lo >= b, "eb": hi <= a,
    }[name]  # fmt: skip


def _number(value: Any, text: str, modifier: str) -> bool:
    prefix = _PREFIX.match(text)
    name = prefix.group(1) if prefix else "eq"
    number = Decimal(text[2:] if prefix else text)
    exact = Decimal(str(value))
    lo, hi = _decimal_span(text[2:] if prefix else text)
    return {
        "eq": lo <= exact < hi, "ne": not lo <= exact < hi, "gt": exact > number, "lt": exact < number,
        "ge": exact >= number, "le": exact <= number, "sa": exact > number, "eb": exact < number,
    }[name]  # fmt: skip


def _quantity(value: Any, text: str, modifier: str) -> bool:
    number, _, rest = text.partition("|")
    system, _, code = rest.partition("|")
    if "value" not in value or not _number(value["value"], number, ""):
        return False
    if system:
        return bool(value.get("system") == system and value.get("code") == code)
    return not code or code in (value.get("code"), value.get("unit"))
