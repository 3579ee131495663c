"""Values blobs of one type by their *layout*: the slots that one has, and where each of them lies.

A chart's blobs of a type have few layouts (1,000 Observations of Synthea: 29), so a slot is cut out of all that share
one at the same place, without looking at each blob.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

from careledger.fhir.search.compile import NARROW, column_of, place_in

LAYOUTS_MAX: Final = 128
"""Layouts kept for one type of one chart. The rows of others are looked at one by one: they are all different."""

STRIDED_BYTES_MAX: Final = 32
"""Bytes of a slot up to which they are."""
_NARROW: Final = bytes([NARROW])
STRIDED_MIN: Final = 48
"""Rows of one layout from which a slot's bytes are gathered column by column instead of blob by blob."""
_LAYOUTS: Final = tuple(slice(2 + 3 * slots) for slots in range(256))
"""By the number of slots, what a narrow blob begins with: its head and its ends."""

_Group = tuple["array[int]", list[bytes]]
"""Ordinals, ascending, and their blobs."""


class Layouts:
    """The blobs of each layout, in the order of their ordinals, and those that have none of the layouts kept."""

    __slots__ = ("_groups", "_others", "count")

    def __init__(self) -> None:
        self.count = 0
        self._groups: dict[bytes, _Group] = {}
        self._others: _Group = (array("I"), [])

    def add(self, blobs: Sequence[bytes]) -> None:
        """Take in the next blobs: the first ever has the ordinal 0."""
        places: defaultdict[bytes, list[int]] = defaultdict(list)
        for at, layout in enumerate([blob[_LAYOUTS[blob[1]]] if blob else blob for blob in blobs]):
            places[layout].append(at)
        groups = self._groups
        rest: list[int] = []
        for layout, found in places.items():
            if layout not in groups and (layout[:1] != _NARROW or len(groups) >= LAYOUTS_MAX):
                rest += found
            else:
                self._put(groups.setdefault(layout, (array("I"), [])), found, blobs)
        self._put(self._others, sorted(rest), blobs)
        self.count += len(blobs)

    def _put(self, group: _Group, places: list[int], blobs: Sequence[bytes]) -> None:
        group[0].extend([self.count + at for at in places] if self.count else places)
        group[1].extend(map(blobs.__getitem__, places))

    def values(self, slot: int, start: int = 0) -> Iterator[tuple[Sequence[int], int, bytes]]:
        """Ordinals from `start` on that have the slot, in groups whose values are of one length: that length, and the
        values one after the other."""
        for layout, group in self._groups.items():
            bounds = place_in(layout, slot)
            if bounds is None or group[0][-1] < start:
                continue
            ordinals, blobs = _since(group, start)
            yield ordinals, bounds[1] - bounds[0], _gathered(blobs, *bounds)
        ordinals, blobs = _since(self._others, start)
        by_length: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for ordinal, data in zip(ordinals, column_of(blobs, slot), strict=True):
            if data:
                by_length[len(data)].append((ordinal, data))
        for length, found in by_length.items():
            yield [ordinal for ordinal, _ in found], length, b"".join([data for _, data in found])

    def memory(self) -> int:
        """Bytes besides what each row takes."""
        return 400 * len(self._groups)


def _gathered(blobs: Sequence[bytes], start: int, end: int) -> bytes:
    """The bytes from `start` to `end` of each blob; all of them are as long as the first."""
    if len(blobs) < STRIDED_MIN or end - start > STRIDED_BYTES_MAX:
        return b"".join(map(itemgetter(slice(start, end)), blobs))
    joined, length = b"".join(blobs), len(blobs[0])
    width = end - start
    gathered = bytearray(len(blobs) * width)
    for at in range(width):
        gathered[at::width] = joined[start + at :: length]
    return bytes(gathered)


def _since(group: _Group, start: int) -> tuple[Sequence[int], Sequence[bytes]]:
    ordinals, blobs = group
    if not start:
        return group
    skip = bisect_left(ordinals, start)
    return ordinals[skip:], blobs[skip:]
