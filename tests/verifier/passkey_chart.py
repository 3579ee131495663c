"""A patient who decides with a passkey, for synthetic charts: her device, and everything it could be made to sign."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from careledger.primitives.signing import ml_dsa_44_public_key, sign_ml_dsa_44
from careledger.primitives.webauthn import WEBAUTHN_KEY, WebauthnKey
from tests.ledger.passkeys import Passkey
from tests.verifier.synthetic_chart import Entry, Patient, SyntheticChart, b64, canonical
from tests.verifier.synthetic_ledger import sha256, tagged

SHOWN = {"format": "careledger/directive/2", "language": "en", "shown": "I allow access."}


@dataclass(frozen=True)
class Small(Passkey):
    """A passkey whose key is ML-DSA-44."""

    @property
    def raw(self) -> bytes:
        return ml_dsa_44_public_key(self.seed)

    def sign_raw(self, data: bytes) -> bytes:
        return sign_ml_dsa_44(self.seed, data)


@dataclass(frozen=True)
class Holder:
    """As `synthetic_chart.Patient`. What she signs is replaced by `instead`, if it is given (another text)."""

    device: Passkey
    instead: bytes = b""
    key: bytes = field(init=False)

    def __post_init__(self) -> None:
        rp_id_hash = sha256(self.device.rp_id.encode())
        encoded = WEBAUTHN_KEY.encode(WebauthnKey(self.device.raw, rp_id_hash, self.device.origin))
        object.__setattr__(self, "key", encoded)

    @property
    def id(self) -> str:
        return sha256(self.key).hex()[:32]

    def sign(self, message: bytes) -> bytes:
        return self.device.sign(self.instead or message)

    def but(self, **changes: Any) -> Holder:
        """The same key in a browser, or a device, that does otherwise."""
        other = Holder(replace(self.device, **changes), self.instead)
        object.__setattr__(other, "key", self.key)
        return other


def enrol_passkey(
    chart: SyntheticChart, who: Holder, by: Holder | Patient | None = None, **more: Any
) -> Entry:
    """`who` is the chart's key; `by` signs her as the next one. `more` are fields of the leaf; None leaves one out."""
    message = tagged("cl1.enrolment", chart.org + chart.handle + who.id.encode())
    leaf = {
        "continues": b64(by.sign(who.id.encode())) if by else "", "credential": b64(b"c" * 16),
        "format": "careledger/controller/2", "key": b64(who.key), "proof": b64(who.sign(message)), **more,
    }  # fmt: skip
    body = canonical({name: value for name, value in leaf.items() if value is not None}).decode()
    return chart.add("Controller", who.id, kind="guardian", author="", body=body)
