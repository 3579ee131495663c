"""A network's node acknowledges before a block and anchors by one: whatever happens in between, nothing is lost."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from careledger.contracts import anchor_message, consent
from careledger.ledger.consensus.abci import schema
from careledger.ledger.kernel import ED25519
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.node import founding, voting
from careledger.node.config import load
from careledger.node.founding import ANCHOR_LANE
from careledger.node.group import LEDGER_REFUSES, ChartExists
from careledger.node.sequencer import Sequencer
from careledger.node.witnesses import Witnesses
from careledger.primitives.errors import CareLedgerError, Conflict, Invalid, Unavailable
from careledger.primitives.types import Did
from careledger.vault.model import Commit, ResourceWrite
from tests.node.solo import Solo, _timestamp, new_solo, solo_of

PATIENT = {"resourceType": "Patient", "name": [{"family": "Test"}]}
HOUR_MS = 3_600_000


def write(node: Solo) -> str:
    answer = node.client.post("/Patient", PATIENT)
    assert answer.status == 201
    return str(json.loads(answer.body)["id"])


def anchored(node: Solo) -> Any:
    with node.home.tables.env.begin() as txn:
        kv = LmdbKV(txn, node.home.tables.ledger)
        return founding.newest_anchor(node.home.the_ledger, kv, node.home.organisation)


def depart(node: Solo) -> bytes:
    """Until a batch is in flight: its transaction."""
    for _ in range(100):
        if node.home.outbox.flight is not None:
            return node.home.outbox.flight.transaction
        node.run(asyncio.sleep(0.01))
    raise AssertionError("nothing departs")


def state(node: Solo) -> tuple[Any, ...]:
    home = node.home
    return (
        home.height,
        home.the_ledger.app_hash,
        home.heads.root,
        sorted(home.outbox.records),
        home.outbox.flight,
    )


def build(node: Solo, lane: int, message: bytes, *keys: SecretKey) -> bytes:
    ledger, did = node.home.the_ledger, Did(node.home.organisation)
    with node.home.tables.env.begin() as txn:
        sequence = ledger.next_sequence(LmdbKV(txn, node.home.tables.ledger), did, lane)
    valid_until = node.now_ms + HOUR_MS
    return build_transaction(ledger.genesis_hash, valid_until, did, lane, sequence, [message], keys)


def test_what_is_acknowledged_waits_for_one_batch_at_a_time(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        before = state(node)
        write(node)
        first = depart(node)
        assert state(node)[:3] == before[:3], "heads move with the block, not before"
        other = write(node)
        node.run(asyncio.sleep(0.1))
        assert node.home.outbox.flight is not None and node.home.outbox.flight.transaction == first
        assert node.home.outbox.records
        node.block()
        assert node.home.heads.root == anchored(node).root != before[2]
        node.anchor()
        assert anchored(node).seq == 2
        assert node.client.get(f"/Patient/{other}").status == 200


def test_a_kill_at_any_step_leaves_a_home_that_goes_on_to_the_same(tmp_path: Path) -> None:
    """After the write, with the batch in flight, with the block executed, with the block committed: with its index,
    and with the index made again from the journal."""
    steps = []
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()

        def keep(name: str) -> None:
            shutil.copytree(tmp_path / "home", tmp_path / name)
            steps.append((name, state(node)))

        id = write(node)
        depart(node)
        keep("in flight")
        request = node.run(propose(node))
        node.run(node.application.finalize_block(request))
        shutil.copytree(tmp_path / "home", tmp_path / "executed")
        steps.append(("executed", steps[-1][1]))
        node.sequencer.abort_block()
        assert state(node) == steps[-1][1]
        node.block()
        keep("committed")
        end = state(node)[2:]
    for name, expected in steps:
        for is_rebuilt in (False, True):
            copy = tmp_path / f"{name} {is_rebuilt}"
            shutil.copytree(tmp_path / name, copy)
            if is_rebuilt:
                shutil.rmtree(copy / "index")
            with solo_of(copy) as again:
                assert state(again) == expected, (name, is_rebuilt)
                again.anchor()
                assert state(again)[2:] == end, (name, is_rebuilt)
                assert again.client.get(f"/Patient/{id}").status == 200


async def propose(node: Solo) -> Any:
    moment = _timestamp(node.now_ms)
    asked = schema.RequestPrepareProposal(height=node.home.height + 1, time=moment, max_tx_bytes=1 << 20)
    proposed = await node.application.prepare_proposal(asked)
    return schema.RequestFinalizeBlock(height=node.home.height + 1, time=moment, txs=proposed.txs)


def test_a_commit_whose_transaction_is_refused_changes_nothing(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        before = state(node), node.home.journal.position
        code = bytes(32)
        message = consent.revoke_message(consent.compute_revocation_hash(code), code=code)
        key = SecretKey(ED25519, node.home.keys.node_seed)
        node.finalise(build(node, 5, message, key))
        again = build(node, 5, message, key)
        with pytest.raises(Conflict) as refused:
            node.run(refuse(node, again))
        assert refused.value.code == LEDGER_REFUSES
        assert state(node)[2:] == before[0][2:]


async def refuse(node: Solo, transaction: bytes) -> None:
    waiting = asyncio.ensure_future(node.backend.commit(Commit(transactions=(transaction,))))
    await asyncio.sleep(0)
    await node._block()
    await waiting


def test_an_anchor_that_is_not_this_homes_stops_the_node(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        head = anchored(node)
        forged = anchor_message(Did(node.home.organisation), head.seq + 1, head.root, b"\7" * 32)
        key = SecretKey(ED25519, node.home.keys.node_seed)
        transaction = build(node, ANCHOR_LANE, forged, key)
        before = node.home.height
        with pytest.raises(CareLedgerError, match="anchors other records"):
            node.finalise(transaction)
        assert node.home.height == before
        with pytest.raises(Unavailable):
            node.sequencer.check_health()


def test_an_anchor_that_expired_is_signed_anew_for_the_same_batch(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        write(node)
        first = depart(node)
        root = node.home.outbox.flight.root if node.home.outbox.flight else b""
        node.now_ms += 2 * HOUR_MS
        node.empty_block()
        node.sequencer._submitted_at = 0.0
        node.anchor()
        assert anchored(node).root == root
        with node.home.tables.env.begin() as txn:
            block = node.home.the_ledger.block(LmdbKV(txn, node.home.tables.ledger), node.home.height)
        assert first not in block.transactions


def test_a_commit_that_is_sealed_anew_after_its_transaction_was_final_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an erasure changes a chart's keys while the block is on its way."""
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        code = bytes(32)
        message = consent.revoke_message(consent.compute_revocation_hash(code), code=code)
        transaction = build(node, 5, message, SecretKey(ED25519, node.home.keys.node_seed))
        now_ms = node.now_ms
        write = ResourceWrite("Basic", "b", 0, b'{"resourceType":"Basic","id":"b"}', now_ms, (), "")
        apply, tried = Sequencer.commit, 0

        async def refuse_once(sequencer: Any, commit: Any) -> Any:
            nonlocal tried
            tried += 1
            if tried == 1:
                raise ChartExists("keys changed meanwhile", hint="seal again and repeat")
            return await apply(sequencer, commit)

        monkeypatch.setattr(Sequencer, "commit", refuse_once)

        async def both() -> Any:
            waiting = asyncio.ensure_future(
                node.backend.commit(Commit((write,), transactions=(transaction,)))
            )
            for _ in range(5):
                await asyncio.sleep(0.01)
                await node._block()
            return await waiting

        height = node.run(both()).height
        assert tried == 2 and node.client.get("/Basic/b").status == 200
        assert node.run(node.sequencer.finalise((transaction,))) == height, "executed once, told twice"


