"""Values blobs of one type by their *layout*: the slots that one has, and where each of them lies.

A chart's blobs of a type have few layouts (1,000 Observations of Synthea: 29), so a slot is cut out of all that share
one at the same place, without looking at each blob.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

from careledger.fhir.search.compile import NARROW, column_of, place_in

LAYOUTS_MAX: Final = 128
"""Layouts kept for one type of one chart. The rows of others are looked at one by one: they are all different."""

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
        groups = self._groups
        for ordinal, blob in enumerate(blobs, self.count):
            layout = blob[: 2 + blob[1] * (3 if blob[0] == NARROW else 5)] if blob else blob
            group = groups.get(layout)
            if group is None:
                group = self._others if len(groups) >= LAYOUTS_MAX else (array("I"), [])
                if group is not self._others:
                    groups[layout] = group
            group[0].append(ordinal)
            group[1].append(blob)
        self.count += len(blobs)

    def values(self, slot: int, start: int = 0) -> Iterator[tuple[Sequence[int], list[bytes]]]:
        """Ordinals from `start` on that have the slot, in groups, and the slot's values of each."""
        for layout, group in self._groups.items():
            bounds = place_in(layout, slot)
            if bounds is None or group[0][-1] < start:
                continue
            ordinals, blobs = _since(group, start)
            yield ordinals, list(map(itemgetter(slice(*bounds)), blobs))
        ordinals, blobs = _since(self._others, start)
        column = column_of(blobs, slot)
        held = [at for at, data in enumerate(column) if data]
        if held:
            yield [ordinals[at] for at in held], [column[at] for at in held]

    def memory(self) -> int:
        """Bytes besides what each row takes."""
        return 400 * len(self._groups)


def _since(group: _Group, start: int) -> tuple[Sequence[int], Sequence[bytes]]:
    ordinals, blobs = group
    if not start:
        return group
    skip = bisect_left(ordinals, start)
    return ordinals[skip:], blobs[skip:]
