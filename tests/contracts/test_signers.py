"""Fault catalogue C4: every message of every contract, with every wrong key in place of each key that it needs, is
refused and changes nothing; rights end with the key, and with the organisation, that had them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from careledger.contracts import CONTRACTS, anchor_message
from careledger.contracts.identity import (
    DEACTIVATE,
    NODE,
    ROOT,
    ROTATE,
    SET_END_POINTS,
    SET_ROLE,
    Deactivate,
    Rotate,
    SetEndPoints,
    SetRole,
)
from careledger.contracts.sys import SET_PROFILE, SetProfile
from careledger.ledger.execution import SponsorNotSigned, UnknownSponsor, UnusedAuthenticator
from careledger.ledger.kernel import ED25519, NotSigned
from careledger.ledger.transaction import SecretKey
from careledger.primitives.hashing import sha256
from tests.contracts import test_adoption, test_governance_refusals, test_standing
from tests.contracts.test_contracts import (
    DOCTOR,
    DOCTOR_DID,
    FRESH,
    NEXT,
    SCANNER,
    TO_CLINIC,
    TO_NURSE,
    admission,
    organisation,
    prepare,
    register_doctor,
    set_parameter,
)
from tests.ledger.play import CLINIC, HOSPITAL, STRANGER, Party, Play

H, C, S = HOSPITAL, CLINIC, STRANGER
SURGEON = SecretKey(ED25519, sha256(b"Dr Lindqvist"))
EVERYBODY = [H.root, H.node, C.root, C.node, S.root, S.node, DOCTOR, SCANNER, SURGEON, FRESH]
EVERYBODY += [TO_CLINIC.key, TO_NURSE.key, NEXT.key]


@dataclass(frozen=True)
class Call:
    """A message, and the keys that it needs beside its sponsor's."""

    message: str
    data: bytes
    authors: list[SecretKey]
    sponsor: Party = H


CALLS = [
    Call("identity.register", organisation(), [H.root, S.root, S.node]),
    Call("identity.register", register_doctor(by=C, key=SURGEON), [C.root, SURGEON], C),
    Call("identity.rotate", ROTATE.encode(Rotate(H.did, ROOT, FRESH.key)), [H.root, FRESH]),
    Call("identity.rotate", ROTATE.encode(Rotate(C.did, NODE, FRESH.key)), [C.root, FRESH], C),
    Call("identity.rotate", ROTATE.encode(Rotate(DOCTOR_DID, ROOT, FRESH.key)), [H.root, FRESH]),
    Call("identity.deactivate", DEACTIVATE.encode(Deactivate(C.did, H.did)), [H.root]),
    Call("identity.deactivate", DEACTIVATE.encode(Deactivate(C.did, C.did)), [C.root], C),
    Call("identity.deactivate", DEACTIVATE.encode(Deactivate(DOCTOR_DID, H.did)), [H.root]),
    Call("identity.set_role", SET_ROLE.encode(SetRole(DOCTOR_DID, H.did, ("nurse",))), [H.root]),
    Call("identity.set_role", SET_ROLE.encode(SetRole(C.did, H.did, ("witness",))), [H.root]),
    Call("identity.set_end_points", SET_END_POINTS.encode(SetEndPoints(C.did, ())), [C.root], C),
    Call("records.anchor", anchor_message(H.did, 0, bytes(32), bytes(32)), [H.node]),
    Call("records.anchor", anchor_message(C.did, 0, bytes(32), bytes(32)), [C.node], C),
    Call("sys.profile", SET_PROFILE.encode(SetProfile(H.did, "1.0.0", "3.11", ())), [H.root]),
    Call("governance.set_parameter", set_parameter(), [H.root]),
    Call("governance.admit", admission(), [H.root]),
    Call("consent.grant", NEXT.grant(), [NEXT.key]),
    Call("consent.revoke", TO_CLINIC.revoke(), [TO_CLINIC.key]),
]


@pytest.fixture(scope="module")
def play() -> Play:
    return prepare()


@pytest.mark.parametrize("call", CALLS, ids=[f"{call.message} {at}" for at, call in enumerate(CALLS)])
def test_every_wrong_key_is_refused(play, call):
    for needed in call.authors:
        others = [key for key in call.authors if key != needed]
        sponsor = call.sponsor.root if needed == call.sponsor.node else call.sponsor.node
        for wrong in EVERYBODY:
            if wrong not in call.authors:
                keys = [sponsor, *others, wrong]
                assert play.refuse(play.build([call.data], keys, sponsor=call.sponsor)) == NotSigned.number
        keys = [sponsor, *others]
        assert play.refuse(play.build([call.data], keys, sponsor=call.sponsor)) == NotSigned.number


@pytest.mark.parametrize("call", CALLS, ids=[f"{call.message} {at}" for at, call in enumerate(CALLS)])
def test_the_right_keys_are_enough_and_no_more_is_taken(call):
    play = prepare()
    keys = [call.sponsor.node, *call.authors]
    spare = next(key for key in EVERYBODY if key not in keys)
    extra = play.build([call.data], [*keys, spare], sponsor=call.sponsor)
    assert play.refuse(extra) == UnusedAuthenticator.number
    other = next(party for party in (H, C) if not {party.node, party.root} & set(keys))
    foreign = play.build([call.data], keys, sponsor=other)
    assert play.refuse(foreign) == SponsorNotSigned.number
    play.accept([call.data], keys, sponsor=call.sponsor)


def test_no_message_is_left_out():
    named = {call.message for call in CALLS} | set(test_standing.CALLS)
    named |= set(test_governance_refusals.CALLS) | set(test_adoption.CALLS)
    unsigned = {"governance.found"}  # of a genesis
    assert named | unsigned == {kind.name for one in CONTRACTS for kind in one.messages}


def test_a_rotated_key_decides_nothing_more():
    play = prepare()
    play.accept([ROTATE.encode(Rotate(H.did, ROOT, FRESH.key))], [H.node, H.root, FRESH])
    decided_by_root = [call for call in CALLS if H.root in call.authors]
    assert len(decided_by_root) == 10
    for call in decided_by_root:
        keys = [H.node, *call.authors]
        # The key that the ledger knows now is used already, so a rotation to it fails for that reason first.
        assert play.refuse(play.build([call.data], keys)) in (NotSigned.number, 208), call.message


def test_a_deactivated_organisation_decides_nothing_more():
    play = prepare()
    play.accept([DEACTIVATE.encode(Deactivate(C.did, H.did))], [H.node, H.root], lane=0)
    for call in CALLS:
        if call.sponsor is C:
            keys = [C.node, *call.authors]
            assert play.refuse(play.build([call.data], keys, sponsor=C)) == UnknownSponsor.number
            lent = play.build([call.data], [H.node, *call.authors])
            assert play.refuse(lent) == 203, call.message
