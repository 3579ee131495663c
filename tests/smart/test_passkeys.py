"""Passkeys: what an honest device makes is accepted; of every altered answer none is (fault catalogue F9, E14)."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import cbor2
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from webauthn import verify_authentication_response

from careledger.primitives.errors import Invalid
from careledger.smart import passkeys
from careledger.smart.accounts import ACCOUNTS, account_key
from careledger.smart.challenges import CHALLENGE_MS
from careledger.smart.passkeys import (
    ALGORITHMS,
    PASSKEYS,
    PASSKEYS_MAX,
    PasskeyRefused,
    RelyingParty,
    begin_registration,
    begin_sign_in,
    finish_sign_in,
    keep_passkey,
    list_passkeys,
    passkey_key,
    read_registration,
    remove_passkey,
)
from careledger.vault.registry import RegistryMoved
from tests.smart.authenticator import (
    AT,
    BE,
    BS,
    ED,
    ES256,
    ML_DSA_44,
    ML_DSA_65,
    UP,
    UV,
    Authenticator,
    Forgery,
    b64,
)
from tests.smart.people_support import ADA, BROWSER, CHEN, NOW, PARTY, ROSA, enrol, new_registry, run, sign_in


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("form", ["none", "packed"])
def test_a_passkey_signs_in_with_each_algorithm(algorithm, form):
    registry, device = new_registry(ROSA), Authenticator(algorithms=(algorithm,))
    passkey = enrol(registry, ROSA, device, forge=Forgery(form=form))
    assert (passkey.algorithm, passkey.account, passkey.prf) == (algorithm, "rosa", True)
    verified = sign_in(registry, device)
    assert (verified.account, verified.passkey.sign_count) == (ROSA, 1)
    assert sign_in(registry, device, now_ms=NOW + 5).passkey.used_ms == NOW + 5


def test_post_quantum_keys_are_offered_first():
    registry = new_registry(ROSA)
    options = run(begin_registration(registry, PARTY, ROSA, BROWSER, NOW, "add"))
    assert [one["alg"] for one in options["pubKeyCredParams"]] == [ML_DSA_65, ML_DSA_44, ES256]
    assert enrol(registry, ROSA, Authenticator()).algorithm == ML_DSA_65
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"


def test_nobody_is_told_who_has_an_account():
    registry = new_registry(ROSA, CHEN)
    enrol(registry, ROSA, Authenticator())
    first, second = (run(begin_sign_in(registry, PARTY, BROWSER, NOW)) for _ in range(2))
    assert first.pop("challenge") != second.pop("challenge")
    assert first == second
    assert first["allowCredentials"] == []


def p256_point_off_curve() -> bytes:
    return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: bytes(31) + b"\x05", -3: bytes(31) + b"\x01"})


def p384_as_es256() -> bytes:
    numbers = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    return cbor2.dumps(
        {1: 2, 3: -7, -1: 2, -2: numbers.x.to_bytes(48, "big"), -3: numbers.y.to_bytes(48, "big")}
    )


BAD_KEYS = {
    "p-384 said to be es256": p384_as_es256(),
    "point off the curve": p256_point_off_curve(),
    "bare point of an old key": b"\x04" + os.urandom(64),
    "rsa": cbor2.dumps({1: 3, 3: -257, -1: b"\xff" * 256, -2: b"\1\0\1"}),
    "rsa with sha-1": cbor2.dumps({1: 3, 3: -65535, -1: b"\xff" * 256, -2: b"\1\0\1"}),
    "eddsa": cbor2.dumps({1: 1, 3: -8, -1: 6, -2: bytes(32)}),
    "ml-dsa-87": cbor2.dumps({1: 7, 3: -50, -1: bytes(2592)}),
    "ml-dsa-44 key said to be 65": cbor2.dumps({1: 7, 3: -49, -1: bytes(1312)}),
    "ml-dsa of no size": cbor2.dumps({1: 7, 3: -49, -1: b""}),
    "no algorithm": cbor2.dumps({1: 2, -1: 1, -2: bytes(32), -3: bytes(32)}),
    "no map": cbor2.dumps([1, 2, 3]),
    "a name twice": b"\xa6\x01\x02\x03\x26\x20\x01\x21\x41\x01\x22\x41\x01\x01\x02",
}
BAD_REGISTRATIONS = {
    "another origin": Forgery(origin="http://localhost:8081"),
    "a longer host": Forgery(origin="http://localhost:8080.evil.example"),
    "https instead of http": Forgery(origin="https://localhost:8080"),
    "another relying party": Forgery(rp_id="evil.example"),
    "a sign-in's client data": Forgery(type="webauthn.get"),
    "a payment's client data": Forgery(type="payment.get"),
    "no user verification": Forgery(flags=UP | AT),
    "no user present": Forgery(flags=UV | AT),
    "backed up and not eligible": Forgery(flags=UP | UV | AT | BS),
    "no attested key": Forgery(flags=UP | UV),
    "bytes after the key": Forgery(tail=b"\x00"),
    "extensions announced and missing": Forgery(flags=UP | UV | AT | ED),
    "an unknown challenge": Forgery(challenge=b64(os.urandom(32))),
    "an empty challenge": Forgery(challenge=""),
    "in a frame of another page": Forgery(client={"crossOrigin": True}),
    "under another top page": Forgery(client={"topOrigin": "https://evil.example"}),
    "a short id": Forgery(id=b"short"),
    "a raw id that differs": Forgery(raw_id=b64(os.urandom(32))),
    "a padded id": Forgery(raw_id=b64(os.urandom(31)) + "="),
    "a maker's attestation": Forgery(form="packed", statement={"alg": -7, "sig": b"0", "x5c": [b"0"]}),
    "android's attestation": Forgery(form="android-safetynet", statement={"ver": "1", "response": b"0"}),
    "a tpm's attestation": Forgery(form="tpm", statement={}),
    "an invented attestation": Forgery(form="invented", statement={}),
    "a statement under none": Forgery(form="none", statement={"sig": b"0"}),
    "self-signed by nobody": Forgery(form="packed", statement={"alg": -49, "sig": bytes(3309)}),
    "another type of credential": Forgery(credential={"type": "password"}),
    "client data that is no json": Forgery(client_data=b"\xff\xfe"),
    "client data with a name twice": Forgery(
        client_data=b'{"type":"webauthn.create","challenge":"CHALLENGE","origin":"http://evil.example",'
        b'"origin":"http://localhost:8080","crossOrigin":false}'
    ),
    "client data too long": Forgery(client={"extra": "x" * 1100}),
    "client data of lists": Forgery(client_data=b"[" * 400 + b"]" * 400),
    **{f"key: {name}": Forgery(cose=cose) for name, cose in BAD_KEYS.items()},
}  # fmt: skip
BAD_SIGN_INS = {
    "another origin": Forgery(origin="http://localhost:8081"),
    "an origin with user": Forgery(origin="http://localhost:8080@evil.example"),
    "upper case origin": Forgery(origin="HTTP://LOCALHOST:8080"),
    "another relying party": Forgery(rp_id="evil.example"),
    "a registration's client data": Forgery(type="webauthn.create"),
    "no user verification": Forgery(flags=UP),
    "no user present": Forgery(flags=UV),
    "no flags": Forgery(flags=0),
    "attested data in a sign-in": Forgery(flags=UP | UV | AT, tail=bytes(18)),
    "bytes after the data": Forgery(tail=b"\x00"),
    "extensions announced and missing": Forgery(flags=UP | UV | ED),
    "made eligible for backup": Forgery(flags=UP | UV | BE),
    "backed up and not eligible": Forgery(flags=UP | UV | BS),
    "an unknown challenge": Forgery(challenge=b64(os.urandom(32))),
    "in a frame of another page": Forgery(client={"crossOrigin": True}),
    "cross-origin as a word": Forgery(client={"crossOrigin": "false"}),
    "an unknown credential": Forgery(id=os.urandom(32)),
    "another user handle": Forgery(handle=b"chen"),
    "no user handle": Forgery(handle=b""),
    "no signature": Forgery(signature=b""),
    "a signature of zeros": Forgery(signature=bytes(3309)),
    "an ecdsa signature for ml-dsa": Forgery(signature=bytes.fromhex("3006020101020101")),
    "the counter rolled back": Forgery(count=3),
    "the counter unchanged": Forgery(count=5),
    "the counter set to nought": Forgery(count=0),
    "no response": Forgery(credential={"response": None}),
    "another type of credential": Forgery(credential={"type": "password"}),
    "a password": Forgery(credential={"type": "password", "password": "hunter2"}),
    "numbers for text": Forgery(response={"signature": 7}),
    "standard base64": Forgery(response={"signature": "+/+/"}),
    "an answer too large": Forgery(credential={"extra": "x" * 17_000}),
}


@pytest.mark.parametrize("name", BAD_REGISTRATIONS)
def test_an_altered_registration_makes_no_passkey(name):
    registry, device = new_registry(ROSA), Authenticator()
    with pytest.raises(PasskeyRefused) as caught:
        enrol(registry, ROSA, device, forge=BAD_REGISTRATIONS[name])
    assert list_passkeys(registry, "rosa") == []
    assert caught.value.message == PasskeyRefused("other").message


def test_a_makers_word_about_a_key_is_not_taken():
    """Whose signature would hold: nobody's roots are pinned here, so anybody could be that maker."""
    registry, maker = new_registry(ROSA), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Maker of keys")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, maker.public_key(), 1, start, start.replace(year=2120))
    certificate = builder.sign(maker, hashes.SHA256()).public_bytes(Encoding.DER)

    def attest(signed: bytes) -> dict[str, object]:
        return {"alg": ES256, "sig": maker.sign(signed, ec.ECDSA(hashes.SHA256())), "x5c": [certificate]}

    with pytest.raises(PasskeyRefused) as caught:
        enrol(registry, ROSA, Authenticator(), forge=Forgery(form="packed", attest=attest))
    assert caught.value.reason == "attestation"
    assert list_passkeys(registry, "rosa") == []


