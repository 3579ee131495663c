"""R4 definitions as published (FHIR JSON) -> the pack of `careledger.fhir.definitions`. Pure; called by the build."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from careledger.fhir.definitions import FORMAT, MANY, Component, Element, SearchParameter, Type, _Pack

Json = dict[str, Any]
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
REGEX = "http://hl7.org/fhir/StructureDefinition/regex"
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
CODED = ("code", "Coding", "CodeableConcept")
QUANTITY_PROFILES = ("SimpleQuantity", "MoneyQuantity")
ABSTRACT = ("Resource", "DomainResource")
NOT_R4 = (
    "Binary.url",
    "DeviceDefinition.bodySite",
    "DeviceDefinition.classification",
    "EvidenceVariable.characteristic.definitionBy",
    "EvidenceVariable.characteristic.definitionC",
    "EvidenceVariable.characteristic.definitionE",
    "EvidenceVariable.characteristic.definitionI",
    "EvidenceVariable.characteristic.definitionR",
    "EvidenceVariable.characteristic.duration[x]",
    "EvidenceVariable.characteristic.instances[x]",
    "EvidenceVariable.characteristic.linkId",
    "EvidenceVariable.characteristic.note",
    "EvidenceVariable.characteristic.timeFromEvent",
    "HealthcareService.offeredIn",
    "Meta.account",
    "Meta.author",
    "Meta.compartment",
    "Meta.deleted",
    "Meta.onBehalfOf",
    "Meta.project",
    "ObservationDefinition.publisher",
    "ResearchStudy.associatedParty",
    "ResearchStudy.classifier",
    "ResearchStudy.comparisonGroup",
    "ResearchStudy.descriptionSummary",
    "ResearchStudy.label",
    "ResearchStudy.name",
    "ResearchStudy.objective.description",
    "ResearchStudy.outcomeMeasure",
    "ResearchStudy.progressStatus",
    "ResearchStudy.recruitment",
    "ResearchStudy.region",
    "ResearchStudy.result",
    "ResearchStudy.studyDesign",
    "ResearchStudy.whyStopped",
)
"""Beginnings of paths that the package's maker added to R4's own files, found by comparing with dataelements.json."""
NOT_IN_DATA_ELEMENTS = ("Quantity.comparator",)
"""Data elements that describe a constrained type (SimpleQuantity) and not the type itself."""
RESTORED_MINIMA: dict[str, int] = {"EvidenceVariable.characteristic": 1}
"""Minima that the package's maker lowered on elements that dataelements.json does not list."""
CODES_MAX = 2000
"""A required value set of more codes is not enumerated (there is none in R4 today)."""


def compile_pack(source: Path) -> bytes:
    """The pack made from the folder of definition Bundles; equal input gives equal bytes."""
    structures = {
        r["id"]: r
        for name in ("profiles-types.json", "profiles-resources.json")
        for r in entries(source / name, "StructureDefinition")
        if r.get("derivation") != "constraint" and r["kind"] != "logical"
    }
    value_sets = ValueSets(source)
    resource_types = value_sets.all_codes(RESOURCE_TYPES) - set(ABSTRACT)
    compiler = TypeCompiler(value_sets, published_elements(source))
    types: dict[str, bytes] = {}
    data_types = []
    for name in sorted(structures):
        structure = structures[name]
        if structure["kind"] == "primitive-type":
            continue
        if structure["kind"] == "resource" and name not in resource_types and name not in ABSTRACT:
            continue  # the package adds a resource type of R4B
        if structure["kind"] == "complex-type":
            data_types.append(name)
        types[name] = encode(compiler.family(structure))
    search, search_urls = compile_search(entries(source / "search-parameters.json", "SearchParameter"))
    resources = list(entries(source / "profiles-resources.json", None))
    pack = _Pack(
        format=FORMAT,
        version="4.0.1",
        resource_types=tuple(sorted(resource_types)),
        data_types=tuple(data_types),
        primitives={
            n: primitive_regex(s) for n, s in sorted(structures.items()) if s["kind"] == "primitive-type"
        },
        types=types,
        codes={url: encode(value_sets.expand(url)) for url in sorted(compiler.bindings)},
        search=search,
        search_urls=search_urls,
        compartments=compile_compartments(resources),
        operations={r["id"]: r["url"] for r in resources if r["resourceType"] == "OperationDefinition"},
    )
    return encode(pack)


