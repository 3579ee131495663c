"""The pool of a network node: who gets in, who gives way, what is handed out, what a block takes (C11)."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from careledger.contracts import CONTRACTS, anchor_message
from careledger.contracts.identity import DEACTIVATE, Deactivate
from careledger.ledger import execution, transaction
from careledger.ledger.consensus.pool import Limits, Pool
from careledger.ledger.consensus.proposals import prepare
from careledger.ledger.consensus.queues import (
    COST_LEAST,
    TURN_COST,
    VARIANTS_MAX,
    Room,
    Turns,
    compute_wire_size,
)
from careledger.ledger.consensus.rates import NAMES_MAX, Buckets
from careledger.ledger.consensus.verdicts import Gone, InsertCode, Source, Why
from careledger.ledger.consensus.verified import VerifiedOnce
from careledger.ledger.execution import Rules, apply_block
from careledger.ledger.transaction import TRANSACTION, compute_id, sign_transaction
from tests.ledger.crowd import GENESIS_HASH, PARTIES, Crowd, lane_of, trusting, unsigned, withdrawal
from tests.ledger.play import STRANGER

ANNA, RIVERSIDE, NORTHGATE, HILLCREST = PARTIES
MIB = 1 << 20
COST = 270 + COST_LEAST
"""Of one transaction of this test."""
WIRE = 273


def make_pool(crowd, **limits):
    return Pool(crowd.rules, GENESIS_HASH, crowd.read, crowd.height, crowd.time_ms, Limits(**limits))


def room(count, of_one=None, cost=1 << 30):
    return Room(cost, count, cost, of_one or count)


def insert(pool, *transactions, source=Source.PEER, now_ms=0):
    return [pool.insert(data, source, now_ms).code for data in transactions]


def commit(crowd, pool, transactions, seconds=1):
    outcome = crowd.commit(transactions, seconds)
    pool.update(transactions, crowd.read, crowd.height, crowd.time_ms)
    return outcome


def with_authenticators(data, *authenticators):
    body = TRANSACTION.decode(data).body
    return TRANSACTION.encode(transaction.Transaction(body, tuple(authenticators)))


def forge(data):
    """The same with a signature of zeros."""
    (one,) = TRANSACTION.decode(data).authenticators
    return with_authenticators(data, dataclasses.replace(one, signature=bytes(64)))


def id_of(data):
    return compute_id(TRANSACTION.decode(data).body)


# arrival

REFUSALS = [
    ("over the size limit", lambda c: bytes(200_000), InsertCode.INVALID, transaction.TransactionTooLarge),
    ("no transaction", lambda c: b"abc", InsertCode.INVALID, transaction.Malformed),
    ("trailing byte", lambda c: c.build(ANNA, 1, 0) + b"\x00", InsertCode.INVALID, transaction.Malformed),
    ("another ledger", lambda c: c.build(ANNA, 1, 0, genesis_hash=bytes(32)), InsertCode.INVALID, execution.OtherLedger),
    ("expired", lambda c: c.build(ANNA, 1, 0, valid_ms=-1), InsertCode.INVALID, execution.Expired),
    ("valid too long", lambda c: c.build(ANNA, 1, 0, valid_ms=86_400_001), InsertCode.NOT_NOW, execution.ValidTooLong),
    ("lane 16", lambda c: c.build(ANNA, 16, 0), InsertCode.INVALID, execution.UnknownLane),
    ("no message", lambda c: c.build(ANNA, 1, 0, []), InsertCode.INVALID, execution.NoMessages),
    ("unknown message", lambda c: c.build(ANNA, 1, 0, [b"\xff\xff"]), InsertCode.NOT_NOW, execution.UnknownMessage),
    ("not urgent, in lane 0", lambda c: c.build(ANNA, 0, 0, [withdrawal("x"), anchor_message(ANNA.did, 0, bytes(32), bytes(32))]), InsertCode.INVALID, execution.LaneReserved),
    ("sequence used", lambda c: c.build(ANNA, 1, 1), InsertCode.INVALID, execution.SequenceMismatch),
    ("unknown sponsor", lambda c: c.build(STRANGER, 1, 0), InsertCode.NOT_NOW, execution.UnknownSponsor),
    ("sponsor not signed", lambda c: c.build(ANNA, 1, 2, keys=[RIVERSIDE.node]), InsertCode.NOT_NOW, execution.SponsorNotSigned),
    ("signature forged", lambda c: forge(c.build(ANNA, 1, 2)), InsertCode.INVALID, transaction.BadAuthenticator),
    ("too far ahead", lambda c: c.build(ANNA, 1, 2 + 8), InsertCode.AHEAD, None),
    ("over the quota", lambda c: c.build(RIVERSIDE, 1, 0, [withdrawal("x")] * 16), InsertCode.NOT_NOW, execution.QuotaExceeded),
]  # fmt: skip


@pytest.mark.parametrize(
    "build, code, refusal", [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_what_is_refused_on_arrival_and_by_which_rule(build, code, refusal):
    crowd = Crowd(quota=1_000)
    crowd.commit([crowd.build(ANNA, 1, at) for at in (0, 1)])
    pool = make_pool(crowd, ahead_max=8)
    verdict = pool.insert(build(crowd), Source.PEER, 0)
    assert (verdict.code, type(verdict.refusal)) == (code, refusal or type(None))
    assert len(pool) == pool.size_bytes == 0
    assert pool.counts.inserted == {code: 1}
    assert verdict.code.is_retry == (verdict.code >= 32_000)


def test_only_what_every_other_check_let_through_has_its_signatures_verified():
    verified = VerifiedOnce()
    crowd = Crowd(Rules(CONTRACTS, verified), quota=1_000)
    crowd.commit([crowd.build(ANNA, 1, at) for at in (0, 1)])
    before = verified.verified
    pool = make_pool(crowd, ahead_max=8, ordinary=room(1))
    for name, build, _, _ in REFUSALS:
        pool.insert(build(crowd), Source.PEER, 0)
        assert verified.verified == before, name
    good = crowd.build(ANNA, 1, 2)
    assert insert(pool, good, good, crowd.build(ANNA, 1, 3)) == [0, InsertCode.DUPLICATE, InsertCode.FULL]
    assert verified.verified == before + 1
    assert commit(crowd, pool, [good]).receipts[0].code == 0
    assert verified.verified == before + 1, "the block verifies it again"


def test_one_transaction_for_a_sequence_in_the_forms_that_peers_passed_on():
    """A peer that passes a body on with a signature too many cannot keep the sponsor's own form out."""
    crowd = Crowd()
    pool = make_pool(crowd)
    own = crowd.build(ANNA, 1, 0)
    body = TRANSACTION.decode(own).body
    padded = [sign_transaction(body, [ANNA.node, party.node]) for party in (RIVERSIDE, NORTHGATE, HILLCREST)]
    assert insert(pool, *padded) == [0, 0, 0]
    assert insert(pool, own) == [InsertCode.DUPLICATE], f"{VARIANTS_MAX} forms are kept"
    assert insert(pool, own, source=Source.LOCAL) == [0], "the node's own form comes in, and first"
    assert (len(pool), own in pool, padded[2] in pool) == (VARIANTS_MAX, True, False)
    assert pool.select(MIB, 100) == [own]
    other = crowd.build(ANNA, 1, 0, [withdrawal("another")])
    assert insert(pool, other, source=Source.LOCAL) == [InsertCode.CONFLICT]
    commit(crowd, pool, [own])
    assert len(pool) == 0


