"""A client proves who it is: in the one way that was agreed when it was registered, once a request.

Whatever fails, the answer is the same `invalid_client`: an unknown client, a disabled one, a wrong secret, a foreign
key and another method cannot be told apart. The `code` of the error says which, for the log.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from careledger.smart.assertions import ALGORITHMS, ASSERTION_TYPE, prove, read_assertion, refuse
from careledger.smart.clients import Client, Method, compute_secret_digest, find_client
from careledger.smart.errors import OAuthError
from careledger.smart.jwk import PublicKey, read_kept_key_set
from careledger.smart.remote_keys import RemoteKeys
from careledger.vault.registry import Registry

CREDENTIAL_MAX: Final = 1024
BASIC_STATUS: Final = 401
"""RFC 6749, 5.2: where the Authorization header was used, 401 (with WWW-Authenticate: Basic)."""


@dataclass(frozen=True, slots=True)
class Authenticator:
    """`audiences` are the token endpoint and the issuer: what an assertion may be for. `remote` None: keys are inline."""

    registry: Registry
    audiences: frozenset[str]
    remote: RemoteKeys | None = None

    async def authenticate_client(
        self, parameters: Mapping[str, str], authorization: bytes | None, now_ms: int
    ) -> Client:
        """The client behind a request to the token, introspection, revocation or PAR endpoint.

        `parameters` are those of the body, each of which stood there once. Raises OAuthError: `invalid_client`, or
        `invalid_request` for credentials that are malformed or of two kinds.
        """
        method = _find_method(parameters, authorization)
        if method == "private_key_jwt":
            return await self._by_assertion(parameters, now_ms)
        if method == "client_secret_basic":
            id, secret = _read_basic(authorization or b"")
            if parameters.get("client_id", id) != id:
                raise _malformed("the client_id of the body is not that of the Authorization header")
            return self._by_secret(id, secret, method, BASIC_STATUS)
        id = parameters.get("client_id", "")
        if not id:
            raise _malformed("no client_id")
        if method == "client_secret_post":
            return self._by_secret(id, parameters["client_secret"], method, 0)
        return self._checked(find_client(self.registry, id), method, 0)

    async def _by_assertion(self, parameters: Mapping[str, str], now_ms: int) -> Client:
        assertion = read_assertion(parameters["client_assertion"], self.audiences, now_ms)
        if parameters.get("client_id", assertion.client) != assertion.client:
            raise _malformed("the client_id is not that of the assertion")
        client = self._checked(find_client(self.registry, assertion.client), "private_key_jwt", 0)
        await prove(assertion, await self._keys_of(client, now_ms), client.jwks_uri, self.registry)
        return client

    async def _keys_of(self, client: Client, now_ms: int) -> tuple[PublicKey, ...]:
        if client.jwks_uri:
            return await self.remote.get(client.jwks_uri, now_ms) if self.remote is not None else ()
        return read_kept_key_set(client.jwks, ALGORITHMS)

    def _by_secret(self, id: str, secret: str, method: Method, status: int) -> Client:
        client = find_client(self.registry, id)
        expected = client.secret if client is not None and client.secret else bytes(32)
        given = compute_secret_digest(secret)  # also where there is nobody: it takes as long
        is_right = hmac.compare_digest(given, expected)
        client = self._checked(client, method, status)
        if not is_right:
            raise refuse("client-secret", status=status)
        return client

    def _checked(self, client: Client | None, method: Method, status: int) -> Client:
        if client is None:
            raise refuse("client-unknown", status=status)
        if client.method != method:
            raise refuse("client-method", status=status)
        return client


def _find_method(parameters: Mapping[str, str], authorization: bytes | None) -> Method:
    """The one way in which the client tries. Raises OAuthError (`invalid_request`) for two ways, or half of one."""
    has_assertion = "client_assertion" in parameters or "client_assertion_type" in parameters
    tried = (authorization is not None) + ("client_secret" in parameters) + has_assertion
    if tried > 1:
        raise _malformed("more than one way of client authentication")
    if authorization is not None:
        return "client_secret_basic"
    if "client_secret" in parameters:
        return "client_secret_post"
    if not has_assertion:
        return "none"
    if parameters.get("client_assertion_type") != ASSERTION_TYPE or not parameters.get("client_assertion"):
        raise _malformed(f"client_assertion comes with client_assertion_type {ASSERTION_TYPE}")
    return "private_key_jwt"


def _read_basic(authorization: bytes) -> tuple[str, str]:
    """Id and secret of a Basic header (RFC 7617), each form-encoded (RFC 6749, 2.3.1)."""
    scheme, _, text = authorization.partition(b" ")
    if scheme.lower() != b"basic" or len(text) > CREDENTIAL_MAX:
        raise refuse("client-basic", status=BASIC_STATUS)
    try:
        id, colon, secret = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise refuse("client-basic", status=BASIC_STATUS) from error
    if not colon or not id:
        raise refuse("client-basic", status=BASIC_STATUS)
    return unquote_plus(id), unquote_plus(secret)


def _malformed(description: str) -> OAuthError:
    return OAuthError(
        "invalid_request",
        description,
        code="client-credentials",
        hint="authenticate once, in the way that the client was registered with",
    )
