"""Small sealed texts that leave the node and come back: page links. They show nothing and cannot be altered.

Not for records: those have keys of their own in the vault.
"""

from __future__ import annotations

import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import fingerprint

NONCE_BYTES = 12
TEXT_MAX_CHARACTERS = 16_384


@lru_cache(maxsize=8)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(fingerprint(b"careledger opaque text", key))


def seal_text(key: bytes, binding: bytes, plain: bytes) -> str:
    """URL-safe text that `open_text` reads with the same key and binding (AES-256-GCM, random nonce)."""
    nonce = os.urandom(NONCE_BYTES)
    return urlsafe_b64encode(nonce + _cipher(key).encrypt(nonce, plain, binding)).rstrip(b"=").decode()


def open_text(key: bytes, binding: bytes, text: str) -> bytes:
    """What was sealed. Raises VerificationFailed unless this key sealed it for this binding, to the last character."""
    try:
        if len(text) > TEXT_MAX_CHARACTERS:
            raise ValueError("too long")
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        plain = _cipher(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], binding)
    except (InvalidTag, ValueError) as error:
        raise VerificationFailed("the text was not sealed here, or for something else") from error
    if urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise VerificationFailed("the text is not in its one form")
    return plain


_PLACE = struct.Struct(">IQ4s")
_CHECK = bytes(4)


@lru_cache(maxsize=8)
def _block(key: bytes) -> Cipher[modes.ECB]:
    return Cipher(algorithms.AES(fingerprint(b"careledger opaque place", key)), modes.ECB())


def seal_place(key: bytes, first: int, second: int) -> str:
    """32 hex digits that stand for a u32 and a u64, always the same ones: one AES block, so they show no order."""
    cipher = _block(key).encryptor()
    return (cipher.update(_PLACE.pack(first, second, _CHECK)) + cipher.finalize()).hex()


def open_place(key: bytes, text: str) -> tuple[int, int]:
    """The two numbers. Raises VerificationFailed for what this key did not seal (but for one guess in 2^32)."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) == _PLACE.size and raw.hex() == text:
        cipher = _block(key).decryptor()
        first, second, check = _PLACE.unpack(cipher.update(raw) + cipher.finalize())
        if check == _CHECK:
            return first, second
    raise VerificationFailed("the place was not sealed here")
