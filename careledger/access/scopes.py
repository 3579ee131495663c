"""SMART scopes: which interactions on which resource types a token allows.

`patient|user|system/Type.cruds` (v2) and `.read .write .*` (v1, read as `rs`, `cud`, `cruds`); `Type` may be `*`.
Letters stand in the order c r u d s, each once. A granular scope (v2 alone: `Type.rs?category=…`, see `granular`) gives
its letters on the resources that match; a plain one of the same right makes it moot, several are or'ed. SMART App Launch
2.2, "Scopes for requesting FHIR resources"; docs/spec/scopes.md. `narrow` is what two sets have in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from careledger.access.granular import (
    Holds,
    Narrowing,
    implies,
    parse_narrowing,
    settled,
    write_narrowing,
)
from careledger.primitives.errors import Invalid

SCOPE_TEXT_MAX_BYTES = 4096
SCOPES_MAX = 128
MEETS_MAX = 256
"""Different scopes that two sets may have in common, before those that others imply are left out."""

CREATE, READ, UPDATE, DELETE, SEARCH = 1, 2, 4, 8, 16
ALL = CREATE | READ | UPDATE | DELETE | SEARCH
LETTERS = (("c", CREATE), ("r", READ), ("u", UPDATE), ("d", DELETE), ("s", SEARCH))
VERSION_1 = {"read": READ | SEARCH, "write": CREATE | UPDATE | DELETE, "*": ALL}

LEVELS = ("patient", "user", "system")
"""From the narrowest on: one patient's records, what this user may, what this client may."""

WITHOUT_RESOURCES = frozenset(
    (
        "openid",
        "profile",
        "fhirUser",
        "launch",
        "launch/patient",
        "launch/encounter",
        "offline_access",
        "online_access",
    )
)
"""Scopes of SMART that are about the session. They allow no interaction."""

INTERACTIONS: Mapping[str, int] = MappingProxyType(
    {
        "read": READ,
        "vread": READ,
        "history-instance": READ,
        "history-type": SEARCH,
        "history-system": SEARCH,
        "search": SEARCH,
        "count": SEARCH,
        "include": READ,
        "everything": READ | SEARCH,
        "proof": READ,  # a receipt: tells the position in the chart and its size
        "create": CREATE,
        # A condition tells whether something matches, so it needs the right to search as well.
        "conditional-create": CREATE | SEARCH,
        "update": UPDATE,  # update-as-create included, as SMART says of `u`
        "conditional-update": UPDATE | SEARCH,
        "patch": UPDATE,
        "delete": DELETE,
        "conditional-delete": DELETE | SEARCH,
        "validate": 0,  # looks at nothing stored: any scope on the type will do
    }
)
"""What each interaction needs: every bit of it, on the type. One that is not here is never allowed."""

WRITES = frozenset(
    ("create", "conditional-create", "update", "conditional-update", "patch", "delete", "conditional-delete")
)

