"""One request, looking at one view of the record: what every decision of it rests on.

Directives are those of the view, which is the newest there is: a page that began at an older height, a cached chart
or a kept order is decided by what stands now.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from careledger.access.actor import Actor
from careledger.access.decision import (
    DEFAULT_PURPOSES,
    EMERGENCY_PURPOSE,
    RULES,
    AccessRequest,
    Decision,
    Partition,
    join,
    withholding,
)
from careledger.access.directives import Directive
from careledger.access.emergency import charts_in_emergency
from careledger.access.force import compute_in_force
from careledger.fhir.context import Context
from careledger.fhir.freshness import compute_age_ms, is_stale
from careledger.fhir.messages import FhirRequest
from careledger.primitives.errors import Unauthenticated
from careledger.vault.model import HOUSE_CHART, Snapshot

SOMEBODY = ("?",)
"""Stands for the patients of a chart that is not the caller's own. No Patient has this id."""


def actor_of(request: FhirRequest) -> Actor:
    if request.actor is None:
        raise Unauthenticated("This needs a token.", hint="Send Authorization: Bearer <token>.")
    return request.actor


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks what of which view. `own` is the one chart of a caller bound to a patient, -1 for none.

    `ruled` fills as answers are put together: chart -> the decision under which something of it may leave.
    """

    context: Context
    request: FhirRequest
    snapshot: Snapshot
    actor: Actor
    height: int
    own: int
    custodian: bool
    """Acts under the custodian's default policy; everybody else needs a directive or an emergency in each chart."""
    emergencies: frozenset[int]
    """Charts to which an emergency access of this practitioner is in force."""
    stale: bool = False
    """The view may lack what other organisations' blocks revoked: nothing is opened on a directive."""
    ruled: dict[int, Decision] = field(default_factory=dict)
    _parts: dict[tuple[str, str, tuple[str, ...], int], Partition] = field(default_factory=dict)
    _decisions: dict[tuple[str, str], Decision] = field(default_factory=dict)
    _directives_of: dict[int, tuple[Directive, ...]] = field(default_factory=dict)

    @property
    def own_patients(self) -> tuple[str, ...]:
        """The patients of what a caller asks for as a whole, before it is found: their own, or nobody in particular."""
        return (self.actor.patient,) if self.actor.patient_bound else ()

    def patients_in(self, chart: int) -> tuple[str, ...]:
        """Whose chart this is, as far as decisions on this caller need to know."""
        if chart == HOUSE_CHART:
            return ()
        return (self.actor.patient,) if chart == self.own else SOMEBODY

    def partition(self, interaction: str, type: str, chart: int, patients: tuple[str, ...]) -> Partition:
        """How a chart divides for this caller. What is in several charts is asked for with all their patients."""
        directives = self._directives(chart)
        emergency = bool(self.emergencies) and self._in_emergency(chart)
        place = (
            chart if directives or emergency else -1
        )  # all charts that decide nothing themselves are alike
        key = (interaction, type, patients, place)
        found = self._parts.get(key)
        if found is None:
            backend = self.context.backend
            time_ms = backend.now_ms() if directives else 0
            asked = AccessRequest(
                interaction,
                type,
                patients,
                backend.organisation,
                (),
                time_ms,
                emergency=emergency,
                stale=self.stale,
            )
            found = self._parts[key] = withholding(asked, self.actor, directives)
        return found

    def _directives(self, chart: int) -> tuple[Directive, ...]:
        found = self._directives_of.get(chart)
        if found is None:
            if chart != HOUSE_CHART:
                found = self.context.standing.directives(self.snapshot, chart, self.actor)
            else:
                found = () if self.custodian else self._opening()
            self._directives_of[chart] = found
        return found

    def _opening(self) -> tuple[Directive, ...]:
        """The directives of a chart that somebody from outside sees: what its resources refer to, they see as well."""
        charts = sorted((self.seen_charts() or frozenset()) - {HOUSE_CHART})
        now_ms = self.context.backend.now_ms()
        for chart in charts[:OPENING_MAX]:
            directives = self._directives(chart)
            if any(one.text.effect == "permit" for one in compute_in_force(directives, self.actor, now_ms)):
                return directives
        return ()

    def _in_emergency(self, chart: int) -> bool:
        """An emergency access of this practitioner to the chart (the house: to any chart) is in force."""
        return chart in self.emergencies or (chart == HOUSE_CHART and bool(self.emergencies))

    def seen_charts(self) -> frozenset[int] | None:
        """Charts outside which this caller sees nothing; None for no such bound."""
        if self.actor.patient_bound:
            return frozenset({HOUSE_CHART, max(HOUSE_CHART, self.own)})
        if self.custodian:
            return None
        granted = self.context.standing.charts_granted(self.snapshot, self.actor)
        return granted | self.emergencies | {HOUSE_CHART}

    def decision(self, rule: str, directive: str = "") -> Decision:
        """The decision by this rule, on this directive if there is one."""
        key = (rule, directive)
        found = self._decisions.get(key)
        if found is None:
            used = (directive,) if directive else ()
            found = self._decisions[key] = Decision(RULES[rule] == "permit", (), rule, used, self.height)
        return found

    def note(self, chart: int, decision: Decision) -> None:
        """Something of the chart may leave under this decision: its access entry will say so."""
        known = self.ruled.get(chart)
        if known is None:
            self.ruled[chart] = decision
        elif known is not decision and known != decision:
            self.ruled[chart] = join((known, decision))


OPENING_MAX = 64
"""Charts looked into for a permit that opens the house's supporting resources to somebody from outside."""


def ask(context: Context, request: FhirRequest, snapshot: Snapshot) -> Asking:
    """The request, looking at this snapshot. Raises Unauthenticated without a caller."""
    actor = actor_of(request)
    own = snapshot.chart_of(actor.patient) if actor.patient else None
    at_home = actor.organisation == context.backend.organisation
    emergencies: frozenset[int] = frozenset()
    if actor.purpose == EMERGENCY_PURPOSE and actor.practitioner and at_home:
        emergencies = charts_in_emergency(snapshot, actor.practitioner, context.backend.now_ms())
    return Asking(
        context,
        request,
        snapshot,
        actor,
        snapshot.ledger_height,
        -1 if own is None else own,
        at_home and actor.purpose in DEFAULT_PURPOSES,
        emergencies,
        is_stale(compute_age_ms(context.backend, snapshot)),
    )


def at_view(before: Asking, snapshot: Snapshot) -> Asking:
    """The same request at a newer view; the rules that it noted stay together."""
    return replace(ask(before.context, before.request, snapshot), ruled=before.ruled)
