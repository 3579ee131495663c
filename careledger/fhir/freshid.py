"""Ids for new resources and Bundles: random UUIDs (version 4, RFC 9562), 122 bits from the operating system."""

from __future__ import annotations

from os import urandom

_VARIANT = "89ab" * 4
"""By the 17th hexadecimal digit: the same digit with the two bits that say RFC 9562."""


def fresh_id() -> str:
    """A new id. Takes 1 µs; `str(uuid.uuid4())` takes 2.5, and every created resource pays it."""
    text = urandom(16).hex()
    variant = _VARIANT[int(text[16], 16)]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
