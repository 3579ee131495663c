"""Programs that may ask for tokens, as the operator registers, lists and disables them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from careledger.node.authorisation import Revoker
from careledger.smart.clients import Client, add_client, disable_client, list_clients
from careledger.smart.grants import end_grants, list_grants
from careledger.smart.issuing import service_grant
from careledger.smart.registration import Draft, make_client
from careledger.smart.remote_keys import is_listed, read_hosts

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext

Progress = Callable[[dict[str, Any]], None]


class AddParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the operator says of a new client; `jwks` is a JWK set as JSON text."""

    name: str
    scope: str
    method: str = ""
    redirect_uris: list[str] = []
    grant_types: list[str] = []
    jwks: str = ""
    jwks_uri: str = ""
    dpop_bound: bool = False
    launch_uri: str = ""
    id_token_alg: str = "RS256"
    organisation: str = ""


async def add(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A new client; its secret, if it has one, is told once and kept nowhere."""
    asked = msgspec.convert(params, AddParams)
    signs = bool(asked.jwks or asked.jwks_uri)
    service = signs and not asked.redirect_uris
    grants = asked.grant_types or (["client_credentials"] if service else ["authorization_code"])
    method = asked.method or ("private_key_jwt" if signs else "client_secret_basic")
    draft = msgspec.convert(
        {
            "name": asked.name,
            "scope": asked.scope,
            "method": method,
            "redirect_uris": asked.redirect_uris,
            "grant_types": grants,
            "jwks": asked.jwks.encode(),
            "jwks_uri": asked.jwks_uri,
            "dpop_bound": asked.dpop_bound,
            "launch_uri": asked.launch_uri,
            "id_token_alg": asked.id_token_alg,
            "organisation": asked.organisation,
        },
        Draft,
    )
    hosts = read_hosts(node.config.smart.jwks_hosts)
    client, secret = make_client(
        draft, node.backend.now_ms(), is_key_host=lambda address: is_listed(address, hosts)
    )
    await add_client(node.registry, client)
    return {**describe(client), "secret": secret}


async def show(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Every client, disabled ones included, oldest first."""
    return {"clients": [describe(client) for client in list_clients(node.registry)]}


async def disable(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The client gets nothing any more, and what it got is refused on every worker when this returns."""
    client = await disable_client(node.registry, str(params["id"]))
    revoker = Revoker(node.backend)
    grants = list_grants(node.registry, client=client.id)
    await revoker.revoke([service_grant(client.id)])
    await end_grants(node.registry, revoker.revoke, grants)
    return {"id": client.id, "grants_ended": len(grants)}


def describe(client: Client) -> dict[str, Any]:
    """A client as commands show it: no key, no secret."""
    return {
        "id": client.id,
        "name": client.name,
        "method": client.method,
        "grant_types": list(client.grant_types),
        "scope": client.scope,
        "redirect_uris": list(client.redirect_uris),
        "dpop": client.dpop_bound,
        "disabled": client.is_disabled,
        "by": client.registered_by,
    }
