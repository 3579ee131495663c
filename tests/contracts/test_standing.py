"""Suspension, reinstatement, licences and what practitioners sign: accepted, and a row for each refusal."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from careledger.contracts import anchor_message, identity, standing
from careledger.contracts.identity import (
    DEACTIVATE,
    DEVICE,
    PRACTITIONER,
    REGISTER,
    ROOT,
    ROTATE,
    SET_ROLE,
    Deactivate,
    Register,
    Rotate,
    SetRole,
)
from careledger.contracts.standing import (
    DAY_MAX,
    DAY_MS,
    LICENSE,
    REINSTATE,
    SIGN,
    SIGNED,
    SUSPEND,
    License,
    Reinstate,
    Sign,
    Signed,
    Suspend,
    compute_standing,
)
from careledger.contracts.subjects import LICENCES_MAX
from careledger.ledger.execution import LaneReserved, Overlay, UnknownSponsor, UnusedAuthenticator
from careledger.ledger.kernel import ED25519, WEBAUTHN_ES256, WEBAUTHN_ML_DSA, Key, NotSigned
from careledger.ledger.transaction import SecretKey, Signer
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did, compute_did
from tests.contracts import network as net
from tests.ledger.passkeys import Passkey
from tests.ledger.play import CLINIC, HOSPITAL, START_MS, Play

H, C = HOSPITAL, CLINIC
H_SIGNS, C_SIGNS = [H.node, H.root], [C.node, C.root]
TODAY = START_MS // DAY_MS
OKAFOR, ILSE = Passkey("Dr Okafor"), Passkey("Ilse, nurse", WEBAUTHN_ML_DSA)
QUILL, LAPSED, GONE = (SecretKey(ED25519, sha256(name)) for name in (b"Dr Quill", b"Dr Lapsed", b"Dr Gone"))
SCANNER = SecretKey(ED25519, sha256(b"scanner 9"))
NOBODY = Did(bytes(32))
LETTER = sha256(b"a salted letter")


def did_of(key: Signer, kind: int = PRACTITIONER) -> Did:
    return compute_did(kind, *key.key)


def register(key: Signer, by=H, kind: int = PRACTITIONER, **changes) -> bytes:
    fields = {"by": by.did, "kind": kind, "name": "", "root": key.key, "node": None, "end_points": ()}
    return REGISTER.encode(Register(**{**fields, **changes}))


def suspend(subject, by=H) -> bytes:
    return SUSPEND.encode(Suspend(subject, by.did))


def reinstate(subject, by=H) -> bytes:
    return REINSTATE.encode(Reinstate(subject, by.did))


def license_(subject, role="physician", until_day=TODAY, by=H) -> bytes:
    return LICENSE.encode(License(subject, by.did, role, until_day))


def sign(by: Did, statement: bytes = LETTER) -> bytes:
    return SIGN.encode(Sign(by, statement))


def set_roles(subject, *roles, by=H) -> bytes:
    return SET_ROLE.encode(SetRole(subject, by.did, roles))


def standing_of(play: Play, did: Did, time_ms: int | None = None) -> standing.Standing:
    return compute_standing(
        Overlay(play.ledger.reader(play.kv)), did, play.now_ms if time_ms is None else time_ms
    )


def status_of(play: Play, did: Did, time_ms: int | None = None) -> str:
    return standing_of(play, did, time_ms).status


def prepare() -> Play:
    """Dr Okafor and Ilse with passkeys, of whom Ilse is suspended; a lapsed, a deactivated; the clinic's Dr Quill."""
    play = Play(with_clinic=True)
    for key in (OKAFOR, ILSE, LAPSED, GONE):
        play.accept([register(key)], [*H_SIGNS, key])
    play.accept([register(QUILL, C)], [*C_SIGNS, QUILL], sponsor=C)
    play.accept([register(SCANNER, kind=DEVICE)], [*H_SIGNS, SCANNER])
    play.accept([suspend(did_of(ILSE)), license_(did_of(LAPSED), until_day=TODAY - 1)], H_SIGNS)
    play.accept([sign(did_of(OKAFOR), bytes(32))], [H.node, OKAFOR])
    play.accept([DEACTIVATE.encode(Deactivate(did_of(GONE), H.did))], H_SIGNS)
    play.accept([license_(did_of(OKAFOR), f"role {at:02}") for at in range(16)], H_SIGNS)
    play.accept([license_(did_of(OKAFOR), f"role {at:02}") for at in range(16, LICENCES_MAX)], H_SIGNS)
    return play


