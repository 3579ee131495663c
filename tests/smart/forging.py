"""What attackers and clients sign in these tests: made with the primitives themselves, so that anything can be made."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

T = TypeVar("T")
NOW_MS = 1_767_225_600_000
NOW = NOW_MS // 1000
TOKEN_ENDPOINT = "https://clinic.example/oauth/token"
ISSUER = "https://clinic.example/fhir"
AUDIENCES = frozenset((TOKEN_ENDPOINT, ISSUER))
CURVES = {"P-256": (ec.SECP256R1, 32), "P-384": (ec.SECP384R1, 48), "P-521": (ec.SECP521R1, 66)}
DIGESTS = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


class Clock:
    """Time as the test sets it."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def b64(raw: bytes | str) -> str:
    raw = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def rsa_key(name: str = "ada", bits: int = 2048, exponent: int = 65_537) -> rsa.RSAPrivateKey:
    """The same key whenever it is asked for in the same way."""
    return _make_rsa(name, bits, exponent)


def ec_key(name: str = "ada", curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """The same key whenever it is asked for in the same way."""
    return _make_ec(name, curve)


@cache
def _make_rsa(name: str, bits: int, exponent: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(exponent, bits)


@cache
def _make_ec(name: str, curve: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(CURVES[curve][0]())


def b64_int(number: int, size: int = 0) -> str:
    return b64(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    """The public JWK of a key."""
    numbers = key.public_key().public_numbers()
    if isinstance(numbers, rsa.RSAPublicNumbers):
        return {"kty": "RSA", "n": b64_int(numbers.n), "e": b64_int(numbers.e), **more}
    name, size = {"secp256r1": ("P-256", 32), "secp384r1": ("P-384", 48), "secp521r1": ("P-521", 66)}[
        key.curve.name
    ]
    return {"kty": "EC", "crv": name, "x": b64_int(numbers.x, size), "y": b64_int(numbers.y, size), **more}


def signature(algorithm: str, key: Any, signed: bytes) -> bytes:
    """The signature as JWA says; for HS* `key` is bytes, for `none` it is ignored."""
    if algorithm == "none":
        return b""
    if algorithm.startswith("HS"):
        return hmac.new(key, signed, getattr(hashlib, f"sha{algorithm[2:]}")).digest()
    digest = DIGESTS[algorithm[-3:]]()
    if algorithm.startswith("RS"):
        return key.sign(signed, padding.PKCS1v15(), digest)
    if algorithm.startswith("PS"):
        return key.sign(signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    size = (key.curve.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(digest)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def signed(
    header: dict[str, Any] | str, claims: dict[str, Any] | str | bytes, key: Any, algorithm: str = ""
) -> str:
    """A compact JWS; header and claims may be given as text, to spell them in any way."""
    name = algorithm or (header["alg"] if isinstance(header, dict) else "ES256")
    first = b64(header if isinstance(header, str) else compact(header))
    second = b64(claims if isinstance(claims, str | bytes) else compact(claims))
    return f"{first}.{second}.{b64(signature(name, key, f'{first}.{second}'.encode()))}"
