"""`erase` and `shred`: a misfiled version, or a whole chart, becomes unreadable in the home; every proof stays.

The order of steps makes a kill harmless: first a new wrap master is durable; then one block that holds the key event
and everything that goes on, sealed anew, and says that the old masters are due; only then they are destroyed. What
was cut short before the block never happened; what was cut short after it is finished at the next start.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from careledger.access.directives import leaf_terms
from careledger.fhir import json as fhir_json
from careledger.fhir.search.extract import extract
from careledger.node import proofs
from careledger.node.authorisation import Revoker
from careledger.node.group import Group, base_at
from careledger.node.home import OpenHome
from careledger.node.retention import check_retention
from careledger.node.sequencer import system_clock_ms
from careledger.primitives.errors import Conflict, Invalid, NotFound
from careledger.smart.forgetting import forget_patient
from careledger.vault import erasure, records
from careledger.vault.envelope import ChartKeys, Kind, Opened, seal_version
from careledger.vault.index import Current
from careledger.vault.keystore import KeyStore
from careledger.vault.leaves import open_leaf_meta, read_leaf
from careledger.vault.model import HOUSE_CHART, KEY_EVENT_TYPE, LEAF_TYPES, Row, Version
from careledger.vault.records import Resealed, ResealRecord
from careledger.vault.snapshot import VaultSnapshot
from careledger.vault.tables import CHART, CHART_KEY
from careledger.vault.wraps import rewrap

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext

Progress = Callable[[dict[str, Any]], None]
KEY_EVENT_FORMAT: Final = "careledger/key-event/1"
REASON_BYTES_MAX: Final = 400
STEP: Final = 64


class KeyEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of a leaf of kind key event or close: what was erased, and the epoch of the chart's keys since.

    `leaves` are positions in the chart's record log; a close names none: it erases all before it.
    """

    epoch: int
    event: str  # erase | close
    format: str
    leaves: tuple[int, ...]
    reason: str


_encode_event = msgspec.json.Encoder(order="sorted").encode
_decode_event = msgspec.json.Decoder(KeyEvent).decode