@pytest.mark.parametrize("algorithm", [ML_DSA_65, ES256])
@pytest.mark.parametrize("name", BAD_SIGN_INS)
def test_an_altered_answer_signs_nobody_in(name, algorithm):
    registry, device = new_registry(ROSA, CHEN), Authenticator(algorithms=(algorithm,))
    enrol(registry, ROSA, device)
    device.credentials[0].count = 4
    sign_in(registry, device)  # the counter is at 5
    before = PASSKEYS.get(registry, passkey_key(device.credentials[0].id))
    with pytest.raises(PasskeyRefused) as caught:
        sign_in(registry, device, forge=BAD_SIGN_INS[name])
    assert PASSKEYS.get(registry, passkey_key(device.credentials[0].id)) == before
    assert (caught.value.message, caught.value.code) == (PasskeyRefused("").message, PasskeyRefused.code)
    assert not caught.value.__cause__


def test_a_challenge_is_used_once_even_by_the_right_person():
    registry, device = new_registry(ROSA), Authenticator(counts=False)
    enrol(registry, ROSA, device)
    options = run(begin_sign_in(registry, PARTY, BROWSER, NOW))
    answer = device.get(options)
    run(finish_sign_in(registry, PARTY, BROWSER, answer, NOW))
    for again in (answer, device.get(options)):
        with pytest.raises(PasskeyRefused) as caught:
            run(finish_sign_in(registry, PARTY, BROWSER, again, NOW))
        assert caught.value.reason == "challenge"


