"""ID tokens of the organisation's provider (OpenID Connect Core 1.0, 2 and 3.1.3.7), read in one way.

Signed (never encrypted, never unsigned) with one of four algorithms under the one key of the provider's set that the
token names and that is for it; the claims are checked by Authlib, and what it leaves open is checked here: whole
minutes of age, one spelling of every part, members twice, times that are no numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from authlib.oidc.core.claims import CodeIDToken
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from careledger.smart.jose import is_one_of
from careledger.smart.json import TEXT, Unreadable, read_object, read_time_ms
from careledger.smart.jwk import decode_segment, read_key

TOKEN_BYTES_MAX: Final = 16_384
HEADER_BYTES_MAX: Final = 2048
KEYS_MAX: Final = 64
LEEWAY_S: Final = 60
"""How far the provider's clock may be off this one."""
AGE_MAX_S: Final = 300
"""A token is fetched at the moment that it is made for."""
KEY_OF: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "RS256": ("RSA", ""),
        "PS256": ("RSA", ""),
        "ES256": ("EC", "P-256"),
        "EdDSA": ("OKP", "Ed25519"),
    }
)
"""Algorithm -> type and curve of the one kind of key that it takes. No HS*: a public key is no secret."""
_HEADER: Final = frozenset(("alg", "kid", "typ", "x5t", "x5t#S256"))
_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_NUMBERS: Final = MappingProxyType({"RSA": ("n", "e"), "EC": ("crv", "x", "y")})
ED25519_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class IdToken:
    """An ID token whose signature nobody has checked yet: it says which key is wanted, and nothing else."""

    algorithm: str
    kid: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an ID token must say. `access_token` is the one beside it, for `at_hash`; times in ms."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Asserted:
    """What the provider asserts of a person. `verified_ms` is when they proved who they are; 0 if it does not say."""

    subject: object
    verified_ms: int
    methods: frozenset[str]  # acr, and every one of amr and acrs


def read_id_token(text: str) -> IdToken:
    """The parts of an ID token. Raises Unreadable: not this form, another algorithm, a header that knows more."""
    if len(text) > TOKEN_BYTES_MAX or not text.isascii():
        raise Unreadable(f"no ASCII of up to {TOKEN_BYTES_MAX} bytes")
    parts = text.split(".")
    if len(parts) != 3:
        raise Unreadable("no compact JWS of three parts")
    header = read_object(decode_segment(parts[0]), HEADER_BYTES_MAX)
    claims = read_object(decode_segment(parts[1]), TOKEN_BYTES_MAX)
    decode_segment(parts[2])
    if not set(header) <= _HEADER:  # crit, jwk, jku, x5u, b64, zip …
        raise Unreadable("the header has members that are not known here")
    if not is_one_of(header.get("alg"), KEY_OF):
        raise Unreadable(f"the alg is none of {', '.join(KEY_OF)}")
    if not is_one_of(header.get("typ", "JWT"), ("JWT",)):
        raise Unreadable("the typ is not JWT")
    kid = header.get("kid")
    if not isinstance(kid, str) or not TEXT.fullmatch(kid):
        raise Unreadable("no kid of 1 to 256 characters")
    return IdToken(header["alg"], kid, header, claims, text)


def find_key(key_set: Mapping[str, Any], token: IdToken) -> Mapping[str, Any] | None:
    """The one key of the set with the token's `kid`, as it stands there; None if there is none, or more than one."""
    listed = key_set.get("keys")
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise Unreadable(f"a key set is a list of up to {KEYS_MAX} keys")
    found = [one for one in listed if isinstance(one, dict) and one.get("kid") == token.kid]
    return found[0] if len(found) == 1 else None


def verify_id_token(token: IdToken, key: Mapping[str, Any], wanted: Wanted) -> Asserted:
    """What the token asserts, now that signature and claims hold. Raises Unreadable with the rule it breaks."""
    registry = jws.JWSRegistry(algorithms=[token.algorithm])
    registry.max_payload_length = registry.max_header_length = TOKEN_BYTES_MAX
    registry.max_signature_length = TOKEN_BYTES_MAX
    try:
        jws.deserialize_compact(token.text, _import(token.algorithm, key), registry=registry)
    except (JoseError, ValueError, TypeError) as error:
        raise Unreadable("the signature does not hold") from error
    claims = token.claims
    _check_claims(token, wanted)
    _check_age(claims, wanted.now_ms)
    return Asserted(claims["sub"], _read_verified(claims, wanted.now_ms), _read_methods(claims))


def _check_claims(token: IdToken, wanted: Wanted) -> None:
    """Authlib's part: iss, aud, azp, exp, iat, nbf, nonce, at_hash, amr."""
    found = CodeIDToken(
        dict(token.claims),
        dict(token.header),
        {
            "iss": {"essential": True, "value": wanted.issuer},
            "aud": {"essential": True, "value": wanted.client_id},
        },
        {"nonce": wanted.nonce, "client_id": wanted.client_id, "access_token": wanted.access_token},
    )
    try:
        found.validate(wanted.now_ms // 1000, LEEWAY_S)
    except JoseError as error:  # its text may hold the claim's value: it stays here
        raise Unreadable(f"a claim does not hold: {getattr(error, 'claim', error.error)}") from None
    except (ValueError, TypeError) as error:
        raise Unreadable("a claim cannot be read") from error
    if not isinstance(token.claims.get("at_hash", ""), str):
        raise Unreadable("at_hash is no text")


def _check_age(claims: Mapping[str, Any], now_ms: int) -> None:
    issued_ms, until_ms = read_time_ms(claims["iat"]), read_time_ms(claims["exp"])
    if now_ms - issued_ms > (AGE_MAX_S + LEEWAY_S) * 1000:
        raise Unreadable("issued too long ago")
    if until_ms <= issued_ms:
        raise Unreadable("over before it began")


def _read_verified(claims: Mapping[str, Any], now_ms: int) -> int:
    """Never later than now: a time to come would keep somebody verified for longer."""
    if "auth_time" not in claims:
        return 0
    verified_ms = read_time_ms(claims["auth_time"])
    if verified_ms > now_ms + LEEWAY_S * 1000:
        raise Unreadable("verified in the future")
    return min(verified_ms, now_ms)


def _read_methods(claims: Mapping[str, Any]) -> frozenset[str]:
    lists = [
        claims.get(name) for name in ("amr", "acrs")
    ]  # acrs: Entra ID, whose tokens of today have no amr
    said = [claims.get("acr"), *(one for found in lists if isinstance(found, list) for one in found)]
    return frozenset(one for one in said if isinstance(one, str) and one)


def _import(algorithm: str, members: Mapping[str, Any]) -> Any:
    """The key, if it is public, for signatures, and of the kind that the algorithm takes. Raises Unreadable."""
    kind, curve = KEY_OF[algorithm]
    if members.get("kty") != kind or members.get("crv", "") != curve or not _PRIVATE.isdisjoint(members):
        raise Unreadable("the key is for another algorithm")
    if members.get("alg", algorithm) != algorithm or members.get("use", "sig") != "sig":
        raise Unreadable("the key is for something else")
    if kind != "OKP":
        numbers = {"kty": kind, **{name: members.get(name) for name in _NUMBERS[kind]}}
        return read_key(numbers, ("RS256", "ES256")).imported
    point = members.get("x")
    if not isinstance(point, str) or len(decode_segment(point)) != ED25519_BYTES:
        raise Unreadable("the key has not the length of its curve")
    return OKPKey.import_key({"kty": kind, "crv": curve, "x": point})