def test_forms_that_peers_make_do_not_make_the_sponsors_share_smaller():
    crowd = Crowd()
    pool = make_pool(crowd, ordinary=room(8, 4))
    own = [crowd.build(ANNA, 1, at) for at in range(4)]
    padded = [sign_transaction(TRANSACTION.decode(own[0]).body, [ANNA.node, one.node]) for one in PARTIES[1:]]
    insert(pool, own[0], *padded[:2], own[1])
    assert len(pool) == 4
    assert insert(pool, own[2], own[3]) == [0, 0]
    assert insert(pool, padded[2]) == [InsertCode.FULL]
    assert pool.select(MIB, 100) == own
    others = [crowd.build(party, 1, at) for party in (RIVERSIDE, NORTHGATE) for at in range(2)]
    assert insert(pool, *others) == [0] * 4
    assert len(pool.select(MIB, 100)) == 8


def test_a_form_that_is_refused_makes_way_for_the_next():
    crowd = Crowd()
    pool = make_pool(crowd)
    own = crowd.build(ANNA, 1, 0)
    poisoned = sign_transaction(TRANSACTION.decode(own).body, [ANNA.node, RIVERSIDE.node])
    insert(pool, poisoned, own, crowd.build(ANNA, 1, 1))
    proposal = prepare(crowd.rules, crowd.read, crowd.block(), pool.select(MIB, 100), MIB)
    assert [receipt.code for _, receipt in proposal.refused] == [
        execution.UnusedAuthenticator.number,
        execution.SequenceMismatch.number,
    ]
    pool.refuse(proposal.refused)
    assert [lane_of(data)[2] for data in pool.select(MIB, 100)] == [0, 1]
    assert pool.select(MIB, 100)[0] == own
    assert insert(pool, poisoned) == [InsertCode.REFUSED]
    for _ in range(10):
        commit(crowd, pool, [])
    assert insert(pool, poisoned) == [0], "a refusal is remembered for ten blocks"


