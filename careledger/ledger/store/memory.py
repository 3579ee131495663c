"""A store in memory: for tests, and for replays that must leave no trace."""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedDict


class MemoryKV:
    """An ordered dict behind the KV protocol; `copy` stands in for a transaction's start."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: SortedDict[bytes, bytes] = SortedDict()

    def get(self, key: bytes) -> bytes | None:
        return self._items.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._items[key] = value

    def delete(self, key: bytes) -> None:
        self._items.pop(key, None)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in self._items.irange(start, stop, inclusive=(True, False)):
            yield key, self._items[key]

    def copy(self) -> MemoryKV:
        """An independent store with the same pairs."""
        other = MemoryKV()
        other._items = self._items.copy()
        return other
