"""What granular scopes keep out of reach, as sets of ordinals and on one resource, by the project's own search.

A filter of a scope holds where a search by its parameter would find the resource: on the index the search itself says
so, on one resource the same values are read from its body and compared alike. Tests hold both to each other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from careledger.access.granular import Filter, Holds
from careledger.access.scopes import Outside
from careledger.fhir.search.chartindex import TypeIndex
from careledger.fhir.search.compile import Parameter, search_of
from careledger.fhir.search.conditions import Condition, Token
from careledger.fhir.search.matching import holds as matching
from careledger.fhir.search.values import TOKEN, hash8


def unreached(index: TypeIndex, outside: Outside) -> int:
    """Ordinals, of whatever version, that granular scopes of this type keep out of reach."""
    everything = (1 << len(index)) - 1
    reached = everything
    for group in outside.groups:
        met = 0
        for narrowing in group:
            bits = everything
            for filter in narrowing:
                bits &= matching(index, _condition(index.type, filter))
            met |= bits
        reached &= met
    return everything & ~reached


def holder(type: str, resource: dict[str, Any]) -> Holds:
    """Tells of one resource, as JSON, which filters hold; its values are read once, when the first is asked for."""
    found: list[dict[int, bytes]] = []

    def holds(filter: Filter) -> bool:
        condition = _condition(type, filter)
        if condition.parameter is None:
            return False
        if not found:
            found.append(search_of(type).values(resource))
        return _is_met(found[0], condition, condition.parameter)

    return holds


def _is_met(values: dict[int, bytes], condition: Condition, parameter: Parameter) -> bool:
    """As `slots.ValueSlot.tokens` finds it."""
    for slot in parameter.slots:
        data = values.get(slot, b"")
        for wanted in condition.values:
            assert isinstance(wanted, Token)
            assert wanted.code is not None
            of_system = wanted.system is not None and not parameter.systemless
            for at in range(0, len(data), 16):
                if data[at + 8 : at + 16] == wanted.code and (
                    not of_system or data[at : at + 8] == wanted.system
                ):
                    return True
    return False


@lru_cache(maxsize=1024)
def _condition(type: str, filter: Filter) -> Condition:
    """The filter as a search asks it. Of a parameter that the type does not have nothing is met."""
    parameter = search_of(type).parameters.get(filter.name)
    if parameter is None or parameter.kind != TOKEN:
        return Condition(filter.name, TOKEN)
    values = tuple(
        Token(None if one.is_of_any_system else hash8(one.system), hash8(one.code)) for one in filter.tokens
    )
    return Condition(filter.name, TOKEN, values, "", parameter)
