"""A real node inside the test's process: a home with cheap keys, opened, used through FHIR, closed, killed, compared."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from careledger.fhir.http import FhirApp
from careledger.fhir.messages import FhirResponse
from careledger.node import making, sequencer
from careledger.node.home import LockedHome, open_keys
from careledger.node.layout import Layout
from careledger.node.service import NodeService
from careledger.vault.keystore import Cost, Keys, KeyStore
from tests.fhir.client import Client

WAIT_SECONDS = 40.0
PASSPHRASE = "passphrase-123"
CHEAP = Cost(1, 8, 1)
OBSERVATION = {
    "status": "final",
    "category": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                    "code": "vital-signs",
                }
            ]
        }
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]},
}


@functools.cache
def _template(name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="careledger-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    create = KeyStore.create

    def cheap(keys: Path, passphrase: str, cost: Cost | None = None) -> Keys:
        return create(keys, passphrase, cost or CHEAP)

    with mock.patch.object(KeyStore, "create", staticmethod(cheap)):
        making.init(folder / "home", name, PASSPHRASE)
    return folder / "home"


def new_home(path: Path, name: str = "Test clinic") -> Path:
    """A fresh home at `path`; those of one name have the same keys and genesis."""
    shutil.copytree(_template(name), path)
    return path


class Node:
    """An open node with an event loop of its own. The loop runs while a call of this class does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = asyncio.new_event_loop()
        file, keys = open_keys(Layout(path), PASSPHRASE)
        self.service = NodeService(path, file, keys, served=False)
        try:
            self.run(self.service.start())
        except BaseException:
            self.loop.close()
            raise
        backend = self.service.context.backend
        backend.run = self.run  # type: ignore[attr-defined]
        self.client = Client(backend)

    def run(self, work: Any) -> Any:
        """The result; nobody may wait for ever."""
        return self.loop.run_until_complete(asyncio.wait_for(work, WAIT_SECONDS))

    def all(self, works: Iterable[Any]) -> list[Any]:
        """Side by side."""

        async def together() -> list[Any]:
            return list(await asyncio.gather(*works))

        found: list[Any] = self.run(together())
        return found

    def close(self) -> None:
        """Stop cleanly."""
        self.run(self.service.stop())
        self.loop.close()

    def settle(self, seconds: float = 0.0) -> None:
        """Let the node's own tasks run."""
        self.run(asyncio.sleep(seconds))

    def rest(self) -> None:
        """Let the node's own tasks run until every access entry is indexed and anchored."""
        context, end = self.service.context, time.monotonic() + WAIT_SECONDS
        access, busy = context.home.access, context.sequencer._busy
        while access.pending or access.changed or busy.locked():
            assert time.monotonic() < end
            self.settle(0.005)

    def command(self, name: str, **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.run(self.service.command(name, params, lambda _step: None))
        return found

    def fsck(self) -> list[str]:
        """What fsck finds."""
        report = self.command("fsck")
        assert report["ok"] == (not report["problems"])
        problems: list[str] = report["problems"]
        return problems

    def state(self) -> tuple[int, str, str]:
        """Height, app hash, root of the heads."""
        node = self.service.context.home
        return node.height, node.the_ledger.app_hash.hex(), node.heads.root.hex()

    def fresh(self) -> Client:
        """A client whose caches are empty: what it reads comes from the store."""
        self.service.reader.cache._bodies.clear()
        backend = self.service.context.backend
        return Client(backend, app=FhirApp(backend))


@contextmanager
def node_of(path: Path) -> Iterator[Node]:
    """The home opened; closed at the end whatever happens."""
    node = Node(path)
    try:
        yield node
    finally:
        node.close()


@contextmanager
def impatient() -> Iterator[None]:
    """Groups are staged at every step, access heads anchored at once: what takes a large node a while."""
    with (
        mock.patch.object(sequencer, "SLICE_SECONDS", 0.0),
        mock.patch.object(sequencer, "ACCESS_ANCHOR_SECONDS", 0.01),
        mock.patch.object(sequencer, "INDEX_LAG_SECONDS", 0.005),
    ):
        yield


def copy_home(source: Path, target: Path, *, index: bool = False) -> Path:
    """What a killed node leaves (its process goes on here, so only files are taken)."""
    skipped = [] if index else ["index", "running"]
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("node.sock", "lock", "fsck-*", *skipped))
    return target


def patient(id: str, family: str = "Quill") -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "name": [{"family": family, "given": ["Ada"]}]}


def observation(id: str, subject: str, value: float) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        **OBSERVATION,
        "subject": {"reference": f"Patient/{subject}"},
        "valueQuantity": {"value": value, "unit": "/min"},
    }


def appointment(id: str, patients: list[str]) -> dict[str, Any]:
    return {
        "resourceType": "Appointment",
        "id": id,
        "status": "booked",
        "participant": [
            {"actor": {"reference": f"Patient/{who}"}, "status": "accepted"}
            for who in dict.fromkeys(patients)
        ],
    }


def transaction(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """Every resource put under its id, all or nothing."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for one in resources
        ],
    }


def value_of(answer: FhirResponse) -> Any:
    """The value of an Observation as served."""
    return json.loads(answer.body)["valueQuantity"]["value"]


def open_home(path: Path) -> LockedHome:
    """The home locked and caught up, without a node."""
    file, keys = open_keys(Layout(path), PASSPHRASE)
    return LockedHome(path, file, keys)