@pytest.fixture(scope="module")
def table() -> Play:
    return prepare()


@pytest.fixture
def play() -> Play:
    play = Play(with_clinic=True)
    for key in (OKAFOR, ILSE):
        play.accept([register(key)], [*H_SIGNS, key])
    play.accept([register(QUILL, C)], [*C_SIGNS, QUILL], sponsor=C)
    return play


# Accepted


@pytest.mark.parametrize("lane", [0, 1])
def test_a_suspension_takes_effect_in_its_block_and_ends_with_the_reinstatement(play, lane):
    did = did_of(OKAFOR)
    play.accept([set_roles(did, "nurse", "physician")], H_SIGNS)
    assert standing_of(play, did) == standing.Standing("active", ("nurse", "physician"), PRACTITIONER, H.did)
    signing = play.build([sign(did)], [H.node, OKAFOR], lane=2)
    suspending = play.build([suspend(did)], H_SIGNS, lane=lane)
    block = play.run([suspending, signing] if lane else [signing, suspending])
    codes = sorted(receipt.code for receipt in block.receipts)
    assert codes == [0, standing.SubjectSuspended.number], "lane 0 comes first, whoever was quicker"
    assert standing_of(play, did) == standing.Standing("suspended", (), PRACTITIONER, H.did)
    again = play.build([reinstate(did)], H_SIGNS, lane=0)
    assert play.refuse(again) == LaneReserved.number
    block = play.accept([reinstate(did)], H_SIGNS)
    assert [event.type for event in block.receipts[0].events] == ["identity.reinstated"]
    assert standing_of(play, did).roles == ("nurse", "physician")
    play.accept([sign(did)], [H.node, OKAFOR])


def test_a_suspended_practitioners_key_can_be_replaced_but_not_used(play):
    did, fresh = did_of(OKAFOR), Passkey("Dr Okafor's next phone")
    play.accept([suspend(did)], H_SIGNS, lane=0)
    play.accept([ROTATE.encode(Rotate(did, ROOT, fresh.key))], [*H_SIGNS, fresh])
    for key in (OKAFOR, fresh):
        assert play.refuse(play.build([sign(did)], [H.node, key])) == standing.SubjectSuspended.number
    play.accept([reinstate(did)], H_SIGNS)
    assert play.refuse(play.build([sign(did)], [H.node, OKAFOR])) == NotSigned.number
    play.accept([sign(did)], [H.node, fresh])


def test_a_suspended_organisation_and_its_people_do_nothing(play):
    """Embedded, by the operator."""
    quill = did_of(QUILL)
    play.accept([suspend(C.did)], H_SIGNS, lane=0)
    assert (status_of(play, C.did), status_of(play, quill)) == ("suspended", "suspended")
    for message, keys in (
        (anchor_message(C.did, 0, bytes(32), bytes(32)), [C.node]),
        (register(SCANNER, C, DEVICE), [*C_SIGNS, SCANNER]),
        (sign(quill), [C.node, QUILL]),
    ):
        assert play.refuse(play.build([message], keys, sponsor=C)) == UnknownSponsor.number
        lent = [H.node, *[key for key in keys if key != C.node or message[:2] == b"\x01\x2d"]]
        assert play.refuse(play.build([message], lent)) == identity.SubjectInactive.number
    play.accept([reinstate(C.did)], H_SIGNS)
    play.accept([sign(quill)], [C.node, QUILL], sponsor=C)
    play.accept([DEACTIVATE.encode(Deactivate(C.did, H.did))], H_SIGNS)
    assert status_of(play, quill) == "deactivated"


def test_on_a_network_nobody_suspends_an_organisation():
    made = net.four()
    hospital, clinic = net.HOSPITAL, net.CLINIC
    message = SUSPEND.encode(Suspend(clinic.did, hospital.did))
    code = made.run([made.build([message], hospital.keys)]).receipts[0].code
    assert code == identity.NotTheOperator.number
    made.accept([register(OKAFOR, hospital)], [*hospital.keys, OKAFOR])
    made.accept([SUSPEND.encode(Suspend(did_of(OKAFOR), hospital.did))], hospital.keys, lane=0)
    assert compute_standing(made.state, did_of(OKAFOR), made.now_ms).status == "suspended"


