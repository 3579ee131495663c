"""Lengths of time on the command line have one meaning, or none."""

from __future__ import annotations

import pytest

from careledger.access.tokens import LIFETIME_MAX_SECONDS
from careledger.cli.durations import SECONDS_MAX, parse_duration_s
from careledger.cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("2w", 1_209_600)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "1", "h", "0h", "-1h", "1.5h", "1 h", "1H", "367d", "1h30m", "9999999999s", "١h"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_duration_s(text)
    assert refused.value.hint


def test_whatever_can_be_typed_can_be_issued() -> None:
    assert SECONDS_MAX == LIFETIME_MAX_SECONDS
