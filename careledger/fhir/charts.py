"""Which charts a resource belongs to: the patients that its deciding reference names.

Begun from the R4 Patient compartment and corrected: the compartment also lists who performed, asserted or paid,
which does not make a resource part of that person's chart. Groups are tried in order; the first group that names
a Patient decides, and every Patient it names counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

Groups = tuple[tuple[str, ...], ...]

_SUBJECT: Final[Groups] = (("subject",),)
_PATIENT: Final[Groups] = (("patient",),)

DECIDES: Final[dict[str, Groups]] = {
    "Account": _SUBJECT,
    "AdverseEvent": _SUBJECT,
    "AllergyIntolerance": _PATIENT,
    "Appointment": (("participant.actor",),),
    "AppointmentResponse": (("actor",),),
    "AuditEvent": (("entity.what",), ("agent.who",)),
    "Basic": _SUBJECT,
    "Binary": (("securityContext",),),
    "BodyStructure": _PATIENT,
    "CarePlan": _SUBJECT,
    "CareTeam": _SUBJECT,
    "ChargeItem": _SUBJECT,
    "Claim": _PATIENT,
    "ClaimResponse": _PATIENT,
    "ClinicalImpression": _SUBJECT,
    "Communication": (("subject",), ("sender", "recipient")),
    "CommunicationRequest": (("subject",), ("sender", "recipient", "requester")),
    "Composition": (("subject",), ("author",)),
    "Condition": _SUBJECT,
    "Consent": _PATIENT,
    "Contract": _SUBJECT,
    "Coverage": (("beneficiary",), ("subscriber", "policyHolder"), ("payor",)),
    "CoverageEligibilityRequest": _PATIENT,
    "CoverageEligibilityResponse": _PATIENT,
    "DetectedIssue": _PATIENT,
    "Device": _PATIENT,
    "DeviceRequest": _SUBJECT,
    "DeviceUseStatement": _SUBJECT,
    "DiagnosticReport": _SUBJECT,
    "DocumentManifest": (("subject",), ("author", "recipient")),
    "DocumentReference": (("subject",), ("author",)),
    "Encounter": _SUBJECT,
    "EnrollmentRequest": (("candidate",),),
    "EpisodeOfCare": _PATIENT,
    "ExplanationOfBenefit": _PATIENT,
    "FamilyMemberHistory": _PATIENT,
    "Flag": _SUBJECT,
    "Goal": _SUBJECT,
    "Group": (("member.entity",),),
    "GuidanceResponse": _SUBJECT,
    "ImagingStudy": _SUBJECT,
    "Immunization": _PATIENT,
    "ImmunizationEvaluation": _PATIENT,
    "ImmunizationRecommendation": _PATIENT,
    "Invoice": (("subject",), ("recipient",)),
    "Linkage": (("item.resource",),),
    "List": (("subject",), ("source",)),
    "MeasureReport": _SUBJECT,
    "Media": _SUBJECT,
    "MedicationAdministration": _SUBJECT,
    "MedicationDispense": (("subject",), ("receiver",)),
    "MedicationRequest": _SUBJECT,
    "MedicationStatement": _SUBJECT,
    "MolecularSequence": _PATIENT,
    "NutritionOrder": _PATIENT,
    "Observation": (("subject",), ("performer",)),
    "Person": (("link.target",),),
    "Procedure": _SUBJECT,
    "Provenance": (("target",),),
    "QuestionnaireResponse": (("subject",), ("source",), ("author",)),
    "RelatedPerson": _PATIENT,
    "RequestGroup": _SUBJECT,
    "ResearchSubject": (("individual",),),
    "RiskAssessment": _SUBJECT,
    "Schedule": (("actor",),),
    "ServiceRequest": _SUBJECT,
    "Specimen": _SUBJECT,
    "SupplyDelivery": _PATIENT,
    "SupplyRequest": (("deliverTo",),),
    "Task": (("for",), ("focus",)),
    "VisionPrescription": _PATIENT,
}
"""Resource type -> groups of paths to the deciding references. Types not listed name no patient, save `Patient`
(its own chart) and `Bundle` (the charts of what it holds)."""

_COMPILED: Final[dict[str, tuple[tuple[tuple[str, ...], ...], ...]]] = {
    type: tuple(tuple(tuple(path.split(".")) for path in group) for group in groups)
    for type, groups in DECIDES.items()
}
_SIMPLE: Final[dict[str, str]] = {
    type: groups[0][0] for type, groups in DECIDES.items() if len(groups[0]) == 1 and "." not in groups[0][0]
}
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def patients_of(resource: dict[str, Any], base: str = "") -> tuple[str, ...]:
    """Logical ids of this server's Patients whose charts hold `resource`, in order of mention, each once.

    What a resource contains counts as well: whoever reads the one reads the other. `base` is the server's own FHIR
    base without a trailing slash: absolute URLs below it count as local. Malformed references name nobody; whether they are refused is the validator's business.
    """
    type = resource.get("resourceType")
    simple = _SIMPLE.get(type) if isinstance(type, str) else None
    if simple is not None:  # the common case, without generators
        value = resource.get(simple)
        if value.__class__ is dict:
            found = patient_id(value.get("reference"), base)
            if found and "contained" not in resource:
                return (found,)
    return _patients_of(resource, base)


def patient_id(reference: object, base: str = "") -> str:
    """The id in a literal reference to a Patient of this server, or ""."""
    if not isinstance(reference, str):
        return ""
    if not reference.startswith("Patient/"):
        if not base or not reference.startswith(base) or not reference.startswith("/Patient/", len(base)):
            return ""
        reference = reference[len(base) + 1 :]
    rest = reference[8:]
    if "/" in rest:
        rest, _, tail = rest.partition("/")
        if not tail.startswith("_history/"):
            return ""
    return rest if _ID.fullmatch(rest) else ""


def _patients_of(resource: dict[str, Any], base: str) -> tuple[str, ...]:
    named = _named(resource, base)
    if "contained" not in resource:
        return named
    every = dict.fromkeys(named)
    for inner in _at(resource, ("contained",)):
        if inner.__class__ is dict and inner.get("resourceType") != "Patient":  # its id is a fragment
            every.update(dict.fromkeys(_named(inner, base)))
    return tuple(every)


def _named(resource: dict[str, Any], base: str) -> tuple[str, ...]:
    type = resource.get("resourceType")
    if not isinstance(type, str):
        return ()
    if type == "Patient":
        own = resource.get("id")
        return (own,) if isinstance(own, str) and own else ()
    if type == "Bundle":
        return _patients_within(resource, base)
    for group in _COMPILED.get(type, ()):
        named = dict.fromkeys(
            found
            for path in group
            for reference in _at(resource, path)
            if reference.__class__ is dict and (found := patient_id(reference.get("reference"), base))
        )
        if named:
            return tuple(named)
    return ()


def _patients_within(bundle: dict[str, Any], base: str) -> tuple[str, ...]:
    """A stored Bundle (document, message, collection) belongs to the charts of all that it holds, however deep."""
    named: dict[str, None] = {}
    pending = [bundle]
    while pending:
        for resource in _at(pending.pop(), ("entry", "resource")):
            if resource.__class__ is not dict:
                continue
            if resource.get("resourceType") == "Bundle":
                pending.append(resource)
            else:
                named.update(dict.fromkeys(_patients_of(resource, base)))
    return tuple(named)


def _at(node: Any, path: tuple[str, ...]) -> Iterator[Any]:
    current = [node]
    for name in path:
        following: list[Any] = []
        for item in current:
            value = item.get(name) if item.__class__ is dict else None
            if value.__class__ is list:
                following.extend(value)
            elif value is not None:
                following.append(value)
        current = following
    yield from current
