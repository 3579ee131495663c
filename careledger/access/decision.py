"""May they? One pure function from who asks for what to permit or deny, and the rule that decided.

Deny overrides; unknown denies. The same function serves read, search, counts, includes, history, `$everything`
and every later path to a chart. It reads no clock, no store and no configuration, so a verifier can compute a
decision again from its kept inputs.

Callers bound to one patient (a `patient` claim, or any `patient/` scope) see the chart of that patient and, from
the organisation's own chart, only the supporting types of `SUPPORTING_TYPES`: those that a reader needs in order
to understand a chart (who treated, where, with which product) and that describe no person under care. Everything
else of the house chart (an Observation without subject, a List, a Group, audit) is as if absent for them. They
write into their own chart only: a version that names another patient as well, or none, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from careledger.access.actor import Actor
from careledger.access.scopes import INTERACTIONS, WRITES, allows

SUPPORTING_TYPES = frozenset(
    (
        "Organization",
        "Practitioner",
        "PractitionerRole",
        "Location",
        "HealthcareService",
        "Medication",
        "MedicationKnowledge",
        "Substance",
        "InsurancePlan",
        "Endpoint",
        "Questionnaire",
        "PlanDefinition",
        "ActivityDefinition",
    )
)

DEFAULT_PURPOSES = frozenset(("TREAT", "HPAYMT", "HOPERAT"))
"""Purposes for which clients of the custodian act within their scopes without a directive."""

Answer = Literal["permit", "forbidden", "absent"]

RULES: Mapping[str, Answer] = MappingProxyType(
    {
        "scope": "forbidden",
        "other-patient": "absent",
        "house-read-only": "forbidden",
        "no-directive": "absent",
        "purpose": "absent",
        "directive-unknown": "absent",
        "label-unknown": "absent",
        "custodian-default": "permit",
    }
)
"""Every rule and what the caller gets: forbidden is 403; absent is as if the thing did not exist (404, no hit)."""


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What is asked of one resource, or of a type in one chart.

    `patients` are the logical ids of those whose charts hold it, () the house chart. A search asks with the chart
    it runs in; an update asks twice, for the old and for the new version. `custodian` is this node's DID.
    """

    interaction: str
    type: str
    patients: tuple[str, ...]
    custodian: str


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive as it stands at the height. Consent brings its content; until then one denies by being there."""

    id: str
    version: int = 1


@dataclass(frozen=True, slots=True)
class Label:
    """A security label of the resource. Until labels are understood, one that is handed in denies."""

    system: str
    code: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Permit or deny, by which rule, on which directives, as of which height."""

    permit: bool
    obligations: tuple[str, ...]
    rule: str
    directives: tuple[str, ...]
    height: int

    @property
    def absent(self) -> bool:
        """Denied in such a way that the thing must look as if it did not exist (404, empty), not 403."""
        return RULES[self.rule] == "absent"


def decide(
    request: AccessRequest,
    actor: Actor,
    directives: Sequence[Directive],
    labels: Sequence[Label],
    height: int,
) -> Decision:
    """The decision. Rules are tried in the order of `RULES`; the first that holds decides."""
    rule = _rule(request, actor, directives, labels)
    used = tuple(directive.id for directive in directives) if directives else ()
    return Decision(RULES[rule] == "permit", (), rule, used, height)


def _rule(
    request: AccessRequest, actor: Actor, directives: Sequence[Directive], labels: Sequence[Label]
) -> str:
    if request.interaction not in INTERACTIONS or not allows(actor.scopes, request.interaction, request.type):
        return "scope"
    if actor.patient_bound:
        hidden = _hidden_from_bound(request, actor.patient)
        if hidden:
            return hidden
    if actor.organisation != request.custodian or not request.custodian:
        return "no-directive"
    if actor.purpose not in DEFAULT_PURPOSES:
        return "purpose"
    if directives:
        return "directive-unknown"
    if labels:
        return "label-unknown"
    return "custodian-default"


def _hidden_from_bound(request: AccessRequest, patient: str) -> str:
    """The rule that keeps a caller bound to `patient` out, or ''."""
    patients = request.patients
    writes = request.interaction in WRITES
    if not patients:
        if request.type not in SUPPORTING_TYPES:
            return "other-patient"
        return "house-read-only" if writes else ""
    if patient not in patients:
        return "other-patient"
    # What is sealed for several charts is read in each of them, but written only by who may write into all.
    if writes and any(other != patient for other in patients):
        return "other-patient"
    return ""
