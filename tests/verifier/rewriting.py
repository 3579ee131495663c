"""A custodian that rewrites a chart after somebody took a checkpoint: any entry of either log, in any of five ways.

It holds every key: the rewritten chart is anchored and signed anew, in a history that continues the old one, or in
another (fault catalogue H1). Used sampled by the tests, at length by the campaign.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from tests.verifier.synthetic_chart import HEIGHT, SyntheticChart

WAYS = ("remove", "change", "exchange", "insert", "cut")


class Rewritten:
    """One chart with a checkpoint in other hands; `tamper` gives exports that must all be refused under it."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.chart = SyntheticChart(seed=seed)
        for number in range(self.draw.randrange(8)):
            self.chart.add("Basic", f"b-{number}")
            self.chart.accesses.append(self.chart.shown(what=f"Basic/b-{number}"))
        self.chart.export()
        self.held = len(self.chart.entries), len(self.chart.accesses)
        self.chart.go_on()
        self.chart.sizes = (*self.chart.sizes, HEIGHT + 1)
        self.trust = self.chart.checkpoint(HEIGHT + 1)

    def honest(self) -> bytes:
        """What a custodian that changed nothing gives."""
        return self._with(self.chart.entries, self.chart.accesses).export()

    def tamper(self) -> tuple[str, bytes]:
        """How it was rewritten, and the file."""
        draw = self.draw
        if draw.random() < 0.1:
            return "another history", self._fork()
        access = draw.random() < 0.5
        logs: list[list[Any]] = [list(self.chart.entries), list(self.chart.accesses)]
        log, way = logs[access], draw.choice(WAYS)
        held = self.held[access]
        at = draw.randrange(held)
        if way == "remove":
            del log[at]
        elif way == "change":
            log[at] = replace(log[at], time=log[at].time + draw.choice((-1, 1)))
        elif way == "exchange":
            other = draw.choice([one for one in range(held) if one != at])
            log[at], log[other] = log[other], log[at]
        elif way == "insert":
            other = draw.choice([one for one in range(held) if one != at])
            log.insert(at, replace(log[other], time=log[at].time))
        else:
            del log[at:]
        for _ in range(draw.randrange(3)):  # and goes on
            log.append(log[-1] if log else self.chart.accesses[0] if access else self.chart.entries[0])
        original: list[Any] = [self.chart.entries, self.chart.accesses][access]
        if (
            not log or log[:held] == original[:held]
        ):  # no chart is made without entries; none of them is what was
            return self.tamper()
        return f"{way} {'access' if access else 'entry'} {at}", self._with(*logs).export()

    def _with(self, entries: list[Any], accesses: list[Any]) -> SyntheticChart:
        other = replace(self.chart, entries=entries, accesses=[*accesses, self.chart.shown(what="now")])
        other.past, other.pinned = self.chart.past, self.chart.pinned
        return other

    def _fork(self) -> bytes:
        """The same chart, in a history of which one old block is another."""
        other = self._with(self.chart.entries, self.chart.accesses)
        other.past = list(other.past)
        at = self.draw.randrange(HEIGHT + 1)
        other.past[at] = other.past[at][:-32] + self.draw.randbytes(32)
        return other.export()
