"""A snapshot in plain dictionaries, for tests: the Protocol of the vault without sealing, keys or files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any

import msgspec

from careledger.fhir.charts import patients_of
from careledger.fhir.search.extract import extract
from careledger.vault.model import HOUSE_CHART, AccessEntry, Row, RowColumns, Version
from careledger.vault.rows import columns_of

Resource = dict[str, Any]
decode = msgspec.json.Decoder(float_hook=Decimal).decode
encode = msgspec.json.Encoder(decimal_format="number").encode


class Store:
    """Everything committed so far; `snapshot()` is a view of it."""

    def __init__(self) -> None:
        self.height = 0
        self.charts: dict[str, int] = {}
        self.rows: dict[int, list[Row]] = {HOUSE_CHART: []}
        self.leaves: dict[int, int] = {}
        self.history: dict[tuple[str, str], list[Version]] = {}
        self.bodies: dict[tuple[str, str, int], bytes] = {}
        self.terms: dict[bytes, list[tuple[int, int]]] = {}
        self.chart_terms: dict[bytes, list[int]] = {}

    def put(self, *resources: Resource, time_ms: int | None = None) -> int:
        """Commit new versions together; the new height."""
        self.height += 1
        for resource in resources:
            extracted = extract(resource["resourceType"], resource)
            self._commit(
                resource["resourceType"], resource["id"], resource, patients_of(resource), extracted, time_ms
            )
        return self.height

    def delete(self, type: str, id: str) -> int:
        self.height += 1
        held = self._held(self.history[type, id][0])
        self._commit(type, id, None, (), None, None, held)
        return self.height

    def _held(self, version: Version) -> list[int]:
        return [version.chart, *(chart for chart, _ in version.links)]

    def _commit(
        self, type: str, id: str, resource: Any, patients: Any, extracted: Any, time: Any, held: Any = ()
    ) -> None:
        charts = [self._chart(patient) for patient in patients] or list(held) or [HOUSE_CHART]
        listed = self.history.setdefault((type, id), [])
        number = len(listed) + 1
        time_ms = 1_000_000 + 1000 * self.height if time is None else time
        before = self._held(listed[0]) if listed and not listed[0].deleted else []
        leaves = []
        for chart in charts:
            leaf = self.leaves[chart] = self.leaves.get(chart, -1) + 1
            leaves.append((chart, leaf))
            values = extracted.values if extracted else b""
            self._row(chart, type, id, number, resource is None, False, time_ms, leaf, values)
            for term in extracted.terms if extracted else ():
                self.terms.setdefault(term, []).append((chart, len(self.rows[chart]) - 1))
            for term in extracted.chart_terms if extracted else ():
                if chart not in self.chart_terms.setdefault(term, []):
                    self.chart_terms[term].append(chart)
        for chart in before:
            if chart not in charts:
                self._row(chart, type, id, number, False, True, time_ms, 0, b"")
        version = Version(
            type,
            id,
            number,
            resource is None,
            time_ms,
            self.height,
            leaves[0][0],
            leaves[0][1],
            tuple(leaves[1:]),
        )
        listed.insert(0, version)
        if resource is not None:
            self.bodies[type, id, number] = encode(resource)

    def _row(self, chart: int, *rest: Any) -> None:
        rows = self.rows[chart]
        type, id, version, deleted, moved, time_ms, leaf, values = rest
        rows.append(Row(len(rows), type, id, version, deleted, moved, time_ms, self.height, leaf, values))

    def _chart(self, patient: str) -> int:
        if patient not in self.charts:
            self.charts[patient] = len(self.rows)
            self.rows[self.charts[patient]] = []
        return self.charts[patient]

    def snapshot(self) -> FakeSnapshot:
        return FakeSnapshot(self)

    def resources(self, type: str, height: int | None = None) -> dict[str, Resource]:
        """Current resources of a type by id, as JSON: the independent side of a comparison."""
        found = {}
        for (kind, id), versions in self.history.items():
            if kind == type:
                at = next((v for v in versions if height is None or v.height <= height), None)
                if at is not None and not at.deleted:
                    found[id] = json.loads(self.bodies[kind, id, at.version], parse_float=Decimal)
        return found


class FakeSnapshot:
    """A Snapshot of the vault's Protocol."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.height = store.height
        self.ledger_height = store.height

    def current(self, type: str, id: str) -> Version | None:
        return next(iter(self.versions(type, id)), None)

    def version(self, type: str, id: str, version: int) -> Version | None:
        return next((v for v in self.versions(type, id) if v.version == version), None)

    def versions(self, type: str, id: str) -> list[Version]:
        return [v for v in self._store.history.get((type, id), []) if v.height <= self.height]

    def body(self, version: Version) -> bytes:
        return self._store.bodies[version.type, version.id, version.version]

    def bodies(self, versions: Sequence[Version], bytes_max: int | None = None) -> list[bytes]:
        found = [self.body(version) for version in versions]
        sizes = accumulate(map(len, found))
        return found if bytes_max is None else found[: max(1, sum(size <= bytes_max for size in sizes))]

    def put_created(self, version: Version) -> bool:
        return False

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
        return sum(row.height <= self.height for row in self._store.rows.get(chart, ()))

    def rows(self, chart: int, start: int = 0) -> list[Row]:
        return [row for row in self._store.rows.get(chart, ())[start:] if row.height <= self.height]

    def columns(self, chart: int, start: int = 0) -> list[RowColumns]:
        """In parts of three rows, as a chart that grew a little at a time has them."""
        rows = self.rows(chart, start)
        return [columns_of(rows[at : at + 3]) for at in range(0, len(rows), 3)]

    def row(self, chart: int, number: int) -> Row | None:
        rows = self._store.rows.get(chart, ())
        return rows[number] if number < len(rows) and rows[number].height <= self.height else None

    def access_count(self, chart: int) -> int:
        return 0

    def accesses(self, chart: int, start: int, stop: int) -> list[AccessEntry]:
        return []

    def former_state(self, key: bytes) -> bytes | None:
        return None

    def state(self, key: bytes) -> bytes | None:
        return None

    def find(self, term: bytes) -> list[tuple[int, int]]:
        return list(self._store.terms.get(term, ()))

    def charts_with(self, chart_term: bytes) -> list[int]:
        return list(self._store.chart_terms.get(chart_term, ()))

    def is_chart_with(self, chart: int, chart_term: bytes) -> bool:
        return chart in self._store.chart_terms.get(chart_term, ())

    def place(self, chart: int) -> tuple[bytes, bytes]:
        return bytes(32), chart.to_bytes(32, "big")

    def __enter__(self) -> FakeSnapshot:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
