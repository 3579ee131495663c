"""A passkey in software: an authenticator and the browser before it, honest unless told otherwise.

ES256 signatures are deterministic (RFC 6979), so vectors can hold them; ML-DSA ones are hedged.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from careledger.ledger.kernel import WEBAUTHN_ES256, Key
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import ml_dsa_65_public_key, sign_ml_dsa_65
from careledger.primitives.webauthn import ASSERTION, P256_ORDER, WEBAUTHN_KEY, Assertion, WebauthnKey

RP_ID, ORIGIN = "hospital.example", "https://node.hospital.example"
UP, UV, AT, ED = 1, 4, 64, 128


@dataclass(frozen=True)
class Passkey:
    """Made from a name. `flags`, `tail` and what the browser says are fields, so that a test can lie with `replace`."""

    name: str
    algorithm: int = WEBAUTHN_ES256
    rp_id: str = RP_ID
    origin: str = ORIGIN
    flags: int = UP | UV
    tail: bytes = b""
    counter: int = 0
    client: tuple[tuple[str, object], ...] = ()
    said_rp_id: str = ""
    is_high_s: bool = False

    @property
    def seed(self) -> bytes:
        return sha256(self.name.encode() + b" passkey")

    @property
    def raw(self) -> bytes:
        """x | y, or the ML-DSA-65 key."""
        if self.algorithm != WEBAUTHN_ES256:
            return ml_dsa_65_public_key(self.seed)
        numbers = self._private.public_key().public_numbers()
        return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")

    @property
    def key(self) -> Key:
        """As it is registered on the ledger."""
        known = WebauthnKey(self.raw, sha256(self.rp_id.encode()), self.origin)
        return Key(self.algorithm, WEBAUTHN_KEY.encode(known))

    @property
    def _private(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(self.seed, "big") % P256_ORDER, ec.SECP256R1())

    def client_data(self, challenge: bytes) -> bytes:
        """clientDataJSON, as browsers serialise it; `client` overrides and adds members."""
        said = {
            "type": "webauthn.get",
            "challenge": urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "origin": self.origin,
            "crossOrigin": False,
            **dict(self.client),
        }
        return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()

    def authenticator_data(self) -> bytes:
        rp_id = self.said_rp_id or self.rp_id
        counter = self.counter.to_bytes(4, "big")
        return sha256(rp_id.encode()) + bytes([self.flags]) + counter + self.tail

    def sign_raw(self, data: bytes) -> bytes:
        """r | s with a low s, or ML-DSA-65 over `data`."""
        if self.algorithm != WEBAUTHN_ES256:
            return sign_ml_dsa_65(self.seed, data)
        der = self._private.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        s = max(s, P256_ORDER - s) if self.is_high_s else min(s, P256_ORDER - s)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def answer(self, challenge: bytes, client_data: bytes | None = None) -> Assertion:
        client_data = self.client_data(challenge) if client_data is None else client_data
        said = self.authenticator_data()
        return Assertion(said, client_data, self.sign_raw(said + sha256(client_data)))

    def sign(self, data: bytes) -> bytes:
        """An authenticator's signature field: the assertion whose challenge is `data`."""
        return ASSERTION.encode(self.answer(data))
