"""Passkeys sign transactions: what holds enters the ledger, embedded and on a network; what does not changes nothing.

The rules of an assertion are those of `tests/primitives/test_webauthn.py`; here each is refused by the ledger.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from careledger.contracts import CONTRACTS
from careledger.contracts.identity import PRACTITIONER, REGISTER, ROOT, ROTATE, SUBJECTS, Register, Rotate
from careledger.ledger.consensus.proposals import ProposalRefused, check, prepare
from careledger.ledger.consensus.verified import VerifiedOnce
from careledger.ledger.execution import Rules
from careledger.ledger.kernel import WEBAUTHN_ML_DSA
from careledger.ledger.transaction import (
    AUTHENTICATORS_MAX,
    TRANSACTION,
    TRANSACTION_SIZE_MAX,
    Authenticator,
    BadAuthenticator,
    SecretKey,
    Transaction,
    compute_id,
    decode_transaction,
    join_authenticators,
)
from careledger.primitives.hashing import sha256
from careledger.primitives.types import compute_did
from careledger.primitives.webauthn import ASSERTION, ASSERTION_SIZE_MAX, WEBAUTHN_KEY_SIZE_MAX
from tests.contracts import network as net
from tests.ledger.crowd import PARTIES, Crowd
from tests.ledger.passkeys import Passkey
from tests.ledger.play import HOSPITAL, Play
from tests.primitives.test_webauthn import CASE_IDS, CASES, HONEST, ID, LINDQVIST, OKAFOR

STAFF = [OKAFOR, LINDQVIST]
IDS = ["es256", "ml-dsa-65"]


def register(passkey: Passkey, by=HOSPITAL) -> bytes:
    return REGISTER.encode(Register(by.did, PRACTITIONER, "", passkey.key, None, ()))


def did_of(passkey: Passkey):
    return compute_did(PRACTITIONER, *passkey.key)


class Answering:
    """Signs with an assertion of a test's making."""

    def __init__(self, passkey: Passkey, make) -> None:
        self.key, self._passkey, self._make = passkey.key, passkey, make

    def sign(self, data: bytes) -> bytes:
        return self._make(self._passkey, data)


@pytest.fixture(scope="module")
def play() -> Play:
    return Play()


@pytest.mark.parametrize("passkey", STAFF, ids=IDS)
@pytest.mark.parametrize("make", [row[1] for row in HONEST], ids=[row[0] for row in HONEST])
def test_a_practitioner_is_registered_under_a_passkey(passkey, make):
    play = Play()
    play.accept([register(passkey)], [HOSPITAL.node, HOSPITAL.root, Answering(passkey, make)])
    raw = play.ledger.state(play.kv, "identity", "subject", did_of(passkey))
    assert SUBJECTS.value.decode(raw).root == passkey.key


@pytest.mark.parametrize("passkey, why, make, code", CASES, ids=CASE_IDS)
def test_an_assertion_that_does_not_hold_leaves_the_state_untouched(play, passkey, why, make, code):
    if why == "empty":  # has no encoding, so it is not even a transaction
        return
    keys = [HOSPITAL.node, HOSPITAL.root, Answering(passkey, make)]
    assert play.refuse(play.build([register(passkey)], keys)) == BadAuthenticator.number


def test_an_assertion_counts_for_its_transaction_alone(play):
    """Not for another body, nor under another algorithm's tag."""
    first = play.build([register(OKAFOR)], [HOSPITAL.node, HOSPITAL.root, OKAFOR], valid_ms=50_000)
    (given,) = [one for one in TRANSACTION.decode(first).authenticators if one.key == OKAFOR.key.public]
    other = play.build([register(OKAFOR)], [HOSPITAL.node, HOSPITAL.root])
    one = TRANSACTION.decode(other)
    assert play.refuse(join_authenticators(one.body, [*one.authenticators, given])) == 14
    one = TRANSACTION.decode(first)
    retagged = [replace(it, algorithm=WEBAUTHN_ML_DSA) if it == given else it for it in one.authenticators]
    assert play.refuse(join_authenticators(one.body, retagged)) == 14


