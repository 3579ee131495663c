"""Accounts: who may sign in. A patient, a clinician or an administrator; never two of these at once.

An account holds no password, and nothing of a record but the id of the person's own Patient or Practitioner.
Accounts are made by invitations (`invitations.py`) and by `careledger account`; a disabled one opens nothing, at the
next request, on every worker.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from careledger.primitives.errors import Conflict, Invalid
from careledger.smart.tables import Found, Table, new_id
from careledger.vault.registry import Registry

Kind = Literal["patient", "clinician", "administrator"]
Duty = Literal["keys", "users", "audit"]

DUTIES: Final[tuple[Duty, ...]] = ("keys", "users", "audit")
"""What an administrator may be trusted with; each is given alone."""
FHIR_TYPE_OF: Final[dict[str, str]] = {"patient": "Patient", "clinician": "Practitioner", "administrator": ""}
NAME_MAX: Final = 200
ROLES_MAX, ROLE_MAX = 32, 64
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may sign in. `did` is the practitioner's on the ledger; times in ms.

    `invited_by` and `approved_by` are the administrators' accounts; '' for the command line, and for one who was alone.
    """

    id: str
    kind: Kind
    name: str
    fhir_user: str = ""
    did: str = ""
    roles: tuple[str, ...] = ()
    duties: tuple[Duty, ...] = ()
    is_disabled: bool = False
    created_ms: int = 0
    invited_by: str = ""
    approved_by: str = ""


ACCOUNTS: Final = Table("account", Account)


def new_account_id() -> str:
    """22 characters that say nothing about the person: also the passkeys' user handle."""
    return new_id()


def account_key(id: str) -> bytes:
    """Where an account stands in its table."""
    return id[:128].encode("utf-8", "replace")


def check_account(account: Account) -> None:
    """Raises Invalid unless kind, name, FHIR user, roles and duties fit each other and their limits."""
    if not 0 < len(account.name) <= NAME_MAX or _CONTROL.search(account.name) or not account.name.strip():
        raise Invalid(f"a name has 1 to {NAME_MAX} visible characters", code="account-name")
    type, _, id = account.fhir_user.partition("/")
    if type != FHIR_TYPE_OF[account.kind] or (account.fhir_user and not _FHIR_ID.fullmatch(id)):
        raise Invalid(
            f"an account of kind {account.kind} stands for {FHIR_TYPE_OF[account.kind] or 'no'} resource",
            hint="a patient is Patient/ID, a clinician Practitioner/ID, an administrator neither",
            code="account-fhir-user",
        )
    if len(account.roles) > ROLES_MAX or any(not 0 < len(role) <= ROLE_MAX for role in account.roles):
        raise Invalid(f"at most {ROLES_MAX} roles of {ROLE_MAX} characters", code="account-roles")
    if account.duties and account.kind != "administrator":
        raise Invalid("only administrators have duties", code="account-duties")


def get_account(registry: Registry, id: str) -> Found[Account] | None:
    """The account, also a disabled one."""
    return ACCOUNTS.get(registry, account_key(id))


def list_accounts(registry: Registry) -> list[Account]:
    """All of them, oldest first."""
    found = (one.value for one in ACCOUNTS.list(registry))
    return sorted(found, key=lambda one: (one.created_ms, one.id))


async def add_account(registry: Registry, account: Account) -> None:
    """A new account. Raises Invalid, or RegistryMoved if the id stands already."""
    check_account(account)
    await registry.change(ACCOUNTS.put(account_key(account.id), account, expected=0))


def check_unaccounted(registry: Registry, fhir_user: str) -> None:
    """Raises Conflict if somebody signs in as this Patient or Practitioner already: nobody is given a second way in
    unseen. Who lost the passkey recovers; who must go is disabled first, which they notice."""
    if fhir_user and any(
        one.fhir_user == fhir_user and not one.is_disabled for one in list_accounts(registry)
    ):
        raise Conflict(
            "there is an account for this person already",
            hint="recovery brings back a lost passkey; or disable that account first",
            code="account-exists",
        )


def has_had_another(registry: Registry, account: Account, duty: Duty) -> bool:
    """Somebody else has this duty, or had it when disabled: nobody becomes the only one by disabling the others."""
    return any(duty in one.duties and one.id != account.id for one in list_accounts(registry))
