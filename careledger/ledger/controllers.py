"""The keys that a chart enrols for its patient, and what they sign: a key file's, or a passkey's. Pure.

An enrolled key is either a raw ML-DSA-65 key (a key file) or an encoded WebAuthn key (a passkey, with the RP id and the
origin where alone it signs); their lengths tell them apart. What a passkey signs is an assertion whose challenge is the
message. docs/spec/consent.md is the format. Errors: VerificationFailed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from careledger.ledger.directive_forms import ControllerLeaf, compute_key_id
from careledger.ledger.proof_files import decode_binary
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import (
    ML_DSA_65_PUBLIC_SIZE,
    ML_DSA_65_SIGNATURE_SIZE,
    verify_ml_dsa_65,
)
from careledger.primitives.webauthn import (
    ASSERTION_SIZE_MAX,
    WEBAUTHN_KEY_SIZE_MAX,
    check_webauthn_key,
    verify_webauthn,
)

KEY_FILE_FORMAT: Final = "careledger/controller/1"
PASSKEY_FORMAT: Final = "careledger/controller/2"
CREDENTIAL_BYTES_MIN, CREDENTIAL_BYTES_MAX = 16, 1023
SIGNED_BYTES_MAX: Final = max(ML_DSA_65_SIGNATURE_SIZE, ASSERTION_SIZE_MAX)
"""Of a signature by an enrolled key: ML-DSA-65, or an encoded assertion."""


@dataclass(frozen=True, slots=True)
class Controller:
    """An enrolled key. `recovery` (ML-DSA-65, b"" for none) may enrol its successor, and nothing else; `credential` is
    how a passkey is called on its device."""

    key: bytes
    recovery: bytes = b""
    credential: bytes = b""

    @property
    def id(self) -> str:
        """32 hex digits."""
        return compute_key_id(self.key)

    @property
    def is_passkey(self) -> bool:
        """Whether it signs by assertions."""
        return len(self.key) != ML_DSA_65_PUBLIC_SIZE


def verify_signed(key: bytes, message: bytes, signature: bytes) -> None:
    """Returns only if the enrolled `key` signed this message: a passkey with user verification, at its own origin."""
    if len(key) == ML_DSA_65_PUBLIC_SIZE:
        verify_ml_dsa_65(key, message, signature)
    else:
        verify_webauthn(key, message, signature)


def compute_enrolment(place: bytes, key: bytes) -> bytes:
    """What a passkey signs to become the key of this chart; `place` is organisation | handle."""
    return tagged("cl1.enrolment", place + compute_key_id(key).encode())


def read_controller(leaf: ControllerLeaf, former: Controller | None, place: bytes) -> Controller:
    """The key that this leaf enrols: the chart's first, or signed by the `former` one or by that one's recovery key.

    A passkey has signed that it is this chart's; a key file, which nobody else holds, need not.
    """
    read = _read_passkey if leaf.format == PASSKEY_FORMAT else _read_key_file
    enrolled = read(leaf, place)
    if former is None:
        if leaf.continues:
            raise VerificationFailed("the first enrolled key continues one that is not there")
        return enrolled
    _check_continues(former, enrolled, decode_binary(leaf.continues, 0, SIGNED_BYTES_MAX))
    return enrolled


def _check_continues(former: Controller, enrolled: Controller, signature: bytes) -> None:
    message = enrolled.id.encode()
    signers = (former.key, former.recovery) if former.recovery else (former.key,)
    if not any(_is_signed(one, message, signature) for one in signers):
        raise VerificationFailed("it is not signed by the one before")


def _is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        verify_signed(key, message, signature)
    except VerificationFailed:
        return False
    return True


def _read_key_file(leaf: ControllerLeaf, place: bytes) -> Controller:
    if leaf.credential or leaf.proof or leaf.recovery:
        raise VerificationFailed("a key file's leaf says what only a passkey's does")
    return Controller(decode_binary(leaf.key, ML_DSA_65_PUBLIC_SIZE, ML_DSA_65_PUBLIC_SIZE))


def _read_passkey(leaf: ControllerLeaf, place: bytes) -> Controller:
    key = decode_binary(leaf.key, 1, WEBAUTHN_KEY_SIZE_MAX)
    if len(key) == ML_DSA_65_PUBLIC_SIZE:
        raise VerificationFailed("a passkey's leaf holds a key file's key")
    check_webauthn_key(key)
    credential = decode_binary(leaf.credential, CREDENTIAL_BYTES_MIN, CREDENTIAL_BYTES_MAX)
    recovery = decode_binary(leaf.recovery, 0, ML_DSA_65_PUBLIC_SIZE)
    if recovery and len(recovery) != ML_DSA_65_PUBLIC_SIZE:
        raise VerificationFailed("a recovery key is an ML-DSA-65 key")
    verify_webauthn(key, compute_enrolment(place, key), decode_binary(leaf.proof, 1, ASSERTION_SIZE_MAX))
    return Controller(key, recovery, credential)