def test_the_state_does_not_depend_on_the_bytes_of_an_assertion():
    """Another counter, other flags, a later member: other bytes, the same app hash."""
    hashes, seen = set(), set()
    for _, make in HONEST:
        play = Play()
        data = play.build([register(OKAFOR)], [HOSPITAL.node, HOSPITAL.root, Answering(OKAFOR, make)])
        seen.add(data)
        block = play.run([data])
        assert block.receipts[0].code == 0
        hashes.add(block.app_hash)
    assert len(seen) == len(HONEST) - 1, "two of them are the same"
    assert len(hashes) == 1


def test_on_a_network_the_same_holds_and_the_same_is_refused():
    """The replica that the engine drives, and what it would propose and take as a proposal."""
    made = net.four()
    for passkey in STAFF:
        keys = [*net.HOSPITAL.keys, passkey]
        made.accept([register(passkey, net.HOSPITAL)], keys)
        assert SUBJECTS.get(made.state, did_of(passkey)).root == passkey.key
    third = replace(OKAFOR, name="Dr Quill")
    crowd = Crowd(Rules(CONTRACTS, VerifiedOnce()))
    anna = PARTIES[0]
    good = crowd.build(anna, 1, 0, [register(third, anna)], [anna.node, anna.root, third])
    for _, why, make, _ in CASES:
        if why in ("the user not verified", "another origin", "high s", "another RP id"):
            lying = Answering(replace(third), make)
            bad_keys = [*net.HOSPITAL.keys, lying]
            before = made.replica.height
            assert made.run([made.build([register(third, net.HOSPITAL)], bad_keys)]).receipts[0].code == 14
            assert made.replica.height == before + 1
            bad = crowd.build(anna, 1, 0, [register(third, anna)], [anna.node, anna.root, lying])
            proposal = prepare(crowd.rules, crowd.read, crowd.block(), [bad, good], 1 << 20)
            assert proposal.transactions == (good,)
            with pytest.raises(ProposalRefused):
                check(crowd.rules, crowd.read, crowd.block([bad]), 1 << 20)
    assert SUBJECTS.get(made.state, did_of(third)) is None


def test_passkeys_rotate_and_none_comes_back():
    play, next_one = Play(), Passkey("Dr Okafor's new phone", WEBAUTHN_ML_DSA)
    signs = [HOSPITAL.node, HOSPITAL.root]
    play.accept([register(OKAFOR)], [*signs, OKAFOR])
    did = did_of(OKAFOR)
    play.accept([ROTATE.encode(Rotate(did, ROOT, next_one.key))], [*signs, next_one])
    back = ROTATE.encode(Rotate(did, ROOT, OKAFOR.key))
    assert play.refuse(play.build([back], [*signs, OKAFOR])) == 208
    moved = replace(OKAFOR, origin="https://elsewhere.example", rp_id="elsewhere.example")
    assert play.refuse(play.build([register(moved)], [*signs, moved])) == 208, "the raw key is what counts"
    plain = SecretKey(1, sha256(b"a card"))
    play.accept([ROTATE.encode(Rotate(did, ROOT, plain.key))], [*signs, plain])


def test_the_largest_transaction_of_passkeys_fits():
    """As many authenticators as there may be, each as large as can be: nothing legal is over the limit."""
    long = "https://" + "a" * 253 + ":65535"
    passkey = Passkey("large", WEBAUTHN_ML_DSA, flags=0x85, tail=bytes(475), origin=long)
    made = passkey.answer(ID, passkey.client_data(ID).ljust(1024))
    signature = ASSERTION.encode(made)
    assert (len(passkey.key.public), len(signature)) == (WEBAUTHN_KEY_SIZE_MAX, ASSERTION_SIZE_MAX)
    body = TRANSACTION.decode(Play().build([register(passkey)], [HOSPITAL.node])).body
    public = passkey.key.public
    many = [Authenticator(4, bytes([at]) + public[1:], signature) for at in range(AUTHENTICATORS_MAX)]
    data = TRANSACTION.encode(Transaction(body, tuple(many)))
    assert len(data) < TRANSACTION_SIZE_MAX
    assert compute_id(decode_transaction(data)[0].body) == compute_id(body)
