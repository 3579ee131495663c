"""The ledger transactions of practitioners, composed alike by whoever signs them and the node that sponsors them.

Pure, as `access.grants` is. Also what a browser gives for a passkey, as the ledger takes it: consensus reads no DER.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from careledger.access.grants import Envelope
from careledger.contracts.identity import (
    PRACTITIONER,
    REGISTER,
    ROLES,
    ROOT,
    ROTATE,
    SET_ROLE,
    Register,
    Rotate,
    SetRole,
)
from careledger.contracts.standing import SIGN, Sign
from careledger.ledger.kernel import ED25519, ML_DSA_65, WEBAUTHN_ES256, WEBAUTHN_ML_DSA, Key
from careledger.ledger.transaction import BODY, Body
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did, compute_did
from careledger.primitives.webauthn import ASSERTION, P256_ORDER, WEBAUTHN_KEY, Assertion, WebauthnKey

STAFF_LANE: Final = 5
"""Registrations and what practitioners sign: people take their time, and nothing else waits for them."""
ALGORITHMS: Final = (ED25519, ML_DSA_65, WEBAUTHN_ES256, WEBAUTHN_ML_DSA)


def compute_practitioner_did(key: Key) -> Did:
    """Who is registered first under this key."""
    return compute_did(PRACTITIONER, *key)


def compose_registration(envelope: Envelope, key: Key, roles: Sequence[str] = ()) -> bytes:
    """The body that registers a practitioner of the sponsor, with these roles. Raises Invalid, TooLarge."""
    by = envelope.sponsor
    messages = [REGISTER.encode(Register(by, PRACTITIONER, "", key, None, ()))]
    if roles:
        message = SetRole(compute_practitioner_did(key), by, ROLES.sorted(roles))
        messages.append(SET_ROLE.encode(message))
    return _compose(envelope, messages)


def compose_rotation(envelope: Envelope, did: Did, key: Key) -> bytes:
    """The body by which another key signs for a practitioner of the sponsor's from now on. Raises Invalid, TooLarge."""
    return _compose(envelope, [ROTATE.encode(Rotate(did, ROOT, key))])


def compose_signing(envelope: Envelope, by: Did, statement: bytes) -> bytes:
    """The body by which a practitioner stands by a statement's hash. Raises Invalid."""
    return _compose(envelope, [SIGN.encode(Sign(by, statement))])


def _compose(envelope: Envelope, messages: Sequence[bytes]) -> bytes:
    valid_until, sponsor = envelope.valid_until, envelope.sponsor
    return BODY.encode(
        Body(envelope.genesis_hash, valid_until, sponsor, STAFF_LANE, envelope.sequence, tuple(messages))
    )


def make_passkey(algorithm: int, public: bytes, rp_id: str, origin: str) -> Key:
    """A passkey as the ledger registers it; `public` is raw: x | y, or the ML-DSA-65 key. Raises Invalid."""
    if algorithm not in (WEBAUTHN_ES256, WEBAUTHN_ML_DSA):
        raise Invalid("the ledger takes ES256 and ML-DSA-65 passkeys", code="algorithm")
    return Key(algorithm, WEBAUTHN_KEY.encode(WebauthnKey(public, sha256(rp_id.encode()), origin)))


def make_assertion(algorithm: int, authenticator_data: bytes, client_data: bytes, signature: bytes) -> bytes:
    """What `navigator.credentials.get` answered with, as an authenticator's signature. Raises Invalid, TooLarge.

    Browsers give an ES256 signature as DER, with either s; the ledger takes r | s, with the lower one.
    """
    if algorithm == WEBAUTHN_ES256:
        try:
            r, s = decode_dss_signature(signature)
        except ValueError:
            raise Invalid("the signature is no DER", code="der") from None
        if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
            raise Invalid("the signature is none of P-256", code="der")
        signature = r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")
    return ASSERTION.encode(Assertion(authenticator_data, client_data, signature))
