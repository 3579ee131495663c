"""FHIR R4 resources of the demo hospital, as plain dicts in the order in which they are written. Pure.

Money and measurements are `Decimal`, so that 72.50 stays 72.50. The builders know the shape of a resource and
nothing of courses of disease (`courses.py`).
"""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import Any

from careledger.synthetic.terms import CVX, HL7, LOINC, RXNORM, SNOMED, UCUM, US_CORE, Measure, Term

Resource = dict[str, Any]
Reference = dict[str, str]


def concept(system: str, term: Term) -> Resource:
    """A CodeableConcept of one coding with its display as text."""
    return {"coding": [{"system": system, "code": term[0], "display": term[1]}], "text": term[1]}


def codes(system: str, code: str, display: str | None = None) -> Resource:
    """A CodeableConcept of one coding without text."""
    coding = {"system": HL7 + system, "code": code}
    if display is not None:
        coding["display"] = display
    return {"coding": [coding]}


def number(value: float, decimals: int) -> Decimal | int:
    """A decimal with exactly so many places; an integer for none."""
    return Decimal(f"{value:.{decimals}f}") if decimals else round(value)


def quantity(value: float, measure: Measure) -> Resource:
    """A UCUM quantity with the measure's unit and precision."""
    return {
        "value": number(value, measure.decimals),
        "unit": measure.unit,
        "system": UCUM,
        "code": measure.unit,
    }


def money(cents: int) -> Resource:
    """US dollars with two decimals."""
    return {"value": Decimal(cents).scaleb(-2), "currency": "USD"}


def meta(profile: str) -> Resource:
    """The meta that names a US Core profile."""
    return {"profile": [US_CORE + profile]}


def encounter(
    uid: str,
    subject: Reference,
    kind: Term,
    start: str,
    end: str,
    doctor: Reference,
    place: Reference,
    provider: Reference,
    system: str,
    reason: Term | None,
    act: str,
) -> Resource:
    """A finished encounter of class `act` with its primary performer."""
    resource: Resource = {
        "resourceType": "Encounter",
        "id": uid,
        "meta": meta("encounter"),
        "identifier": [{"use": "official", "system": system, "value": uid}],
        "status": "finished",
        "class": {"system": HL7 + "v3-ActCode", "code": act},
        "type": [concept(SNOMED, kind)],
        "subject": subject,
        "participant": [
            {
                "type": [
                    {
                        **codes("v3-ParticipationType", "PPRF", "primary performer"),
                        "text": "primary performer",
                    }
                ],
                "period": {"start": start, "end": end},
                "individual": doctor,
            }
        ],
        "period": {"start": start, "end": end},
        "location": [{"location": place}],
        "serviceProvider": provider,
    }
    if reason is not None:
        resource["reasonCode"] = [{"coding": concept(SNOMED, reason)["coding"]}]
    return resource


_CATEGORY_DISPLAY = {"vital-signs": "Vital signs", "laboratory": "Laboratory", "survey": "Survey", "social-history": "Social History"}  # fmt: skip
_VITAL_PROFILES = {
    "8302-2": "body-height",
    "29463-7": "body-weight",
    "39156-5": "bmi",
    "85354-9": "blood-pressure",
    "8867-4": "heart-rate",
    "9279-1": "respiratory-rate",
    "8310-5": "body-temperature",
    "9843-4": "head-circumference",
    "59576-9": "pediatric-bmi-for-age",
    "72166-2": "smokingstatus",
}
_CATEGORY_PROFILES = {
    "laboratory": "observation-lab",
    "survey": "observation-screening-assessment",
    "vital-signs": "vital-signs",
    "social-history": "smokingstatus",
}


def observation(
    uid: str, category: str, code: Term, subject: Reference, visit: Reference, when: str, issued: str
) -> Resource:
    """A final observation without its value."""
    return {
        "resourceType": "Observation",
        "id": uid,
        "meta": meta(_VITAL_PROFILES.get(code[0]) or _CATEGORY_PROFILES[category]),
        "status": "final",
        "category": [codes("observation-category", category, _CATEGORY_DISPLAY[category])],
        "code": concept(LOINC, code),
        "subject": subject,
        "encounter": visit,
        "effectiveDateTime": when,
        "issued": issued,
    }


def reference_range(measure: Measure) -> list[Resource]:
    """The normal range of a laboratory measure."""
    return [
        {
            "low": quantity(measure.low, measure),
            "high": quantity(measure.high, measure),
            "text": f"{measure.low:g} to {measure.high:g} {measure.unit}",
        }
    ]


def interpretation(value: float, measure: Measure) -> list[Resource]:
    """Low, normal or high."""
    code, display = (
        ("L", "Low") if value < measure.low else ("H", "High") if value > measure.high else ("N", "Normal")
    )
    return [codes("v3-ObservationInterpretation", code, display)]


def component(code: Term, value: int) -> Resource:
    """One half of a blood pressure."""
    return {
        "code": concept(LOINC, code),
        "valueQuantity": {"value": value, "unit": "mm[Hg]", "system": UCUM, "code": "mm[Hg]"},
    }


def report(
    uid: str,
    code: Term,
    subject: Reference,
    visit: Reference,
    when: str,
    issued: str,
    performer: Reference,
    results: list[Reference],
) -> Resource:
    """A final laboratory report."""
    return {
        "resourceType": "DiagnosticReport",
        "id": uid,
        "meta": meta("diagnosticreport-lab"),
        "status": "final",
        "category": [codes("v2-0074", "LAB", "Laboratory")],
        "code": concept(LOINC, code),
        "subject": subject,
        "encounter": visit,
        "effectiveDateTime": when,
        "issued": issued,
        "performer": [performer],
        "result": results,
    }


