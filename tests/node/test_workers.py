"""Other processes forget what was erased before anybody is told that it is erased."""

from __future__ import annotations

import asyncio
import http.client
import json
from pathlib import Path

import pytest

from careledger.node import client, workers
from careledger.node.door import Door
from careledger.node.remote import RemoteSequencer
from careledger.node.sequencer import Sequencer
from careledger.primitives.errors import Unavailable
from tests.faults.killing import serving
from tests.faults.rig import new_home, node_of, observation, patient

TRIES = 24
"""Connections of their own: both workers answer some of them."""


def test_a_worker_is_told_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "FORGET_SECONDS", 0.3)
    with node_of(new_home(tmp_path / "home")) as node:
        sequencer: Sequencer = node.service.context.sequencer
        forgotten: list[str] = []
        deaf = asyncio.Event()

        async def tell_all() -> None:
            door = Door(tmp_path / "door", sequencer, {})
            await door.open()
            near, far = (
                RemoteSequencer(tmp_path / "door", lambda: forgotten.append("near")),
                RemoteSequencer(tmp_path / "door", lambda: forgotten.append("far")),
            )
            await near.start()
            await far.start()
            await sequencer.workers.forget()
            assert sorted(forgotten) == ["far", "near"]
            await far.stop()
            await asyncio.sleep(0.05)
            await sequencer.workers.forget()
            assert sorted(forgotten) == ["far", "near", "near"]
            sequencer.workers.add(lambda: deaf.wait())  # type: ignore[arg-type,return-value]
            with pytest.raises(Unavailable, match="did not confirm"):
                await sequencer.workers.forget()
            await near.stop()
            await door.close()

        node.run(tell_all())


def test_an_erasure_is_told_to_every_worker_once_the_old_keys_are_gone(tmp_path: Path) -> None:
    with node_of(new_home(tmp_path / "home")) as node:
        node.client.put("Patient/ada", patient("ada"))
        epochs: list[int] = []

        async def tell() -> None:
            epochs.append(len(node.service.context.home.keys.wrap_masters))

        node.service.context.sequencer.workers.add(tell)
        node.command("erase", reference="Patient/ada/_history/1", reason="misfiled")
        node.command("shred", patient="ada", reason="asked for")
        assert epochs == [1, 1]


@pytest.mark.slow
def test_two_workers_that_had_it_open_serve_it_no_more(tmp_path: Path) -> None:
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        token = node.command("token.issue", client="t", scope="system/*.cruds", expires_s=600)["token"]
        for who in ("ada", "ben"):
            node.client.put(f"Patient/{who}", patient(who))
            for value in (1, 2):
                node.client.put(f"Observation/of-{who}", observation(f"of-{who}", who, value))

    def ask(port: int, url: str) -> set[tuple[int, int]]:
        """Status and total, of a connection each."""
        found = set()
        for _ in range(TRIES):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", f"/fhir/{url}", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            found.add((answer.status, json.loads(answer.read()).get("total", -1)))
            connection.close()
        return found

    with serving(path, 2) as (_, port):
        version, search = "Observation/of-ada/_history/1", "Observation?patient=ada"
        assert ask(port, version) == {(200, -1)}
        assert ask(port, search) == {(200, 1)}
        client.call(path, "erase", {"reference": version, "reason": "misfiled"}, None)
        assert ask(port, version) == {(410, -1)}
        assert ask(port, search) == {(200, 1)}
        done = client.call(path, "shred", {"patient": "ada", "reason": "asked for"}, None)
        assert json.loads(done["certificate"])["header"]["kind"] == "close"
        assert ask(port, version) == {(404, -1)}
        assert ask(port, search) == {(200, 0)}
        assert ask(port, "Observation?patient=ben") == {(200, 1)}
        assert client.call(path, "fsck", {}, None)["problems"] == []