def decode_key_event(body: bytes) -> KeyEvent:
    """The body of a key event or close leaf. Raises Invalid for every other spelling."""
    try:
        event = _decode_event(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("a key event cannot be read", hint="run `careledger fsck`") from None
    if _encode_event(event) != body:
        raise Invalid("a key event is not in its one spelling", hint="run `careledger fsck`")
    return event


async def erase(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Erase one version. Every worker has forgotten it when this returns."""
    return await _to_the_end(_erase(node, params))


async def shred(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Shred a patient's chart; gives the certificate, again if it was shredded before."""
    return await _to_the_end(_shred(node, params))


async def _to_the_end(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """What has begun is finished, even if whoever asked for it goes away."""
    return await asyncio.shield(asyncio.ensure_future(work))


async def _erase(node: CommandContext, params: dict[str, Any]) -> dict[str, Any]:
    type, id, number = proofs.parse_reference(str(params["reference"]))
    reason = check_reason(params["reason"])
    if number is None:
        raise Invalid("one version is erased at a time", hint="TYPE/ID/_history/V")
    async with node.sequencer.steady, node.sequencer.quiet():
        with node.reader.snapshot() as snapshot:
            version = _version(snapshot, type, id, number)
            rows = [row for chart, _ in _holders(version) for row in snapshot.rows(chart)]
            check_retention(node.config, rows, type)
            terms = _lost_terms(node.home, snapshot, version)
        await _run(node, _Erasing(node.home, version, reason, terms))
        height = node.home.height
    return {"erased": f"{type}/{id}/_history/{number}", "height": height}


async def _shred(node: CommandContext, params: dict[str, Any]) -> dict[str, Any]:
    reason, patient = check_reason(params["reason"]), str(params["patient"])
    async with node.sequencer.steady, node.sequencer.quiet():
        with node.reader.snapshot() as snapshot:
            chart = snapshot.chart_ever_of(patient)
            if chart is None or chart == HOUSE_CHART:
                raise NotFound("there is no chart of this patient", hint="PATIENT is an id or Patient/ID")
            before = snapshot.is_closed(chart)
            if not before:
                rows = snapshot.rows(chart)
                check_retention(node.config, rows)
                work = _Shredding(node.home, chart, reason, _pointers(node.home, snapshot, chart, rows))
        if not before:
            await _run(node, work)
    await forget_patient(node.registry, Revoker(node.backend).revoke, patient)  # again, if it was cut short
    async with node.sequencer.shown():
        with node.reader.snapshot() as snapshot:
            last = _leaf_count(node.home, chart) - 1
            certificate = proofs.make_leaf_receipt(node.home, snapshot, chart, last)
        height = node.home.height
    return {"height": height, "leaves": last + 1, "again": before, "certificate": certificate.decode()}


def check_reason(reason: object) -> str:
    """The reason as it is sealed. Raises Invalid for none, or one that is too long."""
    text = str(reason or "").strip()
    if not text or len(text.encode()) > REASON_BYTES_MAX or not text.isprintable():
        raise Invalid(
            "an erasure needs a reason",
            hint=f"one line of at most {REASON_BYTES_MAX} bytes, without anything about the patient",
        )
    return text


async def _run(node: CommandContext, work: _Erasing | _Shredding) -> None:
    """New masters, then the block, then the end of the old masters, then everybody forgets."""
    home = node.home
    home.keyring.keys = KeyStore.add_epoch(home.layout.keys, home.keys)
    await node.sequencer.run_alone(work.steps)
    node.reader.renew()
    home.destroy_due()
    await node.sequencer.workers.forget()


# -- what both change -------------------------------------------------------------------------------------------


def _reseal(
    home: OpenHome, group: Group, chart: int, reason: str, stubs: dict[int, Opened], *, closed: bool
) -> Iterator[None]:
    """The chart's keys of a new epoch, what goes on under them, and the key event; rows and terms are the caller's."""
    txn, tables, old = group.txn, home.tables, home.keyring.get(chart)
    new = old.next_epoch()
    state, metas = home.writer.state(chart), list[Resealed]()
    if not closed:
        for at in range(0, state.frontier.size, STEP):
            leaves = range(at, min(at + STEP, state.frontier.size))
            metas += erasure.reseal_leaves(txn, tables, home.journal, chart, leaves, (old, new), stubs)
            yield
    home.keyring.coming[chart] = new
    state.epoch = new.epoch
    state.visited.clear()
    if closed:
        state.rows = state.tail_first = 0
        home.put_closed(txn, chart)
    _add_event(home, group, chart, new, reason, tuple(sorted(stubs)), closed=closed)
    wrap = home.keyring.wrap(new)
    txn.put(CHART_KEY.pack(chart), wrap, db=tables.wrap)
    erasure.put_resealed(txn, tables, chart, metas)
    record = ResealRecord(chart, new.epoch, closed, wrap, tuple(metas))
    group.add_record(records.RESEAL, records.pack_reseal(record))


def _add_event(
    home: OpenHome,
    group: Group,
    chart: int,
    keys: ChartKeys,
    reason: str,
    leaves: tuple[int, ...],
    *,
    closed: bool,
) -> None:
    event = KeyEvent(
        epoch=keys.epoch,
        event="close" if closed else "erase",
        format=KEY_EVENT_FORMAT,
        leaves=leaves,
        reason=reason,
    )
    kind = Kind.CLOSE if closed else Kind.KEY_EVENT
    state = home.writer.state(chart)
    floor = max(home.the_ledger.time_ms, state.newest_ms or 0)
    time_ms = max(system_clock_ms(), floor, group.newest_ms)
    state.newest_ms = group.newest_ms = time_ms
    id = os.urandom(16).hex()
    sealed = seal_version(keys, kind, KEY_EVENT_TYPE, id, 1, time_ms, home.did, _encode_event(event))
    group.add_key_event(chart, sealed, id, time_ms)


def _rewrap_others(home: OpenHome, group: Group, done: frozenset[int]) -> Iterator[None]:
    """Every other chart's keys under the new master, and the word that the masters before it are due."""
    txn, tables = group.txn, home.tables
    for chart in range(home.writer.next_chart):
        if chart in done:
            continue
        key = CHART_KEY.pack(chart)
        handle, epoch = CHART.unpack_from(txn.get(key, b"", db=tables.chart))[:2]
        wrap = rewrap(home.keys, handle, epoch, txn.get(key, b"", db=tables.wrap))
        txn.put(key, wrap, db=tables.wrap)
        group.add_record(records.REWRAP, records.pack_rewrap(chart, wrap))
        if chart % STEP == 0:
            yield
    group.add_record(records.DESTROY, records.pack_destroy(home.keys.epoch))
    home.put_floor(txn, home.keys.epoch)
    yield


def _leaf_count(home: OpenHome, chart: int) -> int:
    with home.tables.env.begin() as txn:
        data = txn.get(CHART_KEY.pack(chart), b"", db=home.tables.chart)
    return int.from_bytes(data[CHART.size : CHART.size + 8], "big")


# -- one version ------------------------------------------------------------------------------------------------


def _version(snapshot: VaultSnapshot, type: str, id: str, number: int) -> Version:
    version = None if type in LEAF_TYPES else snapshot.version(type, id, number)
    if version is None:
        raise NotFound("there is no such version", hint="TYPE/ID/_history/V")
    if version.erased:
        raise Conflict("this version is erased already", hint="its key event is in the chart")
    if version.deleted:
        raise Invalid("a deletion holds nothing to erase", hint="name the version with the content")
    return version


def _holders(version: Version) -> list[tuple[int, int]]:
    return [(version.chart, version.leaf), *version.links]


def _lost_terms(home: OpenHome, snapshot: VaultSnapshot, version: Version) -> dict[int, set[bytes]]:
    """For each chart that holds the version: chart-level terms that lead there for its sake alone."""
    lost = {}
    for chart, leaf in _holders(version):
        rows = snapshot.rows(chart)
        here = [row for row in rows if row.leaf == leaf]
        terms = set().union(*(_chart_terms(home, snapshot, row) for row in here))
        for row in reversed(rows):
            if not terms:
                break
            if row.leaf != leaf and not row.deleted and not row.moved:
                terms -= _chart_terms(home, snapshot, row)
        lost[chart] = terms
    return lost


def _chart_terms(home: OpenHome, snapshot: VaultSnapshot, row: Row) -> set[bytes]:
    version = snapshot.version(row.type, row.id, row.version)
    if version is None or version.deleted:
        return set()
    body = snapshot.body(version)
    if row.type in LEAF_TYPES:
        return set(map(home.keyring.blind, leaf_terms(row.type, body)))
    with home.tables.env.begin() as txn:
        base = base_at(home, txn, row.height) or home.base_url
    return set(map(home.keyring.blind, extract(row.type, fhir_json.loads(body), base).chart_terms))


@dataclass(slots=True)
class _Erasing:
    """One version of a resource, in every chart that holds it."""

    home: OpenHome
    version: Version
    reason: str
    terms: dict[int, set[bytes]]

    def steps(self, group: Group) -> Iterator[None]:
        """Make the changes, giving way between the steps."""
        home, version, tables, txn = self.home, self.version, self.home.tables, group.txn
        stub = Opened(Kind.VERSION, version.type, version.id, version.version, version.time_ms, "", 0, b"")
        for chart, leaf in _holders(version):
            old = home.keyring.get(chart)
            opened = self._opened(group, chart, leaf, stub)
            yield from _reseal(home, group, chart, self.reason, {leaf: opened}, closed=False)
            rows = erasure.reseal_rows(txn, tables, chart, (old, home.keyring.coming[chart]), leaf)
            yield from erasure.drop_finds(txn, tables, chart, rows)
            yield from erasure.drop_visits(txn, tables, chart, self.terms[chart])
        token = home.keyring.token(version.type, version.id)
        erasure.write_pointers(
            txn, tables, token,
            [
                msgspec.structs.replace(one, deleted=True, erased=True) if one.version == version.version else one
                for one in erasure.read_pointers(txn, tables, token)
            ],
        )  # fmt: skip
        yield from _rewrap_others(home, group, frozenset(self.terms))

    def _opened(self, group: Group, chart: int, leaf: int, stub: Opened) -> Opened:
        record = read_leaf(group.txn, self.home.tables, self.home.journal, chart, leaf)
        keys = self.home.keyring.get(chart)
        return open_leaf_meta(group.txn, self.home.tables, keys, chart, leaf, record) or stub


# -- a chart ----------------------------------------------------------------------------------------------------


def _pointers(
    home: OpenHome, snapshot: VaultSnapshot, chart: int, rows: list[Row]
) -> dict[bytes, list[Current]]:
    """What is left of each resource that was ever in the chart: its versions in other charts."""
    left: dict[bytes, list[Current]] = {}
    departures: dict[int, list[Row]] = {}
    with home.tables.env.begin() as txn:
        for type, id in {(row.type, row.id): None for row in rows}:
            token, kept, before = home.keyring.token(type, id), list[Current](), list[int]()
            for version in erasure.read_pointers(txn, home.tables, token):
                stays = erasure.without_chart(version, chart)
                if stays is None:
                    stays = _departed(snapshot, departures, type, id, version, before)
                if stays is not None:
                    kept.append(stays)
                holders = (version.chart, *(other for other, _ in version.links))
                before = [other for other in holders if other != chart]
            left[token] = kept
    return left


def _departed(
    snapshot: VaultSnapshot,
    departures: dict[int, list[Row]],
    type: str,
    id: str,
    version: Current,
    before: list[int],
) -> Current | None:
    """Where a version that only the shredded chart held is known from all the same: a chart that it left for it."""
    for chart in before:
        if snapshot.is_closed(chart):
            continue
        if chart not in departures:
            departures[chart] = [row for row in snapshot.rows(chart) if row.moved]
        for row in departures[chart]:
            if (row.type, row.id, row.version) == (type, id, version.version):
                return Current(chart, row.version, True, row.leaf, row.height, row.time_ms, (), erased=True)
    return None


@dataclass(slots=True)
class _Shredding:
    """A whole chart."""

    home: OpenHome
    chart: int
    reason: str
    left: dict[bytes, list[Current]]

    def steps(self, group: Group) -> Iterator[None]:
        """Make the changes, giving way between the steps."""
        home, chart, tables, txn = self.home, self.chart, self.home.tables, group.txn
        yield from _reseal(home, group, chart, self.reason, {}, closed=True)
        erasure.drop_rows(txn, tables, chart)
        yield from erasure.drop_finds(txn, tables, chart)
        yield from erasure.drop_visits(txn, tables, chart)
        for at, (token, versions) in enumerate(self.left.items()):
            erasure.write_pointers(txn, tables, token, versions)
            if at % STEP == 0:
                yield
        yield from _rewrap_others(home, group, frozenset((chart,)))
