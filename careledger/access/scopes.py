"""SMART scopes: which interactions on which resource types a token allows.

`patient|user|system/Type.cruds` (v2) and `.read .write .*` (v1, read as `rs`, `cud`, `cruds`); `Type` may be `*`.
Letters stand in the order c r u d s, each once. Granular scopes (`?category=…`) parse, but a token that holds one
is refused: to ignore the narrowing would widen it. SMART App Launch 2.2, "Scopes for requesting FHIR resources".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from careledger.primitives.errors import Invalid

SCOPE_TEXT_MAX_BYTES = 4096
SCOPES_MAX = 128

CREATE, READ, UPDATE, DELETE, SEARCH = 1, 2, 4, 8, 16
ALL = CREATE | READ | UPDATE | DELETE | SEARCH
LETTERS = (("c", CREATE), ("r", READ), ("u", UPDATE), ("d", DELETE), ("s", SEARCH))
VERSION_1 = {"read": READ | SEARCH, "write": CREATE | UPDATE | DELETE, "*": ALL}

LEVELS = ("patient", "user", "system")
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
    """One resource scope. `bits` are of CREATE … SEARCH; `query` is the granular part, '' if none."""

    level: str
    type: str
    bits: int
    query: str = ""

    def __str__(self) -> str:
        letters = "".join(letter for letter, bit in LETTERS if self.bits & bit)
        return f"{self.level}/{self.type}.{letters}" + (f"?{self.query}" if self.query else "")


@dataclass(frozen=True, slots=True)
class Scopes:
    """All scopes of a token, with their union by type: what is asked on each request."""

    scopes: tuple[Scope, ...]
    by_type: Mapping[str, int]  # '*' holds what is allowed on every type
    patient_level: bool

    def __str__(self) -> str:
        return " ".join(map(str, self.scopes))


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
    return Scope(level, resource_type, bits, query or "")


def parse_scopes(text: str) -> Scopes:
    """The scopes of a token, separated by single spaces. Raises Invalid (`scope-invalid`, `scope-granular`)."""
    if len(text) > SCOPE_TEXT_MAX_BYTES or text.count(" ") >= SCOPES_MAX:
        raise Invalid("too many scopes", code="scope-invalid", hint=f"at most {SCOPES_MAX} scopes, 4 kB")
    if not text:
        raise Invalid("no scope given", code="scope-invalid", hint="for example --scope 'system/*.rs'")
    parsed = [scope for scope in map(parse_scope, text.split(" ")) if scope is not None]
    if any(scope.query for scope in parsed):
        raise Invalid(
            "granular scopes are not supported yet",
            code="scope-granular",
            hint="leave out the part from the question mark on, or ask for fewer types",
        )
    return combine(parsed)


def combine(parsed: Iterable[Scope]) -> Scopes:
    """The union of scopes without granular parts."""
    scopes = tuple(dict.fromkeys(parsed))
    by_type: dict[str, int] = {}
    for scope in scopes:
        by_type[scope.type] = by_type.get(scope.type, 0) | scope.bits
    return Scopes(scopes, MappingProxyType(by_type), any(scope.level == "patient" for scope in scopes))


def allows(scopes: Scopes, interaction: str, resource_type: str) -> bool:
    """The scopes cover the interaction on the type. Says nothing about whose record it is: that is `decide`.

    `resource_type` '*' asks for a right on every type (history of the system, for example).
    """
    needed = INTERACTIONS.get(interaction)
    if needed is None:
        return False
    by_type = scopes.by_type
    held = by_type.get("*", 0) | by_type.get(resource_type, 0)
    if not needed:
        return held != 0
    return held & needed == needed
