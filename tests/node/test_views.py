"""Who asks for a receipt, a checkpoint or an export sees a state that holds what was acknowledged before."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.node.solo import new_solo, solo_of


class AnyHeader:
    """In place of the engine: the header is decided."""

    async def signed_state(self, home: object) -> None:
        return None


def test_a_batch_that_departs_while_somebody_asks_is_waited_for(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        sequencer, outbox = node.sequencer, node.home.outbox
        sequencer._headers = AnyHeader()  # type: ignore[assignment]
        departs, goes_on = asyncio.Event(), asyncio.Event()
        sync = sequencer._sync

        async def slow_sync() -> None:
            if outbox.flight is not None:
                departs.set()
                await goes_on.wait()
            await sync()

        async def look() -> bool:
            async with sequencer.shown():
                return outbox.flight is None and not outbox.records

        async def ask_while_it_departs() -> asyncio.Task[bool]:
            await departs.wait()
            looked = asyncio.ensure_future(look())
            await asyncio.sleep(0)
            goes_on.set()
            await asyncio.sleep(0.05)
            return looked

        sequencer._sync = slow_sync  # type: ignore[method-assign]
        answer = node.client.post("/Patient", {"resourceType": "Patient"})
        assert answer.status == 201 and json.loads(answer.body)["id"]
        looked = node.run(ask_while_it_departs())
        node.empty_block()
        assert not looked.done(), "what was acknowledged is in no block yet"
        node.anchor()
        node.empty_block()
        assert node.run(looked), "the block was made before who looks was done"
