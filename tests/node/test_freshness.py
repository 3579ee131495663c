"""How a network's node keeps what readers ask: how old its newest block is, and how far each version's proof."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from careledger.fhir.freshness import UNKNOWN_MS, compute_age_ms, is_stale
from careledger.node import membership
from tests.faults.rig import new_home, node_of, observation, patient
from tests.fhir.client import header
from tests.node.solo import Solo, new_solo, solo_of


def age_ms(node: Solo) -> int:
    with node.backend.snapshot() as snapshot:
        return compute_age_ms(node.backend, snapshot)


def level(node: Solo, id: str) -> str:
    answer = node.client.get(f"Observation/{id}", careledger_level="?")
    assert answer.status == 200
    return header(answer, "careledger-level")


def write(node: Solo, id: str) -> None:
    assert node.client.put(f"Observation/{id}", observation(id, "ada", 70.0)).status == 201


def test_a_node_is_stale_until_a_block_comes_and_again_when_none_comes(tmp_path: Path, monkeypatch) -> None:
    path = new_solo(tmp_path / "home")
    with solo_of(path) as node:
        assert age_ms(node) >= UNKNOWN_MS
        node.block()
        assert not is_stale(age_ms(node))
        before = node.backend.monotonic_ms()
        node.now_ms += 10_001
        assert is_stale(age_ms(node))
        node.block()
        assert not is_stale(age_ms(node))
        monkeypatch.setattr(node.backend, "monotonic_ms", lambda: before + 60_000)
        assert is_stale(age_ms(node))
        served: Any = SimpleNamespace(
            home=node.home, backend=node.backend, networking=SimpleNamespace(signer=None, state_sync=None)
        )
        assert "the newest block is" in membership.list_problems(served)[-1]
        node.block()
        monkeypatch.undo()
        assert not membership.list_problems(served)
    with solo_of(path) as node:
        assert node.backend.snapshot().block.committed_ms is None
        assert is_stale(age_ms(node))
        assert int(header(node.client.get("Patient"), "careledger-stale")) >= 10


def test_an_embedded_home_is_never_stale_and_its_versions_are_anchored(tmp_path: Path, monkeypatch) -> None:
    with node_of(new_home(tmp_path / "home")) as node:
        node.client.put("Patient/ada", patient("ada"))
        backend = node.service.context.backend
        monkeypatch.setattr(backend, "now_ms", lambda: 1 << 45)
        answer = node.client.get("Patient/ada", careledger_level="?", careledger_height="?")
        assert header(answer, "careledger-level") == "anchored"
        assert header(answer, "careledger-height") == str(node.service.context.home.height)
        assert not header(answer, "careledger-stale")


def test_levels_rise_with_the_blocks_and_are_the_same_in_an_index_rebuilt(tmp_path: Path) -> None:
    path = new_solo(tmp_path / "home")
    with solo_of(path) as node:
        node.block()
        assert node.client.put("Patient/ada", patient("ada")).status == 201
        write(node, "first")
        assert level(node, "first") == "pending"
        node.empty_block()
        assert level(node, "first") == "pending", "a block without its anchor"
        node.anchor()
        assert level(node, "first") == "anchored"
        write(node, "second")
        node.empty_block()
        assert [level(node, id) for id in ("first", "second")] == ["final", "pending"]
        node.anchor()
        assert [level(node, id) for id in ("first", "second")] == ["final", "anchored"]
        write(node, "third")
        node.anchor()
        write(node, "fourth")
        kept = ["final", "final", "anchored", "pending"]
        assert [level(node, id) for id in ("first", "second", "third", "fourth")] == kept
    shutil.rmtree(path / "index")
    with solo_of(path) as node:
        assert [level(node, id) for id in ("first", "second", "third", "fourth")] == kept
        node.block()
        node.anchor()
        node.block()
        assert {level(node, id) for id in ("first", "second", "third", "fourth")} == {"final"}
