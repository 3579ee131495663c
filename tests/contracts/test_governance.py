"""A network's organisations decide by votes: what each decision does, when it counts, and who cannot make it."""

from __future__ import annotations

import pytest

from careledger.contracts import (
    founding_messages,
    identity,
    network_founding_messages,
    proposals,
    sys,
    validators,
    voting,
)
from careledger.contracts.actions import ADMIT_ORGANISATION
from careledger.contracts.governance import ADMIT, SET_PARAMETER, SetParameter
from careledger.contracts.parameters import get_parameter
from careledger.contracts.proposals import FAILED, IN_FORCE, LAPSED, OPEN, PASSED, REJECTED
from careledger.ledger.consensus.replica import Replica
from careledger.ledger.execution import Overlay
from careledger.ledger.kernel import ED25519, LIGHT_CLIENT_ATTACK, ML_DSA_65, Evidence
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.transaction import SecretKey
from careledger.primitives.hashing import sha256
from tests.contracts.network import (
    CLINIC,
    DAY_MS,
    EVERYBODY,
    HOSPITAL,
    LABORATORY,
    MAKER,
    NEWCOMER,
    PAYER,
    PHARMACY,
    PROFILE,
    RULES,
    NetworkPlay,
    Org,
    add_validator,
    admission,
    change_parameter,
    equal,
    evidence,
    found_message,
    four,
    jail,
    make_genesis,
    propose_message,
    remove_organisation,
    remove_validator,
    set_weight,
    unjail,
    upgrade,
)

H, C, L, P, N = HOSPITAL, CLINIC, LABORATORY, PHARMACY, NEWCOMER


def admit(party: Org, by: Org = H) -> bytes:
    return ADMIT_ORGANISATION.encode(admission(party, by))


def subject_of(play: NetworkPlay, org: Org) -> identity.Subject:
    found = identity.SUBJECTS.get(play.state, org.did)
    assert found is not None
    return found


def names(events) -> list[str]:
    return [event.type for event in events]


# The genesis


@pytest.mark.parametrize("algorithm", [ED25519, ML_DSA_65])
def test_founders_validate_and_nobody_is_the_operator(algorithm):
    founders = [
        Org(name, algorithm).founder(weight) for name, weight in zip("ABCD", (30, 25, 25, 20), strict=True)
    ]
    play = NetworkPlay(founders)
    told = validators.genesis_validators(play.state)
    assert sorted(told) == sorted((*one.validator, one.weight) for one in founders)
    assert sys.PROFILE.read(play.state) == PROFILE
    assert all(subject_of(play, Org(name)).roles == () for name in "ABCD")
    assert [validators.compute_address(one.validator) for one in founders] == [
        sha256(one.validator.public)[:20] for one in founders
    ]


@pytest.mark.parametrize(
    "weights, refusal",
    [
        ((), validators.LastValidator),
        ((1, 2), validators.WeightsUnequal),
        ((1, 1, 2), validators.WeightsUnequal),
        ((2, 1, 1, 2), validators.OrganisationTooHeavy),
        ((1, 1, 1, 3, 3), validators.OrganisationTooHeavy),
    ],
)
def test_a_genesis_whose_weights_break_the_rules_is_refused(weights, refusal):
    founders = [org.founder(weight) for org, weight in zip(EVERYBODY, weights, strict=False)]
    with pytest.raises(refusal):
        network_founding_messages(founders)
    kv = MemoryKV()
    made = make_genesis(founders, [found_message(founder) for founder in founders])
    state = Overlay(Replica.create(kv, made, RULES).reader(kv))
    with pytest.raises(refusal):
        validators.genesis_validators(state)


def test_weight_counts_by_organisation_not_by_key():
    twice = [H.founder(1), H.founder(1)._replace(validator=SecretKey(ED25519, sha256(b"spare")).key)]
    with pytest.raises(validators.WeightsUnequal):
        network_founding_messages([*twice, C.founder(1)])
    seats = tuple(
        validators.Seat(bytes([at]) * 20, org.did, 1) for at, org in enumerate((H, H, C, L, P, PAYER))
    )
    with pytest.raises(validators.OrganisationTooHeavy):
        validators.check_weights(seats)  # two of six
    validators.check_weights((*seats, validators.Seat(bytes([9]) * 20, MAKER.did, 1)))


