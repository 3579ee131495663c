"""The keys that ID tokens are signed with: RS256, ES256 and ES384, kept sealed in the registry, rotated with overlap.

A successor is published an hour before it signs, so that everybody who keeps the key set has it; its predecessor stays
published for a day after its last signature. The newest key whose time has come signs. `withdraw` is for a key that
somebody else may have: it goes at once, and what it signed is believed no more by anybody who looks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from careledger.primitives.errors import Corrupt, Invalid
from careledger.smart.clients import IdTokenAlgorithm
from careledger.smart.jwk import PublicKey, read_key
from careledger.smart.tables import Found, Table, is_typeable
from careledger.vault.registry import Registry, RegistryMoved

HOUR_MS: Final = 3_600_000
PUBLISHED_BEFORE_MS: Final = HOUR_MS
PUBLISHED_AFTER_MS: Final = 24 * HOUR_MS
ROTATED_EVERY_MS: Final = 90 * 24 * HOUR_MS
ENSURED_EVERY_MS: Final = 24 * HOUR_MS
MAX_AGE_S: Final = 3600
"""`Cache-Control` of the key set: no longer than a successor is published before it signs."""
KEYS_MAX: Final = 8
RSA_BITS: Final = 2048
ID_TOKEN_LIFETIME_MAX_S: Final = 3600
ALGORITHMS: Final[tuple[IdTokenAlgorithm, ...]] = ("RS256", "ES256", "ES384")


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key pair. It signs from `starts_ms` on, until a newer one does, and is published until `ends_ms` (0: open)."""

    kid: str
    private: bytes  # PKCS #8, DER; the registry seals it
    starts_ms: int
    ends_ms: int = 0

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, starts_ms={self.starts_ms})"


class Ring(msgspec.Struct, frozen=True):
    """The keys of one algorithm, oldest first."""

    keys: tuple[SigningKey, ...]


RINGS: Final = Table("signing-key", Ring)


async def ensure_keys(registry: Registry, now_ms: int) -> None:
    """Every algorithm has a key that signs; one that has signed for 90 days gets its successor."""
    for algorithm in ALGORITHMS:
        while _is_due(_read_ring(registry, algorithm), now_ms):
            await _rotate(registry, algorithm, now_ms)


