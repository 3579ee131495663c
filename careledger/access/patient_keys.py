"""What a patient's own device does: hold her key, derive a key for each directive, and sign. Never used by a node.

On the command line the device is a key file; on the web it is a passkey. Nothing here reads a file or the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import hmac_sha256, tagged
from careledger.primitives.signing import ml_dsa_65_public_key, sign_ml_dsa_65

KEY_FORMAT: Final[Literal["careledger/patient-key/1"]] = "careledger/patient-key/1"
SEED_BYTES: Final = 32


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file that `patient enrol --key-out` writes: hers alone. `seed` is base64url, 32 bytes."""

    chain: str
    format: Literal["careledger/patient-key/1"]
    organisation: str
    seed: str

    def __repr__(self) -> str:
        return "KeyFile(…)"


@dataclass(frozen=True, slots=True, repr=False)
class PatientKey:
    """An enrolled key, opened. Its text shows no seed."""

    seed: bytes

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise Invalid("a patient's key has 32 bytes", hint="use the file that `patient enrol` wrote")

    def __repr__(self) -> str:
        return "PatientKey(…)"

    @property
    def _enrolled(self) -> bytes:
        return hmac_sha256(self.seed, b"cl1.enrolled")

    @property
    def public(self) -> bytes:
        """The key that the chart enrols (ML-DSA-65)."""
        return ml_dsa_65_public_key(self._enrolled)

    def bind(self, commitment: bytes) -> bytes:
        """The enrolled key's signature over a directive's commitment (or, for its successor, that key's id)."""
        return sign_ml_dsa_65(self._enrolled, commitment)

    def directive_seed(self, nonce: bytes) -> bytes:
        """Seed of a directive's own key: HMAC(key, H(`cl1.directive`, nonce)) (protocol.md, Consent)."""
        return hmac_sha256(self.seed, tagged("cl1.directive", nonce))

    def directive_key(self, nonce: bytes) -> bytes:
        """Public half of a directive's own key (ML-DSA-65)."""
        return ml_dsa_65_public_key(self.directive_seed(nonce))

    def revocation_code(self, nonce: bytes) -> bytes:
        """The preimage that revokes without the key: printed, kept on paper. 32 bytes."""
        return hmac_sha256(self.seed, tagged("cl1.revocation", nonce))
