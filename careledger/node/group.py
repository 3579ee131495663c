"""One group of commits on its way into a block: checked, placed in their charts' logs, written to the index."""

from __future__ import annotations

from collections.abc import Iterator

import lmdb
import msgspec

from careledger.access.grants import SEQUENCE_MOVED
from careledger.ledger.consensus.chain import is_urgent
from careledger.ledger.execution import SequenceMismatch
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node import handed
from careledger.node.home import OpenHome
from careledger.primitives.errors import Conflict, Unavailable
from careledger.vault import records
from careledger.vault.access_entries import encode_entry
from careledger.vault.envelope import ChartKeys, Sealed, redate
from careledger.vault.index import ChartState, PlacedRow
from careledger.vault.journal import RECORD_HEADER, pack_record
from careledger.vault.messages import NewChart, SealedCommit, SealedLink, SealedVersion
from careledger.vault.model import KEY_EVENT_TYPE
from careledger.vault.tables import RECORD_LOG
from careledger.vault.wraps import wrap_epoch

STEP_VERSIONS = 16
DAY_MS = 86_400_000
COMPOSED_MS_MAX = 1_800_000
"""How long before the newest block a version may have been composed."""


class ChartExists(Conflict):
    """Another commit began this patient's chart first: seal again under its keys and repeat."""

    code = "chart-exists"


class NextBlock(Conflict):
    """The group holds transactions that this commit's, of lane 0, would come before: it goes into the next block."""

    code = "next-block"


LEDGER_REFUSES = "ledger-refuses"
"""Code of the Conflict that refuses a commit because the ledger would refuse one of its transactions."""


def sequence_moved() -> Conflict:
    """What is told whose transaction came second with its sequence."""
    return Conflict(
        "another transaction took this sequence", hint="compose it anew and repeat", code=SEQUENCE_MOVED
    )


def ledger_refuses(number: int, reason: str = "") -> Conflict:
    """What is told whose transaction a rule of the ledger refuses."""
    return Conflict(
        f"the ledger refuses this with code {number}" + (f": {reason}" if reason else ""),
        hint="nothing was changed; docs/spec/ledger.md says what the code means",
        code=LEDGER_REFUSES,
    )


class Unplaced(msgspec.Struct, frozen=True, gc=False):
    """A leaf whose record is not in the journal yet."""

    chart: int
    index: int
    hashed: bytes
    start: int  # of the record's content, from the first byte of the records taken together
    length: int


class Revoked(msgspec.Struct, frozen=True, tag="revoked"):
    """Node event: a bearer token is not accepted any more. Kept until the token would have expired.

    `at_ms` is when it was revoked: by the events' own times the index forgets, so that a replay forgets alike.
    """

    token_id: bytes
    expires_ms: int
    at_ms: int = 0


class BaseUrl(msgspec.Struct, frozen=True, tag="base"):
    """Node event: the FHIR base from here on. Absolute references below it are indexed as local."""

    url: str


class Handed(msgspec.Struct, frozen=True, tag="handed"):
    """Node event: the checkpoint of this very block is handed out; on a network, of the newest. See `handed`."""


encode_event = msgspec.msgpack.Encoder().encode
_decode_event = msgspec.msgpack.Decoder(Revoked | BaseUrl | Handed).decode


