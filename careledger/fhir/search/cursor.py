"""Where a search goes on: sealed, so that a link shows no position and an altered or borrowed one is refused."""

from __future__ import annotations

import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careledger.fhir.search.query import Query
from careledger.primitives.errors import Invalid

_FORM = struct.Struct("<QII")
_LENGTH_MAX = 256


@dataclass(frozen=True, slots=True)
class Cursor:
    """After row `row` of chart `chart`, in the view of ledger height `height`.

    No sort values: they are found again from the row, so no patient data is in a link, sealed or not.
    """

    height: int
    chart: int
    row: int

    def encode(self, key: bytes, query: Query) -> str:
        """The text for a link, valid for this query alone. `key` is the node's cursor key."""
        nonce = os.urandom(12)
        sealed = _cipher(key).encrypt(nonce, _FORM.pack(self.height, self.chart, self.row), binding(query))
        return urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str, key: bytes, query: Query) -> Cursor:
        """Raises Invalid if this node did not seal it for this query."""
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) <= _LENGTH_MAX else b""
            return cls(*_FORM.unpack(_cipher(key).decrypt(raw[:12], raw[12:], binding(query))))
        except (InvalidTag, ValueError, struct.error):
            raise Invalid(
                "The page link was altered, or belongs to another query.",
                hint="Begin at the first page.",
                code="value",
            ) from None


def binding(query: Query) -> bytes:
    """What a cursor belongs to: type, conditions and order; the page size may change under way."""
    pairs = [
        (name, value)
        for name, value in query.applied
        if name not in ("_count", "_total", "_format", "_pretty")
    ]
    return blake2b(repr((query.type, pairs)).encode("utf-8", "replace"), digest_size=16).digest()


@lru_cache(maxsize=4)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(blake2b(key, digest_size=32, person=b"search cursor").digest())
