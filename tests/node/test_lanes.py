"""A group of a home becomes one block: lane 0 first, then the anchor, then the rest; a revocation acts at its block."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from careledger.contracts import consent
from careledger.fhir.search.extract import extract
from careledger.ledger.blocks import BLOCK, Block
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import BODY, TRANSACTION, SecretKey, build_transaction
from careledger.node.founding import ANCHOR_LANE
from careledger.node.group import LEDGER_REFUSES
from careledger.node.sequencer import GROUP_TRANSACTIONS_MAX
from careledger.primitives.errors import Conflict
from careledger.primitives.types import Did
from careledger.vault.model import Commit, ResourceWrite
from tests.faults.rig import Node, new_home, node_of
from tests.ledger.play import Decided

GRANT_LANE = 3
ONE, TWO = Decided("one"), Decided("two")


def build(node: Node, lane: int, message: bytes, *authors: SecretKey, ahead: int = 0) -> bytes:
    """The node's next transaction in the lane (or one of those after it)."""
    home = node.service.context.home
    ledger, did = home.the_ledger, Did(home.organisation)
    with home.tables.env.begin() as txn:
        sequence = ledger.next_sequence(LmdbKV(txn, home.tables.ledger), did, lane) + ahead
    valid_until = node.service.context.backend.now_ms() + 60_000
    keys = [SecretKey(1, home.keys.node_seed), *authors]
    return build_transaction(ledger.genesis_hash, valid_until, did, lane, sequence, [message], keys)


def send(node: Node, *transactions: bytes) -> list[int]:
    """Each in a commit of its own, at the same time; the heights at which they stand."""
    backend = node.service.context.backend
    return [one.height for one in node.all(backend.commit(Commit(transactions=(t,))) for t in transactions)]


def entry(node: Node, one: Decided) -> consent.Entry | None:
    with node.service.context.backend.snapshot() as snapshot:
        raw = snapshot.state(consent.entry_key(one.commitment))
    return None if raw is None else consent.decode_entry(raw)


def block(node: Node, height: int) -> Block:
    home = node.service.context.home
    with home.tables.env.begin() as txn:
        found = BLOCK.decode(home.the_ledger.block_bytes(LmdbKV(txn, home.tables.ledger), height))
    assert not any(found.codes)
    return found


def lanes(found: Block) -> list[int]:
    return [BODY.decode(TRANSACTION.decode(one).body).lane for one in found.transactions]


def organisation(node: Node) -> ResourceWrite:
    """A write to the house chart: something to anchor."""
    resource = {"resourceType": "Organization", "id": "o1", "name": "Test clinic"}
    found, now_ms = extract("Organization", resource), node.service.context.backend.now_ms()
    body = json.dumps(resource).encode()
    return ResourceWrite("Organization", "o1", 0, body, now_ms, values=found.values, terms=found.terms)


def test_urgent_transactions_stand_before_the_anchor_and_ordinary_ones_behind(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    with node_of(home) as node:
        (first,) = send(node, build(node, GRANT_LANE, ONE.grant(), ONE.key))
        grant = build(node, GRANT_LANE, TWO.grant(), TWO.key)
        revocation = build(node, 0, ONE.revoke(), ONE.key)
        backend = node.service.context.backend
        commits = [Commit((organisation(node),), transactions=(grant,)), Commit(transactions=(revocation,))]
        heights = {result.height for result in node.all(map(backend.commit, commits))}
        assert len(heights) == 1, "one group"
        height = heights.pop()
        assert height > first
        assert lanes(block(node, height)) == [0, ANCHOR_LANE, GRANT_LANE]
        assert entry(node, ONE).status == consent.REVOKED
        assert entry(node, TWO).status == consent.ACTIVE
        state = node.state()
        assert node.fsck() == []
    with node_of(home) as node:
        assert (node.state()[0] >= state[0], node.fsck()) == (True, [])


@pytest.mark.parametrize("revocation_first", [False, True])
def test_a_grant_and_its_revocation_at_the_same_time(tmp_path: Path, revocation_first: bool) -> None:
    """The revocation is never refused, whichever arrived first; the grant is, with all that its commit holds."""
    with node_of(new_home(tmp_path / "home")) as node:
        backend = node.service.context.backend
        grant = Commit((organisation(node),), transactions=(build(node, GRANT_LANE, ONE.grant(), ONE.key),))
        revocation = Commit(transactions=(build(node, 0, ONE.revoke(), ONE.key),))

        async def outcome(commit: Commit) -> int | str:
            try:
                return (await backend.commit(commit)).height
            except Conflict as refusal:
                return refusal.code

        both = [revocation, grant] if revocation_first else [grant, revocation]
        outcomes = dict(zip(both, node.all(map(outcome, both)), strict=True))
        assert outcomes == {revocation: node.state()[0], grant: LEDGER_REFUSES}
        assert entry(node, ONE) is None
        assert node.client.get("Organization/o1").status == 404
        with pytest.raises(Conflict, match="code 404"):
            send(node, build(node, GRANT_LANE, ONE.grant(), ONE.key))
        assert node.fsck() == []


def test_a_commit_that_is_both_urgent_and_not_may_wait_for_the_next_block(tmp_path: Path) -> None:
    """Its urgent half would come before ordinary transactions that were tried without it."""
    with node_of(new_home(tmp_path / "home")) as node:
        send(node, build(node, GRANT_LANE, ONE.grant(), ONE.key))
        backend = node.service.context.backend
        mixed = [
            Commit(
                transactions=(
                    build(node, GRANT_LANE, one.grant(), one.key, ahead=at),
                    build(node, 0, revoked.revoke(), revoked.key, ahead=at),
                )
            )
            for at, (one, revoked) in enumerate([(TWO, ONE), (Decided("three"), TWO)])
        ]
        first, second = (result.height for result in node.all(map(backend.commit, mixed)))
        assert second == first + 1
        assert lanes(block(node, first))[0] == lanes(block(node, second))[0] == 0
        assert {entry(node, one).status for one in (ONE, TWO)} == {consent.REVOKED}


def test_many_grants_at_once_take_time_in_proportion(tmp_path: Path) -> None:
    """Each is tried once, and a block takes so many that other requests do not wait long."""
    with node_of(new_home(tmp_path / "home")) as node:
        decided = [Decided(f"one of many {number}") for number in range(GROUP_TRANSACTIONS_MAX + 6)]
        tried: list[int] = []
        ledger = node.service.context.home.the_ledger
        try_out = ledger.try_out

        def counted(kv: Any, transactions: Any, *rest: Any) -> Any:
            tried.append(len(transactions))
            return try_out(kv, transactions, *rest)

        ledger.try_out = counted  # type: ignore[method-assign]
        grants = [build(node, GRANT_LANE, one.grant(), one.key, ahead=at) for at, one in enumerate(decided)]
        heights = send(node, *grants)
        assert sum(tried) == len(decided)
        assert len(set(heights)) == 2
        assert heights.count(heights[0]) == GROUP_TRANSACTIONS_MAX


def test_transactions_of_one_lane_in_one_group(tmp_path: Path) -> None:
    with node_of(new_home(tmp_path / "home")) as node:
        heights = send(
            node,
            build(node, GRANT_LANE, ONE.grant(), ONE.key),
            build(node, GRANT_LANE, TWO.grant(), TWO.key, ahead=1),
        )
        assert heights[0] == heights[1]
        assert {entry(node, one).status for one in (ONE, TWO)} == {consent.ACTIVE}
