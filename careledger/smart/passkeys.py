"""Passkeys: registered for one account, and the only way to sign in. WebAuthn Level 3, without a list for strangers.

Every challenge is of 32 random bytes, for one purpose and one browser, taken at the first answer and gone after two
minutes. The authenticator must have verified the person (UV), for exactly this origin and this relying party.
Signatures, CBOR and authenticator data are read by `webauthn`; what it would let pass is refused here before or after.
All refusals look alike from outside; `reason` is for the node's log.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    RegistrationCredential,
)

from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import tagged
from careledger.smart.accounts import Account, get_account
from careledger.smart.challenges import CHALLENGE_MS, Purpose, ask, take
from careledger.smart.credentials import (
    ALGORITHMS,
    ES256,
    HOSTILE,
    Answer,
    PasskeyRefused,
    check_attestation,
    check_authenticator_data,
    check_key,
    read_answer,
)
from careledger.smart.indexes import make_index
from careledger.smart.tables import Found, Table, base64url
from careledger.vault.registry import Change, Registry, RegistryMoved

PASSKEYS_MAX: Final = 16
LABEL_MAX: Final = 60


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that signs an account in. `public` is the COSE key as it came; `prf`: it can derive secrets."""

    id: bytes
    account: str
    public: bytes
    algorithm: int
    sign_count: int
    created_ms: int
    used_ms: int
    label: str
    is_backup_eligible: bool
    is_backed_up: bool
    prf: bool


PASSKEYS: Final = Table("passkey", Passkey, b"key:")
BY_ACCOUNT: Final = make_index(PASSKEYS)


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """This node as browsers know it: one origin, and the host in it."""

    origin: str
    name: str = "CareLedger"

    def __post_init__(self) -> None:
        scheme, _, rest = self.origin.partition("://")
        if scheme != "https" and not (scheme == "http" and self.id == "localhost"):
            raise Invalid(
                "passkeys need https, or http://localhost",
                hint="set the node's public address to its https origin",
                code="origin",
            )
        if not rest or "/" in rest or self.origin != self.origin.lower():
            raise Invalid("an origin is scheme, host and port alone, in lower case", code="origin")

    @property
    def id(self) -> str:
        """The host: the relying party's id."""
        return self.origin.partition("://")[2].rpartition("@")[2].partition(":")[0]


@dataclass(frozen=True, slots=True)
class Verified:
    """A person whom their device has just verified."""

    account: Account
    passkey: Passkey


# Registering


async def begin_registration(
    registry: Registry, party: RelyingParty, account: Account, binding: bytes, now_ms: int, purpose: Purpose
) -> Mapping[str, Any]:
    """Options for `navigator.credentials.create`, in JSON's form: for somebody invited, or signed in.

    `purpose` is `enrol` (the account comes to be with the answer) or `add`. Raises Invalid over PASSKEYS_MAX.
    """
    known = list_passkeys(registry, account.id)
    if len(known) >= PASSKEYS_MAX:
        raise Invalid(f"an account has at most {PASSKEYS_MAX} passkeys", code="passkeys-max")
    challenge = await ask(registry, purpose, account.id, binding, now_ms)
    return {
        "challenge": challenge,
        "rp": {"id": party.id, "name": party.name},
        "user": {
            "id": base64url(user_handle(account.id)),
            "name": account.name,
            "displayName": account.name,
        },
        "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS],
        "timeout": CHALLENGE_MS,
        "excludeCredentials": [{"type": "public-key", "id": base64url(one.id)} for one in known],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
        "extensions": {"credProps": True, "prf": {}},
    }


