"""Every message of every contract: one that is accepted, and a row for each refusal, which leaves no trace."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from careledger.contracts import (
    CONTRACTS,
    Founder,
    anchor_message,
    consent,
    governance,
    identity,
    parameters,
    records,
    sys,
    voting,
)
from careledger.contracts import (
    admission as asking,
)
from careledger.contracts.identity import (
    DEACTIVATE,
    DEVICE,
    NODE,
    ORGANISATION,
    PRACTITIONER,
    REGISTER,
    ROOT,
    ROTATE,
    SET_END_POINTS,
    SET_ROLE,
    SUBJECTS,
    Deactivate,
    Register,
    Rotate,
    SetEndPoints,
    SetRole,
    Subject,
)
from careledger.contracts.proposals import Body
from careledger.contracts.sys import PROFILE, SET_PROFILE, SetProfile
from careledger.contracts.voting import NotANetwork
from careledger.ledger.execution import Overlay, ValidTooLong
from careledger.ledger.kernel import ED25519, ML_DSA_65, Key, NotSigned
from careledger.ledger.transaction import TRANSACTION, SecretKey, TransactionTooLarge
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did, compute_did
from tests.contracts import test_adoption, test_governance_refusals, test_standing
from tests.contracts.network import found_message, propose_message
from tests.ledger.play import CLINIC, HOSPITAL, STRANGER, Decided, Party, Play, register_clinic

DOCTOR = SecretKey(ED25519, sha256(b"Dr Okafor"))
DOCTOR_DID = compute_did(PRACTITIONER, *DOCTOR.key)
SCANNER = SecretKey(ED25519, sha256(b"scanner 7"))
FRESH = SecretKey(ED25519, sha256(b"a fresh key"))
NOBODY = Did(bytes(32))
PACKAGES = (("lmdb", "3.0.0"), ("PyNaCl", "1.6.2"))
TO_CLINIC, TO_NURSE, TO_NOBODY, NEXT = map(Decided, ("to the clinic", "to the nurse", "to nobody", "next"))
"""Directives: active, revoked, revoked before its grant, and not yet granted."""

H, C = HOSPITAL, CLINIC
H_SIGNS, C_SIGNS = [H.node, H.root], [C.node, C.root]


def register_doctor(by=H, key=DOCTOR, **changes):
    fields = {"by": by.did, "kind": PRACTITIONER, "name": "", "root": key.key, "node": None, "end_points": ()}
    return REGISTER.encode(Register(**{**fields, **changes}))


def state_of(play: Play, did: Did) -> Subject:
    raw = play.ledger.state(play.kv, "identity", "subject", did)
    assert raw is not None
    return SUBJECTS.value.decode(raw)


@pytest.fixture
def play() -> Play:
    """Hospital (operator) and clinic, a doctor of the hospital."""
    play = Play(with_clinic=True)
    play.accept([register_doctor()], [*H_SIGNS, DOCTOR])
    return play


# One accepted call of each message


def test_register_admits_organisations_practitioners_and_devices(play):
    assert state_of(play, C.did).name == C.name
    assert state_of(play, C.did).roles == ()
    assert state_of(play, H.did).roles == ("operator",)
    message = register_doctor(by=C, key=SCANNER, kind=DEVICE, end_points=("https://pacs.example",))
    block = play.accept([message], [*C_SIGNS, SCANNER], sponsor=C)
    scanner = state_of(play, compute_did(DEVICE, *SCANNER.key))
    assert (scanner.organisation, scanner.is_active, scanner.end_points) == (
        C.did,
        True,
        ("https://pacs.example",),
    )
    assert [event.type for event in block.receipts[0].events] == ["identity.registered"]


def test_rotate_replaces_a_key_for_ever(play):
    play.accept([ROTATE.encode(Rotate(H.did, NODE, FRESH.key))], [*H_SIGNS, FRESH])
    assert state_of(play, H.did).node == FRESH.key
    assert play.refuse(play.build([anchor_message(H.did, 0, bytes(32), bytes(32))], [H.node])) == 13
    play.accept([anchor_message(H.did, 0, bytes(32), bytes(32))], [FRESH])
    new_root = SecretKey(ED25519, sha256(b"new root"))
    play.accept([ROTATE.encode(Rotate(H.did, ROOT, new_root.key))], [FRESH, H.root, new_root])
    assert state_of(play, H.did).root == new_root.key


def test_deactivate_keeps_the_entry(play):
    play.accept([DEACTIVATE.encode(Deactivate(DOCTOR_DID, H.did))], H_SIGNS, lane=0)
    assert state_of(play, DOCTOR_DID).is_active is False
    play.accept([DEACTIVATE.encode(Deactivate(C.did, H.did))], H_SIGNS)
    assert (
        play.refuse(play.build([anchor_message(C.did, 0, bytes(32), bytes(32))], [C.node], sponsor=C)) == 12
    )


def test_set_role_replaces_roles(play):
    play.accept([SET_ROLE.encode(SetRole(DOCTOR_DID, H.did, ("nurse", "physician")))], H_SIGNS)
    assert state_of(play, DOCTOR_DID).roles == ("nurse", "physician")
    play.accept([SET_ROLE.encode(SetRole(C.did, H.did, ("witness",)))], H_SIGNS)
    assert state_of(play, C.did).roles == ("witness",)


def test_set_end_points_replaces_addresses(play):
    play.accept([SET_END_POINTS.encode(SetEndPoints(C.did, ("https://a", "https://b")))], C_SIGNS, sponsor=C)
    assert state_of(play, C.did).end_points == ("https://a", "https://b")


def test_anchor_continues_the_sequence(play):
    for seq, (previous, root) in enumerate([(bytes(32), sha256(b"1")), (sha256(b"1"), sha256(b"2"))]):
        block = play.accept([anchor_message(C.did, seq, previous, root)], [C.node], sponsor=C)
        head = records.HEADS.value.decode(play.ledger.state(play.kv, "records", "anchors", C.did) or b"")
        assert (head.seq, head.root, head.time_ms, head.size) == (seq, root, block.time_ms, seq + 1)


def test_grant_enters_a_directive_by_its_commitment_alone(play):
    block = play.accept([TO_CLINIC.grant(20_000)], [H.node, TO_CLINIC.key])
    key_hash = consent.compute_key_hash(TO_CLINIC.key.key.public)
    revocation_hash = consent.compute_revocation_hash(TO_CLINIC.code)
    entry = consent.Entry(consent.ACTIVE, key_hash, 20_000, revocation_hash, block.height)
    assert play.entry(TO_CLINIC.commitment) == entry
    raw = play.ledger.reader(play.kv)(consent.entry_key(TO_CLINIC.commitment)) or b""
    assert (len(raw), consent.decode_entry(raw)) == (77, entry)
    assert [tuple(event) for event in block.receipts[0].events] == [("consent.granted", TO_CLINIC.commitment)]


@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize("by", ["key", "code"])
def test_revoke_is_by_the_directives_key_or_code_through_any_sponsor(play, by, lane):
    play.accept([TO_CLINIC.grant()], [H.node, TO_CLINIC.key])
    message = TO_CLINIC.revoke() if by == "key" else TO_CLINIC.revoke_by_code()
    keys = [C.node, TO_CLINIC.key] if by == "key" else [C.node]
    block = play.accept([message], keys, sponsor=C, lane=lane)
    entry = play.entry(TO_CLINIC.commitment)
    assert (entry.status, entry.height) == (consent.REVOKED, block.height)
    assert [tuple(event) for event in block.receipts[0].events] == [("consent.revoked", TO_CLINIC.commitment)]


def admission(by=H, party=STRANGER, said=None, proofs=None, **changes):
    """`governance.admit` of a party; `said` and `proofs` are what its keys signed, and which keys, if not these."""
    fields = {"name": party.name, "root": party.root.key, "node": party.node.key, "end_points": ()}
    fields |= changes
    statement = asking.compute_statement(**({"by": by.did, **fields} | (said or {})))
    root, node = [key.sign(statement) for key in proofs or (party.root, party.node)]
    message = asking.Admit(by.did, **fields, root_proof=root, node_proof=node)
    return governance.ADMIT.encode(message)


def set_parameter(name="quota_bytes_day", value=1 << 40, by=H):
    return governance.SET_PARAMETER.encode(governance.SetParameter(by.did, name, value))


@pytest.mark.parametrize("party", [STRANGER, Party("Laboratory", ML_DSA_65)], ids=lambda party: party.name)
def test_admit_registers_an_organisation_by_its_own_request(play, party):
    block = play.accept([admission(party=party, end_points=("https://lab.example",))], H_SIGNS)
    entered = state_of(play, party.did)
    assert entered == Subject(
        ORGANISATION, party.did, party.name, True, party.root.key, party.node.key, (),
        ("https://lab.example",), block.height,
    )  # fmt: skip
    assert [event.type for event in block.receipts[0].events] == ["identity.registered"]
    anchor = anchor_message(party.did, 0, bytes(32), bytes(32))
    play.accept([anchor], [party.node], sponsor=party)
    taken = REGISTER.encode(Register(H.did, ORGANISATION, "Other", FRESH.key, party.node.key, ()))
    assert play.refuse(play.build([taken], [*H_SIGNS, FRESH, party.node])) == identity.KeyInUse.number


def test_set_parameter_holds_from_the_next_transaction_on(play):
    state = Overlay(play.ledger.reader(play.kv))
    for bound in parameters.BOUNDS:
        default = parameters.get_parameter(state, bound.name)
        assert bound.least <= default <= bound.most
        for value in (bound.least, bound.most, bound.least + 1):
            block = play.accept([set_parameter(bound.name, value)], H_SIGNS)
            assert parameters.get_parameter(Overlay(play.ledger.reader(play.kv)), bound.name) == value
            assert [event.type for event in block.receipts[0].events] == ["governance.parameter_set"]
    message = SET_END_POINTS.encode(SetEndPoints(H.did, ()))
    late = play.build([message], H_SIGNS, valid_ms=3_600_002)
    assert play.refuse(late) == ValidTooLong.number
    large = play.build([message[:2] + bytes(16_000)] * 3, H_SIGNS)
    assert play.refuse(large) == TransactionTooLarge.number
    play.accept([message], H_SIGNS, valid_ms=3_600_001)


def test_the_least_parameters_still_carry_what_must_never_stop(play):
    """A day of anchors, a grant and a revocation, and an admission under the largest keys fit."""
    for bound in parameters.BOUNDS:
        play.accept([set_parameter(bound.name, bound.least)], H_SIGNS)
    body = len(
        TRANSACTION.decode(play.build([anchor_message(H.did, 0, bytes(32), bytes(32))], [H.node])).body
    )
    assert body * 500 * 86_400 < parameters.BOUNDS[0].least
    play.accept([TO_CLINIC.grant()], [H.node, TO_CLINIC.key], valid_ms=3_600_000)
    play.accept([TO_CLINIC.revoke()], [H.node, TO_CLINIC.key], lane=0)
    large = Party("Largest", ML_DSA_65)
    large.node = SecretKey(ML_DSA_65, sha256(b"largest node"))
    end_points = tuple(f"https://{number:02}.example/{'x' * 200}" for number in range(16))
    play.accept([admission(party=large, end_points=end_points)], H_SIGNS)


def test_profile_is_set_by_the_operator(play):
    packages = sys.PACKAGES.sorted(PACKAGES)
    play.accept([SET_PROFILE.encode(SetProfile(H.did, "1.0.0", "3.11", packages))], H_SIGNS)
    profile = PROFILE.value.decode(play.ledger.state(play.kv, "sys", "profile", b"") or b"")
    assert (profile.code, profile.python, profile.packages) == ("1.0.0", "3.11", packages)


def test_messages_of_one_transaction_stand_or_fall_together(play):
    good = SET_END_POINTS.encode(SetEndPoints(H.did, ("https://a",)))
    assert (
        play.refuse(play.build([good, register_doctor()], [*H_SIGNS, DOCTOR]))
        == identity.SubjectExists.number
    )
    assert state_of(play, H.did).end_points == ()


# Refusals


@dataclass(frozen=True)
class Row:
    message: str
    why: str
    data: bytes
    keys: list[SecretKey]
    refusal: type
    sponsor: object = H


def organisation(by=H, **changes):
    fields = {
        "by": by.did,
        "kind": ORGANISATION,
        "name": "Third",
        "root": STRANGER.root.key,
        "node": STRANGER.node.key,
        "end_points": (),
    }
    return REGISTER.encode(Register(**{**fields, **changes}))


def profile(by=H, code="1.0.0"):
    return SET_PROFILE.encode(SetProfile(by.did, code, "3.11", ()))


S = STRANGER
S_SIGNS = [S.root, S.node]
SHORT = Key(ED25519, bytes(33))
DOCTOR_AS_ORG = Did(DOCTOR_DID)


class _Practitioner:
    did = DOCTOR_DID


class _Nobody:
    did = NOBODY


class _Gone:
    """The device that the table's play deactivates."""

    did = compute_did(DEVICE, *SCANNER.key)


