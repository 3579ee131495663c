"""An account's passkey as a chart enrols it: the key that signs somebody in may decide in her own chart too.

Only one of the account's own passkeys, and only one that can derive keys (PRF): it has a key for each directive to give.
"""

from __future__ import annotations

from webauthn.helpers import decode_credential_public_key
from webauthn.helpers.decode_credential_public_key import DecodedEC2PublicKey, DecodedMLDSAPublicKey

from careledger.primitives.errors import Invalid, NotPermitted
from careledger.primitives.hashing import sha256
from careledger.primitives.webauthn import WEBAUTHN_KEY, WebauthnKey
from careledger.smart.accounts import Account
from careledger.smart.passkeys import Passkey, RelyingParty, list_passkeys
from careledger.vault.registry import Registry


def patient_of(account: Account) -> str:
    """The id of the patient whose account this is. Raises NotPermitted for any other account."""
    if account.kind != "patient" or not account.fhir_user.startswith("Patient/"):
        raise NotPermitted("only a patient decides about her record", hint="sign in as the patient")
    return account.fhir_user.removeprefix("Patient/")


def find_deciding(registry: Registry, account: Account, credential: bytes) -> Passkey:
    """The account's own passkey of this id. Raises NotPermitted for somebody else's, Invalid for one without PRF."""
    for one in list_passkeys(registry, account.id):
        if one.id == credential:
            if not one.prf:
                raise Invalid(
                    "this passkey cannot derive keys",
                    hint="add a passkey on another device, or use a key file: careledger patient enrol",
                    code="passkey-without-prf",
                )
            return one
    raise NotPermitted("this passkey is not yours", hint="open the page again")


def encode_key(passkey: Passkey, party: RelyingParty) -> bytes:
    """The passkey as charts hold it: raw key, RP id hash, origin (docs/spec/consent.md)."""
    known = WebauthnKey(read_raw(passkey.public), sha256(party.id.encode()), party.origin)
    return WEBAUTHN_KEY.encode(known)


def read_raw(public: bytes) -> bytes:
    """x | y, or the ML-DSA key, of a COSE key that was accepted at registration."""
    key = decode_credential_public_key(public)
    if isinstance(key, DecodedEC2PublicKey):
        return key.x + key.y
    assert isinstance(key, DecodedMLDSAPublicKey)  # `check_key` let no other in
    return key.pub
