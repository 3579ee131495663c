"""What a browser gives for a passkey becomes what the ledger takes, and nothing else does."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import replace

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from webauthn import verify_authentication_response
from webauthn.helpers.exceptions import InvalidAuthenticationResponse

from careledger.access.staff import make_assertion, make_passkey
from careledger.ledger.kernel import ED25519, WEBAUTHN_ES256, WEBAUTHN_ML_DSA
from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.hashing import sha256
from careledger.primitives.webauthn import P256_ORDER, verify_webauthn_es256, verify_webauthn_ml_dsa_65
from tests.ledger.passkeys import ORIGIN, RP_ID, UP, UV, Passkey

ID = sha256(b"an id")
OKAFOR, ILSE = Passkey("Dr Okafor"), Passkey("Ilse, nurse", WEBAUTHN_ML_DSA)


def to_der(raw: bytes, *, is_high: bool = False) -> bytes:
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    return encode_dss_signature(r, P256_ORDER - s if is_high else s)


@pytest.mark.parametrize("is_high", [False, True])
def test_a_browsers_es256_signature_is_turned_into_the_ledgers(is_high):
    answer = OKAFOR.answer(ID)
    der = to_der(answer.signature, is_high=is_high)
    made = make_assertion(WEBAUTHN_ES256, answer.authenticator_data, answer.client_data, der)
    assert made == OKAFOR.sign(ID)
    verify_webauthn_es256(OKAFOR.key.public, ID, made)


def test_an_ml_dsa_signature_is_taken_as_it_is():
    answer = ILSE.answer(ID)
    made = make_assertion(WEBAUTHN_ML_DSA, answer.authenticator_data, answer.client_data, answer.signature)
    verify_webauthn_ml_dsa_65(ILSE.key.public, ID, made)


def to_text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def ask_the_library(passkey: Passkey) -> None:
    """What a sign-in at this page would say of the passkey's answer. Raises InvalidAuthenticationResponse."""
    answer, x, y = passkey.answer(ID), passkey.raw[:32], passkey.raw[32:]
    verify_authentication_response(
        credential={
            "id": to_text(b"id"),
            "rawId": to_text(b"id"),
            "type": "public-key",
            "response": {
                "authenticatorData": to_text(answer.authenticator_data),
                "clientDataJSON": to_text(answer.client_data),
                "signature": to_text(to_der(answer.signature)),
            },
        },
        expected_challenge=ID,
        expected_rp_id=RP_ID,
        expected_origin=ORIGIN,
        credential_public_key=cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y}),
        credential_current_sign_count=0,
        require_user_verification=True,
    )


def test_another_program_takes_and_refuses_the_same_assertions():
    """The library that checks sign-ins, which parses what we only compare: our authenticator in software is like others."""
    ask_the_library(OKAFOR)
    ask_the_library(replace(OKAFOR, flags=UP | UV | 8 | 16, counter=7))
    for lie in (
        {"flags": UP},
        {"flags": UV},
        {"said_rp_id": "evil.example"},
        {"client": (("origin", "https://evil.example"),)},
        {"client": (("type", "webauthn.create"),)},
        {"client": (("challenge", "AAAA"),)},
    ):
        liar = replace(OKAFOR, **lie)
        with pytest.raises(InvalidAuthenticationResponse):
            ask_the_library(liar)
        with pytest.raises(VerificationFailed):
            verify_webauthn_es256(OKAFOR.key.public, ID, liar.sign(ID))


def test_passkeys_are_registered_as_their_pages_use_them():
    for passkey in (OKAFOR, ILSE):
        assert make_passkey(passkey.algorithm, passkey.raw, RP_ID, ORIGIN) == passkey.key
    with pytest.raises(Invalid):
        make_passkey(ED25519, bytes(32), RP_ID, ORIGIN)


@pytest.mark.parametrize(
    "signature",
    [b"", bytes(64), to_der(bytes(64)), encode_dss_signature(1, P256_ORDER), encode_dss_signature(2**256, 1)],
)
def test_what_is_no_signature_of_p_256_is_refused(signature):
    answer = OKAFOR.answer(ID)
    with pytest.raises(Invalid):
        make_assertion(WEBAUTHN_ES256, answer.authenticator_data, answer.client_data, signature)
