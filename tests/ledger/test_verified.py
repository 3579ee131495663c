"""A replica verifies each signature once, and nothing else comes out differently."""

from __future__ import annotations

import dataclasses

import pytest

from careledger.contracts import CONTRACTS, anchor_message
from careledger.ledger.consensus.verified import VerifiedOnce
from careledger.ledger.execution import BlockInput, History, Rules, apply_block
from careledger.ledger.transaction import (
    DECODED_SIZE_MAX,
    TRANSACTION,
    BadAuthenticator,
    compute_id,
    decode_transaction,
    verify_authenticators,
)
from careledger.primitives.hashing import sha256
from tests.ledger.play import HOSPITAL, STRANGER, Play

ANCHOR = anchor_message(HOSPITAL.did, 0, bytes(32), sha256(b"root"))


def ask(verified, data):
    transaction, _ = decode_transaction(data)
    return verified(data, transaction.authenticators, compute_id(transaction.body))


def bent(data, **changes):
    """The same body; its only authenticator changed."""
    decoded = TRANSACTION.decode(data)
    (one,) = decoded.authenticators
    return TRANSACTION.encode(
        dataclasses.replace(decoded, authenticators=(dataclasses.replace(one, **changes),))
    )


def test_small_transactions_are_decoded_once_and_large_ones_fill_no_memory():
    """Nothing of them is verified yet: strangers choose how many there are, and how large."""
    small = Play().build([ANCHOR], [HOSPITAL.node])
    large = Play().build([bytes(DECODED_SIZE_MAX)], [HOSPITAL.node])
    assert decode_transaction(small) is decode_transaction(small)
    assert decode_transaction(large) == decode_transaction(large)
    assert decode_transaction(large) is not decode_transaction(large)


def test_what_held_is_not_verified_again_and_names_the_same_keys():
    data = Play().build([ANCHOR], [HOSPITAL.node, HOSPITAL.root])
    calls = []

    def counted(_, authenticators, transaction_id):
        calls.append(transaction_id)
        return verify_authenticators(authenticators, transaction_id)

    verified = VerifiedOnce(counted)
    assert ask(verified, data) == ask(verified, data) == {HOSPITAL.node.key, HOSPITAL.root.key}
    assert len(calls) == 1
    assert (verified.verified, verified.remembered) == (1, 1)


def test_another_signature_or_key_over_a_remembered_body_is_verified():
    good = Play().build([ANCHOR], [HOSPITAL.node])
    verified = VerifiedOnce()
    ask(verified, good)
    for forged in (
        bent(good, signature=bytes(64)),
        bent(good, key=STRANGER.node.key.public),
        bent(good, key=HOSPITAL.root.key.public),
    ):
        for _ in range(2):  # the second time too: a refusal is never remembered as a success
            with pytest.raises(BadAuthenticator):
                ask(verified, forged)


def test_the_memory_is_bounded_and_forgets_what_was_met_longest_ago():
    play = Play()
    first, second, third = (play.build([ANCHOR], [HOSPITAL.node], sequence=at) for at in range(3))
    verified = VerifiedOnce(remembered_max=2)
    for data in (first, second, first, third):
        ask(verified, data)
    assert (verified.verified, verified.remembered) == (3, 1)
    ask(verified, first)
    assert verified.verified == 3
    ask(verified, second)
    assert verified.verified == 4


def test_a_block_comes_out_the_same():
    play = Play()
    data = play.build([ANCHOR], [HOSPITAL.node])
    other = play.build([ANCHOR], [STRANGER.node], sequence=1)
    block = BlockInput(
        play.ledger.genesis_hash,
        1,
        play.now_ms,
        History(1, bytes(32)),
        [data, bent(data, signature=bytes(64)), other],
    )
    read = play.ledger.reader(play.kv)
    once = Rules(CONTRACTS, VerifiedOnce())
    plain = apply_block(Rules(CONTRACTS), read, block)
    assert plain == apply_block(once, read, block) == apply_block(once, read, block)
    assert [receipt.code == 0 for receipt in plain.receipts] == [True, False, False]