def test_a_licence_ends_with_its_day_by_block_time(play):
    did = did_of(OKAFOR)
    play.accept([set_roles(did, "nurse", "physician")], H_SIGNS)
    block = play.accept([license_(did, "physician", TODAY + 1)], H_SIGNS)
    assert [event.type for event in block.receipts[0].events] == ["identity.licensed"]
    end_ms = (TODAY + 2) * DAY_MS
    assert standing_of(play, did, end_ms - 1).roles == ("nurse", "physician")
    assert standing_of(play, did, end_ms) == standing.Standing("lapsed", (), PRACTITIONER, H.did)
    play.accept([license_(did, "surgeon", TODAY + 2)], H_SIGNS)
    assert standing_of(play, did, end_ms).roles == ("nurse", "surgeon"), "one licence is enough to act"
    play.now_ms = end_ms + DAY_MS - 1001
    play.accept([sign(did)], [H.node, OKAFOR])
    assert play.now_ms == end_ms + DAY_MS - 1
    second = play.build([sign(did, bytes(32))], [H.node, OKAFOR])
    assert play.refuse(second) == standing.LicenceLapsed.number
    play.accept([license_(did, "physician", TODAY + 30)], H_SIGNS)
    play.accept([sign(did, bytes(32))], [H.node, OKAFOR])
    play.accept([license_(did, "physician", 0)], H_SIGNS)
    assert status_of(play, did) == "lapsed"


def test_a_suspension_keeps_licences_and_outlives_them(play):
    did = did_of(OKAFOR)
    play.accept([license_(did, until_day=TODAY), suspend(did)], H_SIGNS)
    assert status_of(play, did, play.now_ms + 9 * DAY_MS) == "suspended"
    play.accept([license_(did, until_day=TODAY + 3)], H_SIGNS)
    assert status_of(play, did) == "suspended", "a licence reinstates nobody"
    play.accept([reinstate(did)], H_SIGNS)
    assert standing_of(play, did).roles == ("physician",)
    assert status_of(play, did, play.now_ms + 9 * DAY_MS) == "lapsed"


@pytest.mark.parametrize("key", [OKAFOR, ILSE], ids=["es256", "ml-dsa-65"])
def test_staff_sign_with_their_passkeys_through_any_sponsor(play, key):
    did = did_of(key)
    block = play.accept([sign(did)], [C.node, key], sponsor=C)
    raw = play.ledger.reader(play.kv)(SIGNED.state_key((did, LETTER)))
    assert SIGNED.value.decode(raw or b"") == Signed(block.height, block.time_ms)
    assert [tuple(event) for event in block.receipts[0].events] == [("identity.signed", did + LETTER)]


def test_how_a_did_stands(table):
    said = {OKAFOR: "active", ILSE: "suspended", LAPSED: "lapsed", GONE: "deactivated", QUILL: "active"}
    assert {key: status_of(table, did_of(key)) for key in said} == said
    assert status_of(table, NOBODY) == "unknown"
    assert standing_of(table, H.did) == standing.Standing("active", ("operator",), 1, H.did)
    assert (status_of(table, did_of(SCANNER, DEVICE)), status_of(table, C.did)) == ("active", "active")
    assert len(standing_of(table, did_of(OKAFOR)).roles) == LICENCES_MAX


# Refusals


@dataclass(frozen=True)
class Row:
    message: str
    why: str
    data: bytes
    keys: list[Signer]
    refusal: type
    sponsor: object = H


class _Okafor:
    did = did_of(OKAFOR)


class _Nobody:
    did = NOBODY


class _Gone:
    did = did_of(GONE)


O_DID, I_DID, Q_DID, G_DID, L_DID = map(did_of, (OKAFOR, ILSE, QUILL, GONE, LAPSED))
S_DID = did_of(SCANNER, DEVICE)
FRESH = Passkey("Dr Fresh")
OFF_CURVE = Key(WEBAUTHN_ES256, bytes(3) + b"\x40" + bytes(64) + FRESH.key.public[68:])
OTHER_PLACE = Passkey("Dr Okafor", origin="https://elsewhere.example")

