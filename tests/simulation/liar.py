"""A Byzantine validator: proposes what no rule allows, votes twice, keeps to no guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from careledger.ledger.consensus.chain import is_urgent
from careledger.ledger.transaction import TRANSACTION, TRANSACTION_SIZE_MAX, Authenticator, Transaction
from tests.simulation.ballots import PRECOMMIT, PROPOSE, Ballot, Block, Proposal
from tests.simulation.engine import Engine

LIES_PER_BLOCK = 0.8
OVERSIZE = TRANSACTION_SIZE_MAX + 2
"""More than a block takes, and more than the ledger could write down."""
DOUBLE_VOTES = 0.25
DOUBLE_FROM_S = 10.0
"""Until then it only proposes lies: whoever votes twice is convicted soon."""

Transactions = tuple[bytes, ...]
Twist = Callable[["Liar", Transactions], Transactions]
"""What is made of an honest block's transactions; unchanged if there is nothing to make it of."""


def _forged(liar: Liar, honest: Transactions) -> Transactions:
    if not honest:
        return honest
    last = TRANSACTION.decode(honest[-1])
    first, *rest = last.authenticators
    bent = Authenticator(first.algorithm, first.key, bytes(len(first.signature)))
    return (*honest[:-1], TRANSACTION.encode(Transaction(last.body, (bent, *rest))))


def _reordered(liar: Liar, honest: Transactions) -> Transactions:
    """Only if a lane has two in the block: their order is then wrong."""
    lanes = [TRANSACTION.decode(one).body[44:77] for one in honest]
    return tuple(reversed(honest)) if len(set(lanes)) < len(lanes) else honest


def _late_lane_0(liar: Liar, honest: Transactions) -> Transactions:
    urgent = tuple(one for one in honest if is_urgent(one))
    others = tuple(one for one in honest if not is_urgent(one))
    return (*others, *urgent) if urgent and others else honest


def _repeated(liar: Liar, honest: Transactions) -> Transactions:
    """What an earlier block held: a revoked consent's grant, an anchor, anything."""
    old = [one for block in liar.disk.blocks.values() for one in block.transactions]
    return (*honest, liar.simulation.world.chance.choice(old)) if old else honest


TWISTS: Final[dict[str, Twist]] = {
    "forged": _forged,
    "reordered": _reordered,
    "lane 0 late": _late_lane_0,
    "repeated": _repeated,
    "doubled": lambda liar, honest: (*honest, *honest),
    "oversize": lambda liar, honest: (*honest, bytes(OVERSIZE)),
    "garbage": lambda liar, honest: (*honest, b"no transaction"),
}


class Liar(Engine):
    """Its application is honest and follows the chain; its engine is not."""

    async def _propose(self, round: int) -> None:
        chance = self.simulation.world.chance
        block = self._valid or await self._make_block(round)
        if self.simulation.is_calm or chance.random() > LIES_PER_BLOCK:
            self._send_proposal(round, block)
            return
        kinds = list(TWISTS)
        kind = chance.choice([*kinds, "two blocks"] if self._is_bold() else kinds)
        if kind == "two blocks":
            self._send_two(round, block)
            return
        twisted = TWISTS[kind](self, block.transactions)
        lie = Block(block.height, f"{block.label} {kind}", block.time_ms, twisted, block.proofs)
        if twisted != block.transactions:
            self.simulation.lies[lie.id] = kind
            self.simulation.trace.add(self.node, "lies", lie.label)
        self._send_proposal(round, lie)

    def _is_bold(self) -> bool:
        return not self.simulation.is_calm and self.simulation.world.loop.time() > DOUBLE_FROM_S

    def _send_two(self, round: int, block: Block) -> None:
        """A block for one half of the others, an empty one for the other half."""
        other = Block(block.height, f"{block.label} twin", block.time_ms + 1, (), block.proofs)
        peers = self.simulation.peers(self.node.number)
        for at, peer in enumerate(peers):
            chosen = block if at % 2 else other
            ballot = self._enter(PROPOSE, chosen.id)
            self.simulation.network.send(self.node.number, peer, Proposal(ballot, -1, chosen))
        self.simulation.trace.add(self.node, "proposes twice", block.label)

    def _vote(self, step: int, block: bytes) -> None:
        self.step = step
        if self.node.number not in self._powers(self.height):
            return
        if not self._is_bold() or self.simulation.world.chance.random() > DOUBLE_VOTES:
            ballot = self._enter(step, block)
            self._take_vote(ballot)
            self._broadcast(ballot)
            return
        known = list(self._known)
        other = b"" if block else known[0] if known else bytes(32)
        for at, peer in enumerate(self.simulation.peers(self.node.number)):
            ballot = self._enter(step, block if at % 2 else other)
            self.simulation.network.send(self.node.number, peer, ballot)
        self.simulation.trace.add(self.node, "votes twice", self.height, self.round, step)

    def _sign(self, step: int, block: bytes) -> Ballot | None:
        if self.node.number not in self._powers(self.height):
            return None
        return self._enter(step, block)

    def _enter(self, step: int, block: bytes) -> Ballot:
        """Signed without a guard."""
        last = self.disk.blocks.get(self.height - 1)
        time_ms = max(self.node.clock_ms(), 0 if last is None else last.time_ms + 1)
        if step == PRECOMMIT and not self.simulation.is_calm:
            time_ms += 3_600_000
        ballot = Ballot(self.node.number, self.height, self.round, step, block, time_ms)
        self.book.enter(ballot, may_lie=True)
        return ballot
