"""Recorded times: no leaf of a log is earlier than the one before it, whatever workers took the time when."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from careledger.fhir.json import instant
from careledger.primitives.errors import Corrupt
from careledger.vault.envelope import open_meta
from careledger.vault.model import AccessEntry
from careledger.vault.records import unpack_link, unpack_version
from careledger.vault.tables import RECORD_LOG
from tests.faults.rig import Node, appointment, new_home, node_of, observation, patient
from tests.node.consenting import Device
from tests.verifier.twins import export_verdicts


def recorded(node: Node, chart: int, leaf: int) -> int:
    """The time in the header of a leaf."""
    home = node.service.context.home
    with node.service.reader.snapshot() as snapshot:
        content = snapshot.record(chart, RECORD_LOG, leaf)
    keys = home.keyring.get(chart)
    for record in (unpack_version(content), unpack_link(content)):
        try:
            return open_meta(keys, record.leaf, record.meta).time_ms
        except (Corrupt, IndexError):
            continue
    raise AssertionError("a leaf of another kind")


def entry(chart: int, time_ms: int) -> AccessEntry:
    return AccessEntry(
        chart, bytes(16), "a", "c", "o", "TREAT", "custodian-default", True, "read", "", 1, time_ms
    )


def test_times_never_decrease_within_a_log(tmp_path: Path) -> None:
    """A version whose worker was slow is recorded later than it is served as; the rebuilt index says the same."""
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        for name in "ab":
            node.client.put(f"Patient/{name}", patient(name))
        context = node.service.context
        with context.backend.snapshot() as snapshot:
            chart, other = (snapshot.chart_of(name) for name in "ab")
            newest = snapshot.current("Patient", "a")
        assert newest is not None and chart is not None and other is not None
        before = newest.time_ms
        for id, slow_ms in (("late", 5000), ("later", 7000)):
            with mock.patch.object(context.backend, "now_ms", lambda slow_ms=slow_ms: before - slow_ms):
                assert node.client.put(f"Observation/{id}", observation(id, "a", 1.5)).status == 201
                assert node.client.put(f"Appointment/{id}", appointment(id, ["b", "a"])).status == 201
        node.client.put("Observation/next", observation("next", "a", 2.5))
        with context.backend.snapshot() as snapshot:
            size = snapshot.row_count(chart) + 1
            times = [recorded(node, chart, leaf) for leaf in range(1, size)]
            late = snapshot.current("Observation", "late")
            assert late is not None and late.time_ms == before - 5000
        assert times == sorted(times) and times[0] >= before
        assert recorded(node, other, 2) >= before
        for time_ms in (before + 60_000, before - 60_000):
            node.run(context.backend.log_access((entry(chart, time_ms),)))
        node.rest()
        log = node.command("access_log", patient="a")["entries"]
        assert [one["time"] for one in log] == sorted(one["time"] for one in log)
        assert context.home.the_ledger.time_ms >= before + 60_000, "no block is earlier than what it holds"
        assert node.fsck() == []
    with node_of(path) as node:
        node.run(node.service.context.backend.log_access((entry(chart, before),)))
        log = node.command("access_log", patient="a")["entries"]
        assert [one["time"] for one in log] == sorted(one["time"] for one in log)


def behind(clock: Callable[[], int]) -> Callable[[], int]:
    """The clock, a day slow."""
    return lambda: clock() - 86_400_000_000_000


def test_a_clock_that_is_set_back_dates_nothing_before_what_others_saw(tmp_path: Path) -> None:
    """By a day, after a restart: records, looks, decisions and erasures go on where the ledger stands, and verify."""
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        for name in "ab":
            node.client.put(f"Patient/{name}", patient(name))
        Device(node.command, "a", b"\1" * 32).enrol()
        trust = node.command("checkpoint")["file"].encode()
        newest = node.service.context.home.the_ledger.time_ms
    with mock.patch.object(time, "time_ns", side_effect=behind(time.time_ns)), node_of(path) as node:
        device = Device(node.command, "a", b"\1" * 32)
        device.revoke(device.grant())
        assert node.client.put("Observation/o", observation("o", "a", 1.5)).status == 201
        node.client.get("Observation/o")
        node.command("erase", reference="Observation/o/_history/1", reason="misfiled")
        for kind in ("chart", "access_log"):
            node.command(f"{kind}.export", patient="a", path=str(tmp_path / kind))
            assert export_verdicts((tmp_path / kind).read_bytes(), trust) == ("anchored", "", "")
        log = node.command("access_log", patient="a")["entries"]
        assert min(one["time"] for one in log[1:]) >= instant(newest)
        assert node.fsck() == []


def test_a_machine_that_slept_leaves_nothing_dated_before_its_next_block(tmp_path: Path) -> None:
    """What was looked at before is in the first block after; what was composed or decided before is told to repeat."""
    path, clock, ahead = new_home(tmp_path / "home"), time.time_ns, [0]
    with mock.patch.object(time, "time_ns", side_effect=lambda: clock() + ahead[0]), node_of(path) as node:
        node.client.put("Patient/a", patient("a"))
        backend = node.service.context.backend
        node.rest()
        asleep_ms = backend.now_ms()
        node.client.get("Patient/a")
        ahead[0] += 30 * 3_600_000_000_000
        node.client.put("Observation/o", observation("o", "a", 1.5))
        trust = node.command("checkpoint")["file"].encode()
        with mock.patch.object(backend, "now_ms", return_value=asleep_ms):
            assert node.client.put("Observation/late", observation("late", "a", 1.5)).status == 503
            node.client.get("Observation/o")
        for kind in ("chart", "access_log"):
            node.command(f"{kind}.export", patient="a", path=str(tmp_path / kind))
            assert export_verdicts((tmp_path / kind).read_bytes(), trust) == ("anchored", "", "")
