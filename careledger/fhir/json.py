"""FHIR JSON in and out: strict, and every number kept as it was received (`72.50` stays `72.50`).

- `loads(dumps(x)) == x`, and `dumps(loads(b)) == b` for compact `b` whose strings use no needless escapes.
- A property given twice, a lone surrogate, NaN, a byte order mark, trailing bytes, deep nesting and monstrous
  numbers are refused; none of them costs more than reading the input.
- Errors name a place in the input and never its content.

FHIR R4 json.html. Costs about 13 µs an Observation, most of it the decoder.
"""

from __future__ import annotations

import contextlib
import json
import re
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from careledger.fhir.offence import FINDABLE, find_offence
from careledger.primitives.errors import Invalid

Resource = dict[str, Any]

DEPTH_MAX = 100
"""Objects and arrays inside each other; R4's deepest sensible resource has about 30."""
DIGITS_MAX = 40
"""Significant digits of a number; R4 asks for at least 18."""
EXPONENT_MAX = 100
"""A number lies in ±10^100, and its last digit is worth at least 10^-140."""

PROPERTIES_MAX = 1_000
"""Properties of an object, on average over a large input; R4's largest type has some 140."""

_SMALL = 50_000
_NUMBER_LENGTH_MAX = DIGITS_MAX + EXPONENT_MAX + 10
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in b'{}[]"')
_NOT_OPENING = bytes(byte for byte in range(256) if byte not in b"{[")
_STRING = re.compile(rb'"[^"]*"')
_TOO_MANY_DIGITS = b"0" * (DIGITS_MAX + 1)
_SOME_DIGITS = b"0" * ((DIGITS_MAX + 1) // 8)
_NEGATIVE_ZERO = re.compile(rb"[\[:,\s]-0[\s,\]}]")
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)")
_EPOCH = datetime(1970, 1, 1)
_PLACE = re.compile(r"^JSON is malformed: (.*) \(byte ([0-9]+)\)$")
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_HINT = "send one FHIR resource as JSON in UTF-8 (application/fhir+json)"
_SERVER_OWNED = frozenset(("resourceType", "id", "_id", "meta"))
_SERVER_OWNED_META = frozenset(("versionId", "lastUpdated", "_versionId", "_lastUpdated"))


class ReceivedNumber(Decimal):
    """A number whose received form is not the one Decimal prints (`1e3`, `0.0000001`, `-0`)."""

    received: str

    def __new__(cls, text: str) -> ReceivedNumber:
        number = super().__new__(cls, text)
        number.received = text
        return number


@lru_cache(maxsize=4096)  # amounts and measured values repeat, and a number never changes
def read_number(text: str) -> Decimal:
    """The number with its received form kept. Raises Invalid over DIGITS_MAX or EXPONENT_MAX."""
    if len(text) > DIGITS_MAX or "e" in text or "E" in text:
        _check_number(text)
    number = Decimal(text)
    return number if str(number) == text else ReceivedNumber(text)


def _check_number(text: str) -> None:
    exponent = _EXPONENT.search(text)
    if len(text) > _NUMBER_LENGTH_MAX or (exponent is not None and len(exponent[1]) > 6):
        _refuse_number()
    number = Decimal(text)
    _, digits, last = number.as_tuple()
    significant = len(str(int("".join(map(str, digits)))))
    too_small = not isinstance(last, int) or last < -(EXPONENT_MAX + DIGITS_MAX)
    if significant > DIGITS_MAX or too_small or abs(number.adjusted()) > EXPONENT_MAX:
        _refuse_number()


def _refuse_number() -> NoReturn:
    raise Invalid(
        f"a number has more than {DIGITS_MAX} significant digits or an exponent beyond {EXPONENT_MAX}",
        hint="no measurement needs so many digits; send it as a string or rounded",
        code="number-too-long",
    )


def _encode_number(value: object) -> msgspec.Raw:
    if type(value) is ReceivedNumber:
        return msgspec.Raw(value.received.encode())
    raise TypeError(f"{type(value).__name__} is no FHIR JSON value")


_decode = msgspec.json.Decoder(float_hook=read_number).decode
_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=_encode_number).encode