def test_gaps_wait_and_nothing_is_given_out_of_its_turn():
    crowd = Crowd()
    pool = make_pool(crowd)
    late = [crowd.build(ANNA, 1, at) for at in (1, 3, 2)]
    assert insert(pool, *late) == [0, 0, 0]
    assert pool.select(MIB, 100) == []
    first = crowd.build(ANNA, 1, 0)
    insert(pool, first)
    assert pool.select(MIB, 100) == [first, late[0], late[2], late[1]]
    assert pool.select(MIB, 3) == [first, late[0], late[2]]
    assert pool.select(2 * WIRE - 1, 100) == [first], "bytes count as the engine counts them"
    assert sum(map(compute_wire_size, late)) == 3 * WIRE


def test_a_sender_over_its_rate_waits_and_forgeries_in_its_name_cost_it_nothing():
    crowd = Crowd()
    pool = make_pool(crowd, rate=2, burst=3, failures=1, failures_burst=2)
    forged = [forge(crowd.build(ANNA, 1, at)) for at in range(4)]
    assert insert(pool, *forged) == [InsertCode.INVALID] * 2 + [InsertCode.BUSY] * 2
    own = [crowd.build(ANNA, 1, at) for at in range(6)]
    assert insert(pool, own[0]) == [InsertCode.BUSY], "peers are not listened to in this name for a moment"
    assert insert(pool, *own[:4], source=Source.LOCAL) == [0, 0, 0, InsertCode.RATE], "its own node is"
    assert insert(pool, crowd.build(RIVERSIDE, 1, 0)) == [0], "so are the others"
    assert insert(pool, own[3], own[4], now_ms=500) == [InsertCode.BUSY] * 2
    assert insert(pool, *own[3:6], now_ms=1_000) == [0, 0, InsertCode.RATE]


def test_buckets_are_filled_by_time_alone_and_forgotten_in_order():
    buckets = Buckets(per_s=10, burst=2)
    for _ in range(2):
        assert buckets.has(b"one", 1_000)
        buckets.charge(b"one", 1_000)
    assert not buckets.has(b"one", 1_099)
    assert not buckets.has(b"one", 0), "a clock that goes back gives nothing"
    assert buckets.has(b"one", 1_100)
    for name in range(NAMES_MAX):
        buckets.charge(name.to_bytes(4, "big"), 1_000)
    assert buckets.has(b"one", 1_000), "memory is bounded: the oldest name begins anew"


# room


