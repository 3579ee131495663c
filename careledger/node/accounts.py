"""Accounts of people, as the operator invites, lists, disables and enables them by command line.

Whoever has the home and its passphrase can do what administrators do; administrators themselves are bound by their
duties (`smart.duties`) and do it on their pages.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from careledger.node import config as configuration
from careledger.node.auditing import NodeHouseLog
from careledger.node.authorisation import Revoker
from careledger.node.layout import HomeFile, Layout
from careledger.node.sequencer import system_clock_ms
from careledger.primitives.errors import Misconfigured
from careledger.primitives.signing import sign_ed25519
from careledger.smart.accounts import DUTIES, Account, Duty, Kind, add_account, list_accounts
from careledger.smart.administering import account_of, disabling, enabling
from careledger.smart.auditing import OPERATOR, Event, patient_of
from careledger.smart.grants import end_grants, list_grants
from careledger.smart.invitations import invite
from careledger.smart.links import list_links
from careledger.smart.passkeys import PASSKEYS, make_anchor, passkey_key
from careledger.smart.personas import PERSONAS, Persona, persona_key
from careledger.vault.keystore import Keys
from careledger.vault.registry import StoredRegistry

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext

Progress = Callable[[dict[str, Any]], None]
FIRST_NAME: Final = "Administrator"


class InviteParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is invited as what. `fhir_user` is Patient/ID or Practitioner/ID; `did` the practitioner's on the ledger."""

    kind: Kind
    name: str
    fhir_user: str = ""
    did: str = ""
    roles: list[str] = []
    duties: list[Duty] = []


async def invite_somebody(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The code with which somebody makes an account; shown once and kept nowhere."""
    asked = msgspec.convert(params, InviteParams)
    seed = node.home.keys.node_seed
    await NodeHouseLog(node.backend).record(Event("invited", asked.kind, OPERATOR, about=asked.fhir_user))
    code = await invite(
        node.registry,
        _account(asked),
        node.home.did,
        lambda message: sign_ed25519(seed, message),
        system_clock_ms(),
    )
    return describe_invitation(node.config.server.public_url, code)


def _account(asked: InviteParams) -> Account:
    return Account(
        id="",
        kind=asked.kind,
        name=asked.name,
        fhir_user=asked.fhir_user,
        did=asked.did,
        roles=tuple(asked.roles),
        duties=tuple(asked.duties),
        created_ms=system_clock_ms(),
    )


def describe_invitation(public_url: str, code: str) -> dict[str, Any]:
    """Code and link. The code stands behind the #: browsers send that to nobody."""
    return {"code": code, "link": f"{public_url}/enrol#{code}", "days": 7}


def invite_first(layout: Layout, file: HomeFile, keys: Keys) -> dict[str, Any]:
    """The one-time link of a new home: whoever follows it first is its first administrator, with every duty."""
    registry = StoredRegistry(layout.registry, keys.registry_key, system_clock_ms)
    first = Account(id="", kind="administrator", name=FIRST_NAME, duties=DUTIES, created_ms=system_clock_ms())
    sign = lambda message: sign_ed25519(keys.node_seed, message)  # noqa: E731
    try:
        code = asyncio.run(invite(registry, first, file.did, sign, system_clock_ms()))
    finally:
        registry.close()
    return describe_invitation(configuration.load(layout.path).server.public_url, code)


async def show(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Every account, oldest first, with who that is at the organisation's provider."""
    links = list_links(node.registry)
    return {
        "accounts": [
            {
                "id": one.id,
                "kind": one.kind,
                "name": one.name,
                "fhir_user": one.fhir_user,
                "did": one.did,
                "roles": list(one.roles),
                "duties": list(one.duties),
                "disabled": one.is_disabled,
                "subjects": [link.subject for link in links if link.account == one.id],
            }
            for one in list_accounts(node.registry)
        ]
    }


async def disable(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The account signs nobody in any more; its sessions, and every program that it allowed, end."""
    id = str(params["id"])
    await node.registry.change(*disabling(node.registry, id))
    await _record(node, "disabled", id)
    grants = list_grants(node.registry, account=id)
    await end_grants(node.registry, Revoker(node.backend).revoke, grants)
    return {"id": id, "grants_ended": len(grants)}


async def enable(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The account's passkeys sign in again."""
    id = str(params["id"])
    await node.registry.change(enabling(node.registry, id))
    await _record(node, "enabled", id)
    return {"id": id}


async def _record(node: CommandContext, what: str, id: str) -> None:
    """In the house log, and that of the chart whose patient the account is of."""
    patient = patient_of(account_of(node.registry, id))
    told = f"the account of this patient was {what} by the organisation's operator"
    await NodeHouseLog(node.backend).record(Event(what, "", OPERATOR, about=id, patient=patient, told=told))


async def make_personas(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The demo's people, who sign in with one click. Refused in a home that has accounts: it is somebody's own."""
    if list_accounts(node.registry):
        raise Misconfigured(
            "this home has accounts of its own", hint="personas are for the demo's home alone"
        )
    now_ms = system_clock_ms()
    for number, asked in enumerate(msgspec.convert(params["personas"], list[InviteParams])):
        account = msgspec.structs.replace(_account(asked), id=secrets.token_hex(16))
        await add_account(node.registry, account)
        anchor = make_anchor(account.id, "demo", now_ms)
        key = passkey_key(anchor.id)
        persona = Persona(account=account.id, passkey=key, order=number)
        await node.registry.change(PASSKEYS.put(key, anchor), PERSONAS.put(persona_key(account.id), persona))
    return {"personas": len(params["personas"])}
