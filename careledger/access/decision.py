"""May they? One pure function from who asks for what to permit or deny, and the rule that decided.

Deny overrides; unknown denies. The same function serves read, search, counts, includes, history, `$everything`
and every later path to a chart. It reads no clock, no store and no configuration, so a verifier can compute a
decision again from its kept inputs.

A decision is about one chart; what stands in several needs a permit in each (`join`). It is taken in two steps:
`withholding` says how the chart divides for this caller, purpose and time, before any resource is opened; the
`Partition` then tells the rule of a resource by type, categories and labels. Searches evaluate a partition on the
index, `decide` applies it to one resource: there is no second path. Granular scopes divide a chart likewise, before any
directive: what matches none of them is as if absent.

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

import msgspec

from careledger.access.actor import Actor
from careledger.access.directives import Coding, Directive, Effect
from careledger.access.force import compute_in_force
from careledger.access.granular import Holds, nothing_holds
from careledger.access.scopes import INTERACTIONS, WRITES, Outside, allows

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

OWN_PURPOSES = DEFAULT_PURPOSES | {"PATRQT"}
"""Purposes for which a patient reaches her own chart."""

EMERGENCY_PURPOSE = "ETREAT"

READING = frozenset(INTERACTIONS) - WRITES - {"validate", "proof"}
"""Interactions that a permit directive opens. `proof` needs a directive that says so; nothing lets strangers write."""

Answer = Literal["permit", "forbidden", "absent"]

RULES: Mapping[str, Answer] = MappingProxyType(
    {
        "scope": "forbidden",
        "granular-scope": "absent",
        "other-patient": "absent",
        "house-read-only": "forbidden",
        "own-chart": "permit",
        "emergency": "permit",
        "stale": "absent",
        "directive-deny": "absent",
        "directive-permit": "permit",
        "custodian-default": "permit",
        "supporting": "permit",
        "no-directive": "absent",
        "purpose": "absent",
    }
)
"""Every rule in order, and what the caller gets: forbidden is 403; absent is as if the thing did not exist."""

_ORDER = tuple(RULES)


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What is asked of one resource, or of a type in one chart.

    `patients` are the logical ids of those whose charts hold it, () the house chart. A search asks with the chart
    it runs in; an update asks twice, for the old and for the new version. `custodian` is this node's DID. `time_ms`
    is the time of the request; `emergency` says that an emergency grant of this caller for this chart is in force,
    `stale` that this node does not have the ledger's newest blocks: what they revoke, it does not know.
    """

    interaction: str
    type: str
    patients: tuple[str, ...]
    custodian: str
    categories: tuple[Coding, ...] = ()
    time_ms: int = 0
    emergency: bool = False
    stale: bool = False


class Condition(msgspec.Struct, frozen=True, gc=False):
    """A directive as it divides a chart: which resources it means, and what it says of them. () does not narrow."""

    effect: Effect
    types: tuple[str, ...]
    categories: tuple[Coding, ...]
    labels: tuple[Coding, ...]
    directive: str

    @property
    def rule(self) -> str:
        return "directive-deny" if self.effect == "deny" else "directive-permit"

    def covers(self, type: str, categories: Sequence[Coding], labels: Sequence[Coding]) -> bool:
        """The resource is one of those that are meant."""
        return (
            (not self.types or type in self.types)
            and (not self.categories or self._meets(self.categories, categories))
            and (not self.labels or self._meets(self.labels, labels))
        )

    def _meets(self, wanted: Sequence[Coding], found: Sequence[Coding]) -> bool:
        """One code in common. A directive's code without a system is of every system; a deny meets a resource's too."""
        for other in found:
            for one in wanted:
                if one.code == other.code and (
                    one.system in ("", other.system) or (not other.system and self.effect == "deny")
                ):
                    return True
        return False


@dataclass(frozen=True, slots=True)
class Partition:
    """How one chart divides for one caller, purpose and time: the first condition that covers decides, else `otherwise`.

    `directive` is the id of the directive behind `otherwise`, "" if there is none.
    """

    conditions: tuple[Condition | Outside, ...]
    otherwise: str
    directive: str = ""

    def applies(
        self,
        type: str,
        categories: Sequence[Coding],
        labels: Sequence[Coding],
        holds: Holds = nothing_holds,
    ) -> tuple[str, str]:
        """The rule that decides on such a resource, and the id of the directive behind it ("" for none).

        `holds` tells of the filters of granular scopes; without it they keep the resource out of reach.
        """
        for condition in self.conditions:
            if isinstance(condition, Outside):
                if condition.covers(type, holds):
                    return condition.rule, ""
            elif condition.covers(type, categories, labels):
                return condition.rule, condition.directive
        return self.otherwise, self.directive

    def of_type(self, type: str) -> Partition:
        """The same for one type, as short as can be: without conditions, all of the type stands under `otherwise`."""
        conditions: list[Condition | Outside] = []
        for one in self.conditions:
            if isinstance(one, Outside):
                if one.type == type:
                    conditions.append(one)
                continue
            if one.types and type not in one.types:
                continue
            if not one.categories and not one.labels:
                return Partition(tuple(conditions), one.rule, one.directive)
            conditions.append(Condition(one.effect, (), one.categories, one.labels, one.directive))
        return Partition(tuple(conditions), self.otherwise, self.directive)