def test_a_wrong_answer_uses_the_challenge_up():
    registry, device = new_registry(ROSA), Authenticator()
    enrol(registry, ROSA, device)
    options = run(begin_sign_in(registry, PARTY, BROWSER, NOW))
    for forge in (Forgery(flags=UP), Forgery()):
        with pytest.raises(PasskeyRefused):
            run(finish_sign_in(registry, PARTY, BROWSER, device.get(options, forge), NOW))


@pytest.mark.parametrize(
    "change",
    [{"browser": b"another"}, {"now_ms": NOW + CHALLENGE_MS}, {"account": "rosa"}],
    ids=["another browser", "two minutes later", "a sign-in's for a step-up"],
)
def test_a_challenge_is_for_one_browser_one_purpose_and_two_minutes(change):
    registry, device = new_registry(ROSA), Authenticator()
    enrol(registry, ROSA, device)
    answer = device.get(run(begin_sign_in(registry, PARTY, BROWSER, NOW)))
    given = {"browser": BROWSER, "now_ms": NOW, "account": ""} | change
    with pytest.raises(PasskeyRefused) as caught:
        run(
            finish_sign_in(
                registry, PARTY, given["browser"], answer, given["now_ms"], account=given["account"]
            )
        )
    assert caught.value.reason == "challenge"


