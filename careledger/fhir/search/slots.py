"""One slot of one type in one chart, indexed in memory: built on first use, extended as rows come.

Postings hold ordinals (positions among the chart's rows of the type), of every version ever indexed; which of them
are current is the caller's business.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from struct import Struct
from typing import Final

from careledger.fhir.search.bitsets import Posting, bits_of, joined, opened, posting_of
from careledger.fhir.search.conditions import DateRange, Number, Reference, Text, Token, Uri
from careledger.fhir.search.extract import each_reference, each_text
from careledger.fhir.search.layouts import Layouts
from careledger.fhir.search.values import (
    _DATE,
    DATE,
    LOGICAL,
    NUMBER,
    QUANTITY,
    REFERENCE,
    STRING,
    TOKEN,
    URI,
    normalise,
)

ENTRY_BYTES: Final = 190
"""Memory of one distinct value: key, posting and their place in a dictionary."""


class ValueSlot:
    """Any kind but dates: distinct value -> ordinals."""

    __slots__ = ("_folded", "_groups", "covered", "kind", "number", "postings", "present")

    def __init__(self, kind: int, number: int) -> None:
        self.kind = kind
        self.number = number
        self.covered = 0
        self.present = 0
        self.postings: dict[bytes | str, Posting] = {}
        self._groups: dict[bytes, list[bytes]] | None = None
        self._folded: list[tuple[str, str]] | None = None

    def extend(self, layouts: Layouts) -> None:
        """Index the blobs from `covered` on."""
        size = layouts.count
        same: defaultdict[bytes, list[int]] = defaultdict(list)  # most rows share their values with others
        held = array("I")
        for ordinals, length, values in layouts.values(self.number, self.covered):
            held.extend(ordinals)
            if values == values[:length] * len(ordinals):
                same[values[:length]] += ordinals
            else:
                for ordinal, (data,) in zip(ordinals, Struct(f"{length}s").iter_unpack(values), strict=True):
                    same[data].append(ordinal)
        new: dict[bytes | str, list[int]] = {}
        split = _SPLITTERS[self.kind]
        for data, found in same.items():
            for key in split(data):
                listed = new.get(key)
                if listed is None:
                    new[key] = found[:]
                elif listed[-1] != found[-1]:  # else these values name it twice
                    listed += found
        postings, having = self.postings, bits_of(held, size)
        for key, numbers in new.items():
            old = postings.get(key)
            if old is not None:
                postings[key] = joined(old, numbers, size)
            else:  # often all rows have the same value, as an own patient's
                postings[key] = having if len(numbers) == len(held) > size >> 5 else posting_of(numbers, size)
        self.present |= having
        self.covered = size
        self._groups = self._folded = None

    def memory(self) -> int:
        return len(self.postings) * ENTRY_BYTES

    def tokens(self, value: Token, systemless: bool) -> int:
        if value.code is not None and value.system is not None and not systemless:
            return opened(self.postings.get(value.system + value.code, 0))
        if value.code is not None:
            return self._any(self._grouped(slice(8, 16)).get(value.code, ()))
        return self._any(key for key in self.postings if isinstance(key, bytes) and key[:8] == value.system)

    def references(self, value: Reference, tag: int) -> int:
        """`tag` >= 0: only references to that type count."""
        if value.key:
            if tag >= 0 and value.key[0] not in (tag, LOGICAL):
                return 0
            return opened(self.postings.get(value.key, 0))
        if tag >= 0:
            return opened(self.postings.get(bytes((tag,)) + value.bare, 0))
        keys = self._grouped(slice(1, 9)).get(value.bare, ())
        return self._any(key for key in keys if key[0] < LOGICAL)

    def identified(self, value: Token) -> int:
        """References by logical identifier."""
        return self._any(
            key
            for key in self.postings
            if isinstance(key, bytes)
            and key[0] == LOGICAL
            and (value.system is None or key[1:9] == value.system)
            and (value.code is None or key[9:17] == value.code)
        )

    def of_type(self, tag: int) -> int:
        """Ordinals with a reference to that type."""
        return self._any(key for key in self.postings if isinstance(key, bytes) and key[0] == tag)

    def texts(self, value: Text, modifier: str) -> int:
        if modifier == "exact":
            return opened(self.postings.get(value.exact, 0))
        folded = self._folded
        if folded is None:
            folded = self._folded = sorted((normalise(str(key)), str(key)) for key in self.postings)
        if modifier == "contains":
            return self._any(raw for text, raw in folded if value.folded in text)
        at = bisect_left(folded, (value.folded,))
        matching = []
        while at < len(folded) and folded[at][0].startswith(value.folded):
            matching.append(folded[at][1])
            at += 1
        return self._any(matching)

    def uris(self, value: Uri) -> int:
        return opened(self.postings.get(value.hash, 0))

    def numbers(self, value: Number) -> int:
        """Numbers and quantities; a quantity's unit is compared only if the query names one."""
        matches = _quantity_matches if self.kind == QUANTITY else _number_matches
        return self._any(key for key in self.postings if isinstance(key, bytes) and matches(key, value))

    def _any(self, keys: Iterable[bytes | str]) -> int:
        bits = 0
        for key in keys:
            bits |= opened(self.postings[key])
        return bits

    def _grouped(self, part: slice) -> dict[bytes, list[bytes]]:
        """Keys by one of their hashes."""
        groups = self._groups
        if groups is None:
            groups = self._groups = {}
            for key in self.postings:
                if isinstance(key, bytes):
                    groups.setdefault(key[part], []).append(key)
        return groups