class Received(msgspec.Struct, frozen=True, gc=False):
    """A decoded resource, and the compact bytes of all that follows the properties which `canonical` writes itself.

    `rest` spares `canonical` from encoding a second time. It is empty where the resource was changed since, or where
    those properties do not come first.
    """

    resource: Resource
    rest: bytes = b""


def loads(data: bytes) -> Resource:
    """The JSON object in `data`. Raises Invalid (place and hint, no content) for everything the module refuses."""
    return _read_or_place(data)[0]


def receive(data: bytes) -> Received:
    """As `loads`, for a resource that is to be stored."""
    value, compact = _read_or_place(data)
    return Received(value, _rest(value, compact))


def _rest(value: Resource, compact: bytes) -> bytes:
    own: Resource = {}
    for name, item in value.items():
        if name not in _SERVER_OWNED:
            break
        own[name] = item
    if not own or not compact or len(own) != len(value.keys() & _SERVER_OWNED):
        return b""
    return compact[
        len(_encode(own)) - 1 :
    ]  # what is left begins with the comma after them, or is the last brace


def _read_or_place(data: bytes) -> tuple[Resource, bytes]:
    """As `_read`; a refusal says where the offence stands, if it can be found quickly."""
    try:
        return _read(data)
    except Invalid as error:
        found = None
        if error.code in FINDABLE:
            found = find_offence(bytes(data), error.code, DEPTH_MAX, PROPERTIES_MAX, DIGITS_MAX)
        if found is None:
            raise
        place = _place(data, found)
        raise Invalid(f"{error.message} {place}", hint=error.hint, code=error.code) from None


def _read(data: bytes) -> tuple[Resource, bytes]:
    """The object, and its compact bytes where they are at hand."""
    if len(data) > _SMALL and data.count(b'":') > PROPERTIES_MAX * data.count(b"{"):
        _refuse_properties()
    # 41 digits in a row show as five in every eighth byte, which is quickly seen to be absent.
    if _SOME_DIGITS in data[::8].translate(_DIGITS_TO_ZERO) and _TOO_MANY_DIGITS in data.translate(
        _DIGITS_TO_ZERO
    ):
        _check_integers(data)
    try:
        value: Resource = _decode(data)
        again = _encode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _refuse(bytes(data), error)
    if type(value) is not dict:
        raise Invalid("the JSON is not an object", hint=_HINT, code="not-an-object")
    # Equal bytes mean that nothing was dropped or read loosely. Otherwise (white space, escapes) a dropped property
    # shows in the number of quotes, which only \u0022 can change apart from that.
    if again != data and (
        data.count(b'"') != again.count(b'"') or b"\\u0022" in data or _NEGATIVE_ZERO.search(data) is not None
    ):
        value, again = _loads_exactly(data), b""  # keeps -0, refuses a property given twice
    if len(data.translate(None, _NOT_OPENING)) > DEPTH_MAX and _is_too_deep(data):
        _refuse_depth()
    if b"null" in data:
        _check_nulls(value)
    return value, again


def dumps(value: object) -> bytes:
    """Compact UTF-8 JSON, properties in the order of the dict, numbers as received."""
    return _encode(value)


def canonical(resource: Resource, id: str, version: int, last_updated_ms: int, rest: bytes = b"") -> bytes:
    """The stored and served form: resourceType, id, meta (versionId and lastUpdated first), the rest as received.

    `rest` is that of `Received`; without it the rest is encoded here.
    """
    meta = {"versionId": str(version), "lastUpdated": instant(last_updated_ms)}
    received = resource.get("meta")
    if received:
        meta |= {name: item for name, item in received.items() if name not in _SERVER_OWNED_META}
    stored: Resource = {"resourceType": resource["resourceType"], "id": id, "meta": meta}
    if rest:
        return _encode(stored)[:-1] + rest
    for name, item in resource.items():
        if name not in _SERVER_OWNED:
            stored[name] = item
    return _encode(stored)


@lru_cache(maxsize=64)  # all that one Bundle writes has one time
def instant(milliseconds: int) -> str:
    """Milliseconds since 1970 as a FHIR instant in UTC: `2026-01-02T03:04:05.678Z`."""
    return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds") + "Z"


