"""The house log of people: events as access entries of the house chart, and of the patient's where they concern one."""

from __future__ import annotations

import os
import time
from typing import Final

from careledger.node.backend import NodeBackend
from careledger.node.log import logger
from careledger.smart.auditing import KIND, PAGE_ROWS, Event, Page, Row
from careledger.smart.limits import Limit, Limiter, TooManyRequests
from careledger.vault.model import HOUSE_CHART, AccessEntry

CLIENT: Final = "careledger-pages"
PURPOSE: Final = "HOPERAT"
RULE: Final = "operator"
"""By which the entries stand in a patient's chart: the custodian's own work, of which nothing left the chart."""
DENIED: Final = "denied"
EVERYDAY: Final = frozenset({"signed-in", "audit-read"})
"""What happens all day and needs nobody: the node's log has it at a lower level."""
REFUSALS: Final = Limit(rate=1 / 30, burst=200)
"""Refusals that are journalled, of one account or of strangers: who types wrong codes all day fills no disk. The node's
log has them all."""
SCANNED_MAX: Final = 5000
_CHUNK: Final = 256


class NodeHouseLog:
    """`smart.auditing.HouseLog` over the node. One a process."""

    def __init__(self, backend: NodeBackend) -> None:
        self._backend = backend
        self._refusals = Limiter(lambda: time.monotonic_ns() // 1_000_000)

    async def record(self, event: Event) -> None:
        """In the node's log, and durable in the house chart and the patient's when it returns. Raises Unavailable."""
        note(event.what, event.why)
        if event.is_refusal:
            try:
                self._refusals.use(REFUSALS, event.account)
            except TooManyRequests:
                return
        await self.enter(event)

    async def enter(self, event: Event) -> None:
        """Durable there when it returns, and not in the node's log: a command says itself what it did. Raises Unavailable."""
        await self._backend.log_access(self._compose(event))

    def _compose(self, event: Event) -> tuple[AccessEntry, ...]:
        with self._backend.snapshot() as snapshot:
            height = snapshot.ledger_height
            chart = snapshot.chart_of(event.patient) if event.patient else None
        request_id, now_ms = os.urandom(16), self._backend.now_ms()

        def enter(number: int, rule: str, what: str) -> AccessEntry:
            return AccessEntry(
                chart=number,
                request_id=request_id,
                actor=event.account,
                client=CLIENT,
                organisation=self._backend.organisation,
                purpose=PURPOSE,
                rule=rule,
                permitted=True,
                kind=KIND,
                what=what,
                height=height,
                time_ms=now_ms,
            )

        house = enter(HOUSE_CHART, event.what, event.line)
        return (house,) if chart is None else (house, enter(chart, RULE, event.told or event.what))

    def read(self, before: int) -> Page:
        """Lines of people and refused requests; of a request neither id nor value. At most SCANNED_MAX entries are
        looked at: a page may be short, or empty, and yet there are older ones."""
        rows: list[Row] = []
        with self._backend.snapshot() as snapshot:
            count = snapshot.access_count(HOUSE_CHART)
            place = min(before, count) if before > 0 else count
            least = max(0, place - SCANNED_MAX)
            while place > least and len(rows) < PAGE_ROWS:
                start = max(least, place - _CHUNK)
                for entry in reversed(snapshot.accesses(HOUSE_CHART, start, place)):
                    place -= 1
                    row = _read(entry)
                    if row is not None:
                        rows.append(row)
                    if len(rows) == PAGE_ROWS:
                        break
        return Page(tuple(rows), place)


def note(what: str, why: str) -> None:
    """The same in the node's log: no name, no code."""
    level = logger().info if what in EVERYDAY else logger().warning
    level("sign-in", code=what, reason=why)


def _read(entry: AccessEntry) -> Row | None:
    if entry.kind == KIND:
        return Row(entry.time_ms, entry.actor, entry.rule, entry.what)
    if entry.kind == DENIED:  # what was asked for may name a patient: its type alone is told
        asked = entry.what.partition("?")[0].partition("/")[0]
        return Row(entry.time_ms, entry.actor or entry.client, DENIED, f"{entry.rule} {asked}")
    return None
