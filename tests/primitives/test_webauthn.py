"""A passkey's assertion counts if every byte that the protocol names is as it must be, and else never."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.ledger.kernel import WEBAUTHN_ES256, WEBAUTHN_ML_DSA
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import sha256
from careledger.primitives.webauthn import (
    ASSERTION,
    P256_B,
    P256_ORDER,
    P256_PRIME,
    WEBAUTHN_KEY,
    WebauthnKey,
    check_es256_key,
    check_ml_dsa_65_key,
    compute_client_data_start,
    verify_webauthn_es256,
    verify_webauthn_ml_dsa_65,
)
from tests.ledger.passkeys import AT, ED, ORIGIN, UP, UV, Passkey

ID = sha256(b"the id of a transaction")
OTHER_ID = sha256(b"another id")
OKAFOR = Passkey("Dr Okafor")
LINDQVIST = Passkey("Dr Lindqvist", WEBAUTHN_ML_DSA)
VERIFY = {WEBAUTHN_ES256: verify_webauthn_es256, WEBAUTHN_ML_DSA: verify_webauthn_ml_dsa_65}
CHECK = {WEBAUTHN_ES256: check_es256_key, WEBAUTHN_ML_DSA: check_ml_dsa_65_key}


def verify(passkey: Passkey, assertion: bytes, challenge: bytes = ID) -> None:
    VERIFY[passkey.algorithm](passkey.key.public, challenge, assertion)


def client_data(passkey: Passkey, challenge: bytes, data: bytes) -> bytes:
    """An assertion over these bytes, however they begin."""
    return ASSERTION.encode(passkey.answer(challenge, data))


def with_signature(change):
    def make(passkey, c):
        one = passkey.answer(c)
        return ASSERTION.encode(replace(one, signature=change(one.signature)))

    return make


def scalars(signature, r=None, s=None):
    old_r, old_s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return (old_r if r is None else r).to_bytes(32, "big") + (old_s if s is None else s).to_bytes(32, "big")


def lie(**changes):
    return lambda passkey, c: replace(passkey, **changes).sign(c)


def said(*members):
    return lambda passkey, c: replace(passkey, client=members).sign(c)


def reworded(old, new):
    return lambda passkey, c: client_data(passkey, c, passkey.client_data(c).replace(old, new, 1))


HONEST = [
    ("as browsers write it", lambda p, c: p.sign(c)),
    ("with a counter that never counted", lie(counter=0)),
    ("with a counter that wrapped", lie(counter=2**32 - 1)),
    ("backed up", lie(flags=UP | UV | 8 | 16)),
    ("with an extension", lie(flags=UP | UV | ED, tail=b"\xa0")),
    ("with extensions up to the limit", lie(flags=UP | UV | ED, tail=bytes(475))),
    (
        "with a later member",
        said(("other_keys_can_be_added_here", "do not compare")),
    ),
    ("with clientDataJSON up to the limit", lambda p, c: client_data(p, c, p.client_data(c).ljust(1024))),
]
REFUSED = [
    ("empty", lambda p, c: b"", "assertion-malformed"),
    ("a byte after it", lambda p, c: p.sign(c) + b"\x00", "assertion-malformed"),
    ("a byte short", lambda p, c: p.sign(c)[:-1], "assertion-malformed"),
    ("authenticatorData of 36 bytes", lambda p, c: bytes(3) + b"\x24" + p.authenticator_data()[:36] + p.sign(c)[41:], "assertion-malformed"),
    ("an extension over the limit", lambda p, c: bytes(2) + b"\x02\x01" + replace(p, flags=UP | UV | ED).authenticator_data().ljust(513) + p.sign(c)[41:], "assertion-malformed"),
    ("clientDataJSON over the limit", lambda p, c: p.sign(c)[:41] + b"\x00\x00\x04\x01" + bytes(1025) + p.sign(c)[41 + 4 + len(p.client_data(c)):], "assertion-malformed"),
    ("another RP id", lie(said_rp_id="node.hospital.example"), "rp-id"),
    ("nobody present", lie(flags=UV), "user-not-present"),
    ("the user not verified", lie(flags=UP), "user-not-verified"),
    ("a credential attested", lie(flags=UP | UV | AT), "attested-data"),
    ("a credential attested, with its bytes", lie(flags=UP | UV | AT | ED, tail=bytes(100)), "attested-data"),
    ("a tail without extensions", lie(tail=b"\xa0"), "authenticator-data"),
    ("extensions without a tail", lie(flags=UP | UV | ED), "authenticator-data"),
    ("another challenge", lambda p, c: p.sign(OTHER_ID), "client-data"),
    ("a challenge with padding", reworded(b'","origin', b'=","origin'), "client-data"),
    ("no challenge", said(("challenge", "")), "client-data"),
    ("another type", said(("type", "webauthn.create")), "client-data"),
    ("another origin", said(("origin", "https://evil.example")), "client-data"),
    ("an origin that begins alike", said(("origin", ORIGIN + ".evil.example")), "client-data"),
    ("an origin with a port", said(("origin", ORIGIN + ":8443")), "client-data"),
    ("an origin in upper case", said(("origin", ORIGIN.upper())), "client-data"),
    ("within another page", said(("crossOrigin", True)), "client-data"),
    ("crossOrigin of another kind", said(("crossOrigin", "false")), "client-data"),
    ("crossOrigin absent", reworded(b',"crossOrigin":false', b""), "client-data"),
    ("the end directly after it", reworded(b"}", b""), "client-data"),
    ("a number that begins alike", reworded(b"false}", b"false0}"), "client-data"),
    ("a space before it", reworded(b"{", b" {"), "client-data"),
    ("a space within it", reworded(b":", b": "), "client-data"),
    ("a byte order mark", reworded(b"{", b"\xef\xbb\xbf{"), "client-data"),
    ("a member before it", reworded(b"{", b'{"a":1,'), "client-data"),
    ("the right challenge later", lambda p, c: client_data(p, c, p.client_data(OTHER_ID)[:-1] + b"," + p.client_data(c)[1:]), "client-data"),
    ("escapes", reworded(b"webauthn", b"\\u0077ebauthn"), "client-data"),
    ("nothing at all", lambda p, c: client_data(p, c, b"{"), "client-data"),
    ("a signature of another key", lambda p, c: replace(p, name="Mallory").sign(c), "bad-signature"),
    ("other flags than were signed", lambda p, c: p.sign(c)[:36] + bytes([UP | UV | 8]) + p.sign(c)[37:], "bad-signature"),
    ("another counter than was signed", lambda p, c: p.sign(c)[:40] + b"\x01" + p.sign(c)[41:], "bad-signature"),
    ("clientDataJSON longer than was signed", lambda p, c: ASSERTION.encode(replace(p.answer(c), client_data=p.client_data(c) + b" ")), "bad-signature"),
    ("a signature over the id alone", lambda p, c: ASSERTION.encode(replace(p.answer(c), signature=p.sign_raw(c))), "bad-signature"),
    ("a signature a byte too long", with_signature(lambda one: one[:64] + b"\x00"), "signature-size"),
]  # fmt: skip
ES256_REFUSED = [
    ("high s", lie(is_high_s=True), "high-s"),
    ("s just over half", with_signature(lambda one: scalars(one, s=P256_ORDER // 2 + 1)), "high-s"),
    ("r = 0", with_signature(lambda one: scalars(one, r=0)), "non-canonical-scalar"),
    ("s = 0", with_signature(lambda one: scalars(one, s=0)), "non-canonical-scalar"),
    ("r = n", with_signature(lambda one: scalars(one, r=P256_ORDER)), "non-canonical-scalar"),
    ("s = n", with_signature(lambda one: scalars(one, s=P256_ORDER)), "high-s"),
    ("r above n", with_signature(lambda one: scalars(one, r=2**256 - 1)), "non-canonical-scalar"),
    ("DER", with_signature(lambda one: b"\x30\x44\x02\x20" + one[:32] + b"\x02\x20" + one[32:]), "signature-size"),
]  # fmt: skip


@pytest.mark.parametrize("passkey", [OKAFOR, LINDQVIST], ids=["es256", "ml-dsa-65"])
@pytest.mark.parametrize("make", [row[1] for row in HONEST], ids=[row[0] for row in HONEST])
def test_what_an_authenticator_answers_holds(passkey, make):
    verify(passkey, make(passkey, ID))
    with pytest.raises(VerificationFailed):
        verify(passkey, make(passkey, ID), OTHER_ID)


CASES = [(one, *row) for one in (OKAFOR, LINDQVIST) for row in REFUSED]
CASES += [(OKAFOR, *row) for row in ES256_REFUSED]
CASE_IDS = [f"{one.algorithm} {why}" for one, why, _, _ in CASES]


@pytest.mark.parametrize("passkey, why, make, code", CASES, ids=CASE_IDS)
def test_each_rule_has_its_refusal(passkey, why, make, code):
    with pytest.raises(VerificationFailed) as refused:
        verify(passkey, make(passkey, ID))
    assert refused.value.code == code


def key_of(passkey=OKAFOR, **changes):
    fields = {"public": passkey.raw, "rp_id_hash": bytes(32), "origin": ORIGIN}
    return WEBAUTHN_KEY.encode(WebauthnKey(**{**fields, **changes}))


def point(x, y):
    return x.to_bytes(32, "big") + y.to_bytes(32, "big")


X, Y = int.from_bytes(OKAFOR.raw[:32], "big"), int.from_bytes(OKAFOR.raw[32:], "big")
SMALL_X = next(x for x in range(100) if pow(x**3 - 3 * x + P256_B, (P256_PRIME - 1) // 2, P256_PRIME) == 1)
SMALL_Y = pow(SMALL_X**3 - 3 * SMALL_X + P256_B, (P256_PRIME + 1) // 4, P256_PRIME)
"""A point whose x can be written twice in 32 bytes."""
KEYS_REFUSED = [
    ("not on the curve", key_of(public=point(X, Y ^ 1)), "not-on-curve"),
    ("on the twist", key_of(public=point(X + 1, Y)), "not-on-curve"),
    ("the point at infinity", key_of(public=bytes(64)), "not-on-curve"),
    ("x not canonical", key_of(public=point(SMALL_X + P256_PRIME, SMALL_Y)), "non-canonical-point"),
    ("y not canonical", key_of(public=point(X, 2**256 - 1)), "non-canonical-point"),
    ("uncompressed, as others write it", key_of(public=b"\x04" + OKAFOR.raw), "key-size"),
    ("an ML-DSA key", key_of(LINDQVIST), "key-size"),
    ("raw, without its RP id", OKAFOR.raw, "key-malformed"),
    ("with a byte after it", key_of() + b"\x00", "key-malformed"),
    ("without an origin", key_of()[:-4 - len(ORIGIN)] + bytes(4), "key-malformed"),
    *[(f"origin {origin[:40]}", key_of(origin=origin), "origin-malformed") for origin in (
        'https://a","crossOrigin":false,"b":"', "https://a\\", "https://a b", "https://", "https://a/", "https://a/b",
        "https://a?b", "https://a#b", "https://u@a", "https://a:", "https://a:0", "https://a:080", "https://a:123456",
        "https://a:1:2", "https://a:８", "https://A", "https://bücher.example", "http://a", "http://a.localhost",
        "null", "android:apk-key-hash:abc", "HTTPS://a", "https:/a", "a", "https://a\n", "https://[::1]",
    )],
]  # fmt: skip


@pytest.mark.parametrize("key, code", [row[1:] for row in KEYS_REFUSED], ids=[row[0] for row in KEYS_REFUSED])
def test_keys_that_may_never_sign(key, code):
    with pytest.raises(VerificationFailed) as refused:
        check_es256_key(key)
    assert refused.value.code == code
    with pytest.raises(VerificationFailed):
        verify_webauthn_es256(key, ID, OKAFOR.sign(ID))


@pytest.mark.parametrize("origin", [ORIGIN, "https://a.example:8443", "https://a:65535", "http://localhost:8080", "http://localhost"])  # fmt: skip
def test_origins_of_pages_are_taken(origin):
    for passkey in (OKAFOR, LINDQVIST):
        at = replace(passkey, origin=origin)
        CHECK[at.algorithm](at.key.public)
        verify(at, at.sign(ID))
    with pytest.raises(VerificationFailed):
        check_ml_dsa_65_key(OKAFOR.key.public)


GOOD = {one: one.sign(ID) for one in (OKAFOR, LINDQVIST)}


@given(st.data())
@settings(max_examples=200)
def test_a_flipped_bit_anywhere_is_refused(data):
    """In the assertion, the key or the challenge; only what nothing reads could be free, and there is no such bit."""
    passkey = data.draw(st.sampled_from([OKAFOR, LINDQVIST]))
    parts = [passkey.key.public, ID, GOOD[passkey]]
    which = data.draw(st.integers(0, 2))
    bit = data.draw(st.integers(0, 8 * len(parts[which]) - 1))
    flipped = bytearray(parts[which])
    flipped[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(flipped)
    with pytest.raises(VerificationFailed):
        VERIFY[passkey.algorithm](*parts)


@given(st.binary(max_size=300), st.binary(max_size=300))
@settings(max_examples=100)
def test_any_bytes_are_refused_and_nothing_else_is_raised(key, assertion):
    for verifier in VERIFY.values():
        for known in (key, OKAFOR.key.public):
            with pytest.raises(VerificationFailed):
                verifier(known, ID, assertion)


def test_the_start_of_client_data_is_the_protocols():
    assert compute_client_data_start(bytes(32), "https://a") == (
        b'{"type":"webauthn.get","challenge":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",'
        b'"origin":"https://a","crossOrigin":false'
    )
    assert b'"-' in compute_client_data_start(b"\xfb" * 32, "https://a"), "base64url"


@pytest.mark.vectors
def test_webauthn_vectors(vector):
    """ES256 alone: its signatures are deterministic here. Rules that both algorithms share are in it."""
    rows = [{"why": why, "assertion": make(OKAFOR, ID).hex()} for why, make in HONEST]
    rows += [
        {"why": why, "assertion": make(OKAFOR, ID).hex(), "refused": code}
        for why, make, code in [*REFUSED, *ES256_REFUSED]
    ]
    vector(
        "webauthn.json",
        {
            "challenge": ID.hex(),
            "key": OKAFOR.key.public.hex(),
            "es256": rows,
            "keys_refused": [
                {"why": why, "key": key.hex(), "refused": code} for why, key, code in KEYS_REFUSED
            ],
        },
    )
