"""Whatever was committed, in whatever order: the journal alone gives the same index, app hash and heads again."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from careledger.node import recovery, sequencer
from careledger.node.backup import restore
from careledger.vault import journal as frames
from careledger.vault.journal import start_position
from tests.faults.rig import (
    PASSPHRASE,
    Node,
    appointment,
    copy_home,
    impatient,
    new_home,
    node_of,
    observation,
    open_home,
    patient,
    transaction,
)

PEOPLE = st.sampled_from([f"p{number}" for number in range(4)])
NAMES = st.sampled_from([f"r{number}" for number in range(5)])
OPERATIONS = st.one_of(
    st.tuples(st.just("patient"), PEOPLE, st.sampled_from(["Quill", "Okafor"])),
    st.tuples(st.just("observation"), NAMES, PEOPLE, st.integers(40, 180)),
    st.tuples(st.just("appointment"), NAMES, st.lists(PEOPLE, min_size=1, max_size=3)),
    st.tuples(st.just("house"), NAMES),
    st.tuples(st.just("delete"), st.sampled_from(["Observation", "Appointment"]), NAMES),
    st.tuples(st.just("read"), NAMES),
    st.tuples(st.just("everything"), PEOPLE),
    st.tuples(st.just("revoke"), NAMES),
    st.tuples(st.just("large"), st.lists(PEOPLE, min_size=1, max_size=3), st.integers(17, 70)),
    st.tuples(st.just("settle")),
)


async def perform(node: Node, operation: tuple[Any, ...]) -> None:
    """One operation; large ones with reads in the middle."""
    send = node.client.asend
    match operation:
        case ("patient", who, family):
            await send("PUT", f"Patient/{who}", patient(who, family))
        case ("observation", name, who, value):
            await send("PUT", f"Observation/{name}", observation(name, who, value))
        case ("appointment", name, people):
            answer = await send("PUT", f"Appointment/{name}", appointment(name, people))
            assert answer.status in (200, 201), answer.body
        case ("house", name):
            await send(
                "PUT", f"Organization/{name}", {"resourceType": "Organization", "id": name, "name": name}
            )
        case ("delete", kind, name):
            await send("DELETE", f"{kind}/{name}")
        case ("read", name):
            await send("GET", f"Observation/{name}")
        case ("everything", who):
            await send("GET", f"Patient/{who}/$everything")
        case ("revoke", name):
            await node.service.command("token.revoke", {"token": name}, lambda _step: None)
        case ("large", people, size):
            many = [observation(f"l{at}", people[at % len(people)], at) for at in range(size)]
            reads = [send("GET", f"Patient/{who}/$everything") for who in people * 3]
            answers = await asyncio.gather(send("POST", "", transaction(many)), *reads)
            assert answers[0].status == 200, answers[0].body
        case _:
            await asyncio.sleep(0.02)


def count_kinds(node: Node) -> list[int]:
    journal = node.service.context.home.journal
    return [frame.kind for frame in journal.frames(start_position(node.service.context.home.keys.home_id))]


EVERYTHING: list[tuple[Any, ...]] = [
    ("patient", "p0", "Quill"),
    ("observation", "r0", "p0", 60),
    ("observation", "r0", "p1", 61),
    ("appointment", "r1", ["p0", "p1", "p2"]),
    ("appointment", "r1", ["p2"]),
    ("house", "r2"),
    ("revoke", "r3"),
    ("read", "r0"),
    ("large", ["p0", "p3"], 40),
    ("everything", "p1"),
    ("delete", "Observation", "r0"),
]


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@example(EVERYTHING, 5)
@given(st.lists(OPERATIONS, min_size=1, max_size=14), st.integers(0, 14))
def test_four_ways_to_the_same_state(operations: list[tuple[Any, ...]], restart_at: int) -> None:
    with tempfile.TemporaryDirectory() as folder, impatient():
        path = new_home(Path(folder) / "home")
        node = Node(path)
        for at, operation in enumerate(operations):
            node.run(perform(node, operation))
            if at == restart_at:
                node.close()
                node = Node(path)
        killed = copy_home(path, Path(folder) / "killed", index=True)
        assert node.fsck() == []
        node.rest()
        live = node.state()
        backup = Path(folder) / "backup"
        node.command("backup", path=str(backup))
        assert node.fsck() == []
        node.close()
        with node_of(killed) as other:
            assert other.fsck() == []
        for what, rebuilt in (("restart", False), ("replay", True)):
            if rebuilt:
                shutil.rmtree(path / "index")
            with node_of(path) as again:
                assert again.state()[0] >= live[0], what
                assert again.fsck() == []
                state = again.state()
        with node_of(path) as again:
            assert again.state() == state
        restore(backup, Path(folder) / "restored", PASSPHRASE)
        with node_of(Path(folder) / "restored") as restored:
            assert restored.state() == live
            assert restored.fsck() == []


def test_the_order_of_properties_changes_no_index(tmp_path: Path) -> None:
    """Whatever order a client writes in, the index is the one that the stored form gives: `fsck` has nothing to say."""
    with node_of(new_home(tmp_path / "home")) as node:
        node.client.put("Patient/a", patient("a"))
        label = {"security": [{"system": "urn:x", "code": "R"}], "tag": [{"code": "t"}]}
        whole = observation("o", "a", 1.5)
        orders = {
            "meta-first": {"meta": label, **whole},
            "meta-last": {**whole, "meta": label},
            "all-last": {**dict(reversed(whole.items())), "meta": label},
        }
        for id, resource in orders.items():
            assert node.client.put(f"Observation/{id}", resource | {"id": id}).status == 201
        assert node.fsck() == []
        found = json.loads(node.client.get("Observation?patient=a&_security=urn:x|R&_summary=count").body)
        assert found["total"] == len(orders)


def test_staged_frames_of_a_dead_group_never_count(tmp_path: Path) -> None:
    """Killed in the middle of a large Bundle: nothing of it is there, and the next group is not mixed with it."""
    path = new_home(tmp_path / "home")
    with impatient():
        node = Node(path)
        node.client.put("Patient/p0", patient("p0"))
        node.run(perform(node, ("large", ["p0", "p1"], 70)))
        kinds = count_kinds(node)
        assert frames.STAGED in kinds
        staged = [
            frame
            for frame in node.service.context.home.journal.frames(
                start_position(node.service.context.home.keys.home_id)
            )
            if frame.kind == frames.STAGED
        ]
        journal = (path / "journal" / "log").read_bytes()
        dead = copy_home(path, tmp_path / "dead")
        (dead / "journal" / "log").write_bytes(journal[: staged[-1].end])
        node.close()
        with node_of(dead) as killed:
            assert killed.client.get("Observation/l0").status == 404
            assert killed.client.put("Patient/p1", patient("p1")).status == 201
            assert killed.fsck() == []
            state = killed.state()
        shutil.rmtree(dead / "index")
        with node_of(dead) as rebuilt:
            assert rebuilt.state() >= state
            assert rebuilt.client.get("Patient/p1").status == 200
            assert rebuilt.fsck() == []


def test_reads_while_many_heads_are_anchored(tmp_path: Path) -> None:
    """An access entry journalled between the cut and the block's frame belongs to the next block."""
    path = new_home(tmp_path / "home")
    people = [f"q{number}" for number in range(130)]
    with node_of(path) as node, impatient():
        node.client.post("", transaction([patient(who) for who in people]))
        for _ in range(3):
            for at in range(0, len(people), 10):
                reads = [node.client.asend("GET", f"Patient/{who}") for who in people[at : at + 10]]
                node.all(reads)

        async def read_on() -> None:
            for _ in range(8):
                await asyncio.gather(*(node.client.asend("GET", f"Patient/{who}") for who in people))

        node.run(read_on())
        assert node.fsck() == []


