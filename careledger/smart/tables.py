"""Typed entries of the registry: a frozen struct under a key, as MessagePack; and the one place that makes secrets.

What somebody holds (a cookie, a code, a ticket) is never stored: its digest is the key, so a copy of the registry
signs nobody in.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgspec

from careledger.primitives.errors import Corrupt
from careledger.primitives.hashing import tagged
from careledger.vault.registry import Change, Registry

T = TypeVar("T", bound=msgspec.Struct)

SECRET_BYTES: Final = 32
ID_BYTES: Final = 16
CODE_CHARACTERS: Final = 26
"""Of 32 letters and digits each: 130 bits."""
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """An entry as it stands: its key, its value, the version that a change may expect."""

    key: bytes
    value: T
    version: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """The entries of one kind in one table of the registry; `prefix` keeps kinds of one table apart. `without` begins
    the keys of another kind where this one has no prefix."""

    name: str
    kind: type[T]
    prefix: bytes = b""
    without: bytes = b""
    _decoder: dict[str, msgspec.msgpack.Decoder[T]] = field(default_factory=dict, repr=False)

    def get(self, registry: Registry, key: bytes) -> Found[T] | None:
        """What stands under the key now."""
        entry = registry.get(self.name, self.prefix + key)
        if entry is None:
            return None
        return Found(key, self._decode(entry.value), entry.version, entry.expires_ms)

    def list(self, registry: Registry) -> list[Found[T]]:
        """Every entry of this kind."""
        return [
            Found(key[len(self.prefix) :], self._decode(entry.value), entry.version, entry.expires_ms)
            for key, entry in registry.list(self.name)
            if key.startswith(self.prefix) and not (self.without and key.startswith(self.without))
        ]

    def put(self, key: bytes, value: T, *, expected: int | None = None, expires_ms: int = 0) -> Change:
        """The change that writes it."""
        return Change(self.name, self.prefix + key, msgspec.msgpack.encode(value), expected, expires_ms)

    def renew(self, found: Found[T], value: T) -> Change:
        """The change that writes `value` in place of exactly what was found."""
        return self.put(found.key, value, expected=found.version, expires_ms=found.expires_ms)

    def drop(self, found: Found[T]) -> Change:
        """The change that deletes exactly what was found: of two, one gets RegistryMoved."""
        return Change(self.name, self.prefix + found.key, None, found.version)

    def _decode(self, value: bytes) -> T:
        decoder = self._decoder.get("") or self._decoder.setdefault("", msgspec.msgpack.Decoder(self.kind))
        try:
            return decoder.decode(value)
        except msgspec.DecodeError as error:
            raise Corrupt(
                f"an entry of the table {self.name} cannot be read", hint="run `careledger fsck`"
            ) from error


def new_secret() -> str:
    """43 characters that nobody guesses (256 bits), for cookies and challenges."""
    return base64url(secrets.token_bytes(SECRET_BYTES))


def new_id() -> str:
    """22 characters that say nothing (128 bits) and can be typed: never with a hyphen first, which commands take for
    an option."""
    while True:
        id = base64url(secrets.token_bytes(ID_BYTES))
        if is_typeable(id):
            return id


def is_typeable(id: str) -> bool:
    """Whether a command takes it for a word."""
    return not id.startswith("-")


def new_code() -> str:
    """A code that a person can read, say and type: 26 characters, 130 bits, in groups."""
    digits = "".join(secrets.choice(_ALPHABET) for _ in range(CODE_CHARACTERS))
    return "-".join(digits[start : start + 5] for start in range(0, CODE_CHARACTERS, 5))


def code_key(tag: str, code: str) -> bytes | None:
    """The key under which a typed code stands: case, spaces and hyphens do not count; None if it can be no code."""
    typed = code[:64].upper().translate(_READ_AS)
    if len(typed) != CODE_CHARACTERS or typed.strip(_ALPHABET):
        return None
    return tagged(tag, typed.encode("ascii"))


def secret_key(tag: str, secret: str) -> bytes:
    """The key under which a secret stands."""
    return tagged(tag, secret[:128].encode("utf-8", "replace"))


def base64url(data: bytes) -> str:
    """Without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