async def read_registration(
    registry: Registry,
    party: RelyingParty,
    account: str,
    binding: bytes,
    response: bytes,
    *,
    label: str,
    now_ms: int,
    purpose: Purpose,
) -> Passkey:
    """The new passkey that a browser's answer holds, for `keep_passkey`. The challenge is gone after this.

    Raises PasskeyRefused.
    """
    answer = read_answer(response)
    await take(registry, answer.challenge, purpose, account, binding, now_ms)
    check_attestation(answer.attestation)
    credential = RegistrationCredential(
        id=base64url(answer.id),
        raw_id=answer.id,
        response=AuthenticatorAttestationResponse(
            client_data_json=answer.client_data, attestation_object=answer.attestation
        ),
    )
    verified = _run_library(
        lambda: verify_registration_response(
            credential=credential,
            expected_challenge=base64url_to_bytes(answer.challenge),
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(one) for one in ALGORITHMS],
        ),
        "registration",
    )
    if verified.credential_id != answer.id:
        raise PasskeyRefused("credential-id")
    algorithm = check_key(verified.credential_public_key)
    return Passkey(
        id=answer.id,
        account=account,
        public=verified.credential_public_key,
        algorithm=algorithm,
        sign_count=verified.sign_count,
        created_ms=now_ms,
        used_ms=now_ms,
        label=label[:LABEL_MAX],
        is_backup_eligible=verified.credential_device_type == "multi_device",
        is_backed_up=verified.credential_backed_up,
        prf=answer.has_prf,
    )


def make_anchor(account: str, label: str, now_ms: int) -> Passkey:
    """What stands for a passkey where somebody signs in without one: it verifies nothing and is listed nowhere, and
    whoever removes it ends the sessions that hang on it."""
    return Passkey(
        id=secrets.token_bytes(32), account=account, public=b"", algorithm=0, sign_count=0, created_ms=now_ms,
        used_ms=now_ms, label=label, is_backup_eligible=False, is_backed_up=False, prf=False,
    )  # fmt: skip


def keep_passkey(registry: Registry, passkey: Passkey) -> tuple[Change, ...]:
    """The changes that store a new passkey; an id that stands already, or a rival, moves them (RegistryMoved)."""
    key = passkey_key(passkey.id)
    return (
        PASSKEYS.put(key, passkey, expected=0),
        BY_ACCOUNT.change(registry, passkey.account, add=(key,)),
    )


def replace_passkeys(registry: Registry, passkey: Passkey) -> tuple[Change, ...]:
    """The changes that make a new passkey the only one of its account (recovery)."""
    key, former = passkey_key(passkey.id), BY_ACCOUNT.of(registry, passkey.account)
    return (
        *(PASSKEYS.drop(one) for one in former),
        PASSKEYS.put(key, passkey, expected=0),
        BY_ACCOUNT.change(registry, passkey.account, add=(key,), drop=[one.key for one in former]),
    )


# Signing in


async def begin_sign_in(
    registry: Registry, party: RelyingParty, binding: bytes, now_ms: int, *, account: str = ""
) -> Mapping[str, Any]:
    """Options for `navigator.credentials.get`: the same for everybody, naming no passkey.

    With `account` it is a step-up of somebody signed in: only a passkey of theirs will do.
    """
    challenge = await ask(registry, "step-up" if account else "sign-in", account, binding, now_ms)
    return {
        "challenge": challenge,
        "rpId": party.id,
        "timeout": CHALLENGE_MS,
        "allowCredentials": [],
        "userVerification": "required",
    }


async def finish_sign_in(
    registry: Registry,
    party: RelyingParty,
    binding: bytes,
    response: bytes,
    now_ms: int,
    *,
    account: str = "",
) -> Verified:
    """Who that is. Raises PasskeyRefused; `reason` tells the log why, `count-rolled-back` is to be reported."""
    answer = read_answer(response)
    await take(registry, answer.challenge, "step-up" if account else "sign-in", account, binding, now_ms)
    found = PASSKEYS.get(registry, passkey_key(answer.id))
    passkey = (
        found.value if found is not None else _DECOY
    )  # as much work for a stranger's id as for a known one
    count, is_backup_eligible, is_backed_up = _verify(party, passkey, answer)
    if found is None or passkey.id != answer.id:
        raise PasskeyRefused("unknown-credential")
    owner = get_account(registry, passkey.account)
    if owner is None or owner.value.is_disabled:
        raise PasskeyRefused("account-disabled", passkey.account)
    if answer.user_handle != user_handle(passkey.account) or (account and passkey.account != account):
        raise PasskeyRefused("other-account", passkey.account)
    if is_backup_eligible != passkey.is_backup_eligible:
        raise PasskeyRefused("backup-eligibility", passkey.account)
    check_count(passkey, count)
    used = msgspec.structs.replace(passkey, sign_count=count, used_ms=now_ms, is_backed_up=is_backed_up)
    await _keep_count(registry, found, used)
    return Verified(owner.value, used)