class DateSlot:
    """Dates: parallel arrays of ordinal, lo and hi."""

    __slots__ = ("covered", "hi", "is_single", "kind", "lo", "number", "ordinals", "present")

    def __init__(self, kind: int, number: int) -> None:
        self.kind = kind
        self.number = number
        self.covered = 0
        self.present = 0
        self.ordinals = array("I")
        self.lo = array("q")
        self.hi = array("q")
        self.is_single = True
        """Whether no row has more than one."""

    def extend(self, layouts: Layouts) -> None:
        """Index the blobs from `covered` on."""
        new = array("I")
        ends = array("q")
        for ordinals, length, values in layouts.values(self.number, self.covered):
            if length == _DATE.size:
                new.extend(ordinals)
            else:
                self.is_single = False
                for ordinal in ordinals:
                    new.extend((ordinal,) * (length // _DATE.size))
            ends.frombytes(values)
        if sys.byteorder == "big":
            ends.byteswap()
        self.ordinals += new
        self.lo += ends[::2]
        self.hi += ends[1::2]
        self.present |= bits_of(new, layouts.count)
        self.covered = layouts.count

    def memory(self) -> int:
        return len(self.ordinals) * 20

    def within(self, wanted: DateRange) -> int:
        """Ordinals with a date that holds."""
        return bits_of(matching_dates(wanted, self.ordinals, self.lo, self.hi), self.covered)


Slot = ValueSlot | DateSlot


def new_slot(kind: int, number: int) -> Slot:
    return DateSlot(kind, number) if kind == DATE else ValueSlot(kind, number)


def matching_dates(
    wanted: DateRange, ordinals: Iterable[int], lows: Iterable[int], highs: Iterable[int]
) -> list[int]:
    """R4 search.html#prefix, on half-open ranges: what the value's range is to the wanted one."""
    a, b, rows = wanted.lo, wanted.hi, zip(ordinals, lows, highs, strict=True)
    match wanted.prefix:
        case "eq":
            return [o for o, lo, hi in rows if a <= lo and hi <= b]
        case "ne":
            return [o for o, lo, hi in rows if not (a <= lo and hi <= b)]
        case "gt":
            return [o for o, lo, hi in rows if hi > b]
        case "lt":
            return [o for o, lo, hi in rows if lo < a]
        case "ge":
            return [o for o, lo, hi in rows if hi > b or (a <= lo and hi <= b)]
        case "le":
            return [o for o, lo, hi in rows if lo < a or (a <= lo and hi <= b)]
        case "sa":
            return [o for o, lo, hi in rows if lo >= b]
        case "eb":
            return [o for o, lo, hi in rows if hi <= a]
        case _:
            return [o for o, lo, hi in rows if lo < b and a < hi]


@lru_cache(maxsize=16384)
def decimal_of(text: bytes) -> Decimal | None:
    """The number, or None for what is none (content is checked on writing)."""
    try:
        found = Decimal(text.decode("ascii", "replace"))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _number_matches(key: bytes, wanted: Number) -> bool:
    value = decimal_of(key[1:])
    return value is not None and compare_number(wanted, value)


def _quantity_matches(key: bytes, wanted: Number) -> bool:
    if wanted.system is not None and key[:8] != wanted.system:
        return False
    if wanted.unit is not None and wanted.unit not in (key[8:16], key[16:24]):
        return False
    return _number_matches(key[24:], wanted)


def compare_number(wanted: Number, value: Decimal) -> bool:
    """`eq` and `ap` by the precision that was written, the others by the number itself."""
    match wanted.prefix:
        case "eq" | "ap":
            return wanted.lo <= value < wanted.hi
        case "ne":
            return not wanted.lo <= value < wanted.hi
        case "gt" | "sa":
            return value > wanted.value
        case "lt" | "eb":
            return value < wanted.value
        case "ge":
            return value >= wanted.value
        case _:
            return value <= wanted.value


def _split_tokens(data: bytes) -> Iterable[bytes | str]:
    return (data,) if len(data) == 16 else [data[at : at + 16] for at in range(0, len(data), 16)]


def _split_references(data: bytes) -> Iterable[bytes | str]:
    return (data,) if len(data) == 9 else each_reference(data)


def _split_texts(data: bytes) -> Iterable[bytes | str]:
    return each_text(data)


def _split_numbers(data: bytes) -> Iterable[bytes | str]:
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        yield data[at:end]
        at = end


def _split_quantities(data: bytes) -> Iterable[bytes | str]:
    at = 0
    while at < len(data):
        end = at + 25 + data[at + 24]
        yield data[at:end]
        at = end


def _split_hashes(data: bytes) -> Iterable[bytes | str]:
    return (data,) if len(data) == 8 else [data[at : at + 8] for at in range(0, len(data), 8)]


_SPLITTERS: Final = {
    TOKEN: _split_tokens,
    STRING: _split_texts,
    REFERENCE: _split_references,
    QUANTITY: _split_quantities,
    NUMBER: _split_numbers,
    URI: _split_hashes,
}
