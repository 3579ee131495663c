"""FHIR dates as half-open ranges of milliseconds since 1970 UTC: `[lo, hi)`.

A date means its whole implicit range (R4 search.html#date): `2024-01` is the month. Without an offset UTC is meant.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final

from careledger.primitives.errors import Invalid

BEGINNING: Final = -(1 << 62)
"""Low end of a range without a start."""
END: Final = 1 << 62
"""High end of a range without an end."""

_DAY: Final = 86_400_000
_UNIX_EPOCH: Final = date(1970, 1, 1).toordinal()
_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,18}))?)?"
    r"(?P<zone>Z|[+\- ]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


def date_range(text: str) -> tuple[int, int]:
    """The range that a date, dateTime or instant covers. Raises Invalid; the message does not repeat the value.

    `+` of an offset may arrive as a space (an unescaped URL). A leap second counts as the second before it.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise Invalid("This is not a date.")
    try:
        return _range(match)
    except ValueError:
        raise Invalid("There is no such date.") from None


@lru_cache(maxsize=8192)
def _day(year: int, month: int, day: int) -> int:
    return (date(year, month, day).toordinal() - _UNIX_EPOCH) * _DAY


def _range(match: re.Match[str]) -> tuple[int, int]:
    year_text, month_text, day_text, hour, minute, second, fraction, zone = match.groups()
    year = int(year_text)
    if month_text is None:
        return _day(year, 1, 1), _next_month(year, 12)
    month = int(month_text)
    if day_text is None:
        return _day(year, month, 1), _next_month(year, month)
    lo = _day(year, month, int(day_text))
    if hour is None:
        return lo, lo + _DAY
    hours, minutes = int(hour), int(minute)
    if hours > 23 or minutes > 59:
        raise ValueError
    lo += hours * 3_600_000 + minutes * 60_000 - _offset(zone)
    if second is None:
        return lo, lo + 60_000
    if second > "60":
        raise ValueError
    lo += min(int(second), 59) * 1000
    if fraction is None:
        return lo, lo + 1000
    digits = fraction[:3]
    width = 10 ** (3 - len(digits))
    lo += int(digits) * width
    return lo, lo + width


def _next_month(year: int, month: int) -> int:
    if month < 12:
        return _day(year, month + 1, 1)
    return _day(year, 12, 31) + _DAY


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError
    ahead = (hours * 60 + minutes) * 60_000
    return -ahead if zone[0] == "-" else ahead
