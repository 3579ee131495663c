"""How often a second: token buckets by name. The clock is the caller's."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

NAMES_MAX: Final = 10_000
"""The name charged longest ago is forgotten, and may then begin anew."""


class Buckets:
    """So many a second of each name, and `burst` at once after a quiet time. The clock is the caller's, in ms."""

    def __init__(self, per_s: int, burst: int) -> None:
        self._per_s = per_s
        self._full = burst * 1000
        self._levels: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def has(self, name: bytes, now_ms: int) -> bool:
        """Whether one more is within the rate; charges nothing."""
        return self._level(name, now_ms) >= 1000

    def charge(self, name: bytes, now_ms: int) -> None:
        """Counts one."""
        self._levels[name] = (max(0, self._level(name, now_ms) - 1000), now_ms)
        self._levels.move_to_end(name)
        if len(self._levels) > NAMES_MAX:
            self._levels.popitem(last=False)

    def _level(self, name: bytes, now_ms: int) -> int:
        level, then_ms = self._levels.get(name, (self._full, now_ms))
        return min(self._full, level + max(0, now_ms - then_ms) * self._per_s)
