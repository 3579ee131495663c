"""All opened rows of one chart, as the segments gave them: nothing is copied until a search asks for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import compress
from typing import Final, TypeVar

from careledger.vault.model import RowColumns
from careledger.vault.rows import joined

ROW_BYTES: Final = 65
"""Memory of a row besides its part's `size`: its blob's object, its place in the list of blobs, type, flags, version."""
READ_BYTES: Final = 125
"""More of one whose id, time, height and leaf were read."""
PART_ROWS: Final = 128
"""Rows up to which small parts, as single writes leave them, are put together."""

T = TypeVar("T")


class ChartRows:
    """The rows of a chart from number 0 on, in parts."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[RowColumns] = []
        self._firsts: list[int] = []

    def add(self, part: RowColumns) -> None:
        """Take in the next rows."""
        parts = self._parts
        if parts and len(part) < PART_ROWS >> 2 and len(parts[-1]) + len(part) <= PART_ROWS:
            parts[-1] = joined(parts[-1], part)
        else:
            parts.append(part)
            self._firsts.append(part.first)
        self.count += len(part)

    def of_type(self, type: str, start: int) -> Iterator[tuple[Iterator[int], bytes, Iterator[bytes], bool]]:
        """By part: numbers, flags and blobs of the rows of that type from number `start` on, and whether each of them
        is the first version of its resource."""
        for part in self._parts[max(0, bisect_right(self._firsts, start) - 1) :]:
            if type not in part.types or part.first + len(part) <= start:
                continue
            chosen = part.type.translate(_only(part.types.index(type)))
            if part.first < start:
                skip = start - part.first
                chosen = bytes(skip) + chosen[skip:]
            count = chosen.count(1)
            if not count:
                continue
            numbers = compress(range(part.first, part.first + len(part)), chosen)
            flags = bytes(count)
            if part.flags.count(0) < len(part):
                flags = bytes(compress(part.flags, chosen))
            first = flags.count(0) == count
            if first and part.version.count(1) < len(part):
                first = max(compress(part.version, chosen)) == 1
            yield numbers, flags, compress(part.values, chosen), first

    def place(self, number: int) -> tuple[RowColumns, int]:
        """The part that has the row of that number, and its position there."""
        at = bisect_right(self._firsts, number) - 1
        return self._parts[at], number - self._firsts[at]

    def pick(self, numbers: Sequence[int], column: Callable[[RowColumns], Sequence[T]]) -> Iterator[T]:
        """A column's values of these rows, whose numbers ascend."""
        at = 0
        while at < len(numbers):
            part, _ = self.place(numbers[at])
            stop = bisect_left(numbers, part.first + len(part), at)
            values, first = column(part), part.first
            yield from [values[number - first] for number in numbers[at:stop]]
            at = stop

    def memory(self) -> int:
        """Bytes, estimated from above."""
        found = ROW_BYTES * self.count + 700 * len(self._parts)
        return found + sum(part.size + READ_BYTES * len(part) * part.is_read for part in self._parts)


@cache
def _only(code: int) -> bytes:
    """A table that makes 1 of that byte, and 0 of every other."""
    return bytes(at == code for at in range(256))
