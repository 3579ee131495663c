"""A thief with the home and its key store as they are now: every key is tried on everything that lies there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from careledger.node.layout import Layout
from careledger.primitives.errors import Corrupt
from careledger.primitives.types import parse_did
from careledger.vault import records
from careledger.vault.commitments import body_key, first_six, place
from careledger.vault.compression import unpack
from careledger.vault.envelope import ChartKeys, Opened, open_meta, open_rows
from careledger.vault.journal import Journal, start_position
from careledger.vault.keystore import Keys, KeyStore
from careledger.vault.leaves import LeafRecord
from careledger.vault.tables import ROW_KEY, SEGMENT, Tables
from careledger.vault.wraps import unwrap_chart_keys
from tests.faults.rig import PASSPHRASE

EPOCHS = range(6)


@dataclass
class Loot:
    """What could be opened: secrets by leaf, bodies, values of index rows, and how many keys there were to try."""

    secrets: dict[bytes, bytes] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    keys: int = 0

    def holds(self, needle: str) -> bool:
        """Whether any opened content has the text."""
        return any(needle.encode() in content for content in (*self.bodies, *self.rows))


def open_everything(home: Path, keys: Keys | None = None) -> Loot:
    """Try each wrap with each master, each meta with each chart key, each body with each secret, each row segment."""
    layout = Layout(home)
    keys = keys or KeyStore.open(layout.keys, PASSPHRASE)
    organisation = bytes(parse_did(layout.read().did))
    journal = Journal.open(layout.journal, keys.home_id, keys.journal_key, write=False)
    leaves: list[LeafRecord] = []
    metas: list[tuple[bytes, bytes]] = []
    handles: dict[int, bytes] = {}
    wraps: list[tuple[int, bytes]] = []
    places: dict[tuple[int, int], bytes] = {}
    for frame in journal.frames(start_position(keys.home_id)):
        for record in frame.records():
            if record.kind == records.CHART:
                chart = records.unpack_chart(record.content)
                handles[chart.chart] = chart.handle
                wraps.append((chart.chart, chart.wrap))
                metas.append((chart.leaf, chart.meta))
                places[chart.chart, 0] = chart.leaf
            elif record.kind == records.VERSION:
                version = records.unpack_version(record.content)
                metas.append((version.leaf, version.meta))
                places[version.chart, version.index] = version.leaf
                leaves.append(LeafRecord(version.leaf, version.epoch, version.meta, version.body))
            elif record.kind == records.LINK:
                link = records.unpack_link(record.content)
                metas.append((link.leaf, link.meta))
                places[link.chart, link.index] = link.leaf
            elif record.kind == records.RESEAL:
                reseal = records.unpack_reseal(record.content)
                wraps.append((reseal.chart, reseal.wrap))
                metas += [(places[reseal.chart, one.index], one.meta) for one in reseal.metas]
            elif record.kind == records.REWRAP:
                wraps.append(records.unpack_rewrap(record.content))
    journal.close()
    loot = Loot()
    opened_keys = list(_unwrap_all(keys, organisation, handles, wraps))
    loot.keys = len(opened_keys)
    found = [opened for leaf, meta in metas for opened in _open_metas(opened_keys, leaf, meta, loot)]
    homes = [place(organisation, handle) for handle in handles.values()]
    for leaf in leaves:
        if leaf.body:
            loot.bodies += _open_bodies(found, homes, leaf.body)
    loot.rows += _open_rows(layout, keys, opened_keys)
    return loot


def _unwrap_all(
    keys: Keys, organisation: bytes, handles: dict[int, bytes], wraps: list[tuple[int, bytes]]
) -> Iterator[ChartKeys]:
    for chart, wrap in wraps:
        for epoch in EPOCHS:
            with suppress(Corrupt):
                pair = unwrap_chart_keys(keys, handles[chart], epoch, wrap)
                yield ChartKeys(organisation, handles[chart], epoch, *pair)


def _open_metas(opened_keys: list[ChartKeys], leaf: bytes, meta: bytes, loot: Loot) -> Iterator[Opened]:
    for keys in opened_keys:
        with suppress(Corrupt):
            opened = open_meta(keys, leaf, meta)
            if opened.secret:
                loot.secrets[leaf] = opened.secret
                yield opened


def _open_bodies(found: list[Opened], homes: list[bytes], sealed: bytes) -> Iterator[bytes]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    for opened in {one.secret: one for one in found}.values():
        cipher = AESGCM(body_key(opened.secret))
        for home in homes:
            six = first_six(home, opened.kind, opened.type, opened.id, opened.version)
            with suppress(InvalidTag):
                packed = cipher.decrypt(bytes(12), sealed[1:], sealed[:1] + six)
                yield unpack(sealed[0], packed, opened.length, 1 << 20)


def _open_rows(layout: Layout, keys: Keys, opened_keys: list[ChartKeys]) -> Iterator[bytes]:
    tables = Tables.open(layout.index, keys.journal_key, write=True)
    try:
        with tables.env.begin() as txn, txn.cursor(tables.row) as cursor:
            for key, value in cursor.iternext(keys=True, values=True):
                (count,) = SEGMENT.unpack_from(value)
                for chart in opened_keys:
                    with suppress(Corrupt):
                        first = ROW_KEY.unpack(key)[1]
                        yield from (
                            row.values for row in open_rows(chart, first, count, value[SEGMENT.size :])
                        )
    finally:
        tables.close()
