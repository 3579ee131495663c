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


class Layouts:
    """The ordinals of each layout, ascending, and of the rows that have none of those kept."""

    __slots__ = ("_groups", "_others")

    def __init__(self) -> None:
        self._groups: dict[bytes, array[int]] = {}
        self._others = array("I")

    def add(self, blobs: Sequence[bytes], start: int) -> None:
        """Take in the next blobs; the first of them has the ordinal `start`."""
        groups = self._groups
        for ordinal, blob in enumerate(blobs, start):
            layout = blob[: 2 + blob[1] * (3 if blob[0] == NARROW else 5)] if blob else blob
            group = groups.get(layout)
            if group is None:
                group = self._others if len(groups) >= LAYOUTS_MAX else groups.setdefault(layout, array("I"))
            group.append(ordinal)

    def values(
        self, blobs: Sequence[bytes], slot: int, start: int
    ) -> Iterator[tuple[Sequence[int], list[bytes]]]:
        """Ordinals from `start` on that have the slot, in groups, and the slot's values of each."""
        for layout, group in self._groups.items():
            bounds = place_in(layout, slot)
            if bounds is None or group[-1] < start:
                continue
            ordinals = group[bisect_left(group, start) :] if start else group
            yield ordinals, list(map(itemgetter(slice(*bounds)), map(blobs.__getitem__, ordinals)))
        others = self._others[bisect_left(self._others, start) :]
        if others:
            column = column_of(list(map(blobs.__getitem__, others)), slot)
            held = [at for at, data in enumerate(column) if data]
            if held:
                yield [others[at] for at in held], [column[at] for at in held]

    def memory(self) -> int:
        """Bytes besides what each row takes."""
        return 250 * len(self._groups)
