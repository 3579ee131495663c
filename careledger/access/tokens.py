"""Signed bearer tokens: made by this node, for this node, and refused unless every part is as this node writes it.

A token is a JWS (RFC 7515) signed with Ed25519 (RFC 9864) by the node's token key. The verifier does not interpret
foreign headers: the header of a token must be, byte for byte, the one this node writes, so `alg` tricks, `kid`
paths, `jku`, `x5u`, `crit` and nested forms fall alike. Claims that are unknown are refused too: a claim that this
version does not understand could have narrowed the token.

A token with `cnf` is bound to a key (RFC 9449): it is taken with the scheme `DPoP` and a proof alone, never as `Bearer`,
and one without `cnf` never as `DPoP`.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from careledger.access.actor import DEFAULT_PURPOSE, Actor
from careledger.access.scopes import parse_scopes
from careledger.primitives.errors import Invalid, Unauthenticated
from careledger.primitives.hashing import sha256, tagged

ALGORITHM = "Ed25519"
TOKEN_MAX_BYTES = 8192
LIFETIME_MAX_SECONDS = 366 * 86_400
TEXT_MAX_CHARACTERS = 256
CACHE_ENTRIES = 4096
ROLES_MAX = 16

_SEGMENT = re.compile(rb"[A-Za-z0-9_-]+")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_OWN_ID = re.compile(r"[A-Za-z0-9._~\-]{1,160}", re.ASCII)
_ROLE = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_PURPOSE = re.compile(r"[A-Z]{2,20}", re.ASCII)
_DID = re.compile(r"did:[a-z0-9]{1,20}:[A-Za-z0-9._:-]{1,200}", re.ASCII)
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", re.ASCII)
_SCHEMES = {b"bearer": "Bearer", b"dpop": "DPoP"}


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key to which a token is bound: its thumbprint (RFC 9449, 6.1; RFC 7638 with SHA-256)."""

    jkt: str


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The claims of a token, in the order in which they are written. Times are seconds since 1970 (RFC 7519)."""

    iss: str
    aud: str
    sub: str
    client_id: str
    scope: str
    organisation: str
    jti: str
    iat: int
    nbf: int
    exp: int
    patient: str = ""
    practitioner: str = ""
    purpose: str = DEFAULT_PURPOSE
    roles: tuple[str, ...] = ()
    gid: str = ""
    account: str = ""
    did: str = ""
    cnf: Confirmation | None = None


def key_id(public_key: bytes) -> str:
    """The `kid` of a token key: 16 hexadecimal digits of its hash."""
    return tagged("cl1.token-key", public_key).hex()[:16]


def header_of(public_key: bytes) -> bytes:
    """The one header that tokens under this key carry (JSON)."""
    return b'{"alg":"%s","kid":"%s","typ":"at+jwt"}' % (ALGORITHM.encode(), key_id(public_key).encode())


class TokenIssuer:
    """Makes tokens. `seed` is the 32-byte secret of the node's token key; `clock` gives milliseconds since 1970."""

    def __init__(self, seed: bytes, issuer: str, audience: str, clock: Callable[[], int]) -> None:
        self._key, self.public_key = _private_key(seed)
        self._header: dict[str, Any] = msgspec.json.decode(header_of(self.public_key))
        self._issuer = issuer
        self._audience = audience
        self._clock = clock

    def issue(
        self,
        *,
        client: str,
        scope: str,
        organisation: str,
        lifetime_seconds: int,
        subject: str = "",
        patient: str = "",
        practitioner: str = "",
        purpose: str = DEFAULT_PURPOSE,
        roles: Iterable[str] = (),
        token_id: str = "",
        grant: str = "",
        account: str = "",
        did: str = "",
        confirmation: str = "",
    ) -> str:
        """The token, valid from now on. Raises Invalid for what `TokenVerifier` would refuse."""
        now = self._clock() // 1000
        claims = Claims(
            iss=self._issuer,
            aud=self._audience,
            sub=subject or client,
            client_id=client,
            scope=scope,
            organisation=organisation,
            jti=token_id or secrets.token_hex(16),
            iat=now,
            nbf=now,
            exp=now + lifetime_seconds,
            patient=patient.removeprefix("Patient/"),
            practitioner=practitioner.removeprefix("Practitioner/"),
            purpose=purpose,
            roles=tuple(sorted(set(roles))),
            gid=grant,
            account=account,
            did=did,
            cnf=Confirmation(confirmation) if confirmation else None,
        )
        _check_claims(claims)
        payload = msgspec.json.encode(claims)
        token = jws.serialize_compact(self._header, payload, self._key, algorithms=[ALGORITHM])
        if len(token) > TOKEN_MAX_BYTES:
            raise Invalid("the token would be over 8 kB", code="token-too-long", hint="ask for fewer scopes")
        return token