def encode(value: object) -> bytes:
    """MessagePack with sorted maps, so that the build is reproducible."""
    return msgspec.msgpack.encode(value, order="deterministic")


def entries(path: Path, resource_type: str | None) -> Iterable[Json]:
    """The resources of a Bundle file, of one type if given."""
    for entry in msgspec.json.decode(path.read_bytes())["entry"]:
        resource = entry["resource"]
        if resource_type is None or resource["resourceType"] == resource_type:
            yield resource


def published_elements(source: Path) -> dict[str, Json]:
    """Path -> HL7's own definition of the element: the package's maker has altered some in the type files."""
    found: dict[str, Json] = {}
    for resource in entries(source / "dataelements.json", "StructureDefinition"):
        element = resource["snapshot"]["element"][0]
        if element["path"] not in NOT_IN_DATA_ELEMENTS:
            found[element["path"]] = element
    return found


class ValueSets:
    """Value sets that can be enumerated from the package alone."""

    def __init__(self, source: Path) -> None:
        self.sets: dict[str, Json] = {}
        self.systems: dict[str, Json] = {}
        for name in ("valuesets.json", "v3-codesystems.json", "v2-tables.json"):
            for resource in entries(source / name, None):
                (self.sets if resource["resourceType"] == "ValueSet" else self.systems)[resource["url"]] = (
                    resource
                )

    def all_codes(self, system: str) -> set[str]:
        """Every code of a complete code system, at any level; empty if it is not at hand."""
        codes: set[str] = set()
        found = self.systems.get(system, {})
        pending = list(found.get("concept", [])) if found.get("content") == "complete" else []
        while pending:
            concept = pending.pop()
            codes.add(concept["code"])
            pending += concept.get("concept", [])
        return codes

    def expand(self, url: str) -> dict[str, list[str]]:
        """system -> sorted codes; empty if the set has filters, other sets' absence, or an unknown system."""
        systems: dict[str, set[str]] = defaultdict(set)
        compose = self.sets.get(url, {}).get("compose", {})
        if "exclude" in compose:
            return {}
        for include in compose.get("include", []):
            found = self._include(include)
            if not found:
                return {}
            for system, codes in found.items():
                systems[system].update(codes)
        return {system: sorted(codes) for system, codes in sorted(systems.items())}

    def _include(self, include: Json) -> dict[str, list[str]]:
        if "filter" in include:
            return {}
        if "valueSet" in include:
            first, *others = include["valueSet"]
            return {} if others or "system" in include else self.expand(first.partition("|")[0])
        system = include["system"]
        codes = {concept["code"] for concept in include.get("concept", [])} or self.all_codes(system)
        return {system: sorted(codes)} if codes else {}


