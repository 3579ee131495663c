"""Times on pages: UTC, to the minute, in the one form that nobody misreads."""

from __future__ import annotations

from datetime import UTC, datetime


def write_date(time_ms: int) -> str:
    """`2026-07-31 14:05 UTC`."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