def test_nobody_decides_alone_on_a_network():
    """Even where a genesis makes an operator beside the founders."""
    founders = [org.founder() for org in (C, L, P)]
    messages = [*founding_messages(H.name, H.root.key, H.node.key), *network_founding_messages(founders)]
    play = NetworkPlay(founders)
    play.kv = MemoryKV()
    play.replica = Replica.create(play.kv, make_genesis(founders, messages), RULES)
    assert subject_of(play, H).roles == (identity.OPERATOR_ROLE,)
    register = identity.Register(H.did, identity.ORGANISATION, N.name, N.root.key, N.node.key, ())
    alone = [
        SET_PARAMETER.encode(SetParameter(H.did, "valid_ms_max", 3_600_000)),
        ADMIT.encode(admission(N, H)),
        identity.REGISTER.encode(register),
        identity.SET_ROLE.encode(identity.SetRole(C.did, H.did, ("payer",))),
        sys.SET_PROFILE.encode(sys.SetProfile(H.did, "2.0.0", "3.11", ())),
    ]
    for message in alone:
        assert play.refuse(play.build([message], [*H.keys, N.root, N.node])) == identity.NotTheOperator.number
    leave = identity.DEACTIVATE.encode(identity.Deactivate(C.did, H.did))
    assert play.refuse(play.build([leave], H.keys)) == identity.NotItsOrganisation.number


# Deciding


def test_a_proposal_takes_effect_at_the_block_after_it_has_passed():
    play = four()
    number = play.propose(H, admit(N))
    assert play.proposal(number).votes == ((H.did, True),)
    play.vote(number, C)
    assert play.proposal(number).status == OPEN, "two of four are not more than two thirds"
    passing = play.accept([play.vote_message(L, number)], L.keys, L)
    assert names(passing.receipts[0].events) == ["governance.voted", "governance.settled"]
    assert play.proposal(number).status == PASSED
    assert identity.SUBJECTS.get(play.state, N.did) is None
    block = play.run()
    assert names(block.outcome.begin_events) == ["identity.registered", "governance.settled"]
    assert subject_of(play, N).is_active
    settled = play.proposal(number)
    assert (settled.status, settled.settled_height) == (IN_FORCE, block.height)
    assert proposals.BODIES.get(play.state, number) is None
    assert proposals.get_agenda(play.state).due == ()
    stored = play.replica.events(play.kv, "identity.registered", block.height)
    assert [(event.height, event.data) for event in stored] == [(block.height, N.did)]


@pytest.mark.parametrize("orgs", [(H,), (H, C), (H, C, L)], ids=len)
def test_up_to_three_organisations_must_all_agree(orgs):
    play = equal(*orgs)
    number = play.propose(H, change_parameter())
    for org in orgs[1:]:
        assert play.proposal(number).status == OPEN
        play.run()
        play.vote(number, org)
    assert play.proposal(number).status == PASSED
    play.run()
    assert get_parameter(play.state, "valid_ms_max") == 3_600_000


def test_more_than_two_thirds_of_the_weight_decide_and_not_of_the_heads():
    weights = {H: 30, C: 30, L: 30, P: 9, PAYER: 1}
    play = NetworkPlay([org.founder(weight) for org, weight in weights.items()])
    number = play.propose(P, change_parameter())
    play.vote(number, H, C)
    assert play.proposal(number).status == PASSED, "69 of 100"
    other = play.propose(H, change_parameter())
    play.vote(other, C, PAYER)
    assert play.proposal(other).status == OPEN, "61 of 100"
    play.vote(other, L, is_for=False)
    assert play.proposal(other).status == OPEN, "the pharmacy's 9 may still come"
    play.vote(other, P, is_for=False)
    assert play.proposal(other).status == REJECTED
    assert proposals.get_agenda(play.state).due == ()


def test_weight_gained_later_does_not_count_and_weight_lost_does_not_either():
    weights = {H: 20, C: 20, L: 20, P: 20, PAYER: 20}
    play = NetworkPlay([org.founder(weight) for org, weight in weights.items()])
    number = play.propose(H, change_parameter())
    # Everybody's weight but the hospital's and the clinic's becomes small: their 40 of the then 100 stay 40.
    play.decide(
        C, set_weight(L, 19), set_weight(P, 19), set_weight(PAYER, 19), set_weight(H, 25), set_weight(C, 25)
    )
    play.vote(number, C)
    assert play.proposal(number).status == OPEN
    play.vote(number, L)
    assert play.proposal(number).status == OPEN, "20 + 20 + 19 of 100"
    play.decide(
        H,
        admit(N),
    )
    play.decide(H, add_validator(N, 20))
    late = play.build([play.vote_message(N, number)], N.keys, N)
    assert play.refuse(late) == voting.NotAVoter.number
    play.run(evidence=[evidence(C)])
    play.vote(number, P)
    assert play.proposal(number).status == OPEN, "the clinic's vote fell with its weight: 20 + 19 + 19"
    jailed = play.build([play.vote_message(C, number)], C.keys, C)
    assert play.refuse(jailed) == voting.NotAVoter.number
    play.vote(number, PAYER)
    assert play.proposal(number).status == PASSED, "77 of 100"


