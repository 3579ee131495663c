"""The opened keys of charts, unwrapped on first use and kept for a while. One a process."""

from __future__ import annotations

from collections.abc import Callable

from careledger.primitives.errors import Corrupt
from careledger.vault.envelope import ChartKeys, blind
from careledger.vault.keystore import Keys
from careledger.vault.tables import CHART, CHART_KEY, Tables
from careledger.vault.wraps import Wrapper, unwrap_chart_keys

CHARTS_MAX = 50_000


class Keyring:
    """Chart number to `ChartKeys`, and the home's keys as they are now.

    Erasing changes both. The writer's process puts the new ones; the others read the key store again (`source`)
    when a snapshot shows them another generation, and forget what they had opened.
    """

    def __init__(
        self, keys: Keys, organisation: bytes, tables: Tables, source: Callable[[], Keys] | None = None
    ) -> None:
        self.keys = keys
        self._source = source
        self.coming: dict[int, ChartKeys] = {}
        """Keys of new epochs, while the block that makes them known is not committed: for the writer alone."""
        self._tables = tables
        self._opened: dict[int, ChartKeys] = {}
        self.organisation = organisation
        self._wrapper = Wrapper()

    def get(self, chart: int) -> ChartKeys:
        """The chart's keys. Raises Corrupt if there are none, or they were wrapped for another home."""
        found = self._opened.get(chart)
        return found if found is not None else self._open(chart)

    def for_writing(self, chart: int) -> ChartKeys:
        """The keys under which the open transaction seals."""
        return self.coming.get(chart) or self.get(chart)

    def _open(self, chart: int) -> ChartKeys:
        with self._tables.env.begin() as txn:
            data = txn.get(CHART_KEY.pack(chart), db=self._tables.chart)
            wrap = txn.get(CHART_KEY.pack(chart), db=self._tables.wrap)
        if data is None or wrap is None:
            raise Corrupt("a chart has no keys in the index", hint="run `careledger fsck`")
        handle, epoch = CHART.unpack_from(data)[:2]
        return self.unwrap(chart, handle, epoch, wrap)

    def wrap(self, chart_keys: ChartKeys) -> bytes:
        """A chart's keys as they are stored."""
        keys = chart_keys
        return self._wrapper.wrap(self.keys, keys.handle, keys.record_key, keys.access_key, keys.epoch)

    def unwrap(self, chart: int, handle: bytes, epoch: int, wrap: bytes) -> ChartKeys:
        """Open wrapped keys and remember them for this chart."""
        record_key, access_key = unwrap_chart_keys(self.keys, handle, epoch, wrap)
        return self.put(chart, ChartKeys(self.organisation, handle, epoch, record_key, access_key))

    def put(self, chart: int, keys: ChartKeys) -> ChartKeys:
        """Remember keys that are open already."""
        if len(self._opened) >= CHARTS_MAX:
            self._opened.clear()
        self._opened[chart] = keys
        return keys

    def forget(self, chart: int) -> None:
        """The keys changed or are gone."""
        self._opened.pop(chart, None)

    def clear(self) -> None:
        """Forget every chart's keys."""
        self._opened.clear()

    def refresh(self) -> None:
        """Something was erased elsewhere: take the key store as it is now, and forget every chart's keys."""
        self._opened.update(self.coming)
        self.coming.clear()
        self._wrapper.forget()
        if self._source is not None:
            self.keys = self._source()
            self._opened.clear()

    def blind(self, term: bytes) -> bytes:
        """The token under which a term stands in the index: 16 bytes that say nothing without the key."""
        return blind(self.keys.blind_key, term)

    def token(self, type: str, id: str) -> bytes:
        """The blind token of a resource."""
        return blind(self.keys.blind_key, f"id\0{type}/{id}".encode())