def test_a_registration_for_one_account_or_purpose_is_none_for_another():
    registry, device = new_registry(ROSA, CHEN), Authenticator()
    for account, purpose in (("chen", "add"), ("rosa", "enrol")):
        answer = device.create(run(begin_registration(registry, PARTY, ROSA, BROWSER, NOW, "add")))
        with pytest.raises(PasskeyRefused):
            run(
                read_registration(
                    registry, PARTY, account, BROWSER, answer, label="", now_ms=NOW, purpose=purpose
                )
            )


def test_a_step_up_takes_only_a_passkey_of_the_same_account():
    registry, hers, his = new_registry(ROSA, CHEN), Authenticator(), Authenticator()
    enrol(registry, ROSA, hers)
    enrol(registry, CHEN, his)
    assert sign_in(registry, hers, account="rosa").account == ROSA
    with pytest.raises(PasskeyRefused) as caught:
        sign_in(registry, his, account="rosa")
    assert caught.value.reason == "other-account"


def test_a_passkey_stored_under_another_account_signs_nobody_in():
    registry, device = new_registry(ROSA, CHEN), Authenticator()
    passkey = enrol(registry, ROSA, device)
    moved = msgspec.structs.replace(passkey, account="chen")
    run(registry.change(PASSKEYS.put(passkey_key(passkey.id), moved)))
    with pytest.raises(PasskeyRefused):
        sign_in(registry, device)


def test_the_base_points_key_signs_nobody_in():
    """The key that stands in for an unknown one has a secret half that everybody knows: 1."""
    registry, device = new_registry(ROSA), Authenticator(algorithms=(ES256,))
    enrol(registry, ROSA, device)
    device.credentials[0].seed = (2).to_bytes(32, "big")  # gives the scalar 1
    with pytest.raises(PasskeyRefused) as caught:
        sign_in(registry, device, forge=Forgery(id=os.urandom(32)))
    assert caught.value.reason == "unknown-credential"
    with pytest.raises(PasskeyRefused):
        sign_in(registry, device, forge=Forgery(id=os.urandom(32), handle=b""))


def test_a_roll_back_of_the_counter_says_so_to_the_log():
    registry, device = new_registry(ROSA), Authenticator()
    enrol(registry, ROSA, device)
    sign_in(registry, device)
    sign_in(registry, device)
    with pytest.raises(PasskeyRefused) as caught:
        sign_in(registry, device, forge=Forgery(count=1))
    assert (caught.value.reason, caught.value.account) == ("count-rolled-back", "rosa")


