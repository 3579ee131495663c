"""A node that can promise nothing any more says so to everybody, for as long as anybody asks."""

from __future__ import annotations

import asyncio
import gc
import shutil
from pathlib import Path

from careledger.ledger.consensus.abci import schema
from careledger.ledger.consensus.abci.frames import encode_frame
from careledger.ledger.consensus.abci.server import serve
from tests.node.solo import _timestamp, new_solo, solo_of

ASKED = 300
"""More often than the index has room for readers."""


def test_a_failed_node_answers_everybody_alike_and_keeps_nothing_of_them(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        made = node.client.post("/Patient", {"resourceType": "Patient"})
        assert made.status == 201
        node.sequencer.fail(RuntimeError("the disk"))
        gc.disable()  # when it comes depends on everything else that the process holds
        try:
            for path in ("/Patient/none", "/Patient?_count=1"):
                assert {node.client.get(path).status for _ in range(ASKED)} == {503}
        finally:
            gc.enable()
        assert node.home.tables.env.info()["num_readers"] < ASKED // 4


def test_a_block_that_the_engine_did_not_commit_is_decided_again(tmp_path: Path) -> None:
    """At whichever point the engine ends and comes back; writes do not wait for it in between."""
    path = new_solo(tmp_path / "home")
    with solo_of(path) as node:
        node.anchor()
        height = node.home.height + 1
        before = node.home.the_ledger.app_hash
        moment = _timestamp(node.now_ms)
        request = schema.RequestFinalizeBlock(height=height, time=moment)
        first = node.run(node.application.finalize_block(request))
        assert node.run(node.application.finalize_block(request)) == first, "decided again at once"
        node.sequencer.abort_block()  # the connection ended
        assert node.client.post("/Patient", {"resourceType": "Patient"}).status == 201
        assert (node.home.height, node.home.the_ledger.app_hash) == (height - 1, before)
        told = node.run(node.application.info(schema.RequestInfo()))
        assert (told.last_block_height, told.last_block_app_hash) == (height - 1, before)

        async def commit_and_decide_again() -> schema.ResponseFinalizeBlock:
            """The engine ended while the disk was slow; the next one asks before that is done."""
            assert await node.application.finalize_block(request) == first
            committing = asyncio.ensure_future(node.application.commit(schema.RequestCommit()))
            await asyncio.sleep(0)
            node.sequencer.abort_block()
            again = await node.application.finalize_block(request)
            await committing
            await node.application.commit(schema.RequestCommit())
            return again

        sync = node.sequencer._sync

        async def slow_sync() -> None:
            await asyncio.sleep(0.05)
            await sync()

        node.sequencer._sync = slow_sync  # type: ignore[method-assign]
        assert node.run(commit_and_decide_again()).app_hash == first.app_hash
        assert node.home.height == height
        node.anchor()
        end = (node.home.height, node.home.the_ledger.app_hash)
    shutil.rmtree(path / "index")
    with solo_of(path) as node:
        assert (node.home.height, node.home.the_ledger.app_hash) == end


def test_when_the_connection_over_which_blocks_are_decided_ends_the_node_is_told(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        told: list[int] = []

        async def talk(request: schema.Request) -> None:
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            for one in (request, schema.Request(flush=schema.RequestFlush())):
                writer.write(encode_frame(one))
            assert await reader.read(1)
            assert not told
            writer.close()
            await asyncio.sleep(0.05)

        async def both() -> None:
            failures: list[BaseException] = []
            server = await serve(
                tmp_path / "s", node.application, failures.append, on_hang_up=lambda: told.append(1)
            )
            await talk(schema.Request(info=schema.RequestInfo()))
            request = schema.RequestFinalizeBlock(height=node.home.height + 1, time=_timestamp(node.now_ms))
            await talk(schema.Request(finalize_block=request))
            node.sequencer.abort_block()
            await server.close()
            assert not failures

        node.run(both())
        assert told == [1]
