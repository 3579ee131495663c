"""Decide, and say so in the access log: the one way from an interaction to `access`.

Every interaction asks here before it answers, and awaits `record` before a byte of a chart leaves. What a caller
may not see is answered as what is not there: a directive hides as a foreign chart does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from careledger.access.decision import AccessRequest, Decision, decide, join
from careledger.access.entries import entries_for
from careledger.access.granular import Filter
from careledger.access.scopes import INTERACTIONS, allows
from careledger.fhir import json
from careledger.fhir.asking import SOMEBODY, Asking, actor_of, ask
from careledger.fhir.charts import patients_of
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest
from careledger.fhir.refusals import Refused
from careledger.fhir.search.granular import holder
from careledger.fhir.search.withheld import labels_of
from careledger.primitives.errors import NotPermitted, Unauthenticated
from careledger.vault.model import HOUSE_CHART, AccessEntry, Snapshot, Version

ByChart = dict[int, list[int]]
"""Chart number -> record-log positions of the versions that leave."""


class Denied(NotPermitted):
    """`decide` said no. The caller gets 403, or 404 where the thing must look absent."""

    code = "forbidden"

    def __init__(self, decision: Decision, *, hide: bool = True) -> None:
        super().__init__("The token does not allow this.", hint="Ask for a token whose scope covers it.")
        self.decision = decision
        self.hidden = hide and decision.absent


class Unseen(Denied):
    """A deletion of what the caller may not know of, there or not: logged as denied, then answered as of nothing.

    That is 204, or `refused` where If-Match asked for a version.
    """

    def __init__(self, decision: Decision, refused: Refused | None) -> None:
        super().__init__(decision)
        self.refused = refused


class TokenRevoked(Unauthenticated):
    """The token was revoked after its request had begun: nothing more is done for it."""

    code = "token-revoked"

    def __init__(self) -> None:
        super().__init__("the token has been revoked", hint="get a new token with `careledger token`")


class Counted(Refused):
    """A refusal that tells how many resources a condition matches: logged as a count before it is said."""

    def __init__(self, decision: Decision, refused: Refused) -> None:
        super().__init__(refused.status, refused.code, refused.message, hint=refused.hint)
        self.decision = decision


def check_standing(context: Context, request: FhirRequest) -> None:
    """Raise TokenRevoked if the caller's token does not hold any more: what takes long asks again on its way."""
    actor = actor_of(request)
    if any(id and context.backend.is_revoked(id) for id in (actor.token_id, actor.grant)):
        raise TokenRevoked


# What is asked for as a whole, or is new: the default policy alone


def demand_scope(context: Context, request: FhirRequest, interaction: str, type: str) -> None:
    """Raise Denied if no scope of the token covers the interaction on the type: said before anything else is looked at."""
    if interaction in INTERACTIONS and not allows(actor_of(request).scopes, interaction, type):
        with context.backend.snapshot() as snapshot:
            raise Denied(ask(context, request, snapshot).decision("scope"))


def judge_whole(asking: Asking, interaction: str, type: str) -> Decision:
    """The decision on asking at all, before anything is found; what is found is decided by itself.

    (So is what granular scopes reach: here they count as if all of the type matched.)
    """
    patients = SOMEBODY if asking.emergencies and not asking.actor.patient_bound else asking.own_patients
    return judge_new(asking.context, asking.request, interaction, type, patients, asking.height, asking, None)


def demand_whole(asking: Asking, interaction: str, type: str) -> Decision:
    """As `judge_whole`; raises Denied where the scope does not cover it. A denial by policy finds nothing."""
    decision = judge_whole(asking, interaction, type)
    if not decision.permit and not decision.absent:
        raise Denied(decision)
    return decision


def judge_new(
    context: Context,
    request: FhirRequest,
    interaction: str,
    type: str,
    patients: tuple[str, ...],
    height: int,
    asking: Asking | None,
    resource: dict[str, Any] | None,
) -> Decision:
    """The decision on a version that is not there yet. A directive is about what is read: it keeps nobody from recording.

    (So a write into a chart that is closed to its writer is answered like one into a new chart.) Granular scopes are
    about what is written as well: it must match. Without a `resource` nothing is written, see `judge_whole`.
    """
    emergency = asking is not None and _all_in_emergency(asking, patients)
    asked = AccessRequest(
        interaction,
        type,
        patients,
        context.backend.organisation,
        emergency=emergency,
        stale=asking is not None and asking.stale,
    )
    holds = _whole if resource is None else holder(type, resource)
    return decide(asked, actor_of(request), (), (), height, holds)


def _whole(filter: Filter) -> bool:
    return True


def _all_in_emergency(asking: Asking, patients: tuple[str, ...]) -> bool:
    if not asking.emergencies or not patients:
        return False
    return patients == SOMEBODY or all(
        asking.snapshot.chart_of(patient) in asking.emergencies for patient in patients
    )