ROWS = [
    Row("identity.register", "kind 4", register_doctor(kind=4), H_SIGNS, identity.UnknownKind),
    Row("identity.register", "organisation without name", organisation(name=""), H_SIGNS, identity.OrganisationUnnamed),
    Row("identity.register", "organisation without node key", organisation(node=None), H_SIGNS, identity.OrganisationUnnamed),
    Row("identity.register", "practitioner with a name", register_doctor(key=FRESH, name="Okafor"), [*H_SIGNS, FRESH], identity.NotAnOrganisation),
    Row("identity.register", "practitioner with a node key", register_doctor(key=FRESH, node=STRANGER.node.key), H_SIGNS, identity.NotAnOrganisation),
    Row("identity.register", "by a practitioner", register_doctor(by=_Practitioner, key=FRESH), H_SIGNS, identity.NotAnOrganisation),
    Row("identity.register", "registered already", register_doctor(), [*H_SIGNS, DOCTOR], identity.SubjectExists),
    Row("identity.register", "by nobody", register_doctor(by=_Nobody, key=FRESH), H_SIGNS, identity.SubjectUnknown),
    Row("identity.register", "by itself, after the genesis", organisation(by=STRANGER), [*H_SIGNS, *S_SIGNS], identity.SubjectUnknown),
    Row("identity.register", "by one that is deactivated", register_doctor(by=_Gone, key=FRESH), H_SIGNS, identity.SubjectInactive),
    Row("identity.register", "organisation not admitted by the operator", organisation(by=C), [*C_SIGNS, *S_SIGNS], identity.NotTheOperator, C),
    Row("identity.register", "key of a wrong size", register_doctor(root=SHORT), H_SIGNS, identity.KeyMalformed),
    Row("identity.register", "passkey without RP id and origin", register_doctor(root=Key(3, bytes(65))), H_SIGNS, identity.KeyMalformed),
    Row("identity.register", "key of another", register_doctor(root=C.node.key), [*H_SIGNS, C.node], identity.KeyInUse),
    Row("identity.register", "root and node key equal", organisation(node=STRANGER.root.key), [*H_SIGNS, STRANGER.root], identity.KeyInUse),
    Row("identity.register", "no proof of the new key", register_doctor(key=FRESH), H_SIGNS, NotSigned),
    Row("identity.register", "root key absent", register_doctor(key=FRESH), [H.node, FRESH], NotSigned),
    Row("identity.rotate", "purpose 3", ROTATE.encode(Rotate(H.did, 3, FRESH.key)), [*H_SIGNS, FRESH], identity.UnknownKind),
    Row("identity.rotate", "nobody", ROTATE.encode(Rotate(NOBODY, ROOT, FRESH.key)), [*H_SIGNS, FRESH], identity.SubjectUnknown),
    Row("identity.rotate", "deactivated", ROTATE.encode(Rotate(_Gone.did, ROOT, FRESH.key)), [*H_SIGNS, FRESH], identity.SubjectInactive),
    Row("identity.rotate", "node key of a practitioner", ROTATE.encode(Rotate(DOCTOR_DID, NODE, FRESH.key)), [*H_SIGNS, FRESH], identity.NotAnOrganisation),
    Row("identity.rotate", "key of a wrong size", ROTATE.encode(Rotate(H.did, NODE, SHORT)), H_SIGNS, identity.KeyMalformed),
    Row("identity.rotate", "the key that it has", ROTATE.encode(Rotate(H.did, NODE, H.node.key)), H_SIGNS, identity.KeyInUse),
    Row("identity.rotate", "no proof of the new key", ROTATE.encode(Rotate(H.did, NODE, FRESH.key)), H_SIGNS, NotSigned),
    Row("identity.rotate", "signed by another organisation", ROTATE.encode(Rotate(H.did, NODE, FRESH.key)), [*C_SIGNS, FRESH], NotSigned, C),
    Row("identity.deactivate", "nobody", DEACTIVATE.encode(Deactivate(NOBODY, H.did)), H_SIGNS, identity.SubjectUnknown),
    Row("identity.deactivate", "twice", DEACTIVATE.encode(Deactivate(_Gone.did, H.did)), H_SIGNS, identity.SubjectInactive),
    Row("identity.deactivate", "by a practitioner", DEACTIVATE.encode(Deactivate(C.did, DOCTOR_DID)), H_SIGNS, identity.NotAnOrganisation),
    Row("identity.deactivate", "another's practitioner", DEACTIVATE.encode(Deactivate(DOCTOR_DID, C.did)), C_SIGNS, identity.NotItsOrganisation, C),
    Row("identity.deactivate", "the operator", DEACTIVATE.encode(Deactivate(H.did, H.did)), H_SIGNS, identity.OperatorStays),
    Row("identity.deactivate", "root key absent", DEACTIVATE.encode(Deactivate(DOCTOR_DID, H.did)), [H.node], NotSigned),
    Row("identity.set_role", "nobody", SET_ROLE.encode(SetRole(NOBODY, H.did, ())), H_SIGNS, identity.SubjectUnknown),
    Row("identity.set_role", "deactivated", SET_ROLE.encode(SetRole(_Gone.did, H.did, ())), H_SIGNS, identity.SubjectInactive),
    Row("identity.set_role", "a practitioner as operator", SET_ROLE.encode(SetRole(DOCTOR_DID, H.did, ("operator",))), H_SIGNS, identity.NotAnOrganisation),
    Row("identity.set_role", "its own, not the operator", SET_ROLE.encode(SetRole(C.did, C.did, ("operator",))), C_SIGNS, identity.NotTheOperator, C),
    Row("identity.set_role", "another's practitioner", SET_ROLE.encode(SetRole(DOCTOR_DID, C.did, ())), C_SIGNS, identity.NotItsOrganisation, C),
    Row("identity.set_role", "the operator gives it up", SET_ROLE.encode(SetRole(H.did, H.did, ())), H_SIGNS, identity.OperatorStays),
    Row("identity.set_role", "root key absent", SET_ROLE.encode(SetRole(DOCTOR_DID, H.did, ())), [H.node], NotSigned),
    Row("identity.set_end_points", "nobody", SET_END_POINTS.encode(SetEndPoints(NOBODY, ())), H_SIGNS, identity.SubjectUnknown),
    Row("identity.set_end_points", "deactivated", SET_END_POINTS.encode(SetEndPoints(_Gone.did, ())), H_SIGNS, identity.SubjectInactive),
    Row("identity.set_end_points", "signed by another organisation", SET_END_POINTS.encode(SetEndPoints(H.did, ())), C_SIGNS, NotSigned, C),
    Row("records.anchor", "of nobody", anchor_message(NOBODY, 0, bytes(32), bytes(32)), [H.node], identity.SubjectUnknown),
    Row("records.anchor", "of one that is deactivated", anchor_message(_Gone.did, 0, bytes(32), bytes(32)), [H.node], identity.SubjectInactive),
    Row("records.anchor", "of a practitioner", anchor_message(DOCTOR_DID, 0, bytes(32), bytes(32)), [H.node], identity.NotAnOrganisation),
    Row("records.anchor", "a batch skipped", anchor_message(H.did, 1, bytes(32), bytes(32)), [H.node], records.AnchorOutOfSequence),
    Row("records.anchor", "another history", anchor_message(H.did, 0, sha256(b""), bytes(32)), [H.node], records.AnchorNotContinuing),
    Row("records.anchor", "signed by the root key", anchor_message(H.did, 0, bytes(32), bytes(32)), [H.root], NotSigned),
    Row("records.anchor", "signed by another node", anchor_message(H.did, 0, bytes(32), bytes(32)), [C.node], NotSigned, C),
    Row("consent.grant", "a commitment that is active", TO_CLINIC.grant(), [H.node, TO_CLINIC.key], consent.CommitmentUsed),
    Row("consent.grant", "a commitment that was revoked", TO_NURSE.grant(), [H.node, TO_NURSE.key], consent.CommitmentUsed),
    Row("consent.grant", "another's commitment under an own key", TO_CLINIC.grant(key=NEXT.key.key), [H.node, NEXT.key], consent.CommitmentUsed),
    Row("consent.grant", "after its own revocation by key", TO_NOBODY.grant(), [H.node, TO_NOBODY.key], consent.DirectiveWithdrawn),
    Row("consent.grant", "after its own revocation by code", NEXT.grant(commitment=sha256(b"early")), [H.node, NEXT.key], consent.DirectiveWithdrawn),
    Row("consent.grant", "key of an organisation's algorithm", NEXT.grant(key=FRESH.key), [H.node, FRESH], consent.DirectiveKeyMalformed),
    Row("consent.grant", "key one byte short", NEXT.grant(key=Key(ML_DSA_65, bytes(1951))), [H.node], consent.DirectiveKeyMalformed),
    Row("consent.grant", "a day after the year 9999", NEXT.grant(2_932_897), [H.node, NEXT.key], consent.DayOutOfRange),
    Row("consent.grant", "its key did not sign", NEXT.grant(), [H.node], NotSigned),
    Row("consent.grant", "signed by another directive's key", NEXT.grant(), [H.node, TO_CLINIC.key], NotSigned),
    Row("consent.revoke", "neither key nor code", TO_CLINIC.revoke(key=None), [H.node], consent.RevocationUnclear),
    Row("consent.revoke", "both key and code", TO_CLINIC.revoke(code=TO_CLINIC.code), [H.node, TO_CLINIC.key], consent.RevocationUnclear),
    Row("consent.revoke", "key one byte short", TO_CLINIC.revoke(key=Key(ML_DSA_65, bytes(1951))), [H.node], consent.DirectiveKeyMalformed),
    Row("consent.revoke", "another directive's key", TO_CLINIC.revoke(key=TO_NURSE.key.key), [H.node, TO_NURSE.key], consent.NotItsKey),
    Row("consent.revoke", "another directive's code", TO_CLINIC.revoke(key=None, code=TO_NURSE.code), [H.node], consent.NotItsCode),
    Row("consent.revoke", "its hash in place of the code", TO_CLINIC.revoke(key=None, code=consent.compute_revocation_hash(TO_CLINIC.code)), [H.node], consent.NotItsCode),
    Row("consent.revoke", "revoked already", TO_NURSE.revoke(), [H.node, TO_NURSE.key], consent.DirectiveRevoked),
    Row("consent.revoke", "revoked already, before its grant", TO_NOBODY.revoke(), [H.node, TO_NOBODY.key], consent.DirectiveRevoked),
    Row("consent.revoke", "its key did not sign", TO_CLINIC.revoke(), [H.node], NotSigned),
    Row("consent.revoke", "signed by the custodian", TO_CLINIC.revoke(), H_SIGNS, NotSigned),
    Row("governance.set_parameter", "no such parameter", set_parameter("audit", 0), H_SIGNS, parameters.ParameterUnknown),
    *[
        Row("governance.set_parameter", f"{bound.name} {value}", set_parameter(bound.name, value), H_SIGNS, parameters.ParameterOutOfBounds)
        for bound in parameters.BOUNDS
        for value in (0, bound.least - 1, bound.most + 1, 2**64 - 1)
    ],
    Row("governance.set_parameter", "by nobody", set_parameter(by=_Nobody), H_SIGNS, identity.SubjectUnknown),
    Row("governance.set_parameter", "by one that is deactivated", set_parameter(by=_Gone), H_SIGNS, identity.SubjectInactive),
    Row("governance.set_parameter", "by a practitioner", set_parameter(by=_Practitioner), H_SIGNS, identity.NotAnOrganisation),
    Row("governance.set_parameter", "not by the operator", set_parameter(by=C), C_SIGNS, identity.NotTheOperator, C),
    Row("governance.set_parameter", "root key absent", set_parameter(), [H.node], NotSigned),
    Row("governance.admit", "without a name", admission(name=""), H_SIGNS, identity.OrganisationUnnamed),
    Row("governance.admit", "admitted already", admission(party=C, proofs=(C.node, C.node)), H_SIGNS, identity.SubjectExists),
    Row("governance.admit", "by nobody", admission(by=_Nobody), H_SIGNS, identity.SubjectUnknown),
    Row("governance.admit", "by one that is deactivated", admission(by=_Gone), H_SIGNS, identity.SubjectInactive),
    Row("governance.admit", "by a practitioner", admission(by=_Practitioner), H_SIGNS, identity.NotAnOrganisation),
    Row("governance.admit", "not by the operator", admission(by=C), C_SIGNS, identity.NotTheOperator, C),
    Row("governance.admit", "key of a wrong size", admission(node=SHORT), H_SIGNS, identity.KeyMalformed),
    Row("governance.admit", "node key of another", admission(node=C.node.key, proofs=(S.root, C.node)), H_SIGNS, identity.KeyInUse),
    Row("governance.admit", "root and node key equal", admission(node=S.root.key, proofs=(S.root, S.root)), H_SIGNS, identity.KeyInUse),
    Row("governance.admit", "root key not proven", admission(proofs=(S.node, S.node)), H_SIGNS, asking.KeyNotProven),
    Row("governance.admit", "node key not proven", admission(proofs=(S.root, S.root)), H_SIGNS, asking.KeyNotProven),
    Row("governance.admit", "asked of another operator", admission(said={"by": C.did}), H_SIGNS, asking.KeyNotProven),
    Row("governance.admit", "asked under another name", admission(said={"name": "St Anna Hospital"}), H_SIGNS, asking.KeyNotProven),
    Row("governance.admit", "asked with another node key", admission(said={"node": FRESH.key}), H_SIGNS, asking.KeyNotProven),
    Row("governance.admit", "asked with other addresses", admission(said={"end_points": ("https://x",)}), H_SIGNS, asking.KeyNotProven),
    Row("governance.admit", "root key absent", admission(), [H.node], NotSigned),
    Row("governance.propose", "on an embedded ledger", propose_message(H, Body((), 0, 0)), H_SIGNS, voting.NotANetwork),
    Row("governance.vote", "on an embedded ledger", voting.VOTE.encode(voting.Vote(H.did, 1, bytes(32), True)), H_SIGNS, voting.ProposalUnknown),
    Row("governance.found", "on an embedded ledger", found_message(Founder("Third", S.root.key, S.node.key, FRESH.key)), H_SIGNS, governance.GenesisOnly),
    Row("sys.profile", "empty", profile(code=""), H_SIGNS, sys.ProfileEmpty),
    Row("sys.profile", "by nobody", profile(by=_Nobody), H_SIGNS, identity.SubjectUnknown),
    Row("sys.profile", "by one that is deactivated", profile(by=_Gone), H_SIGNS, identity.SubjectInactive),
    Row("sys.profile", "by a practitioner", profile(by=_Practitioner), H_SIGNS, identity.NotAnOrganisation),
    Row("sys.profile", "not by the operator", profile(by=C), C_SIGNS, identity.NotTheOperator, C),
    Row("sys.profile", "root key absent", profile(), [H.node], NotSigned),
]  # fmt: skip


