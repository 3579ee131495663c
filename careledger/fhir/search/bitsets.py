"""Sets of small numbers as integers, and postings: those sets kept small when few numbers are in them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sized

Posting = int | bytes
"""An integer with a bit a member, or the members packed as 32-bit integers when that is smaller."""

_TO_MEMBERSHIP = bytes.maketrans(b"01", b"\0\1")


def bits_of(members: Iterable[int], size: int) -> int:
    """The set as an integer. Every member is below `size`."""
    if isinstance(members, Sized) and len(members) * 32 > size > 64:  # many of them: a digit each
        digits = bytearray(b"0") * size
        for member in members:
            digits[~member] = 49
        return int(digits, 2)
    mask = bytearray((size >> 3) + 1)
    for member in members:
        mask[member >> 3] |= 1 << (member & 7)
    return int.from_bytes(mask, "little")


def membership(bits: int, size: int) -> bytes:
    """`size` bytes: 1 at the place of each member."""
    return format(bits, f"0{size}b").encode().translate(_TO_MEMBERSHIP)[::-1]


def members(bits: int) -> list[int]:
    """The members in ascending order."""
    found = []
    if bits.bit_length() <= 1024 or bits.bit_count() < 16:
        while bits:
            low = bits & -bits
            found.append(low.bit_length() - 1)
            bits ^= low
        return found
    size = bits.bit_length()
    flags = membership(bits, size)
    at = flags.find(1)
    while at >= 0:
        found.append(at)
        at = flags.find(1, at + 1)
    return found


def posting_of(numbers: list[int], size: int) -> Posting:
    """The smaller of both forms."""
    if len(numbers) * 32 < size:
        return array("I", numbers).tobytes()
    return bits_of(numbers, size)


def opened(posting: Posting) -> int:
    """The posting as an integer set."""
    if posting.__class__ is int:
        return posting
    assert isinstance(posting, bytes)
    numbers = array("I")
    numbers.frombytes(posting)
    bits = 0
    if len(numbers) < 8:
        for number in numbers:
            bits |= 1 << number
        return bits
    return bits_of(numbers, max(numbers) + 1)


def joined(posting: Posting, numbers: list[int], size: int) -> Posting:
    """The posting with more members; all of them are above those it has."""
    if isinstance(posting, bytes):
        if (len(posting) // 4 + len(numbers)) * 32 < size:
            return posting + array("I", numbers).tobytes()
        posting = opened(posting)
    return posting | bits_of(numbers, size)