def check_count(passkey: Passkey, count: int) -> None:
    """Raises PasskeyRefused unless the counter rose; a device that counts never goes back to 0 (it was copied)."""
    if (count or passkey.sign_count) and count <= passkey.sign_count:
        raise PasskeyRefused("count-rolled-back", passkey.account)


async def _keep_count(registry: Registry, found: Found[Passkey], used: Passkey) -> None:
    try:
        await registry.change(PASSKEYS.renew(found, used))
    except RegistryMoved:  # the same passkey, elsewhere, at this moment
        raise PasskeyRefused("used-at-once", used.account) from None


def _verify(party: RelyingParty, passkey: Passkey, answer: Answer) -> tuple[int, bool, bool]:
    """The counter and the two backup flags under a signature that holds. Raises PasskeyRefused."""
    is_backup_eligible = check_authenticator_data(answer.authenticator_data)
    credential = AuthenticationCredential(
        id=base64url(answer.id),
        raw_id=answer.id,
        response=AuthenticatorAssertionResponse(
            client_data_json=answer.client_data,
            authenticator_data=answer.authenticator_data,
            signature=answer.signature,
        ),
    )
    verified = _run_library(
        lambda: verify_authentication_response(
            credential=credential,
            expected_challenge=base64url_to_bytes(answer.challenge),
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=passkey.public,
            credential_current_sign_count=0,  # `check_count` compares, so that a roll-back can be told from a forgery
            require_user_verification=True,
        ),
        "assertion",
    )
    return verified.new_sign_count, is_backup_eligible, verified.credential_backed_up


# Keeping them


def user_handle(account: str) -> bytes:
    """What an authenticator keeps beside the key: says nothing about the person."""
    return account.encode("utf-8")


def passkey_key(id: bytes) -> bytes:
    """Where a passkey stands in its table."""
    return tagged("cl1.passkey", id)


def list_passkeys(registry: Registry, account: str) -> list[Passkey]:
    """Those of an account, oldest first."""
    found = [one.value for one in BY_ACCOUNT.of(registry, account)]
    return sorted(found, key=lambda one: (one.created_ms, one.id))


async def remove_passkey(registry: Registry, account: str, id: bytes) -> None:
    """One passkey less. Raises PasskeyRefused for somebody else's, Invalid for the last one."""
    found = PASSKEYS.get(registry, passkey_key(id))
    if found is None or found.value.account != account:
        raise PasskeyRefused("other-account", account)
    if len(list_passkeys(registry, account)) == 1:
        raise Invalid(
            "this is your only passkey",
            hint="add another one first, or recover your account",
            code="last-passkey",
        )
    await registry.change(PASSKEYS.drop(found), BY_ACCOUNT.change(registry, account, drop=(found.key,)))


def _run_library(call: Callable[[], Any], reason: str) -> Any:
    """What the library returns. Whatever it makes of hostile bytes becomes one refusal."""
    try:
        return call()
    except HOSTILE:
        raise PasskeyRefused(reason) from None


_DECOY: Final = Passkey(
    id=b"",
    account="",
    # COSE EC2 key of the base point of P-256; a signature under it is refused all the same
    public=bytes.fromhex(
        "a5010203262001215820"
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "225820"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    ),
    algorithm=ES256,
    sign_count=0,
    created_ms=0,
    used_ms=0,
    label="",
    is_backup_eligible=False,
    is_backed_up=False,
    prf=False,
)