_WHOLE = {rule: Partition((), rule) for rule in RULES}
"""All of a chart under one rule."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Permit or deny, by which rule, on which directive, as of which height.

    `directives` are the ids of those that decided: with the request, the caller and the chart's directives at the
    height, the decision can be computed again.
    """

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
    labels: Sequence[Coding],
    height: int,
    holds: Holds = nothing_holds,
) -> Decision:
    """The decision on one resource in one chart, whose directives these are."""
    partition = withholding(request, actor, directives)
    rule, directive = partition.applies(request.type, request.categories, labels, holds)
    return Decision(RULES[rule] == "permit", (), rule, (directive,) if directive else (), height)


def join(decisions: Sequence[Decision]) -> Decision:
    """The decision on a resource that stands in several charts: one denial denies. At least one is given."""
    denials = [one for one in decisions if not one.permit]
    told = denials or decisions
    first = min(told, key=lambda one: _ORDER.index(one.rule))
    used = dict.fromkeys(id for one in told if one.rule == first.rule for id in one.directives)
    return Decision(first.permit, (), first.rule, tuple(used), first.height)


def withholding(request: AccessRequest, actor: Actor, directives: Sequence[Directive]) -> Partition:
    """How the chart divides for this caller. Of the request's type only the scope and the house chart depend.

    Granular scopes come first, of every type: nothing opens what they do not reach.
    """
    part = _dividing(request, actor, directives)
    if not actor.scopes.outside or not (part.conditions or RULES[part.otherwise] == "permit"):
        return part
    outside = actor.scopes.outside.get(request.interaction, ())
    return Partition((*outside, *part.conditions), part.otherwise, part.directive) if outside else part


def _dividing(request: AccessRequest, actor: Actor, directives: Sequence[Directive]) -> Partition:
    """As `withholding`, by everything but granular scopes.

    For the house chart `directives` are those of the chart whose resources refer to it: what a permit opens needs the
    supporting types to be understood.
    """
    rule = _outright(request, actor)
    if rule:
        return _WHOLE[rule]
    if request.stale and RULES[_default(request, actor)] != "permit":
        return _WHOLE["stale"]
    counting = compute_in_force(directives, actor, request.time_ms) if directives else ()
    if not request.patients:
        return _WHOLE[_of_house(request, actor, counting)]
    if not counting:
        return _WHOLE[_default(request, actor)]
    denies = [one for one in counting if _is_denied(request.interaction, one)]
    permits = [one for one in counting if _is_permitted(request.interaction, one)]
    return Partition(tuple(map(_condition, (*denies, *permits))), _default(request, actor))


def _outright(request: AccessRequest, actor: Actor) -> str:
    """The rule that decides whatever the directives say, or ''."""
    if request.interaction not in INTERACTIONS or not allows(actor.scopes, request.interaction, request.type):
        return "scope"
    if actor.patient_bound:
        hidden = _hidden_from_bound(request, actor.patient)
        if hidden:
            return hidden
        if request.patients and _is_herself(request, actor):
            return "own-chart"
    if request.emergency and request.patients and actor.purpose == EMERGENCY_PURPOSE:
        if _is_custodian(request, actor) or request.interaction in READING:
            return "emergency"
    return ""


def _is_custodian(request: AccessRequest, actor: Actor) -> bool:
    return bool(request.custodian) and actor.organisation == request.custodian


def _is_herself(request: AccessRequest, actor: Actor) -> bool:
    """The patient, not somebody who treats her with a token bound to her chart."""
    return (
        bool(actor.patient)
        and _is_custodian(request, actor)
        and not actor.practitioner
        and not actor.roles
        and actor.purpose in OWN_PURPOSES
    )


def _default(request: AccessRequest, actor: Actor) -> str:
    """What holds where no directive does."""
    if not _is_custodian(request, actor):
        return "no-directive"
    return "custodian-default" if actor.purpose in DEFAULT_PURPOSES else "purpose"


def _of_house(request: AccessRequest, actor: Actor, counting: Sequence[Directive]) -> str:
    rule = _default(request, actor)
    if (
        rule == "custodian-default"
        or request.type not in SUPPORTING_TYPES
        or request.interaction not in READING
    ):
        return rule
    in_emergency = request.emergency and actor.purpose == EMERGENCY_PURPOSE
    opened = in_emergency or any(_is_permitted(request.interaction, one) for one in counting)
    return "supporting" if opened or (actor.patient_bound and _is_herself(request, actor)) else rule


def _is_denied(interaction: str, directive: Directive) -> bool:
    """The directive denies this. Who is denied access gets no proof either."""
    text = directive.text
    return text.effect == "deny" and (interaction == "proof" or "access" in text.actions)


def _is_permitted(interaction: str, directive: Directive) -> bool:
    text = directive.text
    if text.effect != "permit":
        return False
    return (
        "proof" in text.actions
        if interaction == "proof"
        else interaction in READING and "access" in text.actions
    )


def _condition(directive: Directive) -> Condition:
    text = directive.text
    return Condition(text.effect, text.types, text.categories, text.labels, directive.id)


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
