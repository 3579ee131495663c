"""Sizes of the history of which somebody may hold a checkpoint: an export shows that it continues each of them.

Kept are the checkpoints that were handed out (alone, in receipts and in exports: node event `Handed`) and each day's
first block (UTC). Beyond `SIZES_MAX`, every second one of the older half is forgotten; whoever holds a forgotten one
asks for an export `--since` it. A replay of the journal keeps the same sizes.
"""

from __future__ import annotations

import struct
from typing import Final

import lmdb

from careledger.vault.tables import Tables

SIZES_MAX: Final = 1_000
DAY_MS: Final = 86_400_000
_SIZES: Final = b"handed"
_DAY: Final = b"day"


def read_sizes(txn: lmdb.Transaction, tables: Tables) -> list[int]:
    """Ascending."""
    data = txn.get(_SIZES, b"", db=tables.meta)
    return list(struct.unpack(f">{len(data) // 8}Q", data))


def is_newest(txn: lmdb.Transaction, tables: Tables, size: int) -> bool:
    """Whether this is the newest of them."""
    return bool(txn.get(_SIZES, b"", db=tables.meta)[-8:] == size.to_bytes(8, "big"))


def add_size(txn: lmdb.Transaction, tables: Tables, size: int) -> None:
    """Somebody may hold the checkpoint of this size."""
    sizes = read_sizes(txn, tables)
    if size in sizes[-2:]:
        return
    sizes = sorted({*sizes, size})
    if len(sizes) > SIZES_MAX:
        sizes = [*sizes[: SIZES_MAX // 2 : 2], *sizes[SIZES_MAX // 2 :]]
    txn.put(_SIZES, struct.pack(f">{len(sizes)}Q", *sizes), db=tables.meta)


def forget(txn: lmdb.Transaction, tables: Tables) -> None:
    """The ledger goes on from a snapshot: that it continues what was before cannot be shown any more."""
    txn.delete(_SIZES, db=tables.meta)
    txn.delete(_DAY, db=tables.meta)


def mark_day(txn: lmdb.Transaction, tables: Tables, size: int, time_ms: int) -> None:
    """The newest block makes the history `size` long; the first one of a day is kept."""
    day = (time_ms // DAY_MS).to_bytes(8, "big")
    if txn.get(_DAY, b"", db=tables.meta) != day:
        txn.put(_DAY, day, db=tables.meta)
        add_size(txn, tables, size)
