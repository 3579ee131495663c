"""Ed25519 edge cases are refused by our own checks, whatever a library would say; ML-DSA takes exact sizes only."""

from __future__ import annotations

import pytest

from careledger.primitives import signing
from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.signing import (
    FIELD_PRIME,
    GROUP_ORDER,
    SMALL_ORDER_Y,
    ed25519_public_key,
    ml_dsa_44_public_key,
    ml_dsa_65_public_key,
    sign_ed25519,
    sign_ml_dsa_44,
    sign_ml_dsa_65,
    verify_ed25519,
    verify_ml_dsa_44,
    verify_ml_dsa_65,
)
from careledger.primitives.types import compute_did, did_text, parse_did

SEED = bytes(range(32))
MESSAGE = b"the id of a transaction"


def points(ys, signs=(0, 1)):
    return [(y | sign << 255).to_bytes(32, "little") for y in sorted(ys) for sign in signs]


SMALL_ORDER = points(SMALL_ORDER_Y)
NON_CANONICAL = points(range(FIELD_PRIME, 2**255))


def edge_cases():
    key, good = ed25519_public_key(SEED), sign_ed25519(SEED, MESSAGE)
    s = int.from_bytes(good[32:], "little")
    cases = [
        ("S + L", key, good[:32] + (s + GROUP_ORDER).to_bytes(32, "little"), "non-canonical-scalar"),
        ("S = L", key, good[:32] + GROUP_ORDER.to_bytes(32, "little"), "non-canonical-scalar"),
        ("R altered", key, bytes([good[0] ^ 1]) + good[1:], "bad-signature"),
        ("S altered", key, good[:32] + bytes([good[32] ^ 1]) + good[33:], "bad-signature"),
        ("short signature", key, good[:63], "signature-size"),
        ("short key", key[:31], good, "key-size"),
        ("another key", ed25519_public_key(bytes(32)), good, "bad-signature"),
        # The identity key verifies this "signature" for every message in lax verifiers: [0]B = R + [k]A.
        (
            "forgery under the identity key",
            points({1}, (0,))[0],
            points({1}, (0,))[0] + bytes(32),
            "small-order-point",
        ),
    ]
    cases += [("A of small order", point, good, "small-order-point") for point in SMALL_ORDER]
    cases += [("R of small order", key, point + good[32:], "small-order-point") for point in SMALL_ORDER]
    cases += [("A not canonical", point, good, "non-canonical-point") for point in NON_CANONICAL]
    cases += [("R not canonical", key, point + good[32:], "non-canonical-point") for point in NON_CANONICAL]
    return cases


@pytest.mark.vectors
def test_ed25519_edge_cases(vector):
    verify_ed25519(ed25519_public_key(SEED), MESSAGE, sign_ed25519(SEED, MESSAGE))
    rows = [
        {
            "why": "valid",
            "key": ed25519_public_key(SEED).hex(),
            "signature": sign_ed25519(SEED, MESSAGE).hex(),
        }
    ]
    for why, key, signature, code in edge_cases():
        with pytest.raises(VerificationFailed) as refused:
            verify_ed25519(key, MESSAGE, signature)
        assert refused.value.code == code, why
        rows.append({"why": why, "key": key.hex(), "signature": signature.hex(), "refused": code})
    with pytest.raises(VerificationFailed):
        verify_ed25519(ed25519_public_key(SEED), MESSAGE + b".", sign_ed25519(SEED, MESSAGE))
    vector("ed25519.json", {"message": MESSAGE.hex(), "cases": rows})


def test_small_order_list_is_the_whole_torsion():
    """Every listed y satisfies 8·P = 0 on the curve, and there are five such y (eight points)."""
    p = FIELD_PRIME
    d = -121665 * pow(121666, -1, p) % p
    for y in SMALL_ORDER_Y:
        for _ in range(
            3
        ):  # doubling by y alone: y(2P) = (y² + x²) / (2 − (y² − x²)), x² = (y² − 1) / (d·y² + 1)
            x2 = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
            y = (y * y + x2) * pow(2 + x2 - y * y, -1, p) % p
        assert y == 1
    assert len(SMALL_ORDER_Y) == 5


@pytest.mark.parametrize(
    "public_key, sign, verify",
    [
        (ml_dsa_65_public_key, sign_ml_dsa_65, verify_ml_dsa_65),
        (ml_dsa_44_public_key, sign_ml_dsa_44, verify_ml_dsa_44),
    ],
)
def test_ml_dsa_takes_exact_sizes_and_the_signed_message(public_key, sign, verify):
    key, signature = public_key(SEED), sign(SEED, MESSAGE)
    verify(key, MESSAGE, signature)
    assert sign(SEED, MESSAGE) != signature  # hedged
    for bad in (
        (key, MESSAGE + b".", signature),
        (key, MESSAGE, signature[:-1]),
        (key, MESSAGE, signature + b"\x00"),
        (key[:-1], MESSAGE, signature),
        (public_key(bytes(32)), MESSAGE, signature),
    ):
        with pytest.raises(VerificationFailed):
            verify(*bad)


def test_seeds_have_32_bytes():
    for use in (sign_ed25519, sign_ml_dsa_65, sign_ml_dsa_44):
        with pytest.raises(Invalid):
            use(bytes(31), MESSAGE)
    assert len(sign_ed25519(SEED, MESSAGE)) == signing.ED25519_SIGNATURE_SIZE


def test_did_text_has_one_form():
    did = compute_did(1, 1, ed25519_public_key(SEED))
    assert parse_did(did_text(did)) == did
    for text in (
        "",
        did.hex(),
        did_text(did).upper(),
        did_text(did)[:-1],
        did_text(did) + "0",
        "did:careledger:",
    ):
        with pytest.raises(Invalid):
            parse_did(text)
