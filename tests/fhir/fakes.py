"""An in-memory node for tests of the FHIR room: the semantics of Backend and Snapshot, without keys or disk."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import accumulate

from careledger.primitives.errors import Conflict, Unavailable
from careledger.vault.model import (
    HOUSE_CHART,
    AccessEntry,
    BlockMark,
    Commit,
    CommitResult,
    Level,
    ResourceWrite,
    Row,
    RowColumns,
    Version,
)
from careledger.vault.rows import columns_of

BASE = "http://node.test/fhir"
DID = "did:careledger:house"


class FakeStore:
    """Everything committed. `fingerprint` changes with every write and with nothing else."""

    def __init__(self) -> None:
        self.height = 0
        self.versions: dict[tuple[str, str], list[Version]] = {}
        self.bodies: dict[tuple[str, str, int], bytes] = {}
        self.put_created: set[tuple[str, str, int]] = set()
        self.charts: dict[str, int] = {}
        self.rows: dict[int, list[Row]] = {HOUSE_CHART: []}
        self.leaves: dict[int, int] = defaultdict(int)
        self.terms: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        self.chart_terms: dict[bytes, list[int]] = defaultdict(list)
        self.accesses: list[AccessEntry] = []
        self.states: dict[bytes, bytes] = {}
        self.block: BlockMark | None = None  # set: the node of a network
        self.monotonic_ms = 0
        self.level: Level = "anchored"

    @property
    def fingerprint(self) -> tuple[int, int]:
        return self.height, len(self.bodies) + sum(map(len, self.rows.values()))

    def check(self, write: ResourceWrite) -> None:
        known = self.versions.get((write.type, write.id), ())
        if (known[-1].version if known else 0) != write.expected_version:
            raise Conflict("the version moved")

    def apply(self, commit: Commit) -> None:
        for write in commit.writes:
            self.check(write)
        assert len({(w.type, w.id) for w in commit.writes}) == len(commit.writes)
        if commit.writes:
            self.height += 1
        for write in commit.writes:
            self._write(write)
        self.accesses += commit.accesses

    def _chart(self, patient: str) -> int:
        if patient not in self.charts:
            self.charts[patient] = len(self.rows)
            self.rows[self.charts[patient]] = []
        return self.charts[patient]

    def _write(self, write: ResourceWrite) -> None:
        charts = [self._chart(patient) for patient in write.patients] or [HOUSE_CHART]
        places = []
        for chart in charts:
            places.append((chart, self.leaves[chart]))
            self.leaves[chart] += 1
        number = write.expected_version + 1
        deleted = write.body is None
        version = Version(
            write.type, write.id, number, deleted, write.time_ms, self.height, *places[0], tuple(places[1:])
        )
        known = self.versions.setdefault((write.type, write.id), [])
        before = {known[-1].chart, *(chart for chart, _ in known[-1].links)} if known else set()
        known.append(version)
        if write.body is not None:
            self.bodies[write.type, write.id, number] = write.body
        if write.put_created:
            self.put_created.add((write.type, write.id, number))
        for chart, leaf in places:
            self._row(write, chart, leaf, number, moved=False)
            for term in write.terms:
                self.terms[term].append((chart, len(self.rows[chart]) - 1))
            for term in write.chart_terms:
                if chart not in self.chart_terms[term]:
                    self.chart_terms[term].append(chart)
        for chart in before - set(charts):
            self._row(write, chart, self.leaves[chart], number, moved=True)
            self.leaves[chart] += 1

    def _row(self, write: ResourceWrite, chart: int, leaf: int, number: int, *, moved: bool) -> None:
        rows = self.rows[chart]
        rows.append(
            Row(
                len(rows),
                write.type,
                write.id,
                number,
                write.body is None,
                moved,
                write.time_ms,
                self.height,
                leaf,
                write.values,
            )
        )


class FakeSnapshot:
    """A view as of the time it was taken (the store only grows, so a copy of the sizes would do; tests await nothing)."""

    def __init__(self, store: FakeStore, opened: list[int]) -> None:
        self._store = store
        self._opened = opened
        self.height = store.height
        self.ledger_height = store.height
        self.block = store.block

    def __enter__(self) -> FakeSnapshot:
        self._opened[0] += 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._opened[0] -= 1

    def level(self, version: Version) -> Level:
        return self._store.level

    def current(self, type: str, id: str) -> Version | None:
        known = self._store.versions.get((type, id))
        return known[-1] if known else None

    def version(self, type: str, id: str, version: int) -> Version | None:
        known = self._store.versions.get((type, id), [])
        return known[version - 1] if 0 < version <= len(known) else None

    def versions(self, type: str, id: str) -> list[Version]:
        return list(reversed(self._store.versions.get((type, id), [])))

    def body(self, version: Version) -> bytes:
        return self._store.bodies[version.type, version.id, version.version]

    def bodies(self, versions: Sequence[Version], bytes_max: int | None = None) -> list[bytes]:
        found = [self.body(version) for version in versions]
        sizes = accumulate(map(len, found))
        return found if bytes_max is None else found[: max(1, sum(size <= bytes_max for size in sizes))]

    def put_created(self, version: Version) -> bool:
        return (version.type, version.id, version.version) in self._store.put_created

    def chart_of(self, patient_id: str) -> int | None:
        return self._store.charts.get(patient_id)

    def chart_ever_of(self, patient_id: str) -> int | None:
        return self._store.charts.get(patient_id)

    def is_closed(self, chart: int) -> bool:
        return False

    def is_erased(self, chart: int, leaf: int) -> bool:
        return False

    def chart_numbers(self) -> list[int]:
        return sorted(self._store.rows)

    def record_count(self, chart: int) -> int:
        return self.row_count(chart)

    def row_count(self, chart: int) -> int:
        return len(self._store.rows.get(chart, ()))

    def rows(self, chart: int, start: int = 0) -> list[Row]:
        return self._store.rows.get(chart, [])[start:]

    def columns(self, chart: int, start: int = 0) -> list[RowColumns]:
        rows = self.rows(chart, start)
        return [columns_of(rows)] if rows else []

    def row(self, chart: int, number: int) -> Row | None:
        rows = self._store.rows.get(chart, [])
        return rows[number] if 0 <= number < len(rows) else None

    def access_count(self, chart: int) -> int:
        return sum(entry.chart == chart for entry in self._store.accesses)

    def accesses(self, chart: int, start: int, stop: int) -> list[AccessEntry]:
        return [entry for entry in self._store.accesses if entry.chart == chart][start:stop]

    def former_state(self, key: bytes) -> bytes | None:
        return None

    def state(self, key: bytes) -> bytes | None:
        return self._store.states.get(key)

    def find(self, term: bytes) -> list[tuple[int, int]]:
        return list(self._store.terms.get(term, ()))

    def charts_with(self, chart_term: bytes) -> list[int]:
        return list(self._store.chart_terms.get(chart_term, ()))

    def is_chart_with(self, chart: int, chart_term: bytes) -> bool:
        return chart in self._store.chart_terms.get(chart_term, ())

    def place(self, chart: int) -> tuple[bytes, bytes]:
        return bytes(32), chart.to_bytes(32, "big")


class FakeBackend:
    """`careledger.fhir.backend.Backend` in memory. `log_broken` plays a full disk, `before_commit` a faster writer."""

    base_url = BASE
    organisation = DID
    cursor_key = bytes(32)

    def __init__(self) -> None:
        self.store = FakeStore()
        self.log_broken = False
        self.revoked: set[str] = set()
        self.before_commit: list[Commit] = []
        self.commits = 0
        self._clock = itertools.count(1_767_225_600_000)
        self._locks: dict[str, asyncio.Lock] = {}
        self.open_snapshots = [0]

    def snapshot(self) -> FakeSnapshot:
        return FakeSnapshot(self.store, self.open_snapshots)

    async def commit(self, commit: Commit) -> CommitResult:
        assert self.open_snapshots[0] == 0, "a snapshot is open across an await"
        await asyncio.sleep(0)
        if self.log_broken:
            raise Unavailable("the journal cannot be written")
        if self.before_commit:
            self.store.apply(self.before_commit.pop(0))
        self.store.apply(commit)
        self.commits += 1
        return CommitResult(self.store.height)

    async def log_access(self, entries: tuple[AccessEntry, ...]) -> None:
        assert self.open_snapshots[0] == 0, "a snapshot is open across an await"
        assert entries
        await asyncio.sleep(0)
        if self.log_broken:
            raise Unavailable("the access log cannot be written")
        self.store.accesses += entries

    @asynccontextmanager
    async def conditional_lock(self, type: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(type, asyncio.Lock()):
            yield

    async def revoke(self, token_id: str) -> None:
        self.revoked.add(token_id)

    def is_revoked(self, token_id: str) -> bool:
        return token_id in self.revoked

    def now_ms(self) -> int:
        return next(self._clock)

    def monotonic_ms(self) -> int:
        return self.store.monotonic_ms
