"""A served node under load, killed at a random moment; then everything that was acknowledged must be there."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.rig import PASSPHRASE, node_of, observation, patient, transaction

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
SERVE = """
import sys, pathlib
from careledger.node import sequencer
from careledger.web.serving import serve
sequencer.SLICE_SECONDS = float(sys.argv[3])
serve(pathlib.Path(sys.argv[1]), {"server.listen": "127.0.0.1:0", "server.workers": int(sys.argv[2])}, sys.argv[4])
"""


@dataclass
class Told:
    """What clients were told. `maybe` are writes whose answer never came."""

    values: dict[str, tuple[int, float]] = field(default_factory=dict)  # Observation id: version, value
    maybe: dict[str, tuple[int, float]] = field(default_factory=dict)
    bundles: dict[str, int] = field(default_factory=dict)  # prefix: resources in it
    open_bundles: dict[str, int] = field(default_factory=dict)
    reads: list[tuple[str, str]] = field(default_factory=list)  # patient, request id
    strange: list[str] = field(default_factory=list)
    served: dict[str, bytes] = field(default_factory=dict)  # url: body as it left

    def amounts(self) -> tuple[int, int, int]:
        """How many writes, Bundles and reads were acknowledged."""
        return len(self.values), len(self.bundles), len(self.reads)

    def has_grown(self, before: tuple[int, int, int]) -> bool:
        """Ten writes, a Bundle and a read more than before."""
        return all(
            now >= was + more for now, was, more in zip(self.amounts(), before, (10, 1, 1), strict=True)
        )


@contextmanager
def serving(
    path: Path, workers: int, slice_seconds: float = 0.0, wrapper: list[str] | None = None
) -> Iterator[Any]:
    """The process and its port; killed with all its children at the end."""
    command = [
        *(wrapper or []),
        sys.executable,
        "-c",
        SERVE,
        str(path),
        str(workers),
        str(slice_seconds),
        PASSPHRASE,
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "ready at" not in line:
            process.wait(READY_SECONDS)
            assert process.stderr is not None
            raise RuntimeError(f"not ready: {line!r} {process.stderr.read()[-2000:]}")
        yield process, int(line.rsplit(":", 1)[1].split("/")[0])
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL the node and everything it started, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


class Loader(threading.Thread):
    """One client: creates, updates, Bundles, reads, each remembered as far as it was told."""

    def __init__(self, port: int, token: str, told: Told, name: str, seed: int) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        self._told, self._name, self._random = told, name, random.Random(seed)
        self._own: list[str] = []

    def run(self) -> None:
        acts = [self._create, self._create, self._update, self._bundle, self._read, self._read, self._read]
        with contextlib.suppress(OSError, http.client.HTTPException):
            for number in range(1_000_000):
                self._random.choice(acts)(number)

    def _send(self, method: str, url: str, body: Any = None) -> tuple[int, bytes, str]:
        data = None if body is None else json.dumps(body)
        self._connection.request(method, "/fhir/" + url, data, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        return answer.status, content, answer.headers.get("X-Request-Id", "")

    def _write(self, id: str, version: int, value: float) -> None:
        told = self._told
        told.maybe[id] = (version, value)
        status, body, _ = self._send("PUT", f"Observation/{id}", observation(id, self._who(id), value))
        if status not in (200, 201):
            told.strange.append(f"PUT {status} {body[:300]!r}")
            return
        told.values[id] = (version, value)
        told.served[f"Observation/{id}"] = body
        del told.maybe[id]

    def _who(self, id: str) -> str:
        return f"p{sum(id.encode()) % 5}"

    def _create(self, number: int) -> None:
        id = f"{self._name}-{number}"
        self._own.append(id)
        self._write(id, 1, float(number))

    def _update(self, number: int) -> None:
        known = [id for id in self._own if id in self._told.values]
        if known:
            id = self._random.choice(known)
            self._write(id, self._told.values[id][0] + 1, float(number))

    def _bundle(self, number: int) -> None:
        told, prefix, size = self._told, f"{self._name}-b{number}", self._random.choice([3, 20, 60])
        told.open_bundles[prefix] = size
        many = [observation(f"{prefix}-{at}", f"p{at % 5}", at) for at in range(size)]
        status, body, _ = self._send("POST", "", transaction(many))
        if status != 200:
            told.strange.append(f"POST {status} {body[:300]!r}")
            return
        told.bundles[prefix] = told.open_bundles.pop(prefix)

    def _read(self, number: int) -> None:
        known = [id for id in self._own if id in self._told.values]
        if not known:
            return
        id = self._random.choice(known)
        status, body, request = self._send("GET", f"Observation/{id}")
        if status != 200 or json.loads(body)["valueQuantity"]["value"] != self._told.values[id][1]:
            self._told.strange.append(f"GET {status} {body[:300]!r}")
            return
        self._told.reads.append((self._who(id), request.replace("-", "")))


def prepare(path: Path) -> str:
    """Five patients; a token for the load."""
    with node_of(path) as node:
        assert node.client.post("", transaction([patient(f"p{at}") for at in range(5)])).status == 200
        token: str = node.command("token.issue", client="load", scope="system/*.cruds", expires_s=36000)[
            "token"
        ]
        return token


def wait_until_free(path: Path) -> None:
    """The kernel may take a moment to bury killed children: until then they hold the home's lock."""
    with (path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def load_and_kill(path: Path, token: str, told: Told, round_: int, *, workers: int, seconds: float) -> None:
    """Serve, load from four clients, kill so many seconds after each kind of work was acknowledged in this round."""
    with serving(path, workers) as (process, port):
        loaders = [Loader(port, token, told, f"r{round_}c{at}", round_ * 10 + at) for at in range(4)]
        before = told.amounts()
        for loader in loaders:
            loader.start()
        end = time.monotonic() + READY_SECONDS
        while not told.has_grown(before) and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(seconds)
        kill(process)
        for loader in loaders:
            loader.join(35)
    wait_until_free(path)


def find_losses(path: Path, told: Told) -> list[str]:
    """What differs from what was told; empty if all is well. Opens the home and checks it wholly."""
    wrong = list(told.strange)
    with node_of(path) as node:
        wrong += [f"fsck: {problem}" for problem in node.fsck()]
        for id, (version, value) in told.values.items():
            answer = node.client.get(f"Observation/{id}")
            found = json.loads(answer.body)
            state = (int(found["meta"]["versionId"]), found["valueQuantity"]["value"])
            if state != (version, value) and state != told.maybe.get(id):
                wrong.append(f"Observation/{id}: told {version} {value}, found {state}")
            elif state == (version, value) and answer.body != told.served[f"Observation/{id}"]:
                wrong.append(f"Observation/{id}: other bytes than were sent")
        for prefix, size in (told.bundles | told.open_bundles).items():
            statuses = {node.client.get(f"Observation/{prefix}-{at}").status for at in range(size)}
            if statuses != {200} and (prefix in told.bundles or statuses != {404}):
                wrong.append(f"Bundle {prefix}: {statuses}")
        for who in {who for who, _ in told.reads}:
            logged = {entry["request"] for entry in node.command("access_log", patient=who)["entries"]}
            lost = {request for reader, request in told.reads if reader == who} - logged
            if lost:
                wrong.append(f"{len(lost)} reads of {who} are not in the access log")
        wrong += [f"fsck: {problem}" for problem in node.fsck()]
    return wrong
