"""Any leaf of a chart's record log as the journal holds it: an enrolment, a version, a link, each by one name.

Once a chart's keys moved to a new epoch, the metas of older records are noise; the index keeps the re-sealed ones.
"""

from __future__ import annotations

from typing import NamedTuple

import lmdb

from careledger.primitives.errors import Corrupt
from careledger.vault import records
from careledger.vault.envelope import ChartKeys, Opened, open_meta
from careledger.vault.journal import RECORD_HEADER, Journal
from careledger.vault.tables import LEAF, LEAF_KEY, RECORD_LOG, Tables


class LeafRecord(NamedTuple):
    """A leaf as it was committed. `target` is where a link's body was sealed: chart and leaf."""

    leaf: bytes
    epoch: int
    meta: bytes
    body: bytes
    target: tuple[int, int] | None = None


class OpenedLeaf(NamedTuple):
    """A leaf with what opens it; `opened` is None for one that was erased."""

    leaf: bytes
    opened: Opened | None
    body: bytes


def read_leaf(txn: lmdb.Transaction, tables: Tables, journal: Journal, chart: int, index: int) -> LeafRecord:
    """The record of a leaf, as the journal holds it."""
    data = txn.get(LEAF_KEY.pack(chart, RECORD_LOG, index), db=tables.leaf)
    if data is None:
        raise Corrupt("the index has lost a leaf", hint="run `careledger fsck`")
    offset, length, _ = LEAF.unpack(data)
    whole = journal.read(offset - RECORD_HEADER.size, RECORD_HEADER.size + length)
    kind, content = whole[0], whole[RECORD_HEADER.size :]
    if kind == records.VERSION:
        version = records.unpack_version(content)
        return LeafRecord(version.leaf, version.epoch, version.meta, version.body)
    if kind == records.LINK:
        link = records.unpack_link(content)
        target = (link.target_chart, link.target_index)
        return LeafRecord(link.leaf, link.epoch, link.meta, b"", target)
    if kind == records.CHART:
        begun = records.unpack_chart(content)
        return LeafRecord(begun.leaf, begun.epoch, begun.meta, b"")
    raise Corrupt("the index points at a record that is no leaf", hint="run `careledger fsck`")


def resealed(txn: lmdb.Transaction, tables: Tables, chart: int, index: int) -> records.Resealed | None:
    """The leaf's meta under the chart's epoch, if it was re-sealed."""
    data = txn.get(LEAF_KEY.pack(chart, RECORD_LOG, index), db=tables.reseal)
    return None if data is None else records.Resealed(index, data[:1] == b"\x01", data[1:])


def open_leaf_meta(
    txn: lmdb.Transaction, tables: Tables, keys: ChartKeys, chart: int, index: int, record: LeafRecord
) -> Opened | None:
    """The opened meta, or None if the leaf was erased; Corrupt if its secret is missing without a later word."""
    if record.epoch == keys.epoch:
        return open_meta(keys, record.leaf, record.meta)
    found = resealed(txn, tables, chart, index)
    if found is None:
        raise Corrupt("a version's secret is missing, and nothing says that it was erased", hint=_HINT)
    return None if found.erased else open_meta(keys, record.leaf, found.meta)


_HINT = "run `careledger fsck`"
