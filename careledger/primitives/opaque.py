"""Small sealed texts that leave the node and come back: page links. They show nothing and cannot be altered.

Not for records: those have keys of their own in the vault.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.exceptions import InvalidTag
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
