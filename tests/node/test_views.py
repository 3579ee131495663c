"""Who asks for a receipt, a checkpoint or an export sees a state that holds what was acknowledged before."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.verification import HEAD_VALUE
from careledger.node import exports, founding
from careledger.primitives.errors import VerificationFailed
from careledger.vault.model import AccessEntry
from careledger.vault.tables import RECORD_LOG
from tests.node.solo import _timestamp, new_solo, solo_of

PATIENT = {"resourceType": "Patient"}


class AnyHeader:
    """In place of the engine: the header is decided."""

    async def signed_state(self, home: object) -> None:
        return None


def test_who_cannot_be_shown_a_header_does_not_keep_the_block_up(tmp_path: Path) -> None:
    class NoHeader:
        async def signed_state(self, home: object) -> None:
            raise VerificationFailed("no step leads there")

    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        node.sequencer._headers = NoHeader()  # type: ignore[assignment]

        async def ask() -> None:
            async with node.sequencer.shown():
                raise AssertionError("there is nothing to show")

        async def ask_while_blocks_are_made() -> None:
            asking = asyncio.ensure_future(ask())
            await asyncio.sleep(0.02)
            await node.execute(node.home.height + 1, _timestamp(node.now_ms), ())
            with pytest.raises(VerificationFailed):
                await asking

        height = node.home.height
        node.run(ask_while_blocks_are_made())
        node.block()
        assert node.home.height == height + 2


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


def test_an_exports_entry_names_all_that_the_export_shows(tmp_path: Path) -> None:
    """What is acknowledged after the entry was composed is not shown: it is in a later batch."""
    with solo_of(new_solo(tmp_path / "home")) as node:
        sequencer, home = node.sequencer, node.home
        sequencer._headers = AnyHeader()  # type: ignore[assignment]
        assert node.client.put("/Patient/ada", PATIENT | {"id": "ada"}).status == 201
        node.anchor()
        named: list[int] = []
        context: Any = SimpleNamespace(home=home, backend=node.backend)
        with node.reader.snapshot() as snapshot:
            chart = snapshot.chart_ever_of("ada")
        assert chart is not None

        def compose() -> tuple[AccessEntry, ...]:
            (entry,) = exports._entry_of(context, chart, "Patient/ada", whole=True)
            named.append(len(entry.leaves))
            return (entry,)

        async def look() -> int:
            async with sequencer.shown(compose):
                with home.tables.env.begin() as txn:
                    key = founding.head_key(RECORD_LOG, home.keyring.get(chart).handle)
                    value = home.heads.get(LmdbKV(txn, home.tables.heads), key)
                assert value is not None
                return int(HEAD_VALUE.decode(value)[0])

        async def begin_to_look() -> asyncio.Task[int]:
            looked = asyncio.ensure_future(look())
            await asyncio.sleep(0.05)
            return looked

        assert node.client.put("/Patient/ada", PATIENT | {"id": "ada", "active": True}).status == 200
        while home.outbox.flight is None:
            node.run(asyncio.sleep(0.01))
        looked = node.run(begin_to_look())  # a batch is in flight: the entry departs with the next one
        assert node.client.put("/Patient/ada", PATIENT | {"id": "ada", "active": False}).status == 200
        for _ in range(5):
            node.run(asyncio.sleep(0.02))
            node.block()
        assert node.run(looked) == named[0]
