"""WebAuthn assertions as signatures over 32 bytes (protocol.md, Transactions), with no JSON, CBOR or DER from outside.

A key is registered with the RP id hash and the origin that it is for; an assertion is what the authenticator and the
browser signed. Both have one encoding, here. `verify_*` returns nothing or raises VerificationFailed. What is compared,
is compared as bytes; the signature counter is not looked at, replays are the sequences' business.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from careledger.primitives.encoding import DIGEST, Bytes, Schema, Text
from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.hashing import DIGEST_SIZE, sha256
from careledger.primitives.signing import (
    ML_DSA_44_PUBLIC_SIZE,
    ML_DSA_65_PUBLIC_SIZE,
    ML_DSA_65_SIGNATURE_SIZE,
    verify_ml_dsa_44,
    verify_ml_dsa_65,
)

ES256_PUBLIC_SIZE, ES256_SIGNATURE_SIZE = 64, 64
"""x | y and r | s, each part 32 bytes, big-endian."""
ORIGIN_SIZE_MAX = 267
"""`https://`, a host of 253 bytes, a port."""
AUTHENTICATOR_DATA_SIZE, AUTHENTICATOR_DATA_SIZE_MAX = 37, 512
CLIENT_DATA_SIZE_MAX = 1024

P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""y² = x³ − 3x + b, of prime order: a point that satisfies it is of that order."""

USER_PRESENT, USER_VERIFIED, ATTESTED, EXTENDED = 0x01, 0x04, 0x40, 0x80
"""Flags of authenticatorData; the others say nothing that is asked here."""

_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")


@dataclass(frozen=True, slots=True)
class WebauthnKey:
    """A raw public key, and where alone it signs: SHA-256 of the RP id, and the origin as browsers write it."""

    public: bytes
    rp_id_hash: bytes
    origin: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator answered: authenticatorData, clientDataJSON and the signature over both."""

    authenticator_data: bytes
    client_data: bytes
    signature: bytes


WEBAUTHN_KEY: Schema[WebauthnKey] = Schema(
    WebauthnKey,
    public=Bytes(ML_DSA_65_PUBLIC_SIZE, least=ES256_PUBLIC_SIZE),
    rp_id_hash=DIGEST,
    origin=Text(ORIGIN_SIZE_MAX, least=1),
)
ASSERTION: Schema[Assertion] = Schema(
    Assertion,
    authenticator_data=Bytes(AUTHENTICATOR_DATA_SIZE_MAX, least=AUTHENTICATOR_DATA_SIZE),
    client_data=Bytes(CLIENT_DATA_SIZE_MAX, least=1),
    signature=Bytes(ML_DSA_65_SIGNATURE_SIZE, least=ES256_SIGNATURE_SIZE),
)
WEBAUTHN_KEY_SIZE_MAX = 4 + ML_DSA_65_PUBLIC_SIZE + DIGEST_SIZE + 4 + ORIGIN_SIZE_MAX
ASSERTION_SIZE_MAX = 4 + AUTHENTICATOR_DATA_SIZE_MAX + 4 + CLIENT_DATA_SIZE_MAX + 4 + ML_DSA_65_SIGNATURE_SIZE


def check_es256_key(data: bytes) -> None:
    """Raises VerificationFailed if no assertion under this encoded ES256 key can ever hold."""
    _read_es256_key(data)


def check_ml_dsa_65_key(data: bytes) -> None:
    """Raises VerificationFailed if no assertion under this encoded ML-DSA-65 key can ever hold."""
    _read_key(data, ML_DSA_65_PUBLIC_SIZE)


def get_raw_key(data: bytes) -> bytes:
    """The raw public key within an encoded one. Raises Invalid."""
    return WEBAUTHN_KEY.decode(data).public


def verify_webauthn_es256(key: bytes, challenge: bytes, assertion: bytes) -> None:
    """Returns only if this is an assertion of `challenge` under the encoded key, signed r | s with a low s."""
    known, point = _read_es256_key(key)
    given = _read_assertion(assertion)
    signed = _check_assertion(known, challenge, given)
    if len(given.signature) != ES256_SIGNATURE_SIZE:
        raise VerificationFailed("an ES256 signature has 64 bytes", code="signature-size")
    r, s = int.from_bytes(given.signature[:32], "big"), int.from_bytes(given.signature[32:], "big")
    if not 0 < r < P256_ORDER or s == 0:
        raise VerificationFailed("r or s is no scalar of the group", code="non-canonical-scalar")
    if s > P256_ORDER // 2:
        raise VerificationFailed("s is not the lower of the two", code="high-s")
    try:
        point.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise VerificationFailed("the ES256 signature does not hold", code="bad-signature") from None


def verify_webauthn_ml_dsa_65(key: bytes, challenge: bytes, assertion: bytes) -> None:
    """As `verify_webauthn_es256`, for ML-DSA-65: pure, empty context."""
    known = _read_key(key, ML_DSA_65_PUBLIC_SIZE)
    given = _read_assertion(assertion)
    verify_ml_dsa_65(known.public, _check_assertion(known, challenge, given), given.signature)


def verify_webauthn_ml_dsa_44(key: bytes, challenge: bytes, assertion: bytes) -> None:
    """As `verify_webauthn_es256`, for ML-DSA-44. Charts only: the ledger takes no such key."""
    known = _read_key(key, ML_DSA_44_PUBLIC_SIZE)
    given = _read_assertion(assertion)
    verify_ml_dsa_44(known.public, _check_assertion(known, challenge, given), given.signature)


def verify_webauthn(key: bytes, challenge: bytes, assertion: bytes) -> None:
    """As `verify_webauthn_es256`, by the algorithm whose raw key has this one's size. Not for consensus."""
    size = check_webauthn_key(key)
    if size == ES256_PUBLIC_SIZE:
        verify_webauthn_es256(key, challenge, assertion)
    elif size == ML_DSA_65_PUBLIC_SIZE:
        verify_webauthn_ml_dsa_65(key, challenge, assertion)
    else:
        verify_webauthn_ml_dsa_44(key, challenge, assertion)


