"""Decide, and say so in the access log: the one way from an interaction to `access`.

Every interaction asks here before it answers, and awaits `record` before a byte of a chart leaves. What a caller
may not see is answered as what is not there.
"""

from __future__ import annotations

import re

from careledger.access.actor import Actor
from careledger.access.audit import entries_for
from careledger.access.decision import AccessRequest, Decision, decide
from careledger.fhir import json
from careledger.fhir.charts import patients_of
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest
from careledger.primitives.errors import NotPermitted, Unauthenticated
from careledger.vault.model import HOUSE_CHART, Snapshot, Version

SOMEBODY = ("?",)
"""Stands for the patients of a chart that is not the caller's own. No Patient has this id."""

ByChart = dict[int, list[int]]
"""Chart number -> record-log positions of the versions that leave."""


class Denied(NotPermitted):
    """`decide` said no. The caller gets 403, or 404 where the thing must look absent."""

    code = "forbidden"

    def __init__(self, decision: Decision) -> None:
        super().__init__(
            "The token does not allow this interaction.", hint="Ask for a token whose scope covers it.", code="forbidden"
        )
        self.decision = decision


def actor_of(request: FhirRequest) -> Actor:
    if request.actor is None:
        raise Unauthenticated("This needs a token.", hint="Send Authorization: Bearer <token>.")
    return request.actor


def own_chart(actor: Actor, snapshot: Snapshot) -> int:
    """The one chart a patient-bound caller sees; -1 for none, and for callers who are not bound."""
    if not actor.patient:
        return -1
    chart = snapshot.chart_of(actor.patient)
    return -1 if chart is None else chart


def judge(
    context: Context, request: FhirRequest, interaction: str, type: str, patients: tuple[str, ...], height: int
) -> Decision:
    """The decision on one resource, or on one type in one chart. Never raises for a denial."""
    asked = AccessRequest(interaction, type, patients, context.backend.organisation)
    return decide(asked, actor_of(request), (), (), height)


def demand(
    context: Context, request: FhirRequest, interaction: str, type: str, patients: tuple[str, ...], height: int
) -> Decision:
    """As `judge`; raises Denied unless it permits."""
    decision = judge(context, request, interaction, type, patients, height)
    if not decision.permit:
        raise Denied(decision)
    return decision


def patients_behind(actor: Actor, snapshot: Snapshot, version: Version | None) -> tuple[str, ...]:
    """Whose charts hold this version, as far as the decision on this caller needs to know.

    A resource that is not there is decided as one of the caller's own chart: only the scope can refuse it.
    """
    if version is None:
        return (actor.patient,) if actor.patient_bound else ()
    if version.chart == HOUSE_CHART:
        return ()
    if not actor.patient_bound:
        return SOMEBODY
    own = own_chart(actor, snapshot)
    if own >= 0 and (version.chart == own or actor.patient in patients_named(snapshot, version)):
        return (actor.patient,)
    return SOMEBODY


def patients_named(snapshot: Snapshot, version: Version) -> tuple[str, ...]:
    """The patients in whose charts this version was logged; for a deletion those of the version before."""
    if version.deleted:
        before = snapshot.version(version.type, version.id, version.version - 1)
        return () if before is None or before.deleted else patients_named(snapshot, before)
    return patients_of(json.loads(snapshot.body(version)))


_PATIENT = re.compile(rb"Patient/([A-Za-z0-9\-.]{1,64})")


def leaving(snapshot: Snapshot, version: Version, body: bytes) -> ByChart:
    """The charts, with their leaves, of which this version's content leaves.

    Nearly every resource names one patient at most; only those that name more are looked into.
    """
    charts = {version.chart: [version.leaf]}
    if body.count(b"Patient/") > 1 and len(set(_PATIENT.findall(body))) > 1:
        for patient in patients_of(json.loads(body)):
            chart = snapshot.chart_of(patient)
            if chart is not None and chart not in charts:
                charts[chart] = _leaf_in(snapshot, chart, version)
    return charts


def _leaf_in(snapshot: Snapshot, chart: int, version: Version) -> list[int]:
    for row in reversed(snapshot.rows(chart)):
        if row.id == version.id and row.version == version.version and row.type == version.type:
            return [row.leaf]
    return []


def merge(into: ByChart, more: ByChart) -> None:
    for chart, leaves in more.items():
        into.setdefault(chart, []).extend(leaves)


async def record(
    context: Context,
    request: FhirRequest,
    decision: Decision,
    kind: str,
    what: str,
    height: int,
    by_chart: ByChart,
) -> None:
    """Make the access entries durable: one a chart, or one of the house where nothing of a chart leaves.

    Raises Unavailable; then the answer must not be sent.
    """
    backend = context.backend
    entries = entries_for(
        actor_of(request), decision, request.request_id, kind, what, height, backend.now_ms(), by_chart
    )
    await backend.log_access(entries)
