"""Foreign signed texts (compact JWS, RFC 7515), read strictly: one form, few members, algorithms named by the reader.

Nothing in a header is ever fetched, opened as a file or run. A header with any member that its use does not name is
refused, so `crit`, `b64`, `zip`, `x5u` and whatever comes next fall alike; so do JWE, nested and detached forms.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError

from careledger.smart.json import TEXT, Unreadable, read_object
from careledger.smart.jwk import KEY_OF, PublicKey, decode_segment

TEXT_BYTES_MAX: Final = 8192
HEADER_BYTES_MAX: Final = 4096
HEADERS_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Use:
    """What a signed text may be: its `typ`, the algorithms, the members of its header (all of `required`)."""

    typ: str
    algorithms: tuple[str, ...]
    required: frozenset[str]
    allowed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A signed text whose signature nobody has checked yet: what it says may decide with which key, and nothing else."""

    algorithm: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    text: str


def read_claimed(text: str | bytes, use: Use) -> Claimed:
    """The parts of a compact JWS of this use. Raises Unreadable with the rule it breaks, never with its content."""
    if len(text) > TEXT_BYTES_MAX:
        raise Unreadable(f"longer than {TEXT_BYTES_MAX} bytes")
    try:
        text = text.decode("ascii") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise Unreadable("no ASCII") from error
    parts = text.split(".")
    if len(parts) != 3:
        raise Unreadable("no compact JWS of three parts")
    header = _read_header(parts[0], use)
    claims = read_object(decode_segment(parts[1]), TEXT_BYTES_MAX)
    decode_segment(parts[2])
    return Claimed(header["alg"], header, claims, text)


def verify(claimed: Claimed, key: PublicKey) -> Mapping[str, Any]:
    """The claims, now that the signature under `key` holds. Raises Unreadable otherwise."""
    if not key.takes(claimed.algorithm):
        raise Unreadable("the key is for another algorithm")
    algorithm = jws.JWSRegistry.algorithms[claimed.algorithm]
    signed, _, signature = claimed.text.rpartition(".")
    try:
        algorithm.check_key(key.imported)
        holds = algorithm.verify(signed.encode("ascii"), decode_segment(signature), key.imported)
    except (JoseError, ValueError, TypeError) as error:
        raise Unreadable("the signature does not hold") from error
    if not holds:
        raise Unreadable("the signature does not hold")
    return claimed.claims


@lru_cache(maxsize=HEADERS_KEPT)
def _read_header(segment: str, use: Use) -> Mapping[str, Any]:
    """The header, if it may be one of this use. Programs send the same again and again."""
    header = read_object(decode_segment(segment), HEADER_BYTES_MAX)
    _check_header(header, use)
    return MappingProxyType(header)


def _check_header(header: Mapping[str, Any], use: Use) -> None:
    names = set(header)
    if not names >= use.required:
        raise Unreadable(f"the header lacks one of {', '.join(sorted(use.required))}")
    if not names <= use.allowed:
        raise Unreadable(f"the header has more than {', '.join(sorted(use.allowed))}")
    if header["typ"] != use.typ:
        raise Unreadable(f"the typ is not {use.typ}")
    if not is_one_of(header["alg"], use.algorithms) or header["alg"] not in KEY_OF:
        raise Unreadable(f"the alg is none of {', '.join(use.algorithms)}")
    for name in ("kid", "jku"):
        if name in header and not (isinstance(header[name], str) and TEXT.fullmatch(header[name])):
            raise Unreadable(f"the {name} is no text of 1 to 256 characters")


def is_one_of(value: object, names: Collection[str]) -> bool:
    """A text, and one of these. (A list or an object in its place is not; it could not even be looked up.)"""
    return isinstance(value, str) and value in names
