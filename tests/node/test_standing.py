"""How directives stand in a real home: opened from its sealed leaves, as its ledger says, alike after a rebuild."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from careledger.access.actor import Actor
from careledger.access.decision import AccessRequest, decide
from careledger.access.scopes import parse_scopes
from careledger.access.standing import Standing
from tests.faults.rig import Node, new_home, node_of, patient
from tests.node.consenting import ELSEWHERE, Device

STRANGER = Actor("s", "c", ELSEWHERE, parse_scopes("system/*.rs"))
THIRD = "did:careledger:" + "9e" * 32
PAYER = Actor("p", "c", THIRD, parse_scopes("system/*.rs"))


def rule(node: Node, standing: Standing, name: str, actor: Actor = STRANGER) -> str:
    backend = node.service.context.backend
    with backend.snapshot() as snapshot:
        directives = standing.directives(snapshot, snapshot.chart_of(name), actor)
        request = AccessRequest("read", "Observation", ("?",), backend.organisation, (), backend.now_ms())
        return decide(request, actor, directives, (), snapshot.height).rule


def view(node: Node, standing: Standing) -> list[Any]:
    """All that can be asked, in a form that can be compared."""
    with node.service.context.backend.snapshot() as snapshot:
        charts = [snapshot.chart_of(name) for name in "abc"]
        return [
            [standing.all_directives(snapshot, chart) for chart in charts],
            [standing.directives(snapshot, chart, actor) for chart in charts for actor in (STRANGER, PAYER)],
            standing.charts(snapshot),
            [standing.charts_granted(snapshot, actor) for actor in (STRANGER, PAYER)],
        ]


def test_directives_stand_alike_in_an_index_kept_and_an_index_rebuilt(tmp_path: Path) -> None:
    path = new_home(tmp_path / "home")
    standing = Standing()
    with node_of(path) as node:
        for name in "abc":
            node.client.put(f"Patient/{name}", patient(name))
        devices = {name: Device(node.command, name, bytes([at]) * 32) for at, name in enumerate("ab", 1)}
        assert rule(node, standing, "a") == "no-directive"
        for device in devices.values():
            device.enrol()
        permit = devices["a"].grant()
        devices["b"].grant(to=(THIRD,))
        assert [rule(node, standing, name) for name in "abc"] == [
            "directive-permit", "no-directive", "no-directive",
        ]  # fmt: skip
        assert rule(node, standing, "b", PAYER) == "directive-permit"
        denial = devices["a"].grant(deny=True, purpose=())
        assert rule(node, standing, "a") == "directive-deny"
        devices["a"].revoke(denial)
        assert rule(node, standing, "a") == "directive-permit", "at the block of the revocation"
        devices["a"].revoke(permit)
        assert rule(node, standing, "a") == "no-directive"
        kept = view(node, standing)
        assert [len(found) for found in kept[0]] == [2, 1, 0]
        assert kept == view(node, Standing())
    shutil.rmtree(path / "index")
    with node_of(path) as node:
        assert view(node, Standing()) == kept
        assert rule(node, Standing(), "b", PAYER) == "directive-permit"
