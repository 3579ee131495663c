"""What later journal records say of earlier ones: which keys replaced theirs, and what was erased.

A key that is missing is damage, unless a later record says that it was destroyed. So whoever replays a journal reads
these records first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from careledger.primitives.errors import Corrupt
from careledger.vault import journal as frames
from careledger.vault import records
from careledger.vault.envelope import ChartKeys
from careledger.vault.journal import Frame, Journal, Position, TornTail
from careledger.vault.records import Resealed

KINDS = frozenset((records.RESEAL, records.REWRAP, records.DESTROY))


@dataclass(slots=True)
class Tombstones:
    """The last word on each chart: its wrap, its epoch, its metas; and the charts that were shredded."""

    wraps: dict[int, bytes] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    metas: dict[int, dict[int, Resealed]] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    floor: int = 0

    def meta_of(self, chart: int, index: int, epoch: int, meta: bytes, keys: ChartKeys) -> tuple[bytes, bool]:
        """The meta that the chart's keys open, and whether it is that of an erased version. Raises Corrupt."""
        if epoch == keys.epoch:
            return meta, False
        found = self.metas.get(chart, {}).get(index)
        if found is None:
            raise Corrupt(
                f"the secret of leaf {index} of chart {chart} is missing, and nothing says that it was erased",
                hint="restore the newest backup into a new folder",
            )
        return found.meta, found.erased

    def take(self, frame: Frame) -> None:
        """A frame that takes effect."""
        for record in frame.records(KINDS):
            if record.kind == records.RESEAL:
                reseal = records.unpack_reseal(record.content)
                self.wraps[reseal.chart], self.epochs[reseal.chart] = reseal.wrap, reseal.epoch
                self.metas[reseal.chart] = {one.index: one for one in reseal.metas}
                if reseal.closed:
                    self.closed.add(reseal.chart)
            elif record.kind == records.REWRAP:
                chart, wrap = records.unpack_rewrap(record.content)
                self.wraps[chart] = wrap
            else:
                self.floor = max(self.floor, records.unpack_destroy(record.content))


def read_tombstones(journal: Journal, start: Position, size: int) -> Tombstones:
    """Those of the frames from `start` up to `size`, or up to a torn one: whoever replays says what is wrong with it."""
    found, staged = Tombstones(), []
    try:
        for frame in journal.frames(start, size):
            if frame.kind == frames.STAGED:
                staged.append(frame)
            elif frame.kind == frames.ABANDONED:
                staged.clear()
            elif frame.kind == frames.COMMITTED:
                for one in (*staged, frame):
                    found.take(one)
                staged.clear()
    except TornTail:
        pass
    return found