def test_who_holds_the_most_loses_its_newest_and_is_not_cut():
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd, ordinary=room(10))
    flood = [unsigned(ANNA, 1, at) for at in range(12)]
    assert insert(pool, *flood, source=Source.LOCAL) == [0] * 10 + [InsertCode.FULL] * 2
    assert insert(pool, *[unsigned(RIVERSIDE, 1, at) for at in range(7)]) == [0] * 5 + [InsertCode.FULL] * 2
    assert [data in pool for data in flood[:10]] == [True] * 5 + [False] * 5
    assert insert(pool, unsigned(NORTHGATE, 1, 0)) == [0]
    assert [lane_of(data)[0] for data in pool.select(MIB, 100)].count(NORTHGATE.did) == 1
    assert {gone.why for gone in pool.drain_gone()} == {Why.EVICTED}
    assert len(pool) == 10


def test_what_fills_a_gap_takes_the_place_of_the_end_of_the_lane():
    """Else a sponsor whose first transaction came last would wait for ever behind what it cannot execute."""
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd, ordinary=room(10, 4))
    insert(pool, *[unsigned(ANNA, 1, at) for at in range(1, 6)])
    assert (len(pool), pool.select(MIB, 100)) == (4, [])
    assert insert(pool, unsigned(ANNA, 1, 0)) == [0]
    assert [lane_of(data)[2] for data in pool.select(MIB, 100)] == [0, 1, 2, 3]


def test_lane_0_has_room_that_no_other_lane_takes():
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd, ordinary=room(10), urgent=room(3))
    revocations = [unsigned(ANNA, 0, at) for at in range(3)]
    assert insert(pool, *revocations, *[unsigned(party, 1, at) for party in PARTIES for at in range(10)])
    assert all(data in pool for data in revocations)
    assert insert(pool, unsigned(ANNA, 0, 3), unsigned(RIVERSIDE, 0, 0)) == [InsertCode.FULL, 0]
    assert pool.select(MIB, 100)[:3] == [*revocations[:2], unsigned(RIVERSIDE, 0, 0)]


def test_a_forgery_displaces_nothing():
    crowd = Crowd()
    pool = make_pool(crowd, ordinary=room(3))
    held = [crowd.build(ANNA, 1, at) for at in range(3)]
    insert(pool, *held, source=Source.LOCAL)
    pool.reap(MIB, 100, 0)
    assert insert(pool, forge(crowd.build(RIVERSIDE, 1, 0))) == [InsertCode.INVALID]
    assert pool.select(MIB, 100) == held
    assert pool.reap(MIB, 100, 1) == [], "and what it did not displace is not handed out again"
    assert pool.drain_gone() == []


def test_a_large_newcomer_that_has_to_go_after_all_displaces_nothing():
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd, ordinary=room(100, cost=7 * COST))
    small = [unsigned(party, 1, at) for party in PARTIES[1:] for at in range(2)] + [unsigned(RIVERSIDE, 1, 2)]
    insert(pool, *small, source=Source.LOCAL)
    large = crowd.build(ANNA, 2, 0, [withdrawal(str(at)) for at in range(16)])
    assert 2 * COST < len(large) + COST_LEAST < 3 * COST, "more than what the greatest has left after one"
    assert insert(pool, large) == [InsertCode.FULL]
    assert all(data in pool for data in small)
    assert len(pool.select(MIB, 100)) == 7
    assert pool.drain_gone() == []


# fairness: a flood of one sender


def simulate(flood_lane, lane, blocks=12, a_block=20, honest=4, flooded=True):
    """Blocks waited by each honest transaction: `honest` arrive before each block, after any flood."""
    crowd = Crowd(Rules(CONTRACTS, trusting))
    limits = {"ordinary": room(200), "urgent": room(200), "rate": 10_000, "burst": 10_000}
    pool = make_pool(crowd, **limits)
    sent, came, flood_at = {}, {}, 0
    for height in range(blocks):
        if flooded:
            for _ in range(100):
                flood_at += insert(pool, unsigned(ANNA, flood_lane, flood_at)) == [0]
        for party in (RIVERSIDE, NORTHGATE):
            for at in range(height * honest, (height + 1) * honest):
                data = unsigned(party, lane, at)
                assert insert(pool, data) == [0], "an honest sender is turned away"
                sent[data] = height
        proposal = prepare(
            crowd.rules, crowd.read, crowd.block(), pool.select(a_block * WIRE, 100), a_block * WIRE
        )
        assert not proposal.refused
        assert len(proposal.transactions) == a_block or not flooded, "the block is not filled"
        came.update({data: height for data in proposal.transactions if data in sent})
        commit(crowd, pool, proposal.transactions)
        flood_at = crowd.next(ANNA, flood_lane) + sum(
            lane_of(item.data)[0] == ANNA.did for item in pool._by_digest.values()
        )
    return sorted(came[data] - height for data, height in sent.items() if data in came), len(sent) - len(came)


