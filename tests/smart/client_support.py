"""Registered clients, and what they send to prove who they are."""

from __future__ import annotations

import itertools
import json
from typing import Any

from careledger.smart.assertions import ASSERTION_TYPE
from careledger.smart.authentication import Authenticator
from careledger.smart.clients import Client, add_client
from careledger.smart.errors import OAuthError
from careledger.smart.registration import Draft, make_client
from tests.smart.forging import (
    AUDIENCES,
    NOW,
    NOW_MS,
    TOKEN_ENDPOINT,
    Clock,
    ec_key,
    jwk,
    rsa_key,
    run,
    signed,
)
from tests.smart.registry import MemoryRegistry

_NUMBERS = itertools.count()


class Clinic:
    """A node's registry with a back-end client (keys r, e, f), one with a secret in each way, and a public one."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.registry = MemoryRegistry(self.clock)
        self.authenticator = Authenticator(self.registry, AUDIENCES)
        keys = [jwk(rsa_key(), kid="r"), jwk(ec_key(), kid="e"), jwk(ec_key("ada", "P-384"), kid="f")]
        self.jwks = json.dumps({"keys": keys}).encode()
        self.machine, _ = self.add(
            name="Nightly export",
            method="private_key_jwt",
            grant_types=("client_credentials",),
            jwks=self.jwks,
        )
        self.basic, self.basic_secret = self.add(name="Portal", method="client_secret_basic")
        self.post, self.post_secret = self.add(name="Kiosk", method="client_secret_post")
        self.public, _ = self.add(name="Phone app", method="none")

    def add(self, **changes: Any) -> tuple[Client, str]:
        given: dict[str, Any] = {"scope": "system/*.rs", "method": "none"} | changes
        if given.get("grant_types") != ("client_credentials",):
            given["redirect_uris"] = ("https://app.example/callback",)
        client, secret = make_client(Draft(**given), NOW_MS)
        run(add_client(self.registry, client))
        return client, secret

    def authenticate(self, parameters: dict[str, str], authorization: bytes | None = None) -> Client:
        return run(self.authenticator.authenticate_client(parameters, authorization, self.clock.now_ms))

    def refusal(self, parameters: dict[str, str], authorization: bytes | None = None) -> OAuthError:
        """The refusal of what must not be accepted; nothing was written."""
        before = self.registry.changes
        try:
            client = self.authenticate(parameters, authorization)
        except OAuthError as error:
            assert self.registry.changes == before
            return error
        raise AssertionError(f"accepted as {client.name}")

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a good assertion of the machine, with changes; None leaves one out."""
        given = {
            "iss": self.machine.id,
            "sub": self.machine.id,
            "aud": TOKEN_ENDPOINT,
            "exp": NOW + 300,
            "jti": f"j{next(_NUMBERS)}",
        }
        return {name: value for name, value in (given | changes).items() if value is not None}

    def assertion(self, header: dict[str, Any] | None = None, **changes: Any) -> str:
        return signed(
            {"alg": "ES256", "kid": "e", "typ": "JWT"} | (header or {}), self.claims(**changes), ec_key()
        )


def carried(assertion: str, **more: str) -> dict[str, str]:
    """The body's parameters that carry an assertion."""
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **more}