def prepare() -> Play:
    play = Play(with_clinic=True)
    play.accept([register_doctor()], [*H_SIGNS, DOCTOR])
    play.accept([register_doctor(by=H, key=SCANNER, kind=DEVICE)], [*H_SIGNS, SCANNER])
    play.accept([DEACTIVATE.encode(Deactivate(_Gone.did, H.did))], H_SIGNS)
    play.accept([TO_CLINIC.grant()], [H.node, TO_CLINIC.key])
    play.accept([TO_NURSE.grant()], [H.node, TO_NURSE.key])
    play.accept([TO_NURSE.revoke()], [H.node, TO_NURSE.key])
    play.accept([TO_NOBODY.revoke()], [H.node, TO_NOBODY.key], lane=0)
    play.accept([consent.revoke_message(sha256(b"early"), code=NEXT.code)], [H.node], lane=0)
    return play


@pytest.fixture(scope="module")
def table() -> Play:
    return prepare()


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.message}: {row.why}" for row in ROWS])
def test_refused_messages_leave_the_state_untouched(table, row):
    assert table.refuse(table.build([row.data], row.keys, sponsor=row.sponsor)) == row.refusal.number


def test_every_refusal_of_every_message_has_a_row():
    everywhere = [*ROWS, *test_governance_refusals.ROWS, *test_standing.ROWS]
    covered = {(row.message, row.refusal) for row in everywhere}
    covered |= {("governance.found", refusal) for _, _, refusal in test_governance_refusals.GENESES}
    covered |= {(row.message, row.refusal) for row in test_adoption.ROWS}
    covered.add(("ledger.adopt", NotANetwork))  # has its own test there
    for contract in CONTRACTS:
        for kind in contract.messages:
            declared = {(kind.name, refusal) for refusal in kind.refusals}
            seen = {(name, refusal) for name, refusal in covered if name == kind.name}
            needs_nobody = kind is governance.FOUND
            assert seen - declared == (set() if needs_nobody else {(kind.name, NotSigned)}), kind.name
            assert declared <= seen, kind.name
            assert kind.number // 100 == CONTRACT_HUNDREDS[contract.name]


