"""A registry in memory, with the same meaning as the one on disk (`test_registry.py` runs one contract on both)."""

from __future__ import annotations

from collections.abc import Callable

from careledger.vault.registry import (
    CHANGES_MAX,
    KEY_BYTES_MAX,
    TABLES,
    VALUE_BYTES_MAX,
    Change,
    Entry,
    RegistryMoved,
)


class MemoryRegistry:
    """`Registry`; `clock_ms` is the time by which entries expire."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._entries: dict[tuple[str, bytes], Entry] = {}
        self.changes = 0

    def get(self, table: str, key: bytes) -> Entry | None:
        assert table in TABLES
        entry = self._entries.get((table, key))
        return entry if entry is not None and self._is_current(entry) else None

    def list(self, table: str) -> list[tuple[bytes, Entry]]:
        assert table in TABLES
        return [
            (key, entry)
            for (name, key), entry in self._entries.items()
            if name == table and self._is_current(entry)
        ]

    async def change(self, *changes: Change) -> None:
        assert 0 < len(changes) <= CHANGES_MAX
        for one in changes:
            assert one.table in TABLES
            assert 0 < len(one.key) <= KEY_BYTES_MAX
            assert len(one.value or b"") <= VALUE_BYTES_MAX
            standing = self.get(one.table, one.key)
            if one.expected is not None and (standing.version if standing else 0) != one.expected:
                raise RegistryMoved("somebody else was first", hint="read it again and repeat")
        for one in changes:
            old = self._entries.pop((one.table, one.key), None)
            if one.value is not None:
                version = old.version + 1 if old is not None else 1
                self._entries[one.table, one.key] = Entry(one.value, version, one.expires_ms)
        self.changes += 1

    def _is_current(self, entry: Entry) -> bool:
        return not entry.expires_ms or self._clock_ms() < entry.expires_ms
