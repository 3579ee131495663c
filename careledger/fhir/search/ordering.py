"""What resources are sorted by: one comparable key a row and parameter."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from careledger.fhir.search.bitsets import members, opened
from careledger.fhir.search.conditions import SortKey
from careledger.fhir.search.slots import DateSlot, decimal_of
from careledger.fhir.search.values import DATE, NUMBER, QUANTITY, STRING, normalise

if TYPE_CHECKING:
    from careledger.fhir.search.chartindex import TypeIndex

Key = int | str | Decimal
Keys = list[Key | None]

SORTABLE: Final = frozenset({STRING, DATE, NUMBER, QUANTITY})
"""Kinds of parameter that `_sort` takes, besides `_id`. Tokens, references and uris are stored as hashes: no order."""


def sort_keys(index: TypeIndex, key: SortKey) -> Keys:
    """By ordinal: the lowest value if ascending, the highest if descending (R4 search.html#_sort); None without one."""
    if key.parameter is None:
        return list(index.ids) if key.code == "_id" else list(index.times)
    keys: Keys = [None] * len(index)
    for number in key.parameter.slots:
        slot = index.slot(key.parameter.kind, number)
        if isinstance(slot, DateSlot):
            values = slot.hi if key.descending else slot.lo
            put = keys.__setitem__ if slot.is_single and len(key.parameter.slots) == 1 else None
            for ordinal, moment in zip(slot.ordinals, values, strict=True):
                if put is not None:
                    put(ordinal, moment)
                else:
                    _put(keys, ordinal, moment, key.descending)
        else:
            for raw, posting in slot.postings.items():
                value = _comparable(slot.kind, raw)
                if value is not None:
                    for ordinal in members(opened(posting)):
                        _put(keys, ordinal, value, key.descending)
    return keys


def _comparable(kind: int, raw: bytes | str) -> Key | None:
    if isinstance(raw, str):
        return normalise(raw)
    return decimal_of(raw[25:] if kind == QUANTITY else raw[1:])


def _put(keys: Keys, ordinal: int, value: Key, descending: bool) -> None:
    old = keys[ordinal]
    if old is None or (value > old if descending else value < old):  # type: ignore[operator]
        keys[ordinal] = value
