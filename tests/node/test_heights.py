"""What is called a height is the ledger's, also where the home counts its own commits beside it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from careledger.node import commands, consents
from careledger.node.waiting import SyncTimes
from tests.node.solo import new_solo, solo_of


def test_status_and_what_an_operator_looked_at_name_the_ledgers_height(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        for _ in range(3):
            node.anchor()
            assert node.client.put("Patient/p", {"resourceType": "Patient", "id": "p"}).status in (200, 201)
        node.anchor()
        assert node.home.view > node.home.height
        context: Any = SimpleNamespace(
            backend=node.backend,
            reader=node.reader,
            home=node.home,
            sequencer=SimpleNamespace(sync_times=SyncTimes(0.001)),
            served=False,
            witnesses=SimpleNamespace(standing=list, problems=list),
            networking=None,
        )
        shown = node.run(commands.status(context, {}, lambda event: None))
        assert shown["height"] == node.home.height
        logged: list[Any] = []

        async def log_access(entries: tuple[Any, ...]) -> None:
            logged.extend(entries)

        context.backend = SimpleNamespace(log_access=log_access, now_ms=node.clock_ms)
        node.run(consents.show(context, {"patient": "p"}, lambda event: None))
        assert [entry.height for entry in logged] == [node.home.height]