def test_equal_bodies_are_two_proposals():
    play = four()
    body = play.body(change_parameter())
    play.accept([propose_message(H, body)], H.keys)
    play.accept([propose_message(C, body)], C.keys, C)
    first, second = play.proposal(1), play.proposal(2)
    assert first.body_hash == second.body_hash == proposals.compute_body_hash(body)
    play.vote(2, H, L)
    assert (play.proposal(1).status, play.proposal(2).status) == (OPEN, PASSED)


def test_what_touches_what_must_never_stop_needs_more_and_waits():
    play = four()
    number = play.propose(H, change_parameter("quota_bytes_day", 1 << 34), change_parameter())
    assert play.proposal(number).is_constitutional
    play.vote(number, C, L)
    assert play.proposal(number).status == OPEN, "three quarters are not more than three quarters"
    play.vote(number, P)
    assert play.proposal(number).status == PASSED
    play.run(ms=DAY_MS - 1)
    assert play.proposal(number).status == PASSED
    assert get_parameter(play.state, "quota_bytes_day") == 1 << 40
    play.run(ms=1)
    assert play.proposal(number).status == IN_FORCE
    assert get_parameter(play.state, "quota_bytes_day") == 1 << 34


def test_what_is_not_decided_in_time_lapses():
    play = four()
    in_time = play.propose(H, change_parameter(), expiry_ms=5_000)
    play.run(ms=4_000)
    assert play.proposal(in_time).status == OPEN
    play.run(ms=1)
    assert play.proposal(in_time).status == LAPSED
    before = play.propose(H, upgrade(), at_height=play.replica.height + 3)
    play.run()
    assert play.proposal(before).status == OPEN
    block = play.run()
    assert play.proposal(before).status == LAPSED
    assert names(block.outcome.begin_events) == ["governance.settled"]
    assert sys.PROFILE.read(play.state) == PROFILE


def test_what_cannot_be_any_more_fails_and_leaves_nothing():
    play = four()
    first = play.propose(H, admit(N, H))
    second = play.propose(C, change_parameter(), ADMIT_ORGANISATION.encode(admission(N, C)))
    play.vote(first, C, L)
    play.vote(second, H)
    last = play.vote_message(L, second)
    block = play.accept([last], L.keys, L)
    assert play.proposal(first).status == IN_FORCE
    block = play.run()
    assert play.proposal(second).status == FAILED
    settled = voting.SETTLED.schema.decode(block.outcome.begin_events[-1].data)
    assert (settled.number, settled.status, settled.code) == (second, FAILED, identity.SubjectExists.number)
    assert get_parameter(play.state, "valid_ms_max") == DAY_MS, "its other action left no trace"


def test_an_upgrade_begins_at_exactly_its_height():
    play = four()
    height = play.replica.height + 6
    number = play.propose(H, upgrade(), at_height=height)
    assert voting.get_upgrades(play.state) == ()
    play.vote(number, C, L)
    [(first, agreed)] = voting.get_upgrades(play.state)
    assert (first, agreed.code, agreed.code_hash) == (height, "2.0.0", sha256(b"2.0.0"))
    while play.replica.height < height - 1:
        play.run()
        assert sys.PROFILE.read(play.state) == PROFILE
    play.run()
    assert sys.PROFILE.read(play.state) == sys.Profile("2.0.0", "3.12", ())
    assert sys.CODE.read(play.state) == sha256(b"2.0.0")
    assert voting.get_upgrades(play.state) == ()


# Validators


def test_a_newcomer_is_admitted_and_validates():
    play = four()
    play.decide(H, admit(N), add_validator(N, 1))
    assert play.weights == {org.address: 1 for org in (H, C, L, P, N)}
    entry = validators.VALIDATORS.get(play.state, N.address)
    assert entry is not None
    assert (entry.organisation, entry.key, entry.status) == (N.did, N.validator.key, validators.ACTIVE)
    number = play.propose(N, change_parameter())
    assert len(play.proposal(number).voters) == 5


@pytest.mark.parametrize("algorithm", [ED25519, ML_DSA_65])
def test_a_key_is_replaced_in_one_decision_and_never_returns(algorithm):
    orgs = [Org(name, algorithm) for name in ("A", "B", "C", "D")]
    play = NetworkPlay([org.founder() for org in orgs])
    fresh = SecretKey(algorithm, sha256(b"fresh engine key"))
    number = play.propose(orgs[0], remove_validator(orgs[0]), add_validator(orgs[0], 1, fresh))
    play.vote(number, orgs[1], orgs[2])
    play.run()
    assert sorted(play.weights) == sorted(
        [validators.compute_address(fresh.key), *(org.address for org in orgs[1:])]
    )
    again = play.build([propose_message(orgs[0], play.body(add_validator(orgs[0])))], orgs[0].keys, orgs[0])
    assert play.refuse(again) == identity.KeyInUse.number
    as_root = identity.ROTATE.encode(identity.Rotate(orgs[0].did, identity.ROOT, fresh.key))
    rotation = play.build([as_root], [*orgs[0].keys, fresh], orgs[0])
    assert play.refuse(rotation) == identity.KeyInUse.number


