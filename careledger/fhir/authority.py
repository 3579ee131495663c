"""Decide, and say so in the access log: the one way from an interaction to `access`.

Every interaction asks here before it answers, and awaits `record` before a byte of a chart leaves. What a caller
may not see is answered as what is not there.
"""

from __future__ import annotations

from careledger.access.actor import Actor
from careledger.access.decision import AccessRequest, Decision, decide
from careledger.access.entries import entries_for
from careledger.fhir import json
from careledger.fhir.charts import patients_of
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest
from careledger.fhir.refusals import Refused
from careledger.fhir.search.scope import EVERYTHING, Scope
from careledger.primitives.errors import NotPermitted, Unauthenticated
from careledger.vault.model import HOUSE_CHART, AccessEntry, Snapshot, Version

SOMEBODY = ("?",)
"""Stands for the patients of a chart that is not the caller's own. No Patient has this id."""

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


def actor_of(request: FhirRequest) -> Actor:
    if request.actor is None:
        raise Unauthenticated("This needs a token.", hint="Send Authorization: Bearer <token>.")
    return request.actor


def check_standing(context: Context, request: FhirRequest) -> None:
    """Raise TokenRevoked if the caller's token does not hold any more: what takes long asks again on its way."""
    token_id = actor_of(request).token_id
    if token_id and context.backend.is_revoked(token_id):
        raise TokenRevoked


def own_chart(actor: Actor, snapshot: Snapshot) -> int:
    """The one chart a patient-bound caller sees; -1 for none, and for callers who are not bound."""
    if not actor.patient:
        return -1
    chart = snapshot.chart_of(actor.patient)
    return -1 if chart is None else chart


def judge(
    context: Context,
    request: FhirRequest,
    interaction: str,
    type: str,
    patients: tuple[str, ...],
    height: int,
) -> Decision:
    """The decision on one resource, or on one type in one chart. Never raises for a denial."""
    asked = AccessRequest(interaction, type, patients, context.backend.organisation)
    return decide(asked, actor_of(request), (), (), height)


def demand(
    context: Context,
    request: FhirRequest,
    interaction: str,
    type: str,
    patients: tuple[str, ...],
    height: int,
) -> Decision:
    """As `judge`; raises Denied unless it permits."""
    decision = judge(context, request, interaction, type, patients, height)
    if not decision.permit:
        raise Denied(decision)
    return decision


def patients_behind(actor: Actor, snapshot: Snapshot, version: Version | None) -> tuple[str, ...]:
    """Whose charts hold this version, as far as the decision on this caller needs to know.

    A resource that is not there is decided as one of the caller's own chart: only the scope can refuse it. Charts
    that are not the caller's own stand as `SOMEBODY`.
    """
    if version is None:
        return (actor.patient,) if actor.patient_bound else ()
    if version.chart == HOUSE_CHART:
        return ()
    if not actor.patient_bound:
        return SOMEBODY
    own = own_chart(actor, snapshot)
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


def search_scope(context: Context, request: FhirRequest, snapshot: Snapshot, searched: str) -> Scope:
    """What a search may find: for a patient-bound caller the own chart and what the house chart shows to them."""
    actor = actor_of(request)
    height = snapshot.height
    if not actor.patient_bound:
        if judge(context, request, "include", "*", (), height).permit:
            return EVERYTHING
        charts = None
    else:
        charts = frozenset({HOUSE_CHART, max(HOUSE_CHART, own_chart(actor, snapshot))})
    known: dict[tuple[str, tuple[str, ...]], bool] = {}

    def visible(type: str, version: Version) -> bool:
        key = (type, patients_behind(actor, snapshot, version))
        if key not in known:
            interaction = "search" if type == searched else "include"
            known[key] = judge(context, request, interaction, type, key[1], height).permit
        return known[key]

    return Scope(charts, visible)


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
    await backend.log_access(
        entries_for(
            actor_of(request), decision, request.request_id, kind, what, height, backend.now_ms(), by_chart
        )
    )


def record_entries(
    context: Context,
    request: FhirRequest,
    decision: Decision,
    kind: str,
    what: str,
    height: int,
    by_chart: ByChart,
) -> tuple[AccessEntry, ...]:
    """The entries that `record` would log, for a Commit that also writes."""
    now_ms = context.backend.now_ms()
    return entries_for(actor_of(request), decision, request.request_id, kind, what, height, now_ms, by_chart)