ROWS = [
    *[
        Row(name, why, make(subject, by), keys, refusal, sponsor)
        for name, make in (("identity.suspend", suspend), ("identity.reinstate", reinstate))
        for why, subject, by, keys, refusal, sponsor in (
            ("nobody", NOBODY, H, H_SIGNS, identity.SubjectUnknown, H),
            ("one that is deactivated", G_DID, H, H_SIGNS, identity.SubjectInactive, H),
            ("by nobody", I_DID, _Nobody, H_SIGNS, identity.SubjectUnknown, H),
            ("by one that is deactivated", I_DID, _Gone, H_SIGNS, identity.SubjectInactive, H),
            ("by a practitioner", I_DID, _Okafor, [H.node, OKAFOR], identity.NotAnOrganisation, H),
            ("another's practitioner", Q_DID, H, H_SIGNS, identity.NotItsOrganisation, H),
            ("by another organisation", I_DID, C, C_SIGNS, identity.NotItsOrganisation, C),
            ("an organisation, not by the operator", H.did, C, C_SIGNS, identity.NotTheOperator, C),
            ("itself, not the operator", C.did, C, C_SIGNS, identity.NotTheOperator, C),
            ("the operator itself", H.did, H, H_SIGNS, identity.OperatorStays, H),
        )
    ],
    Row("identity.suspend", "twice", suspend(I_DID), H_SIGNS, standing.SubjectSuspended),
    Row("identity.suspend", "root key absent", suspend(O_DID), [H.node], NotSigned),
    Row("identity.suspend", "signed by the practitioner", suspend(O_DID), [H.node, OKAFOR], NotSigned),
    Row("identity.reinstate", "who is not suspended", reinstate(O_DID), H_SIGNS, standing.NotSuspended),
    Row("identity.reinstate", "root key absent", reinstate(I_DID), [H.node], NotSigned),
    Row("identity.reinstate", "signed by the practitioner", reinstate(I_DID), [H.node, ILSE], NotSigned),
    Row("identity.license", "nobody", license_(NOBODY), H_SIGNS, identity.SubjectUnknown),
    Row("identity.license", "one that is deactivated", license_(G_DID), H_SIGNS, identity.SubjectInactive),
    Row("identity.license", "by a practitioner", license_(O_DID, by=_Okafor), [H.node, OKAFOR], identity.NotAnOrganisation),
    Row("identity.license", "another's practitioner", license_(Q_DID), H_SIGNS, identity.NotItsOrganisation),
    Row("identity.license", "a device", license_(S_DID), H_SIGNS, standing.NotAPractitioner),
    Row("identity.license", "an organisation", license_(C.did, by=C), C_SIGNS, standing.NotAPractitioner, C),
    Row("identity.license", "for ever", license_(I_DID, until_day=DAY_MAX + 1), H_SIGNS, standing.LicenceOutOfBounds),
    Row("identity.license", "the operator's role", license_(I_DID, "operator"), H_SIGNS, standing.LicenceOutOfBounds),
    Row("identity.license", "one too many", license_(O_DID, "role 99"), H_SIGNS, standing.LicenceOutOfBounds),
    Row("identity.license", "root key absent", license_(I_DID), [H.node], NotSigned),
    Row("identity.license", "signed by the practitioner", license_(L_DID), [H.node, LAPSED], NotSigned),
    Row("identity.sign", "nobody", sign(NOBODY), [H.node, OKAFOR], identity.SubjectUnknown),
    Row("identity.sign", "one that is deactivated", sign(G_DID), [H.node, GONE], identity.SubjectInactive),
    Row("identity.sign", "an organisation", sign(H.did), H_SIGNS, standing.NotAPractitioner),
    Row("identity.sign", "a device", sign(S_DID), [H.node, SCANNER], standing.NotAPractitioner),
    Row("identity.sign", "while suspended", sign(I_DID), [H.node, ILSE], standing.SubjectSuspended),
    Row("identity.sign", "with a licence that ended", sign(L_DID), [H.node, LAPSED], standing.LicenceLapsed),
    Row("identity.sign", "twice", sign(O_DID, bytes(32)), [H.node, OKAFOR], standing.AlreadySigned),
    Row("identity.sign", "by its organisation", sign(O_DID), H_SIGNS, NotSigned),
    Row("identity.sign", "by a colleague", sign(O_DID), [H.node, LAPSED], NotSigned),
    Row("identity.register", "a passkey not on the curve", register(FRESH, root=OFF_CURVE), H_SIGNS, identity.KeyMalformed),
    Row("identity.register", "a passkey tagged as another algorithm's", register(FRESH, root=Key(4, FRESH.key.public)), H_SIGNS, identity.KeyMalformed),
    Row("identity.register", "a passkey of a page without TLS", register(Passkey("x", origin="http://a.example")), H_SIGNS, identity.KeyMalformed),
    Row("identity.register", "a colleague's passkey, for another page", register(OTHER_PLACE), [*H_SIGNS, OTHER_PLACE], identity.KeyInUse),
    Row("identity.register", "a device with a passkey", register(FRESH, kind=DEVICE), [*H_SIGNS, FRESH], identity.KeyMalformed),
    Row("identity.register", "an organisation with a passkey as root", register(FRESH, kind=1, name="X", node=LAPSED.key), [*H_SIGNS, FRESH], identity.KeyMalformed),
    Row("identity.register", "an organisation with a passkey as node key", register(SecretKey(1, bytes(32)), kind=1, name="X", node=FRESH.key), [*H_SIGNS, SecretKey(1, bytes(32))], identity.KeyMalformed),
    Row("identity.rotate", "an organisation to a passkey", ROTATE.encode(Rotate(H.did, ROOT, FRESH.key)), [*H_SIGNS, FRESH], identity.KeyMalformed),
    Row("identity.rotate", "a device to a passkey", ROTATE.encode(Rotate(S_DID, ROOT, FRESH.key)), [*H_SIGNS, FRESH], identity.KeyMalformed),
    Row("identity.rotate", "to a passkey that did not sign", ROTATE.encode(Rotate(O_DID, ROOT, FRESH.key)), H_SIGNS, NotSigned),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.message}: {row.why}" for row in ROWS])
