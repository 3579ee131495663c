"""A browser's answer to a WebAuthn challenge, read strictly and once: sizes, base64url, JSON without repeated names.

Here is what the library reads more kindly than we do. Nothing here knows an account or a registry; whatever does not
fit is `PasskeyRefused` with a reason.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from webauthn.helpers import decode_credential_public_key, parse_cbor
from webauthn.helpers.decode_credential_public_key import DecodedEC2PublicKey, DecodedMLDSAPublicKey
from webauthn.helpers.decoded_public_key_to_cryptography import decoded_public_key_to_cryptography
from webauthn.helpers.exceptions import WebAuthnException

from careledger.primitives.errors import Unauthenticated
from careledger.primitives.signing import ML_DSA_44_PUBLIC_SIZE, ML_DSA_65_PUBLIC_SIZE
from careledger.smart.tables import base64url

ML_DSA_65, ML_DSA_44, ES256 = -49, -48, -7
ALGORITHMS: Final = (ML_DSA_65, ML_DSA_44, ES256)
"""COSE algorithms in the order in which they are offered; no other is taken."""

RESPONSE_BYTES_MAX: Final = 16_384
CLIENT_DATA_BYTES_MAX: Final = 1024
CREDENTIAL_ID_BYTES: Final = range(16, 1024)
AUTHENTICATOR_DATA_BYTES: Final = range(37, 1024)
CHALLENGE_CHARACTERS: Final = 43
P256_FIELD_BYTES: Final = 32
_BACKUP_ELIGIBLE, _ATTESTED = 0x08, 0x40
_PUBLIC_SIZES: Final = {ML_DSA_65: ML_DSA_65_PUBLIC_SIZE, ML_DSA_44: ML_DSA_44_PUBLIC_SIZE}
HOSTILE: Final = (
    WebAuthnException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What the library raises for bytes that are not what they should be."""


class PasskeyRefused(Unauthenticated):
    """The passkey's answer is not accepted. Whatever the reason, the person is told the same; the log is told it."""

    code = "passkey-refused"

    def __init__(self, reason: str, account: str = "") -> None:
        super().__init__(
            "this passkey was not accepted", hint="try again; if it goes on, ask your organisation for help"
        )
        self.reason = reason
        self.account = account


class _Prf(msgspec.Struct, frozen=True):
    enabled: bool = False


class _Extensions(msgspec.Struct, frozen=True):
    prf: _Prf = _Prf()


class _Response(msgspec.Struct, frozen=True):
    clientDataJSON: str
    attestationObject: str = ""
    authenticatorData: str = ""
    signature: str = ""
    userHandle: str | None = None


class _Credential(msgspec.Struct, frozen=True):
    id: str
    rawId: str
    type: str
    response: _Response
    clientExtensionResults: _Extensions = _Extensions()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser sent, decoded. Of attestation and signature, the one that was not sent is empty."""

    id: bytes
    client_data: bytes
    challenge: str
    attestation: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes
    has_prf: bool


_READER: Final = msgspec.json.Decoder(_Credential)


def read_answer(response: bytes) -> Answer:
    """The answer of `PublicKeyCredential.toJSON`, within its limits. Raises PasskeyRefused."""
    if len(response) > RESPONSE_BYTES_MAX:
        raise PasskeyRefused("too-large")
    try:
        credential = _READER.decode(response)
    except (msgspec.DecodeError, RecursionError):
        raise PasskeyRefused("malformed") from None
    if credential.type != "public-key" or credential.id != credential.rawId:
        raise PasskeyRefused("malformed")
    sent = credential.response
    id, client_data = _decode(credential.id), _decode(sent.clientDataJSON)
    if len(id) not in CREDENTIAL_ID_BYTES or len(client_data) > CLIENT_DATA_BYTES_MAX:
        raise PasskeyRefused("malformed")
    return Answer(
        id=id,
        client_data=client_data,
        challenge=_read_challenge(client_data),
        attestation=_decode(sent.attestationObject),
        authenticator_data=_decode(sent.authenticatorData),
        signature=_decode(sent.signature),
        user_handle=_decode(sent.userHandle or ""),
        has_prf=credential.clientExtensionResults.prf.enabled,
    )


def _read_challenge(client_data: bytes) -> str:
    """The challenge of client data that can be read in one way only, and was made in no page but ours."""
    try:
        fields = json.loads(client_data.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise PasskeyRefused("client-data") from None
    if not isinstance(fields, dict) or fields.get("crossOrigin", False) is not False or "topOrigin" in fields:
        raise PasskeyRefused("client-data")
    challenge = fields.get("challenge")
    if not isinstance(challenge, str) or len(challenge) != CHALLENGE_CHARACTERS:
        raise PasskeyRefused("challenge")
    return challenge


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def check_attestation(attestation: bytes) -> None:
    """Raises PasskeyRefused unless it is `none`, or signed by the new key itself: we asked for no maker's word."""
    try:
        found = parse_cbor(attestation)
        form, statement = found["fmt"], found["attStmt"]
        is_plain = (form == "none" and statement == {}) or (form == "packed" and "x5c" not in statement)
    except HOSTILE:
        raise PasskeyRefused("attestation") from None
    if not is_plain or set(found) != {"fmt", "attStmt", "authData"}:
        raise PasskeyRefused("attestation")


def check_key(public: bytes) -> int:
    """The algorithm of a COSE key. Raises PasskeyRefused unless kind, curve, size and point fit it exactly."""
    try:
        if public[:1] == b"\x04":  # the bare point of old security keys, which names no algorithm
            raise PasskeyRefused("key")
        key = decode_credential_public_key(public)
        decoded_public_key_to_cryptography(key)
        algorithm = int(key.alg)
    except HOSTILE:
        raise PasskeyRefused("key") from None
    if isinstance(key, DecodedEC2PublicKey):
        fits = algorithm == ES256 and key.crv == 1 and len(key.x) == len(key.y) == P256_FIELD_BYTES
    else:
        fits = isinstance(key, DecodedMLDSAPublicKey) and len(key.pub) == _PUBLIC_SIZES.get(algorithm)
    if not fits:
        raise PasskeyRefused("key")
    return algorithm


def get_raw(public: bytes) -> bytes:
    """x | y, or the ML-DSA key, of a COSE key that `check_key` let in."""
    key = decode_credential_public_key(public)
    if isinstance(key, DecodedEC2PublicKey):
        return key.x + key.y
    if not isinstance(key, DecodedMLDSAPublicKey):
        raise PasskeyRefused("key")
    return key.pub


def check_authenticator_data(data: bytes) -> bool:
    """Whether the key may be copied to other devices (BE). Raises PasskeyRefused for what no assertion holds."""
    if len(data) not in AUTHENTICATOR_DATA_BYTES or data[32] & _ATTESTED:
        raise PasskeyRefused("authenticator-data")
    return bool(data[32] & _BACKUP_ELIGIBLE)


def _decode(text: str) -> bytes:
    """base64url without padding, in its one form."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise PasskeyRefused("malformed") from None
    if base64url(data) != text:
        raise PasskeyRefused("malformed")
    return data
