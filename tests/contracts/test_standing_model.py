"""Whatever is decided about people, in whatever order: the ledger says of everybody what an independent model says."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.contracts import CONTRACTS
from careledger.contracts.identity import DEACTIVATE, Deactivate
from careledger.contracts.standing import DAY_MS
from careledger.ledger.consensus.embedded import EmbeddedLedger
from careledger.primitives.hashing import sha256
from tests.contracts.test_standing import (
    LAPSED,
    OKAFOR,
    QUILL,
    C,
    H,
    did_of,
    license_,
    register,
    reinstate,
    set_roles,
    sign,
    standing_of,
    suspend,
)
from tests.ledger.play import SIGNER, Play

PEOPLE = {did_of(OKAFOR): (OKAFOR, H), did_of(LAPSED): (LAPSED, H), did_of(QUILL): (QUILL, C)}
EVERYBODY = (*PEOPLE, C.did)
ROLES = ("nurse", "physician")


@dataclass
class Person:
    """What the model knows; an organisation has no licences."""

    gone: bool = False
    suspended: bool = False
    roles: tuple[str, ...] = ()
    ends: dict[str, int] = field(default_factory=dict)


class Model:
    """Says who may do what, and how everybody stands, from the promises alone."""

    def __init__(self) -> None:
        self.all = {did: Person() for did in EVERYBODY}
        self.signed = 0

    def employer(self, did) -> Person:
        return self.all[C.did] if did in (C.did, did_of(QUILL)) else Person()

    def status(self, did, day) -> tuple[str, tuple[str, ...]]:
        one, employer = self.all[did], self.employer(did)
        if one.gone or employer.gone:
            return "deactivated", ()
        if one.suspended or employer.suspended:
            return "suspended", ()
        if one.ends and max(one.ends.values()) < day:
            return "lapsed", ()
        held = {role for role in one.roles if role not in one.ends}
        held |= {role for role, end in one.ends.items() if day <= end}
        return "active", tuple(sorted(held))

    def decide(self, what, did, role, end, day) -> bool:
        """Whether it is accepted; then it has happened."""
        one, employer = self.all[did], self.employer(did)
        is_possible = not one.gone and (did == C.did or not (employer.gone or employer.suspended))
        if what == "suspend":
            done = is_possible and not one.suspended
            one.suspended |= done
        elif what == "reinstate":
            done = is_possible and one.suspended
            one.suspended &= not done
        elif what == "deactivate":
            done = is_possible
            one.gone |= done
        elif what == "license":
            done = is_possible and did != C.did
            one.ends |= {role: end} if done else {}
        elif what == "roles":
            done = is_possible
            one.roles = (role,) if done else one.roles
        else:
            done = did != C.did and self.status(did, day)[0] == "active"
        return done


@functools.cache
def _prepared() -> Play:
    play = Play(with_clinic=True)
    for key, by in PEOPLE.values():
        play.accept([register(key, by)], [by.node, by.root, key], sponsor=by)
    return play


def fresh() -> Play:
    """A copy of the ledger with three practitioners."""
    base, play = _prepared(), object.__new__(Play)
    play.kv, play.now_ms, play.blocks = base.kv.copy(), base.now_ms, []
    play.ledger = EmbeddedLedger.open(play.kv, CONTRACTS, SIGNER)
    return play


def build(play: Play, what: str, did, role: str, end: int, at: int) -> bytes:
    """The step as a transaction that the hospital pays for, signed by whom it takes."""
    key, by = PEOPLE.get(did, (None, H))
    if what == "sign" and key is not None:
        return play.build([sign(did, sha256(b"%d" % at))], [H.node, key])
    message = {
        "suspend": lambda: suspend(did, by),
        "reinstate": lambda: reinstate(did, by),
        "deactivate": lambda: DEACTIVATE.encode(Deactivate(did, by.did)),
        "license": lambda: license_(did, role, end, by),
        "roles": lambda: set_roles(did, role, by=by),
        "sign": lambda: sign(did),
    }[what]()
    return play.build([message], [H.node, by.root])


STEPS = st.tuples(
    st.sampled_from(
        ["suspend", "reinstate", "reinstate", "license", "license", "roles", "sign", "deactivate"]
    ),
    st.sampled_from([did_of(OKAFOR), did_of(OKAFOR), did_of(OKAFOR), did_of(QUILL), C.did, did_of(LAPSED)]),
    st.sampled_from(ROLES),
    st.integers(-2, 3),
    st.sampled_from([0, 0, DAY_MS // 2, DAY_MS]),
)


@given(st.lists(STEPS, min_size=8, max_size=16))
@settings(max_examples=80)
def test_the_ledger_says_what_the_model_says(steps):
    play, model = fresh(), Model()
    for at, (what, did, role, in_days, later_ms) in enumerate(steps):
        play.now_ms += later_ms
        day = (play.now_ms + 1000) // DAY_MS
        block = play.run([build(play, what, did, role, day + in_days, at)])
        accepted = model.decide(what, did, role, day + in_days, day)
        assert (block.receipts[0].code == 0) == accepted, (what, block.receipts[0].reason)
        for one in EVERYBODY:
            stands = standing_of(play, one)
            expected = model.status(one, play.now_ms // DAY_MS)
            assert (stands.status, stands.roles) == expected