@dataclass(frozen=True, slots=True)
class Presented:
    """How a request came with its token: the `DPoP` header, method and address (without query) as the client sees it."""

    proof: bytes
    method: str
    url: str


Prove = Callable[[Presented, bytes, str], None]
"""Checks the proof of a request for a token (its bytes) and the thumbprint of its key. Raises Unauthenticated."""


class TokenVerifier:
    """Tells who is asking. Never raises anything but Unauthenticated.

    Signature and claims of a token are checked once and kept (least recently used goes first); start, expiry and
    revocation are checked at every request, and so is the proof of a token that is bound to a key. `clock` gives
    milliseconds since 1970; `revoked` is asked with the id of the token and that of its grant and must be fast. Without
    `prove` every bound token is refused.
    """

    def __init__(
        self,
        public_key: bytes,
        issuer: str,
        audience: str,
        revoked: Callable[[str], bool],
        clock: Callable[[], int],
        cache_entries: int = CACHE_ENTRIES,
        prove: Prove | None = None,
    ) -> None:
        x = base64.urlsafe_b64encode(public_key).rstrip(b"=").decode()
        self._key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x})
        self._header = base64.urlsafe_b64encode(header_of(public_key)).rstrip(b"=")
        self._issuer = issuer
        self._audience = audience
        self._revoked = revoked
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[Actor, int]] = OrderedDict()
        self._cache_entries = cache_entries
        self._prove = prove

    def authenticate(self, authorization: bytes | None, presented: Presented | None = None) -> Actor:
        """The caller behind an `Authorization` header. Raises Unauthenticated with the rule that failed.

        `presented` is needed for tokens that are bound to a key, and looked at for these alone.
        """
        if authorization is None:
            raise Unauthenticated(
                "a token is needed",
                code="token-missing",
                hint="send `Authorization: Bearer TOKEN`; see careledger token",
            )
        kind, _, token = authorization.partition(b" ")
        scheme = _SCHEMES.get(kind.lower())
        if scheme is None or not 0 < len(token) <= TOKEN_MAX_BYTES:
            raise _refused(
                "token-malformed", "the Authorization header is not a bearer token of at most 8 kB"
            )
        actor = self.read(token)
        if actor.confirmation or scheme == "DPoP":
            self._check_binding(scheme, token, actor.confirmation, presented)
        return actor

    def read(self, token: bytes) -> Actor:
        """Whose token this is now, however it came: for who tells others about it. Raises Unauthenticated."""
        digest = sha256(token)
        known = self._cache.get(digest)
        if known is None:
            known = self._verify(token)
            self._cache[digest] = known
            if len(self._cache) > self._cache_entries:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(digest)
        actor, valid_from_ms = known
        now_ms = self._clock()
        if now_ms >= actor.expires_ms:
            raise _refused("token-expired", "the token has expired")
        if now_ms < valid_from_ms:
            raise _refused("token-not-yet-valid", "the token is not valid yet")
        if self._revoked(actor.token_id) or (actor.grant and self._revoked(actor.grant)):
            raise _refused("token-revoked", "the token has been revoked")
        return actor

    def _check_binding(self, scheme: str, token: bytes, thumbprint: str, presented: Presented | None) -> None:
        """Raises Unauthenticated unless the scheme is the token's, and the proof that it demands is there and holds."""
        if not thumbprint:
            raise _refused("token-unbound", "the token is bound to no key: send it as Bearer")
        if scheme != "DPoP":
            raise _refused("token-bound", "the token is bound to a key: send it as DPoP, with a proof")
        if self._prove is None or presented is None or not presented.proof:
            raise _refused("dpop-missing", "a token that is bound to a key needs a DPoP proof")
        self._prove(presented, token, thumbprint)

    def _verify(self, token: bytes) -> tuple[Actor, int]:
        """The actor and the start of validity in ms, if signature and claims hold."""
        segments = token.split(b".")
        if len(segments) != 3:
            raise _refused("token-malformed", "the token has not three parts")
        if segments[0] != self._header:
            raise _refused("token-foreign", "the token was not made by this node, or its header is altered")
        payload = decode_segment(segments[1])
        decode_segment(segments[2])
        try:
            jws.deserialize_compact(token, self._key, algorithms=[ALGORITHM])
        except (JoseError, ValueError) as error:
            raise _refused("token-altered", "the token's signature does not hold") from error
        claims = _decode_claims(payload)
        if claims.iss != self._issuer or claims.aud != self._audience:
            raise _refused("token-audience", "the token is for another node")
        try:
            _check_claims(claims)
        except Invalid as error:
            raise _refused(error.code, error.message) from error
        return actor_of(claims), claims.nbf * 1000


