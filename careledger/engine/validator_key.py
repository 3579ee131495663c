"""A validator's key: a 32-byte seed, sealed by the home's passphrase, in one file.

`validator.json` says in clear which key it is, and whether it has ever been given to a signer: from then on it signs
only under the guard that knows what it signed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from careledger.engine.genesis import KeyType, compute_address
from careledger.primitives.errors import Corrupt, Invalid, Misconfigured, NotFound
from careledger.primitives.files import write_durably
from careledger.primitives.signing import (
    ed25519_public_key,
    ml_dsa_65_public_key,
    sign_ed25519,
    sign_ml_dsa_65,
)
from careledger.vault.keystore import Cost
from careledger.vault.secret_files import SECRET_BYTES, open_secret, seal_secret

FILE_NAME: Final = "validator.json"
FILE_BYTES_MAX: Final = 1 << 14
DEFAULT_TYPE: Final[KeyType] = "ml_dsa_65"


@dataclass(frozen=True, slots=True)
class Scheme:
    """How keys of one type sign; `field` is the engine's name of the public key in its messages."""

    field: Literal["mldsa65", "ed25519"]
    public: Callable[[bytes], bytes]
    sign: Callable[[bytes, bytes], bytes]


SCHEMES: Final[dict[KeyType, Scheme]] = {
    "ml_dsa_65": Scheme("mldsa65", ml_dsa_65_public_key, sign_ml_dsa_65),
    "ed25519": Scheme("ed25519", ed25519_public_key, sign_ed25519),
}


class ValidatorFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`validator.json`."""

    format: Literal["careledger/validator-key/1"]
    type: KeyType
    public: str
    sealed: str
    used: bool


@dataclass(frozen=True, slots=True)
class ValidatorKey:
    """An opened key. `used`: a signer had it before, so a guard must be there."""

    path: Path
    type: KeyType
    public: bytes
    used: bool
    seed: bytes = field(repr=False)

    @property
    def address(self) -> bytes:
        """How the engine names the validator."""
        return compute_address(self.public)

    @property
    def scheme(self) -> Scheme:
        """How it signs."""
        return SCHEMES[self.type]

    def sign(self, message: bytes) -> bytes:
        """A signature that the engine accepts: pure, empty context."""
        return self.scheme.sign(self.seed, message)

    def mark_used(self) -> None:
        """Durable when it returns."""
        file = _read(self.path)
        if not file.used:
            write_durably(self.path, msgspec.json.encode(msgspec.structs.replace(file, used=True)))


def create_validator_key(
    folder: Path, passphrase: str, type: KeyType = DEFAULT_TYPE, cost: Cost | None = None
) -> bytes:
    """A fresh key in `folder`; returns the public key. Raises Misconfigured if there is one: it is never replaced."""
    path = folder / FILE_NAME
    if path.exists():
        raise Misconfigured(
            "there is a validator's key already",
            hint="use it; a lost key is retired by the network's governance",
        )
    seed = os.urandom(SECRET_BYTES)
    public = SCHEMES[type].public(seed)
    sealed = seal_secret(seed, passphrase, _purpose(type), cost).hex()
    file = ValidatorFile("careledger/validator-key/1", type, public.hex(), sealed, used=False)
    write_durably(path, msgspec.json.encode(file))
    return public


def open_validator_key(folder: Path, passphrase: str) -> ValidatorKey:
    """The key, in about 0.3 s. Raises NotFound, Corrupt, KeyStoreDamaged or WrongPassphrase."""
    path = folder / FILE_NAME
    file = _read(path)
    try:
        sealed, public = bytes.fromhex(file.sealed), bytes.fromhex(file.public)
    except ValueError:
        raise _damaged() from None
    seed = open_secret(sealed, passphrase, _purpose(file.type))
    if SCHEMES[file.type].public(seed) != public:
        raise _damaged()
    return ValidatorKey(path, file.type, public, file.used, seed)


def _purpose(type: KeyType) -> bytes:
    return b"validator " + type.encode()


def _read(path: Path) -> ValidatorFile:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(FILE_BYTES_MAX), type=ValidatorFile)
    except FileNotFoundError:
        raise NotFound(
            "this home has no validator's key", hint="it follows the network, and does not vote"
        ) from None
    except (msgspec.DecodeError, Invalid):
        raise _damaged() from None


def _damaged() -> Corrupt:
    return Corrupt(
        "the validator's key file is damaged", hint="restore it from a copy", code="validator-key-damaged"
    )
