"""One network on this machine for the tests: commands as a user types them, chains as the engines show them, faults.

Nothing here knows what a node is inside: it speaks the command line, FHIR over HTTP, and the engine's RPC.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from careledger.cli.run import run
from careledger.node import client
from tests.e2e.node import ROOT

CATCH_UP_S = 20.0
"""The engine's own end-to-end tests give a node so long after a perturbation (fault catalogue A1)."""
PORTS = range(20_000, 31_000, 40)
"""Below the ports that outgoing connections take."""
HEADERS_A_CALL = 20
STOP_S = 30.0


def free_base(ports: int) -> int:
    """The first of so many ports that nobody holds; another one at each call."""
    for base in random.SystemRandom().sample(PORTS, len(PORTS)):
        with contextlib.ExitStack() as held:
            try:
                for port in range(base, base + ports):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise AssertionError("no free ports")


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> float:
    """How long it took until the condition held; AssertionError if it does not in time."""
    start = time.monotonic()
    while not condition():
        took = time.monotonic() - start
        assert took < seconds, f"after {seconds:g} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - start


@dataclass(slots=True)
class Place:
    """An organisation's entry of `network up --json`."""

    name: str
    home: Path
    fhir: str
    rpc: str
    passphrase_file: Path
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Of its FHIR interface."""
        return int(urlsplit(self.fhir).port or 0)

    def command(self, method: str, **params: object) -> dict[str, Any]:
        """A command of its node, which is served."""
        return client.call(self.home, method, params, None)

    def did(self) -> str:
        """Its name on the ledger."""
        return str(self.command("config")["did"])

    def token(self, organisation: str = "") -> str:
        """For everything here, as somebody of `organisation` (this one if empty)."""
        if organisation not in self._tokens:
            given = {"client": "network-tests", "scope": "system/*.cruds", "expires_s": 7200}
            self._tokens[organisation] = self.command("token.issue", org=organisation or None, **given)[
                "token"
            ]
        return self._tokens[organisation]

    # The engine

    def ask(self, path: str) -> Any:
        """An answer of the engine's RPC. Raises OSError while it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", int(urlsplit(self.rpc).port or 0), timeout=5)
        try:
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
        if "error" in answer:
            raise OSError(str(answer["error"])[:300])
        return answer["result"]

    def height(self) -> int:
        """Of the engine's newest block; −1 while it does not answer."""
        try:
            return int(self.ask("/status")["sync_info"]["latest_block_height"])
        except OSError:
            return -1

    def replica_height(self) -> int:
        """Of the newest block that the node has made durable; −1 while it does not answer."""
        try:
            return int(self.command("network.status")["height"])
        except Exception:
            return -1

    def chain(self, first: int, last: int) -> dict[int, tuple[str, str]]:
        """Block hash and app hash (the state after the block before) of these heights."""
        found = {}
        for start in range(first, last + 1, HEADERS_A_CALL):
            end = min(last, start + HEADERS_A_CALL - 1)
            for meta in self.ask(f"/blockchain?minHeight={start}&maxHeight={end}")["block_metas"]:
                found[int(meta["header"]["height"])] = (meta["block_id"]["hash"], meta["header"]["app_hash"])
        return found

    def broadcast(self, transaction: bytes) -> int:
        """Hand a transaction to the engine, as any stranger at its RPC could; its code."""
        text = (
            base64.b64encode(transaction).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        )
        return int(self.ask(f'/broadcast_tx_sync?tx="{text}"').get("code", 0))