# What is there: every chart that holds it


def judge(asking: Asking, interaction: str, type: str, version: Version | None) -> Decision:
    """The decision on one resource: a permit in each chart that holds it. Never raises for a denial."""
    if version is None:
        return judge_whole(asking, interaction, type)
    patients = patients_behind(asking, version)
    decision = _judge_in(asking, interaction, version, version.chart, patients)
    if not version.links:
        if decision.permit:
            asking.note(version.chart, decision)
        return decision
    decisions = {version.chart: decision}
    for chart, _ in version.links:
        decisions[chart] = _judge_in(asking, interaction, version, chart, patients)
    joined = join(tuple(decisions.values()))
    if joined.permit:
        for chart, decision in decisions.items():
            asking.note(chart, decision)
    return joined


def _judge_in(
    asking: Asking, interaction: str, version: Version, chart: int, patients: tuple[str, ...]
) -> Decision:
    part = asking.partition(interaction, version.type, chart, patients)
    if part.conditions:
        part = part.of_type(version.type)
    rule, directive = part.otherwise, part.directive
    if part.conditions:
        for body in _deciding_bodies(asking.snapshot, chart, version):
            resource = json.loads(body) if body else {}
            held = holder(version.type, resource)
            rule, directive = part.applies(version.type, *labels_of(version.type, resource), held)
            if asking.decision(rule, directive).absent:
                break
    return asking.decision(rule, directive)


def _deciding_bodies(snapshot: Snapshot, chart: int, version: Version) -> Iterator[bytes]:
    """The version's own, and that of the resource's newest version in the chart: a label added later hides what was."""
    held = [
        one for one in snapshot.versions(version.type, version.id) if not one.deleted and _is_in(one, chart)
    ]
    if held and held[0].version != version.version:
        yield snapshot.body(held[0])
    if not version.deleted:
        yield snapshot.body(version)
    elif not held:
        yield b""


def _is_in(version: Version, chart: int) -> bool:
    return version.chart == chart or any(linked == chart for linked, _ in version.links)


def patients_behind(asking: Asking, version: Version) -> tuple[str, ...]:
    """Whose charts hold this version, as far as the decision on this caller needs to know.

    Charts that are not the caller's own stand as `SOMEBODY`.
    """
    if version.chart == HOUSE_CHART:
        return ()
    actor, own = asking.actor, asking.own
    if not actor.patient_bound:
        return SOMEBODY
    if version.chart == own:
        return (actor.patient, *SOMEBODY) if version.links else (actor.patient,)
    if own >= 0 and any(chart == own for chart, _ in version.links):
        return (actor.patient, *SOMEBODY)
    return SOMEBODY


def patients_named(context: Context, snapshot: Snapshot, version: Version) -> tuple[str, ...]:
    """The patients in whose charts this version was logged."""
    if version.chart == HOUSE_CHART or version.deleted:
        return ()
    return patients_of(json.loads(snapshot.body(version)), context.backend.base_url)


def leaving(version: Version) -> ByChart:
    """The charts, with their leaves, of which something leaves with this version."""
    charts = {version.chart: [version.leaf]}
    for chart, leaf in version.links:
        charts[chart] = [leaf]
    return charts


def merge(into: ByChart, more: ByChart) -> None:
    for chart, leaves in more.items():
        into.setdefault(chart, []).extend(leaves)


# The access log


async def record(asking: Asking, decision: Decision, kind: str, what: str, by_chart: ByChart) -> None:
    """Make the access entries durable: one a chart, or one of the house where nothing of a chart leaves.

    Raises Unavailable; then the answer must not be sent.
    """
    await asking.context.backend.log_access(record_entries(asking, decision, kind, what, by_chart))


def record_entries(
    asking: Asking, decision: Decision, kind: str, what: str, by_chart: ByChart
) -> tuple[AccessEntry, ...]:
    """The entries that `record` would log, for a Commit that also writes. Each chart's names the rule that held in it.

    What is counted, or not found, in charts that a directive opens is no denial.
    """
    if not by_chart and not decision.permit and asking.ruled:
        decision = join(tuple(asking.ruled.values()))
    return entries_for(
        asking.actor,
        decision,
        asking.request.request_id,
        kind,
        what,
        asking.height,
        asking.context.backend.now_ms(),
        by_chart,
        asking.ruled,
    )


async def record_refusal(
    context: Context, request: FhirRequest, decision: Decision, kind: str, what: str
) -> None:
    """As `record`, of what was refused: one entry of the house."""
    await context.backend.log_access(refusal_entries(context, request, decision, kind, what))


def refusal_entries(
    context: Context, request: FhirRequest, decision: Decision, kind: str, what: str
) -> tuple[AccessEntry, ...]:
    """The entry that `record_refusal` would log."""
    now_ms = context.backend.now_ms()
    return entries_for(
        actor_of(request), decision, request.request_id, kind, what, decision.height, now_ms, {}
    )
