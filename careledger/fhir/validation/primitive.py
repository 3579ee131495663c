"""Checks of primitive values: each says in a few words what is wrong, or None. Values never enter the words.

FHIR R4 datatypes.html#primitive. Where the published regex is weaker than the text (a date that no calendar has,
control characters), the text wins.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from careledger.fhir.json import ReceivedNumber

PrimitiveCheck = Callable[[Any], str | None]

STRING_LENGTH_MAX = 1024 * 1024
"""Characters of a string or markdown (R4: not over 1 MB)."""
XHTML_LENGTH_MAX = 4 * 1024 * 1024
"""Characters of a narrative; R4 names no limit."""

_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_FORBIDDEN_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_DATE = r"(?!0000)[0-9]{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01]))?)?"
_DAY = r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]{1,30})?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_is_date = re.compile(_DATE).fullmatch
_is_instant = re.compile(f"{_DAY}T{_TIME}{_ZONE}").fullmatch
_is_date_time = re.compile(f"{_DAY}T{_TIME}{_ZONE}|{_DATE}").fullmatch
_is_time = re.compile(_TIME).fullmatch
_is_code = re.compile(r"\S+(?:\s\S+)*").fullmatch
_is_id = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
_is_oid = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+").fullmatch
_is_uuid = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_ACTIVE = re.compile(
    r"<(?:!(?!--)|\?|/?(?:script|style|iframe|object|embed|applet|form|input|base|link|meta|svg|math)\b)"
    r"|<[^<>]*[\s/\"'](?:on[a-z]+|srcdoc|formaction)\s*="
    r"|<[^<>]*=[\s\"']*(?:javascript|vbscript|data:text/html)\s*:?",
    re.IGNORECASE,
)
"""What a narrative must not hold (R4 narrative.html#security, txt-1): anything that acts."""


def check_boolean(value: Any) -> str | None:
    return None if value is True or value is False else "must be true or false"


def check_integer(value: Any) -> str | None:
    if value.__class__ is int and _INT_MIN <= value <= _INT_MAX:
        return None
    return "must be a whole number of 32 bits, without fraction or exponent"


def check_unsigned_int(value: Any) -> str | None:
    if value.__class__ is int and 0 <= value <= _INT_MAX:
        return None
    return "must be a whole number from 0 to 2147483647"


def check_positive_int(value: Any) -> str | None:
    if value.__class__ is int and 1 <= value <= _INT_MAX:
        return None
    return "must be a whole number from 1 to 2147483647"


def check_decimal(value: Any) -> str | None:
    kind = value.__class__
    if kind is Decimal or kind is int or kind is ReceivedNumber:
        return None
    return "must be a JSON number"


def check_string(value: Any) -> str | None:
    if value.__class__ is not str:
        return "must be a string"
    if not value:
        return "must not be empty"
    if len(value) > STRING_LENGTH_MAX:
        return f"must not be longer than {STRING_LENGTH_MAX} characters"
    if not value.isprintable() and _FORBIDDEN_CONTROL.search(value):
        return "must not hold control characters"
    return None


def check_code(value: Any) -> str | None:
    if value.__class__ is str and (value.isalnum() or _is_code(value)) and len(value) <= STRING_LENGTH_MAX:
        return check_string(value)
    return "must be a code: not empty, no space at either end, single spaces inside"


def check_currency(value: Any) -> str | None:
    if value.__class__ is str and len(value) == 3 and value.isascii() and value.isupper() and value.isalpha():
        return None
    return "must be a currency code of ISO 4217 (three capital letters)"


def check_uri(value: Any) -> str | None:
    if value.__class__ is str and value.isprintable() and " " not in value and value:
        return None if len(value) <= STRING_LENGTH_MAX else "is too long"
    if value.__class__ is str and value.split() == [value] and not _FORBIDDEN_CONTROL.search(value):
        return None
    return "must be a URI: a string that is not empty and holds no space"


def check_oid(value: Any) -> str | None:
    return None if value.__class__ is str and _is_oid(value) else "must be an OID as a URI: urn:oid:1.2.3"


def check_uuid(value: Any) -> str | None:
    return (
        None
        if value.__class__ is str and _is_uuid(value)
        else "must be a UUID as a URI, in small letters: urn:uuid:…"
    )


def check_id(value: Any) -> str | None:
    return (
        None
        if value.__class__ is str and _is_id(value)
        else "must be 1 to 64 letters, digits, hyphens and full stops"
    )


def check_date(value: Any) -> str | None:
    if value.__class__ is str and _is_date(value) and (value[8:10] <= "28" or _is_day(value)):
        return None
    return "must be a date: YYYY, YYYY-MM or YYYY-MM-DD"


def check_date_time(value: Any) -> str | None:
    if value.__class__ is str and _is_date_time(value) and (value[8:10] <= "28" or _is_day(value)):
        return None
    return "must be a date, or a date and time with seconds and zone: YYYY-MM-DDThh:mm:ss+zz:zz"


def check_instant(value: Any) -> str | None:
    if value.__class__ is str and _is_instant(value) and (value[8:10] <= "28" or _is_day(value)):
        return None
    return "must be an instant with seconds and zone: YYYY-MM-DDThh:mm:ss.sss+zz:zz"


def _is_day(value: str) -> bool:
    """Whether the calendar has the day that `value` begins with."""
    try:
        date(int(value[0:4]), int(value[5:7]), int(value[8:10]))
    except ValueError:
        return False
    return True


def check_time(value: Any) -> str | None:
    return None if value.__class__ is str and _is_time(value) else "must be a time of day: hh:mm:ss"


def check_base64(value: Any) -> str | None:
    if value.__class__ is str and value:
        try:
            binascii.a2b_base64("".join(value.split()), strict_mode=True)
            return None
        except ValueError:  # binascii.Error, or a character outside ASCII
            pass
    return "must be base64 (RFC 4648, with padding)"


def check_xhtml(value: Any) -> str | None:
    if (
        value.__class__ is not str
        or not value.lstrip().startswith("<div")
        or not value.rstrip().endswith(">")
    ):
        return "must be XHTML in one <div>"
    if len(value) > XHTML_LENGTH_MAX:
        return f"must not be longer than {XHTML_LENGTH_MAX} characters"
    if _FORBIDDEN_CONTROL.search(value):
        return "must not hold control characters"
    if _ACTIVE.search(value):
        return "must not hold scripts, event handlers, forms, declarations or other active content"
    return None


PRIMITIVE_CHECKS: dict[str, PrimitiveCheck] = {
    "base64Binary": check_base64,
    "boolean": check_boolean,
    "canonical": check_uri,
    "code": check_code,
    "date": check_date,
    "dateTime": check_date_time,
    "decimal": check_decimal,
    "id": check_id,
    "instant": check_instant,
    "integer": check_integer,
    "markdown": check_string,
    "oid": check_oid,
    "positiveInt": check_positive_int,
    "string": check_string,
    "time": check_time,
    "unsignedInt": check_unsigned_int,
    "uri": check_uri,
    "url": check_uri,
    "uuid": check_uuid,
    "xhtml": check_xhtml,
}
"""R4's 20 primitive types; a test compares the keys with the definitions."""
