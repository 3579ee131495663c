"""Lengths of time as people type them: 90s, 15m, 1h, 7d."""

from __future__ import annotations

import re

from careledger.cli.errors import UsageError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration_s(text: str) -> int:
    """Seconds of a duration; a bare number is refused, because nobody agrees on its unit."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None or int(match[1]) == 0:
        raise UsageError(
            f"{text!r} is no length of time", hint="write a number and s, m, h or d: 15m, 1h, 7d"
        )
    return int(match[1]) * UNITS[match[2]]
