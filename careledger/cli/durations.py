"""Lengths of time as people type them: 90s, 15m, 1h, 7d, 2w."""

from __future__ import annotations

import re

from careledger.cli.errors import UsageError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SECONDS_MAX = 366 * 86_400


def parse_duration_s(text: str) -> int:
    """Seconds of a duration, at most 366 days; a bare number is refused, because nobody agrees on its unit."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", text, re.ASCII)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if not 0 < seconds <= SECONDS_MAX:
        raise UsageError(
            f"{text!r} is no length of time that can be used",
            hint="write a number and s, m, h, d or w: 15m, 1h, 7d; at most 366d",
        )
    return seconds