class Upkeep:
    """Has `ensure_keys` called at the first token of a day, by each process for itself."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._next_ms = 0

    async def keep(self, now_ms: int) -> None:
        """Nothing to do but once a day. If that fails it is tried again an hour later. Raises Unavailable."""
        if now_ms < self._next_ms:
            return
        self._next_ms = now_ms + HOUR_MS
        await ensure_keys(self._registry, now_ms)
        self._next_ms = now_ms + ENSURED_EVERY_MS


async def rotate_keys(registry: Registry, now_ms: int) -> None:
    """A successor for every key, published now, signing in an hour. Raises RegistryMoved if another process does it too."""
    for algorithm in ALGORITHMS:
        await _rotate(registry, algorithm, now_ms)


async def withdraw_key(registry: Registry, kid: str, now_ms: int) -> None:
    """The key is gone at once, published no more; if it was the one that signs, a new one does. Raises Invalid."""
    for algorithm in ALGORITHMS:
        found = _read_ring(registry, algorithm)
        if found is None or kid not in {key.kid for key in found.value.keys}:
            continue
        left = tuple(key for key in found.value.keys if key.kid != kid)
        if _find_signing(left, now_ms) is None:
            left = (*left, _make_key(algorithm, now_ms))
        await registry.change(RINGS.renew(found, Ring(left)))
        return
    raise Invalid("there is no such key", hint="/oauth/jwks lists the keys", code="signing-key-unknown")


@dataclass(frozen=True, slots=True)
class Listed:
    """A published key as an operator sees it: nothing of it but its name and times. `signs`: it does so now."""

    kid: str
    algorithm: IdTokenAlgorithm
    starts_ms: int
    ends_ms: int
    signs: bool


def list_keys(registry: Registry, now_ms: int) -> list[Listed]:
    """Every key that is published, by algorithm, oldest first."""
    listed = []
    for algorithm in ALGORITHMS:
        keys = _keys_of(registry, algorithm)
        signing = _find_signing(keys, now_ms)
        listed += [
            Listed(key.kid, algorithm, key.starts_ms, key.ends_ms, key is signing)
            for key in keys
            if not _has_ended(key, now_ms)
        ]
    return listed


def describe_keys(registry: Registry, now_ms: int) -> bytes:
    """The JWK set of every key that signs, will sign or has signed lately (JSON). Public halves only."""
    published = [
        _describe(key, algorithm)
        for algorithm in ALGORITHMS
        for key in _keys_of(registry, algorithm)
        if not key.ends_ms or now_ms < key.ends_ms
    ]
    return json.dumps({"keys": published}, separators=(",", ":")).encode()


@lru_cache(maxsize=32)
def _describe(key: SigningKey, algorithm: IdTokenAlgorithm) -> dict[str, str]:
    return {
        "kid": key.kid,
        "alg": algorithm,
        "use": "sig",
        **_read_public(_import(key.private), algorithm).numbers,
    }


def sign_id_token(
    registry: Registry, claims: Mapping[str, Any], algorithm: IdTokenAlgorithm, now_ms: int
) -> str:
    """The claims as a compact JWS (OpenID Connect Core, 2). The caller gives iss, sub, aud, exp, iat, nonce and the rest.

    Raises Invalid for claims without those that every ID token has, or with a lifetime over an hour.
    """
    missing = {"iss", "sub", "aud", "exp", "iat"} - set(claims)
    if missing or not 0 < claims["exp"] - claims["iat"] <= ID_TOKEN_LIFETIME_MAX_S:
        raise Invalid("an ID token has iss, sub, aud, iat and an exp within the hour", code="id-token-claims")
    key = _find_signing(_keys_of(registry, algorithm), now_ms)
    if key is None:
        raise Invalid(
            "there is no key to sign with", hint="ensure_keys comes first", code="signing-key-unknown"
        )
    header = {"alg": algorithm, "kid": key.kid, "typ": "JWT"}
    payload = msgspec.json.encode(claims)
    return jws.serialize_compact(header, payload, _import(key.private), algorithms=[algorithm])


async def _rotate(registry: Registry, algorithm: IdTokenAlgorithm, now_ms: int) -> None:
    """One more key; those before it get their end. Of two processes one makes it."""
    found = _read_ring(registry, algorithm)
    standing = () if found is None else tuple(key for key in found.value.keys if not _has_ended(key, now_ms))
    starts_ms = now_ms + PUBLISHED_BEFORE_MS if _find_signing(standing, now_ms) is not None else now_ms
    kept = tuple(
        key if key.ends_ms else msgspec.structs.replace(key, ends_ms=starts_ms + PUBLISHED_AFTER_MS)
        for key in standing
    )
    if len(kept) >= KEYS_MAX:
        raise Invalid(
            f"{KEYS_MAX} keys are published already",
            hint="rotate again tomorrow",
            code="signing-keys-too-many",
        )
    ring = Ring((*kept, _make_key(algorithm, starts_ms)))
    expected = 0 if found is None else found.version
    try:
        await registry.change(RINGS.put(algorithm.encode(), ring, expected=expected))
    except RegistryMoved:
        return


def _is_due(found: Found[Ring] | None, now_ms: int) -> bool:
    keys = () if found is None else found.value.keys
    return (
        _find_signing(keys, now_ms) is None or now_ms >= max(key.starts_ms for key in keys) + ROTATED_EVERY_MS
    )


def _find_signing(keys: tuple[SigningKey, ...], now_ms: int) -> SigningKey | None:
    """The newest whose time has come. (One that has ended signs no more, whatever the clock did.)"""
    ready = [key for key in keys if key.starts_ms <= now_ms and not _has_ended(key, now_ms)]
    return max(ready, key=lambda key: key.starts_ms, default=None)


def _has_ended(key: SigningKey, now_ms: int) -> bool:
    return bool(key.ends_ms) and now_ms >= key.ends_ms


def _read_ring(registry: Registry, algorithm: str) -> Found[Ring] | None:
    return RINGS.get(registry, algorithm.encode())


def _keys_of(registry: Registry, algorithm: str) -> tuple[SigningKey, ...]:
    found = _read_ring(registry, algorithm)
    return () if found is None else found.value.keys


def _make_key(algorithm: IdTokenAlgorithm, starts_ms: int) -> SigningKey:
    """A fresh key; another one where its name could not be typed (`issuer withdraw KID`), one time in 64."""
    made: RSAPrivateKey | EllipticCurvePrivateKey
    if algorithm == "RS256":
        made = rsa.generate_private_key(65_537, RSA_BITS)
    else:
        made = ec.generate_private_key(ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1())
    private = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    kid = _read_public(_import(private), algorithm).thumbprint
    if not is_typeable(kid):
        return _make_key(algorithm, starts_ms)
    return SigningKey(kid=kid, private=private, starts_ms=starts_ms)


@lru_cache(maxsize=16)
def _import(private: bytes) -> RSAKey | ECKey:
    loaded = load_der_private_key(private, None)
    if isinstance(loaded, RSAPrivateKey):
        return RSAKey.import_key(loaded)
    if isinstance(loaded, EllipticCurvePrivateKey):
        return ECKey.import_key(loaded)
    raise Corrupt("a signing key is of another kind", hint="run `careledger fsck`")


def _read_public(key: RSAKey | ECKey, algorithm: str) -> PublicKey:
    return read_key(key.as_dict(private=False), (algorithm,))
