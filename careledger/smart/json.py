"""Foreign JSON objects, read in one way only: what two readers could understand differently is refused."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from careledger.primitives.errors import Invalid

TEXT: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,256}")
"""A text that may be kept and compared: 1 to 256 characters, no control characters, no lone surrogates."""

TIME_MAX_S: Final = 1 << 33


class Unreadable(Invalid):
    """The input is not what it should be; the message names the rule and none of its content."""

    code = "unreadable"


def read_object(raw: bytes, bytes_max: int) -> dict[str, Any]:
    """The JSON object in `raw` (UTF-8). Raises Unreadable: too long, members twice, NaN, nesting, not an object."""
    if len(raw) > bytes_max:
        raise Unreadable(f"longer than {bytes_max} bytes")
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_make_object, parse_constant=_refuse)
    except Unreadable:
        raise
    except RecursionError as error:
        raise Unreadable("nested too deeply") from error
    except ValueError as error:
        raise Unreadable("no JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise Unreadable("no JSON object")
    return found


def read_time_ms(value: object) -> int:
    """A NumericDate (RFC 7519, 2) in milliseconds. Raises Unreadable: strings, booleans, negative or absurd times."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < TIME_MAX_S:
        raise Unreadable("a time is no number of seconds since 1970")
    return int(value * 1000)


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("a member stands twice")
    return found


def _refuse(_: str) -> NoReturn:
    raise Unreadable("a number is none")
