"""What a token is, for whoever may ask (RFC 7662, SMART App Launch 2.2 "Token Introspection"), and its end (RFC 7009).

Only a client that proved who it is may ask; of what is unknown, over, revoked or somebody else's it learns `active:
false` and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from careledger.access.actor import Actor
from careledger.primitives.errors import Unauthenticated
from careledger.smart import grants
from careledger.smart.accounts import get_account
from careledger.smart.clients import Client
from careledger.smart.grants import Grant
from careledger.smart.issuing import Server

ReadToken = Callable[[str], Actor]
"""Whose access token this is. Raises Unauthenticated for every other text."""

INACTIVE: dict[str, Any] = {"active": False}


def introspect(server: Server, read_token: ReadToken, token: str) -> dict[str, Any]:
    """What stands behind an access or refresh token of this server."""
    refreshed = grants.find_refreshed(server.registry, token)
    if refreshed is not None:
        current = token == grants.refresh_token(refreshed.value)
        return _of_refresh(server, refreshed.value) if current else INACTIVE
    try:
        actor = read_token(token)
    except Unauthenticated:
        return INACTIVE
    return _of_access(server, actor)


def _of_access(server: Server, actor: Actor) -> dict[str, Any]:
    found: dict[str, Any] = {
        "active": True,
        "scope": str(actor.scopes),
        "client_id": actor.client,
        "sub": actor.account or actor.subject,
        "iss": server.base,
        "aud": server.base,
        "exp": actor.expires_ms // 1000,
        "token_type": "DPoP" if actor.confirmation else "Bearer",
        "jti": actor.token_id,
    }
    if actor.confirmation:
        found["cnf"] = {"jkt": actor.confirmation}
    if actor.patient:
        found["patient"] = actor.patient
    grant = grants.get_grant(server.registry, actor.grant) if actor.grant else None
    return found | (_of_grant(server, grant.value) if grant is not None else {})


def _of_refresh(server: Server, grant: Grant) -> dict[str, Any]:
    return {
        "active": True,
        "scope": grant.scope,
        "client_id": grant.client,
        "sub": grant.account,
        "iss": server.base,
        "exp": grant.expires_ms // 1000,
    } | _of_grant(server, grant)


def _of_grant(server: Server, grant: Grant) -> dict[str, Any]:
    """Launch context and person, as the token response told them."""
    found: dict[str, Any] = {
        name: grant.context[name] for name in ("patient", "encounter", "intent") if grant.context.get(name)
    }
    account = get_account(server.registry, grant.account) if grant.account else None
    if account is not None and account.value.fhir_user and "fhirUser" in grant.scope.split():
        found["fhirUser"] = f"{server.base}/{account.value.fhir_user}"
    return found


async def revoke_token(server: Server, client: Client, read_token: ReadToken, token: str) -> None:
    """The token, and the grant behind it, are over on every worker when this returns. Unknown tokens are no error.

    Another client's token stays (RFC 7009, 2.1).
    """
    refreshed = grants.find_refreshed(server.registry, token)
    if refreshed is not None:
        if refreshed.value.client == client.id:
            await grants.end_grants(server.registry, server.revoke, [refreshed.value])
        return
    try:
        actor = read_token(token)
    except Unauthenticated:
        return
    if actor.client != client.id:
        return
    await server.revoke([actor.token_id])
    grant = grants.get_grant(server.registry, actor.grant) if actor.grant else None
    if grant is not None:
        await grants.end_grants(server.registry, server.revoke, [grant.value])