@pytest.mark.parametrize("flood_lane, lane", [(1, 1), (0, 1), (0, 0), (1, 0)])
def test_a_flood_of_one_sender_delays_the_others_by_a_block_at_most(flood_lane, lane):
    calm, _ = simulate(flood_lane, lane, flooded=False)
    waits, left = simulate(flood_lane, lane)
    assert waits[int(len(waits) * 0.99)] <= calm[int(len(calm) * 0.99)] + 1
    assert left <= 8


def test_large_transactions_get_no_larger_share():
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd)
    messages = [withdrawal(str(at)) for at in range(16)]
    insert(pool, *[crowd.build(ANNA, 1, at, messages) for at in range(60)])
    insert(pool, *[unsigned(RIVERSIDE, 1, at) for at in range(60)])
    cost = dict.fromkeys([ANNA.did, RIVERSIDE.did], 0)
    for data in pool.select(30_000, 100):
        cost[lane_of(data)[0]] += len(data) + COST_LEAST
    assert abs(cost[ANNA.did] - cost[RIVERSIDE.did]) <= TURN_COST
    assert min(cost.values()) > 5 * TURN_COST


def test_a_large_head_that_does_not_fit_lets_the_small_ones_of_others_through():
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd)
    large = crowd.build(ANNA, 1, 0, [withdrawal(str(at)) for at in range(16)])
    insert(pool, large, unsigned(ANNA, 1, 1), unsigned(ANNA, 2, 0), unsigned(RIVERSIDE, 1, 0))
    assert len(large) > 1_000
    assert set(pool.select(1_000, 100)) == {unsigned(ANNA, 2, 0), unsigned(RIVERSIDE, 1, 0)}
    assert len(pool.select(MIB, 100)) == 4


def test_turns_go_on_where_they_stopped():
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd)
    insert(pool, *[unsigned(party, 1, at) for party in PARTIES for at in range(30)])
    senders = pool._ordinary.senders
    runs = [[lane.run(0, lambda item: True) for lane in sender.lanes.values()] for sender in senders.values()]
    turns = Turns(runs)
    taken = [turns.take(MIB, 7) for _ in range(20)]
    assert [len(one) for one in taken] == [7] * 17 + [1, 0, 0]
    places = [(item.sponsor, item.sequence) for one in taken for item in one]
    assert len(set(places)) == 120
    for party in PARTIES:
        assert [at for did, at in places if did == party.did] == list(range(30)), "a lane keeps its order"
    assert len({did for did, _ in places[:20]}) == len(PARTIES), "each had its turn"


# gossip


def test_each_is_handed_out_once_and_a_local_one_again_until_it_is_in_a_block():
    crowd = Crowd()
    pool = make_pool(crowd, again_ms=1_000)
    own, passed_on, urgent = crowd.build(ANNA, 1, 0), crowd.build(RIVERSIDE, 1, 1), crowd.build(ANNA, 0, 0)
    insert(pool, own, source=Source.LOCAL)
    insert(pool, passed_on, urgent)
    assert pool.reap(MIB, 100, 0) == [urgent, own, passed_on], "lane 0 first; gaps do not matter"
    assert pool.reap(MIB, 100, 999) == []
    assert pool.reap(MIB, 100, 1_000) == [own]
    assert pool.reap(MIB, 100, 1_500) == []
    assert pool.reap(MIB, 100, 1_400) == [], "a clock that goes back a little"
    assert pool.reap(MIB, 100, 0) == [own], "or far"
    insert(pool, passed_on, source=Source.LOCAL, now_ms=0)
    assert pool.reap(MIB, 100, 1_000) == [own, passed_on], "now it is this node's too"
    commit(crowd, pool, [own])
    assert pool.reap(MIB, 100, 5_000) == [passed_on]
    assert pool.counts.handed_out == 8


