"""One sender floods every pool with transactions that are all valid."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from careledger.ledger.consensus.verdicts import Source
from tests.ledger.crowd import withdrawal
from tests.simulation.clients import compose

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

FIRST_LANE: Final = 11
LANES: Final = 4
DEPTH: Final = 16
"""Sequences of a lane that it keeps filled: more, together, than a sponsor's share of a pool."""
PAUSE_S: Final = 0.1


class Flood:
    """By the node with the lowest number, in lanes of its own; straight into everybody's pool."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self._sent = 0

    async def run(self) -> None:
        """Until it is cancelled. Whatever was executed is followed by as much again."""
        sender = self.simulation.nodes[0]
        while True:
            await asyncio.sleep(PAUSE_S)
            for lane in range(FIRST_LANE, FIRST_LANE + LANES):
                if sender.is_up:
                    self._send(lane, self._sent % DEPTH)
                    self._send(lane, (self._sent + 1) % DEPTH)
            self._sent += 2

    def _send(self, lane: int, ahead: int) -> None:
        sender = self.simulation.nodes[0]
        message = withdrawal(f"flood {self.simulation.seed} {self._sent} {lane} {ahead}")
        transaction = compose(sender, lane, [message], [], ahead)
        for node in self.simulation.nodes:
            if node.is_up:
                node.pool.insert(transaction, Source.PEER)
