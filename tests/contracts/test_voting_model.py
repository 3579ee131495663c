"""Votes, weights and evidence against a model that says it in fractions and sets; and what holds after every block."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.contracts import proposals, validators, voting
from careledger.contracts.parameters import get_parameter
from tests.contracts.network import (
    DAY_MS,
    EVERYBODY,
    NetworkPlay,
    change_parameter,
    evidence,
    jail,
    propose_message,
    set_weight,
    unjail,
)

ORGS = EVERYBODY[:6]
QUOTA, VALID = "quota_bytes_day", "valid_ms_max"
FOUNDINGS = [(1,) * count for count in (2, 3, 4, 5, 6)] + [(30, 25, 25, 20), (30, 30, 20, 10, 10)]
ENCODED = {
    "weigh": lambda who, value: set_weight(ORGS[who], value),
    "jail": lambda who, value: jail(ORGS[who]),
    "unjail": lambda who, value: unjail(ORGS[who], value),
    VALID: lambda who, value: change_parameter(VALID, 3_600_000 + value),
    QUOTA: lambda who, value: change_parameter(QUOTA, (1 << 34) + value),
}
WHO = st.integers(0, len(ORGS) - 1)
WHAT = st.sampled_from([VALID, "jail", "jail", "unjail", "unjail", "weigh", QUOTA])
ACT = st.tuples(WHAT, WHO, st.sampled_from([1, 1, 1, 2, 20, 25]))
STEP = st.one_of(
    *[
        st.tuples(
            st.just("propose"), WHO, st.lists(ACT, min_size=1, max_size=2), st.sampled_from([0, 0, 0, 8])
        )
    ]
    * 3,
    *[st.tuples(st.just("vote"), WHO, st.integers(0, 2), st.sampled_from([True, True, False]))] * 3,
    *[st.tuples(st.just("everybody votes"), st.integers(0, 2))] * 2,
    st.tuples(st.just("evidence"), WHO),
    st.tuples(st.just("wait"), st.sampled_from([1_000, DAY_MS])),
)


def keeps_the_rules(weights: dict[int, int]) -> bool:
    if len(weights) < 4:
        return len(set(weights.values())) == 1
    return all(Fraction(weight, sum(weights.values())) < Fraction(1, 3) for weight in weights.values())


class Model:
    """What should be: weights of the active, who is jailed, parameters, and every proposal."""

    def __init__(self, weights: dict[int, int]) -> None:
        self.weights = weights
        self.jailed: set[int] = set()
        self.parameters = {QUOTA: 1 << 40, VALID: DAY_MS}
        self.proposals: dict[int, dict] = {}

    def effect(self, acts):
        """Weights, jailed, parameters after the acts; None if they cannot be."""
        weights, jailed, parameters = dict(self.weights), set(self.jailed), dict(self.parameters)
        for what, who, value in acts:
            if what in (QUOTA, VALID):
                parameters[what] = value + (3_600_000 if what == VALID else 1 << 34)
            elif what == "unjail":
                if who not in jailed:
                    return None
                jailed.remove(who)
                weights[who] = value
            elif who not in weights:
                return None
            elif what == "weigh":
                weights[who] = value
            else:
                del weights[who]
                jailed.add(who)
        shifted = any(what in ("weigh", "unjail") for what, _, _ in acts)
        if weights != self.weights and not (keeps_the_rules(weights) if shifted else weights):
            return None
        return weights, jailed, parameters

    def begin(self, height: int, now_ms: int, accused: int | None) -> None:
        if accused in self.weights and len(self.weights) > 1:
            del self.weights[accused]
            self.jailed.add(accused)
        for one in self.proposals.values():
            if (
                one["status"] == proposals.PASSED
                and height >= one["from_height"]
                and now_ms >= one["from_ms"]
            ):
                after = self.effect(one["acts"])
                one["status"] = proposals.FAILED if after is None else proposals.IN_FORCE
                if after is not None:
                    self.weights, self.jailed, self.parameters = after
            elif one["status"] == proposals.OPEN and (
                now_ms > one["until_ms"] or (one["at_height"] and height >= one["at_height"])
            ):
                one["status"] = proposals.LAPSED

    def propose(self, who: int, acts, at_height: int, height: int, now_ms: int) -> bool:
        mine = [one for one in self.proposals.values() if one["by"] == who]
        waiting = [one for one in mine if one["status"] in (proposals.OPEN, proposals.PASSED)]
        if who not in self.weights or len(waiting) >= 4 or self.effect(acts) is None:
            return False
        one = {
            "by": who, "acts": acts, "at_height": at_height, "until_ms": now_ms - 1000 + DAY_MS,
            "voters": dict(self.weights), "votes": {}, "status": proposals.OPEN,
        }  # fmt: skip
        self.proposals[len(self.proposals) + 1] = one
        return self.vote(who, len(self.proposals), True, height, now_ms)

    def vote(self, who: int, number: int, is_for: bool, height: int, now_ms: int) -> bool:
        one = self.proposals.get(number)
        if one is None or one["status"] != proposals.OPEN or who in one["votes"]:
            return False
        if who not in one["voters"] or who not in self.weights:
            return False
        one["votes"][who] = is_for
        counting = {did: min(weight, self.weights.get(did, 0)) for did, weight in one["voters"].items()}
        needed = Fraction(3, 4) if any(what == QUOTA for what, _, _ in one["acts"]) else Fraction(2, 3)
        total = sum(one["voters"].values())

        def carries(backers: list[int]) -> bool:
            if len(one["voters"]) < 4:
                return sorted(backers) == sorted(one["voters"]) and all(counting[did] for did in backers)
            return Fraction(sum(counting[did] for did in backers), total) > needed

        if carries([did for did, choice in one["votes"].items() if choice]):
            one["status"] = proposals.PASSED
            one["from_height"] = max(height + 1, one["at_height"])
            one["from_ms"] = now_ms + (DAY_MS if needed == Fraction(3, 4) else 0)
        elif not carries([did for did in one["voters"] if one["votes"].get(did, True)]):
            one["status"] = proposals.REJECTED
        return True


def run(play: NetworkPlay, model: Model, *, message: bytes | None = None, by: int = 0, accused=None, ms=1000):
    """One block; whether its transaction was taken."""
    org = ORGS[by]
    transactions = [] if message is None else [play.build([message], org.keys, org)]
    proofs = [] if accused is None else [evidence(ORGS[accused])]
    block = play.run(transactions, proofs, ms)
    return message is not None and block.receipts[0].code == 0


def compare(play: NetworkPlay, model: Model) -> None:
    assert play.weights == {ORGS[who].address: weight for who, weight in model.weights.items()}
    assert {name: get_parameter(play.state, name) for name in (QUOTA, VALID)} == model.parameters
    statuses = {number: play.proposal(number).status for number in model.proposals}
    assert statuses == {number: one["status"] for number, one in model.proposals.items()}
    waiting = {number for number, status in statuses.items() if status in (proposals.OPEN, proposals.PASSED)}
    assert {due.number for due in proposals.get_agenda(play.state).due} == waiting
    for number in model.proposals:
        assert (proposals.BODIES.get(play.state, number) is not None) == (number in waiting)
    for org in ORGS:  # who has no weight has none anywhere
        entry = validators.VALIDATORS.get(play.state, org.address)
        if entry is not None:
            assert (entry.status == validators.ACTIVE) == (org.address in play.weights)
            assert entry.weight == play.weights.get(org.address, 0)


@given(st.sampled_from(FOUNDINGS), st.lists(STEP, min_size=20, max_size=30))
@settings(max_examples=50)
def test_votes_come_out_as_the_model_says(weights, steps):
    play = NetworkPlay([org.founder(weight) for org, weight in zip(ORGS, weights, strict=False)])
    model = Model(dict(enumerate(weights)))
    for step in steps:
        kind, height = step[0], play.replica.height + 1
        was_valid, accused, before = keeps_the_rules(model.weights), None, dict(model.weights)
        if kind == "wait":
            model.begin(height, play.now_ms + step[1], None)
            run(play, model, ms=step[1])
        elif kind == "evidence":
            accused = step[1]
            model.begin(height, play.now_ms + 1000, accused)
            run(play, model, accused=accused)
        elif kind == "propose":
            _, who, acts, ahead = step
            who %= len(weights)
            at_height = height + ahead if ahead else 0
            body = play.body(*[ENCODED[what](one, value) for what, one, value in acts], at_height=at_height)
            model.begin(height, play.now_ms + 1000, None)
            expected = model.propose(who, acts, at_height, height, play.now_ms + 1000)
            assert run(play, model, message=propose_message(ORGS[who], body), by=who) == expected
        else:
            voters = range(len(weights)) if kind == "everybody votes" else [step[1] % len(weights)]
            number = len(model.proposals) - step[1 if kind == "everybody votes" else 2]
            if number < 1:
                continue
            for who in voters:
                is_for = kind == "everybody votes" or step[3]
                said = play.proposal(number).body_hash
                message = voting.VOTE.encode(voting.Vote(ORGS[who].did, number, said, is_for))
                model.begin(play.replica.height + 1, play.now_ms + 1000, None)
                expected = model.vote(who, number, is_for, play.replica.height + 1, play.now_ms + 1000)
                assert run(play, model, message=message, by=who) == expected
        compare(play, model)
        assert model.weights, "the set is never empty"
        gained = {who for who, weight in model.weights.items() if weight > before.get(who, 0)}
        if accused is None and was_valid and gained:
            assert keeps_the_rules(model.weights), "what was voted keeps the rules"


@given(st.lists(st.tuples(WHO, st.integers(1, 40)), min_size=1, max_size=12))
def test_no_organisation_decides_or_stops_a_block_of_four_or_more_alone(held):
    seats = tuple(
        validators.Seat(bytes([at]) * 20, ORGS[who].did, weight) for at, (who, weight) in enumerate(held)
    )
    weights = validators.compute_weights(seats)
    total = sum(weights.values())
    try:
        validators.check_weights(seats)
    except (validators.OrganisationTooHeavy, validators.WeightsUnequal):
        assert not keeps_the_rules(dict(enumerate(weights.values())))
        return
    for weight in weights.values():
        without = Fraction(total - weight, total)
        assert (without > Fraction(2, 3)) == (len(weights) >= 4), "up to three are all needed"
        assert Fraction(weight, total) <= Fraction(2, 3) or len(weights) == 1