def test_gossip_is_handed_out_in_turn_and_within_its_limits():
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd, told_max=10_000, heard_max=10_000)
    insert(pool, *[unsigned(ANNA, 1, at) for at in range(1_000)], unsigned(RIVERSIDE, 1, 0))
    assert unsigned(RIVERSIDE, 1, 0) in pool.reap(MIB, 10, 0)
    handed = pool.reap(1, 10_000, 0)
    assert 270 * len(handed) <= transaction.TRANSACTION_SIZE_MAX + 4
    everything = handed
    while handed:
        handed = pool.reap(MIB, 100, 0)
        everything += handed
    assert len(everything) == len(set(everything)) == 991


def test_of_what_blocks_cannot_take_peers_hear_little_and_lane_0_at_once():
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd, told_max=3)
    own = [unsigned(ANNA, 1, at) for at in range(10)]
    insert(pool, *own, source=Source.DOOR)
    insert(pool, unsigned(RIVERSIDE, 1, 0), source=Source.LOCAL)
    assert sorted(pool.reap(MIB, 100, 0)) == sorted([*own[:3], unsigned(RIVERSIDE, 1, 0)])
    urgent = [unsigned(ANNA, 0, at) for at in range(5)]
    insert(pool, *urgent, source=Source.DOOR)
    assert pool.reap(MIB, 100, 0) == urgent
    assert pool.select(MIB, 100)[:3] == urgent[:3], "what is told to nobody is proposed all the same"
    assert set(own) <= set(pool.select(MIB, 100))
    commit(crowd, pool, own[:2])
    assert pool.reap(MIB, 100, 1) == own[3:5], "a block made room"


def test_what_a_peer_sent_is_passed_on_at_once_while_little_waits_else_when_blocks_passed_it_over():
    crowd = Crowd(Rules(CONTRACTS, trusting))
    pool = make_pool(crowd, heard_max=2, heard_blocks=2)
    heard = [unsigned(ANNA, 1, at) for at in range(5)]
    urgent = unsigned(RIVERSIDE, 0, 0)
    insert(pool, *heard, urgent)
    assert pool.reap(MIB, 100, 0) == [urgent, *heard[:2]]
    commit(crowd, pool, heard[:3])
    assert pool.reap(MIB, 100, 0) == []
    insert(pool, heard[4], source=Source.LOCAL)
    assert pool.reap(MIB, 100, 0) == [heard[4]], "now it is this node's too"
    commit(crowd, pool, ())
    assert pool.reap(MIB, 100, 0) == [heard[3]]
    commit(crowd, pool, ())
    assert pool.reap(MIB, 100, 0) == [], "once"


# leaving


def test_why_each_local_transaction_left_without_a_block():
    crowd = Crowd()
    pool = make_pool(crowd)
    kept, short = crowd.build(ANNA, 1, 0), crowd.build(ANNA, 2, 1, valid_ms=5_000)
    overtaken, other = crowd.build(RIVERSIDE, 1, 0), crowd.build(RIVERSIDE, 1, 0, [withdrawal("other")])
    disowned = crowd.build(NORTHGATE, 1, 1)
    repeated = crowd.build(HILLCREST, 1, 0, [withdrawal("other")])
    local = [kept, short, overtaken, disowned, repeated]
    assert insert(pool, *local, source=Source.LOCAL) == [0] * 5
    away = crowd.build(
        NORTHGATE,
        0,
        0,
        [DEACTIVATE.encode(Deactivate(NORTHGATE.did, NORTHGATE.did))],
        [NORTHGATE.node, NORTHGATE.root],
    )
    assert {receipt.code for receipt in commit(crowd, pool, [away, other]).receipts} == {0}
    assert pool.drain_gone() == [Gone(id_of(overtaken), Why.OVERTAKEN)]
    proposal = prepare(crowd.rules, crowd.read, crowd.block(), pool.list_overdue(1), MIB)
    assert proposal.transactions == (kept,)
    pool.refuse(proposal.refused)
    code = proposal.refused[0][1].code
    assert pool.drain_gone() == [Gone(id_of(repeated), Why.REFUSED, code)]
    commit(crowd, pool, [kept], seconds=10)
    assert sorted(pool.drain_gone(), key=lambda gone: gone.why) == [
        Gone(id_of(short), Why.EXPIRED),
        Gone(id_of(disowned), Why.DISOWNED),
    ]
    assert len(pool) == pool.size_bytes == 0
    assert (pool.counts.executed, pool.counts.gone.total()) == (1, 4)


