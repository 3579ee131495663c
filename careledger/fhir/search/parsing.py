"""The values of search parameters: from the text of a URL to typed values. Errors name the parameter, never the value."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from careledger.fhir.definitions import definitions
from careledger.fhir.refusals import InvalidAt
from careledger.fhir.search.compile import Parameter
from careledger.fhir.search.conditions import DateRange, Number, Reference, Text, Token, Uri, Value
from careledger.fhir.search.dates import date_range
from careledger.fhir.search.values import (
    DATE,
    FOREIGN,
    NONE,
    NUMBER,
    QUANTITY,
    REFERENCE,
    STRING,
    STRING_MAX,
    TOKEN,
    hash8,
    normalise,
    type_tags,
)
from careledger.primitives.errors import Invalid

PREFIXES: Final = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_PREFIXED = re.compile(r"[a-z]{2}(?=[^a-z])")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LITERAL = re.compile(r"([A-Za-z]{1,64})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_ESCAPED = re.compile(r"\\([,|$\\])")


def bad_value(code: str, what: str, hint: str = "") -> Invalid:
    return InvalidAt(f"A value of the parameter {code} is not {what}.", where=code, hint=hint, code="value")


def split(text: str, separator: str) -> list[str]:
    """The parts between unescaped separators, still escaped (R4 search.html#escaping)."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    parts.append(text[start:])
    return parts


def unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def value_of(parameter: Parameter, modifier: str, text: str, now_ms: int, base: str) -> Value:
    """One alternative of a parameter's value. Raises Invalid."""
    code, kind = parameter.code, parameter.kind
    if kind == TOKEN or modifier == "identifier":
        return token_value(code, text)
    if kind == REFERENCE:
        return _reference(parameter, modifier, unescape(text), base)
    if kind == DATE:
        return date_value(code, text, now_ms)
    if kind == STRING:
        plain = unescape(text)
        if len(plain) >= STRING_MAX:
            raise bad_value(code, f"shorter than {STRING_MAX} characters")
        folded = normalise(plain)
        if not folded:
            raise bad_value(code, "there")
        return Text(plain, folded)
    if kind == NUMBER:
        return _number(code, text)
    if kind == QUANTITY:
        return _quantity(code, text)
    return Uri(hash8(unescape(text)))


def token_value(code: str, text: str) -> Token:
    """`code`, `system|code`, `|code`, `system|`."""
    parts = split(text, "|")
    if len(parts) == 1:
        return Token(None, hash8(unescape(text)))
    if len(parts) > 2:
        raise bad_value(code, "a token", "Write system|code; escape a | inside as \\|.")
    system, value = unescape(parts[0]), unescape(parts[1])
    if not system and not value:
        raise bad_value(code, "a token", "Write system|code, |code or system|.")
    return Token(hash8(system) if system else NONE, hash8(value) if value else None)


def prefixed(code: str, text: str) -> tuple[str, str]:
    """The comparator, `eq` if there is none, and the rest."""
    match = _PREFIXED.match(text)
    if match is None:
        return "eq", text
    if match.group() not in PREFIXES:
        raise bad_value(
            code, "introduced by a known prefix", "Prefixes are eq, ne, gt, lt, ge, le, sa, eb and ap."
        )
    return match.group(), text[2:]


def date_value(code: str, text: str, now_ms: int) -> DateRange:
    """`ap` widens the range by a tenth of its distance from now (R4 search.html#prefix)."""
    prefix, rest = prefixed(code, text)
    try:
        lo, hi = date_range(rest)
    except Invalid:
        raise bad_value(code, "a date", "Write 2026, 2026-01, 2026-01-31 or 2026-01-31T12:00:00Z.") from None
    if prefix == "ap":
        gap = abs(now_ms - (lo + hi) // 2) // 10
        lo, hi = lo - gap, hi + gap
    return DateRange(prefix, lo, hi)


def _number(code: str, text: str, system: bytes | None = None, unit: bytes | None = None) -> Number:
    prefix, rest = prefixed(code, text)
    if not _NUMBER.fullmatch(rest):
        raise bad_value(code, "a number", "Write 100, 5.40 or 1e-3.")
    value = Decimal(rest)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    half = Decimal(5).scaleb(exponent - 1)
    if prefix == "ap":
        half = max(half, abs(value) / 10)
    return Number(prefix, value, value - half, value + half, system, unit)


def _quantity(code: str, text: str) -> Number:
    """`number`, `number|system|code`, `number||unit`."""
    parts = split(text, "|")
    if len(parts) == 1:
        return _number(code, text)
    if len(parts) != 3:
        raise bad_value(code, "a quantity", "Write 5.4, 5.4|http://unitsofmeasure.org|mg or 5.4||mg.")
    system, unit = unescape(parts[1]), unescape(parts[2])
    return _number(code, parts[0], hash8(system) if system else None, hash8(unit) if unit else None)


def _reference(parameter: Parameter, modifier: str, text: str, base: str) -> Reference:
    """`id`, `Type/id`, a URL, or with `:Type` an id of that type. A version counts for nothing."""
    if base and text.startswith(base + "/"):
        text = text[len(base) + 1 :]
    literal = _LITERAL.fullmatch(text)
    if literal is not None:
        type, id = literal.group(1), literal.group(2)
        if not definitions().is_resource_type(type):
            raise bad_value(parameter.code, "a reference", "The type is not an R4 resource type.")
        if modifier and modifier != type:
            raise bad_value(parameter.code, "a reference of the type that the modifier names")
        return local_reference(type, id)
    if _ID.fullmatch(text):
        sole = parameter.targets[0] if len(parameter.targets) == 1 else ""
        type = modifier or parameter.resolves or sole
        return local_reference(type, text) if type else Reference(bare=hash8(text), id=text)
    if ":" not in text or not text.isprintable() or " " in text:
        raise bad_value(parameter.code, "a reference", "Write an id, Type/id or a URL.")
    return Reference(key=bytes((FOREIGN,)) + hash8(text))


def local_reference(type: str, id: str) -> Reference:
    """A reference to that resource of this server."""
    return Reference(
        key=bytes((type_tags()[type],)) + hash8(id), patient=id if type == "Patient" else "", type=type, id=id
    )


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None