CONTRACT_HUNDREDS = {"sys": 1, "identity": 2, "records": 3, "consent": 4, "governance": 5, "ledger": 6}


@pytest.mark.vectors
def test_message_vectors(vector):
    """(pre, transaction, code): `pre` are the transactions before it, in blocks a second apart."""
    play = prepare()
    accepted = [
        ("identity.register", register_clinic()),
        ("identity.register", register_doctor()),
        ("identity.rotate", ROTATE.encode(Rotate(H.did, NODE, FRESH.key))),
        ("identity.deactivate", DEACTIVATE.encode(Deactivate(C.did, H.did))),
        ("identity.set_role", SET_ROLE.encode(SetRole(DOCTOR_DID, H.did, ("nurse", "physician")))),
        ("identity.set_end_points", SET_END_POINTS.encode(SetEndPoints(C.did, ("https://a", "https://b")))),
        *[(name, data) for name, (data, _) in test_standing.CALLS.items()],
        ("records.anchor", anchor_message(H.did, 0, bytes(32), sha256(b"1"))),
        (
            "sys.profile",
            SET_PROFILE.encode(SetProfile(H.did, "1.0.0", "3.11", sys.PACKAGES.sorted(PACKAGES))),
        ),
        ("consent.grant", NEXT.grant()),
        ("consent.revoke", TO_CLINIC.revoke()),
        ("consent.revoke", TO_CLINIC.revoke_by_code()),
        ("governance.set_parameter", set_parameter()),
        ("governance.admit", admission(end_points=("https://a",))),
    ]
    vector(
        "messages.json",
        {
            "genesis": play.ledger.genesis.to_bytes().hex(),
            "accepted": [{"message": name, "data": data.hex()} for name, data in accepted],
            "refused": [
                {
                    "message": row.message,
                    "why": row.why,
                    "data": row.data.hex(),
                    "signed_by": sorted(key.key.public.hex()[:16] for key in row.keys),
                    "code": row.refusal.number,
                }
                for row in ROWS
            ],
        },
    )
