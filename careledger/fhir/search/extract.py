"""What a resource adds to the index: its values, and the few blind terms that lead to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import msgspec

from careledger.fhir.charts import patients_of
from careledger.fhir.search import terms as t
from careledger.fhir.search.compile import PATIENTS_SLOT, pack, search_of
from careledger.fhir.search.values import LOGICAL, REFERENCE, hash8, type_tags

Terms = list[bytes]


class Extracted(msgspec.Struct, frozen=True, gc=False):
    """`values` is opaque to the vault and sealed by it; the terms are keyed by it (see `terms`)."""

    values: bytes
    terms: tuple[bytes, ...]
    chart_terms: tuple[bytes, ...]


def extract(
    type: str, resource: dict[str, Any], base: str = "", patients: Sequence[str] | None = None
) -> Extracted:
    """Index values and terms of `resource`, 9 microseconds for an Observation.

    `base` is the server's own FHIR base: absolute references below it are local. `patients` is what `patients_of`
    says, if the caller knows it. Content is expected to be valid; what is not is left out rather than refused.
    Raises NotFound for a type that R4 does not define.
    """
    found = search_of(type).values(resource, base)
    if patients is None:
        patients = patients_of(resource, base)
    row_terms: Terms = []
    chart_terms: Terms = []
    plan = _plan(type)
    references: list[bytes] = []
    for slot, data in found.items():
        if slot in plan.references:
            references.append(data)
        elif slot in plan.makers:
            plan.makers[slot](data, row_terms, chart_terms)
    if plan.listed:
        row_terms.append(t.listed_term(type))
    if patients:
        chart_terms.append(t.type_term(type))
        if references:
            _reference_terms(type, references, patients, chart_terms)
        if len(patients) > 1:
            found[PATIENTS_SLOT] = " ".join(patients).encode()
    else:
        chart_terms = []  # the house chart is always searched: it needs none
    if len(row_terms) > 1:
        row_terms = list(dict.fromkeys(row_terms))
    if len(chart_terms) > 1:
        chart_terms = list(dict.fromkeys(chart_terms))
    return Extracted(pack(found), tuple(row_terms), tuple(chart_terms))


def _reference_terms(type: str, references: list[bytes], patients: Sequence[str], chart_terms: Terms) -> None:
    own = [_patient_reference(patient) for patient in patients]
    others: list[bytes] = []
    for data in references:
        if data in own:
            continue
        if len(data) == 9:
            others.append(data)
        else:
            others += [one for one in each_reference(data) if one not in own]
        if len(others) > t.CHART_REFERENCES_MAX and len(set(others)) > t.CHART_REFERENCES_MAX:
            chart_terms.append(t.crowded_term(type))
            return
    chart_terms += [t.reference_term(one) for one in others]


@lru_cache(maxsize=4096)
def _patient_reference(patient: str) -> bytes:
    return bytes((type_tags()["Patient"],)) + hash8(patient)


def each_reference(data: bytes) -> Iterator[bytes]:
    """The references in a slot's values: tag and hash, or tag and two hashes after `LOGICAL`."""
    at, end = 0, len(data)
    while at < end:
        size = 17 if data[at] == LOGICAL else 9
        yield data[at : at + size]
        at += size


def each_text(data: bytes) -> Iterator[str]:
    """The texts in a slot's values."""
    at, end = 0, len(data)
    while at < end:
        size = data[at] | data[at + 1] << 8
        yield data[at + 2 : at + 2 + size].decode("utf-8", "replace")
        at += 2 + size


Maker = Callable[[bytes, Terms, Terms], None]
"""Adds the terms of a slot's values to those of the row and of the chart."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which slots of a type make which terms, and whether its rows are listed."""

    references: frozenset[int]
    makers: dict[int, Maker]
    listed: bool


@cache
def _plan(type: str) -> _Plan:
    """From the tables in `terms`."""
    parameters = search_of(type).parameters
    references = {slot for found in parameters.values() if found.kind == REFERENCE for slot in found.slots}
    plan: dict[int, Maker] = {}
    if "identifier" in parameters:
        plan.update(dict.fromkeys(parameters["identifier"].slots, _identifiers(type)))
    if type in t.NAMED:
        plan.update(dict.fromkeys(parameters[t.NAMED[type]].slots, _prefixes(type)))
    for code in t.EXACT.get(type, ()):
        plan.update(dict.fromkeys(parameters[code].slots, _exact(type, code)))
    if type in t.CHART_TOKENS and parameters[t.CHART_TOKENS[type]].kind != REFERENCE:
        plan.update(dict.fromkeys(parameters[t.CHART_TOKENS[type]].slots, _chart_tokens(type)))
    return _Plan(frozenset(references.difference(plan)), plan, type in t.LISTED)


def _identifiers(type: str) -> Maker:
    def make(data: bytes, rows: Terms, charts: Terms) -> None:
        rows += [t.identifier_term(type, data[at : at + 8]) for at in range(8, len(data), 16)]

    return make


def _prefixes(type: str) -> Maker:
    def make(data: bytes, rows: Terms, charts: Terms) -> None:
        rows += [t.prefix_term(type, prefix) for prefix in sorted(t.prefixes(each_text(data)))]

    return make


def _exact(type: str, code: str) -> Maker:
    """Dates by their range (16 bytes), tokens by system and code (16 bytes)."""

    def make(data: bytes, rows: Terms, charts: Terms) -> None:
        rows += [t.exact_term(type, code, data[at : at + 16]) for at in range(0, len(data), 16)]

    return make


def _chart_tokens(type: str) -> Maker:
    def make(data: bytes, rows: Terms, charts: Terms) -> None:
        charts += [t.token_term(type, data[at : at + 8]) for at in range(8, len(data), 16)]

    return make
