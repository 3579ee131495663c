"""The index of a home in LMDB: pointers, log nodes, sealed rows. Derived from the journal, never the truth.

LMDB does not sync here and does not detect bit rot: every byte served from the journal is checked by the key that
opens it, pointers that decide whose body it is carry a keyed check (`Pointers`), and the
whole environment is rebuilt after an unclean stop of the machine.

| table | key | value |
|---|---|---|
| meta | name | see `Applied` |
| resource | blind(Type/id) 16 | RESOURCE, then a LINK for each further chart, check |
| version | blind(Type/id) 16, version u32 | as `resource`: superseded versions |
| patient | blind(Patient/id) 16 | chart u32, check |
| chart | chart u32 | CHART, record frontier |
| access | chart u32 | access frontier |
| wrap | chart u32 | wrapped keys of the chart |
| leaf | chart u32, log u8, index u32 | LEAF: where it lies in the journal, and its hash |
| node | chart u32, log u8, level u8, index u32 | hash of a complete subtree (every fourth level) |
| row | chart u32, first row u32 | SEGMENT, sealed index rows |
| reseal | chart u32, log u8, index u32 | u8 1 if erased, meta: of leaves whose journal record is of an earlier epoch |
| find | blind term 16 | (chart u32, row u32), sorted set |
| visit | blind term 16 | chart u32, sorted set |
| revoked | token id | expiry ms u64 |
| ledger, heads | see `ledger` | state of the contracts; map of chart heads |
| former | see `ledger` | the embedded ledger of a home that has joined a network, as it ended |
| past | place u64, height u64 | what the map of heads was at pinned heights (see `ledger.past`); place 0: PIN |
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import lmdb

from careledger.primitives.errors import Corrupt, Misconfigured
from careledger.primitives.hashing import keyed_digest

RESOURCE: Final = struct.Struct(">IIBIQQ")  # chart, version, flags, leaf index, height, time ms
LINK: Final = struct.Struct(">II")  # chart, leaf index
CHART: Final = struct.Struct(">32sIII")  # handle, epoch, rows, first tail row
LEAF: Final = struct.Struct(">QI32s")  # offset, length, leaf hash
LEAF_KEY: Final = struct.Struct(">IBI")
NODE_KEY: Final = struct.Struct(">IBBI")
ROW_KEY: Final = struct.Struct(">II")
CHART_KEY: Final = struct.Struct(">I")
SEGMENT: Final = struct.Struct(">H")  # rows in the sealed segment that follows
FIND: Final = struct.Struct(">II")
LANDING: Final = struct.Struct(
    ">QQ"
)  # the view before which a batch departed, height of the block that anchors it
LANDINGS_KEY: Final = b"landings"
"""In `meta`, on a network: LANDING of the last two batches, the older first."""
COMMITTED_KEY: Final = b"committed"
"""In `meta`, on a network: monotonic ms u64 at which the newest block came; absent until one came since the start."""

DELETED: Final = 1
ERASED: Final = 2  # with DELETED: its secret is destroyed
LINKED: Final = 4  # the leaf is a LINK: the chart that sealed the body was shredded
RECORD_LOG: Final = 0
ACCESS_LOG: Final = 1

TABLES_MAX: Final = 24
MAP_BYTES: Final = 1 << 36
"""Address space, not disk: room for about a hundred million resources."""
READERS_MAX: Final = 512
CHECK_BYTES: Final = 8
PATIENT_TABLE: Final = b"patient\0"
RESOURCE_TABLE: Final = b"resource\0"
VERSION_TABLE: Final = b"version\0"


class Pointers:
    """Checks on the values that lead to a record: nobody without the store's keys can make or move one.

    A check is 8 bytes of a keyed digest over table, key and value. A flipped bit, another key's value, or a
    superseded pointer copied over the current one is found when it is read. What it cannot show is that a whole
    pointer of the same table and key was put back as it once was: `fsck` does.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def stamp(self, table: bytes, key: bytes, value: bytes) -> bytes:
        """The value as it is stored."""
        return value + keyed_digest(self._key, table + key + value)[:CHECK_BYTES]

    def opened(self, table: bytes, key: bytes, data: bytes) -> bytes:
        """The value that was stamped for exactly this place, else Corrupt."""
        value = data[:-CHECK_BYTES]
        if keyed_digest(self._key, table + key + value)[:CHECK_BYTES] != data[-CHECK_BYTES:]:
            raise Corrupt("a pointer of the index was altered", hint="run `careledger fsck`")
        return value


class Tables:
    """The open environment and its tables. One writer, any number of readers, in any number of processes."""

    def __init__(self, env: lmdb.Environment, pointers: Pointers, *, write: bool) -> None:
        self.env = env
        self.pointers = pointers

        def table(name: str, *, is_set: bool = False) -> lmdb._Database:
            return env.open_db(name.encode(), dupsort=is_set, dupfixed=is_set, create=write)

        self.meta = table("meta")
        self.resource = table("resource")
        self.version = table("version")
        self.patient = table("patient")
        self.chart = table("chart")
        self.access = table("access")
        self.wrap = table("wrap")
        self.leaf = table("leaf")
        self.node = table("node")
        self.row = table("row")
        self.reseal = table("reseal")
        self.find = table("find", is_set=True)
        self.visit = table("visit", is_set=True)
        self.revoked = table("revoked")
        self.ledger = table("ledger")
        self.heads = table("heads")
        self.past = table("past")
        self.former = table("former")

    def all(self) -> list[lmdb._Database]:
        """Every table."""
        return [table for name, table in vars(self).items() if name not in ("env", "pointers")]

    @classmethod
    def open(cls, folder: Path, key: bytes, *, write: bool) -> Tables:
        """The environment in `folder`. Never give it a folder that came from outside: rebuild from the journal.

        `meminit` must stay on: without it LMDB writes pages with whatever the process's memory held before, which
        is patients' records in clear.
        """
        try:
            env = lmdb.open(
                str(folder), map_size=MAP_BYTES, max_dbs=TABLES_MAX, max_readers=READERS_MAX,
                sync=False, metasync=False, readonly=not write, create=write, mode=0o600, readahead=False,
                meminit=True, max_spare_txns=16,
            )  # fmt: skip
        except lmdb.Error as error:
            raise Misconfigured(
                "the index cannot be opened",
                hint="remove the folder `index` of the home: it is rebuilt at start",
            ) from error
        return cls(env, Pointers(key), write=write)

    def close(self) -> None:
        """Flush what is there and give it back."""
        if not self.env.flags()["readonly"]:
            self.env.sync(True)
        self.env.close()
