"""One secret of 32 bytes in a file, sealed by a passphrase as the key store is: for keys that belong to no home.

`careledger-secret` | u8 version | u32 time cost | u32 memory KiB | u32 lanes | salt 16 | nonce 12   (the head)
| AES-256-GCM(argon2id(passphrase), secret, AAD = head | purpose)
"""

from __future__ import annotations

import os
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careledger.vault.keystore import Cost, KeyStoreDamaged, WrongPassphrase, compute_passphrase_key

SECRET_BYTES: Final = 32
_MAGIC: Final = b"careledger-secret"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">17sBIII16s12s")


def seal_secret(secret: bytes, passphrase: str, purpose: bytes, cost: Cost | None = None) -> bytes:
    """The file's content. `purpose` keeps one kind of secret from being taken for another."""
    used, salt, nonce = cost or Cost(), os.urandom(16), os.urandom(12)
    head = _HEAD.pack(_MAGIC, _VERSION, used.passes, used.memory_kib, used.lanes, salt, nonce)
    key = compute_passphrase_key(passphrase, used, salt)
    return head + AESGCM(key).encrypt(nonce, secret, head + purpose)


def open_secret(data: bytes, passphrase: str, purpose: bytes) -> bytes:
    """The secret, in about 0.3 s. Raises KeyStoreDamaged or WrongPassphrase."""
    if len(data) != _HEAD.size + SECRET_BYTES + 16 or not data.startswith(_MAGIC + bytes([_VERSION])):
        raise KeyStoreDamaged("the key file is damaged, or of another version", hint="restore it from a copy")
    head = data[: _HEAD.size]
    _, _, passes, memory, lanes, salt, nonce = _HEAD.unpack(head)
    cost = Cost(passes, memory, lanes)
    cost.check()
    try:
        key = compute_passphrase_key(passphrase, cost, salt)
        return AESGCM(key).decrypt(nonce, data[_HEAD.size :], head + purpose)
    except InvalidTag:
        raise WrongPassphrase(
            "the passphrase does not open this key file",
            hint="check --passphrase-file; only its last newline is ignored",
        ) from None
