"""Proof of possession (DPoP, RFC 9449): whoever uses a token holds the key that it was bound to.

A proof is for one method and one address, at most a minute old, and counts once. Where the node asks for nonces, it
must carry one that the node gave out in the last minutes, so it cannot have been made in advance.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from careledger.primitives.hashing import hmac_sha256, sha256
from careledger.smart.errors import OAuthError
from careledger.smart.jose import HEADER_BYTES_MAX, Use, read_claimed, verify
from careledger.smart.json import TEXT, Unreadable, read_object, read_time_ms
from careledger.smart.jwk import PublicKey, decode_segment, read_key
from careledger.smart.replay import use_once
from careledger.smart.tables import base64url
from careledger.vault.registry import Registry

ALGORITHMS: Final = ("ES256", "ES384", "RS256", "RS384")
AGE_MAX_MS: Final = 60_000
SKEW_MS: Final = 5_000
NONCE_EVERY_MS: Final = 120_000
URL_MAX: Final = 4096
KEYS_KEPT: Final = 1024
ADDRESSES_KEPT: Final = 256

_MEMBERS: Final = frozenset(("alg", "jwk", "typ"))
_USE: Final = Use("dpop+jwt", ALGORITHMS, _MEMBERS, _MEMBERS)
_PORTS: Final = {"http": 80, "https": 443}
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE | re.ASCII)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~\-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Nonces:
    """Values that proofs must carry: another every two minutes, none kept. `key` is 32 bytes, the same in all workers."""

    key: bytes

    def current(self, now_ms: int) -> str:
        """What to send as `DPoP-Nonce`."""
        return self._of(now_ms // NONCE_EVERY_MS)

    def is_fresh(self, nonce: object, now_ms: int) -> bool:
        """The current one or the one before it."""
        slot = now_ms // NONCE_EVERY_MS
        given = nonce.encode("utf-8", "replace") if isinstance(nonce, str) else b""
        return any(hmac.compare_digest(self._of(one).encode(), given) for one in (slot, slot - 1))

    def _of(self, slot: int) -> str:
        return base64url(hmac_sha256(self.key, b"cl1.dpop-nonce" + slot.to_bytes(8, "big"))[:16])


@dataclass(frozen=True, slots=True)
class Shown:
    """The request that a proof must have been made for. `token` is the access token it comes with, if any; `thumbprint`
    the key that something is bound to already, "" if nothing is."""

    method: str
    url: str
    token: str = ""
    thumbprint: str = ""


async def check_proof(
    headers: Sequence[bytes], shown: Shown, registry: Registry, now_ms: int, nonces: Nonces | None = None
) -> str:
    """The thumbprint (RFC 7638) of the key that signed the one `DPoP` header of this very request, and no other.

    Raises OAuthError: `invalid_dpop_proof`, or `use_dpop_nonce` if only the nonce is missing or old.
    """
    if len(headers) != 1:
        raise _refuse(
            "proof-missing" if not headers else "proof-twice", "one DPoP header is needed, and one only"
        )
    try:
        claimed = read_claimed(headers[0], _USE)
        key = _read_key(claimed.text.partition(".")[0])
        claims = verify(claimed, key)
    except Unreadable as error:
        raise _refuse("proof-malformed", f"the DPoP proof: {error}") from error
    made_ms = _check_claims(claims, shown, now_ms)
    thumbprint = key.thumbprint
    if shown.thumbprint and not hmac.compare_digest(thumbprint.encode(), shown.thumbprint.encode()):
        raise _refuse("proof-key", "the DPoP proof is signed with another key than the token is bound to")
    if nonces is not None and not nonces.is_fresh(claims.get("nonce"), now_ms):
        raise OAuthError("use_dpop_nonce", "use the nonce of the DPoP-Nonce header", code="proof-nonce")
    if not await use_once(registry, "proof", thumbprint, claims["jti"], made_ms + AGE_MAX_MS):
        raise _refuse("proof-replayed", "the DPoP proof was used before")
    return thumbprint


@lru_cache(maxsize=KEYS_KEPT)
def _read_key(header: str) -> PublicKey:
    """The key in a proof's header: clients send the same header again and again, and points are slow to check."""
    return read_key(read_object(decode_segment(header), HEADER_BYTES_MAX)["jwk"], ALGORITHMS)


def _check_claims(claims: Mapping[str, Any], shown: Shown, now_ms: int) -> int:
    """When the proof was made, in ms (RFC 9449, 4.3)."""
    id = claims.get("jti")
    if not isinstance(id, str) or not TEXT.fullmatch(id):
        raise _refuse("proof-jti", "the jti of the DPoP proof is no text of 1 to 256 characters")
    if claims.get("htm") != shown.method:
        raise _refuse("proof-method", "the DPoP proof is for another method")
    if normalise_url(claims.get("htu")) != normalise_url(shown.url.partition("#")[0].partition("?")[0]):
        raise _refuse("proof-address", "the DPoP proof is for another address")
    try:
        made_ms = read_time_ms(claims.get("iat"))
    except Unreadable as error:
        raise _refuse("proof-time", f"the iat of the DPoP proof: {error}") from error
    if not now_ms - AGE_MAX_MS <= made_ms <= now_ms + SKEW_MS:
        raise _refuse("proof-time", "the DPoP proof is not of this minute")
    expected = base64url(sha256(shown.token.encode())) if shown.token else None
    if claims.get("ath") != expected:
        raise _refuse("proof-token", "the ath of the DPoP proof is not the digest of the token")
    return made_ms


def normalise_url(url: object) -> str:
    """An address without query and fragment, as it is compared (RFC 3986, 6.2.2 and 6.2.3): lower-case scheme and host, no
    default port, each escape in one spelling. Raises OAuthError (`invalid_dpop_proof`); so do user names and dot segments.
    """
    if not isinstance(url, str) or len(url) > URL_MAX:
        raise _refuse("proof-address", "the htu of the DPoP proof is no http address")
    return _normalise(url)


@lru_cache(maxsize=ADDRESSES_KEPT)
def _normalise(url: str) -> str:
    if not _URL.fullmatch(url):
        raise _refuse("proof-address", "the htu of the DPoP proof is no http address")
    if any(mark in url for mark in "?#@\\"):
        raise _refuse("proof-address", "the htu of the DPoP proof has a query, a fragment or a user name")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refuse("proof-address", "the htu of the DPoP proof is no http address") from error
    path = _normalise_path(parts)
    host = (parts.hostname or "").lower()
    if not host or any(segment in (".", "..") for segment in path.split("/")):
        raise _refuse("proof-address", "the htu of the DPoP proof has no host, or dot segments")
    shown_port = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    shown_host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown_host}{shown_port}{path}"


def _normalise_path(parts: SplitResult) -> str:
    def respell(found: re.Match[str]) -> str:
        if found[1] is None:
            raise _refuse("proof-address", "the htu of the DPoP proof has a stray percent sign")
        letter = chr(int(found[1], 16))
        return letter if _UNRESERVED.fullmatch(letter) else found[0].upper()

    return _ESCAPE.sub(respell, parts.path) or "/"


def _refuse(code: str, description: str) -> OAuthError:
    return OAuthError(
        "invalid_dpop_proof",
        description,
        code=code,
        hint="make a proof for each request: typ dpop+jwt, jwk, htm, htu, iat, jti, and ath with a token",
    )
