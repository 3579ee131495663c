"""The OAuth end points for programs: token, introspection, revocation, pushed requests, registration, keys, discovery.

Everything here is JSON or a form, needs no cookie and reads none. Each end point is one small function in one literal
table; who must prove what stands in `DEMANDS`, which a test compares with what the end points do.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from careledger.primitives.errors import Unauthenticated
from careledger.smart import discovery, introspection, issuing, registration, requests
from careledger.smart.accounts import get_account
from careledger.smart.authentication import Authenticator
from careledger.smart.clients import Client, add_client
from careledger.smart.dpop import Nonces, Shown, check_proof
from careledger.smart.errors import OAuthError
from careledger.smart.grants import find_refreshed
from careledger.smart.introspection import ReadToken
from careledger.smart.issuing import Server
from careledger.smart.json import Unreadable
from careledger.smart.keys import Upkeep, describe_keys
from careledger.smart.limits import (
    FAILURES_OF_ADDRESS,
    FAILURES_OF_CLIENT,
    REQUESTS_OF_CLIENT,
    Limiter,
    TooManyRequests,
)
from careledger.smart.requests import PUSHED_MS, RedirectedError
from careledger.vault.registry import Registry
from careledger.web.smart.messages import (
    Handler,
    Routes,
    SmartAnswer,
    SmartRequest,
    answer_error,
    answer_json,
    answer_too_many,
)

CACHED = (b"cache-control", b"public, max-age=300")
CROSS_ORIGIN = (b"access-control-allow-origin", b"*")
"""Programs in browsers read these from anywhere: nothing here is sent with a cookie, so nothing is given away."""

DEMANDS: Mapping[str, str] = MappingProxyType(
    {
        "/oauth/token": "client",
        "/oauth/introspect": "confidential client",
        "/oauth/revoke": "client",
        "/oauth/par": "client",
        "/oauth/register": "nobody, where the operator has switched it on",
        "/oauth/userinfo": "access token",
        "/oauth/jwks": "nobody: public keys",
        "/fhir/.well-known/smart-configuration": "nobody: public addresses",
        "/fhir/.well-known/openid-configuration": "nobody: public addresses",
        "/.well-known/oauth-authorization-server/fhir": "nobody: public addresses",
    }
)
"""Path -> who may use it."""


@dataclass(frozen=True, slots=True)
class EndPoints:
    """The end points over one server."""

    server: Server
    authenticator: Authenticator
    read_token: ReadToken
    nonces: Nonces | None
    registration: bool
    limiter: Limiter
    upkeep: Upkeep
    is_key_host: Callable[[str], bool] | None = None

    def routes(self) -> Routes:
        """The literal table."""
        return MappingProxyType(
            {
                ("POST", "/oauth/token"): refusing(self.token),
                ("POST", "/oauth/introspect"): refusing(self.introspect),
                ("POST", "/oauth/revoke"): refusing(self.revoke),
                ("POST", "/oauth/par"): refusing(self.push),
                ("POST", "/oauth/register"): refusing(self.register),
                ("GET", "/oauth/userinfo"): refusing(self.userinfo),
                ("POST", "/oauth/userinfo"): refusing(self.userinfo),
                ("GET", "/oauth/jwks"): refusing(self.keys),
                ("GET", "/fhir/.well-known/smart-configuration"): refusing(self.configuration),
                ("GET", "/fhir/.well-known/openid-configuration"): refusing(self.configuration),
                ("GET", "/.well-known/oauth-authorization-server/fhir"): refusing(self.configuration),
            }
        )

    async def token(self, request: SmartRequest) -> SmartAnswer:
        """RFC 6749, 3.2."""
        form = name_client(self.server.registry, request.form(), request.headers.get(b"authorization"))
        client = await self._client(request, form)
        await self.upkeep.keep(self.server.now_ms())
        thumbprint = await self._thumbprint(request, self.server.token_url)
        answer = answer_json(await issuing.issue(self.server, client, form, thumbprint))
        answer.headers.extend(((b"pragma", b"no-cache"), *self._nonce()))
        return answer

    async def introspect(self, request: SmartRequest) -> SmartAnswer:
        """RFC 7662."""
        form = request.form()
        client = await self._client(request, form)
        if client.is_public:
            raise OAuthError("invalid_client", "a client that proves nothing may not ask", status=401)
        return answer_json(introspection.introspect(self.server, self.read_token, _token_of(form)))

    async def revoke(self, request: SmartRequest) -> SmartAnswer:
        """RFC 7009: 200 whether there was such a token or not."""
        form = request.form()
        client = await self._client(request, form)
        await introspection.revoke_token(self.server, client, self.read_token, _token_of(form))
        return SmartAnswer(200)

    async def push(self, request: SmartRequest) -> SmartAnswer:
        """RFC 9126."""
        form = request.form()
        client = await self._client(request, form)
        if "request_uri" in form:
            raise OAuthError("invalid_request", "a pushed request names no other")
        asked = {**form, "client_id": client.id}
        thumbprint = await self._thumbprint(request, self.server.public_url + "/oauth/par")
        if thumbprint:
            if asked.setdefault("dpop_jkt", thumbprint) != thumbprint:
                raise OAuthError("invalid_dpop_proof", "dpop_jkt is not the key of the proof")
        try:
            checked = requests.read_request(self.server.registry, asked, self.server.base)
        except RedirectedError as error:
            raise error.error from error
        uri = await requests.push(self.server.registry, checked, self.server.now_ms())
        return answer_json({"request_uri": uri, "expires_in": PUSHED_MS // 1000}, 201)

    async def register(self, request: SmartRequest) -> SmartAnswer:
        """RFC 7591, where `smart.registration` is on."""
        if not self.registration:
            raise OAuthError(
                "registration_not_supported",
                "this server registers clients by its operator",
                hint="careledger client add; or set smart.registration",
                status=403,
            )
        client, secret = registration.register_body(request.body, self.server.now_ms(), self.is_key_host)
        await add_client(self.server.registry, client)
        return answer_json(registration.describe_client(client, secret), 201)

    async def userinfo(self, request: SmartRequest) -> SmartAnswer:
        """OpenID Connect Core, 5.3: of whom an access token is."""
        scheme, _, token = request.headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() not in (b"bearer", b"dpop"):
            raise OAuthError("invalid_token", "an access token is needed")
        try:
            actor = self.read_token(token.decode("latin-1"))
        except Unauthenticated as error:
            raise OAuthError("invalid_token", error.message) from error
        if actor.confirmation:
            url = self.server.public_url + "/oauth/userinfo"
            shown = Shown(request.method, url, token.decode(), actor.confirmation)
            await check_proof(request.proofs, shown, self.server.registry, self.server.now_ms(), self.nonces)
        account = get_account(self.server.registry, actor.account) if actor.account else None
        if account is None:
            raise OAuthError("insufficient_scope", "this token is of no person")
        told = {"sub": account.value.id}
        if account.value.fhir_user:
            told["fhirUser"] = f"{self.server.base}/{account.value.fhir_user}"
        return answer_json(told)

    async def keys(self, request: SmartRequest) -> SmartAnswer:
        """The public keys of ID tokens (RFC 7517)."""
        answer = SmartAnswer(200, describe_keys(self.server.registry, self.server.now_ms()))
        answer.headers.extend(((b"content-type", b"application/jwk-set+json"), CACHED, CROSS_ORIGIN))
        return answer

    async def configuration(self, request: SmartRequest) -> SmartAnswer:
        """SMART configuration, OpenID and OAuth metadata: one document."""
        found = discovery.describe(self.server.base, self.server.public_url, registration=self.registration)
        answer = answer_json(found)
        answer.headers.extend((CACHED, CROSS_ORIGIN))
        return answer

    async def _client(self, request: SmartRequest, form: Mapping[str, str]) -> Client:
        """Who the client is, within its limits. What fails counts against this client from this address alone."""
        authorization, limiter, address = request.headers.get(b"authorization"), self.limiter, request.address
        claimed = compute_claimed(form, authorization)
        limiter.check(FAILURES_OF_CLIENT, "failures", claimed, address)
        limiter.check(FAILURES_OF_ADDRESS, "failures", address)
        try:
            client = await self.authenticator.authenticate_client(form, authorization, self.server.now_ms())
        except OAuthError:
            limiter.count(FAILURES_OF_CLIENT, "failures", claimed, address)
            limiter.count(FAILURES_OF_ADDRESS, "failures", address)
            raise
        limiter.use(REQUESTS_OF_CLIENT, "client", client.id)
        return client

    async def _thumbprint(self, request: SmartRequest, url: str) -> str:
        """The key that the request proves, '' if it proves none."""
        if not request.proofs:
            return ""
        shown = Shown(request.method, url)
        return await check_proof(
            request.proofs, shown, self.server.registry, self.server.now_ms(), self.nonces
        )

    def _nonce(self) -> list[tuple[bytes, bytes]]:
        if self.nonces is None:
            return []
        return [(b"dpop-nonce", self.nonces.current(self.server.now_ms()).encode())]


def refusing(handler: Handler) -> Handler:
    """The handler, its refusals as OAuth spells them; programs in browsers may read all of it."""

    async def handle(request: SmartRequest) -> SmartAnswer:
        try:
            answer = await handler(request)
        except OAuthError as error:
            answer = answer_error(error)
        except TooManyRequests as error:
            answer = answer_too_many(error)
        except (Unreadable, msgspec.DecodeError):
            answer = answer_error(OAuthError("invalid_request", "the body cannot be read"))
        if CROSS_ORIGIN not in answer.headers:
            answer.headers.append(CROSS_ORIGIN)
        return answer

    return handle


def name_client(
    registry: Registry, form: Mapping[str, str], authorization: bytes | None
) -> Mapping[str, str]:
    """The form; where a public client refreshes without saying who it is (RFC 6749, 6, asks for no more), the genuine
    refresh token says it. A client that must prove itself is not spared that."""
    if form.get("grant_type") != "refresh_token" or authorization is not None:
        return form
    if "client_id" in form or "client_assertion" in form:
        return form
    found = find_refreshed(registry, form.get("refresh_token", ""))
    return form if found is None else {**form, "client_id": found.value.client}


def compute_claimed(form: Mapping[str, str], authorization: bytes | None) -> str:
    """Who the client says that it is, before anything is proved: only to count failures apart."""
    try:
        if authorization is not None:
            return base64.b64decode(authorization.partition(b" ")[2]).partition(b":")[0].decode()[:128]
        if "client_assertion" in form:
            payload = form["client_assertion"].split(".")[1]
            named = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]
            return str(named)[:128]
    except (ValueError, LookupError, TypeError, msgspec.DecodeError):
        return "?"
    return form.get("client_id", "?")[:128]


def _token_of(form: Mapping[str, str]) -> str:
    token = form.get("token", "")
    if not token:
        raise OAuthError("invalid_request", "no token is given")
    return token
