"""Authorisation codes: one minute, one use, one program, one redirect URI, one PKCE verifier.

A used code stays known until it would have ended: whoever brings it again ends the grant that came of it (RFC 6749,
4.1.2), because one of the two did not get it from this server.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

import msgspec

from careledger.primitives.hashing import sha256
from careledger.smart.errors import OAuthError
from careledger.smart.grants import (
    TRIES,
    Grant,
    Revoke,
    end_grants,
    get_grant,
    make_room,
    put_grant,
)
from careledger.smart.tables import Found, Table, base64url, new_secret, secret_key
from careledger.vault.registry import Registry, RegistryMoved

CODE_MS: Final = 60_000
USED_KEPT_MS: Final = 10 * 60_000
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What a code stands for: the grant to come, and what whoever redeems it must show. `used_for` names the grant
    that came of it."""

    grant: Grant
    redirect_uri: str
    challenge: str
    ends_ms: int
    used_for: str = ""


CODES: Final = Table("code", Code)


async def issue_code(registry: Registry, grant: Grant, redirect_uri: str, challenge: str, now_ms: int) -> str:
    """A code for this grant."""
    code = new_secret()
    kept = Code(grant=grant, redirect_uri=redirect_uri, challenge=challenge, ends_ms=now_ms + CODE_MS)
    key = secret_key("cl1.code", code)
    await registry.change(CODES.put(key, kept, expected=0, expires_ms=now_ms + USED_KEPT_MS))
    return code


def find_code(registry: Registry, code: str, client: str) -> Found[Code]:
    """The code, if it is this client's. Raises OAuthError; somebody else's code is not used up by trying it."""
    found = CODES.get(registry, secret_key("cl1.code", code))
    if found is None or found.value.grant.client != client:
        raise refuse("code-unknown", "the code is not known, or was given to another program")
    return found


async def redeem(
    registry: Registry,
    revoke: Revoke,
    found: Found[Code],
    *,
    redirect_uri: str,
    verifier: str,
    grant: Grant,
    now_ms: int,
) -> None:
    """The code is used and `grant`, which came of it, stands: both or neither. Raises OAuthError."""
    code = found.value
    if code.used_for:
        await _end_used(registry, revoke, code.used_for)
        raise refuse("code-used", "the code was used before: what came of it has been ended")
    if now_ms >= code.ends_ms:
        raise refuse("code-expired", "the code has expired")
    if redirect_uri != code.redirect_uri:
        raise refuse("code-redirect", "the redirect_uri is not the one of the request")
    check_verifier(verifier, code.challenge)
    used = msgspec.structs.replace(code, used_for=grant.id)
    await make_room(registry, revoke, grant.account)
    for _ in range(TRIES):
        try:
            await registry.change(CODES.renew(found, used), *put_grant(registry, grant))
        except RegistryMoved:
            now = CODES.get(registry, found.key)
            if now is not None and now.version == found.version:
                continue  # another grant of the same person, at this moment
            if now is not None and now.value.used_for:
                await _end_used(registry, revoke, now.value.used_for)
            raise refuse(
                "code-used", "the code was used at the same time: what came of it has been ended"
            ) from None
        return
    raise refuse("code-rivals", "this person allows too much at this moment")


def check_verifier(verifier: str, challenge: str) -> None:
    """PKCE, S256 (RFC 7636, 4.6). Raises OAuthError."""
    if not _VERIFIER.fullmatch(verifier):
        raise refuse("pkce-verifier", "the code_verifier is missing or has not 43 to 128 characters")
    if not hmac.compare_digest(base64url(sha256(verifier.encode("ascii"))), challenge):
        raise refuse("pkce-verifier", "the code_verifier does not fit the code_challenge")


async def _end_used(registry: Registry, revoke: Revoke, id: str) -> None:
    grant = get_grant(registry, id)
    if grant is not None:
        await end_grants(registry, revoke, [grant.value])


def refuse(code: str, description: str) -> OAuthError:
    """`invalid_grant`."""
    return OAuthError("invalid_grant", description, hint="ask for authorisation again", code=code)
