"""On a network a revocation holds with its block, and the Consent beside it follows: whatever happens in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from careledger.fhir import writing
from careledger.node.commands import COMMANDS
from careledger.node.config import load
from careledger.primitives.errors import Conflict
from tests.faults.rig import patient
from tests.node.consenting import Device
from tests.node.solo import Solo, new_solo, solo_of


class Clinic:
    """A node of a network, commanded; blocks come while a command waits for one."""

    def __init__(self, node: Solo, path: Path) -> None:
        self.node = node
        self._context: Any = SimpleNamespace(
            home=node.home, reader=node.reader, backend=node.backend, sequencer=node.sequencer,
            config=load(path),
        )  # fmt: skip

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        async def both() -> dict[str, Any]:
            told = asyncio.ensure_future(COMMANDS[method](self._context, params, lambda _step: None))
            for _ in range(20):
                await asyncio.sleep(0.01)
                if told.done():
                    break
                await self.node._block()
            return await told

        return dict(self.node.run(both()))

    def status(self, id: str) -> tuple[str, str]:
        """Of the directive on the ledger, and of its Consent."""
        listed = self.command("consent.list", patient="anna")["directives"]
        shown = next(one for one in listed if one["id"] == id)
        consent = json.loads(self.node.client.get(f"/{shown['consent']}").body)
        return shown["status"], consent["status"]


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    with solo_of(new_solo(tmp_path / "home")) as node:
        assert node.client.put("/Patient/anna", patient("anna")).status == 201
        node.anchor()
        yield Clinic(node, tmp_path / "home")


def write_between(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> None:
    """Once the next transaction is final, before anything else of its commit is written."""
    sequencer = clinic.node.sequencer
    finalise = sequencer.finalise

    async def and_then(transactions: tuple[bytes, ...]) -> int:
        height = await finalise(transactions)
        monkeypatch.undo()
        await work()
        return height

    monkeypatch.setattr(sequencer, "finalise", and_then)


def test_a_consent_that_was_written_while_its_revocation_was_under_way_ends_inactive(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(clinic.command, "anna", b"a" * 32)
    device.enrol()
    id = device.grant()
    assert clinic.status(id) == ("active", "active")
    listed = clinic.command("consent.list", patient="anna")["directives"]
    path = f"/{listed[0]['consent']}"
    consent = json.loads(clinic.node.client.get(path).body)

    async def alter() -> (
        None
    ):  # as a program did that did not refuse it yet, or another of the node's own writers
        monkeypatch.setattr(writing, "check_form", lambda _asking, _current: None)
        answer = await clinic.node.client.asend("PUT", path, consent | {"language": "de"})
        monkeypatch.undo()
        assert answer.status == 200

    write_between(clinic, monkeypatch, alter)
    device.revoke(id)
    assert clinic.status(id) == ("revoked", "inactive")
    with pytest.raises(Conflict, match="revoked already"):
        clinic.command("consent.revoke", id=id, code=device.code(id))


def test_a_revocation_whose_node_ended_before_its_consent_was_written_is_finished_when_it_is_repeated(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(clinic.command, "anna", b"a" * 32)
    device.enrol()
    id = device.grant()

    async def end() -> None:
        raise OSError("the power")

    write_between(clinic, monkeypatch, end)
    with pytest.raises(OSError, match="the power"):
        device.revoke(id)
    assert clinic.status(id) == ("revoked", "active")
    again = clinic.command("consent.revoke", id=id, code=device.code(id))
    assert (again["status"], clinic.status(id)) == ("revoked", ("revoked", "inactive"))