def actor_of(claims: Claims) -> Actor:
    """The verified attributes of a caller. Raises Invalid if the scopes cannot be read."""
    return Actor(
        subject=claims.sub,
        client=claims.client_id,
        organisation=claims.organisation,
        scopes=parse_scopes(claims.scope),
        practitioner=claims.practitioner,
        patient=claims.patient,
        purpose=claims.purpose,
        token_id=claims.jti,
        expires_ms=claims.exp * 1000,
        roles=claims.roles,
        grant=claims.gid,
        account=claims.account,
        did=claims.did,
        confirmation=claims.cnf.jkt if claims.cnf is not None else "",
    )


def challenge(error: Unauthenticated) -> bytes:
    """The WWW-Authenticate header for a refusal (RFC 6750, 3; RFC 9449, 7.1). It names the rule, never the token."""
    if error.code == "token-missing":
        return b'Bearer realm="careledger"'
    description = error.message.replace("\\", "").replace('"', "'").encode("ascii", "replace")
    proof = error.code.startswith("dpop-")
    scheme = b"DPoP" if proof or error.code == "token-bound" else b"Bearer"
    reason = b"invalid_dpop_proof" if proof else b"invalid_token"
    return b'%s realm="careledger", error="%s", error_description="%s"' % (scheme, reason, description)


def _private_key(seed: bytes) -> tuple[OKPKey, bytes]:
    if len(seed) != 32:
        raise Invalid("a token key has 32 bytes", code="token-key-invalid")
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return OKPKey.import_key(private), private.public_key().public_bytes_raw()


def decode_segment(segment: bytes) -> bytes:
    """The bytes of a base64url segment that has one spelling only."""
    if not _SEGMENT.fullmatch(segment):
        raise _refused("token-malformed", "the token is not base64url")
    try:
        decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except binascii.Error as error:
        raise _refused("token-malformed", "the token is not base64url") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
        raise _refused("token-malformed", "the token is not canonical base64url")
    return decoded


def _decode_claims(payload: bytes) -> Claims:
    """Claims that are spelled as this node spells them: unknown, repeated and reordered ones are refused."""
    try:
        claims = msgspec.json.decode(payload, type=Claims)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused("token-claims", "the token's claims cannot be read") from error
    if msgspec.json.encode(claims) != payload:
        raise _refused("token-claims", "the token's claims are not canonical")
    return claims


def _check_claims(claims: Claims) -> None:
    """Raises Invalid, naming the claim, never its value."""
    for name in ("iss", "aud", "sub", "client_id", "organisation"):
        if not _TEXT.fullmatch(getattr(claims, name)):
            raise Invalid(f"the claim {name} is empty, too long or not plain text", code="token-claims")
    if not _FHIR_ID.fullmatch(claims.jti):
        raise Invalid("the claim jti is not an id", code="token-claims")
    for name in ("patient", "practitioner"):
        if getattr(claims, name) and not _FHIR_ID.fullmatch(getattr(claims, name)):
            raise Invalid(f"the claim {name} is not a resource id", code="token-claims")
    for name in ("gid", "account"):
        if getattr(claims, name) and not _OWN_ID.fullmatch(getattr(claims, name)):
            raise Invalid(f"the claim {name} is not an id", code="token-claims")
    if claims.did and not _DID.fullmatch(claims.did):
        raise Invalid("the claim did is not a DID", code="token-claims")
    if claims.cnf is not None and not _THUMBPRINT.fullmatch(claims.cnf.jkt):
        raise Invalid("the claim cnf holds no thumbprint of a key", code="token-claims")
    if not _PURPOSE.fullmatch(claims.purpose):
        raise Invalid(
            "the claim purpose is not a purpose-of-use code", code="token-claims", hint="for example TREAT"
        )
    if len(claims.roles) > ROLES_MAX or not all(map(_ROLE.fullmatch, claims.roles)):
        raise Invalid("the claim roles holds what is no role's name, or too many", code="token-claims")
    if not 0 < claims.exp - claims.iat <= LIFETIME_MAX_SECONDS or claims.nbf < claims.iat:
        raise Invalid("the token's times do not fit together", code="token-claims")
    if parse_scopes(claims.scope).patient_level and not claims.patient:
        raise Invalid(
            "patient scopes need a patient",
            code="token-claims",
            hint="add --patient ID, or ask for system/ scopes",
        )


def _refused(code: str, message: str) -> Unauthenticated:
    return Unauthenticated(message, code=code, hint="get a new token with `careledger token`")
