"""Single fields of proof files, within their ranges; VerificationFailed for what is outside, never its content."""

from __future__ import annotations

from typing import Final

from careledger.ledger.proof_files import INTEGER_MAX, decode_binary
from careledger.primitives.errors import VerificationFailed

TIME_MS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""


def decode_digest(value: str) -> bytes:
    """32 bytes in base64url."""
    return decode_binary(value, 32, 32)


def check_whole(value: int) -> int:
    """The number, if RFC 8785 writes it exactly."""
    if not 0 <= value <= INTEGER_MAX:
        raise refusal("a number is out of range")
    return value


def check_time(value: int) -> int:
    """Milliseconds since 1970, up to TIME_MS_MAX."""
    if not 0 <= value <= TIME_MS_MAX:
        raise refusal("a time is out of range")
    return value


def refusal(message: str) -> VerificationFailed:
    """To be raised: the file says what cannot be."""
    return VerificationFailed(message, hint="the file was altered, or is of another ledger or time")