class Group:
    """What the commits of a group change, inside one index transaction."""

    def __init__(self, home: OpenHome, txn: lmdb.Transaction) -> None:
        self._home = home
        self.txn = txn
        self.height = home.view + 1
        """Of the rows: the view from which they hold."""
        self._records: list[bytes] = []
        self._size = 0
        self._unplaced: list[Unplaced] = []
        self._tried: dict[bytes, bytes | None] = {}  # state after the transactions taken so far
        self._is_past_lane_0 = False
        self.newest_ms = 0
        """The latest time recorded in the group: its block is not earlier."""

    def check(self, commit: SealedCommit, now_ms: int) -> Iterator[None]:
        """Raise before anything is changed: Conflict if a version moved or the ledger would refuse a transaction,
        ChartExists if a chart began meanwhile, NextBlock if only this block cannot take it. A few versions a step."""
        writer = self._home.writer
        for chart in commit.charts:
            if writer.chart_of(chart.patient) is not None:
                raise ChartExists("the patient's chart began meanwhile", hint="seal again and repeat")
        self._check_keys(commit)
        self._check_times(commit)
        for entry in commit.accesses:
            encode_entry(entry)  # one that cannot be sealed refuses this commit alone
        if len({version.token for version in commit.versions}) != len(commit.versions):
            raise Conflict("one commit writes a resource twice", hint="write its last version only")
        for at, version in enumerate(commit.versions, 1):
            if at % STEP_VERSIONS == 0:
                yield
            current = writer.current(version.token)
            if (0 if current is None else current.version) != version.expected_version:
                raise Conflict("the resource was changed meanwhile", hint="read it again and repeat")
        if commit.transactions:
            self._check_transactions(commit.transactions, now_ms)

    def _check_times(self, commit: SealedCommit) -> None:
        """A version says when it was composed; one that blocks have left far behind would be refused by verifiers."""
        since_ms = self._home.the_ledger.time_ms - COMPOSED_MS_MAX
        if any(version.time_ms < since_ms for version in commit.versions):
            raise Unavailable("the clock went on while this was written", hint="repeat the request")

    def _check_keys(self, commit: SealedCommit) -> None:
        """What was sealed under keys that an erasure has replaced meanwhile would be lost with them."""
        writer, masters = self._home.writer, self._home.keys.wrap_masters
        if any(writer.epoch(chart) != sealed for chart, sealed in commit.epochs) or any(
            wrap_epoch(chart.wrap) not in masters for chart in commit.charts
        ):
            raise ChartExists("keys changed meanwhile", hint="seal again and repeat", code="keys-changed")

    def _check_transactions(self, transactions: tuple[bytes, ...], now_ms: int) -> None:
        """A commit is all or nothing, so what its transactions stand for is not kept if the ledger refuses them."""
        urgent = [is_urgent(one) for one in transactions]
        if self._is_past_lane_0 and any(urgent):  # it would come before what was tried without it
            raise NextBlock("the next block takes this", hint="wait")
        kv = LmdbKV(self.txn, self._home.tables.ledger)
        outcome = self._home.the_ledger.try_out(kv, transactions, now_ms, self._tried)
        for receipt in outcome.receipts:
            if receipt.code == SequenceMismatch.number:
                raise sequence_moved()
            if receipt.code:
                raise ledger_refuses(receipt.code, receipt.reason)
        self._tried.update(outcome.changes)
        self._is_past_lane_0 = self._is_past_lane_0 or not all(urgent)

    def apply(self, commit: SealedCommit) -> Iterator[None]:
        """Place the commit, a few versions a step. Never refuses: `check` did."""
        first_chart = self._home.writer.next_chart
        for number, chart in enumerate(commit.charts, first_chart):
            self._begin_chart(number, chart)
        for at, version in enumerate(commit.versions, 1):
            self._place_version(version, first_chart)
            if at % STEP_VERSIONS == 0:
                yield
        for event in commit.events:
            apply_event(self._home, self.txn, event)
        yield

    def _begin_chart(self, number: int, chart: NewChart) -> None:
        home = self._home
        keys = ChartKeys(home.organisation, chart.handle, chart.epoch, chart.record_key, chart.access_key)
        home.keyring.put(number, keys)
        state = home.writer.add_chart(number, chart.patient, chart.handle, chart.epoch, chart.wrap)
        state.newest_ms = 0  # it was enrolled no later than the first version of the same commit
        index, hashed = home.writer.add_leaf(state, chart.leaf)
        record = records.ChartRecord(
            number, chart.patient, chart.handle, chart.epoch, chart.leaf, chart.meta, chart.wrap
        )
        self._record(records.CHART, records.pack_chart(record), number, index, hashed)

    def _place_version(self, version: SealedVersion, first_chart: int) -> None:
        writer = self._home.writer
        state = writer.state(_number(version.chart, first_chart))
        version = self._in_time(version, first_chart)
        index, hashed = writer.add_leaf(state, version.leaf)
        content = records.pack_version(
            state.number, index, version.leaf, state.epoch, version.meta, version.body
        )
        self._record(records.VERSION, content, state.number, index, hashed)
        links = self._place_links(version, state, index, first_chart)
        row = placed_row(version, index, moved=False)
        writer.add_resource(version.token, row, state.number, self.height, links)
        writer.add_row(state, row, self.height)

    def _in_time(self, version: SealedVersion, first_chart: int) -> SealedVersion:
        """The version as it is recorded: no earlier than what its charts' logs hold already.

        Workers take the time before the sequencer decides the order. Rows, pointers and bodies keep that time.
        """
        charts = (version.chart, *(link.chart for link in version.links))
        states = [self._home.writer.state(_number(chart, first_chart)) for chart in charts]
        floors = [self._home.the_ledger.time_ms if s.newest_ms is None else s.newest_ms for s in states]
        time_ms = max(version.time_ms, *floors)
        self.newest_ms = max(self.newest_ms, time_ms)
        for state in states:
            state.newest_ms = time_ms
        return version if time_ms == version.time_ms else self._redate(version, time_ms, first_chart)

    def _redate(self, version: SealedVersion, time_ms: int, first_chart: int) -> SealedVersion:
        keyring = self._home.keyring
        keys = keyring.get(_number(version.chart, first_chart))
        leaf, meta = redate(keys, version.leaf, version.meta, version.digest, time_ms)
        links = tuple(
            SealedLink(
                link.chart,
                link.moved,
                *redate(
                    keyring.get(_number(link.chart, first_chart)),
                    link.leaf,
                    link.meta,
                    None if link.moved else version.digest,
                    time_ms,
                ),
            )
            for link in version.links
        )
        return msgspec.structs.replace(version, leaf=leaf, meta=meta, links=links)

    def _place_links(
        self, version: SealedVersion, home: ChartState, home_index: int, first_chart: int
    ) -> tuple[tuple[int, int], ...]:
        kept = []
        for link in version.links:
            state = self._home.writer.state(_number(link.chart, first_chart))
            index, hashed = self._home.writer.add_leaf(state, link.leaf)
            record = records.LinkRecord(
                state.number, index, link.leaf, state.epoch, link.moved, home.number, home_index, link.meta
            )
            self._record(records.LINK, records.pack_link(record), state.number, index, hashed)
            self._home.writer.add_row(state, placed_row(version, index, moved=link.moved), self.height)
            if not link.moved:
                kept.append((state.number, index))
        return tuple(kept)

    def add_key_event(self, chart: int, sealed: Sealed, id: str, time_ms: int) -> int:
        """A key event, sealed under the chart's new keys, as the next leaf; its index."""
        home = self._home
        state = home.writer.state(chart)
        index, hashed = home.writer.add_leaf(state, sealed.leaf)
        content = records.pack_version(chart, index, sealed.leaf, state.epoch, sealed.meta, sealed.body)
        self._record(records.VERSION, content, chart, index, hashed)
        if chart not in home.closed:
            row = PlacedRow(KEY_EVENT_TYPE, id, 1, False, False, time_ms, index, b"", (), ())
            home.writer.add_resource(home.keyring.token(KEY_EVENT_TYPE, id), row, chart, self.height, ())
            home.writer.add_row(state, row, self.height)
        return index

    def add_record(self, kind: int, content: bytes) -> int:
        """A record that is no leaf; bytes of records that wait to be journalled."""
        packed = pack_record(kind, content)
        self._records.append(packed)
        self._size += len(packed)
        return self._size

    def _record(self, kind: int, content: bytes, chart: int, index: int, hashed: bytes) -> None:
        self._unplaced.append(Unplaced(chart, index, hashed, self._size + RECORD_HEADER.size, len(content)))
        packed = pack_record(kind, content)
        self._records.append(packed)
        self._size += len(packed)

    def take_records(self) -> list[bytes]:
        """The records since the last call, to be journalled at once; `place` must follow."""
        taken, self._records, self._size = self._records, [], 0
        return taken

    def place(self, base: int) -> None:
        """The records last taken stand in the journal from `base` on."""
        for leaf in self._unplaced:
            self._home.writer.place(
                leaf.chart, RECORD_LOG, leaf.index, leaf.hashed, base + leaf.start, leaf.length
            )
        self._unplaced.clear()


