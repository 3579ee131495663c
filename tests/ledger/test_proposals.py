"""What a proposer puts into a block, and what every other node refuses in one (A6, A12)."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.contracts import CONTRACTS, consent
from careledger.contracts.identity import DEACTIVATE, Deactivate
from careledger.ledger.consensus.proposals import (
    BLOCK_TRANSACTIONS_MAX,
    ProposalRefused,
    check,
    confirm_refused,
    prepare,
)
from careledger.ledger.consensus.queues import compute_wire_size
from careledger.ledger.consensus.verified import VerifiedOnce
from careledger.ledger.execution import BlockInput, Execution, Rules, apply_block
from careledger.ledger.kernel import MessageKind
from careledger.ledger.transaction import TRANSACTION, Transaction, sign_transaction
from careledger.primitives.hashing import sha256
from tests.ledger.crowd import PARTIES, Crowd, lane_of, withdrawal
from tests.ledger.play import Decided

ANNA, RIVERSIDE, NORTHGATE, HILLCREST = PARTIES
MIB = 1 << 20
AMINAS = Decided("Amina's")


def grant(crowd, lane=1, sequence=0):
    message = AMINAS.grant()
    return crowd.build(ANNA, lane, sequence, [message], [ANNA.node, AMINAS.key])


def revocation(crowd, lane=0, sequence=0):
    return crowd.build(RIVERSIDE, lane, sequence, [AMINAS.revoke_by_code()])


def proposed(block: BlockInput, transactions) -> BlockInput:
    return dataclasses.replace(block, transactions=tuple(transactions))


@pytest.fixture
def crowd():
    return Crowd(Rules(CONTRACTS, VerifiedOnce()))


@pytest.fixture
def good(crowd):
    """Six transactions of a proper block."""
    return [
        crowd.build(NORTHGATE, 0, 0),
        *[crowd.build(ANNA, 1, at) for at in range(3)],
        crowd.build(RIVERSIDE, 4, 0),
        crowd.build(RIVERSIDE, 5, 0),
    ]


# preparing


def test_what_is_prepared_is_accepted_and_comes_out_the_same(crowd, good):
    candidates = [*good[1:], good[0], crowd.build(HILLCREST, 1, 7), b"junk", good[1]]
    proposal = prepare(crowd.rules, crowd.read, crowd.block(), candidates, MIB)
    assert list(proposal.transactions) == good, "lane 0 first, the rest in its order, the refused left out"
    assert [data for data, _ in proposal.refused] == candidates[-3:]
    block = proposed(crowd.block(), proposal.transactions)
    assert proposal.outcome == apply_block(Rules(CONTRACTS), crowd.read, block)
    assert proposal.outcome == check(crowd.rules, crowd.read, block, MIB)
    assert len(proposal.outcome.receipts) == 6


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_the_prepared_outcome_is_that_of_its_transactions(data):
    """Of any candidates: what was refused left no trace, and everyone else accepts the rest."""
    crowd = Crowd()
    names = st.sampled_from(["one", "two", "three"])  # a directive is withdrawn once
    candidates = [
        crowd.build(party, lane, sequence, [withdrawal(name)], valid_ms=valid_ms)
        for party, lane, sequence, name, valid_ms in data.draw(
            st.lists(
                st.tuples(
                    st.sampled_from(PARTIES[:2]),
                    st.sampled_from([0, 1, 2]),
                    st.integers(0, 2),
                    names,
                    st.sampled_from([0, 60_000, 60_000]),
                ),
                max_size=12,
            )
        )
    ]
    bytes_max = data.draw(st.integers(0, 3_000))
    proposal = prepare(crowd.rules, crowd.read, crowd.block(), candidates, bytes_max)
    block = proposed(crowd.block(), proposal.transactions)
    assert proposal.outcome == apply_block(Rules(CONTRACTS), crowd.read, block)
    assert check(crowd.rules, crowd.read, block, bytes_max) == proposal.outcome
    assert sum(map(compute_wire_size, proposal.transactions)) <= bytes_max
    for data_of, receipt in proposal.refused:
        assert receipt.code
        assert candidates.count(data_of) > proposal.transactions.count(data_of)


def test_nobody_is_refused_for_what_only_stands_in_the_same_proposal(crowd):
    """The proposal may never be decided: its second revocation then is as good as its first."""
    first, again = revocation(crowd), crowd.build(HILLCREST, 0, 0, [AMINAS.revoke_by_code()])
    never = crowd.build(HILLCREST, 1, 0, [withdrawal("Tom's"), withdrawal("Tom's")])

    def refused(*transactions):
        return [data for data, _ in confirm_refused(crowd.rules, crowd.read, crowd.block(), transactions)]

    proposal = prepare(crowd.rules, crowd.read, crowd.block(), [first, again, never], MIB)
    assert [data for data, _ in proposal.refused] == [again, never]
    assert refused(first, again, never) == [never]
    crowd.commit(proposal.transactions)
    assert refused(again, never) == [again, never]


def test_preparing_is_bounded_by_number_and_bytes(crowd, good):
    tried = []
    kind = crowd.rules.messages[consent.REVOKE.number]

    def counted(ctx, message):
        tried.append(message)
        kind.handler(ctx, message)

    crowd.rules.messages[kind.number] = dataclasses.replace(kind, handler=counted)
    assert len(prepare(crowd.rules, crowd.read, crowd.block(), good, MIB, 4).transactions) == len(tried) == 4
    tried.clear()
    size = compute_wire_size(good[0])
    proposal = prepare(crowd.rules, crowd.read, crowd.block(), good, 2 * size + 1)
    assert (len(proposal.transactions), len(tried), proposal.refused) == (2, 2, ())


# checking: each mutation of a proper block by a Byzantine proposer


def with_signature(data, change):
    decoded = TRANSACTION.decode(data)
    (one,) = decoded.authenticators
    changed = dataclasses.replace(one, signature=change(one.signature))
    return TRANSACTION.encode(Transaction(decoded.body, (changed,)))


def stale_consent(crowd, good):
    """A grant whose directive was revoked in an earlier block."""
    crowd.commit([revocation(crowd)])
    return [*good, grant(crowd, 7)]


def revoked_in_the_same_block(crowd, good):
    return [revocation(crowd), *good, grant(crowd, 7)]


def deactivated(crowd, good):
    """The sponsor lost its rights in the block before."""
    message = DEACTIVATE.encode(Deactivate(RIVERSIDE.did, RIVERSIDE.did))
    crowd.commit([crowd.build(RIVERSIDE, 0, 0, [message], [RIVERSIDE.node, RIVERSIDE.root])])
    return good


MUTATIONS = [
    ("a transaction that is none", lambda c, g: [*g, b"junk"], "rule 2"),
    ("a signature that does not hold", lambda c, g: [*g[:-1], with_signature(g[-1], lambda s: bytes(64))], "rule 14"),
    ("a signature too many", lambda c, g: [*g[:-1], sign_transaction(TRANSACTION.decode(g[-1]).body, [RIVERSIDE.node, ANNA.node])], "rule 17"),
    ("lane 0 late", lambda c, g: [*g[1:], g[0]], "rule 7"),
    ("lane 0 in the middle", lambda c, g: [*g[1:3], g[0], *g[3:]], "rule 7"),
    ("a lane out of order", lambda c, g: [g[0], g[2], g[1], *g[3:]], "rule 10"),
    ("a gap in a lane", lambda c, g: [*g[:2], *g[3:]], "rule 10"),
    ("one twice", lambda c, g: [*g, g[-1]], "twice"),
    ("a body twice, signed otherwise", lambda c, g: [*g, sign_transaction(TRANSACTION.decode(g[-1]).body, [RIVERSIDE.node, RIVERSIDE.root])], "rule 10"),
    ("one of the block before", lambda c, g: c.commit(g[-1:]) and g, "rule 10"),
    ("another ledger's", lambda c, g: [*g, c.build(HILLCREST, 1, 0, genesis_hash=bytes(32))], "rule 4"),
    ("an expired one", lambda c, g: [*g, c.build(HILLCREST, 1, 0, valid_ms=999)], "rule 5"),
    ("a revoked consent", stale_consent, f"rule {consent.DirectiveWithdrawn.number}"),
    ("a consent revoked in the block", revoked_in_the_same_block, f"rule {consent.DirectiveWithdrawn.number}"),
    ("a sponsor without rights", deactivated, "rule 12"),
    ("more bytes than a block has", lambda c, g: [*g, c.build(HILLCREST, 1, 0, [withdrawal(str(at)) for at in range(3)])], "over 2000 bytes"),
    ("a transaction over its limit", lambda c, g: [bytes(131_073)], "bytes"),
    ("more transactions than a block has", lambda c, g: [*g, *[c.build(HILLCREST, 1, at, []) for at in range(3)]], "over 8 transactions"),
]  # fmt: skip


@pytest.mark.parametrize("mutate, reason", [row[1:] for row in MUTATIONS], ids=[row[0] for row in MUTATIONS])
def test_a_byzantine_proposal_is_refused(crowd, good, mutate, reason):
    size = sum(map(compute_wire_size, good))
    assert check(crowd.rules, crowd.read, proposed(crowd.block(), good), size, 6).receipts
    transactions = mutate(crowd, good)
    limit = 2_000 if "bytes" in reason else MIB
    before = dict(crowd.state)
    with pytest.raises(ProposalRefused, match=reason):
        check(crowd.rules, crowd.read, proposed(crowd.block(), transactions), limit, 8)
    assert crowd.state == before


def test_a_bad_proposal_costs_no_more_than_what_is_good_in_it(crowd, good):
    """A slow or forged transaction ends the check; what stands behind it is not looked at."""
    verified = crowd.rules.verify
    forged = [with_signature(crowd.build(HILLCREST, 1, at), lambda s: bytes(64)) for at in range(50)]
    with pytest.raises(ProposalRefused, match="transaction 1 "):
        check(crowd.rules, crowd.read, proposed(crowd.block(), [good[0], *forged, *good[1:]]), MIB)
    assert isinstance(verified, VerifiedOnce)
    assert verified.verified == 1
    too_many = [bytes(1)] * (BLOCK_TRANSACTIONS_MAX + 1)
    with pytest.raises(ProposalRefused, match=f"over {BLOCK_TRANSACTIONS_MAX} transactions"):
        check(crowd.rules, crowd.read, proposed(crowd.block(), too_many), 1 << 40)


def test_a_handler_that_fails_costs_its_transaction_alone(crowd, good):
    """A defect is coded, never raised: the proposer leaves it out, and who proposes it all the same is refused."""
    kind: MessageKind[consent.Revoke] = crowd.rules.messages[consent.REVOKE.number]

    def broken(ctx, message):
        kind.handler(ctx, message)
        if message.commitment == sha256(b"poison commitment"):
            raise RecursionError

    crowd.rules.messages[kind.number] = dataclasses.replace(kind, handler=broken)
    poison = crowd.build(HILLCREST, 1, 0, [withdrawal("poison")])
    proposal = prepare(crowd.rules, crowd.read, crowd.block(), [poison, *good], MIB)
    assert list(proposal.transactions) == good
    assert [receipt.code for _, receipt in proposal.refused] == [1]
    with pytest.raises(ProposalRefused, match=r"rule 1$"):
        check(crowd.rules, crowd.read, proposed(crowd.block(), [*good, poison]), MIB)


def test_a_block_executed_step_by_step_keeps_the_refused_only_if_told(crowd, good):
    execution = Execution(crowd.rules, crowd.read, crowd.block())
    assert execution.apply(good[2], is_kept_if_refused=False).code == 10
    assert execution.apply(good[0]).code == 0, "lane 0 still comes first"
    assert execution.apply(good[2]).code == 10
    assert execution.apply(crowd.build(ANNA, 0, 0)).code == 7, "a refused one that is kept counts"
    outcome = execution.outcome()
    assert [receipt.code for receipt in outcome.receipts] == [0, 10, 7]
    kept = [good[0], good[2], crowd.build(ANNA, 0, 0)]
    assert outcome == apply_block(crowd.rules, crowd.read, proposed(crowd.block(), kept))
    assert lane_of(good[0])[1] == 0
