"""The FHIR R4 definitions, packed by `tools/build_definitions.py`: types, codes, search parameters, compartments.

Opening the pack costs milliseconds; each type and each type's search parameters are decoded on first use and kept.
Nothing here is FHIR text of our own: everything is compiled from the published definitions (4.0.1).
"""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from careledger.primitives.errors import Misconfigured, NotFound

FORMAT = 1
"""Raised when the shape of the pack changes: an older pack is refused, with a hint."""

PACK = Path(__file__).parent / "_definitions" / "r4.msgpack"
MANY = 0
"""`Element.max` of an element that may repeat without limit."""


class Element(msgspec.Struct, frozen=True, array_like=True):
    """One JSON property of a type. `value[x]` gives one Element a type: `valueQuantity`, `valueString`, …

    `type` is a data type (`Quantity`, `code`), `Resource`, or the path of a nested type (`Observation.component`).
    `min` and `max` are those of the element; of a choice they hold for the properties of `name` together.
    """

    property: str  # as in JSON: valueQuantity
    name: str  # as in FHIRPath: value
    type: str
    min: int
    max: int  # MANY: no limit
    choice: bool = False
    targets: tuple[str, ...] = ()  # Reference: allowed resource types; empty: any
    binding: str = ""  # key for `codes` if the binding is required and can be enumerated
    profile: str = ""  # SimpleQuantity, MoneyQuantity
    summary: bool = False  # part of _summary=true
    modifier: bool = False  # changes the meaning of its parent; never left out


class Type(msgspec.Struct, frozen=True, array_like=True):
    """A resource type, a complex data type, or a nested type, whose name is its path (`Observation.component`)."""

    name: str
    kind: str  # resource | complex | nested
    elements: dict[str, Element]  # by JSON property
    base: str = ""  # DomainResource, Resource, Element, BackboneElement, Quantity, …

    def properties(self, name: str) -> tuple[Element, ...]:
        """The JSON properties of the FHIRPath child `name`: several for a choice, none if there is no such child."""
        return tuple(element for element in self.elements.values() if element.name == name)


class Component(msgspec.Struct, frozen=True, array_like=True):
    """One part of a composite search parameter: `definition` is the url of the part's own parameter."""

    definition: str
    expression: str


class SearchParameter(msgspec.Struct, frozen=True, array_like=True):
    """One of R4's 1,378 search parameters, as published."""

    code: str
    type: str  # token | string | date | reference | quantity | number | uri | composite | special
    expression: str  # FHIRPath alternatives joined by `|`; empty for special ones
    base: tuple[str, ...]
    target: tuple[str, ...]
    components: tuple[Component, ...]
    url: str
    description: str


class _Pack(msgspec.Struct, frozen=True, array_like=True):
    format: int
    version: str
    resource_types: tuple[str, ...]
    data_types: tuple[str, ...]
    primitives: dict[str, str]  # name -> published regex
    types: dict[str, bytes]  # resource and data types, their nested types inside
    codes: dict[str, bytes]
    search: dict[str, bytes]  # resource type (or Resource, DomainResource) -> its own parameters
    search_urls: dict[str, str]  # parameter url -> a base type that holds it
    compartments: dict[str, dict[str, tuple[str, ...]]]
    operations: dict[str, str]  # OperationDefinition id (`Patient-everything`) -> canonical url


class Definitions:
    """Read access to a pack. Safe to share between threads: what is decoded twice is equal."""

    def __init__(self, pack: bytes) -> None:
        self._pack = msgspec.msgpack.decode(pack, type=_Pack)
        self._nested: dict[str, dict[str, Type]] = {}
        self._search: dict[str, dict[str, SearchParameter]] = {}
        self._codes: dict[str, frozenset[tuple[str, str]]] = {}
        self.version = self._pack.version
        self.resource_types = self._pack.resource_types
        self._resources = frozenset(self._pack.resource_types)
        self.data_types = self._pack.data_types
        self.primitives = self._pack.primitives
        self.operations = self._pack.operations

    def is_resource_type(self, name: str) -> bool:
        """Whether `name` is a concrete R4 resource type."""
        return name in self._resources

    def type(self, name: str) -> Type:
        """The type of that name or nested path. Raises NotFound for an unknown name or a primitive."""
        root = name.partition(".")[0]
        family = self._nested.get(root)
        if family is None:
            blob = self._pack.types.get(root)
            if blob is None:
                raise NotFound("R4 defines no such type")
            family = self._nested[root] = msgspec.msgpack.decode(blob, type=dict[str, Type])
        if name not in family:
            raise NotFound("R4 defines no such type")
        return family[name]

    def codes(self, binding: str) -> frozenset[tuple[str, str]]:
        """The (system, code) pairs of a required binding (`Element.binding`)."""
        found = self._codes.get(binding)
        if found is None:
            systems = msgspec.msgpack.decode(self._pack.codes[binding], type=dict[str, list[str]])
            found = frozenset((system, code) for system, codes in systems.items() for code in codes)
            self._codes[binding] = found
        return found

    def search_parameters(self, resource_type: str) -> dict[str, SearchParameter]:
        """By code, all parameters of that type, those of Resource and DomainResource included."""
        found = self._search.get(resource_type)
        if found is None:
            if resource_type not in self._resources:
                raise NotFound("R4 defines no such resource type")
            found = dict(self._own_search("Resource"))
            if self.type(resource_type).base == "DomainResource":
                found.update(self._own_search("DomainResource"))
            found.update(self._own_search(resource_type))
            self._search[resource_type] = found
        return found

    def search_parameter(self, url: str) -> SearchParameter:
        """The parameter with that canonical url (composites name their parts so). Raises NotFound."""
        base = self._pack.search_urls.get(url)
        if base is None:
            raise NotFound("R4 defines no such search parameter")
        return next(found for found in self._own_search(base).values() if found.url == url)

    def compartment(self, name: str = "Patient") -> dict[str, tuple[str, ...]]:
        """Resource type -> codes of the reference parameters that put it into the compartment. Absent: never in it."""
        return self._pack.compartments[name]

    def _own_search(self, base: str) -> dict[str, SearchParameter]:
        blob = self._pack.search.get(base)
        if blob is None:
            return {}
        return {found.code: found for found in msgspec.msgpack.decode(blob, type=list[SearchParameter])}


@functools.cache
def definitions() -> Definitions:
    """The pack beside this file, opened once. Raises Misconfigured if it is absent or of another format."""
    return open_pack(PACK)


@functools.cache
def summary_elements(resource_type: str) -> frozenset[str]:
    """The JSON properties of a resource that `_summary=true` keeps: those R4 marks, and those it requires."""
    elements = definitions().type(resource_type).elements.values()
    kept = {e.property for e in elements if e.summary or e.modifier or e.min}
    return frozenset(kept | {"resourceType", "id", "meta"} | {f"_{name}" for name in kept})


def open_pack(path: Path) -> Definitions:
    """The pack at `path`. Raises Misconfigured if it is absent or of another format."""
    hint = "run `make setup`, which builds the FHIR definitions"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Misconfigured("the FHIR definitions are not there", hint=hint) from error
    try:
        found = Definitions(data)
    except msgspec.DecodeError as error:
        raise Misconfigured("the FHIR definitions are damaged or of another version", hint=hint) from error
    if found._pack.format != FORMAT:
        raise Misconfigured("the FHIR definitions are of another version", hint=hint)
    return found
