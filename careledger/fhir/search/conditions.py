"""What a search asks, typed: conditions and their values, as parsed by `query` and answered by `slots`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from careledger.fhir.search.compile import Parameter


class Token(msgspec.Struct, frozen=True, gc=False):
    """`None` is "any": `code` has no system here, `system|` no code; `|code` has the hash of no system."""

    system: bytes | None
    code: bytes | None


class Text(msgspec.Struct, frozen=True, gc=False):
    """A string: as sent (for `:exact`) and as normalised."""

    exact: str
    folded: str


class Uri(msgspec.Struct, frozen=True, gc=False):
    hash: bytes


class DateRange(msgspec.Struct, frozen=True, gc=False):
    """`[lo, hi)` in milliseconds; `prefix` is one of the nine comparators."""

    prefix: str
    lo: int
    hi: int


class Number(msgspec.Struct, frozen=True, gc=False):
    """`lo <= x < hi` is what the number's precision implies; `system` and `unit` of a quantity may be any (None)."""

    prefix: str
    value: Decimal
    lo: Decimal
    hi: Decimal
    system: bytes | None = None
    unit: bytes | None = None


class Reference(msgspec.Struct, frozen=True, gc=False):
    """`key` is tag and hash as stored; or `bare`, the hash of an id whose type was not given."""

    key: bytes = b""
    bare: bytes = b""
    patient: str = ""  # the id, if this can only be a Patient of this server
    type: str = ""
    id: str = ""


Value = Token | Text | Uri | DateRange | Number | Reference | str
"""`str`: a logical id (`_id`)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter of the request: any of `values` must hold. Conditions of a query hold together.

    `modifier` is "", missing, not, exact, contains, identifier, or a type. With `missing`, `wanted_missing` is
    its value and `values` are empty. `parameter` is None for `_id` and `_lastUpdated`.
    """

    code: str
    kind: int
    values: tuple[Value, ...] = ()
    modifier: str = ""
    parameter: Parameter | None = None
    wanted_missing: bool = False


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of `_sort`. Resources without a value come last in both directions."""

    code: str
    descending: bool = False
    parameter: Parameter | None = None
