"""The entry that says who had what: built from the decision and from what really leaves.

An answer that holds k charts makes k entries. A denial, a count or an empty answer makes one entry of the house
chart. The caller commits them; nothing may be sent before they are durable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from careledger.access.actor import Actor
from careledger.access.decision import Decision
from careledger.vault.model import HOUSE_CHART, AccessEntry

WHAT_MAX_CHARACTERS = 1024
HOUSE_KINDS = frozenset(("denied", "empty", "count"))
"""Kinds that never name a chart: of a chart nothing leaves."""


def entries_for(
    actor: Actor,
    decision: Decision,
    request_id: bytes,
    kind: str,
    what: str,
    height: int,
    now_ms: int,
    by_chart: Mapping[int, Sequence[int]],
    ruled: Mapping[int, Decision] = MappingProxyType({}),
) -> tuple[AccessEntry, ...]:
    """One entry a chart in `by_chart` (chart number -> record-log positions that leave), else one house entry.

    A denied decision makes one house entry of kind `denied`, whatever was found. `kind` is what was done (`read`,
    `search`, …); without any chart it becomes `empty`, unless it is `count`. `what` is cut at 1,024 characters.
    `ruled` are charts with a decision of their own; `decision` holds for the others.
    """
    denials = [ruled.get(chart, decision) for chart in by_chart if not ruled.get(chart, decision).permit]
    if denials or not (by_chart or decision.permit):
        decision = denials[0] if denials else decision
        return (_entry(actor, decision, request_id, "denied", what, height, now_ms, HOUSE_CHART, ()),)
    if not by_chart or kind in HOUSE_KINDS:
        house_kind = kind if kind in HOUSE_KINDS else "empty"
        return (_entry(actor, decision, request_id, house_kind, what, height, now_ms, HOUSE_CHART, ()),)
    return tuple(
        _entry(
            actor, ruled.get(chart, decision), request_id, kind, what, height, now_ms, chart, tuple(leaves)
        )
        for chart, leaves in by_chart.items()
    )


def _entry(
    actor: Actor,
    decision: Decision,
    request_id: bytes,
    kind: str,
    what: str,
    height: int,
    now_ms: int,
    chart: int,
    leaves: tuple[int, ...],
) -> AccessEntry:
    return AccessEntry(
        chart,
        request_id,
        actor.practitioner or actor.subject,
        actor.client,
        actor.organisation,
        actor.purpose,
        decision.rule,
        decision.permit,
        kind,
        what[:WHAT_MAX_CHARACTERS],
        height,
        now_ms,
        leaves,
        decision.directives,
        actor.roles,
        actor.subject if actor.practitioner else "",
    )
