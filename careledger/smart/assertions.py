"""A client proves who it is with a signed assertion (`private_key_jwt`): RFC 7523, SMART App Launch 2.2.

`aud` is the token endpoint or the issuer; as a list it names nobody else, so an assertion made for another server is
refused here, and one for this server is of no use elsewhere. `exp` is at most five minutes ahead; `jti` counts once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from careledger.smart.errors import OAuthError
from careledger.smart.jose import Claimed, Use, read_claimed, verify
from careledger.smart.json import TEXT, Unreadable, read_time_ms
from careledger.smart.jwk import PublicKey
from careledger.smart.replay import use_once
from careledger.vault.registry import Registry

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS384", "ES384", "ES256")
LIFETIME_MAX_MS: Final = 300_000
SKEW_MS: Final = 5_000
"""How far a client's clock may be ahead of this one."""
CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._~\-]{1,128}", re.ASCII)

_USE: Final = Use(
    "JWT", ALGORITHMS, frozenset(("alg", "kid", "typ")), frozenset(("alg", "kid", "typ", "jku"))
)


@dataclass(frozen=True, slots=True)
class Assertion:
    """What is right about itself, and proves nothing yet: `client` says only whose keys are to be tried."""

    client: str
    id: str
    until_ms: int
    claimed: Claimed


def read_assertion(text: str, audiences: Collection[str], now_ms: int) -> Assertion:
    """An assertion for one of `audiences`, now. Raises OAuthError (`invalid_client`).

    Nothing here hangs on who is registered, so what is wrong may be told to anybody.
    """
    try:
        claimed = read_claimed(text, _USE)
    except Unreadable as error:
        raise refuse("assertion-malformed", f"the client assertion: {error}") from error
    client = claimed.claims.get("sub")
    if not isinstance(client, str) or not CLIENT_ID.fullmatch(client) or claimed.claims.get("iss") != client:
        raise refuse("assertion-client", "iss and sub of the client assertion are not the client_id, both")
    until_ms = _check_claims(claimed.claims, audiences, now_ms)
    return Assertion(client, claimed.claims["jti"], until_ms, claimed)


async def prove(assertion: Assertion, keys: Sequence[PublicKey], keys_uri: str, registry: Registry) -> None:
    """Return only if one of the client's `keys` signed the assertion, and it was never shown before.

    `keys_uri` is where the keys were fetched from, or "": the only `jku` that may stand in the header. Raises
    OAuthError (`invalid_client`, without saying why); a `jti` is used up only by what the client itself signed.
    """
    header = assertion.claimed.header
    if "jku" in header and (not keys_uri or header["jku"] != keys_uri):
        raise refuse("assertion-jku")
    matching = [key for key in keys if key.kid == header["kid"]]
    if len(matching) != 1:
        raise refuse("assertion-key")
    try:
        verify(assertion.claimed, matching[0])
    except Unreadable as error:
        raise refuse("assertion-signature") from error
    if not await use_once(registry, "assertion", assertion.client, assertion.id, assertion.until_ms):
        raise refuse("assertion-replayed", "the jti of the client assertion was used before")


def _check_claims(claims: Mapping[str, Any], audiences: Collection[str], now_ms: int) -> int:
    """When the assertion ends, in ms."""
    if not _is_for(claims.get("aud"), audiences):
        raise refuse(
            "assertion-audience", "the aud of the client assertion is not this token endpoint or issuer"
        )
    id = claims.get("jti")
    if not isinstance(id, str) or not TEXT.fullmatch(id):
        raise refuse("assertion-jti", "the jti of the client assertion is no text of 1 to 256 characters")
    try:
        until_ms = read_time_ms(claims.get("exp"))
        started_ms = [read_time_ms(claims[name]) for name in ("iat", "nbf") if name in claims]
    except Unreadable as error:
        raise refuse("assertion-times", f"the client assertion: {error}") from error
    if until_ms <= now_ms:
        raise refuse("assertion-expired", "the client assertion has expired")
    if until_ms > now_ms + LIFETIME_MAX_MS + SKEW_MS:
        raise refuse("assertion-too-long", "the exp of the client assertion is over five minutes ahead")
    if any(one > now_ms + SKEW_MS or one >= until_ms for one in started_ms):
        raise refuse("assertion-not-yet-valid", "the client assertion is not valid yet")
    return until_ms


def _is_for(audience: object, audiences: Collection[str]) -> bool:
    named = audience if isinstance(audience, list) else [audience]
    return 0 < len(named) <= len(audiences) and all(
        isinstance(one, str) and one in audiences for one in named
    )


def refuse(code: str, description: str = "client authentication failed", *, status: int = 0) -> OAuthError:
    """`invalid_client`. Without a description: what hangs on who the client is and what it holds, told to nobody."""
    return OAuthError(
        "invalid_client",
        description,
        code=code,
        status=status,
        hint="sign with a registered key: alg RS384, ES384 or ES256, kid, typ JWT; iss = sub = client_id, aud, exp, jti",
    )
