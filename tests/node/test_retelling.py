"""An engine that lost its data hears the same blocks again, and nothing is executed twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from careledger.ledger.consensus.abci import schema
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node.application import NodeApplication
from careledger.node.retelling import Retelling
from careledger.primitives.errors import CareLedgerError
from tests.node.solo import Solo, _timestamp, new_solo, solo_of


def told_blocks(node: Solo) -> list[Any]:
    """Every block as an engine tells of it."""
    ledger = node.home.the_ledger
    with node.home.tables.env.begin() as txn:
        kv = LmdbKV(txn, node.home.tables.ledger)
        blocks = [ledger.block(kv, height) for height in range(1, node.home.height + 1)]
    return [
        schema.RequestFinalizeBlock(height=one.height, time=_timestamp(one.time_ms), txs=one.transactions)
        for one in blocks
    ]


def application(node: Solo) -> NodeApplication:
    return NodeApplication(node.home, node.sequencer, node.pool, node.sequencer.tell_gone)


def begin(node: Solo) -> tuple[NodeApplication, bytes]:
    """An application whose engine is new; the first app hash that it is told."""
    fresh = application(node)
    asked = node.run(fresh.info(schema.RequestInfo()))
    assert asked.last_block_height == 0
    genesis = node.home.genesis
    state = b'{"genesis": "%s"}' % genesis.to_bytes().hex().encode()
    request = schema.RequestInitChain(chain_id=node.home.the_ledger.chain_id, app_state_bytes=state)
    return fresh, node.run(fresh.init_chain(request)).app_hash


def test_an_engine_without_data_hears_every_block_again(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        (node.home.layout.engine / "data" / "blockstore.db").mkdir(parents=True)
        assert not Retelling(node.home).is_behind
        node.client.post("/Patient", {"resourceType": "Patient", "name": [{"family": "Test"}]})
        node.anchor()
        for _ in range(3):
            node.block()
        newest, hashes, journal = node.home.height, {}, node.home.journal.position
        (node.home.layout.engine / "data" / "blockstore.db").rmdir()
        fresh, hashes[0] = begin(node)
        for request in told_blocks(node):
            hashes[request.height] = node.run(fresh.finalize_block(request)).app_hash
            node.run(fresh.commit(schema.RequestCommit()))
            if request.height == 2:  # and it is killed in between
                (node.home.layout.engine / "data" / "blockstore.db").mkdir()
                fresh = application(node)
                assert node.run(fresh.info(schema.RequestInfo())).last_block_height == 2
        assert hashes[newest] == node.home.the_ledger.app_hash
        assert len(set(hashes.values())) == newest + 1
        assert (node.home.height, node.home.journal.position) == (newest, journal)
        node.application = fresh
        assert node.block() == newest + 1
        assert not Retelling(node.home).is_behind


def test_another_block_than_was_executed_here_stops_the_node(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        node.block()
        fresh, _ = begin(node)
        first = told_blocks(node)[0]
        other = schema.RequestFinalizeBlock(height=1, time=first.time, txs=[*first.txs, b"other"])
        with pytest.raises(CareLedgerError, match="another block 1"):
            node.run(fresh.finalize_block(other))
        dated = schema.RequestFinalizeBlock(height=1, time=_timestamp(1), txs=first.txs)
        with pytest.raises(CareLedgerError, match="another block 1"):
            node.run(fresh.finalize_block(dated))