def test_a_connection_that_is_closed_during_a_commit_leaves_the_block_to_the_next_start(
    tmp_path: Path,
) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        height, syncing = node.home.height, asyncio.Event()

        async def cut_short() -> None:
            await node.application.finalize_block(await propose(node))
            committing = asyncio.ensure_future(node.application.commit(schema.RequestCommit()))
            await syncing.wait()
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)

        async def no_end() -> None:
            syncing.set()
            await asyncio.sleep(3600)

        sync, node.sequencer._sync = node.sequencer._sync, no_end  # type: ignore[method-assign]
        node.run(cut_short())
        node.sequencer._sync = sync  # type: ignore[method-assign]
        assert node.home.height == height
        with pytest.raises(Unavailable, match="has stopped"):
            node.sequencer.check_health()
        assert node.client.post("/Patient", PATIENT).status == 503
    with solo_of(tmp_path / "home") as node:
        assert node.home.height == height + 1, "the journal has it"
        node.anchor()


def test_nothing_departs_where_nothing_waits(tmp_path: Path) -> None:
    """A batch that was to be handed over again came into a block meanwhile."""
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.anchor()
        seq = anchored(node).seq
        node.run(node.sequencer._anchor())
        assert node.home.outbox.flight is None and anchored(node).seq == seq


def test_a_proposal_is_made_as_it_was_asked_for_or_not_at_all(tmp_path: Path) -> None:
    """A nought is nobody's way to say: as usual."""
    with solo_of(new_solo(tmp_path / "home")) as node:
        context: Any = SimpleNamespace(home=node.home, sequencer=node.sequencer, backend=node.backend)
        asked = {"what": "jail", "validator": "00" * 20, "days": 0}
        with pytest.raises(Invalid, match="1 to 30 days"):
            node.run(voting.propose(context, asked, lambda _step: None))


def test_witnesses_of_before_a_migration_are_not_asked(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        (tmp_path / "home" / "config.toml").write_text('[witness]\nurls = ["http://127.0.0.1:1 nonsense"]\n')
        assert Witnesses.of(node.home, node.sequencer, load(tmp_path / "home")).peers == ()
