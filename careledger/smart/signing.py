"""What a practitioner signs on the ledger with a passkey: a statement, or that the passkey is her key from now on.

The challenge of the one gesture is the transaction's id, so what the authenticator signs is the transaction itself. A
statement is a text of hers; the ledger sees the SHA-256 of its document, which ends in a random salt: who has the
document can show who signed it and when, and nobody guesses it from the ledger. What waits for its gesture belongs to
one session and is forgotten after a quarter of an hour, with the text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from careledger.access.grants import Envelope
from careledger.access.staff import (
    compose_registration,
    compose_rotation,
    compose_signing,
    make_assertion,
    make_passkey,
)
from careledger.ledger.kernel import WEBAUTHN_ES256, WEBAUTHN_ML_DSA, Key, Rejected
from careledger.ledger.transaction import Authenticator, compute_id, verify_authenticators
from careledger.primitives.errors import Invalid, NotFound
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did, parse_did
from careledger.smart.credentials import ES256, ML_DSA_65, Answer, PasskeyRefused, get_raw
from careledger.smart.passkeys import Passkey, RelyingParty
from careledger.smart.tables import Found, Table, base64url
from careledger.vault.registry import Registry, RegistryMoved

TEXT_CHARACTERS_MAX: Final = 3500
KEPT_MS: Final = 900_000
SALT_BYTES: Final = 16
LEDGER_ALGORITHMS: Final[Mapping[int, int]] = {ES256: WEBAUTHN_ES256, ML_DSA_65: WEBAUTHN_ML_DSA}
"""COSE algorithm -> the ledger's. ML-DSA-44 passkeys sign in, and nothing on the ledger."""
Purpose = Literal["statement", "register", "rotate"]
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class Signing(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for its gesture at one session. `passkey` is the credential's id; `id` the transaction's, once it was
    composed for `sequence` and `valid_until`; `height` the block's, once it is there."""

    purpose: Purpose
    account: str
    passkey: bytes
    did: str
    until_ms: int
    text: str = ""
    salt: str = ""
    id: bytes = b""
    sequence: int = 0
    valid_until: int = 0
    height: int = 0

    @property
    def document(self) -> str:
        """What the statement is the hash of: the text, and a salt that nobody guesses."""
        return f"{self.text}\n\nsalt: {self.salt}\n"

    @property
    def statement(self) -> bytes:
        """SHA-256 of the document as UTF-8, as `sha256sum` gives it."""
        return sha256(self.document.encode("utf-8"))


SIGNINGS: Final = Table("request", Signing, b"signing:")


@dataclass(frozen=True, slots=True)
class Signed:
    """A gesture that holds, as the node's commands take it."""

    signing: Signing
    given: Mapping[str, Any]


def is_for_ledger(passkey: Passkey) -> bool:
    """Whether the ledger takes signatures of this passkey."""
    return passkey.algorithm in LEDGER_ALGORITHMS and bool(passkey.public)


def ledger_key(passkey: Passkey, party: RelyingParty) -> Key:
    """The passkey as the ledger registers it. Raises Invalid for one that it does not take."""
    algorithm = LEDGER_ALGORITHMS.get(passkey.algorithm)
    if algorithm is None or not passkey.public:
        raise Invalid(
            "the ledger takes no signatures of this passkey",
            hint="add another one, on another device or browser",
            code="passkey-not-for-ledger",
        )
    return make_passkey(algorithm, get_raw(passkey.public), party.id, party.origin)


def read_text(text: str) -> str:
    """The text as it will be signed: what is seen is all there is. Raises Invalid."""
    read = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not 0 < len(read) <= TEXT_CHARACTERS_MAX or _UNSEEN.search(read):
        raise Invalid(
            f"a statement has 1 to {TEXT_CHARACTERS_MAX} characters, all of them to be seen",
            hint="leave out control characters",
            code="statement-text",
        )
    return read


def new_salt() -> str:
    """32 hex digits."""
    return secrets.token_hex(SALT_BYTES)


async def keep(registry: Registry, binding: bytes, signing: Signing) -> None:
    """It waits for its gesture, in place of what waited before at this session."""
    await registry.change(SIGNINGS.put(binding, signing, expires_ms=signing.until_ms))


def find(registry: Registry, binding: bytes, account: str, now_ms: int) -> Found[Signing] | None:
    """What waits, or was signed, at this session; None if nothing does any more."""
    found = SIGNINGS.get(registry, binding)
    if found is None or found.value.account != account or now_ms >= found.value.until_ms:
        return None
    return found


async def forget(registry: Registry, binding: bytes) -> None:
    """Nothing waits at this session."""
    found = SIGNINGS.get(registry, binding)
    if found is not None:
        await registry.change(SIGNINGS.drop(found))


async def begin(
    registry: Registry,
    party: RelyingParty,
    found: Found[Signing],
    passkey: Passkey,
    prepared: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Options for the one gesture: its challenge is the id of the transaction composed here. Raises Invalid."""
    envelope = Envelope(
        bytes(prepared["genesis_hash"]),
        Did(bytes(prepared["sponsor"])),
        prepared["sequence"],
        prepared["valid_until"],
    )
    id = compute_id(compose(found.value, envelope, ledger_key(passkey, party)))
    asked = msgspec.structs.replace(
        found.value, id=id, sequence=envelope.sequence, valid_until=envelope.valid_until
    )
    await registry.change(SIGNINGS.renew(found, asked))
    return {
        "challenge": base64url(id),
        "rpId": party.id,
        "timeout": 120_000,
        "allowCredentials": [{"type": "public-key", "id": base64url(passkey.id)}],
        "userVerification": "required",
    }


def compose(signing: Signing, envelope: Envelope, key: Key) -> bytes:
    """The body of the transaction. Raises Invalid."""
    if signing.purpose == "statement":
        return compose_signing(envelope, parse_did(signing.did), signing.statement)
    if signing.purpose == "rotate":
        return compose_rotation(envelope, parse_did(signing.did), key)
    return compose_registration(envelope, key)


async def finish(
    registry: Registry,
    party: RelyingParty,
    found: Found[Signing] | None,
    passkey: Passkey | None,
    answer: Answer,
) -> Signed:
    """The gesture for exactly what was composed, by exactly that passkey, once. Raises PasskeyRefused, NotFound."""
    if found is None or passkey is None or not found.value.id:
        raise NotFound("this took too long", hint="begin again", code="signing-over")
    signing = found.value
    try:
        await registry.change(SIGNINGS.renew(found, msgspec.structs.replace(signing, id=b"")))
    except RegistryMoved:
        raise PasskeyRefused("challenge", signing.account) from None
    if answer.id != signing.passkey or passkey.id != signing.passkey:
        raise PasskeyRefused("other-credential", signing.account)
    key = ledger_key(passkey, party)
    try:
        signature = make_assertion(
            key.algorithm, answer.authenticator_data, answer.client_data, answer.signature
        )
        verify_authenticators([Authenticator(*key, signature)], signing.id)
    except (Invalid, Rejected):
        raise PasskeyRefused("assertion", signing.account) from None
    given = {
        "algorithm": key.algorithm,
        "key": key.public,
        "signature": signature,
        "sequence": signing.sequence,
        "valid_until": signing.valid_until,
    }
    if signing.purpose != "register":
        given["did"] = signing.did
    if signing.purpose == "statement":
        given["statement"] = signing.statement
    return Signed(signing, given)