def _loads_exactly(data: bytes) -> Resource:
    """`data`, known to be well-formed, by a slower reader that sees every property."""
    value: Resource = json.loads(
        data,
        object_pairs_hook=_unique,
        parse_float=read_number,
        parse_int=_read_integer,
        parse_constant=_refuse_constant,
    )
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Resource:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Invalid(
            "an object has the same property twice",
            hint="FHIR JSON properties are unique within their object; repeat elements as an array",
            code="duplicate-property",
        )
    return found


def _read_integer(text: str) -> int | Decimal:
    return ReceivedNumber(text) if text == "-0" else int(text)


def _refuse_constant(_: str) -> NoReturn:
    raise Invalid("NaN and Infinity are no JSON", hint=_HINT, code="malformed-json")


def _is_too_deep(data: bytes) -> bool:
    """Whether well-formed JSON is nested deeper than DEPTH_MAX: taking away the innermost brackets, level by level."""
    if b"\\" in data:
        if b"\\\\" in data:
            data = data.replace(b"\\\\", b"")
        data = data.replace(b'\\"', b"")
    # Only brackets (of one kind) and quotes stay. Quotes that meet are taken away in pairs, so that what is inside
    # a string stays inside; strings that are left hold brackets of their own.
    brackets = data.translate(_ONE_KIND, _NO_BRACKET).replace(b'""', b"")
    if b'"' in brackets:
        brackets = _STRING.sub(b"", brackets)
    for _ in range(DEPTH_MAX):
        brackets = brackets.replace(b"{}", b"")
        if not brackets:
            return False
    return True


def _check_nulls(value: Resource) -> None:
    """Refuse null anywhere but in an array of primitives that also holds something (json.html#null)."""
    pending: list[Any] = [value]
    while pending:
        container = pending.pop()
        if type(container) is dict:
            items = list(container.values())
            if None in items:
                _refuse_null()
        else:
            items = container
            if None in items and all(item is None for item in items):
                _refuse_null()
        pending += [item for item in items if type(item) is dict or type(item) is list]


def _check_integers(data: bytes) -> None:
    """Refuse an integer over DIGITS_MAX before it is converted, which takes the square of its length."""
    with contextlib.suppress(ValueError, RecursionError):  # malformed: the decoder says where
        json.loads(data, parse_int=_check_integer, parse_float=len)


def _check_integer(text: str) -> None:
    if len(text) > DIGITS_MAX and len(text.lstrip("-")) > DIGITS_MAX:
        _refuse_number()


def _refuse_null() -> NoReturn:
    raise Invalid(
        "null stands where FHIR JSON has none",
        hint="leave the property out; null is only for the gaps of an array of primitives",
        code="null-value",
    )


def _refuse_properties() -> NoReturn:
    raise Invalid(
        f"an object has more than {PROPERTIES_MAX} properties",
        hint="no FHIR type has so many; look for a list that was written as an object",
        code="too-many-properties",
    )


def _refuse_depth() -> NoReturn:
    raise Invalid(
        f"the JSON is nested deeper than {DEPTH_MAX}",
        hint="no FHIR resource needs this; look for a loop in the program that wrote it",
        code="nested-too-deep",
    )


def _refuse(data: bytes, error: Exception) -> NoReturn:
    """Say what is wrong and where, from the decoder's fixed phrases."""
    if isinstance(error, RecursionError):
        _refuse_depth()
    if data.startswith(_BYTE_ORDER_MARKS):
        raise Invalid("the JSON begins with a byte order mark", hint=_HINT, code="malformed-json") from None
    if isinstance(error, UnicodeDecodeError):
        raise Invalid(
            f"the text is not UTF-8 {_place(data, _utf8_error(data))}", hint=_HINT, code="not-utf8"
        ) from None
    found = _PLACE.match(str(error))
    if found is not None:
        raise Invalid(
            f"malformed JSON: {found[1]} {_place(data, int(found[2]))}", hint=_HINT, code="malformed-json"
        ) from None
    if isinstance(error, msgspec.ValidationError):
        _refuse_number()
    raise Invalid(
        "malformed JSON: it ends too early, or in half a character", hint=_HINT, code="malformed-json"
    ) from None


def _utf8_error(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _place(data: bytes, offset: int) -> str:
    line = data.count(b"\n", 0, offset) + 1
    column = offset - (data.rfind(b"\n", 0, offset) + 1) + 1
    return f"at line {line}, column {column}"
