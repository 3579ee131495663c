"""Reads: one consistent view of the index, and bodies opened from the journal.

Every body that leaves was opened by its own key, which fails on any altered bit: corruption is found before a byte
is served. Opened bodies are cached by their place, which never changes what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import lmdb

from careledger.ledger.consensus.index import STATE_PREFIX
from careledger.ledger.log import Frontier
from careledger.ledger.store.kv import PrefixKV
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.tree import ValueReader
from careledger.primitives.errors import Corrupt
from careledger.vault.envelope import Opened, open_access, open_body, open_meta
from careledger.vault.index import Current, open_segment, unpack_resource
from careledger.vault.journal import Journal
from careledger.vault.keyring import Keyring
from careledger.vault.leaves import OpenedLeaf, open_leaf_meta, read_leaf, resealed
from careledger.vault.model import HOUSE_CHART, AccessEntry, BlockMark, Level, Row, RowColumns, Version
from careledger.vault.records import unpack_access, unpack_version
from careledger.vault.rows import from_row, row_at, rows_of
from careledger.vault.tables import (
    ACCESS_LOG,
    CHART,
    CHART_KEY,
    COMMITTED_KEY,
    FIND,
    LANDING,
    LANDINGS_KEY,
    LEAF,
    LEAF_KEY,
    PATIENT_TABLE,
    RECORD_LOG,
    RESOURCE_TABLE,
    ROW_KEY,
    VERSION_TABLE,
    Tables,
)

BODY_OVERHEAD_BYTES = 220

ROWS_MAX = 20_000

Place = tuple[int, int, int, str, str]
"""(chart, leaf, version, id, type)"""


class BodyCache:
    """Opened bodies, oldest out first, bounded by bytes.

    The key names place *and* resource, so that a pointer that was altered never finds the body of another resource.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._bodies: dict[Place, bytes] = {}
        self.largest = 0
        """Bytes of the largest body ever kept: a few bodies of at most this need not be measured one by one."""

    def get(self, place: Place) -> bytes | None:
        """The body opened for this place, or None."""
        return self._bodies.get(place)

    def put(self, place: Place, body: bytes) -> None:
        """Keep the body, dropping the oldest ones when there is no room."""
        self._bytes += len(body) + BODY_OVERHEAD_BYTES
        self.largest = max(self.largest, len(body))
        self._bodies[place] = body
        while self._bytes > self._bytes_max and self._bodies:
            oldest = next(iter(self._bodies))
            self._bytes -= len(self._bodies.pop(oldest)) + BODY_OVERHEAD_BYTES

    def clear(self) -> None:
        """Drop every body: something was erased."""
        self._bodies.clear()
        self._bytes = 0


class VaultReader:
    """What a process needs to open snapshots; cheap to share among its requests."""

    def __init__(self, tables: Tables, journal: Journal, keyring: Keyring, cache_bytes: int) -> None:
        self.tables = tables
        self.journal = journal
        self.keyring = keyring
        self.cache = BodyCache(cache_bytes)
        self.values = ValueReader()
        self.rows: dict[tuple[int, int], Row] = {}
        """Rows opened singly, by chart and number: a row only changes with the generation."""
        self.generation = b""
        """Which erasure the caches stand behind: a snapshot that sees another one has them emptied first."""
        self.closed: frozenset[int] = frozenset()
        """Charts that were shredded."""
        self.on_forget: list[Callable[[], None]] = []
        """What else remembers opened records in this process."""

    def forget(self, generation: bytes, txn: lmdb.Transaction) -> None:
        """Something was erased, or this is the first look: drop whatever was opened before."""
        data = txn.get(b"closed", b"", db=self.tables.meta)
        self.closed = frozenset(number for (number,) in CHART_KEY.iter_unpack(data))
        self.keyring.refresh()
        self.cache.clear()
        self.rows.clear()
        for forget in self.on_forget:
            forget()
        self.generation = generation

    def renew(self) -> None:
        """Drop whatever was opened before, whether a snapshot has seen that something was erased or not."""
        with self.tables.env.begin() as txn:
            self.forget(txn.get(b"height", b"", db=self.tables.meta)[8:], txn)

    def newest_ms(self) -> int:
        """Time of the newest block; 0 before there is one."""
        with self.tables.env.begin() as txn:
            return int.from_bytes(txn.get(b"time", b"", db=self.tables.meta), "big")

    def snapshot(self) -> VaultSnapshot:
        """A view of what is committed now."""
        return VaultSnapshot(self)