def careledger(*words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """A command in this process, with `--json`; what it prints."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run((*words, "--json"))
    assert code in codes, (words, code, err.getvalue()[-2000:])
    found: dict[str, Any] = json.loads(out.getvalue() or "{}")
    return found


class LocalNetwork:
    """A network that was brought up by the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places: dict[str, Place] = {}
        self.shown: dict[str, Any] = {}
        self.base_port = 0
        self.relieved = 0.0
        """When the newest fault was over: its node was started, went on, or was heard again."""

    def up(self, organisations: int = 4, *more: str) -> LocalNetwork:
        """In a process of its own, as a user does it. Once more brings up what was stopped."""
        self.base_port = self.base_port or free_base(3 * organisations)
        self.relieved = time.monotonic()
        words = ["up", "--orgs", str(organisations), "--base-port", str(self.base_port), "--json", *more]
        command = [sys.executable, "-m", "careledger", "network", *words, "--dir", str(self.folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, (done.stderr[-3000:], self.last_words())
        self.shown = json.loads(done.stdout)
        for one in self.shown["organisations"]:
            place = Place(
                one["name"], Path(one["home"]), one["fhir"], one["rpc"], Path(one["passphrase_file"])
            )
            self.places.setdefault(place.name, place)
        return self

    def do(self, *words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """`careledger network WORDS`."""
        self.relieved = time.monotonic()
        return careledger("network", *words, "--dir", str(self.folder), codes=codes)

    def __getitem__(self, name: str) -> Place:
        return self.places[name]

    def __iter__(self) -> Iterator[Place]:
        return iter(self.places.values())

    def others(self, name: str) -> list[Place]:
        """All but this one."""
        return [place for place in self if place.name != name]

    def last_words(self) -> str:
        """The ends of the logs."""
        logs = sorted(self.folder.glob("*/serve.log"))
        return "\n".join(f"{log.parent.name}: {log.read_text(errors='replace')[-600:]}" for log in logs)

    def remove(self) -> None:
        """Stop it and delete everything; what will not stop is killed."""
        for name in self.places:
            self.resume(name)
        with contextlib.suppress(AssertionError):
            self.do("reset")
        for name in self.places:
            for pid in self.pids(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Processes

    def pids(self, name: str) -> list[int]:
        """A node's process and its engine's; none if it is not served."""
        try:
            pid, began = (self.folder / name / "pid").read_text().split()
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[19] != began or fields[0] in "ZX":
                return []
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except (OSError, ValueError):
            return []
        return [int(pid), *map(int, children.split())]

    def stop_one(self, name: str) -> None:
        """It has ended, in order, when this returns; nothing happens if it is not served."""
        pids = self.pids(name)
        if not pids:
            return
        os.kill(pids[0], signal.SIGTERM)
        wait_until(lambda: not self.pids(name), STOP_S, f"{name} does not stop")

    def pause(self, name: str) -> None:
        """Freeze a node and its engine."""
        for pid in self.pids(name):
            os.kill(pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let both go on."""
        self.relieved = time.monotonic()
        for pid in reversed(self.pids(name)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def settle(self) -> None:
        """Everybody is served and hears everybody."""
        if not all(self.pids(name) for name in self.places):
            self.up(len(self.places))
        self.do("heal")

    # What must hold

    def top(self) -> int:
        """The highest block that any engine has."""
        return max(place.height() for place in self)

    def wait_grown(self, blocks: int, seconds: float, names: str = "ABCD") -> float:
        """Until each of these nodes has made so many further blocks durable; how long it took."""
        targets = {name: self[name].replica_height() + blocks for name in names}
        return wait_until(
            lambda: all(self[name].replica_height() >= target for name, target in targets.items()),
            seconds,
            f"the nodes are not at blocks {targets}",
        )

    def wait_caught_up(self, name: str, seconds: float = CATCH_UP_S) -> float:
        """Until a node has what the others had when this was called, and a block more; how long it took."""
        target = max(place.replica_height() for place in self.others(name)) + 1
        return wait_until(
            lambda: self[name].replica_height() >= target, seconds, f"{name} is not at block {target}"
        )

    def check_one_history(self, names: str = "ABCD", first: int = 1) -> int:
        """Equal blocks and app hashes at equal heights, on every node's engine and in every node's own state.

        The height up to which it was compared.
        """
        top = min(self[name].height() for name in names)
        chains = {name: self[name].chain(max(1, first), top) for name in names}
        one = chains[names[0]]
        assert list(range(max(1, first), top + 1)) == sorted(one)
        for name, chain in chains.items():
            differing = [height for height in one if one[height] != chain[height]]
            assert not differing, f"{name} and {names[0]} differ at {differing}"
        stand = {name: self[name].command("network.status") for name in names}
        for name, status in stand.items():
            height = int(status["height"])
            other = self[names[-1] if name == names[0] else names[0]]
            wait_until(lambda: other.height() > height, CATCH_UP_S, "no further block")  # noqa: B023
            _, app_hash = other.chain(height + 1, height + 1)[height + 1]
            assert app_hash.lower() == status["app_hash"], f"{name} at block {height}"
        return top
