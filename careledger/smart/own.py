"""The node's own application: a client like any other, but for two things. It is there from the start, and it asks nobody
for consent: it is a page of the house that its person has just signed in to, on the same origin.
"""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from careledger.smart.clients import CLIENTS, Client, client_key, get_client
from careledger.vault.registry import Registry, RegistryMoved

OWN: Final = "careledger-app"
CALLBACK: Final = "/app/callback"
SCOPE: Final = "openid fhirUser online_access launch/patient patient/*.cruds user/*.cruds"


def is_own(client: Client) -> bool:
    """It is the node's own application. (Ids of other clients are random; nobody can register this one.)"""
    return client.id == OWN and client.registered_by == "node"


def make_own(public_url: str, now_ms: int) -> Client:
    """The application as it is served at this address."""
    return Client(
        id=OWN,
        name="CareLedger",
        method="none",
        scope=SCOPE,
        redirect_uris=(public_url + CALLBACK,),
        grant_types=("authorization_code", "refresh_token"),
        registered_by="node",
        created_ms=now_ms,
    )


async def keep_own(registry: Registry, public_url: str, now_ms: int) -> None:
    """It stands in the registry, with the address of this start; one that an operator disabled stays disabled."""
    made = make_own(public_url, now_ms)
    found = get_client(registry, OWN)
    with contextlib.suppress(RegistryMoved):  # another worker was as quick
        if found is None:
            await registry.change(CLIENTS.put(client_key(OWN), made, expected=0))
            return
        kept = found.value
        renewed = msgspec.structs.replace(made, created_ms=kept.created_ms, is_disabled=kept.is_disabled)
        if renewed != kept:
            await registry.change(CLIENTS.renew(found, renewed))