def condition(
    uid: str, code: Term, subject: Reference, visit: Reference, onset: str, abatement: str | None
) -> Resource:
    """A confirmed diagnosis, resolved if it has an abatement."""
    resource = {
        "resourceType": "Condition",
        "id": uid,
        "meta": meta("condition-encounter-diagnosis"),
        "clinicalStatus": codes("condition-clinical", "resolved" if abatement else "active"),
        "verificationStatus": codes("condition-ver-status", "confirmed"),
        "category": [codes("condition-category", "encounter-diagnosis", "Encounter Diagnosis")],
        "code": concept(SNOMED, code),
        "subject": subject,
        "encounter": visit,
        "onsetDateTime": onset,
    }
    if abatement:
        resource["abatementDateTime"] = abatement
    resource["recordedDate"] = onset
    return resource


def medication_request(
    uid: str,
    drug: Term,
    subject: Reference,
    visit: Reference,
    when: str,
    doctor: Reference,
    reason: Reference | None,
    status: str,
    times_a_day: int,
) -> Resource:
    """An order for a drug with its dosage."""
    resource = {
        "resourceType": "MedicationRequest",
        "id": uid,
        "meta": meta("medicationrequest"),
        "status": status,
        "intent": "order",
        "category": [{**codes("medicationrequest-category", "community", "Community"), "text": "Community"}],
        "medicationCodeableConcept": concept(RXNORM, drug),
        "subject": subject,
        "encounter": visit,
        "authoredOn": when,
        "requester": doctor,
    }
    if reason is not None:
        resource["reasonReference"] = [reason]
    resource["dosageInstruction"] = [
        {
            "sequence": 1,
            "text": f"Take {times_a_day} time{'s' * (times_a_day > 1)} daily.",
            "timing": {"repeat": {"frequency": times_a_day, "period": 1, "periodUnit": "d"}},
            "asNeededBoolean": False,
            "doseAndRate": [
                {"type": codes("dose-rate-type", "ordered", "Ordered"), "doseQuantity": {"value": 1}}
            ],
        }
    ]
    return resource


def immunization(
    uid: str, vaccine: Term, patient: Reference, visit: Reference, when: str, place: Reference
) -> Resource:
    """A vaccine that was given."""
    return {
        "resourceType": "Immunization",
        "id": uid,
        "meta": meta("immunization"),
        "status": "completed",
        "vaccineCode": concept(CVX, vaccine),
        "patient": patient,
        "encounter": visit,
        "occurrenceDateTime": when,
        "primarySource": True,
        "location": place,
    }


def allergy(
    uid: str, code: Term, category: str, criticality: str, patient: Reference, when: str, reaction: Term
) -> Resource:
    """A confirmed, active allergy with its usual manifestation."""
    return {
        "resourceType": "AllergyIntolerance",
        "id": uid,
        "meta": meta("allergyintolerance"),
        "clinicalStatus": codes("allergyintolerance-clinical", "active"),
        "verificationStatus": codes("allergyintolerance-verification", "confirmed"),
        "type": "allergy",
        "category": [category],
        "criticality": criticality,
        "code": concept(SNOMED, code),
        "patient": patient,
        "recordedDate": when,
        "reaction": [
            {
                "manifestation": [concept(SNOMED, reaction)],
                "severity": "severe" if criticality == "high" else "mild",
            }
        ],
    }


def procedure(
    uid: str,
    code: Term,
    subject: Reference,
    visit: Reference,
    start: str,
    end: str,
    place: Reference,
    reason: Reference | None,
) -> Resource:
    """A procedure that was done."""
    resource: Resource = {
        "resourceType": "Procedure",
        "id": uid,
        "meta": meta("procedure"),
        "status": "completed",
        "code": concept(SNOMED, code),
        "subject": subject,
        "encounter": visit,
        "performedPeriod": {"start": start, "end": end},
        "location": place,
    }
    if reason is not None:
        resource["reasonReference"] = [reason]
    return resource


def note(
    uid: str,
    text: str,
    subject: Reference,
    visit: Reference,
    start: str,
    end: str,
    issued: str,
    author: Reference,
    custodian: Reference,
    current: bool,
) -> Resource:
    """The visit's clinical note as a document."""
    return {
        "resourceType": "DocumentReference",
        "id": uid,
        "meta": meta("documentreference"),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:uuid:" + uid}],
        "status": "current" if current else "superseded",
        "type": {
            "coding": [
                {"system": LOINC, "code": "34117-2", "display": "History and physical note"},
                {"system": LOINC, "code": "51847-2", "display": "Evaluation + Plan note"},
            ]
        },
        "category": [
            {
                "coding": [
                    {
                        "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                        "code": "clinical-note",
                        "display": "Clinical Note",
                    }
                ]
            }
        ],
        "subject": subject,
        "date": issued,
        "author": [author],
        "custodian": custodian,
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    "data": b64encode(text.encode()).decode(),
                },
                "format": {
                    "system": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
                    "code": "urn:ihe:iti:xds:2017:mimeTypeSufficient",
                    "display": "mimeType Sufficient",
                },
            }
        ],
        "context": {"encounter": [visit], "period": {"start": start, "end": end}},
    }
