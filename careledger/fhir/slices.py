"""Long work in slices: a large Bundle gives way to small requests every few milliseconds."""

from __future__ import annotations

import asyncio
from time import perf_counter


class Slices:
    """Ask `due` between two steps; where it says so, let the other requests run before going on."""

    __slots__ = ("_end", "_length_s")

    def __init__(self, length_ms: float) -> None:
        self._length_s = length_ms / 1000
        self._end = perf_counter() + self._length_s

    def due(self) -> bool:
        return perf_counter() >= self._end

    async def rest(self) -> None:
        """Yield once to everything that waits. No snapshot may be open."""
        await asyncio.sleep(0)
        self._end = perf_counter() + self._length_s
