"""Foreign public keys (RFC 7517, 7518): RSA and the curves P-256 and P-384, each in one spelling.

What is kept of a key is made anew from its numbers; nothing else that stood beside them is ever looked at again.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from careledger.primitives.hashing import sha256
from careledger.smart.json import TEXT, Unreadable, read_object
from careledger.smart.tables import base64url

KEY_SET_BYTES_MAX: Final = 32_768
KEYS_MAX: Final = 20
RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
RSA_EXPONENT_MIN: Final = 65_537  # FIPS 186-5, A.1.1
RSA_EXPONENT_MAX: Final = 1 << 32
CURVE_BYTES: Final[Mapping[str, int]] = MappingProxyType({"P-256": 32, "P-384": 48})

KEY_OF: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "RS256": ("RSA", ""),
        "RS384": ("RSA", ""),
        "ES256": ("EC", "P-256"),
        "ES384": ("EC", "P-384"),
    }
)
"""Algorithm -> type and curve of the one kind of key that it takes."""

_NUMBERS: Final = MappingProxyType({"RSA": ("e", "n"), "EC": ("crv", "x", "y")})
_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_DESCRIBING: Final = frozenset(("kty", "kid", "alg", "use", "key_ops"))
_IGNORED: Final = frozenset(("ext", "x5c", "x5t", "x5t#S256"))  # WebCrypto's; certificates say nothing here
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SMALL_PRIMES: Final = math.prod(
    number for number in range(3, 752) if all(number % other for other in range(2, math.isqrt(number) + 1))
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key that signatures are checked with. `kid` and `algorithm` are "" where the key names none."""

    kid: str
    algorithm: str
    numbers: Mapping[str, str]
    imported: RSAKey | ECKey
    thumbprint: str = field(init=False)
    """RFC 7638 with SHA-256: base64url, 43 characters. The same key has one only, however it was sent."""

    def __post_init__(self) -> None:
        text = json.dumps(dict(sorted(self.numbers.items())), separators=(",", ":"))
        object.__setattr__(self, "thumbprint", base64url(sha256(text.encode("ascii"))))

    @property
    def kind(self) -> tuple[str, str]:
        """Type and curve, as in `KEY_OF`."""
        return self.numbers["kty"], self.numbers.get("crv", "")

    def takes(self, algorithm: str) -> bool:
        """A signature of this algorithm may be checked with this key."""
        return KEY_OF.get(algorithm) == self.kind and self.algorithm in ("", algorithm)

    def describe(self) -> dict[str, str]:
        """The key as a member of a JWK set, and nothing that it does not need."""
        names = {"kid": self.kid, "alg": self.algorithm}
        return {**{name: text for name, text in names.items() if text}, "use": "sig", **self.numbers}


def decode_segment(text: object) -> bytes:
    """The bytes behind base64url that has one spelling only. Raises Unreadable; empty text too."""
    if not isinstance(text, str) or not _SEGMENT.fullmatch(text):
        raise Unreadable("a part is no base64url")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise Unreadable("a part is no base64url") from error
    if base64url(raw) != text:
        raise Unreadable("a part is base64url in a second spelling")
    return raw


def read_key(members: object, algorithms: Collection[str]) -> PublicKey:
    """The public key of a JWK, for signatures of one of `algorithms`. Raises Unreadable with the rule it breaks."""
    if not isinstance(members, dict):
        raise Unreadable("a key is no JSON object")
    if not _PRIVATE.isdisjoint(members):
        raise Unreadable("a key holds private or symmetric members: it is no secret any more, make another")
    kind = members.get("kty")
    if not isinstance(kind, str) or kind not in _NUMBERS:
        raise Unreadable("a key is neither RSA nor EC")
    wanted = _NUMBERS[kind]
    if set(members) - _DESCRIBING - _IGNORED - set(wanted):
        raise Unreadable("a key has members that are not known here")
    numbers = {"kty": kind, **{name: _read_text(members.get(name)) for name in wanted}}
    imported = _import_rsa(numbers) if kind == "RSA" else _import_curve(numbers)
    key = PublicKey(_read_kid(members), _read_algorithm(members), MappingProxyType(numbers), imported)
    _check_purpose(members)
    if not any(key.takes(algorithm) for algorithm in algorithms):
        raise Unreadable(f"a key fits none of {', '.join(sorted(algorithms))}")
    return key


