"""Clients: the programs that are known here. Kept in the registry; what a client may be is `registration.py`.

A client that proves itself with a secret has 256 random bits; only their digest is kept. A disabled client is as if
there were none, at the next request, on every worker.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from careledger.primitives.errors import NotFound
from careledger.primitives.hashing import tagged
from careledger.smart.errors import OAuthError
from careledger.smart.tables import Found, Table
from careledger.vault.registry import Registry

Method = Literal["none", "private_key_jwt", "client_secret_basic", "client_secret_post"]
"""How a client proves who it is: exactly one way, agreed when it was registered."""

IdTokenAlgorithm = Literal["RS256", "ES256", "ES384"]


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A program. `scope` is the most that it may ever get; `jwks` its public keys, as JSON, b"" if it has none.

    `jwks_uri` is where its keys are fetched from instead, `secret` the digest of its secret; times in ms.
    """

    id: str
    name: str
    method: Method
    scope: str
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    jwks: bytes = b""
    jwks_uri: str = ""
    secret: bytes = b""
    dpop_bound: bool = False
    is_disabled: bool = False
    created_ms: int = 0
    launch_uri: str = ""
    id_token_alg: IdTokenAlgorithm = "RS256"
    registered_by: Literal["operator", "dynamic", "node"] = "operator"
    organisation: str = ""

    @property
    def is_public(self) -> bool:
        """It cannot keep a secret, and proves nothing about itself."""
        return self.method == "none"


CLIENTS: Final = Table("client", Client)
STRANGERS_MAX: Final = 1_000
"""So many clients may be registered by strangers; an operator makes room by disabling some."""


def client_key(id: str) -> bytes:
    """Where a client stands in its table."""
    return id[:128].encode("utf-8", "replace")


def compute_secret_digest(secret: str) -> bytes:
    """What is kept of a client's secret. (Random bits need no slow hash: there is no dictionary of them.)"""
    return tagged("cl1.client-secret", secret.encode("utf-8", "replace"))


def find_client(registry: Registry, id: str) -> Client | None:
    """The client, unless it is disabled."""
    found = get_client(registry, id)
    return found.value if found is not None and not found.value.is_disabled else None


def get_client(registry: Registry, id: str) -> Found[Client] | None:
    """The client, also a disabled one. (An id that is cut to fit the table finds nobody.)"""
    found = CLIENTS.get(registry, client_key(id)) if id else None
    return found if found is not None and found.value.id == id else None


def list_clients(registry: Registry) -> list[Client]:
    """All of them, oldest first."""
    return sorted((one.value for one in CLIENTS.list(registry)), key=lambda one: (one.created_ms, one.id))


async def add_client(registry: Registry, client: Client) -> None:
    """A new client, made by `registration`. Raises RegistryMoved if its id stands already, OAuthError if too many do."""
    if client.registered_by == "dynamic":
        strangers = [one for one in list_clients(registry) if one.registered_by == "dynamic"]
        if sum(not one.is_disabled for one in strangers) >= STRANGERS_MAX:
            raise OAuthError(
                "temporarily_unavailable",
                "too many clients are registered",
                hint="ask the operator of this node",
            )
    await registry.change(CLIENTS.put(client_key(client.id), client, expected=0))


async def disable_client(registry: Registry, id: str) -> Client:
    """Gone from the next request on; its grants are ended by who calls this. Raises NotFound; again is no error."""
    found = get_client(registry, id)
    if found is None:
        raise NotFound("there is no such client", hint="careledger client list", code="client-unknown")
    disabled = msgspec.structs.replace(found.value, is_disabled=True)
    if not found.value.is_disabled:
        await registry.change(CLIENTS.renew(found, disabled))
    return disabled
