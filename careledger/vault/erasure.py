"""What erasing changes in the index: metas and rows under a chart's new epoch, terms and pointers that go.

Every function works inside the writer's open transaction and comes to what a rebuild from the journal comes to
(`node.recovery`): `fsck` compares the two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import lmdb
import msgspec

from careledger.primitives.errors import Corrupt
from careledger.vault.envelope import ChartKeys, Opened, reseal_meta, seal_rows, seal_stub
from careledger.vault.index import Current, open_segment, pack_resource, unpack_resource
from careledger.vault.journal import Journal
from careledger.vault.leaves import read_leaf, resealed
from careledger.vault.records import Resealed
from careledger.vault.rows import rows_of
from careledger.vault.tables import (
    CHART_KEY,
    FIND,
    LEAF_KEY,
    RECORD_LOG,
    RESOURCE_TABLE,
    ROW_KEY,
    SEGMENT,
    VERSION_TABLE,
    Tables,
)

STEP: Final = 256
SCAN_STEP: Final = 20_000

Terms = Iterator[None]


def reseal_leaves(
    txn: lmdb.Transaction,
    tables: Tables,
    journal: Journal,
    chart: int,
    leaves: range,
    keys: tuple[ChartKeys, ChartKeys],
    stubs: Mapping[int, Opened],
) -> list[Resealed]:
    """Metas of these leaves under the second of the keys; `stubs` are the leaves that are erased by this."""
    old, new = keys
    found = []
    for index in leaves:
        record = read_leaf(txn, tables, journal, chart, index)
        stub = stubs.get(index)
        if stub is not None:
            found.append(Resealed(index, True, seal_stub(new, record.leaf, stub)))
            continue
        known = (
            Resealed(index, False, record.meta)
            if record.epoch == old.epoch
            else resealed(txn, tables, chart, index)
        )
        if known is None:
            raise Corrupt("a version's secret is missing", hint="run `careledger fsck`")
        found.append(Resealed(index, known.erased, reseal_meta(old, new, record.leaf, known.meta)))
    return found


def put_resealed(txn: lmdb.Transaction, tables: Tables, chart: int, metas: Iterable[Resealed]) -> None:
    """These are the chart's re-sealed metas, and no others."""
    prefix = CHART_KEY.pack(chart)
    with txn.cursor(tables.reseal) as cursor:
        found = cursor.set_range(prefix)
        while found and cursor.key()[:4] == prefix:
            found = cursor.delete()
    for one in metas:
        key = LEAF_KEY.pack(chart, RECORD_LOG, one.index)
        txn.put(key, bytes((one.erased,)) + one.meta, db=tables.reseal)


def reseal_rows(
    txn: lmdb.Transaction, tables: Tables, chart: int, keys: tuple[ChartKeys, ChartKeys], erased: int
) -> set[int]:
    """Rewrite the chart's rows under the second of the keys; those of leaf `erased` say no more than a deletion.

    Returns the numbers of these.
    """
    old, new = keys
    blanked: set[int] = set()
    segments: list[tuple[bytes, bytes]] = []
    prefix = CHART_KEY.pack(chart)
    with txn.cursor(tables.row) as cursor:
        found = cursor.set_range(prefix)
        while found and cursor.key()[:4] == prefix:
            rows = rows_of(open_segment(old, ROW_KEY.unpack(cursor.key())[1], cursor.value()))
            for at, row in enumerate(rows):
                if row.leaf == erased:
                    rows[at] = msgspec.structs.replace(row, deleted=True, values=b"")
                    blanked.add(row.number)
            segments.append((cursor.key(), SEGMENT.pack(len(rows)) + seal_rows(new, rows)))
            found = cursor.next()
    for key, value in segments:
        txn.put(key, value, db=tables.row)
    return blanked


def drop_rows(txn: lmdb.Transaction, tables: Tables, chart: int) -> None:
    """Remove every row of the chart."""
    prefix = CHART_KEY.pack(chart)
    with txn.cursor(tables.row) as cursor:
        found = cursor.set_range(prefix)
        while found and cursor.key()[:4] == prefix:
            found = cursor.delete()


def drop_finds(
    txn: lmdb.Transaction, tables: Tables, chart: int, rows: Collection[int] | None = None
) -> Terms:
    """Remove the row terms of these rows of the chart, of all of them without `rows`.

    Looks through the whole table, so it needs no term, whatever the FHIR base was when they were made.
    """
    prefix = CHART_KEY.pack(chart)
    doomed: list[tuple[bytes, bytes]] = []
    with txn.cursor(tables.find) as cursor:
        for at, (term, value) in enumerate(cursor.iternext(keys=True, values=True)):
            if value[:4] == prefix and (rows is None or FIND.unpack(value)[1] in rows):
                doomed.append((term, value))
            if at % SCAN_STEP == SCAN_STEP - 1:
                yield
    for term, value in doomed:
        txn.delete(term, value, db=tables.find)


def drop_visits(
    txn: lmdb.Transaction, tables: Tables, chart: int, terms: Collection[bytes] | None = None
) -> Terms:
    """Remove these blind terms of the chart, all of them without `terms`."""
    value = CHART_KEY.pack(chart)
    if terms is None:
        terms = []
        with txn.cursor(tables.visit) as cursor:
            for at, (term, found) in enumerate(cursor.iternext(keys=True, values=True)):
                if found == value:
                    terms.append(term)
                if at % SCAN_STEP == SCAN_STEP - 1:
                    yield
    for term in terms:
        txn.delete(term, value, db=tables.visit)


# -- pointers ---------------------------------------------------------------------------------------------------


def read_pointers(txn: lmdb.Transaction, tables: Tables, token: bytes) -> list[Current]:
    """Where each version of a resource's blind token stands, oldest first."""
    found = []
    with txn.cursor(tables.version) as cursor:
        more = cursor.set_range(token)
        while more and cursor.key()[:16] == token:
            data = tables.pointers.opened(VERSION_TABLE, cursor.key(), cursor.value())
            found.append(unpack_resource(data))
            more = cursor.next()
    newest = txn.get(token, db=tables.resource)
    if newest is not None:
        found.append(unpack_resource(tables.pointers.opened(RESOURCE_TABLE, token, newest)))
    return found


def write_pointers(txn: lmdb.Transaction, tables: Tables, token: bytes, versions: Sequence[Current]) -> None:
    """These versions, oldest first, are all there is of the resource; none removes it."""
    with txn.cursor(tables.version) as cursor:
        more = cursor.set_range(token)
        while more and cursor.key()[:16] == token:
            more = cursor.delete()
    if not versions:
        txn.delete(token, db=tables.resource)
        return
    stamp = tables.pointers.stamp
    for version in versions[:-1]:
        key = token + CHART_KEY.pack(version.version)
        txn.put(key, stamp(VERSION_TABLE, key, pack_resource(version)), db=tables.version)
    txn.put(token, stamp(RESOURCE_TABLE, token, pack_resource(versions[-1])), db=tables.resource)


def without_chart(version: Current, chart: int) -> Current | None:
    """The version as the other charts hold it; None if none does."""
    if chart != version.chart and all(chart != other for other, _ in version.links):
        return version
    holders = [(version.chart, version.leaf, version.linked), *((c, leaf, True) for c, leaf in version.links)]
    outside = [holder for holder in holders if holder[0] != chart]
    if not outside:
        return None
    number, leaf, linked = outside[0]
    links = tuple((other, place) for other, place, _ in outside[1:])
    return msgspec.structs.replace(version, chart=number, leaf=leaf, linked=linked, links=links)
