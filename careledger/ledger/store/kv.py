"""What the ledger needs of a store: ordered bytes. Every store passes tests/ledger/test_store.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class KV(Protocol):
    """Ordered key-value pairs inside one transaction that the caller opened and will commit or abort.

    Keys are 1 to 400 bytes. Values are any bytes. A failing store raises Unavailable, never returns wrong data.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def put(self, key: bytes, value: bytes) -> None:
        """Sets the value."""

    def delete(self, key: bytes) -> None:
        """Removes the key; one that is absent is no error."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop, in ascending order of keys. Do not write while it runs."""


class PrefixKV:
    """A part of another store: every key is preceded by `prefix`."""

    __slots__ = ("_kv", "_prefix")

    def __init__(self, kv: KV, prefix: bytes) -> None:
        self._kv = kv
        self._prefix = prefix

    def get(self, key: bytes) -> bytes | None:
        return self._kv.get(self._prefix + key)

    def put(self, key: bytes, value: bytes) -> None:
        self._kv.put(self._prefix + key, value)

    def delete(self, key: bytes) -> None:
        self._kv.delete(self._prefix + key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        size = len(self._prefix)
        for key, value in self._kv.scan(self._prefix + start, self._prefix + stop):
            yield key[size:], value
