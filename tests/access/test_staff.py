"""What a browser gives for a passkey becomes what the ledger takes, and nothing else does."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from careledger.access.staff import make_assertion, make_passkey
from careledger.ledger.kernel import ED25519, WEBAUTHN_ES256, WEBAUTHN_ML_DSA
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import sha256
from careledger.primitives.webauthn import P256_ORDER, verify_webauthn_es256, verify_webauthn_ml_dsa_65
from tests.ledger.passkeys import ORIGIN, RP_ID, Passkey

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
