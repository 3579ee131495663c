"""Blind terms: what the vault's keyed tables let a search find without opening every chart.

A *resource-level* term leads to rows, a *chart-level* term to charts. Both only choose candidates: each candidate
is matched again on its sealed values, so a term may say too much but never too little. Here they are plain bytes;
the vault keys them (keyed BLAKE2b). They cost disk and writing time, so the tables below are short on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from careledger.fhir.search.values import hash8, normalise

PREFIX_LENGTHS: Final = (1, 2, 3, 6)
"""Lengths of a name's prefixes that can be looked up; queries are cut to one of them, then matched exactly.

Not every length: each term is a random page of the index, and they were most of what a new Patient cost.
"""
CHART_REFERENCES_MAX: Final = 24
"""References of one resource that become chart-level terms; a resource of more leaves `crowded` instead."""

PREFIXED: Final[dict[str, frozenset[str]]] = {
    "Patient": frozenset({"name", "family", "given", "phonetic"}),
    "Person": frozenset({"name", "phonetic"}),
    "RelatedPerson": frozenset({"name", "phonetic"}),
    "Practitioner": frozenset({"name", "family", "given", "phonetic"}),
    "Organization": frozenset({"name", "phonetic"}),
    "Location": frozenset({"name"}),
}
"""Type -> string parameters that are found by the prefixes of every value of its names."""

NAMED: Final[dict[str, str]] = dict.fromkeys(PREFIXED, "name")
"""Type -> the parameter whose values give the prefixes (the others of `PREFIXED` are parts of it)."""

EXACT: Final[dict[str, tuple[str, ...]]] = {
    "Patient": ("birthdate", "telecom"),
    "Person": ("birthdate", "telecom"),
    "RelatedPerson": ("birthdate", "telecom"),
    "Practitioner": ("telecom",),
}
"""Type -> parameters whose exact values (a whole day, a contact's value) lead to rows."""

ALIASES: Final = {"phone": "telecom", "email": "telecom"}
"""Parameters that are found by the terms of another, of which they are a part."""

LISTED: Final = frozenset({"Patient", "Person", "RelatedPerson"})
"""Types whose every row has a term, so that a search over all of them opens their rows and not whole charts."""

CHART_TOKENS: Final[dict[str, str]] = {
    "AllergyIntolerance": "code",
    "CarePlan": "category",
    "CareTeam": "category",
    "Condition": "code",
    "Device": "type",
    "DiagnosticReport": "code",
    "DocumentReference": "type",
    "Encounter": "type",
    "Immunization": "vaccine-code",
    "Medication": "code",
    "MedicationAdministration": "code",
    "MedicationDispense": "code",
    "MedicationRequest": "code",
    "MedicationStatement": "code",
    "Observation": "code",
    "Procedure": "code",
    "QuestionnaireResponse": "questionnaire",
    "ServiceRequest": "code",
}
"""Type -> the one token parameter whose codes lead to charts."""


def identifier_term(type: str, value_hash: bytes) -> bytes:
    """Rows of `type` with an identifier of that value, whatever its system."""
    return b"i" + type.encode() + b"\0" + value_hash


def prefix_term(type: str, prefix: str) -> bytes:
    return b"n" + type.encode() + b"\0" + hash8(prefix)


def exact_term(type: str, code: str, value: bytes) -> bytes:
    return b"e" + type.encode() + b"\0" + code.encode() + b"\0" + value


@cache
def listed_term(type: str) -> bytes:
    return b"l" + type.encode()


@cache
def type_term(type: str) -> bytes:
    """Charts that ever held a resource of the type."""
    return b"T" + type.encode()


def token_term(type: str, code_hash: bytes) -> bytes:
    """Charts with a resource of the type whose `CHART_TOKENS` parameter has that code."""
    return b"C%b\0%b" % (type.encode(), code_hash)


def reference_term(reference: bytes) -> bytes:
    """Charts with a reference (tag and hash) to something that is not one of the chart's own patients."""
    return b"R" + reference


def crowded_term(type: str) -> bytes:
    """Charts with a resource of the type that has too many references for terms of their own."""
    return b"X" + type.encode()


def prefixes(texts: Iterable[str]) -> set[str]:
    """The prefixes, of the lengths that can be looked up, of every text as normalised."""
    found: set[str] = set()
    for text in texts:
        folded = normalise(text)
        found.update(folded[:length] for length in PREFIX_LENGTHS if length <= len(folded))
    return found


def lookup_prefix(folded: str) -> str:
    """The longest prefix of a query's text that can be looked up: of everything that matches, it is a prefix."""
    return folded[: max((length for length in PREFIX_LENGTHS if length <= len(folded)), default=0)]
