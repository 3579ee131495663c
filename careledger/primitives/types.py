"""Names for the values that cross rooms: what a number or a string of bytes means."""

from __future__ import annotations

from typing import NewType

from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import tagged

Digest = NewType("Digest", bytes)
"""32 bytes out of SHA-256."""

Did = NewType("Did", bytes)
"""A decentralised identifier of organisation, practitioner or device: 32 bytes. No patient has one."""

ChainId = NewType("ChainId", str)
"""`cl-` and 32 hex digits: the first half of the genesis hash."""

Height = NewType("Height", int)
"""Number of a block; genesis is 0."""

BlockTime = NewType("BlockTime", int)
"""Milliseconds since 1970 UTC as the block says; never decreasing, embedded it is the operator's word."""

DID_PREFIX = "did:careledger:"
DID_SIZE = 32


def compute_did(kind: int, algorithm: int, public_key: bytes) -> Did:
    """The DID of who is registered first with this key: H(`cl1.did`, u8 kind | u8 algorithm | key).

    It commits to the first key, so it cannot be chosen, and stays when keys rotate.
    """
    return Did(tagged("cl1.did", bytes([kind, algorithm]) + public_key))


def did_text(did: Did) -> str:
    """`did:careledger:` and 64 lower-case hex digits."""
    return DID_PREFIX + did.hex()


def parse_did(text: str) -> Did:
    """The DID that this text writes. Raises Invalid for anything `did_text` would not write."""
    digits = text[len(DID_PREFIX) :]
    if text.startswith(DID_PREFIX) and len(digits) == 2 * DID_SIZE and not digits.strip("0123456789abcdef"):
        return Did(bytes.fromhex(digits))
    raise Invalid("not a CareLedger DID", hint=f"a DID is {DID_PREFIX} and 64 lower-case hex digits")
