"""An embedded ledger goes on in a network's: its batches continue, its entries follow by proof, and bind nobody else."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace

import pytest

from careledger.contracts import adoption, anchor_message, consent
from careledger.contracts.actions import ADMIT_ORGANISATION
from careledger.contracts.adoption import ADOPTED, FOLLOWED
from careledger.contracts.consent import DIRECTIVES, entry_key
from careledger.contracts.identity import (
    DEACTIVATE,
    PRACTITIONER,
    REGISTER,
    ROOT,
    ROTATE,
    SUBJECTS,
    Deactivate,
    NotAnOrganisation,
    Register,
    Rotate,
    SubjectInactive,
    SubjectUnknown,
)
from careledger.contracts.records import BATCHES, HEADS, AnchorOutOfSequence, encode_batch
from careledger.contracts.voting import NotANetwork
from careledger.ledger.execution import UnusedAuthenticator
from careledger.ledger.kernel import ED25519, NotSigned
from careledger.ledger.log import leaf_hash, verify_consistency, verify_inclusion
from careledger.ledger.transaction import SecretKey
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did, compute_did
from tests.contracts.embedded import AMINA, BELA, SCANNER, SCANNER_DID, SIGNER, Embedded
from tests.contracts.network import CLINIC, HOSPITAL, NEWCOMER, NetworkPlay, Org, admission, four
from tests.ledger.play import START_MS, Party, Play

N = NEWCOMER
LATE, ELSEWHERE, ROTATED, GONE = map(Org, ("Late clinic", "Other clinic", "Rotated clinic", "Gone clinic"))
EARLY = Embedded(N)


def admit(play: NetworkPlay, *orgs: Org) -> None:
    for one in orgs:
        play.decide(HOSPITAL, ADMIT_ORGANISATION.encode(admission(one, HOSPITAL)))


def prepare() -> NetworkPlay:
    play = four()
    admit(play, N, LATE, ELSEWHERE, ROTATED, GONE)
    play.accept([anchor_message(ELSEWHERE.did, 0, bytes(32), sha256(b"here"))], [ELSEWHERE.node], ELSEWHERE)
    play.accept([rotate(ROTATED)], [*ROTATED.keys, FRESH], ROTATED)
    play.accept([DEACTIVATE.encode(Deactivate(GONE.did, GONE.did))], GONE.keys, GONE)
    register = Register(HOSPITAL.did, PRACTITIONER, "", DOCTOR.key, None, ())
    play.accept([REGISTER.encode(register)], [*HOSPITAL.keys, DOCTOR])
    return play


FRESH = SecretKey(ED25519, sha256(b"a new root key"))
DOCTOR = SecretKey(ED25519, sha256(b"Dr Abara"))
DOCTOR_DID = compute_did(PRACTITIONER, *DOCTOR.key)


def rotate(party: Party) -> bytes:
    return ROTATE.encode(Rotate(party.did, ROOT, FRESH.key))


def adopted_play() -> NetworkPlay:
    play = prepare()
    play.accept([EARLY.adopt()], N.keys, N)
    play.accept([EARLY.follow(SUBJECTS.state_key(SCANNER_DID))], N.keys, N)
    return play


def test_batches_go_on_without_a_gap_and_are_dated_by_the_network():
    play = prepare()
    block = play.accept([EARLY.adopt()], N.keys, N)
    head, log = HEADS.get(play.state, N.did), BATCHES.get(play.state, N.did)
    assert (head.seq, head.root, head.time_ms, head.size) == (3, EARLY.roots[-1], block.time_ms, 4)
    assert (log.size, log.root()) == (head.size, head.log_root)
    old = EARLY.ledger.log_path(EARLY.kv, "records", "batches", N.did, 1, 3)
    leaf = leaf_hash(encode_batch(1, EARLY.roots[1], EARLY.ledger.block(EARLY.kv, 2).time_ms))
    before = BATCHES.value.decode(EARLY.prove(BATCHES.state_key(N.did)).value)
    verify_inclusion(leaf, 1, 3, old, before.root())
    newest = leaf_hash(encode_batch(3, EARLY.roots[-1], block.time_ms))
    verify_consistency(3, 4, [*before.peaks[::-1][:1], newest, *before.peaks[:1]], before.root(), log.root())
    with_gap = anchor_message(N.did, 5, head.root, sha256(b"next"))
    assert play.refuse(play.build([with_gap], [N.node], N)) == AnchorOutOfSequence.number
    play.accept([anchor_message(N.did, 4, head.root, sha256(b"next"))], [N.node], N)


def test_what_was_adopted_is_named_so_that_old_checkpoints_lead_to_it():
    play = prepare()
    old_size = EARLY.ledger.height - 1
    signed = EARLY.signed()
    block = play.accept([EARLY.adopt()], N.keys, N)
    adopted = ADOPTED.get(play.state, N.did)
    assert adopted == adoption.Adopted(
        EARLY.ledger.genesis_hash, signed.size, signed.root, signed.state_root, 2, block.height
    )
    note = EARLY.ledger.checkpoint(EARLY.kv, old_size - 1)
    old_root = base64.b64decode(note.splitlines()[2])
    path = EARLY.ledger.history_consistency(EARLY.kv, old_size, adopted.size)
    verify_consistency(old_size, adopted.size, path, old_root, adopted.root)


def test_entries_follow_as_they_were_and_take_nobodys_place():
    play = adopted_play()
    assert SUBJECTS.get(play.state, SCANNER_DID) is None, "the network knows no device by an operator's word"
    key = SUBJECTS.state_key(SCANNER_DID)
    assert FOLLOWED.get(play.state, (N.did, key)) == EARLY.prove(key).value
    play.accept([EARLY.follow(entry_key(AMINA.commitment), entry_key(BELA.commitment))], N.keys, N)
    for one, status in ((AMINA, consent.ACTIVE), (BELA, consent.REVOKED)):
        assert DIRECTIVES.get(play.state, one.commitment) is None
        kept = FOLLOWED.get(play.state, (N.did, entry_key(one.commitment)))
        assert consent.decode_entry(kept).status == status


def test_a_directive_that_an_embedded_ledger_invents_keeps_no_grant_out():
    """Whoever sees a grant in the pool, and has a ledger at home in which it is revoked already, achieves nothing (C5)."""
    play = adopted_play()
    play.accept([EARLY.follow(entry_key(BELA.commitment))], N.keys, N)
    play.accept([BELA.grant()], [CLINIC.node, BELA.key], CLINIC)
    assert DIRECTIVES.get(play.state, BELA.commitment).status == consent.ACTIVE


def test_nobody_adopts_into_an_embedded_ledger():
    play = Play()
    party = Embedded(Party("St Anna Hospital"))
    data = party.adopt()
    assert play.refuse(play.build([data], [party.party.node, party.party.root])) == NotANetwork.number


@dataclass(frozen=True)
class Row:
    """`message` is refused, on the network as it is before or (`after`) behind the adoption."""

    message: str
    why: str
    data: bytes
    refusal: type
    keys: list[SecretKey]
    sponsor: Party = N
    after: bool = False


def as_of(organisation: Did) -> bytes:
    return EARLY.adopt(organisation=organisation)


def signed(**changes: object) -> bytes:
    return EARLY.adopt(signed=replace(EARLY.signed(), **changes))


def entry(name: str, **changes: object) -> bytes:
    return EARLY.adopt(**{name: replace(getattr(EARLY.adoption(), name), **changes)})


def follow(*entries: tuple[bytes, object], of: Did = N.did) -> bytes:
    return adoption.FOLLOW.encode(adoption.Follow(of, entries))  # type: ignore[arg-type]


AMINAS = (entry_key(AMINA.commitment), EARLY.prove(entry_key(AMINA.commitment)))
OTHER_KEYS = replace(SIGNER, ed25519_seed=sha256(b"somebody else"))
A, F = "ledger.adopt", "ledger.follow"
S, H_ = EARLY.signed(), [HOSPITAL.node]
ROWS = [
    Row(A, "nobody", as_of(Did(bytes(32))), SubjectUnknown, H_, HOSPITAL),
    Row(A, "somebody who left", as_of(GONE.did), SubjectInactive, H_, HOSPITAL),
    Row(A, "no organisation", as_of(DOCTOR_DID), NotAnOrganisation, H_, HOSPITAL),
    Row(A, "by the node key", EARLY.adopt(), NotSigned, [N.node]),
    Row(A, "by a stranger's root key", EARLY.adopt(), NotSigned, [N.node, CLINIC.root]),
    Row(A, "twice", EARLY.adopt(), adoption.AlreadyAdopted, N.keys, after=True),
    Row(
        A, "after an anchor", Embedded(ELSEWHERE).adopt(), adoption.AlreadyAnchored, ELSEWHERE.keys, ELSEWHERE
    ),
    Row(A, "another signature", signed(signature=bytes(64)), adoption.StateUnproven, N.keys),
    Row(
        A,
        "another operator's",
        signed(signature=Embedded(N, OTHER_KEYS).signed().signature),
        adoption.StateUnproven,
        N.keys,
    ),
    Row(A, "another root", signed(root=sha256(b"x")), adoption.StateUnproven, N.keys),
    Row(A, "another state", signed(state_root=sha256(b"x")), adoption.StateUnproven, N.keys),
    Row(A, "another time", signed(time_ms=S.time_ms - 1), adoption.StateUnproven, N.keys),
    Row(A, "another size", signed(size=S.size - 1), adoption.StateUnproven, N.keys),
    Row(A, "no block", signed(size=0), adoption.StateUnproven, N.keys),
    Row(A, "a longer path", signed(path=(*S.path, bytes(32))), adoption.StateUnproven, N.keys),
    Row(A, "no genesis", signed(genesis=b"x"), adoption.StateUnproven, N.keys),
    Row(
        A,
        "a network's genesis",
        signed(genesis=four().replica.genesis.to_bytes()),
        adoption.StateUnproven,
        N.keys,
    ),
    Row(
        A,
        "of the future",
        Embedded(LATE, start_ms=START_MS + 10**9).adopt(),
        adoption.AdoptedLater,
        LATE.keys,
        LATE,
    ),
    Row(A, "an invented batch", entry("head", value=b"\1" * 8), adoption.EntryUnproven, N.keys),
    Row(A, "an invented log", entry("batches", value=b"\1" * 8), adoption.EntryUnproven, N.keys),
    Row(
        A,
        "the log for the batch",
        EARLY.adopt(head=EARLY.prove(BATCHES.state_key(N.did))),
        adoption.EntryUnproven,
        N.keys,
    ),
    Row(A, "a path without end", entry("subject", siblings=(None,) * 256), adoption.EntryUnproven, N.keys),
    Row(A, "another's records", as_of(LATE.did), adoption.EntryUnproven, LATE.keys, LATE),
    Row(
        A,
        "under a former root key",
        Embedded(ROTATED).adopt(),
        adoption.OtherKeys,
        [ROTATED.node, FRESH],
        ROTATED,
    ),
    Row(F, "nobody", follow(AMINAS, of=Did(bytes(32))), SubjectUnknown, H_, HOSPITAL, True),
    Row(F, "somebody who left", follow(AMINAS, of=GONE.did), SubjectInactive, H_, HOSPITAL, True),
    Row(F, "no organisation", follow(AMINAS, of=DOCTOR_DID), NotAnOrganisation, H_, HOSPITAL, True),
    Row(F, "by the node key", follow(AMINAS), NotSigned, [N.node], after=True),
    Row(F, "before anything is adopted", follow(AMINAS), adoption.NothingAdopted, N.keys),
    Row(
        F, "twice", EARLY.follow(SUBJECTS.state_key(SCANNER_DID)), adoption.AlreadyFollows, N.keys, after=True
    ),
    Row(
        F,
        "another value",
        follow((AMINAS[0], replace(AMINAS[1], value=b"x"))),
        adoption.EntryUnproven,
        N.keys,
        after=True,
    ),
    Row(
        F,
        "another place",
        follow((entry_key(BELA.commitment), AMINAS[1])),
        adoption.EntryUnproven,
        N.keys,
        after=True,
    ),
    Row(F, "one of two", follow(AMINAS, (bytes(32), AMINAS[1])), adoption.EntryUnproven, N.keys, after=True),
]
CALLS = {A: EARLY.adopt(), F: follow(AMINAS)}


@pytest.fixture(scope="module")
def before() -> NetworkPlay:
    return prepare()


@pytest.fixture(scope="module")
def after() -> NetworkPlay:
    return adopted_play()


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.message}: {row.why}" for row in ROWS])
def test_refused_messages_leave_the_state_untouched(before, after, row):
    play = after if row.after else before
    assert play.refuse(play.build([row.data], row.keys, row.sponsor)) == row.refusal.number


@pytest.mark.parametrize("message", CALLS)
def test_only_the_root_key_decides_and_it_is_enough(message):
    play = adopted_play() if message == F else prepare()
    for wrong in (CLINIC.root, CLINIC.node, SCANNER, N.validator):
        assert play.refuse(play.build([CALLS[message]], [N.node, wrong], N)) == NotSigned.number
    assert play.refuse(play.build([CALLS[message]], [*N.keys, CLINIC.root], N)) == UnusedAuthenticator.number
    play.accept([CALLS[message]], [HOSPITAL.node, N.root], HOSPITAL)
