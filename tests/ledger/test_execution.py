"""The envelope's rules: one row a refusal, the app hash that of an empty block; defects are coded, never raised."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.contracts import CONTRACTS, anchor_message
from careledger.contracts.identity import DEACTIVATE, SET_END_POINTS, Deactivate, SetEndPoints
from careledger.contracts.records import HEADS
from careledger.ledger import execution, transaction
from careledger.ledger.consensus.embedded import EmbeddedLedger
from careledger.ledger.kernel import NotSigned, Rejected
from careledger.ledger.transaction import (
    BODY,
    TRANSACTION,
    Transaction,
    compute_id,
    decode_transaction,
    sign_transaction,
)
from careledger.primitives.errors import Corrupt, Misconfigured
from careledger.primitives.signing import sign_ed25519
from tests.ledger.play import CLINIC, HOSPITAL, SIGNER, START_MS, STRANGER, Play

ROOT = bytes(range(32))
ANCHOR = anchor_message(HOSPITAL.did, 0, bytes(32), ROOT)
NODE = [HOSPITAL.node]
DAY_MS = 86_400_000


def anchor(play):
    """The next anchor of this ledger."""
    raw = play.ledger.state(play.kv, "records", "anchors", HOSPITAL.did)
    if raw is None:
        return ANCHOR
    head = HEADS.value.decode(raw)
    return anchor_message(HOSPITAL.did, head.seq + 1, head.root, ROOT)


def good(play, **options):
    return play.build([anchor(play)], NODE, **options)


def with_authenticators(data, change):
    decoded = TRANSACTION.decode(data)
    return TRANSACTION.encode(Transaction(decoded.body, tuple(change(*decoded.authenticators))))


def with_body(data, keys=NODE, **fields):
    body = BODY.decode(TRANSACTION.decode(data).body)
    return sign_transaction(BODY.encode(dataclasses.replace(body, **fields)), keys)


def with_s_plus_l(one):
    s = int.from_bytes(one.signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    return [dataclasses.replace(one, signature=one.signature[:32] + s.to_bytes(32, "little"))]


def identity_forgery(one):
    point = (1).to_bytes(32, "little")
    return [dataclasses.replace(one, key=point, signature=point + bytes(32))]


ENVELOPES = [
    ("empty", lambda p: b"", transaction.Malformed),
    ("trailing byte", lambda p: good(p) + b"\x00", transaction.Malformed),
    ("one byte short", lambda p: good(p)[:-1], transaction.Malformed),
    ("body with a trailing byte", lambda p: sign_transaction(TRANSACTION.decode(good(p)).body + b"\x00", NODE), transaction.Malformed),
    ("authenticator twice", lambda p: with_authenticators(good(p), lambda one: [one, one]), transaction.Malformed),
    ("over the size limit", lambda p: bytes(1_000_000), transaction.TransactionTooLarge),
    ("another chain", lambda p: good(p, genesis_hash=bytes(32)), execution.OtherLedger),
    ("expired", lambda p: good(p, valid_ms=-1), execution.Expired),
    ("valid for over 24 hours", lambda p: good(p, valid_ms=DAY_MS + 1), execution.ValidTooLong),
    ("lane 16", lambda p: good(p, lane=16), execution.UnknownLane),
    ("lane 0 for an anchor", lambda p: good(p, lane=0), execution.LaneReserved),
    ("no message", lambda p: p.build([], NODE), execution.NoMessages),
    ("sequence repeated", lambda p: with_body(good(p), sequence=0), execution.SequenceMismatch),
    ("sequence skipped", lambda p: with_body(good(p), sequence=2), execution.SequenceMismatch),
    ("sponsor unknown", lambda p: p.build([anchor(p)], NODE, sponsor=STRANGER), execution.UnknownSponsor),
    ("sponsor's key absent", lambda p: p.build([anchor(p)], [STRANGER.node]), execution.SponsorNotSigned),
    ("nobody signed", lambda p: with_authenticators(good(p), lambda one: []), execution.SponsorNotSigned),
    ("signature altered", lambda p: with_authenticators(good(p), lambda one: [dataclasses.replace(one, signature=bytes(64))]), transaction.BadAuthenticator),
    ("signature over another id", lambda p: with_authenticators(good(p), lambda one: [dataclasses.replace(one, signature=sign_ed25519(HOSPITAL.node.seed, bytes(32)))]), transaction.BadAuthenticator),
    ("S + L", lambda p: with_authenticators(good(p), with_s_plus_l), transaction.BadAuthenticator),
    ("small-order key", lambda p: with_authenticators(good(p), identity_forgery), transaction.BadAuthenticator),
    ("an Ed25519 signature as a passkey's, ES256", lambda p: with_authenticators(good(p), lambda one: [dataclasses.replace(one, algorithm=3)]), transaction.BadAuthenticator),
    ("an Ed25519 signature as a passkey's, ML-DSA", lambda p: with_authenticators(good(p), lambda one: [dataclasses.replace(one, algorithm=4)]), transaction.BadAuthenticator),
    ("algorithm 9", lambda p: with_authenticators(good(p), lambda one: [dataclasses.replace(one, algorithm=9)]), transaction.UnknownAlgorithm),
    ("a key that nobody needs", lambda p: p.build([anchor(p)], [HOSPITAL.node, STRANGER.node]), execution.UnusedAuthenticator),
    ("unknown message", lambda p: p.build([b"\xff\xff"], NODE), execution.UnknownMessage),
    ("message with a trailing byte", lambda p: p.build([anchor(p) + b"\x00"], NODE), execution.MalformedMessage),
    ("the author's key absent", lambda p: p.build([anchor(p)], [HOSPITAL.root]), NotSigned),
]  # fmt: skip


@pytest.fixture(scope="module")
def play():
    """Its next sequence is 1, so that an old one can be repeated."""
    play = Play()
    play.accept([anchor_message(HOSPITAL.did, 0, bytes(32), bytes(32))], NODE)
    return play


@pytest.mark.parametrize("build, refusal", [row[1:] for row in ENVELOPES], ids=[row[0] for row in ENVELOPES])
def test_refused_envelopes_leave_the_state_untouched(play, build, refusal):
    assert play.refuse(build(play)) == refusal.number


def test_quota_is_counted_a_day():
    play = Play(quota=400)
    message = lambda seq: anchor_message(HOSPITAL.did, seq, bytes(32), bytes(32))  # noqa: E731
    play.accept([message(0)], NODE)
    play.accept([message(1)], NODE)
    assert play.refuse(play.build([message(2)], NODE)) == execution.QuotaExceeded.number
    play.now_ms += DAY_MS
    play.accept([message(2)], NODE)


def test_lane_0_comes_first():
    play = Play(with_clinic=True)
    urgent = play.build(
        [DEACTIVATE.encode(Deactivate(CLINIC.did, CLINIC.did))],
        [CLINIC.node, CLINIC.root],
        sponsor=CLINIC,
        lane=0,
    )
    late = play.build([anchor_message(CLINIC.did, 0, bytes(32), ROOT)], [CLINIC.node], sponsor=CLINIC)
    block = play.run([late, urgent])
    assert block.receipts[1].code == 0
    assert block.receipts[0].code == execution.UnknownSponsor.number
    rules = execution.Rules(CONTRACTS)
    fork = Play(with_clinic=True)
    given = execution.BlockInput(
        fork.ledger.genesis_hash, 2, fork.now_ms + 1, execution.History(2, bytes(32)), [late, urgent]
    )
    read = fork.ledger.reader(fork.kv)
    codes = [receipt.code for receipt in execution.apply_block(rules, read, given).receipts]
    assert codes == [0, execution.LaneOrder.number]


def test_a_defect_in_a_handler_is_coded_and_a_failing_store_is_not():
    play = Play()
    kind = play.ledger._rules.messages[301]

    def fail_with(error):
        def broken(ctx, message):
            ctx.state.set(bytes(32), b"left behind")
            raise error

        play.ledger._rules.messages[301] = dataclasses.replace(kind, handler=broken)

    for error in (KeyError(), RecursionError(), TypeError(), ZeroDivisionError(), UnicodeError()):
        fail_with(error)
        block = play.run([good(play)])
        assert block.receipts[0].code == execution.Defect.number
        assert play.ledger._tree.get(play.ledger._state(play.kv), bytes(32)) is None
    fail_with(Corrupt("a bucket is missing"))
    with pytest.raises(Corrupt):
        play.run([good(play)])


def test_state_does_not_depend_on_signature_bytes():
    """ML-DSA signatures are hedged: the same body signed twice differs in bytes, and gives the same app hash."""
    message = SET_END_POINTS.encode(SetEndPoints(CLINIC.did, ("https://clinic.example",)))
    one, two = Play(with_clinic=True), Play(with_clinic=True)
    first, second = (p.build([message], [CLINIC.node, CLINIC.root], sponsor=CLINIC) for p in (one, two))
    assert first != second
    assert one.run([first]).app_hash == two.run([second]).app_hash
    stored = one.ledger.transaction(one.kv, compute_id(TRANSACTION.decode(first).body))
    assert (stored.code, stored.data) == (0, first)


@given(st.data())
@settings(max_examples=150)
def test_mutated_transactions_are_refused_or_mean_themselves(data):
    raw = bytearray(SIGNED)
    at = data.draw(st.integers(0, len(raw) - 1))
    cut = data.draw(st.integers(0, 2))
    raw[at : at + cut] = data.draw(st.binary(max_size=2))
    try:
        decoded, body = decode_transaction(bytes(raw))
    except Rejected:
        return
    assert TRANSACTION.encode(decoded) == bytes(raw)
    assert BODY.encode(body) == decoded.body


SIGNED = good(Play())


def test_every_refusal_has_one_number_and_a_row():
    def walk(cls):
        for sub in cls.__subclasses__():
            yield sub
            yield from walk(sub)

    refusals = list(walk(Rejected))
    numbers = [refusal.number for refusal in refusals]
    assert len(set(numbers)) == len(numbers)
    assert len({refusal.code for refusal in refusals}) == len(refusals)
    envelope = {refusal for refusal in refusals if refusal.number < 100}
    covered = {row[2] for row in ENVELOPES}
    assert envelope - covered == {execution.Defect, execution.QuotaExceeded, execution.LaneOrder}


@pytest.mark.vectors
def test_transaction_vectors(play, vector):
    fresh = Play()
    valid = good(fresh)
    rows = [
        {
            "why": "valid",
            "transaction": valid.hex(),
            "id": compute_id(TRANSACTION.decode(valid).body).hex(),
            "code": 0,
        }
    ]
    rows += [
        {"why": why, "transaction": build(fresh).hex(), "code": refusal.number, "refusal": refusal.code}
        for why, build, refusal in ENVELOPES
        if why not in ("over the size limit", "sequence repeated")
    ]
    for row in rows[1:]:
        assert Play().refuse(bytes.fromhex(row["transaction"])) == row["code"], row["why"]
    vector(
        "transactions.json",
        {
            "genesis": fresh.ledger.genesis.to_bytes().hex(),
            "state": "after the genesis, block time one second later",
            "cases": rows,
        },
    )


def test_opening_another_nodes_ledger_is_refused():
    play = Play()
    other = dataclasses.replace(SIGNER, ed25519_seed=bytes(32))
    with pytest.raises(Misconfigured):
        EmbeddedLedger.open(play.kv, CONTRACTS, other)
    assert play.ledger.time_ms == START_MS
