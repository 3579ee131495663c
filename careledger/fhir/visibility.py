"""What a caller may find, for searches and lists: by sets over a chart's index, without opening a body.

`authority.judge` decides the same of one resource; tests hold both to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from careledger.access.decision import RULES, Partition
from careledger.access.scopes import is_narrowed
from careledger.fhir.asking import Asking
from careledger.fhir.authority import judge
from careledger.fhir.chartorder import ChartOrder
from careledger.fhir.search.bitsets import members
from careledger.fhir.search.chartindex import TypeIndex
from careledger.fhir.search.compile import is_shared
from careledger.fhir.search.scope import Scope
from careledger.fhir.search.withheld import permitted, shares, whole_history, without_hidden_history
from careledger.vault.model import Row, Version


def search_scope(asking: Asking, searched: str) -> Scope:
    """What a search of that type may find and include."""

    def interaction(type: str) -> str:
        return "search" if type == searched else "include"

    def visible(type: str, version: Version) -> bool:
        return judge(asking, interaction(type), type, version).permit

    def within(index: TypeIndex, bits: int) -> int:
        return seen_in(asking, interaction(index.type), index, bits)

    return Scope(asking.seen_charts(), visible, within)


def seen_in(asking: Asking, interaction: str, index: TypeIndex, bits: int) -> int:
    """Of these ordinals, those that the caller may see; what stands in several charts must be seen in each."""
    chart = index.chart
    part = asking.partition(interaction, index.type, chart, asking.patients_in(chart))
    if part.conditions:
        part = part.of_type(index.type)
        bits &= permitted(index, part)
        stale = bits & ~index.current
        if stale:
            bits &= ~stale | without_hidden_history(index, stale, permitted(index, part))
        _note(asking, index, part, bits)
    elif RULES[part.otherwise] != "permit":
        return 0
    else:
        asking.note(chart, asking.decision(part.otherwise, part.directive))
    for ordinal in members(bits & index.shared):
        found = index.version(ordinal)
        stored = asking.snapshot.version(found.type, found.id, found.version)
        if stored is None or not judge(asking, interaction, index.type, stored).permit:
            bits &= ~(1 << ordinal)
    return bits


def _note(asking: Asking, index: TypeIndex, part: Partition, bits: int) -> None:
    """The rules under which what is left may leave; where nothing is left, those under which it would."""
    for rule, directive, met in shares(index, part):
        if RULES[rule] == "permit" and (bits & met or not bits):
            asking.note(index.chart, asking.decision(rule, directive))


Seen = Callable[[Row], bool]


def seen_versions(asking: Asking, interaction: str, chart: int, type: str) -> Seen | None:
    """Which of a chart's rows of the type the caller may see, old versions and deletions too; None for none at all."""
    part = asking.partition(interaction, type, chart, asking.patients_in(chart))
    if not part.conditions:
        if RULES[part.otherwise] != "permit":
            return None
        asking.note(chart, asking.decision(part.otherwise, part.directive))
        return lambda row: _seen_elsewhere(asking, interaction, row)
    index = asking.context.charts.get(asking.snapshot, chart).type(type)
    if index is None:
        return None
    part = part.of_type(type)
    shown = whole_history(index, permitted(index, part))
    _note(asking, index, part, shown)
    ordinals = {row: at for at, row in enumerate(index.rows)}
    return lambda row: bool(shown >> ordinals[row.number] & 1) and _seen_elsewhere(asking, interaction, row)


def _seen_elsewhere(asking: Asking, interaction: str, row: Row) -> bool:
    """What stands in several charts must be seen in each."""
    if not row.deleted and not is_shared(row.values):
        return True
    version = asking.snapshot.version(row.type, row.id, row.version)
    if version is None or not version.links:
        return version is not None
    return judge(asking, interaction, row.type, version).permit


def seen_places(asking: Asking, order: ChartOrder, chart: int) -> Sequence[int]:
    """The places of a chart's order whose resources the caller may see, for `$everything`.

    What a partition withholds is remembered with the order, which forgets it as the chart grows.
    """
    part = asking.partition("everything", "Patient", chart, asking.patients_in(chart))
    places: Sequence[int] = order.places
    if part.conditions:
        kept = order.seen.get(part)
        if kept is None:
            kept = order.keep_seen(part, _places(asking, order, chart, part))
        places = kept
    elif RULES[part.otherwise] != "permit":
        return ()
    rules = [(condition.rule, condition.directive) for condition in part.conditions]
    for rule, directive in (*rules, (part.otherwise, part.directive)):
        if RULES[rule] == "permit":
            asking.note(chart, asking.decision(rule, directive))
    if not order.shared:
        return places
    return [place for place in places if place not in order.shared or _is_seen(asking, order.versions[place])]


def _is_seen(asking: Asking, version: Version) -> bool:
    return judge(asking, "everything", version.type, version).permit


def _places(asking: Asking, order: ChartOrder, chart: int, part: Partition) -> list[int]:
    """The places that a partition permits."""
    opened = asking.context.charts.get(asking.snapshot, chart)
    allowed: dict[str, set[str]] = {}
    for type in {version.type for version in order.versions.values()}:
        index = opened.type(type)
        if index is not None:
            bits = permitted(index, part.of_type(type)) & index.current
            allowed[type] = {index.ids[ordinal] for ordinal in members(bits)}
    asking.context.charts.settle(chart)
    return [
        place for place in order.places if order.versions[place].id in allowed[order.versions[place].type]
    ]


DENIALS_MAX = 64
"""Charts looked into for a denial before it is taken for granted."""


def sees_all(asking: Asking, interaction: str, type: str) -> bool:
    """Whether nothing of the type is hidden from this caller, in whatever chart: only they may choose ids."""
    if asking.actor.patient_bound or not asking.custodian:
        return False
    if is_narrowed(asking.actor.scopes, interaction, type):
        return False
    denied = asking.context.standing.charts_denied(asking.snapshot, asking.actor)
    if len(denied) > DENIALS_MAX:
        return False
    return all(_is_open(asking, interaction, type, chart) for chart in denied)


def _is_open(asking: Asking, interaction: str, type: str, chart: int) -> bool:
    part = asking.partition(interaction, type, chart, asking.patients_in(chart)).of_type(type)
    rules = (part.otherwise, *(condition.rule for condition in part.conditions))
    return all(RULES[rule] == "permit" for rule in rules)