def test_refused_messages_leave_the_state_untouched(table, row):
    assert table.refuse(table.build([row.data], row.keys, sponsor=row.sponsor)) == row.refusal.number


CALLS = {
    "identity.suspend": (suspend(O_DID), H.root),
    "identity.reinstate": (reinstate(I_DID), H.root),
    "identity.license": (license_(O_DID, "role 00"), H.root),
    "identity.sign": (sign(O_DID), OKAFOR),
}
"""An accepted call of each message, and the one key that decides it."""


@pytest.mark.parametrize("message", CALLS)
def test_one_key_decides_each_message_and_it_is_enough(table, message):
    data, needed = CALLS[message]
    everybody = [H.root, C.root, C.node, OKAFOR, ILSE, QUILL, LAPSED, GONE, SCANNER, FRESH]
    for wrong in everybody:
        if wrong is not needed:
            assert table.refuse(table.build([data], [H.node, wrong])) == NotSigned.number
    play = prepare()
    assert play.refuse(play.build([data], [H.node, needed, QUILL])) == UnusedAuthenticator.number
    play.accept([data], [C.node, needed], sponsor=C)


@pytest.mark.vectors
def test_standing_vectors(vector):
    """A chain of deterministic keys: a passkey's registration, suspension, licence and signature; standings on the way."""
    play, did = Play(), did_of(OKAFOR)
    root = [HOSPITAL.node, HOSPITAL.root]
    steps = [
        ("registered", [register(OKAFOR)], [*root, OKAFOR], 1),
        ("roles", [set_roles(did, "nurse", "physician")], root, 1),
        ("signed", [sign(did)], [HOSPITAL.node, OKAFOR], 1),
        ("signed again", [sign(did)], [HOSPITAL.node, OKAFOR], 1),
        ("suspended", [suspend(did)], root, 0),
        ("signed while suspended", [sign(did, bytes(32))], [HOSPITAL.node, OKAFOR], 1),
        ("reinstated", [reinstate(did)], root, 1),
        ("licensed", [license_(did, "physician", TODAY)], root, 1),
        ("licence ended", [license_(did, "physician", 0)], root, 1),
        ("signed without a licence", [sign(did, bytes(32))], [HOSPITAL.node, OKAFOR], 1),
    ]
    blocks = []
    for why, messages, keys, lane in steps:
        transaction = play.build(messages, keys, lane=lane)
        block = play.run([transaction])
        stands = standing_of(play, did)
        blocks.append(
            {
                "why": why,
                "transaction": transaction.hex(),
                "time_ms": block.time_ms,
                "code": block.receipts[0].code,
                "app_hash": block.app_hash.hex(),
                "standing": stands.status,
                "roles": list(stands.roles),
            }
        )
    vector(
        "standing.json",
        {"genesis": play.ledger.genesis.to_bytes().hex(), "did": did.hex(), "blocks": blocks},
    )
