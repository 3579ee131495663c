"""A served node, killed in the middle of an erasure: then the old state or the new one, and nothing in between.

Killed after a random part of the time that an erasure takes, or (with strace) at its n-th call that changes a file.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from careledger.node import client
from careledger.primitives.errors import CareLedgerError
from tests.faults import killing
from tests.faults.opening import open_everything
from tests.faults.rig import PASSPHRASE, Node, copy_home, new_home, node_of, observation, patient
from tests.verifier.twins import verdict

CANARY, KEPT = "31.4159265358", "27.1828182845"
"""Values that only the erased version has, and that others have."""
CALLS = (
    "pwrite64",
    "fdatasync",
    "pwritev",
    "write",
    "writev",
    "fsync",
    "rename",
    "unlink",
    "ftruncate",
    "openat",
)
RESOURCES = 30
ATTACH_SECONDS = 10.0
TAKES_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Work:
    """An erasure, and what shows whether it was done."""

    method: str
    params: dict[str, Any]
    witness: str
    gone: int
    """Status of the witness afterwards; 200 before."""


WORKS = (
    Work(
        "erase",
        {"reference": "Observation/o/_history/2", "reason": "misfiled"},
        "Observation/o/_history/2",
        410,
    ),
    Work("shred", {"patient": "ada", "reason": "asked for"}, "Observation/o/_history/2", 404),
)


@dataclass(slots=True)
class Ground:
    """A home to copy for each round, and what must be the same after it."""

    path: Path
    kept: dict[str, bytes]
    trust: bytes


def make_ground(path: Path) -> Ground:
    """Two patients, one version with the canary, others without; receipts of all must hold afterwards."""
    with node_of(new_home(path)) as node:
        for who in ("ada", "ben"):
            node.client.put(f"Patient/{who}", patient(who))
        for value in (KEPT, CANARY, KEPT):
            node.client.put("Observation/o", noted(observation("o", "ada", 1.0), value))
        for number in range(RESOURCES):
            node.client.put(f"Observation/a{number}", noted(observation(f"a{number}", "ada", number), KEPT))
            node.client.put(f"Observation/b{number}", noted(observation(f"b{number}", "ben", number), KEPT))
        names = ["Patient/ben", *(f"Observation/b{number}" for number in range(0, RESOURCES, 7))]
        kept = {name: node.client.get(name).body for name in names}
        trust = node.command("checkpoint")["file"].encode()
    assert open_everything(path).holds(CANARY)
    return Ground(path, kept, trust)


def noted(resource: dict[str, Any], text: str) -> dict[str, Any]:
    return {**resource, "note": [{"text": text}]}


class Asked(threading.Thread):
    """Somebody who asks for the erasure and waits; `done` is what was acknowledged."""

    def __init__(self, home: Path, work: Work) -> None:
        super().__init__(daemon=True)
        self._home, self._work = home, work
        self.done: dict[str, Any] | None = None
        self.seconds = 0.0

    def run(self) -> None:
        started = time.monotonic()
        with suppress(CareLedgerError, OSError):
            self.done = client.call(self._home, self._work.method, self._work.params, PASSPHRASE)
        self.seconds = time.monotonic() - started


@contextmanager
def traced(process: subprocess.Popen[str], *options: str, log: Path = Path("/dev/null")) -> Iterator[None]:
    """strace at all threads of the process."""
    command = ["strace", "-f", "-qq", "-o", str(log), *options, "-p", str(process.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    end = time.monotonic() + ATTACH_SECONDS
    status = Path(f"/proc/{process.pid}/status")
    while "TracerPid:\t0\n" in status.read_text():
        if time.monotonic() > end or tracer.poll() is not None:
            raise RuntimeError("strace does not attach")
        time.sleep(0.01)
    try:
        yield
    finally:
        tracer.terminate()
        try:
            tracer.wait(5)
        except subprocess.TimeoutExpired:  # it may wait for ever for one that was killed under it
            tracer.kill()
            tracer.wait()


def find_points(ground: Ground, work: Work, folder: Path) -> list[tuple[str, int]]:
    """(call, which one) of every call by which an undisturbed erasure changes files."""
    home, log = copy_home(ground.path, folder / "points", index=True), folder / "calls"
    options = ("-e", "trace=" + ",".join(CALLS))
    with killing.serving(home, 1) as (process, _port), traced(process, *options, log=log):
        asked = Asked(home, work)
        asked.start()
        asked.join()
    shutil.rmtree(home)
    counts = {name: len(re.findall(rf"^\d+ +{name}\(", log.read_text(), re.M)) for name in CALLS}
    return [(name, at) for name, count in counts.items() for at in range(1, count + 1)]


def erase_and_kill(home: Path, work: Work, number: int, point: tuple[str, int] | None) -> Asked:
    """Serve, ask, kill: at the point, or after a random part of what an erasure takes."""
    with killing.serving(home, 1 + number % 2) as (process, _port):
        asked = Asked(home, work)
        if point is None:
            asked.start()
            time.sleep(random.Random(number).uniform(0.0, TAKES_SECONDS))
            killing.kill(process)
        else:
            call, at = point
            inject = f"inject={call}:signal=KILL:when={at}"
            with traced(process, "-e", f"trace={call}", "-e", inject):
                asked.start()
                asked.join(20)
                killing.kill(process)
        asked.join(20)
    killing.wait_until_free(home)
    return asked


def find_wrong(home: Path, ground: Ground, work: Work, asked: Asked) -> tuple[str, list[str]]:
    """(old or new, what is wrong) after a restart; an old home is erased from once more."""
    wrong: list[str] = []
    with node_of(home) as node:
        status = node.client.get(work.witness).status
        state = {200: "old", work.gone: "new"}.get(status, f"status {status}")
        if state not in ("old", "new") or (asked.done is not None and state != "new"):
            wrong.append(f"{state}, acknowledged: {asked.done is not None}")
        wrong += _find_differences(node, ground)
        wrong += [f"fsck: {problem}" for problem in node.fsck()]
        if state == "new":
            wrong += _check_new(node, ground, work)
    if open_everything(home).holds(CANARY) != (state == "old"):
        wrong.append(f"{state}, but the canary is there or not")
    if state == "old":
        with node_of(home) as node:
            node.command(work.method, **work.params)
            wrong += [f"again: {problem}" for problem in (*node.fsck(), *_check_new(node, ground, work))]
        if open_everything(home).holds(CANARY):
            wrong.append("again: the canary is still there")
    return state, wrong


def _find_differences(node: Node, ground: Ground) -> list[str]:
    """What of the other chart is not as it was."""
    return [f"{name} differs" for name, body in ground.kept.items() if node.client.get(name).body != body]


def _check_new(node: Node, ground: Ground, work: Work) -> list[str]:
    """One master is left; a shredded chart has its certificate, and others' receipts hold under the old checkpoint."""
    wrong = []
    if len(node.service.context.home.keys.wrap_masters) != 1:
        wrong.append("old masters are left")
    receipts = [node.command("receipt", reference=name)["file"].encode() for name in ground.kept]
    if work.method == "shred":
        again = node.command(work.method, **work.params)
        certificate = again["certificate"].encode()
        receipts.append(certificate)
        if not again["again"] or json.loads(certificate)["header"]["kind"] != "close":
            wrong.append("a shredded chart has no certificate")
    wrong += ["a proof does not hold" for one in receipts if verdict(one, ground.trust) != "anchored"]
    return wrong
