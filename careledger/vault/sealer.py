"""From a decided `Commit` to a sealed one: done by the worker that took the request, before the sequencer sees it."""

from __future__ import annotations

from collections.abc import Iterator

from careledger.primitives.errors import Conflict, Invalid
from careledger.vault.envelope import ChartKeys, Kind, open_meta, seal_link, seal_version
from careledger.vault.keyring import Keyring
from careledger.vault.messages import NewChart, SealedCommit, SealedLink, SealedVersion
from careledger.vault.model import HOUSE_CHART, Commit, ResourceWrite, Version
from careledger.vault.snapshot import VaultReader, VaultSnapshot


class ChartClosed(Invalid):
    """The patient's chart was shredded: nothing is ever added to it, and her id is not taken for another's."""

    code = "chart-closed"

    def __init__(self) -> None:
        super().__init__(
            "the chart of this patient was closed for good", hint="register the patient under a new id"
        )


class Sealer:
    """Seals one commit. Use once; `steps` may be interrupted between any two."""

    def __init__(self, reader: VaultReader, now_ms: int) -> None:
        self._reader = reader
        self._keyring: Keyring = reader.keyring
        self._now_ms = now_ms
        self._new: list[NewChart] = []
        self._new_keys: list[ChartKeys] = []
        self._numbers: dict[str, int] = {}
        self._epochs: dict[int, int] = {}
        self._versions: list[SealedVersion] = []

    def steps(self, commit: Commit, batch: int) -> Iterator[None]:
        """Seal `batch` versions a step; raises Conflict where the snapshot already shows another version."""
        writes = commit.writes
        for at in range(0, len(writes), batch):
            with self._reader.snapshot() as snapshot:
                for write in writes[at : at + batch]:
                    self._versions.append(self._seal(snapshot, write))
            yield

    def result(self, commit: Commit) -> SealedCommit:
        """What the sequencer gets, once every step is done."""
        return SealedCommit(
            tuple(self._new),
            tuple(self._versions),
            commit.accesses,
            commit.transactions,
            commit.events,
            tuple(self._epochs.items()),
        )

    def _seal(self, snapshot: VaultSnapshot, write: ResourceWrite) -> SealedVersion:
        before = snapshot.current(write.type, write.id) if write.expected_version else None
        if write.expected_version and (before is None or before.version != write.expected_version):
            raise Conflict("the resource was changed meanwhile", hint="read it again and repeat")
        charts = self._charts(snapshot, write, before)
        version = write.expected_version + 1
        kind = Kind.DELETION if write.body is None else Kind(write.kind)
        first = self._chart_keys(charts[0])
        sealed = seal_version(
            first,
            kind,
            write.type,
            write.id,
            version,
            write.time_ms,
            write.author,
            write.body,
            put_created=write.put_created,
        )
        links: tuple[SealedLink, ...] = ()
        if len(charts) > 1:
            opened = open_meta(first, sealed.leaf, sealed.meta)
            links = tuple(
                SealedLink(chart, False, *seal_link(self._chart_keys(chart), first, opened, write.body))
                for chart in charts[1:]
            )
        if before is not None:
            links += self._departures(before, charts, write, version)
        blind = self._keyring.blind
        return SealedVersion(
            token=self._keyring.token(write.type, write.id),
            type=write.type,
            id=write.id,
            expected_version=write.expected_version,
            deleted=write.body is None,
            time_ms=write.time_ms,
            chart=charts[0],
            leaf=sealed.leaf,
            meta=sealed.meta,
            body=sealed.body,
            values=write.values,
            finds=tuple(blind(term) for term in write.terms),
            visits=tuple(blind(term) for term in write.chart_terms),
            digest=sealed.digest,
            links=links,
        )

    def _departures(
        self, before: Version, charts: list[int], write: ResourceWrite, version: int
    ) -> tuple[SealedLink, ...]:
        """Leaves of kind move in the charts that held the version before and do not hold this one."""
        left = [chart for chart in (before.chart, *(link[0] for link in before.links)) if chart not in charts]
        moved = []
        for chart in left:
            sealed = seal_version(
                self._chart_keys(chart),
                Kind.MOVE,
                write.type,
                write.id,
                version,
                write.time_ms,
                write.author,
                None,
            )
            moved.append(SealedLink(chart, True, sealed.leaf, sealed.meta))
        return tuple(moved)

    def _chart_keys(self, chart: int) -> ChartKeys:
        if chart < 0:
            return self._new_keys[-1 - chart]
        keys = self._keyring.get(chart)
        self._epochs[chart] = keys.epoch
        return keys

    def _charts(self, snapshot: VaultSnapshot, write: ResourceWrite, before: Version | None) -> list[int]:
        patients = list(dict.fromkeys(write.patients))
        if write.body is None:  # what a shredded chart held together with others can be deleted there
            closed = [p for p in patients if snapshot.chart_of(p) is None and snapshot.chart_ever_of(p)]
            patients = [patient for patient in patients if patient not in closed]
            if closed and not patients and before is not None:
                return [before.chart, *(chart for chart, _ in before.links)]
        return [self._chart(snapshot, patient) for patient in patients] or [HOUSE_CHART]

    def _chart(self, snapshot: VaultSnapshot, patient: str) -> int:
        number = self._numbers.get(patient)
        if number is None:
            number = snapshot.chart_of(patient)
            if number is None:
                if snapshot.chart_ever_of(patient) is not None:
                    raise ChartClosed
                token = self._keyring.token("Patient", patient)
                chart, keys = new_chart(self._keyring, token, self._now_ms)
                self._new.append(chart)
                self._new_keys.append(keys)
                number = -len(self._new)
            self._numbers[patient] = number
        return number


def new_chart(keyring: Keyring, patient: bytes, now_ms: int) -> tuple[NewChart, ChartKeys]:
    """A chart with fresh handle and keys, and its enrolment leaf."""
    chart_keys = ChartKeys.generate(keyring.organisation)
    sealed = seal_version(chart_keys, Kind.ENROLMENT, "", "", 0, now_ms, "", None)
    chart = NewChart(
        patient=patient,
        handle=chart_keys.handle,
        epoch=chart_keys.epoch,
        wrap=keyring.wrap(chart_keys),
        record_key=chart_keys.record_key,
        access_key=chart_keys.access_key,
        leaf=sealed.leaf,
        meta=sealed.meta,
    )
    return chart, chart_keys
