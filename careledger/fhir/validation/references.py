"""Every Reference of a resource, found by the definitions: a `reference` property elsewhere is none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from careledger.fhir.definitions import definitions
from careledger.fhir.validation.primitive import PRIMITIVE_CHECKS

Found = list[tuple[str, dict[str, Any]]]
Collect = Callable[[Any, str, Found], None]
Plan = tuple[tuple[str, str, Collect], ...]

SHAPES_MAX = 200
SHAPE_PROPERTIES_MAX = 40


def references(resource: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, Reference object) of the resource, what it contains and what a Bundle holds, in document order.

    The objects are the resource's own, so a caller may rewrite them in place. Takes unvalidated input: what is not
    as defined is passed over. Canonicals and URIs are no references.
    """
    found: Found = []
    _collect_resource(resource, _root(resource), found)
    return iter(found)


def _root(resource: Any) -> str:
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    return name if isinstance(name, str) else "Resource"


def _collect_resource(value: Any, path: str, found: Found) -> None:
    if value.__class__ is dict:
        name = value.get("resourceType")
        if name.__class__ is str and definitions().is_resource_type(name):
            _collector(name)(value, path, found)


@functools.cache
def _collector(name: str) -> Collect:
    """Collects from an object of that type; shapes without anything to visit cost one look-up."""
    shapes: dict[tuple[str, ...], Plan] = {}

    def collect(value: Any, path: str, found: Found) -> None:
        if value.__class__ is not dict:
            return
        names = tuple(value)
        plan = shapes.get(names)
        if plan is None:
            plan = _plan(name, names)
            if len(names) <= SHAPE_PROPERTIES_MAX:
                if len(shapes) >= SHAPES_MAX:
                    shapes.clear()
                shapes[names] = plan
        for property, step, collect_item in plan:
            item = value[property]
            if item.__class__ is not list:
                collect_item(item, path + step, found)
            else:
                for position, entry in enumerate(item):
                    collect_item(entry, f"{path}{step}[{position}]", found)

    return collect


def _plan(name: str, properties: tuple[str, ...]) -> Plan:
    elements = definitions().type(name).elements
    plan: list[tuple[str, str, Collect]] = []
    for property in properties:
        element = elements.get(property)
        if element is None:
            hidden = elements.get(property[1:]) if property[:1] == "_" else None
            if hidden is not None and hidden.type in PRIMITIVE_CHECKS:
                plan.append((property, f".{hidden.name}", _collector("Element")))
        elif element.type not in PRIMITIVE_CHECKS:
            plan.append((property, f".{element.name}", _collector_of(element.type)))
    return tuple(plan)


def _collector_of(type: str) -> Collect:
    if type == "Reference":
        return _collect_reference
    return _collect_resource if type == "Resource" else _collector(type)


def _collect_reference(value: Any, path: str, found: Found) -> None:
    if value.__class__ is dict:
        found.append((path, value))
        if "extension" in value or "identifier" in value:
            _collector("Reference")(value, path, found)
