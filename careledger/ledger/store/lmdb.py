"""LMDB behind the KV protocol. The node opens the environment and its transactions; this only reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lmdb

from careledger.primitives.errors import Unavailable


class LmdbKV:
    """One named database within one LMDB transaction (without `buffers`). Drop it when the transaction ends."""

    __slots__ = ("_db", "_delete", "_get", "_put", "_txn")

    def __init__(self, txn: lmdb.Transaction, db: Any = None) -> None:
        self._txn = txn
        self._db = db
        self._get = txn.get
        self._put = txn.put
        self._delete = txn.delete

    def get(self, key: bytes) -> bytes | None:
        try:
            return self._get(key, None, self._db)
        except lmdb.Error as error:
            raise _failed(error) from error

    def put(self, key: bytes, value: bytes) -> None:
        try:
            self._put(key, value, True, True, False, self._db)
        except lmdb.Error as error:
            raise _failed(error) from error

    def delete(self, key: bytes) -> None:
        try:
            self._delete(key, b"", self._db)
        except lmdb.Error as error:
            raise _failed(error) from error

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            with self._txn.cursor(self._db) as cursor:
                found = cursor.set_range(start)
                while found:
                    key, value = cursor.item()
                    if key >= stop:
                        return
                    yield key, value
                    found = cursor.next()
        except lmdb.Error as error:
            raise _failed(error) from error


def _failed(error: Exception) -> Unavailable:
    """The LMDB error stays as `__cause__`, for a node that grows a full map and repeats."""
    return Unavailable(
        f"the index store failed: {type(error).__name__}", hint="check disk space and the home's permissions"
    )
