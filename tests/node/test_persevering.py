"""A network's node whose disk takes nothing while blocks come: it waits, takes them in, and is where all others are."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import lmdb
import pytest

from careledger.ledger.consensus.abci import schema
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node import sequencer
from careledger.primitives.errors import Unavailable
from careledger.vault.index import IndexWriter
from careledger.vault.journal import Journal
from tests.node.solo import Solo, _timestamp, new_solo, solo_of

Outcome = tuple[int, bytes, bytes]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "REPAIR_SECONDS", 0.01)


class Broken:
    """A step that fails `times`, once it is armed, and then works again. `seen` is what readers were told meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception) -> None:
        self.left, self.failed = 0, 0
        works = getattr(owner, name)

        def step(*given: Any, **more: Any) -> Any:
            if self.left:
                self.left, self.failed = self.left - 1, self.failed + 1
                raise error
            return works(*given, **more)

        monkeypatch.setattr(owner, name, step)


FULL = lmdb.DiskError("planted")
STEPS: dict[str, tuple[Any, str, Exception]] = {
    "executing": (LmdbKV, "put", Unavailable("planted")),
    "the journal": (Journal, "append", Unavailable("planted")),
    "the index": (IndexWriter, "commit", FULL),
    "beginning": (IndexWriter, "begin", FULL),
}


def grow(node: Solo, number: int) -> None:
    assert node.client.put(f"/Patient/p{number}", {"resourceType": "Patient", "id": f"p{number}"}).status in (
        200,
        201,
    )


def outcome(node: Solo) -> Outcome:
    return node.home.height, node.home.the_ledger.app_hash, node.home.heads.root


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("times", [1, 4])
def test_a_block_that_the_disk_does_not_take_is_taken_later(
    step: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Broken(monkeypatch, *STEPS[step])
    path = new_solo(tmp_path / "home")
    with solo_of(path) as node:
        grow(node, 1)
        node.anchor()
        grow(node, 2)
        node.run(asyncio.sleep(0.05))  # its batch has departed
        height, told = node.home.height, []

        async def block_meanwhile() -> None:
            moment = _moment(node)
            proposed = await node.application.prepare_proposal(
                schema.RequestPrepareProposal(height=height + 1, time=moment, max_tx_bytes=1 << 20)
            )
            broken.left = times
            done = asyncio.ensure_future(node.execute(height + 1, moment, proposed.txs))
            while not done.done():
                await asyncio.sleep(0.002)
                if node.sequencer._index_behind:
                    told.append(node.backend.problems())
            await done

        node.run(block_meanwhile())
        assert broken.failed == times and broken.left == 0
        assert told and all(told), "nobody is answered meanwhile"
        assert node.backend.problems() == () and not node.sequencer.failed.is_set()
        assert node.home.height == height + 1
        grow(node, 3)
        node.anchor()
        assert {node.client.get(f"/Patient/p{number}").status for number in (1, 2, 3)} == {200}
        end = outcome(node)
    shutil.rmtree(path / "index")
    with solo_of(path) as node:
        assert outcome(node) == end, "the journal holds each block once"


def test_a_block_waits_for_an_index_that_failed_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Broken(monkeypatch, *STEPS["the index"])
    with solo_of(new_solo(tmp_path / "home")) as node:
        grow(node, 1)
        node.anchor()
        broken.left = 5
        assert node.client.put("/Patient/p2", {"resourceType": "Patient", "id": "p2"}).status == 503
        height = node.home.height
        assert node.block() == height + 1, "proposing waits too"
        assert node.backend.problems() == ()
        assert node.client.get("/Patient/p2").status == 200
        node.anchor()


def test_what_the_disk_may_have_lost_ends_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that failed: nobody knows what is there. It does not go on, and says so."""
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        broken = Broken(monkeypatch, Journal, "sync", OSError("planted"))
        broken.left = 1
        with pytest.raises(OSError, match="planted"):
            node.block()
        assert node.backend.problems()
        with pytest.raises(Unavailable):
            node.block()


def _moment(node: Solo) -> Any:
    node.now_ms = max(node.now_ms, node.home.the_ledger.time_ms)
    return _timestamp(node.now_ms)
