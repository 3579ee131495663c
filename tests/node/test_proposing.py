"""What a validator's node does with its own proposal, and with its own votes in the blocks of others."""

from __future__ import annotations

import asyncio
import io
import shutil
from pathlib import Path
from typing import Any

import pytest

from careledger.contracts.consent import compute_revocation_hash, revoke_message
from careledger.engine.signing_guard import GuardRefused
from careledger.ledger.blocks import TRANSACTIONS_MAX
from careledger.ledger.consensus import parcels, proposals, replica
from careledger.ledger.consensus.abci import schema
from careledger.ledger.consensus.abci.table import BlockIDFlag, ProposalStatus
from careledger.ledger.consensus.verdicts import InsertCode
from careledger.ledger.kernel import ED25519
from careledger.ledger.transaction import TRANSACTION_SIZE_MAX, SecretKey, build_transaction
from careledger.node import log
from careledger.node.networking import log_engine
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did
from tests.node.solo import Solo, _timestamp, new_solo, solo_of

OWN, OTHER = b"o" * 20, b"x" * 20


def propose(node: Solo, moment: Any) -> Any:
    request = schema.RequestPrepareProposal(
        height=node.home.height + 1, time=moment, max_tx_bytes=1 << 20
    )  # fmt: skip
    return node.run(node.application.prepare_proposal(request)).txs


def judge(node: Solo, moment: Any, transactions: Any) -> int:
    request = schema.RequestProcessProposal(height=node.home.height + 1, time=moment, txs=transactions)
    return int(node.run(node.application.process_proposal(request)).status)


def test_a_proposer_executes_its_block_once_and_comes_to_what_a_replay_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_solo(tmp_path / "home")
    with solo_of(path) as node:
        node.anchor()
        assert node.client.post("/Patient", {"resourceType": "Patient"}).status == 201
        while node.home.outbox.flight is None or node.sequencer._busy.locked():  # then the pool has it
            node.run(asyncio.sleep(0.01))
        moment = _timestamp(node.now_ms + 1)
        transactions = propose(node, moment)
        assert len(transactions) == 1
        with monkeypatch.context() as once:
            once.setattr(proposals, "check", None)
            once.setattr(replica, "apply_block", None)
            assert judge(node, moment, transactions) == ProposalStatus.ACCEPT
            node.run(node.execute(node.home.height + 1, moment, transactions))
        assert node.home.outbox.flight is None
        assert judge(node, _timestamp(node.now_ms + 2), [b"x"]) == ProposalStatus.REJECT
        height, app_hash = node.home.height, node.home.the_ledger.app_hash
    shutil.rmtree(path / "index")
    with solo_of(path) as node:
        assert (node.home.height, node.home.the_ledger.app_hash) == (height, app_hash)


def test_a_proposal_of_any_shape_is_answered(tmp_path: Path) -> None:
    """What escapes here ends the engine, and again at each start: one proposer would halt every node."""
    with solo_of(new_solo(tmp_path / "home")) as node:
        moment = _timestamp(node.now_ms + 1)
        shapes = [[b"x"], [b""], [bytes(TRANSACTION_SIZE_MAX + 2)], [b"x"] * (TRANSACTIONS_MAX + 1)]
        for transactions in shapes:
            assert judge(node, moment, transactions) == ProposalStatus.REJECT
        assert judge(node, _timestamp(-1), []) == ProposalStatus.REJECT
        node.block()


class Recorder:
    """A validator that signed up to height 7."""

    address = OWN

    def __init__(self) -> None:
        self.seen: list[int] = []

    def saw_own_vote(self, height: int) -> None:
        self.seen.append(height)
        if height > 7:
            raise GuardRefused("this key voted elsewhere")


def test_votes_of_the_own_key_are_shown_to_its_guard_and_the_block_goes_on(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        signer = node.application._signer = Recorder()

        async def finalise(height: int, *votes: tuple[bytes, BlockIDFlag]) -> None:
            commit = schema.CommitInfo(
                votes=[
                    schema.VoteInfo(validator=schema.Validator(address=address, power=1), block_id_flag=flag)
                    for address, flag in votes
                ]
            )
            moment = _timestamp(node.now_ms)
            await node.application.finalize_block(
                schema.RequestFinalizeBlock(height=height, time=moment, decided_last_commit=commit)
            )
            await node.application.commit(schema.RequestCommit())

        flags = [BlockIDFlag.ABSENT, BlockIDFlag.COMMIT, BlockIDFlag.NIL]
        for height in range(1, 4):
            node.run(finalise(height, (OTHER, BlockIDFlag.COMMIT), (OWN, flags[height - 1])))
        assert signer.seen == [1, 2]
        for height in range(4, 10):
            node.run(finalise(height, (OWN, BlockIDFlag.COMMIT)))
        assert signer.seen[-2:] == [7, 8]
        assert node.home.height == 9, "a validator that fell silent still follows"


def test_what_the_engine_says_of_every_block_is_not_logged() -> None:
    stream = io.StringIO()
    try:
        log.configure("info", stream)
        for level in ("debug", "info", "warning", "error"):
            log_engine(level, f"engine: {level}", {"height": 1})
    finally:
        log.configure()
    said = stream.getvalue()
    assert "engine: warning" in said and "engine: error" in said
    assert "engine: info" not in said and "engine: debug" not in said


def test_what_peers_send_together_is_taken_in_one_by_one(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:

        def insert(data: bytes) -> InsertCode:
            answer = node.run(node.application.insert_tx(schema.RequestInsertTx(tx=data)))
            return InsertCode(answer.code)

        def revocation(sequence: int) -> bytes:
            code = sha256(b"%d" % sequence)
            message = revoke_message(compute_revocation_hash(code), code=code)
            genesis_hash = node.home.the_ledger.genesis_hash
            until = node.now_ms + 60_000
            sponsor = Did(node.home.organisation)
            return build_transaction(
                genesis_hash,
                until,
                sponsor,
                5,
                sequence,
                [message],
                [SecretKey(ED25519, node.home.keys.node_seed)],
            )

        made = [revocation(sequence) for sequence in range(40)]
        (parcel,) = parcels.pack(made)
        assert insert(parcel) == InsertCode.OK
        assert insert(parcel) == InsertCode.OK, "known"
        handed = node.run(node.application.reap_txs(schema.RequestReapTxs())).txs
        assert [one for each in handed for one in parcels.unpack(each) if one in made] == made
        assert insert(parcels.MARK + b"\x00") == InsertCode.INVALID
        assert insert(parcels.pack([b"\x00a", b"\x00b"])[0]) == InsertCode.INVALID
        far = revocation(10_000)
        assert insert(parcels.pack([made[0], far])[0]) == InsertCode.AHEAD, "it may be offered again"
        node.block()
        assert not any(one in node.pool.pool for one in made)