class VaultSnapshot:
    """`careledger.vault.model.Snapshot` over the real store."""

    __slots__ = ("_reader", "_state", "_tables", "_txn", "height")

    def __init__(self, reader: VaultReader) -> None:
        self._reader = reader
        self._state: PrefixKV | None = None
        self._tables = reader.tables
        self._txn: lmdb.Transaction = reader.tables.env.begin()
        data = self._txn.get(b"height", b"", db=self._tables.meta)
        self.height = int.from_bytes(data[:8], "big")
        if data[8:] != reader.generation:
            reader.forget(data[8:], self._txn)

    @property
    def ledger_height(self) -> int:
        """Height of the newest block: `height`, unless a network orders the blocks."""
        data = self._txn.get(b"block", db=self._tables.meta)
        return self.height if data is None else int.from_bytes(data, "big")

    @property
    def block(self) -> BlockMark | None:
        """As the sequencer noted it; a mark that it took back is None."""
        txn, meta = self._txn, self._tables.meta
        if txn.get(b"block", db=meta) is None:
            return None
        committed = txn.get(COMMITTED_KEY, db=meta)
        return BlockMark(
            int.from_bytes(txn.get(b"time", b"", db=meta), "big"),
            None if committed is None else int.from_bytes(committed, "big"),
        )

    def level(self, version: Version) -> Level:
        """By the batches that landed last: a batch holds all that was committed before it departed."""
        block = self._txn.get(b"block", db=self._tables.meta)
        if block is None:
            return "anchored"
        for departed, landed in LANDING.iter_unpack(self._txn.get(LANDINGS_KEY, b"", db=self._tables.meta)):
            if version.height <= departed:
                return "final" if landed < int.from_bytes(block, "big") else "anchored"
        return "pending"

    def __enter__(self) -> VaultSnapshot:
        return self

    def __exit__(self, *exc: object) -> None:
        self._txn.abort()

    # Versions

    def current(self, type: str, id: str) -> Version | None:
        token = self._reader.keyring.token(type, id)
        data = self._txn.get(token, db=self._tables.resource)
        return None if data is None else _version(type, id, self._resource(token, data))

    def _resource(self, token: bytes, data: bytes) -> Current:
        return unpack_resource(self._tables.pointers.opened(RESOURCE_TABLE, token, data))

    def _superseded(self, key: bytes, data: bytes) -> Current:
        return unpack_resource(self._tables.pointers.opened(VERSION_TABLE, key, data))

    def version(self, type: str, id: str, version: int) -> Version | None:
        token = self._reader.keyring.token(type, id)
        data = self._txn.get(token, db=self._tables.resource)
        if data is None or not 0 < version <= 0xFFFF_FFFF:
            return None
        found = self._resource(token, data)
        if found.version != version:
            key = token + CHART_KEY.pack(version)
            data = self._txn.get(key, db=self._tables.version)
            if data is None:
                return None
            found = self._superseded(key, data)
            if found.version != version:
                raise _elsewhere()
        return _version(type, id, found)

    def versions(self, type: str, id: str) -> list[Version]:
        newest = self.current(type, id)
        if newest is None:
            return []
        token, older = self._reader.keyring.token(type, id), []
        with self._txn.cursor(self._tables.version) as cursor:
            found = cursor.set_range(token)
            while found and cursor.key()[:16] == token:
                older.append(_version(type, id, self._superseded(cursor.key(), cursor.value())))
                found = cursor.next()
        return [newest, *reversed(older)]

    # Bodies

    def body(self, version: Version) -> bytes:
        place = (version.chart, version.leaf, version.version, version.id, version.type)
        body = self._reader.cache.get(place)
        if body is None:
            body = self._open_body(version)
            self._reader.cache.put(place, body)
        return body

    def bodies(self, versions: Sequence[Version], bytes_max: int | None = None) -> list[bytes]:
        cached, opened = self._reader.cache.get, self.body
        if bytes_max is None:
            return [cached((v.chart, v.leaf, v.version, v.id, v.type)) or opened(v) for v in versions]
        found = [cached((v.chart, v.leaf, v.version, v.id, v.type)) for v in versions]
        if all(found):
            bodies = cast("list[bytes]", found)
            if len(bodies) * self._reader.cache.largest <= bytes_max or sum(map(len, bodies)) <= bytes_max:
                return bodies
        return self._bodies_within(versions, found, bytes_max)

    def _bodies_within(
        self, versions: Sequence[Version], found: Sequence[bytes | None], bytes_max: int
    ) -> list[bytes]:
        """Opened one by one: beside the cache, the room and one body more is all that is ever in memory."""
        bodies: list[bytes] = []
        for version, cached in zip(versions, found, strict=True):
            body = cached or self.body(version)
            bytes_max -= len(body)
            if bytes_max < 0 and bodies:
                break
            bodies.append(body)
        return bodies

    def put_created(self, version: Version) -> bool:
        return self._open_version(version)[0].put_created

    def _open_body(self, version: Version) -> bytes:
        opened, sealed = self._open_version(version)
        return open_body(self._reader.keyring.get(version.chart), opened, sealed)

    def _open_version(self, version: Version) -> tuple[Opened, bytes]:
        """The opened meta and the sealed body."""
        keys = self._reader.keyring.get(version.chart)
        if version.linked:
            leaf = self.open_leaf(version.chart, version.leaf)
            opened, sealed = leaf.opened, leaf.body
        else:
            record = unpack_version(self.record(version.chart, RECORD_LOG, version.leaf))
            sealed = record.body
            if record.epoch == keys.epoch:
                opened = open_meta(keys, record.leaf, record.meta)
            else:
                opened = self.open_leaf(version.chart, version.leaf).opened
        if opened is None:
            raise Corrupt("an erased version is still pointed at", hint="run `careledger fsck`")
        if (opened.type, opened.id, opened.version) != (version.type, version.id, version.version):
            raise _elsewhere()
        return opened, sealed

    def record(self, chart: int, log: int, index: int) -> bytes:
        """The content of the journal record that holds this leaf."""
        data = self._txn.get(LEAF_KEY.pack(chart, log, index), db=self._tables.leaf)
        if data is None:
            raise Corrupt("the index has lost a leaf", hint="run `careledger fsck`")
        offset, length, _ = LEAF.unpack(data)
        return self._reader.journal.read(offset, length)

    # Charts and rows

    def chart_of(self, patient_id: str) -> int | None:
        token = self._reader.keyring.token("Patient", patient_id)
        number = self._txn.get(token, db=self._tables.patient)
        if number is None:
            return None
        chart = int(CHART_KEY.unpack(self._tables.pointers.opened(PATIENT_TABLE, token, number))[0])
        return None if chart in self._reader.closed else chart

    def chart_ever_of(self, patient_id: str) -> int | None:
        token = self._reader.keyring.token("Patient", patient_id)
        number = self._txn.get(token, db=self._tables.patient)
        if number is None:
            return None
        return int(CHART_KEY.unpack(self._tables.pointers.opened(PATIENT_TABLE, token, number))[0])

    def is_closed(self, chart: int) -> bool:
        return chart in self._reader.closed

    def is_erased(self, chart: int, leaf: int) -> bool:
        return self.open_leaf(chart, leaf).opened is None

    def open_leaf(self, chart: int, index: int) -> OpenedLeaf:
        """Any leaf of the record log, with its sealed body; a link's is that of the version it links."""
        txn, tables, journal = self._txn, self._tables, self._reader.journal
        record = read_leaf(txn, tables, journal, chart, index)
        keys = self._reader.keyring.get(chart)
        if chart in self._reader.closed and resealed(txn, tables, chart, index) is None:
            if record.epoch != keys.epoch:
                return OpenedLeaf(record.leaf, None, b"")
        opened = open_leaf_meta(txn, tables, keys, chart, index, record)
        body = record.body
        if opened is not None and record.target is not None and opened.home:
            body = read_leaf(txn, tables, journal, *record.target).body
        return OpenedLeaf(record.leaf, opened, body)

    def chart_numbers(self) -> list[int]:
        return list(range(self._txn.stat(self._tables.chart)["entries"]))

    def resource_count(self) -> int:
        """How many resources there are, deleted ones included."""
        return int(self._txn.stat(self._tables.resource)["entries"])

    def place(self, chart: int) -> tuple[bytes, bytes]:
        keys = self._reader.keyring.get(chart)
        return keys.organisation, keys.handle

    def row_count(self, chart: int) -> int:
        data = self._txn.get(CHART_KEY.pack(chart), db=self._tables.chart)
        return 0 if data is None else CHART.unpack_from(data)[2]

    def record_count(self, chart: int) -> int:
        data = self._txn.get(CHART_KEY.pack(chart), db=self._tables.chart)
        return 0 if data is None else Frontier.from_bytes(data[CHART.size :]).size

    def rows(self, chart: int, start: int = 0) -> list[Row]:
        return [row for part in self.columns(chart, start) for row in rows_of(part)]

    def columns(self, chart: int, start: int = 0) -> list[RowColumns]:
        keys = self._reader.keyring.get(chart)
        prefix = CHART_KEY.pack(chart)
        parts: list[RowColumns] = []
        with self._txn.cursor(self._tables.row) as cursor:
            found = self._seek(cursor, chart, start)
            while found and cursor.key()[:4] == prefix:
                first = ROW_KEY.unpack(cursor.key())[1]
                opened = open_segment(keys, first, cursor.value())
                if first + len(opened) > start:
                    parts.append(opened if first >= start else from_row(opened, start))
                found = cursor.next()
        return parts

    def row(self, chart: int, number: int) -> Row | None:
        kept = self._reader.rows.get((chart, number))
        if kept is not None and kept.height <= self.height:
            return kept
        found = self._open_row(chart, number)
        if found is not None:
            if len(self._reader.rows) >= ROWS_MAX:
                self._reader.rows.clear()
            self._reader.rows[chart, number] = found
        return found

    def _open_row(self, chart: int, number: int) -> Row | None:
        with self._txn.cursor(self._tables.row) as cursor:
            if not self._seek(cursor, chart, number) or cursor.key()[:4] != CHART_KEY.pack(chart):
                return None
            first = ROW_KEY.unpack(cursor.key())[1]
            opened = open_segment(self._reader.keyring.get(chart), first, cursor.value())
        if not first <= number < first + len(opened):
            return None
        return row_at(opened, number - first)

    def _seek(self, cursor: lmdb.Cursor, chart: int, number: int) -> bool:
        """Put the cursor on the segment that holds the row, or the first one behind it."""
        wanted = ROW_KEY.pack(chart, number)
        if cursor.set_range(wanted) and cursor.key() == wanted:
            return True
        if cursor.prev() and cursor.key()[:4] == wanted[:4]:
            return True
        return bool(cursor.set_range(wanted))

    # The access log

    def access_count(self, chart: int) -> int:
        data = self._txn.get(CHART_KEY.pack(chart), db=self._tables.access)
        return 0 if data is None else Frontier.from_bytes(data).size

    def accesses(self, chart: int, start: int, stop: int) -> list[AccessEntry]:
        keys = self._reader.keyring.get(chart)
        found = []
        for index in range(start, min(stop, self.access_count(chart))):
            record = unpack_access(self.record(chart, ACCESS_LOG, index))
            found.append(open_access(keys, chart, index, record.leaf, record.sealed))
        return found

    # The ledger

    def state(self, key: bytes) -> bytes | None:
        if self._state is None:
            self._state = PrefixKV(self.ledger(), STATE_PREFIX)
        return self._reader.values.read(self._state, key)

    def former_state(self, key: bytes) -> bytes | None:
        if self._txn.stat(self._tables.former)["entries"] == 0:
            return None
        return ValueReader().read(PrefixKV(LmdbKV(self._txn, self._tables.former), STATE_PREFIX), key)

    def ledger(self) -> LmdbKV:
        """The ledger's store in this view: blocks, transactions, events."""
        return LmdbKV(self._txn, self._tables.ledger)

    # Blind search

    def find(self, term: bytes) -> list[tuple[int, int]]:
        return [FIND.unpack(value) for value in self._set(self._tables.find, term)]

    def charts_with(self, chart_term: bytes) -> list[int]:
        return [CHART_KEY.unpack(value)[0] for value in self._set(self._tables.visit, chart_term)]

    def is_chart_with(self, chart: int, chart_term: bytes) -> bool:
        with self._txn.cursor(self._tables.visit) as cursor:
            return bool(cursor.set_key_dup(self._reader.keyring.blind(chart_term), CHART_KEY.pack(chart)))

    def _set(self, table: lmdb._Database, term: bytes) -> list[bytes]:
        with self._txn.cursor(table) as cursor:
            if not cursor.set_key(self._reader.keyring.blind(term)):
                return []
            return list(cursor.iternext_dup())

    def is_revoked(self, token_id: bytes) -> bool:
        """Whether a bearer token was revoked."""
        return self._txn.get(token_id, db=self._tables.revoked) is not None


def _elsewhere() -> Corrupt:
    return Corrupt("the index points at another version", hint="run `careledger fsck`")


def _version(type: str, id: str, found: Current) -> Version:
    return Version(
        type,
        id,
        found.version,
        found.deleted,
        found.time_ms,
        found.height,
        found.chart,
        found.leaf,
        found.links,
        found.erased,
        found.linked,
    )


__all__ = ["HOUSE_CHART", "BodyCache", "VaultReader", "VaultSnapshot"]
