"""The token endpoint: authorization_code, refresh_token, client_credentials; each gives an access token or a reason.

Who the client is was proved before (`clients.authenticate_client`); a DPoP key, if one was shown, too. Access tokens
live an hour at most and name their grant, so that ending the grant ends them at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from careledger.access.actor import DEFAULT_PURPOSE
from careledger.access.scopes import Scopes
from careledger.access.tokens import TokenIssuer
from careledger.smart import codes, grants, scoping
from careledger.smart.accounts import Account, get_account
from careledger.smart.clients import Client
from careledger.smart.errors import OAuthError
from careledger.smart.grants import Grant, Revoke
from careledger.smart.keys import sign_id_token
from careledger.smart.online import compute_seconds_left, is_signed_in
from careledger.smart.own import is_own
from careledger.vault.registry import Registry

SIGNED_IN: Final = "openid"
"""The scope of a token that says who somebody is, and reaches no record."""
ACCESS_SECONDS: Final = 3600
SERVICE_SECONDS: Final = 300
"""SMART Backend Services: an access token of a service lives five minutes at most."""
ID_SECONDS: Final = 300
SHOWN_CONTEXT: Final = ("patient", "encounter", "intent", "smart_style_url", "need_patient_banner")
GRANT_TYPES: Final = ("authorization_code", "refresh_token", "client_credentials")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger says of a practitioner at its newest block: whether she may act, her roles in force, and in the
    ledger's word why not."""

    is_active: bool
    roles: tuple[str, ...] = ()
    status: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """What the authorisation server stands on. `base` is the FHIR base and issuer; `public_url` has no path."""

    registry: Registry
    issuer: TokenIssuer
    base: str
    public_url: str
    organisation: str
    revoke: Revoke
    standing: Callable[[str], Standing]
    now_ms: Callable[[], int]

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return self.public_url + "/oauth/token"


async def issue(server: Server, client: Client, parameters: Mapping[str, str], jkt: str) -> dict[str, Any]:
    """The answer of the token endpoint. `jkt` is the thumbprint of the DPoP key shown, "" for none. Raises OAuthError."""
    asked = parameters.get("grant_type", "")
    if asked not in GRANT_TYPES:
        raise OAuthError("unsupported_grant_type", "this grant_type is not given", hint=" ".join(GRANT_TYPES))
    if asked != "refresh_token" and asked not in client.grant_types:
        raise OAuthError("unauthorized_client", "this client is not registered for this grant_type")
    if client.dpop_bound and not jkt:
        raise OAuthError(
            "invalid_dpop_proof", "this client's tokens are bound to its DPoP key", code="dpop-needed"
        )
    if asked == "authorization_code":
        return await _from_code(server, client, parameters, jkt)
    if asked == "refresh_token":
        return await _from_refresh(server, client, parameters, jkt)
    return _of_service(server, client, parameters, jkt)


async def _from_code(
    server: Server, client: Client, parameters: Mapping[str, str], jkt: str
) -> dict[str, Any]:
    found = codes.find_code(server.registry, parameters.get("code", ""), client.id)
    grant, now_ms = found.value.grant, server.now_ms()
    if grant.dpop_jkt and grant.dpop_jkt != jkt:
        raise codes.refuse("code-key", "the code is bound to another DPoP key")
    account = _account_of(server, grant)
    if not grant.is_offline and not is_signed_in(server.registry, grant, account, now_ms):
        raise codes.refuse("session-ended", "the person has signed out, and online access with it")
    session = scoping.read_scopes(grant.scope).session
    lasting = session & {"offline_access", "online_access"}
    begun = msgspec.structs.replace(
        grant,
        created_ms=now_ms,
        used_ms=now_ms,
        dpop_jkt=jkt,
        expires_ms=grant.expires_ms if lasting else min(grant.expires_ms, now_ms + 1000 * ACCESS_SECONDS),
    )
    if lasting:
        begun = grants.with_refresh(begun)
    await codes.redeem(
        server.registry,
        server.revoke,
        found,
        redirect_uri=parameters.get("redirect_uri", ""),
        verifier=parameters.get("code_verifier", ""),
        grant=begun,
        now_ms=now_ms,
    )
    return _answer(server, client, account, begun, scoping.read_scopes(begun.scope))


async def _from_refresh(
    server: Server, client: Client, parameters: Mapping[str, str], jkt: str
) -> dict[str, Any]:
    token = parameters.get("refresh_token", "")
    found = grants.find_refreshed(server.registry, token)
    if found is None or found.value.client != client.id:
        raise codes.refuse(
            "refresh-unknown", "the refresh token is not known, or was given to another program"
        )
    grant, now_ms = found.value, server.now_ms()
    if grant.dpop_jkt != jkt and (client.is_public or client.dpop_bound):
        raise codes.refuse("refresh-key", "the refresh token is bound to another DPoP key")
    account = _account_of(server, grant)
    if not grant.is_offline and not is_signed_in(server.registry, grant, account, now_ms):
        await grants.end_grants(server.registry, server.revoke, [grant])
        raise codes.refuse("session-ended", "the person has signed out, and online access with it")
    scopes = scoping.lessen(parameters.get("scope", ""), grant.scope)
    used = msgspec.structs.replace(grant, used_ms=now_ms, dpop_jkt=jkt or grant.dpop_jkt)
    following = await grants.rotate(server.registry, server.revoke, found, token, used)
    return _answer(server, client, account, following, scopes, fresh=False)


