"""Signatures: `verify_*` returns nothing or raises VerificationFailed, so a result cannot be ignored.

Ed25519: PyNaCl (cofactorless) behind the protocol's own checks, so that every verifier of the protocol agrees on every
input: S below the group order, A and R canonical and of large order. ML-DSA: FIPS 204, pure, empty context, exact
sizes, hedged signing; from `cryptography`.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
    MLDSA65PrivateKey,
    MLDSA65PublicKey,
)
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from careledger.primitives.errors import Invalid, VerificationFailed

SEED_SIZE = 32
ED25519_PUBLIC_SIZE, ED25519_SIGNATURE_SIZE = 32, 64
ML_DSA_65_PUBLIC_SIZE, ML_DSA_65_SIGNATURE_SIZE = 1952, 3309
ML_DSA_44_PUBLIC_SIZE, ML_DSA_44_SIGNATURE_SIZE = 1312, 2420

FIELD_PRIME = 2**255 - 19
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493

# The y coordinates of the points whose order divides 8; with either sign bit, none may stand for A or R.
_ORDER_EIGHT_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER_Y = frozenset({0, 1, FIELD_PRIME - 1, _ORDER_EIGHT_Y, FIELD_PRIME - _ORDER_EIGHT_Y})
_Y_MASK = 2**255 - 1


def check_ed25519_point(point: bytes, what: str) -> None:
    """Raises VerificationFailed if these 32 bytes are no canonical y, or a point of small order."""
    y = int.from_bytes(point, "little") & _Y_MASK
    if y >= FIELD_PRIME:
        raise VerificationFailed(f"{what} is not canonical", code="non-canonical-point")
    if y in SMALL_ORDER_Y:
        raise VerificationFailed(f"{what} has small order", code="small-order-point")


@lru_cache(maxsize=4096)
def check_ed25519_key(public_key: bytes) -> None:
    """Raises VerificationFailed if the key may never verify anything: size, canonical form, order."""
    if len(public_key) != ED25519_PUBLIC_SIZE:
        raise VerificationFailed("an Ed25519 key has 32 bytes", code="key-size")
    check_ed25519_point(public_key, "the public key")


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Returns only if `signature` is this key's over `message` (protocol.md, Transactions, Ed25519)."""
    check_ed25519_key(public_key)
    if len(signature) != ED25519_SIGNATURE_SIZE:
        raise VerificationFailed("an Ed25519 signature has 64 bytes", code="signature-size")
    if int.from_bytes(signature[32:], "little") >= GROUP_ORDER:
        raise VerificationFailed("S is not below the group order", code="non-canonical-scalar")
    check_ed25519_point(signature[:32], "R")
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        raise VerificationFailed("the Ed25519 signature does not hold", code="bad-signature") from None


def ed25519_public_key(seed: bytes) -> bytes:
    """The 32-byte public key of a 32-byte seed."""
    return _expand(seed)[0]


def sign_ed25519(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature; deterministic (RFC 8032)."""
    return crypto_sign(message, _expand(seed)[1])[:ED25519_SIGNATURE_SIZE]


@lru_cache(maxsize=64)
def _expand(seed: bytes) -> tuple[bytes, bytes]:
    _check_seed(seed)
    public, secret = crypto_sign_seed_keypair(seed)
    return public, secret


def _check_seed(seed: bytes) -> None:
    if len(seed) != SEED_SIZE:
        raise Invalid("a seed has 32 bytes", code="seed-size")


@lru_cache(maxsize=256)
def _ml_dsa_65_key(public_key: bytes) -> MLDSA65PublicKey:
    if len(public_key) != ML_DSA_65_PUBLIC_SIZE:
        raise VerificationFailed(f"an ML-DSA-65 key has {ML_DSA_65_PUBLIC_SIZE} bytes", code="key-size")
    return MLDSA65PublicKey.from_public_bytes(public_key)


@lru_cache(maxsize=256)
def _ml_dsa_44_key(public_key: bytes) -> MLDSA44PublicKey:
    if len(public_key) != ML_DSA_44_PUBLIC_SIZE:
        raise VerificationFailed(f"an ML-DSA-44 key has {ML_DSA_44_PUBLIC_SIZE} bytes", code="key-size")
    return MLDSA44PublicKey.from_public_bytes(public_key)


def verify_ml_dsa_65(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Returns only if `signature` is this key's over `message`: FIPS 204, pure, empty context."""
    key = _ml_dsa_65_key(public_key)
    if len(signature) != ML_DSA_65_SIGNATURE_SIZE:
        raise VerificationFailed("the ML-DSA-65 signature has a wrong size", code="signature-size")
    try:
        key.verify(signature, message)
    except InvalidSignature:
        raise VerificationFailed("the ML-DSA-65 signature does not hold", code="bad-signature") from None


def verify_ml_dsa_44(public_key: bytes, message: bytes, signature: bytes) -> None:
    """As `verify_ml_dsa_65`, for the keys of checkpoints."""
    key = _ml_dsa_44_key(public_key)
    if len(signature) != ML_DSA_44_SIGNATURE_SIZE:
        raise VerificationFailed("the ML-DSA-44 signature has a wrong size", code="signature-size")
    try:
        key.verify(signature, message)
    except InvalidSignature:
        raise VerificationFailed("the ML-DSA-44 signature does not hold", code="bad-signature") from None


@lru_cache(maxsize=16)
def _ml_dsa_65_secret(seed: bytes) -> MLDSA65PrivateKey:
    _check_seed(seed)
    return MLDSA65PrivateKey.from_seed_bytes(seed)


@lru_cache(maxsize=16)
def _ml_dsa_44_secret(seed: bytes) -> MLDSA44PrivateKey:
    _check_seed(seed)
    return MLDSA44PrivateKey.from_seed_bytes(seed)


def ml_dsa_65_public_key(seed: bytes) -> bytes:
    """The 1,952-byte public key of a 32-byte seed."""
    return _ml_dsa_65_secret(seed).public_key().public_bytes_raw()


def ml_dsa_44_public_key(seed: bytes) -> bytes:
    """The 1,312-byte public key of a 32-byte seed."""
    return _ml_dsa_44_secret(seed).public_key().public_bytes_raw()


def sign_ml_dsa_65(seed: bytes, message: bytes) -> bytes:
    """The 3,309-byte signature; hedged, so two signatures over one message differ."""
    return _ml_dsa_65_secret(seed).sign(message)


def sign_ml_dsa_44(seed: bytes, message: bytes) -> bytes:
    """The 2,420-byte signature; hedged."""
    return _ml_dsa_44_secret(seed).sign(message)