def check_webauthn_key(data: bytes) -> int:
    """Size of the raw key, in an encoded key of one of the three algorithms. Raises VerificationFailed for any other."""
    try:
        size = len(get_raw_key(data))
    except Invalid as error:
        raise VerificationFailed(f"the WebAuthn key: {error.message}", code="key-malformed") from None
    if size not in (ES256_PUBLIC_SIZE, ML_DSA_44_PUBLIC_SIZE, ML_DSA_65_PUBLIC_SIZE):
        raise VerificationFailed("the raw key is of no algorithm that is known", code="key-size")
    _read_es256_key(data) if size == ES256_PUBLIC_SIZE else _read_key(data, size)
    return size


def compute_client_data_start(challenge: bytes, origin: str) -> bytes:
    """How clientDataJSON must begin; `}` or `,` follows."""
    encoded = urlsafe_b64encode(challenge).rstrip(b"=")
    return (
        b'{"type":"webauthn.get","challenge":"%s","origin":"%s","crossOrigin":false'
        % (encoded, origin.encode())
    )  # fmt: skip


@lru_cache(maxsize=256)
def _read_key(data: bytes, public_size: int) -> WebauthnKey:
    try:
        key = WEBAUTHN_KEY.decode(data)
    except Invalid as error:
        raise VerificationFailed(f"the WebAuthn key: {error.message}", code="key-malformed") from None
    if len(key.public) != public_size:
        raise VerificationFailed(f"the raw key has {public_size} bytes", code="key-size")
    _check_origin(key.origin)
    return key


@lru_cache(maxsize=256)
def _read_es256_key(data: bytes) -> tuple[WebauthnKey, ec.EllipticCurvePublicKey]:
    key = _read_key(data, ES256_PUBLIC_SIZE)
    x, y = int.from_bytes(key.public[:32], "big"), int.from_bytes(key.public[32:], "big")
    if x >= P256_PRIME or y >= P256_PRIME:
        raise VerificationFailed("a coordinate is not canonical", code="non-canonical-point")
    if (y * y - x * x * x + 3 * x - P256_B) % P256_PRIME:
        raise VerificationFailed("the key is no point of P-256", code="not-on-curve")
    return key, ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def _check_origin(origin: str) -> None:
    """`https://host[:port]`, or localhost without TLS: nothing that would end the JSON text in which it stands."""
    scheme, _, rest = origin.partition("://")
    host, colon, port = rest.partition(":")
    is_host = bool(host) and _HOST_CHARACTERS.issuperset(host)
    is_port = not colon or (port.isascii() and port.isdigit() and port[0] != "0" and len(port) <= 5)
    if not is_host or not is_port or not (scheme == "https" or (scheme == "http" and host == "localhost")):
        raise VerificationFailed("the key's origin is none of a web page", code="origin-malformed")


def _read_assertion(data: bytes) -> Assertion:
    try:
        return ASSERTION.decode(data)
    except Invalid as error:
        raise VerificationFailed(f"the assertion: {error.message}", code="assertion-malformed") from None


def _check_assertion(key: WebauthnKey, challenge: bytes, given: Assertion) -> bytes:
    """What the signature must be over: authenticatorData | SHA-256(clientDataJSON), once both are as they must be."""
    _check_authenticator_data(key, given.authenticator_data)
    start = compute_client_data_start(challenge, key.origin)
    end = len(start)
    if given.client_data[:end] != start or given.client_data[end : end + 1] not in (b"}", b","):
        raise VerificationFailed("clientDataJSON does not begin as it must", code="client-data")
    return given.authenticator_data + sha256(given.client_data)


def _check_authenticator_data(key: WebauthnKey, data: bytes) -> None:
    flags = data[DIGEST_SIZE]
    if data[:DIGEST_SIZE] != key.rp_id_hash:
        raise VerificationFailed("the assertion is for another RP id", code="rp-id")
    if not flags & USER_PRESENT:
        raise VerificationFailed("nobody was present", code="user-not-present")
    if not flags & USER_VERIFIED:
        raise VerificationFailed("the user was not verified", code="user-not-verified")
    if flags & ATTESTED:
        raise VerificationFailed("an assertion attests no credential", code="attested-data")
    if bool(flags & EXTENDED) != (len(data) > AUTHENTICATOR_DATA_SIZE):
        raise VerificationFailed(
            "authenticatorData has 37 bytes, and more only with extensions", code="authenticator-data"
        )