def test_what_cannot_be_executed_any_more_is_not_selected_even_before_it_is_swept():
    crowd = Crowd()
    pool = make_pool(crowd)
    insert(pool, crowd.build(ANNA, 1, 0, valid_ms=500), crowd.build(RIVERSIDE, 1, 0))
    commit(crowd, pool, [])
    assert [lane_of(data)[0] for data in pool.select(MIB, 100)] == [RIVERSIDE.did]
    assert len(pool) == 1


# everything at once

SMALL = {"ordinary": Room(9 * COST, 8, 6 * COST, 5), "urgent": Room(1 << 30, 4, 1 << 30, 3), "ahead_max": 5}


class PoolMachine(RuleBasedStateMachine):
    """Arrivals, gossip and blocks in any order, beside a plain account of what must hold."""

    @initialize()
    def start(self):
        self.crowd = Crowd(Rules(CONTRACTS, VerifiedOnce()))
        self.pool = make_pool(self.crowd, **SMALL, again_ms=1_000_000, told_max=2, heard_max=3)
        self.handed: set[bytes] = set()
        self.salt = 0

    @rule(
        party=st.sampled_from(PARTIES[:3]),
        lane=st.sampled_from([0, 1, 1, 2]),
        ahead=st.integers(0, 3),
        source=st.sampled_from(Source),
    )
    def arrives(self, party, lane, ahead, source):
        self.salt += 1
        sequence = self.crowd.next(party, lane) + ahead
        data = self.crowd.build(party, lane, sequence, [withdrawal(str(self.salt))])
        before = self.list_held()
        code = self.pool.insert(data, source, 0).code
        held = self.list_held()
        assert (data in held) == (code == 0)
        taken = [other for other in before if lane_of(other) == lane_of(data)]
        assert (code == InsertCode.CONFLICT) == bool(taken)
        lost = [lane_of(other) for other in before if other not in held]
        assert all((lost_lane == 0) == (lane == 0) for _, lost_lane, _ in lost), "rooms are apart"
        for sponsor, lost_lane, lost_sequence in lost:
            rest = [at for did, number, at in map(lane_of, held) if (did, number) == (sponsor, lost_lane)]
            is_form = lost_sequence in rest
            assert is_form or not rest or max(rest) < lost_sequence or sponsor == party.did, "ends are lost"
        if lost and party.did not in [sponsor for sponsor, _, _ in lost]:
            share = self.count_by_sponsor(before, lane)
            assert share[lost[0][0]] == max(share.values()), "who holds the most loses"

    @precondition(lambda self: len(self.pool))
    @rule(data=st.data())
    def comes_back_in_another_form(self, data):
        known = data.draw(st.sampled_from(self.list_held()))
        assert insert(self.pool, known) == [InsertCode.DUPLICATE]
        body = TRANSACTION.decode(known).body
        form = sign_transaction(body, [*self.signer_of(known), data.draw(st.sampled_from(PARTIES)).root])
        before = self.list_held()
        if insert(self.pool, forge_all(form)) != [InsertCode.INVALID]:
            assert self.list_held() == before
        insert(self.pool, form)

    @rule(count=st.integers(0, 6))
    def is_handed_out(self, count):
        handed = self.pool.reap(MIB, count, 0)
        assert len(handed) <= count
        assert not self.handed & set(handed), "handed out twice"
        self.handed |= set(handed)

    @rule(count=st.integers(0, 12), seconds=st.integers(1, 3), own=st.booleans())
    def a_block(self, count, seconds, own):
        candidates = self.pool.select(count * WIRE, 100)
        assert sum(map(compute_wire_size, candidates)) <= count * WIRE
        assert len(set(candidates)) == len(candidates)
        places = [lane_of(data) for data in candidates]
        assert [place[1] > 0 for place in places] == sorted(place[1] > 0 for place in places), "lane 0 first"
        for party in PARTIES:
            for lane in (0, 1, 2):
                mine = [at for did, number, at in places if (did, number) == (party.did, lane)]
                first = self.crowd.next(party, lane)
                assert mine == list(range(first, first + len(mine))), "a lane's order"
        block = self.crowd.block(seconds=seconds)
        proposal = prepare(self.crowd.rules, self.crowd.read, block, candidates, MIB)
        again = dataclasses.replace(block, transactions=proposal.transactions)
        assert proposal.outcome == apply_block(self.crowd.rules, self.crowd.read, again)
        if own:
            self.pool.refuse(proposal.refused)
        chosen = proposal.transactions[:: 1 if own else 2]  # another node's block holds some of them
        commit(self.crowd, self.pool, chosen, seconds)
        held = self.list_held()
        assert not set(chosen) & set(held)
        assert all(at >= self.crowd.next(party, lane) for party, lane, at in self.places(held)), "stale"

    @invariant()
    def limits_hold(self):
        if not hasattr(self, "pool"):
            return
        held = self.list_held()
        for lane_0, limits in ((True, SMALL["urgent"]), (False, SMALL["ordinary"])):
            here = [data for data in held if (lane_of(data)[1] == 0) == lane_0]
            assert len(here) <= limits.count_max
            assert sum(len(data) + COST_LEAST for data in here) <= limits.cost_max
            for party in PARTIES:
                mine = [data for data in here if lane_of(data)[0] == party.did]
                assert len(mine) <= limits.sponsor_count_max
                assert sum(len(data) + COST_LEAST for data in mine) <= limits.sponsor_cost_max
        assert self.pool.size_bytes == sum(len(data) + COST_LEAST for data in held)
        assert len(self.pool) == len(held)
        queued = [*self.pool._urgent, *self.pool._ordinary]
        assert {item.data for item in queued} == set(held)
        for queues in (self.pool._urgent, self.pool._ordinary):
            for sender in queues.senders.values():
                told = {item for item in queued if item.is_handed_out and not item.is_heard}
                mine = {
                    form for lane in sender.lanes.values() for forms in lane.slots.values() for form in forms
                }
                assert sender.told == {item.digest for item in told & mine}
                assert set(sender.fresh.values()) == {item for item in mine if not item.is_handed_out}
        assert self.pool._urgent.count + self.pool._ordinary.count == len(held) == len(queued)

    def list_held(self):
        return [item.data for item in self.pool._by_digest.values()]

    @staticmethod
    def signer_of(data):
        return [party.node for party in PARTIES if party.did == lane_of(data)[0]]

    @staticmethod
    def places(held):
        by_did = {party.did: party for party in PARTIES}
        return [(by_did[did], lane, at) for did, lane, at in map(lane_of, held)]

    @staticmethod
    def count_by_sponsor(held, lane):
        share = {}
        for data in held:
            did, number, _ = lane_of(data)
            if (number == 0) == (lane == 0):
                share[did] = share.get(did, 0) + len(data) + COST_LEAST
        return share


def forge_all(data):
    """The same, its last signature bent."""
    *others, one = TRANSACTION.decode(data).authenticators
    bent = one.signature[:-1] + bytes([one.signature[-1] ^ 1])
    return with_authenticators(data, *others, dataclasses.replace(one, signature=bent))


PoolMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, phases=[Phase.generate]
)
TestPool = PoolMachine.TestCase
