"""Fault catalogue C5: a grant and its revocation in one block, in every order and lane: the revocation wins, for ever."""

from __future__ import annotations

from itertools import permutations

import pytest

from careledger.contracts import CONTRACTS, anchor_message, consent
from careledger.ledger.blocks import BLOCK
from careledger.ledger.consensus.embedded import EmbeddedLedger
from careledger.ledger.execution import BlockInput, History, LaneOrder, Rules, apply_block
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.transaction import BODY, TRANSACTION
from tests.ledger.play import CLINIC, HOSPITAL, SIGNER, START_MS, Decided, Play, make_genesis

H, C = HOSPITAL, CLINIC
CHANGED_MIND, OTHER = Decided("changed her mind"), Decided("another's")


def lane_of(transaction: bytes) -> int:
    return BODY.decode(TRANSACTION.decode(transaction).body).lane


def revocation(play: Play, by: str, lane: int, sponsor=H) -> bytes:
    if by == "key":
        return play.build(
            [CHANGED_MIND.revoke()], [sponsor.node, CHANGED_MIND.key], lane=lane, sponsor=sponsor
        )
    return play.build([CHANGED_MIND.revoke_by_code()], [sponsor.node], lane=lane, sponsor=sponsor)


@pytest.mark.parametrize("lane", [0, 4])
@pytest.mark.parametrize("by", ["key", "code"])
def test_revocation_wins_in_every_order(by, lane):
    start = Play(with_clinic=True)
    block_of = [
        start.build([CHANGED_MIND.grant()], [H.node, CHANGED_MIND.key], lane=3),
        revocation(start, by, lane, C),
        start.build([OTHER.grant()], [C.node, OTHER.key], lane=3, sponsor=C),
        start.build([anchor_message(H.did, 0, bytes(32), bytes(32))], [H.node]),
    ]
    for order in permutations(range(4)):
        play = Play()
        play.kv = start.kv.copy()
        play.ledger = EmbeddedLedger.open(play.kv, CONTRACTS, SIGNER)
        play.now_ms = start.now_ms
        block = play.run([block_of[at] for at in order])
        codes = dict(zip(order, (receipt.code for receipt in block.receipts), strict=True))
        assert (codes[1], codes[2], codes[3]) == (0, 0, 0)
        lanes = [lane_of(one) for one in BLOCK.decode(block.block).transactions]
        assert lanes[0] == (0 if lane == 0 else lane_of(block_of[order[0]])), "lane 0 comes first"
        revoked_first = lane == 0 or order.index(1) < order.index(0)
        assert codes[0] == (consent.DirectiveWithdrawn.number if revoked_first else 0)
        entry = play.entry(CHANGED_MIND.commitment)
        assert entry is None if revoked_first else entry.status == consent.REVOKED
        again = play.build([CHANGED_MIND.grant()], [H.node, CHANGED_MIND.key], lane=3)
        refused = consent.DirectiveWithdrawn if revoked_first else consent.CommitmentUsed
        assert play.refuse(again) == refused.number
        assert play.entry(OTHER.commitment).status == consent.ACTIVE


def test_a_block_in_another_order_is_refused_where_it_is_executed():
    play = Play()
    grant = play.build([CHANGED_MIND.grant()], [H.node, CHANGED_MIND.key], lane=3)
    urgent = revocation(play, "key", 0)
    given = BlockInput(play.ledger.genesis_hash, 1, START_MS + 1, History(1, bytes(32)), [grant, urgent])
    outcome = apply_block(Rules(CONTRACTS), play.ledger.reader(play.kv), given)
    assert [receipt.code for receipt in outcome.receipts] == [0, LaneOrder.number]


def test_who_sees_a_commitment_early_cannot_keep_its_grant_out():
    """A revocation that comes first binds only grants under the key or the code that it shows."""
    play = Play(with_clinic=True)
    meddler = Decided("meddler")
    by_key = consent.revoke_message(CHANGED_MIND.commitment, public=meddler.key.key.public)
    by_code = consent.revoke_message(CHANGED_MIND.commitment, code=meddler.code)
    play.accept([by_key], [C.node, meddler.key], sponsor=C, lane=0)
    play.accept([by_code], [C.node], sponsor=C, lane=0)
    play.accept([CHANGED_MIND.grant()], [H.node, CHANGED_MIND.key], lane=3)
    assert play.entry(CHANGED_MIND.commitment).status == consent.ACTIVE


def test_the_ledger_holds_nothing_of_whom_or_for_whom():
    """Entries of every directive have one length; what a revocation shows is its own key or code."""
    play, sizes = Play(), set()
    for number, until_day in enumerate((0, 1, 20_000, consent.DAY_MAX)):
        one = Decided(f"directive {number}")
        play.accept([one.grant(until_day)], [H.node, one.key])
        sizes.add(len(play.ledger.state(play.kv, "consent", "directive", one.commitment) or b""))
        play.accept([one.revoke_by_code()], [H.node], lane=0)
        sizes.add(len(play.ledger.state(play.kv, "consent", "directive", one.commitment) or b""))
    assert sizes == {77}


def test_a_chain_with_directives_replays():
    play = Play(with_clinic=True)
    play.accept([CHANGED_MIND.grant()], [H.node, CHANGED_MIND.key], lane=3)
    urgent = revocation(play, "code", 0)
    play.run([play.build([OTHER.grant()], [H.node, OTHER.key], lane=3), urgent])
    kv = MemoryKV()
    again = EmbeddedLedger.create(kv, make_genesis(), CONTRACTS, SIGNER)
    for block in play.blocks:
        again.replay(kv, block)
    assert again.app_hash == play.ledger.app_hash
    assert consent.decode_entry(again.reader(kv)(consent.entry_key(CHANGED_MIND.commitment))).status == 2
