"""Invitations: how an account comes to be. An organisation signs who is invited as what; a code carries it to them.

The code (130 bits) is shown in person or sent; the node keeps its digest only, inside what the organisation signed.
It serves once, within seven days. Wrong codes cost back-off. The invited person makes a passkey at once: account,
passkey and the end of the invitation are one change, so there is never an account without a passkey.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from careledger.primitives.errors import Conflict, Invalid, NotFound, VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.smart.accounts import (
    ACCOUNTS,
    Account,
    Duty,
    Kind,
    account_key,
    check_account,
    check_unaccounted,
    new_account_id,
)
from careledger.smart.backoff import check_tries, count_wrong, forget_tries
from careledger.smart.passkeys import Passkey, keep_passkey
from careledger.smart.tables import Found, Table, code_key, new_code
from careledger.vault.registry import Registry, RegistryMoved

LIFETIME_MS: Final = 7 * 86_400_000
INVITATION_BYTES_MAX: Final = 4096
Sign = Callable[[bytes], bytes]
"""The signature of the organisation's node or root key."""
Verify = Callable[[str, bytes, bytes], None]
"""(organisation's DID, message, signature): raises VerificationFailed unless a current key of it signed."""


class Invitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is invited as what. `by` is the account of the administrator who asked, '' for the command line; `approved_by`
    that of the second one, who got the code, '' where there was none."""

    account: str
    kind: Kind
    name: str
    fhir_user: str
    did: str
    roles: tuple[str, ...]
    duties: tuple[Duty, ...]
    organisation: str
    by: str
    code: bytes
    issued_ms: int
    until_ms: int
    approved_by: str = ""


class Signed(msgspec.Struct, frozen=True):
    """An invitation as its organisation signed it."""

    body: bytes
    signature: bytes


INVITATIONS: Final = Table("invitation", Signed)
_READER: Final = msgspec.msgpack.Decoder(Invitation)


class InvitationRefused(NotFound):
    """No invitation that holds has this code. Which of the reasons it is, nobody is told."""

    code = "invitation-refused"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "this code does not hold",
            hint="check it letter by letter, or ask your organisation for a new one",
        )
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation that holds, and the account that it makes."""

    found: Found[Signed]
    invitation: Invitation

    @property
    def account(self) -> Account:
        """The account, not yet there."""
        invited = self.invitation
        return Account(
            id=invited.account,
            kind=invited.kind,
            name=invited.name,
            fhir_user=invited.fhir_user,
            did=invited.did,
            roles=invited.roles,
            duties=invited.duties,
            created_ms=invited.issued_ms,
            invited_by=invited.by,
            approved_by=invited.approved_by,
        )


async def invite(
    registry: Registry,
    account: Account,
    organisation: str,
    sign: Sign,
    now_ms: int,
    *,
    by: str = "",
    approved_by: str = "",
    lifetime_ms: int = LIFETIME_MS,
) -> str:
    """The code for a new account; `account.id` is made here. Raises Invalid."""
    account = msgspec.structs.replace(account, id=new_account_id())
    check_account(account)
    check_unaccounted(registry, account.fhir_user)
    if not 0 < lifetime_ms <= LIFETIME_MS:
        raise Invalid("an invitation holds for seven days at most", code="invitation-lifetime")
    code = new_code()
    key = _key(code)
    invitation = Invitation(
        account=account.id,
        kind=account.kind,
        name=account.name,
        fhir_user=account.fhir_user,
        did=account.did,
        roles=account.roles,
        duties=account.duties,
        organisation=organisation,
        by=by,
        code=key,
        issued_ms=now_ms,
        until_ms=now_ms + lifetime_ms,
        approved_by=approved_by,
    )
    body = msgspec.msgpack.encode(invitation)
    signed = Signed(body, sign(signed_message(body)))
    await registry.change(INVITATIONS.put(key, signed, expected=0, expires_ms=invitation.until_ms))
    return code


def signed_message(body: bytes) -> bytes:
    """What the organisation signs."""
    return tagged("cl1.invitation", body)


async def find_invited(registry: Registry, code: str, address: str, verify: Verify, now_ms: int) -> Invited:
    """Who is invited by this code. Raises InvitationRefused (and counts it), TooManyTries."""
    check_tries(registry, "invitation", address, now_ms)
    try:
        return read_invited(registry, code_key("cl1.invitation-code", code) or b"\x00", verify, now_ms)
    except InvitationRefused:
        await count_wrong(registry, "invitation", address, now_ms)
        raise


def read_invited(registry: Registry, key: bytes, verify: Verify, now_ms: int) -> Invited:
    """The invitation under this key, as its organisation signed it. Raises InvitationRefused."""
    found = INVITATIONS.get(registry, key)
    if found is None:
        raise InvitationRefused("unknown")
    try:
        invitation = _READER.decode(found.value.body)
        verify(invitation.organisation, signed_message(found.value.body), found.value.signature)
    except (msgspec.DecodeError, VerificationFailed):
        raise InvitationRefused("signature") from None
    if invitation.code != key:
        raise InvitationRefused("another-code")
    if not invitation.issued_ms <= now_ms < invitation.until_ms:
        raise InvitationRefused("over")
    return Invited(found, invitation)


async def accept(registry: Registry, invited: Invited, passkey: Passkey, address: str) -> Account:
    """Account and passkey come to be and the invitation is used, all at once. Raises InvitationRefused."""
    account = invited.account
    check_account(account)
    try:
        check_unaccounted(registry, account.fhir_user)
    except Conflict:
        raise InvitationRefused("account-exists") from None
    if passkey.account != account.id:
        raise InvitationRefused("another-account")
    try:
        await registry.change(
            INVITATIONS.drop(invited.found),
            ACCOUNTS.put(account_key(account.id), account, expected=0),
            *keep_passkey(registry, passkey),
            forget_tries("invitation", address),
        )
    except RegistryMoved:
        raise InvitationRefused("used") from None
    return account


async def withdraw(registry: Registry, key: bytes) -> None:
    """The invitation is gone. Raises NotFound if it is not there any more."""
    found = INVITATIONS.get(registry, key)
    if found is None:
        raise NotFound("there is no such invitation", hint="it was used, has ended or was withdrawn")
    await registry.change(INVITATIONS.drop(found))


def list_invitations(registry: Registry) -> list[tuple[bytes, Invitation]]:
    """Those that wait, newest first; without any code."""
    found = [(one.key, _READER.decode(one.value.body)) for one in INVITATIONS.list(registry)]
    return sorted(found, key=lambda one: one[1].issued_ms, reverse=True)


def _key(code: str) -> bytes:
    key = code_key("cl1.invitation-code", code)
    if key is None:
        raise RuntimeError("a new code can always be typed")
    return key