def placed_row(version: SealedVersion, index: int, *, moved: bool) -> PlacedRow:
    """The index row of a version at a place in one chart; a departure says nothing of what the version holds."""
    if moved:
        return departed_row(version.type, version.id, version.expected_version + 1, version.time_ms, index)
    return PlacedRow(
        type=version.type,
        id=version.id,
        version=version.expected_version + 1,
        deleted=version.deleted,
        moved=moved,
        time_ms=version.time_ms,
        leaf=index,
        values=version.values,
        finds=version.finds,
        visits=version.visits,
    )


def departed_row(type: str, id: str, version: int, time_ms: int, index: int) -> PlacedRow:
    """The index row that says that a resource left a chart."""
    return PlacedRow(type, id, version, False, True, time_ms, index, b"", (), ())


def erased_row(type: str, id: str, version: int, time_ms: int, index: int) -> PlacedRow:
    """The index row of an erased version: no more than a deletion says."""
    return PlacedRow(type, id, version, True, False, time_ms, index, b"", (), (), True)


def apply_event(home: OpenHome, txn: lmdb.Transaction, event: bytes) -> None:
    """A node event takes effect in the index."""
    happened = _decode_event(event)
    if isinstance(happened, Revoked):
        _sweep_revoked(home, txn, happened.at_ms // DAY_MS)
        txn.put(happened.token_id, happened.expires_ms.to_bytes(8, "big"), db=home.tables.revoked)
    elif isinstance(happened, Handed):
        handed.add_size(txn, home.tables, home.height + (1 if home.is_network else 2))
    else:
        txn.put(b"base", happened.url.encode(), db=home.tables.meta)
        bases = (*read_bases(home, txn), (home.view + 1, happened.url))
        txn.put(b"bases", msgspec.msgpack.encode(bases), db=home.tables.meta)
        home.base_url = happened.url


def read_bases(home: OpenHome, txn: lmdb.Transaction) -> tuple[tuple[int, str], ...]:
    """Every FHIR base that the home had, each with the height from which it held."""
    data = txn.get(b"bases", db=home.tables.meta)
    return () if data is None else msgspec.msgpack.decode(data, type=tuple[tuple[int, str], ...])


def base_at(home: OpenHome, txn: lmdb.Transaction, height: int) -> str:
    """The FHIR base by which the terms of a version of that height were made."""
    return next((url for since, url in reversed(read_bases(home, txn)) if since <= height), "")


def _sweep_revoked(home: OpenHome, txn: lmdb.Transaction, day: int) -> None:
    """With the first revocation of a day, forget the tokens that had expired when it began."""
    if day <= int.from_bytes(txn.get(b"swept", b"", db=home.tables.meta), "big"):
        return
    txn.put(b"swept", day.to_bytes(8, "big"), db=home.tables.meta)
    with txn.cursor(home.tables.revoked) as cursor:
        expired = [token for token, until in cursor.iternext() if int.from_bytes(until, "big") < day * DAY_MS]
    for token in expired:
        txn.delete(token, db=home.tables.revoked)


def _number(chart: int, first_chart: int) -> int:
    """A chart's number; negative ones count the charts that begin with the same commit."""
    return chart if chart >= 0 else first_chart + (-1 - chart)
