"""Fault catalogue C1 and C2: a signed transaction is executed once, on one ledger, in one lane, however it is sent again."""

from __future__ import annotations

import dataclasses

import pytest

from careledger.contracts import CONTRACTS
from careledger.contracts.identity import SET_END_POINTS, SetEndPoints
from careledger.ledger.consensus.embedded import EmbeddedLedger
from careledger.ledger.execution import OtherLedger, SequenceMismatch
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.transaction import (
    BODY,
    TRANSACTION,
    BadAuthenticator,
    Malformed,
    Transaction,
    compute_id,
    sign_transaction,
)
from tests.ledger.play import CLINIC, SIGNER, Decided, Play, make_genesis

KEYS = [CLINIC.node, CLINIC.root]  # the root key is ML-DSA-65: its signatures are hedged
ONCE = SequenceMismatch.number


def end_points(*addresses: str) -> bytes:
    return SET_END_POINTS.encode(SetEndPoints(CLINIC.did, addresses))


def test_the_same_bytes_again():
    play = Play(with_clinic=True)
    signed = play.build([end_points("https://a")], KEYS, sponsor=CLINIC)
    assert [receipt.code for receipt in play.run([signed, signed]).receipts] == [0, ONCE]
    assert play.refuse(signed) == ONCE
    play.accept([end_points("https://b")], KEYS, sponsor=CLINIC)
    assert play.refuse(signed) == ONCE
    reopened = EmbeddedLedger.open(play.kv, CONTRACTS, SIGNER)
    assert reopened.try_out(play.kv, [signed], play.now_ms).receipts[0].code == ONCE


def test_another_signature_over_the_same_body_is_the_same_transaction():
    play = Play(with_clinic=True)
    signed = play.build([end_points("https://a")], KEYS, sponsor=CLINIC)
    body = TRANSACTION.decode(signed).body
    again = sign_transaction(body, KEYS)
    assert again != signed
    assert play.run([signed]).receipts[0].id == compute_id(body)
    assert play.refuse(again) == ONCE


def test_on_a_ledger_of_the_same_parties():
    play, kv = Play(with_clinic=True), MemoryKV()
    genesis = dataclasses.replace(make_genesis(), entropy=bytes(32))
    twin = EmbeddedLedger.create(kv, genesis, CONTRACTS, SIGNER)
    signed = play.build([end_points("https://a")], KEYS, sponsor=CLINIC)
    assert twin.execute(kv, [signed], play.now_ms).receipts[0].code == OtherLedger.number
    assert play.run([signed]).receipts[0].code == 0


@pytest.mark.parametrize("change", [{"lane": 2}, {"sequence": 1}, {"valid_until": 1_800_000_090_000}])
def test_moved_to_another_place_it_is_not_signed(change):
    play = Play(with_clinic=True)
    signed = TRANSACTION.decode(play.build([end_points("https://a")], KEYS, sponsor=CLINIC))
    play.accept([end_points("https://b")], KEYS, sponsor=CLINIC)
    body = dataclasses.replace(BODY.decode(signed.body), **change)
    moved = TRANSACTION.encode(Transaction(BODY.encode(body), signed.authenticators))
    fitting = body.lane != 1 or body.sequence == 1
    assert play.refuse(moved) == (BadAuthenticator.number if fitting else ONCE)


def test_a_directives_signature_serves_one_transaction():
    """Neither the grant's signature on a revocation, nor in another order, nor beside a second one."""
    play = Play(with_clinic=True)
    one = Decided("one")
    grant = TRANSACTION.decode(play.build([one.grant()], [CLINIC.node, one.key], sponsor=CLINIC))
    revocation = TRANSACTION.decode(play.build([one.revoke()], [CLINIC.node, one.key], sponsor=CLINIC))
    swapped = TRANSACTION.encode(Transaction(revocation.body, grant.authenticators))
    assert play.refuse(swapped) == BadAuthenticator.number
    backwards = TRANSACTION.encode(Transaction(grant.body, grant.authenticators[::-1]))
    assert play.refuse(backwards) == Malformed.number


def test_in_each_branch_of_a_fork_or_restored_copy_once():
    """A copy of the ledger knows what it held when it was made, and takes what came later once, like the original."""
    play = Play(with_clinic=True)
    before = play.build([end_points("https://a")], KEYS, sponsor=CLINIC)
    assert play.run([before]).receipts[0].code == 0
    copy = play.kv.copy()
    later = play.build([end_points("https://b")], KEYS, sponsor=CLINIC)
    restored = EmbeddedLedger.open(copy, CONTRACTS, SIGNER)
    for ledger, kv in ((play.ledger, play.kv), (restored, copy)):
        codes = [one.code for one in ledger.execute(kv, [later, later, before], play.now_ms).receipts]
        assert codes == [0, ONCE, ONCE]
        assert ledger.try_out(kv, [later], play.now_ms).receipts[0].code == ONCE
    assert restored.app_hash == play.ledger.app_hash