_GRAMMAR = re.compile(
    r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*|c?r?u?d?s?)(?:\?([!-~]{1,512}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Scope:
    """One resource scope. `bits` are of CREATE … SEARCH, on the resources for which `narrowing` holds."""

    level: str
    type: str
    bits: int
    narrowing: Narrowing = ()

    def __str__(self) -> str:
        letters = "".join(letter for letter, bit in LETTERS if self.bits & bit)
        plain = f"{self.level}/{self.type}.{letters}"
        return f"{plain}?{write_narrowing(self.narrowing)}" if self.narrowing else plain

    def implies(self, other: Scope) -> bool:
        """Whatever this one allows, the other allows."""
        return (
            self.bits | other.bits == other.bits
            and other.type in ("*", self.type)
            and LEVELS.index(self.level) <= LEVELS.index(other.level)
            and implies(self.narrowing, other.narrowing)
        )


class Outside(msgspec.Struct, frozen=True, gc=False):
    """The resources of a type on which granular scopes do not give what an interaction needs.

    A *group* are the narrowings under which one of the needed rights is given: of each group one must hold.
    """

    type: str
    groups: tuple[tuple[Narrowing, ...], ...]

    @property
    def rule(self) -> str:
        return "granular-scope"

    @property
    def directive(self) -> str:
        return ""

    def covers(self, type: str, holds: Holds) -> bool:
        """Such a resource is out of reach."""
        if type != self.type:
            return False
        return not all(any(all(map(holds, narrowing)) for narrowing in group) for group in self.groups)


def _nothing() -> Mapping[str, Any]:
    return _NOTHING


_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Scopes:
    """All scopes of a token, with their union by type: what is asked on each request.

    `by_type` is what plain scopes allow; `at_most` what granular ones add on some resources, both empty of types without.
    `outside` says for each interaction what granular scopes keep out of reach. `session` are those without resources.
    """

    scopes: tuple[Scope, ...]
    by_type: Mapping[str, int]  # '*' holds what is allowed on every type
    patient_level: bool
    at_most: Mapping[str, int] = field(default_factory=_nothing)
    outside: Mapping[str, tuple[Outside, ...]] = field(default_factory=_nothing)
    session: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return " ".join((*sorted(self.session), *map(str, self.scopes)))


def parse_scope(text: str) -> Scope | None:
    """One scope; None if it is one of those without resources. Raises Invalid if it is no scope."""
    if text in WITHOUT_RESOURCES:
        return None
    found = _GRAMMAR.fullmatch(text)
    if found is None or not found[3]:
        raise Invalid(
            "a scope cannot be read",
            code="scope-invalid",
            hint="write scopes as patient|user|system/Type.cruds, for example system/*.cruds or patient/*.rs",
        )
    level, resource_type, letters, query = found.groups()
    bits = VERSION_1.get(letters)
    if bits is None:
        bits = sum(bit for letter, bit in LETTERS if letter in letters)
    if not query:
        return Scope(level, resource_type, bits)
    if letters in VERSION_1:
        raise Invalid(
            "version 1 of SMART has no granular scopes", code="scope-granular", hint="write .rs for .read"
        )
    return Scope(level, resource_type, bits, parse_narrowing(resource_type, query))


def parse_scopes(text: str) -> Scopes:
    """The scopes of a token, separated by single spaces. Raises Invalid (`scope-invalid`, `scope-granular`)."""
    if len(text) > SCOPE_TEXT_MAX_BYTES or text.count(" ") >= SCOPES_MAX:
        raise _too_many()
    if not text:
        raise Invalid("no scope given", code="scope-invalid", hint="for example --scope 'system/*.rs'")
    words = text.split(" ")
    parsed = [scope for scope in map(parse_scope, words) if scope is not None]
    return combine(parsed, WITHOUT_RESOURCES.intersection(words))


def combine(parsed: Iterable[Scope], session: Iterable[str] = ()) -> Scopes:
    """The union of scopes."""
    scopes = tuple(dict.fromkeys(parsed))
    by_type: dict[str, int] = {}
    at_most: dict[str, int] = {}
    for scope in scopes:
        held = at_most if scope.narrowing else by_type
        held[scope.type] = held.get(scope.type, 0) | scope.bits
    return Scopes(
        scopes,
        MappingProxyType(by_type),
        any(scope.level == "patient" for scope in scopes),
        MappingProxyType(at_most),
        _outside(scopes, by_type, at_most) if at_most else _NOTHING,
        frozenset(session),
    )


def _outside(
    scopes: tuple[Scope, ...], by_type: Mapping[str, int], at_most: Mapping[str, int]
) -> Mapping[str, tuple[Outside, ...]]:
    """Interaction -> what is out of its reach, for each type on which plain scopes do not give all that it needs."""
    found: dict[str, tuple[Outside, ...]] = {}
    for interaction, needed in INTERACTIONS.items():
        kept = []
        for type in sorted(at_most):
            missing = needed & ~(by_type.get("*", 0) | by_type.get(type, 0))
            groups = tuple(
                tuple(scope.narrowing for scope in scopes if _gives(scope, type, bit))
                for _, bit in LETTERS
                if missing & bit
            )
            if groups:
                kept.append(Outside(type, tuple(dict.fromkeys(groups))))
        if kept:
            found[interaction] = tuple(kept)
    return MappingProxyType(found)


def _gives(scope: Scope, type: str, bit: int) -> bool:
    return scope.type == type and bool(scope.narrowing) and bool(scope.bits & bit)


def allows(scopes: Scopes, interaction: str, resource_type: str) -> bool:
    """The scopes cover the interaction on the type, on some of its resources at least (`outside`: not on which).

    Says nothing about whose record it is: that is `decide`. `resource_type` '*' asks for a right on every type (history
    of the system, for example); granular scopes give none.
    """
    needed = INTERACTIONS.get(interaction)
    if needed is None:
        return False
    by_type = scopes.by_type
    held = by_type.get("*", 0) | by_type.get(resource_type, 0)
    if scopes.at_most:
        held |= scopes.at_most.get(resource_type, 0)
    if not needed:
        return held != 0
    return held & needed == needed


def is_narrowed(scopes: Scopes, interaction: str, resource_type: str) -> bool:
    """Granular scopes keep some resources of the type out of the interaction's reach."""
    return any(one.type == resource_type for one in scopes.outside.get(interaction, ()))


# What two sets have in common


def narrow(requested: Scopes, granted: Scopes) -> Scopes:
    """The least of both: every right that both give, by meaning, and nothing else. `scopes` may come out empty.

    Of the scopes about the session it keeps those named in both; `with_session` opens a set that says nothing of them.
    Raises Invalid if the two have more in common than a token can say.
    """
    session = requested.session & granted.session
    wide = _shortened(granted.scopes)
    common: dict[Scope, None] = {}
    for one in _shortened(requested.scopes):
        found = [one] if any(one.implies(other) for other in wide) else [_meet(one, other) for other in wide]
        common.update(dict.fromkeys(scope for scope in found if scope.bits))
        if len(common) > MEETS_MAX:
            raise _too_many()
    kept = _shortened(tuple(common))
    if len(kept) > SCOPES_MAX or sum(len(str(scope)) + 1 for scope in kept) > SCOPE_TEXT_MAX_BYTES:
        raise _too_many()
    return combine(kept, session)


def with_session(scopes: Scopes) -> Scopes:
    """The same rights, with every scope about the session: for sets that are of resources alone, such as a user's."""
    return combine(scopes.scopes, WITHOUT_RESOURCES)


def _meet(one: Scope, other: Scope) -> Scope:
    """What both allow; without bits where that is nothing."""
    if one.type != other.type and "*" not in (one.type, other.type):
        return Scope("patient", one.type, 0)
    return Scope(
        min(one.level, other.level, key=LEVELS.index),
        other.type if one.type == "*" else one.type,
        one.bits & other.bits,
        settled((*one.narrowing, *other.narrowing)),
    )


def _shortened(scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """The same rights: letters of what is otherwise alike joined, and nothing that another of its level implies; sorted.

    What a wider level implies stays: a `patient/` scope binds its whole token to that patient.
    """
    joined: dict[tuple[str, str, Narrowing], int] = {}
    for scope in scopes:
        key = (scope.level, scope.type, scope.narrowing)
        joined[key] = joined.get(key, 0) | scope.bits
    each = [Scope(level, type, bits, narrowing) for (level, type, narrowing), bits in joined.items()]
    kept = [one for one in each if not any(_is_more(other, one) for other in each)]
    return tuple(sorted(kept, key=str))


def _is_more(other: Scope, one: Scope) -> bool:
    return other != one and other.level == one.level and one.implies(other)


def _too_many() -> Invalid:
    return Invalid("too many scopes", code="scope-invalid", hint=f"at most {SCOPES_MAX} scopes, 4 kB")
