"""What a partition of a chart withholds, as sets of ordinals: no body is opened to decide.

A resource's categories and labels are what the parameters `category` and `_security` of its type find; the index has
them already, and `labels_of` reads the same paths in one body, so that a search and a read decide alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from careledger.access.decision import RULES, Condition, Partition
from careledger.access.directives import Coding
from careledger.access.scopes import Outside
from careledger.fhir.search.bitsets import members, opened
from careledger.fhir.search.chartindex import Share, TypeIndex
from careledger.fhir.search.compile import Parameter, search_of
from careledger.fhir.search.conditions import Token
from careledger.fhir.search.granular import unreached
from careledger.fhir.search.slots import DateSlot
from careledger.fhir.search.values import NONE, hash8, token
from careledger.vault.model import ROW_DELETED, ROW_MOVED

Codings = tuple[Coding, ...]
SHARES_MAX: Final = 8
"""Partitions whose sets are kept for one type of one chart."""


def permitted(index: TypeIndex, part: Partition) -> int:
    """Ordinals, of whatever version, that a partition of this type permits by what they say themselves."""
    found = 0
    for rule, _, met in shares(index, part):
        if RULES[rule] == "permit":
            found |= met
    return found


def shares(index: TypeIndex, part: Partition) -> list[Share]:
    """How a partition of this type divides the rows; kept with the index until it grows."""
    kept = index.shares.get(part)
    if kept is not None and kept[0] == len(index):
        return kept[1]
    undecided = (1 << len(index)) - 1
    found: list[Share] = []
    for condition in part.conditions:
        met = undecided & _covered(index, condition)
        found.append((condition.rule, condition.directive, met))
        undecided &= ~met
    found.append((part.otherwise, part.directive, undecided))
    if len(index.shares) >= SHARES_MAX:
        index.shares.clear()
    index.shares[part] = (len(index), found)
    return found


def _covered(index: TypeIndex, condition: Condition | Outside) -> int:
    """Ordinals that a condition of this type covers."""
    if isinstance(condition, Outside):
        return unreached(index, condition)
    bits = (1 << len(index)) - 1
    if condition.categories:
        bits &= _meeting(index, category_of(index.type), condition.categories, condition.effect)
    if condition.labels:
        bits &= _meeting(index, label_of(index.type), condition.labels, condition.effect)
    return bits


def _meeting(index: TypeIndex, parameter: Parameter | None, wanted: Sequence[Coding], effect: str) -> int:
    """Ordinals with one of these codes (see `Condition` for what a missing system means)."""
    bits = 0
    for number in parameter.slots if parameter is not None else ():
        slot = index.slot(parameter.kind, number) if parameter is not None else None
        if slot is None or isinstance(slot, DateSlot):
            continue
        for coding in wanted:
            if not coding.code:
                continue
            if not coding.system:
                bits |= slot.tokens(Token(None, hash8(coding.code)), False)
                continue
            bits |= opened(slot.postings.get(token(coding.system, coding.code), 0))
            if effect == "deny":
                bits |= opened(slot.postings.get(NONE + hash8(coding.code), 0))
    return bits


def without_hidden_history(index: TypeIndex, bits: int, seen: int) -> int:
    """Of `bits`, those whose resource's newest version with a body is among `seen` as well."""
    for ordinal in members(bits):
        newest = newest_with_body(index, index.ids[ordinal])
        if newest >= 0 and not seen >> newest & 1:
            bits &= ~(1 << ordinal)
    return bits


def whole_history(index: TypeIndex, seen: int) -> int:
    """Of all rows, old ones and deletions too, those to be shown: a hidden newest body hides whatever was before."""
    shown = 0
    for id in index.last:
        newest = newest_with_body(index, id)
        if newest >= 0 and not seen >> newest & 1:
            continue
        for ordinal in index.versions_of(id):
            bodiless = newest >= 0 and index.flags[ordinal] & (ROW_DELETED | ROW_MOVED)
            if bodiless or seen >> ordinal & 1:
                shown |= 1 << ordinal
    return shown


def newest_with_body(index: TypeIndex, id: str) -> int:
    """The ordinal of the resource's newest version in this chart that has a body; -1 if none has."""
    for ordinal in index.versions_of(id):
        if not index.flags[ordinal] & (ROW_DELETED | ROW_MOVED):
            return ordinal
    return -1


@cache
def category_of(type: str) -> Parameter | None:
    """The parameter that finds a resource's categories; None where the type has none."""
    return search_of(type).parameters.get("category")


@cache
def label_of(type: str) -> Parameter | None:
    """The parameter that finds a resource's security labels."""
    return search_of(type).parameters.get("_security")


def labels_of(type: str, resource: dict[str, Any]) -> tuple[Codings, Codings]:
    """(categories, security labels) of one resource, as JSON."""
    return _codings(type, resource, category_of(type)), _codings(type, resource, label_of(type))


def _codings(type: str, resource: dict[str, Any], parameter: Parameter | None) -> Codings:
    if parameter is None:
        return ()
    found: list[Coding] = []
    for element in search_of(type).elements(resource, parameter):
        if isinstance(element, str):
            found.append(Coding(code=element, system=""))
        elif isinstance(element, dict):
            listed = element.get("coding", (element,))
            found += [_coding(one) for one in listed if isinstance(one, dict)]
    return tuple(one for one in found if one.code)


def _coding(value: dict[str, Any]) -> Coding:
    code, system = value.get("code", ""), value.get("system", "")
    if not isinstance(code, str) or not isinstance(system, str):
        return Coding(code="", system="")
    return Coding(code=code, system=system)
