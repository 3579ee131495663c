"""Personas: people of the demo hospital, who sign in with one click. There are none in a real home.

Only `careledger demo` makes them, in a home that has no account of its own; where there are none, the page that signs
them in is not there. A persona's passkey verifies nothing: it exists so that its sessions end as others do.
"""

from __future__ import annotations

from typing import Final

import msgspec

from careledger.primitives.errors import NotFound
from careledger.smart.accounts import Account, get_account
from careledger.smart.passkeys import PASSKEYS, Verified
from careledger.smart.tables import Table
from careledger.vault.registry import Registry


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    """One of the demo's people, in the order of the page. `passkey` is where theirs stands."""

    account: str
    passkey: bytes
    order: int


PERSONAS: Final = Table("persona", Persona)


def persona_key(account: str) -> bytes:
    """Where a persona stands."""
    return account[:64].encode("ascii", "replace")


def list_personas(registry: Registry) -> list[Account]:
    """Who can be signed in with one click; nobody in a real home."""
    found = sorted((one.value for one in PERSONAS.list(registry)), key=lambda one: one.order)
    accounts = [get_account(registry, one.account) for one in found]
    return [one.value for one in accounts if one is not None and not one.value.is_disabled]


def become(registry: Registry, account: str) -> Verified:
    """The persona, as if a passkey had verified them. Raises NotFound for everybody else."""
    persona = PERSONAS.get(registry, persona_key(account))
    found = get_account(registry, account) if persona is not None else None
    if persona is None or found is None or found.value.is_disabled:
        raise NotFound("there is no such person in the demo", hint="personas are in demo homes alone")
    passkey = PASSKEYS.get(registry, persona.value.passkey)
    if passkey is None:
        raise NotFound("this persona cannot sign in any more", hint="make reset")
    return Verified(found.value, passkey.value)