def test_a_device_without_a_counter_is_accepted_for_ever():
    registry, device = new_registry(ROSA), Authenticator(counts=False, backup=BE | BS)
    passkey = enrol(registry, ROSA, device)
    assert (passkey.is_backup_eligible, passkey.is_backed_up) == (True, True)
    for _ in range(3):
        assert sign_in(registry, device).passkey.sign_count == 0
    assert sign_in(registry, device, forge=Forgery(flags=UP | UV | BE)).passkey.is_backed_up is False


def test_a_disabled_account_is_refused_like_anything_else():
    registry, device = new_registry(ROSA), Authenticator()
    enrol(registry, ROSA, device)
    found = ACCOUNTS.get(registry, account_key("rosa"))
    run(registry.change(ACCOUNTS.renew(found, msgspec.structs.replace(ROSA, is_disabled=True))))
    with pytest.raises(PasskeyRefused) as caught:
        sign_in(registry, device)
    assert caught.value.reason == "account-disabled"


def test_a_credential_id_belongs_to_one_account():
    registry, device = new_registry(ROSA, CHEN), Authenticator()
    passkey = enrol(registry, ROSA, device)
    with pytest.raises(RegistryMoved):
        run(registry.change(*keep_passkey(registry, msgspec.structs.replace(passkey, account="chen"))))
    with pytest.raises(RegistryMoved):
        enrol(registry, CHEN, Authenticator(), forge=Forgery(id=passkey.id))


def test_an_account_keeps_one_passkey_and_has_at_most_sixteen():
    registry, device = new_registry(ROSA, CHEN), Authenticator()
    first = enrol(registry, ROSA, device)
    with pytest.raises(Invalid) as caught:
        run(remove_passkey(registry, "rosa", first.id))
    assert caught.value.code == "last-passkey"
    for _ in range(PASSKEYS_MAX - 1):
        enrol(registry, ROSA, device)
    with pytest.raises(Invalid):
        enrol(registry, ROSA, device)
    with pytest.raises(PasskeyRefused):
        run(remove_passkey(registry, "chen", first.id))
    run(remove_passkey(registry, "rosa", first.id))
    with pytest.raises(PasskeyRefused):
        sign_in(registry, device, key=device.credentials[0])


@pytest.mark.parametrize(
    "origin",
    [
        "http://clinic.example",
        "https://clinic.example/",
        "https://Clinic.example",
        "ftp://localhost",
        "localhost",
    ],
)
def test_passkeys_need_a_safe_origin(origin):
    with pytest.raises(Invalid):
        RelyingParty(origin)


def test_the_relying_party_is_the_host_alone():
    assert RelyingParty("https://clinic.example:8443").id == "clinic.example"
    assert PARTY.id == "localhost"


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b"{}", b"\xff", b'{"id":1}', b"[" * 9000, json.dumps("x").encode()]
)
def test_bytes_that_are_no_answer_are_refused(raw):
    with pytest.raises(PasskeyRefused):
        run(finish_sign_in(new_registry(ADA), PARTY, BROWSER, raw, NOW))


def test_an_unknown_credential_costs_as_much_work_as_a_known_one(monkeypatch):
    """Not the time, which a busy machine blurs, but what takes it: one signature is verified either way."""
    verified = []

    def count(**arguments):
        verified.append(arguments["credential"].raw_id)
        return verify_authentication_response(**arguments)

    monkeypatch.setattr(passkeys, "verify_authentication_response", count)
    registry, device = new_registry(ROSA), Authenticator(algorithms=(ES256,))
    enrol(registry, ROSA, device)
    unknown = os.urandom(32)
    for forge in (Forgery(id=unknown), Forgery(signature=bytes.fromhex("3006020101020101"))):
        with pytest.raises(PasskeyRefused):
            sign_in(registry, device, forge=forge)
    assert verified == [unknown, device.credentials[0].id]