def test_weights_change_together():
    play = four()
    play.decide(H, set_weight(H, 30), set_weight(C, 25), set_weight(L, 25), set_weight(P, 20))
    assert play.weights == {H.address: 30, C.address: 25, L.address: 25, P.address: 20}


def test_voted_jailing_may_leave_three_and_unjailing_gives_a_weight():
    play = NetworkPlay([org.founder(weight) for org, weight in {H: 30, C: 25, L: 25, P: 20}.items()])
    play.decide(H, jail(P))
    assert play.weights == {H.address: 30, C.address: 25, L.address: 25}
    number = play.propose(H, set_weight(H, 1), set_weight(C, 1), set_weight(L, 1))
    play.vote(number, C)
    assert play.proposal(number).status == OPEN, "55 of 80, but three must all agree"
    play.vote(number, L)
    play.run()
    assert set(play.weights.values()) == {1}
    play.decide(H, unjail(P, 1))
    assert play.weights[P.address] == 1


def test_an_organisation_leaves_by_a_vote_with_its_validators():
    play = equal(H, C, L, P, PAYER)
    play.decide(H, remove_organisation(PAYER))
    assert not subject_of(play, PAYER).is_active
    assert play.weights == {org.address: 1 for org in (H, C, L, P)}
    play.decide(H, remove_validator(P))
    leave = identity.DEACTIVATE.encode(identity.Deactivate(P.did, P.did))
    play.accept([leave], P.keys, P, lane=0)
    assert not subject_of(play, P).is_active


def test_evidence_takes_the_weight_before_anything_else_in_the_block():
    play = NetworkPlay([org.founder(weight) for org, weight in {H: 30, C: 30, L: 30, P: 10}.items()])
    number = play.propose(P, change_parameter())
    play.vote(number, C)
    last = play.build([play.vote_message(H, number)], H.keys)
    liar = evidence(H, LIGHT_CLIENT_ATTACK, 2)
    block = play.run([last], [liar, evidence(H), evidence(N), Evidence(1, bytes(20), 1, 1, 1)])
    assert names(block.outcome.begin_events) == ["governance.misbehaved", "governance.validator_changed"]
    assert block.receipts[0].code == voting.NotAVoter.number
    entry = validators.VALIDATORS.get(play.state, H.address)
    assert entry is not None
    assert (entry.status, entry.weight, entry.height) == (validators.JAILED, 0, block.height)
    assert play.weights == {C.address: 30, L.address: 30, P.address: 10}
    assert subject_of(play, H).is_active, "it goes on anchoring and revoking"
    assert play.run(evidence=[evidence(H)]).outcome.begin_events == ()


def test_the_last_validator_stays_whatever_is_proved():
    play = four()
    block = play.run(evidence=[evidence(org) for org in (H, C, L, P)])
    assert play.weights == {P.address: 1}
    assert names(block.outcome.begin_events)[-1] == "governance.misbehaved"
    number = play.propose(P, unjail(H))
    assert play.proposal(number).status == PASSED
    play.run()
    assert play.weights == {P.address: 1, H.address: 1}


def test_what_comes_and_goes_within_a_block_is_not_told_to_the_engine():
    play = four()
    number = play.propose(H, admit(N), add_validator(N, 1))
    play.vote(number, C, L)
    block = play.run(evidence=[evidence(P)])
    updates = validators.validator_updates(block.outcome)
    assert [(one.public, one.power) for one in updates] == [
        (org.validator.key.public, power)
        for org, power in sorted([(N, 1), (P, 0)], key=lambda told: told[0].address)
    ]
    number = play.propose(H, unjail(P), jail(P), jail(N), unjail(N, 1))
    play.vote(number, C, L)
    block = play.run()
    assert names(block.outcome.begin_events).count("governance.validator_changed") == 4
    assert validators.validator_updates(block.outcome) == ()


def test_a_replica_replays_votes_and_evidence():
    play = four()
    play.decide(H, admit(N), add_validator(N, 1))
    play.run(evidence=[evidence(P)])
    kv = MemoryKV()
    again = Replica.create(kv, play.replica.genesis, RULES)
    for height in range(1, play.replica.height + 1):
        again.replay(kv, play.replica.block_bytes(play.kv, height))
    assert again.app_hash == play.replica.app_hash
