"""A network on this machine: one folder, in it a home for each organisation, each served by a process of its own.

DIR/network.json         the plan: names, ports, ids; no secret
DIR/NAME/home            a home like any other
DIR/NAME/passphrase      opens it (the file's mode is 0600): a network for trying out
DIR/NAME/serve.log       what its process says
DIR/NAME/pid             of that process, and when it began

Nothing is shared between homes. Everything listens on loopback.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from careledger.engine.genesis import KeyType
from careledger.engine.relay import read_cut, write_cut
from careledger.node import client, founders
from careledger.node.config import FILE_NAME
from careledger.node.layout import Layout
from careledger.primitives.errors import (
    CareLedgerError,
    Conflict,
    Invalid,
    Misconfigured,
    NotFound,
    Unavailable,
)

PLAN_NAME: Final = "network.json"
ORGANISATIONS_MAX: Final = 16
BASES: Final = range(28_000, 60_000, 500)
"""First ports that are tried where none is named."""
READY_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0
PORTS_EACH: Final = 3
PORTS_END: Final = 1 << 16
SNAPSHOT_BLOCKS: Final = 100
PASSED: Final = ("CARELEDGER_ENGINE", "CARELEDGER_ENGINE_CACHE", "CARELEDGER_TRACEBACK")
"""Of the environment's variables of this program, what the nodes get: their settings are in their homes."""

Report = Callable[[str], None]


class Organisation(msgspec.Struct, frozen=True):
    """One of a plan: its ports, and its engine's id."""

    name: str
    fhir: int
    p2p: int
    rpc: int
    node_id: str


class Plan(msgspec.Struct, frozen=True):
    """`network.json`."""

    chain_id: str
    key_type: str
    organisations: list[Organisation]