def _of_service(server: Server, client: Client, parameters: Mapping[str, str], jkt: str) -> dict[str, Any]:
    asked = parameters.get("scope", "")
    if not asked:
        raise OAuthError("invalid_scope", "no scope is asked for")
    scopes = scoping.limit_service(scoping.read_scopes(asked), client.scope)
    if not scopes.scopes:
        raise OAuthError("invalid_scope", "nothing that is asked for is registered for this client")
    token = server.issuer.issue(
        client=client.id,
        scope=str(scopes),
        organisation=client.organisation or server.organisation,
        lifetime_seconds=SERVICE_SECONDS,
        purpose=DEFAULT_PURPOSE,
        token_id=secrets.token_hex(16),
        grant=service_grant(client.id),
        confirmation=jkt,
    )
    return _token_answer(token, scoping.spell(scopes, asked), SERVICE_SECONDS, jkt)


def service_grant(client: str) -> str:
    """The grant that tokens of a service name: the operator's word for the client itself, ended when it is disabled."""
    return f"client.{client}"


def _account_of(server: Server, grant: Grant) -> Account:
    """Whoever allowed this, if still may sign in and act. Raises OAuthError."""
    found = get_account(server.registry, grant.account)
    if found is None or found.value.is_disabled:
        raise codes.refuse("account-disabled", "the person's account is disabled")
    if found.value.did and not server.standing(found.value.did).is_active:
        raise codes.refuse("practitioner-suspended", "the practitioner may not act now")
    return found.value


def _answer(
    server: Server, client: Client, account: Account, grant: Grant, scopes: Scopes, *, fresh: bool = True
) -> dict[str, Any]:
    """Access token, refresh token, ID token and launch context (SMART App Launch 2.2, "Response")."""
    type, _, id = account.fhir_user.partition("/")
    patient = grant.context.get("patient", "")
    bound = patient if scopes.patient_level or type == "Patient" else ""
    roles = server.standing(account.did).roles if account.did else ()
    answer: dict[str, Any] = {}
    now_ms = server.now_ms()
    seconds = max(1, min(ACCESS_SECONDS, (grant.expires_ms - now_ms) // 1000))
    seconds = compute_seconds_left(server.registry, grant, account, now_ms, seconds)
    if scopes.scopes or is_own(client):  # an administrator reads no record, but how the network stands
        token = server.issuer.issue(
            client=client.id,
            scope=" ".join(map(str, scopes.scopes)) or SIGNED_IN,
            organisation=server.organisation,
            lifetime_seconds=seconds,
            subject=account.did or account.fhir_user or account.id,  # directives name a practitioner's DID
            patient=bound,
            practitioner=id if type == "Practitioner" else "",
            purpose=grant.purpose,
            roles=() if type == "Patient" else (*account.roles, *roles),
            token_id=secrets.token_hex(16),
            grant=grant.id,
            account=account.id,
            did=account.did,
            confirmation=grant.dpop_jkt,
        )
    else:
        token = secrets.token_urlsafe(32)  # of a sign-in alone: it opens nothing
    answer |= _token_answer(
        token, scoping.spell(scopes, grant.context.get("asked", "")), seconds, grant.dpop_jkt
    )
    if grant.turn:
        answer["refresh_token"] = grants.refresh_token(grant)
    if "openid" in scopes.session:
        claims = _id_claims(server, account, grant, scopes, fresh=fresh)
        answer["id_token"] = sign_id_token(server.registry, claims, client.id_token_alg, server.now_ms())
    shown = {name: grant.context[name] for name in SHOWN_CONTEXT if grant.context.get(name)}
    if "need_patient_banner" in shown:
        answer["need_patient_banner"] = shown.pop("need_patient_banner") == "true"
    return answer | shown


def _token_answer(token: str, scope: str, seconds: int, jkt: str) -> dict[str, Any]:
    return {
        "access_token": token,
        "token_type": "DPoP" if jkt else "Bearer",
        "expires_in": seconds,
        "scope": scope,
    }


def _id_claims(
    server: Server, account: Account, grant: Grant, scopes: Scopes, *, fresh: bool
) -> dict[str, Any]:
    """OpenID Connect Core, 2; `fhirUser` as SMART says: a URL."""
    now = server.now_ms() // 1000
    claims: dict[str, Any] = {
        "iss": server.base,
        "sub": account.id,
        "aud": grant.client,
        "iat": now,
        "exp": now + ID_SECONDS,
        "auth_time": grant.verified_ms // 1000,
    }
    if grant.nonce and fresh:
        claims["nonce"] = grant.nonce
    if account.fhir_user and scopes.session & {"fhirUser", "profile"}:
        claims["fhirUser"] = f"{server.base}/{account.fhir_user}"
    return claims