def read_key_set(raw: bytes, algorithms: Collection[str]) -> tuple[PublicKey, ...]:
    """The 1 to 20 keys of a JWK set, each with a `kid` of its own. Raises Unreadable; one bad key spoils the set."""
    members = read_object(raw, KEY_SET_BYTES_MAX)
    return read_keys(members, algorithms)


def read_keys(members: Mapping[str, Any], algorithms: Collection[str]) -> tuple[PublicKey, ...]:
    """The same for a set that has been read as JSON already."""
    listed = members.get("keys")
    if set(members) != {"keys"} or not isinstance(listed, list) or not 0 < len(listed) <= KEYS_MAX:
        raise Unreadable(f"a key set is an object with the member keys alone, a list of 1 to {KEYS_MAX} keys")
    keys = tuple(read_key(one, algorithms) for one in listed)
    if not all(key.kid for key in keys):
        raise Unreadable("a key of a set has no kid")
    if len({key.kid for key in keys}) != len(keys):
        raise Unreadable("two keys of a set have the same kid")
    return keys


def describe_key_set(keys: Sequence[PublicKey]) -> bytes:
    """The set as it is kept: JSON that `read_key_set` reads."""
    return json.dumps({"keys": [key.describe() for key in keys]}, separators=(",", ":")).encode()


@lru_cache(maxsize=256)
def read_kept_key_set(raw: bytes, algorithms: tuple[str, ...]) -> tuple[PublicKey, ...]:
    """`read_key_set` for what is read again and again."""
    return read_key_set(raw, algorithms)


def _read_kid(members: Mapping[str, Any]) -> str:
    if "kid" not in members:
        return ""
    kid = members["kid"]
    if not isinstance(kid, str) or not TEXT.fullmatch(kid):
        raise Unreadable("a kid is no text of 1 to 256 characters")
    return kid


def _read_algorithm(members: Mapping[str, Any]) -> str:
    if "alg" not in members:
        return ""
    algorithm = members["alg"]
    if not isinstance(algorithm, str) or algorithm not in KEY_OF:
        raise Unreadable("the alg of a key is not known here")
    return algorithm


def _check_purpose(members: Mapping[str, Any]) -> None:
    """`use` and `key_ops` (RFC 7517, 4.2 and 4.3), where they are given, say that the key checks signatures."""
    if members.get("use", "sig") != "sig":
        raise Unreadable("the use of a key is not sig")
    if members.get("key_ops", ["verify"]) != ["verify"]:
        raise Unreadable("the key_ops of a key are not verify alone")


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise Unreadable("a key lacks one of its members, or it is no text")
    return value


def _import_rsa(numbers: Mapping[str, str]) -> RSAKey:
    modulus, exponent = (_read_number(numbers[name]) for name in ("n", "e"))
    if not RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX:
        raise Unreadable(f"an RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")
    if not RSA_EXPONENT_MIN <= exponent < RSA_EXPONENT_MAX or exponent % 2 == 0:
        raise Unreadable("the exponent of an RSA key is odd, at least 65537 and below 2^32")
    if modulus % 2 == 0 or math.gcd(modulus, _SMALL_PRIMES) != 1 or math.isqrt(modulus) ** 2 == modulus:
        raise Unreadable("the modulus of an RSA key is no product of two large primes")
    try:
        return RSAKey.import_key(dict(numbers))
    except (JoseError, ValueError, TypeError) as error:
        raise Unreadable("an RSA key cannot be used") from error


def _import_curve(numbers: Mapping[str, str]) -> ECKey:
    size = CURVE_BYTES.get(numbers["crv"])
    if size is None:
        raise Unreadable("the curve of a key is neither P-256 nor P-384")
    if any(len(decode_segment(numbers[name])) != size for name in ("x", "y")):
        raise Unreadable("a coordinate of a key has not the length of its curve")
    try:
        return ECKey.import_key(dict(numbers))  # refuses what is not on the curve
    except (JoseError, ValueError, TypeError) as error:
        raise Unreadable("a key is no point of its curve") from error


def _read_number(text: str) -> int:
    """Base64urlUInt (RFC 7518, 2): no leading zero octet."""
    raw = decode_segment(text)
    if raw[0] == 0 or len(raw) > RSA_BITS_MAX // 8:
        raise Unreadable("a number of a key begins with zero or is too long")
    return int.from_bytes(raw, "big")
