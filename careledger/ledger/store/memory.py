"""A store in memory: for tests, and for replays that must leave no trace."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator


class MemoryKV:
    """A dict behind the KV protocol, ordered when it is scanned; `copy` stands in for a transaction's start."""

    __slots__ = ("_items", "_order")

    def __init__(self) -> None:
        self._items: dict[bytes, bytes] = {}
        self._order: list[bytes] | None = []

    def get(self, key: bytes) -> bytes | None:
        return self._items.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self._items:
            self._order = None
        self._items[key] = value

    def delete(self, key: bytes) -> None:
        if self._items.pop(key, None) is not None:
            self._order = None

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        if self._order is None:
            self._order = sorted(self._items)
        order = self._order
        for at in range(bisect_left(order, start), bisect_left(order, stop)):
            yield order[at], self._items[order[at]]

    def copy(self) -> MemoryKV:
        """An independent store with the same pairs."""
        other = MemoryKV()
        other._items = dict(self._items)
        other._order = None
        return other
