"""What the registry forgets of a patient whose chart was shredded: accounts, passkeys, sessions, recovery, programs,
and the wraps of her sealed copies.

Nothing of it can be read afterwards but by who kept an older copy of the file and the home's keys (SECURITY.md).
"""

from __future__ import annotations

from typing import Final

from careledger.smart.accounts import ACCOUNTS, Account, account_key, list_accounts
from careledger.smart.grants import BY_ACCOUNT, Revoke, end_grants, list_grants
from careledger.smart.links import drop_links
from careledger.smart.passkeys import PASSKEYS, list_passkeys, passkey_key
from careledger.smart.recovery import KITS
from careledger.smart.sessions import drop_sessions
from careledger.vault.copies import REGISTRY_TABLE
from careledger.vault.registry import Change, Registry

AT_ONCE: Final = 32


async def forget_patient(registry: Registry, revoke: Revoke, patient: str) -> int:
    """Every account of this patient is gone with the wraps of her copies, and every program's access to the chart ends. The number of accounts."""
    mine = [one for one in list_accounts(registry) if one.fhir_user == f"Patient/{patient}"]
    names = {one.id for one in mine}
    over = [
        one for one in list_grants(registry) if one.account in names or one.context.get("patient") == patient
    ]
    await end_grants(registry, revoke, over)
    await registry.change(Change(REGISTRY_TABLE, patient.encode(), None))
    for account in mine:
        changes = _forgetting(registry, account)
        for start in range(0, len(changes), AT_ONCE):
            await registry.change(*changes[start : start + AT_ONCE])
    return len(mine)


def _forgetting(registry: Registry, account: Account) -> list[Change]:
    """The account first: whoever is signed in is nobody from then on."""
    key = account_key(account.id)
    return [
        Change(ACCOUNTS.name, ACCOUNTS.prefix + key, None),
        *drop_sessions(registry, account.id),
        *(
            Change(PASSKEYS.name, PASSKEYS.prefix + passkey_key(one.id), None)
            for one in list_passkeys(registry, account.id)
        ),
        *drop_links(registry, account.id),
        BY_ACCOUNT.forget(account.id),
        Change(KITS.name, KITS.prefix + key, None),
    ]
