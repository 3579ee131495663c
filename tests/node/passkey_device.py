"""A patient's browser and passkey for tests: what the page does, with an authenticator in software that has PRF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from careledger.access.directives import (
    SHOWN_FORMAT,
    Grantee,
    Text,
    compute_commitment,
    compute_key_id,
    encode_text,
    to_base64,
)
from careledger.access.grants import compose_grant, compose_revocation, sign_body
from careledger.cli.decisions import envelope_of
from careledger.contracts.consent import compute_revocation_hash
from careledger.ledger.controllers import compute_enrolment
from careledger.primitives.hashing import hmac_sha256, sha256, tagged
from careledger.primitives.signing import ml_dsa_65_public_key
from careledger.primitives.webauthn import WEBAUTHN_KEY, WebauthnKey
from careledger.smart.directive_words import compose_shown
from tests.ledger.passkeys import Passkey

Command = Callable[..., dict[str, Any]]
ELSEWHERE = "did:careledger:" + "5e" * 32
CREDENTIAL = b"credential-of-16"
DAYS = (20_780, 99_999)


@dataclass(frozen=True)
class PasskeyDevice:
    """Her passkey in her browser, before the page of her custodian."""

    command: Command
    patient: str
    passkey: Passkey

    @property
    def key(self) -> bytes:
        """As the chart enrols it."""
        known = WebauthnKey(self.passkey.raw, sha256(self.passkey.rp_id.encode()), self.passkey.origin)
        return WEBAUTHN_KEY.encode(known)

    def prf(self, data: bytes) -> bytes:
        """What the authenticator gives for `data`: the browser hashes it under a name of its own first."""
        return hmac_sha256(self.passkey.seed, sha256(b"WebAuthn PRF\0" + data))

    def but(self, **changes: Any) -> PasskeyDevice:
        """The same, on a device or in a browser that does otherwise."""
        return replace(self, passkey=replace(self.passkey, **changes))

    def enrolment(self, continues: bytes = b"", recovery: bytes = b"") -> dict[str, Any]:
        prepared = self.command("consent.prepare", patient=self.patient)
        place = prepared["organisation"] + prepared["handle"]
        return {
            "patient": self.patient, "key": self.key, "continues": continues, "credential": CREDENTIAL,
            "proof": self.passkey.sign(compute_enrolment(place, self.key)), "recovery": recovery,
        }  # fmt: skip

    def enrol(self, continues: bytes = b"", recovery: bytes = b"") -> str:
        return str(self.command("patient.enrol", **self.enrolment(continues, recovery))["key_id"])

    def continuation(self, key: bytes) -> bytes:
        """That the chart's next key shall be this one."""
        return self.passkey.sign(compute_key_id(key).encode())

    def text(self, prepared: Mapping[str, Any], nonce: bytes, language: str = "en", **more: Any) -> Text:
        """What is decided, with what the page shows of it."""
        given: dict[str, Any] = {
            "actions": ("access",), "categories": (), "effect": "permit", "format": SHOWN_FORMAT,
            "from_day": DAYS[0], "grantees": (Grantee(kind="organisation", value=ELSEWHERE),),
            "handle": to_base64(prepared["handle"]), "labels": (), "language": language,
            "nonce": to_base64(nonce), "organisation": to_base64(prepared["organisation"]),
            "purposes": ("TREAT",), "supersedes": "", "types": (), "until_day": DAYS[1],
        }  # fmt: skip
        text = Text(**{**given, **{name: value for name, value in more.items() if name != "shown"}})
        shown = compose_shown(text, prepared["names"], text.language or "en")
        return Text(**{**{name: getattr(text, name) for name in given}, "shown": more.get("shown", shown)})

    def signed(self, number: int = 1, salt: bytes = b"s" * 32, **more: Any) -> dict[str, Any]:
        """The parameters of a grant, not yet handed in: one gesture signs and gives the directive's key."""
        prepared = self.command("consent.prepare", patient=self.patient)
        nonce = bytes([number]) * 32
        text = self.text(prepared, nonce, **more)
        content = encode_text(text)
        commitment = compute_commitment(salt, content)
        seed = self.prf(tagged("cl1.directive", nonce))
        code_hash = compute_revocation_hash(self.prf(tagged("cl1.revocation", nonce)))
        key = ml_dsa_65_public_key(seed)
        body = compose_grant(envelope_of(prepared), commitment, key, text.until_day, code_hash)
        return {
            "patient": self.patient, "text": content, "salt": salt, "binding": self.passkey.sign(commitment),
            "key": key, "revocation_hash": code_hash, "sequence": prepared["sequence"],
            "valid_until": prepared["valid_until"], "signature": sign_body(body, seed),
        }  # fmt: skip

    def grant(self, number: int = 1, **more: Any) -> str:
        return str(self.command("consent.grant", **self.signed(number, **more))["id"])

    def revocation(self, id: str) -> dict[str, Any]:
        """Another gesture, for the same key: what it signs beside does not matter."""
        prepared = self.command("consent.prepare_revocation", id=id)
        seed = self.prf(tagged("cl1.directive", prepared["nonce"]))
        key = ml_dsa_65_public_key(seed)
        body = compose_revocation(envelope_of(prepared), bytes.fromhex(id), public=key)
        return {
            "id": id, "key": key, "sequence": prepared["sequence"], "valid_until": prepared["valid_until"],
            "signature": sign_body(body, seed),
        }  # fmt: skip

    def revoke(self, id: str) -> None:
        self.command("consent.revoke", **self.revocation(id))