class TypeCompiler:
    """StructureDefinition snapshots -> Types; remembers the bindings that the pack must hold."""

    def __init__(self, value_sets: ValueSets, published: dict[str, Json]) -> None:
        self.value_sets = value_sets
        self.published = published
        self.bindings: set[str] = set()
        self.resource_ids: set[str] = set()

    def family(self, structure: Json) -> dict[str, Type]:
        """The type and its nested types, by name and path."""
        root = structure["id"]
        if structure["kind"] == "resource":
            self.resource_ids.add(f"{root}.id")
        snapshot = self._as_published(root, structure["snapshot"]["element"])
        parents = {root} | {definition["path"].rpartition(".")[0] for definition in snapshot}
        elements: dict[str, dict[str, Element]] = {path: {} for path in sorted(parents)}
        for definition in snapshot:
            for element in self._elements(definition, nested=definition["path"] in parents):
                elements[definition["path"].rpartition(".")[0]][element.property] = element
        kind = "resource" if structure["kind"] == "resource" else "complex"
        base = structure.get("baseDefinition", "").rpartition("/")[2]
        return {
            path: Type(path, kind if path == root else "nested", found, base if path == root else "")
            for path, found in elements.items()
        }

    def _as_published(self, root: str, snapshot: list[Json]) -> list[Json]:
        """The elements below the root as R4 has them: altered ones restored, added ones left out, lost ones back."""
        kept = [d for d in snapshot[1:] if d["max"] != "0" and not d["path"].startswith(NOT_R4)]
        paths = {definition["path"] for definition in kept}
        lost = [d for path, d in self.published.items() if path.startswith(root + ".") and path not in paths]
        return [self.published.get(d["path"], d) for d in kept] + [d for d in lost if d["max"] != "0"]

    def _elements(self, definition: Json, *, nested: bool) -> Iterable[Element]:
        path = definition["path"]
        last = path.rpartition(".")[2]
        choice = last.endswith("[x]")
        name = last.removesuffix("[x]")
        maximum = MANY if definition["max"] == "*" else int(definition["max"])
        summary, modifier = definition.get("isSummary", False), definition.get("isModifier", False)
        if "contentReference" in definition:
            target = definition["contentReference"].rpartition("#")[2]
            yield Element(name, name, target, definition["min"], maximum, summary=summary, modifier=modifier)
            return
        for kind in definition.get("type", []):
            code = path if nested else self._type_code(definition, kind)
            yield Element(
                property=name + code[0].upper() + code[1:] if choice else name,
                name=name,
                type=code,
                min=RESTORED_MINIMA.get(path) or int(definition["min"]),
                max=maximum,
                choice=choice,
                targets=reference_targets(kind) if code == "Reference" else (),
                binding=self._binding(definition, code),
                profile=quantity_profile(kind),
                summary=summary,
                modifier=modifier,
            )

    def _type_code(self, definition: Json, kind: Json) -> str:
        if definition["path"] in self.resource_ids:
            return "id"  # published as string, but resource.html#id gives it the id rule
        for extension in kind.get("extension", []):
            if extension["url"] == FHIR_TYPE:
                return str(extension["valueUrl"])
        return str(kind["code"])

    def _binding(self, definition: Json, code: str) -> str:
        binding = definition.get("binding", {})
        if binding.get("strength") != "required" or code not in CODED:
            return ""
        url = str(binding.get("valueSet", "")).partition("|")[0]
        codes = self.value_sets.expand(url)
        if not codes or sum(map(len, codes.values())) > CODES_MAX:
            return ""
        self.bindings.add(url)
        return url


def reference_targets(kind: Json) -> tuple[str, ...]:
    """The resource types a Reference may name; empty for any."""
    targets = sorted({profile.rpartition("/")[2] for profile in kind.get("targetProfile", [])})
    return () if "Resource" in targets else tuple(targets)


def quantity_profile(kind: Json) -> str:
    """SimpleQuantity or MoneyQuantity, if the element is restricted to it."""
    profiles = [profile.rpartition("/")[2] for profile in kind.get("profile", [])]
    return next((profile for profile in profiles if profile in QUANTITY_PROFILES), "")


def primitive_regex(structure: Json) -> str:
    """The published regex of a primitive type; empty if it has none."""
    for element in structure["snapshot"]["element"]:
        if element["path"].endswith(".value"):
            for extension in element["type"][0].get("extension", []):
                if extension["url"] == REGEX:
                    return str(extension["valueString"])
    return ""


def compile_search(parameters: Iterable[Json]) -> tuple[dict[str, bytes], dict[str, str]]:
    """(base type -> packed parameters, url -> a base type)."""
    by_base: dict[str, list[SearchParameter]] = defaultdict(list)
    urls: dict[str, str] = {}
    for r in parameters:
        parameter = SearchParameter(
            code=r["code"],
            type=r["type"],
            expression=r.get("expression", ""),
            base=tuple(r["base"]),
            target=tuple(sorted(r.get("target", []))),
            components=tuple(Component(c["definition"], c["expression"]) for c in r.get("component", [])),
            url=r["url"],
            description=r["description"].strip(),
        )
        for base in parameter.base:
            by_base[base].append(parameter)
        urls[parameter.url] = parameter.base[0]
    return {b: encode(sorted(found, key=lambda p: p.code)) for b, found in sorted(by_base.items())}, urls


def compile_compartments(resources: list[Json]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Compartment -> resource type -> parameter codes; types that are never in it are left out."""
    return {
        r["code"]: {e["code"]: tuple(e["param"]) for e in r["resource"] if e.get("param")}
        for r in resources
        if r["resourceType"] == "CompartmentDefinition"
    }
