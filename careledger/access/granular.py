"""The granular part of a scope, `?category=SYSTEM|CODE`: which resources of a type it means, typed and compared.

A *filter* is one search parameter with the tokens of which a resource must have one; a *narrowing* is filters that must
all hold. Only the token parameters of `PARAMETERS` narrow, without modifiers: what could not be evaluated on one resource
and on the index alike is refused, never ignored. Says nothing of resources: the FHIR room evaluates filters as its search
evaluates the parameter (`fhir/search/granular.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import msgspec

from careledger.primitives.errors import Invalid

FILTERS_MAX = 8
TOKENS_MAX = 16

_PARAMETERS = {
    "AllergyIntolerance": "category clinical-status code criticality type verification-status",
    "CarePlan": "category intent status",
    "CareTeam": "category status",
    "Communication": "category status",
    "Composition": "category status type",
    "Condition": "category clinical-status code verification-status",
    "Coverage": "status type",
    "Device": "status type",
    "DiagnosticReport": "category code status",
    "DocumentReference": "category status type",
    "Encounter": "class status type",
    "Goal": "category lifecycle-status",
    "Immunization": "status vaccine-code",
    "MedicationDispense": "code status type",
    "MedicationRequest": "category code intent status",
    "MedicationStatement": "category code status",
    "Observation": "category code status",
    "Procedure": "category code status",
    "QuestionnaireResponse": "status",
    "ServiceRequest": "category code intent status",
    "Specimen": "status type",
}
PARAMETERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {type: frozenset(names.split()) for type, names in _PARAMETERS.items()}
)
"""Resource type -> the search parameters by which its scopes can be narrowed."""

_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_PART = re.compile(r"[A-Za-z0-9._~:/#@-]{1,200}", re.ASCII)
_ANY = "*"


class Token(msgspec.Struct, frozen=True, gc=False):
    """`code`, `system|code` or `|code`; a `system` of "*" is any. (`system|` is not offered: plain codes have none.)"""

    system: str
    code: str

    def __str__(self) -> str:
        return self.code if self.system == _ANY else f"{self.system}|{self.code}"

    @property
    def is_of_any_system(self) -> bool:
        return self.system == _ANY

    def implies(self, other: Token) -> bool:
        """What has this one has the other."""
        return other.code == self.code and other.system in (_ANY, self.system)


class Filter(msgspec.Struct, frozen=True, gc=False):
    """The parameter finds one of these tokens in the resource. Sorted; none is implied by another."""

    name: str
    tokens: tuple[Token, ...]

    def __str__(self) -> str:
        return f"{self.name}={','.join(map(str, self.tokens))}"

    def implies(self, other: Filter) -> bool:
        return self.name == other.name and all(
            any(one.implies(token) for token in other.tokens) for one in self.tokens
        )


Narrowing = tuple[Filter, ...]
"""Filters that must all hold: sorted, none of them implied by another; () narrows nothing."""

Holds = Callable[[Filter], bool]
"""Whether a filter holds for one resource."""


def nothing_holds(filter: Filter) -> bool:
    """Of what nobody looked at, no filter is known to hold."""
    return False


def parse_narrowing(type: str, query: str) -> Narrowing:
    """What stands after the question mark of a scope on `type`. Raises Invalid (`scope-granular`)."""
    known = PARAMETERS.get(type, frozenset())
    filters = []
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            raise _refused()
        filters.append(_filter(name, _decoded(value)))
    if len(filters) > FILTERS_MAX:
        raise _refused()
    return settled(filters)


def implies(narrow: Narrowing, wide: Narrowing) -> bool:
    """Every resource for which the first holds, the second holds for. May say no where it is so; never yes wrongly."""
    return all(any(one.implies(filter) for one in narrow) for filter in wide)


def settled(filters: Iterable[Filter]) -> Narrowing:
    """The same narrowing without filters that others imply, in one order. Raises Invalid if it is too long."""
    each = tuple(dict.fromkeys(filters))
    kept = [one for one in each if not any(other != one and other.implies(one) for other in each)]
    if len(kept) > FILTERS_MAX:
        raise _refused()
    return tuple(sorted(kept, key=str))


def write_narrowing(narrowing: Narrowing) -> str:
    """As `parse_narrowing` reads it."""
    return "&".join(map(str, narrowing))


def _filter(name: str, value: str) -> Filter:
    tokens = tuple(dict.fromkeys(_token(text) for text in value.split(",")))
    if len(tokens) > TOKENS_MAX:
        raise _refused()
    kept = [one for one in tokens if not any(other != one and one.implies(other) for other in tokens)]
    return Filter(name, tuple(sorted(kept, key=str)))


def _token(text: str) -> Token:
    system, bar, code = text.rpartition("|")
    if not _PART.fullmatch(code) or (system and not _PART.fullmatch(system)):
        raise _refused()
    return Token(system if bar else _ANY, code)


def _decoded(value: str) -> str:
    """Percent-encoding taken off, once; what it hid stands in the same small alphabet, or is refused by `_token`."""
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), value)


def _refused() -> Invalid:
    return Invalid(
        "a granular scope cannot be evaluated",
        code="scope-granular",
        hint="narrow by token parameters such as category, code or status, without modifiers:"
        " ?category=SYSTEM|CODE; docs/spec/scopes.md lists them",
    )