def test_reads_while_the_index_takes_in_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is journalled between two slices is in the index as well, and after a kill."""
    path = new_home(tmp_path / "home")
    monkeypatch.setattr(sequencer, "ENTRIES_PER_SLICE", 1)
    people = [f"q{number}" for number in range(6)]
    with node_of(path) as node, impatient():
        node.client.post("", transaction([patient(who) for who in people]))

        async def read_on(who: str) -> None:
            for _ in range(40):
                await node.client.asend("GET", f"Patient/{who}")

        node.all(map(read_on, people))
        dead = copy_home(path, tmp_path / "dead", index=True)
        assert node.fsck() == []
    with node_of(dead) as killed:
        assert killed.fsck() == []


def test_an_interrupted_rebuild_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any point of a rebuild: the next start ends it."""
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        for at in range(3):
            node.client.put(f"Patient/p{at}", patient(f"p{at}"))
        state = node.state()
    add = recovery.Replay.add
    for point in range(4):
        shutil.rmtree(path / "index")

        def dying(self: recovery.Replay, frame: Any, *, _point: int = point) -> None:
            if self.frames == _point:
                raise KeyboardInterrupt
            add(self, frame)

        monkeypatch.setattr(recovery.Replay, "add", dying)
        with pytest.raises(KeyboardInterrupt):
            open_home(path)
        monkeypatch.setattr(recovery.Replay, "add", add)
        with node_of(path) as node:
            assert node.state() == state
            assert node.fsck() == []
