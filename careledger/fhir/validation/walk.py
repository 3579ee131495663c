"""The compiled walk: one check a type, built on first use; known shapes (sets of properties) cost one look-up.

A resource's structure rules (unknown, missing, exclusive properties) depend only on its property names, so they are
decided once for each tuple of names and remembered as the tuple of checks to apply to the values.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator
from typing import Any

from careledger.fhir.definitions import Element, Type, definitions
from careledger.fhir.outcomes import Issue
from careledger.fhir.validation import bindings, targets
from careledger.fhir.validation.primitive import PRIMITIVE_CHECKS, PrimitiveCheck, check_currency
from careledger.fhir.validation.problems import PROBLEMS_MAX, Check, Problem, Scope, added, one
from careledger.fhir.validation.remembered import concept_check, flat_check, text_check

SHAPES_MAX = 200
"""Remembered shapes of one type; real traffic has some ten."""
SHAPE_PROPERTIES_MAX = 40

REPEATED = frozenset({"canonical", "code", "date", "dateTime", "instant", "string", "uri", "url"})
"""Primitive types whose values repeat. (Numbers cannot be remembered; ids and narratives do not repeat.)"""
FLAT = frozenset({"Coding", "Period"})
"""Data types that are mostly a few strings that repeat. (A Reference depends on what it may name: see `targets`.)"""

_SPELLING = (
    "element names are those of hl7.org/fhir/R4; JSON has valueString for value[x], never value[x] itself"
)


def validate(resource: dict[str, Any]) -> list[Issue]:
    """Everything in which the resource breaks R4, at most PROBLEMS_MAX issues; empty if it is valid.

    Takes what `fhir.json.loads` returns. No text holds a value of the resource.
    """
    found = check_resource(resource, None)
    if found is None:
        return []
    root = resource.get("resourceType") if isinstance(resource, dict) else None
    name = root if isinstance(root, str) and definitions().is_resource_type(root) else "Resource"
    return [Issue("error", p.code, name + p.path, p.text, p.hint) for p in found[:PROBLEMS_MAX]]


def check_resource(value: Any, _: Scope) -> list[Problem] | None:
    """A resource on its own: in a request, in Bundle.entry, in Parameters. References see its own contained ones."""
    check = _check_of(value)
    if check is None:
        return _no_resource()
    if "contained" not in value:
        return check(value, None)
    return check(value, _scope_of(value))


def check_contained(value: Any, scope: Scope) -> list[Problem] | None:
    """A resource in `contained` (R4 references.html#contained): it has an id and contains nothing itself."""
    check = _check_of(value)
    if check is None:
        return _no_resource()
    if "contained" in value:
        return one("structure", "a contained resource must not contain others", path=".contained")
    if "id" not in value:
        return one("required", "a contained resource needs an id", "the id is what `#id` references name")
    return check(value, scope)


def _check_of(value: Any) -> Check | None:
    if value.__class__ is not dict:
        return None
    name = value.get("resourceType")
    if name.__class__ is not str or not definitions().is_resource_type(name):
        return None
    return object_check(name)


def _no_resource() -> list[Problem]:
    return one(
        "structure", "must be a resource: an object whose resourceType R4 defines", "check resourceType"
    )


def _scope_of(value: dict[str, Any]) -> dict[str, str]:
    scope = {"": str(value["resourceType"])}
    contained = value["contained"]
    for item in contained if isinstance(contained, list) else ():
        if (
            isinstance(item, dict)
            and isinstance(item.get("id"), str)
            and isinstance(item.get("resourceType"), str)
        ):
            scope[item["id"]] = item["resourceType"]
    return scope


@functools.cache
def object_check(name: str) -> Check:
    """The check of a resource type, complex data type or nested type."""
    shapes: dict[tuple[str, ...], tuple[Check, ...]] = {}
    rules = _Rules(name)

    def check(value: Any, scope: Scope) -> list[Problem] | None:
        if value.__class__ is not dict:
            return one("structure", "must be an object")
        names = tuple(value)
        checks = shapes.get(names)
        problems = None
        if checks is None:
            checks, problems = rules.plan(value)
            if (
                problems is None
                and len(names) <= SHAPE_PROPERTIES_MAX
                and not any(n[:1] == "_" for n in names)
            ):
                if len(shapes) >= SHAPES_MAX:
                    shapes.clear()
                shapes[names] = checks
        for check_item, item, property in zip(checks, value.values(), names):  # noqa: B905 (`strict` costs time)
            found = check_item(item, scope)
            if found is not None:
                problems = added(problems, rules.step(property), found)
        return problems

    if name == "CodeableConcept":
        return concept_check(check)
    return flat_check(check) if name in FLAT else check


class _Rules:
    """What the definitions say of one type, by property name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._type: Type | None = None
        self._checks: dict[str, Check] = {}

    @property
    def type(self) -> Type:
        if self._type is None:
            self._type = definitions().type(self.name)
        return self._type

    def step(self, property: str) -> str:
        """The path step of a property: `.value` for valueQuantity, `.status` for _status."""
        element = self.type.elements.get(property) or self.type.elements.get(property[1:])
        return f".{element.name}" if element else ""

    def plan(self, value: dict[str, Any]) -> tuple[tuple[Check, ...], list[Problem] | None]:
        """(a check for each property in order, what is wrong with the properties as such)."""
        problems = list(self._structure(value))
        checks = []
        for position, property in enumerate(value):
            check = self._check(property, value)
            if check is None and len(problems) < PROBLEMS_MAX:
                problems.append(self._unknown(property, position))
            checks.append(check or _pass)
        return tuple(checks), problems or None

    def _check(self, property: str, value: dict[str, Any]) -> Check | None:
        """The check of a property, made on first use; None if the type has no such property."""
        found = self._checks.get(property)
        element = self.type.elements.get(property)
        if found is None:
            if element is not None:
                found = self._checks[property] = element_check(
                    element, nested_resources=self.type.kind == "resource"
                )
            elif property == "resourceType" and self.type.kind == "resource":
                return _pass
            elif property[:1] == "_":
                return self._sibling_check(property[1:], value)
            else:
                return None
        if element is not None and element.max != 1 and "_" + property in value and _is_primitive(element):
            return _gapped(element, value["_" + property])
        return found

    def _sibling_check(self, property: str, value: dict[str, Any]) -> Check | None:
        """`_birthDate` beside `birthDate`: id and extensions of a primitive (R4 json.html#primitive)."""
        element = self.type.elements.get(property)
        if element is None or not _is_primitive(element) or element.type == "xhtml" or property == "id":
            return None
        check = object_check("Element")
        return check if element.max == 1 else _sibling_array(check, value.get(property))

    def _structure(self, value: dict[str, Any]) -> Iterator[Problem]:
        """Missing and exclusive properties, and elements without content (ele-1)."""
        type = self.type
        if type.kind != "resource" and not any(name != "id" for name in value):
            yield Problem("", "structure", "must not be empty", "leave an element without content out")
        present: dict[str, set[str]] = {}
        for property in value:
            element = type.elements.get(property) or (
                type.elements.get(property[1:]) if property[:1] == "_" else None
            )
            if element is not None:
                present.setdefault(element.name, set()).add(element.property)
        for name, minimum in self._minima().items():
            if minimum and name not in present:
                yield Problem(f".{name}", "required", "is required and absent")
        for name, properties in present.items():
            if len(properties) > 1:
                yield Problem(
                    f".{name}", "structure", "has values of two types", "send one of the value[x] forms"
                )
        if self.name == "Extension" and ("value" in present) == ("extension" in present):
            yield Problem("", "invariant", "an extension has either a value or extensions (ext-1)")

    def _minima(self) -> dict[str, int]:
        return {element.name: element.min for element in self.type.elements.values()}

    def _unknown(self, property: str, position: int) -> Problem:
        """Names the property only by its place: a name could be data. Near misses get the right name as a hint."""
        near = difflib.get_close_matches(property[:64], list(self.type.elements), 1, 0.75)
        hint = f"did you mean `{near[0]}`?" if near else _SPELLING
        return Problem("", "structure", f"property {position + 1} is not defined for {self.name}", hint)


def _pass(_value: Any, _scope: Scope) -> None:
    return None


def _is_primitive(element: Element) -> bool:
    return element.type in PRIMITIVE_CHECKS


def element_check(element: Element, *, nested_resources: bool) -> Check:
    """The check of a property's whole value: single or array, type, binding, reference targets."""
    item = _item_check(element, contained=nested_resources and element.property == "contained")
    return item if element.max == 1 else _array(item)


def _item_check(element: Element, *, contained: bool) -> Check:
    if element.type in PRIMITIVE_CHECKS:
        if element.binding:
            return bindings.code_check(element.binding)
        if element.type == "code" and element.name == "currency":
            return _primitive(check_currency)
        return primitive_check(element.type)
    if element.type == "Resource":
        return check_contained if contained else check_resource
    check = object_check(element.type)
    if element.type == "Reference":
        return targets.reference_check(check, element.targets)
    if element.type == "CodeableConcept" and element.binding:
        return bindings.concept_check(check, element.binding)
    if element.type == "Coding" and element.binding:
        return bindings.coding_check(check, element.binding)
    if element.profile == "SimpleQuantity":
        return _simple_quantity(check)
    return check


@functools.cache
def primitive_check(type: str) -> Check:
    """The check of a primitive type; shared, so that its values are remembered once."""
    check_value = PRIMITIVE_CHECKS[type]
    return text_check(check_value) if type in REPEATED else _primitive(check_value)


def _primitive(check_value: PrimitiveCheck) -> Check:
    def check(value: Any, _: Scope) -> list[Problem] | None:
        text = check_value(value)
        return None if text is None else one("value", text)

    return check


def _array(check_item: Check) -> Check:
    def check(value: Any, scope: Scope) -> list[Problem] | None:
        if value.__class__ is not list:
            return one("structure", "must be an array: the element repeats")
        if not value:
            return one("structure", "must not be an empty array", "leave an element without content out")
        return _check_items(check_item, value, [], scope)

    return check


def _check_items(
    check_item: Check, items: list[Any], beside: list[Any], scope: Scope
) -> list[Problem] | None:
    """Each item by itself; null is well where something stands at the same place in `beside`."""
    problems = None
    for position, item in enumerate(items):
        if item is None and position < len(beside) and beside[position] is not None:
            continue
        found = check_item(item, scope)
        if found is not None:
            problems = added(problems, f"[{position}]", found)
            if len(problems) >= PROBLEMS_MAX:
                break
    return problems


def _gapped(element: Element, siblings: Any) -> Check:
    """An array of primitives beside `_name`: null where only the sibling has something (R4 json.html#primitive)."""
    check_item = _item_check(element, contained=False)
    others = siblings if isinstance(siblings, list) else []

    def check(value: Any, scope: Scope) -> list[Problem] | None:
        if value.__class__ is not list or len(value) != len(others):
            return one("structure", "must be an array as long as its sibling that begins with _")
        return _check_items(check_item, value, others, scope)

    return check


def _sibling_array(check_item: Check, values: Any) -> Check:
    """`_given` beside `given`: an array of elements, null where the value says it all."""
    present = values if isinstance(values, list) else []

    def check(value: Any, scope: Scope) -> list[Problem] | None:
        if value.__class__ is not list or not value:
            return one("structure", "must be an array that is not empty")
        return _check_items(check_item, value, present, scope)

    return check


def _simple_quantity(check_quantity: Check) -> Check:
    def check(value: Any, scope: Scope) -> list[Problem] | None:
        found = check_quantity(value, scope)
        if found is None and "comparator" in value:
            return one("structure", "must have no comparator here (SimpleQuantity)", path=".comparator")
        return found

    return check