@dataclass(frozen=True, slots=True)
class LocalNetwork:
    """The network in a folder. `create` makes one, `open` finds it."""

    folder: Path
    plan: Plan

    @classmethod
    def open(cls, folder: Path) -> LocalNetwork:
        """Raises Misconfigured if there is none."""
        try:
            plan = msgspec.json.decode((folder / PLAN_NAME).read_bytes(), type=Plan)
        except (OSError, msgspec.DecodeError) as error:
            raise Misconfigured(
                f"there is no network in {folder}", hint=f"careledger network up --orgs 4 --dir {folder}"
            ) from error
        return cls(folder, plan)

    @classmethod
    def create(
        cls, folder: Path, names: list[str], base: int | None, key_type: KeyType, report: Report
    ) -> LocalNetwork:
        """Keys, genesis and homes of a network to come, or nothing. Raises Conflict if the folder is in use."""
        if folder.exists() and not folder.is_dir():
            raise Conflict(f"{folder} is no folder", hint="choose an empty folder")
        if folder.exists() and any(folder.iterdir()):
            raise Conflict(f"{folder} is not empty", hint="choose an empty folder")
        first = find_ports(len(names), base)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return cls._create(folder, names, first, key_type, report)
        except BaseException:  # an interrupt, too: half a network can be neither started nor reset
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise

    @classmethod
    def _create(
        cls, folder: Path, names: list[str], first: int, key_type: KeyType, report: Report
    ) -> LocalNetwork:
        found = []
        for name in names:
            report(f"keys of {name}")
            passphrase = secrets.token_urlsafe(24)
            place = folder / name
            place.mkdir(mode=0o700)
            write_private(place / "passphrase", passphrase + "\n")
            found.append((name, passphrase, founders.prepare(place / "home", name, passphrase, key_type)))
        genesis = founders.make_network_genesis([one for _, _, one in found], key_type)
        engine_genesis = founders.engine_genesis(genesis, [one for _, _, one in found], key_type)
        for name, passphrase, _ in found:
            report(f"home of {name}")
            founders.found_network_home(folder / name / "home", name, passphrase, genesis)
            founders.begin_engine(Layout(folder / name / "home"), engine_genesis)
        organisations = _plan(folder, names, first)
        plan = Plan(genesis.chain_id, key_type, organisations)
        for one in organisations:
            _write_config(folder / one.name / "home" / FILE_NAME, one, organisations)
        (folder / PLAN_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(plan)))
        return cls(folder, plan)

    def find(self, name: str) -> Organisation:
        """Raises NotFound with the names there are."""
        for one in self.plan.organisations:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in self.plan.organisations)
        raise NotFound(f"no organisation {name[:64]!r} in this network", hint=f"there are: {names}")

    def home(self, one: Organisation) -> Path:
        """Its home."""
        return self.folder / one.name / "home"

    def passphrase_file(self, one: Organisation) -> Path:
        """Opens its home."""
        return self.folder / one.name / "passphrase"

    # processes

    def pid(self, one: Organisation) -> int | None:
        """Of its process, if that lives."""
        try:
            pid, began = (self.folder / one.name / "pid").read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if _began(int(pid)) == began else None

    def start(self, one: Organisation) -> None:
        """Serve its home, with standard streams of its own. Nothing happens if it is served."""
        if self.pid(one) is not None:
            return
        with open(self.folder / one.name / "serve.log", "ab") as log:
            environment = {
                k: v for k, v in os.environ.items() if not k.startswith("CARELEDGER_") or k in PASSED
            }
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "careledger", "serve", "--home", str(self.home(one)),
                    "--passphrase-file", str(self.passphrase_file(one)),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment,
            )  # fmt: skip
        (self.folder / one.name / "pid").write_text(f"{process.pid} {_began(process.pid)}\n")

    def kill(self, one: Organisation) -> None:
        """SIGKILL its process; the engine dies with it."""
        pid = self.pid(one)
        if pid is None:
            raise Conflict(f"{one.name} is not running", hint="careledger network status")
        _signal(pid, signal.SIGKILL)
        self._wait_gone([one])

    def stop(self) -> None:
        """Every process ends cleanly."""
        for one in self.plan.organisations:
            if (pid := self.pid(one)) is not None:
                _signal(pid, signal.SIGTERM)
        self._wait_gone(self.plan.organisations)

    def stop_one(self, one: Organisation) -> None:
        """As `stop`, for one organisation."""
        if (pid := self.pid(one)) is not None:
            _signal(pid, signal.SIGTERM)
        self._wait_gone([one])

    def _wait_gone(self, organisations: list[Organisation]) -> None:
        until = time.monotonic() + STOP_SECONDS
        for one in organisations:
            while self.pid(one) is not None:
                if time.monotonic() > until:
                    raise Unavailable(
                        f"{one.name} does not stop", hint=f"see {self.folder / one.name / 'serve.log'}"
                    )
                time.sleep(0.05)

    def wait_ready(self, organisations: list[Organisation], least: int, report: Report) -> None:
        """Until each answers and has block `least`. Raises Unavailable with the log of who does not."""
        until = time.monotonic() + READY_SECONDS
        for one in organisations:
            while True:
                height = self.height(one)
                if height >= least:
                    report(f"{one.name} is ready at block {height}")
                    break
                if self.pid(one) is None or time.monotonic() > until:
                    raise Unavailable(
                        f"{one.name} did not become ready: {self._last_words(one)}",
                        hint=f"see {self.folder / one.name / 'serve.log'}",
                    )
                time.sleep(0.1)

    def height(self, one: Organisation) -> int:
        """Of its newest block; −1 while it does not answer."""
        try:
            return int(self.ask(one, "network.status")["height"])
        except CareLedgerError:
            return -1

    def ask(self, one: Organisation, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """A command of its node, which must be served. Raises what the node raises, or Unavailable."""
        connection = client.connect(Layout(self.home(one)).socket)
        if connection is None:
            raise Unavailable(f"{one.name} does not answer", hint=f"careledger network restart {one.name}")
        with connection:
            return client.ask(connection, method, params or {}, lambda _step: None)

    def _last_words(self, one: Organisation) -> str:
        try:
            lines = (self.folder / one.name / "serve.log").read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return lines[-1][:500] if lines else "it left no log"

    def reset(self) -> None:
        """Stop everything, and remove the folder."""
        self.stop()
        shutil.rmtree(self.folder)

    def others(self, one: Organisation) -> Iterator[Organisation]:
        """All but this one."""
        return (other for other in self.plan.organisations if other.name != one.name)

    # links

    def link(self, hears: Mapping[str, frozenset[str]]) -> None:
        """Cut every link but those between who `hears` whom; a node that does not run begins so when it is started."""
        for one in self.plan.organisations:
            heard = hears.get(one.name, frozenset())
            cut = [other.node_id for other in self.others(one) if other.name not in heard]
            if self.pid(one) is None:
                write_cut(Layout(self.home(one)).engine, cut)
            else:
                self.ask(one, "network.cut", {"peers": cut})

    def heal(self) -> None:
        """Everybody hears everybody."""
        names = frozenset(one.name for one in self.plan.organisations)
        self.link(dict.fromkeys(names, names))

    def heard_by(self, one: Organisation) -> list[Organisation]:
        """The others whom it hears: no link to them is cut."""
        cut = read_cut(Layout(self.home(one)).engine)
        return [other for other in self.others(one) if other.node_id not in cut]


def _plan(folder: Path, names: list[str], first: int) -> list[Organisation]:
    from careledger.engine.configuration import read_node_id

    ids = {name: read_node_id(Layout(folder / name / "home").engine) for name in names}
    return [
        Organisation(
            name=name,
            fhir=first + PORTS_EACH * at,
            p2p=first + PORTS_EACH * at + 1,
            rpc=first + PORTS_EACH * at + 2,
            node_id=ids[name],
        )
        for at, name in enumerate(names)
    ]


def _write_config(path: Path, one: Organisation, organisations: list[Organisation]) -> None:
    others = [other for other in organisations if other.name != one.name]
    peers = ", ".join(f'"{other.node_id}@127.0.0.1:{other.p2p}"' for other in others)
    path.write_text(
        f'[server]\nlisten = "127.0.0.1:{one.fhir}"\nbase_url = "http://localhost:{one.fhir}"\n\n[explorer]\nopen = true\n\n'
        f'[network]\np2p = "127.0.0.1:{one.p2p}"\nrpc = "127.0.0.1:{one.rpc}"\n'
        f"peers = [{peers}]\nrelayed = true\nsnapshot_blocks = {SNAPSHOT_BLOCKS}\n"
    )


def find_ports(organisations: int, base: int | None) -> int:
    """The first of as many free ports as the network needs. Raises Misconfigured if `base` has too few."""
    count = PORTS_EACH * organisations
    if base is not None:
        if not 0 < base <= PORTS_END - count:
            raise Invalid(f"there are no ports {base} to {base + count - 1}", hint="--base-port 28000")
        taken = next((port for port in range(base, base + count) if not is_free(port)), None)
        if taken is not None:
            raise Misconfigured(
                f"port {taken} is in use",
                hint=f"name another --base-port; {count} ports are needed",
                code="port-in-use",
            )
        return base
    for first in BASES:
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise Misconfigured("no free ports were found", hint="name one with --base-port")


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def _began(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: a number of it that is used again has another. None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _signal(pid: int, number: signal.Signals) -> None:
    """Nothing happens if it has ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def write_private(path: Path, text: str) -> None:
    """A new file that only this user reads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


FAULTS_FROM: Final = 4
NO_FAULTS: Final = (
    "a network of fewer than four organisations tolerates no faulty one: every block needs all of them. "
    "Admit a fourth (careledger join), and one may fail"
)


def flip_bit(path: Path) -> int:
    """Alter one bit in the middle of a file; where."""
    at = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    return at
