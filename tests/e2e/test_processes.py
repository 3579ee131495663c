"""Start, end, death and resurrection of the processes of a node; what the log says of it all."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Loaded
from tests.e2e.node import Caller, Node
from tests.e2e.test_records import at_once

START_CPU_LIMIT_S = 8.0
"""Of processor time; 1 s is usual."""
END_LIMIT_S = 30.0
"""0.4 s alone; whatever it does, nobody waits longer."""
LARGE_TRIES_MAX = 5


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def await_that(holds: Callable[[], bool]) -> bool:
    """Whether it holds before END_LIMIT_S have passed."""
    deadline = time.monotonic() + END_LIMIT_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def await_end(pids: list[int]) -> bool:
    return await_that(lambda: not any(map(is_alive, pids)))


class Load:
    """Clients that write until told to stop; `acknowledged` are the ids of what was answered with 201."""

    def __init__(self, node: Node, token: str) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(node.port, token)) for _ in range(3)]
        for thread in self._threads:
            thread.start()

    def _run(self, port: int, token: str) -> None:
        caller = Caller(port, token)
        while not self._stop.is_set():
            id = uuid.uuid4().hex
            try:
                status = caller.put(f"Patient/{id}", {"resourceType": "Patient", "id": id}).status
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
                continue
            (self.acknowledged if status == 201 else self.refused).append(id if status == 201 else status)  # type: ignore[arg-type]
        caller.close()

    def await_acknowledged(self, number: int) -> None:
        """Returns when so many more than now are acknowledged."""
        number += len(self.acknowledged)
        await_that(lambda: len(self.acknowledged) >= number)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_every_worker_reads_what_any_worker_wrote(loaded: Loaded) -> None:
    callers = [Caller(loaded.node.port, loaded.caller.token) for _ in range(8)]
    for number in range(8):
        id = uuid.uuid4().hex
        assert (
            callers[number]
            .put(f"Patient/{id}", {"resourceType": "Patient", "id": id, "name": [{"family": id}]})
            .status
            == 201
        )
        for caller in callers:
            assert caller.get(f"Patient/{id}").status == 200
            assert caller.get(f"Patient?family={id}").ids == [f"Patient/{id}"]
        callers[-1].delete(f"Patient/{id}")
        assert {caller.get(f"Patient/{id}").status for caller in callers} == {410}
        assert {len(caller.get(f"Patient?family={id}").ids) for caller in callers} == {0}
    for caller in callers:
        caller.close()


def test_small_requests_are_not_blocked_by_a_large_bundle(loaded: Loaded) -> None:
    """While a transaction of 5,000 resources runs, reads go on; none of them waits for most of it.

    Where the loop is held, no try shows that; where the machine held the reader up, the next one does.
    """
    entry = {
        "request": {"method": "POST", "url": "Basic"},
        "resource": {"resourceType": "Basic", "code": {"text": "x"}},
    }
    large = {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 5_000}

    def is_read_meanwhile() -> bool:
        done: list[int] = []
        thread = threading.Thread(
            target=lambda: done.append(Caller(loaded.node.port, loaded.caller.token).post("", large).status)
        )
        thread.start()
        begun, times = time.monotonic(), [0.0]
        while thread.is_alive():
            start = time.monotonic()
            assert loaded.caller.get(f"Patient/{loaded.largest}").status == 200
            times.append(time.monotonic() - start)
        assert done == [200]
        return len(times) > 6 and max(times) < (time.monotonic() - begun) / 2

    assert any(is_read_meanwhile() for _ in range(LARGE_TRIES_MAX))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_node_ends_cleanly_and_keeps_its_data(tmp_path: Path, workers: int) -> None:
    node = Node(tmp_path / "home", workers).init().start()
    try:
        assert node.cpu_seconds() < START_CPU_LIMIT_S
        assert node.caller().put("Patient/kept", {"resourceType": "Patient", "id": "kept"}).status == 201
        children = node.children()
        assert len(children) == (3 if workers == 2 else 0)
        start = time.monotonic()
        assert node.stop(signal.SIGTERM) == 0
        assert time.monotonic() - start < END_LIMIT_S
        assert await_end(children)
        node.start()
        children = node.children()
        assert node.caller().get("Patient/kept").version == "1"
        assert node.stop(signal.SIGINT) == 0
        assert await_end(children)
        assert node.command("status")["served"] is False
        assert [entry["kind"] for entry in node.access("kept")] == ["read"], "a stopped node answers too"
    finally:
        node.stop()


def test_killed_processes_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A worker comes back by itself; without its writer the node ends; the supervisor takes its children with it."""
    node = Node(tmp_path / "home", 2).init().start()
    try:
        caller, token = node.caller(), node.token()
        writer, *workers = node.children()
        load = Load(node, token)
        load.await_acknowledged(10)
        os.kill(workers[-1], signal.SIGKILL)
        load.await_acknowledged(10)
        assert await_that(lambda: len({*node.children()} - {workers[-1]}) == 3)
        load.stop()
        assert writer in node.children()
        kept = load.acknowledged
        load = Load(node, token)
        load.await_acknowledged(10)
        os.kill(writer, signal.SIGKILL)
        assert node.process is not None
        assert node.process.wait(END_LIMIT_S) != 0
        load.stop()
        assert await_end(workers)
        kept += load.acknowledged
        assert len(kept) >= 30
        node.stop()
        node.start()
        assert {caller.get(f"Patient/{id}").status for id in kept} == {200}
        children = node.children()
        assert node.process is not None
        node.process.kill()
        node.process.wait()
        assert await_end(children)
        node.stop()
        node.start()
        assert caller.get(f"Patient/{kept[-1]}").status == 200
        assert node.command("fsck")["problems"] == []
        caller.close()
    finally:
        node.stop()


def test_logs_and_errors_hold_no_patient_data(loaded: Loaded) -> None:
    """Canaries in names, ids, values, criteria, headers and paths: none of them reaches stderr."""
    canary = "Kanarie" + uuid.uuid4().hex[:8]
    c = loaded.caller
    assert (
        c.put(
            f"Patient/{canary}", {"resourceType": "Patient", "id": canary, "name": [{"family": canary}]}
        ).status
        == 201
    )
    texts = [
        c.get(f"Patient?family={canary}&birthdate={canary}").body,
        c.get(f"Patient/none-{canary}").body,
        c.get(f"{canary}/{canary}").body,
        c.get(f"Patient/{canary}/${canary}").body,
        c.call("PATCH", f"Patient/{canary}", {"x": canary}).body,
        c.put(f"Patient/{canary}", {"resourceType": "Patient", "id": "other"}).body,
        c.post("Patient", {"resourceType": "Patient", "gender": canary, canary: canary}).body,
        c.post("Patient", f'{{"resourceType":"Patient","{canary}'.encode()).body,
        c.get("Patient", Accept=canary).body,
        c.get("Patient", Authorization=f"Bearer {canary}").body,
        c.delete(f"Patient?identifier={canary}&{canary}={canary}").body,
        c.post("", {"resourceType": "Bundle", "type": canary, "entry": []}).body,
        c.post(
            "",
            {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [{"request": {"method": "PUT", "url": canary}}],
            },
        ).body,
    ]
    at_once(loaded, 4, lambda caller: caller.get(f"Patient/{canary}"))
    for number, text in enumerate(texts):
        assert canary.encode() not in text, number
    log = loaded.node.log_path.read_text()
    assert canary not in log
    for type in ("Patient", "Practitioner"):
        for resource in loaded.held[type].values():
            assert resource["name"][0]["family"] not in log
