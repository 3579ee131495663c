"""Values found well are remembered: FHIR repeats its codes, units, displays, references and dates all the time.

Only "well" is kept, and only of strings and of objects of strings alone: True == 1 == Decimal("1") in Python, so a
remembered number could vouch for a boolean. Memory is bounded; what is full is emptied and fills again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from careledger.fhir.validation.primitive import PrimitiveCheck
from careledger.fhir.validation.problems import Check, Problem, Scope, one

REMEMBERED_MAX = 4096
"""Values remembered by one check."""
LENGTH_MAX = 200
"""Characters of a remembered value; longer ones hardly repeat."""


def text_check(check_value: PrimitiveCheck) -> Check:
    """`check_value` for a primitive type that is written as a string."""
    well: set[str] = set()

    def check(value: Any, _: Scope) -> list[Problem] | None:
        if value.__class__ is str and value in well:
            return None
        text = check_value(value)
        if text is not None:
            return one("value", text)
        if len(value) <= LENGTH_MAX:
            if len(well) >= REMEMBERED_MAX:
                well.clear()
            well.add(value)
        return None

    return check


def flat_check(check_object: Check) -> Check:
    """`check_object` for a data type whose values are mostly strings alone and do not depend on the scope."""
    well: set[tuple[Any, ...]] = set()

    def check(value: Any, scope: Scope) -> list[Problem] | None:
        if value.__class__ is dict:
            try:
                if tuple(value.items()) in well:
                    return None
            except TypeError:  # it holds an object or an array
                pass
        found = check_object(value, scope)
        if found is None:
            remember(well, tuple(value.items()), value.values())
        return found

    return check


def concept_check(check_concept: Check) -> Check:
    """`check_concept` for a CodeableConcept: one Coding, with or without text, is remembered as a whole."""
    well: set[tuple[Any, ...]] = set()

    def check(value: Any, scope: Scope) -> list[Problem] | None:
        key = None
        if value.__class__ is dict and len(value) <= 2:
            codings = value.get("coding")
            if codings.__class__ is list and len(codings) == 1 and codings[0].__class__ is dict:
                if len(value) == 1:
                    key = tuple(codings[0].items())
                elif "text" in value:
                    key = (value["text"], *codings[0].items())
        if key is None:
            return check_concept(value, scope)
        try:
            if key in well:
                return None
        except TypeError:  # the Coding holds an object or an array
            return check_concept(value, scope)
        found = check_concept(value, scope)
        if found is None:
            remember(well, key, [value.get("text", ""), *value["coding"][0].values()])
        return found

    return check


def remember(well: set[tuple[Any, ...]], key: tuple[Any, ...], texts: Iterable[Any]) -> None:
    """Keep the key of an object that is well, if its values are short strings."""
    length = 0
    for text in texts:
        if text.__class__ is not str:
            return
        length += len(text)
    if length <= LENGTH_MAX:
        if len(well) >= REMEMBERED_MAX:
            well.clear()
        well.add(key)
