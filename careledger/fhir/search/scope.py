"""What a caller may find: charts, and a last word on each resource."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from careledger.fhir.search.chartindex import TypeIndex
from careledger.vault.model import Snapshot, Version

Visible = Callable[[str, Version], bool]
Within = Callable[[TypeIndex, int], int]


@dataclass(frozen=True, slots=True)
class Scope:
    """`charts`: None for all charts, else those the caller sees; the rest is as if absent.

    `visible` decides on each match and include besides; what it hides is not counted either. `within` says the same of
    the ordinals of an index all at once; it is asked where there is an index, and `visible` where there is none.
    """

    charts: frozenset[int] | None = None
    visible: Visible | None = None
    within: Within | None = None

    def holds(self, chart: int) -> bool:
        return self.charts is None or chart in self.charts

    def sees(self, version: Version) -> bool:
        """Whether the version lies in a chart of the scope and is visible."""
        if self.charts is not None and version.chart not in self.charts:
            if not any(chart in self.charts for chart, _ in version.links):
                return False
        return self.visible is None or self.visible(version.type, version)


EVERYTHING = Scope()


def version_at(snapshot: Snapshot, type: str, id: str, height: int) -> Version | None:
    """What the resource was at that height; None if it was not there, or deleted."""
    found = snapshot.current(type, id)
    if found is not None and found.height > height:
        found = next((version for version in snapshot.versions(type, id) if version.height <= height), None)
    return None if found is None or found.deleted else found
