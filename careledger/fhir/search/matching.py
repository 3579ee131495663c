"""Whether a condition holds, answered for all rows of a type at once from the indexed slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from careledger.fhir.search.bitsets import bits_of
from careledger.fhir.search.compile import Parameter
from careledger.fhir.search.conditions import Condition, DateRange, Number, Reference, Text, Token, Uri, Value
from careledger.fhir.search.slots import DateSlot, Slot, matching_dates
from careledger.fhir.search.values import type_tags

if TYPE_CHECKING:
    from careledger.fhir.search.chartindex import TypeIndex

UNRESOLVED: Final = -1


def holds(index: TypeIndex, condition: Condition) -> int:
    """Ordinals, of whatever version, for which the condition holds."""
    everything = (1 << len(index)) - 1
    parameter = condition.parameter
    if parameter is None:
        bits = _by_row(index, condition, everything)
    elif condition.modifier == "missing":
        bits = _present(index, parameter)
        return everything & ~bits if condition.wanted_missing else bits
    else:
        bits = 0
        for number in parameter.slots:
            slot = index.slot(parameter.kind, number)
            for value in condition.values:
                bits |= _in_slot(slot, parameter, value, condition.modifier)
    return everything & ~bits if condition.modifier == "not" else bits


def _in_slot(slot: Slot, parameter: Parameter, value: Value, modifier: str) -> int:
    if isinstance(slot, DateSlot):
        return slot.within(value) if isinstance(value, DateRange) else 0
    match value:
        case Token():
            return (
                slot.identified(value)
                if modifier == "identifier"
                else slot.tokens(value, parameter.systemless)
            )
        case Reference():
            return slot.references(
                value, type_tags()[parameter.resolves] if parameter.resolves else UNRESOLVED
            )
        case Text():
            return slot.texts(value, modifier)
        case Uri():
            return slot.uris(value)
        case Number():
            return slot.numbers(value)
        case _:
            return 0


def _present(index: TypeIndex, parameter: Parameter) -> int:
    bits = 0
    for number in parameter.slots:
        slot = index.slot(parameter.kind, number)
        if parameter.resolves and not isinstance(slot, DateSlot):
            bits |= slot.of_type(type_tags()[parameter.resolves])
        else:
            bits |= slot.present
    return bits


def _by_row(index: TypeIndex, condition: Condition, everything: int) -> int:
    """`_id` and `_lastUpdated`, of which no values are stored."""
    if condition.modifier == "missing":
        return 0 if condition.wanted_missing else everything
    size = len(index)
    bits = 0
    for value in condition.values:
        if isinstance(value, str):
            bits |= bits_of(index.versions_of(value), size)
        elif isinstance(value, DateRange):
            times: Sequence[int] = index.times
            bits |= bits_of(matching_dates(value, range(size), times, [time + 1 for time in times]), size)
    return bits
