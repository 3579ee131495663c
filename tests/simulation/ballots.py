"""What validators of the modelled consensus sign and send, and the book of everything that was signed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from careledger.primitives.hashing import sha256
from tests.simulation.world import Violation

PROPOSE, PREVOTE, PRECOMMIT = 1, 2, 3
STEP_NAMES = {PROPOSE: "proposal", PREVOTE: "prevote", PRECOMMIT: "precommit"}

Powers = dict[int, int]
"""Weight by node."""


@dataclass(frozen=True)
class Ballot:
    """A vote, or the signature under a proposal. `block` is a block's id, or b"" for none."""

    node: int
    height: int
    round: int
    step: int
    block: bytes
    time_ms: int

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Where a validator signs once at most."""
        return self.node, self.height, self.round, self.step


@dataclass(frozen=True)
class Proof:
    """Two ballots of one validator at one place."""

    one: Ballot
    other: Ballot


@dataclass(frozen=True)
class Block:
    """What is proposed and decided. `label` names it in traces: ids follow the bytes of hedged signatures."""

    height: int
    label: str
    time_ms: int
    transactions: tuple[bytes, ...]
    proofs: tuple[Proof, ...]

    @cached_property
    def id(self) -> bytes:
        """Of all its contents."""
        parts = [repr((self.height, self.time_ms, self.proofs)).encode(), *self.transactions]
        return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts))


@dataclass(frozen=True)
class Proposal:
    """A block for a round; `valid_round` as in Tendermint, −1 for a new one."""

    ballot: Ballot
    valid_round: int
    contents: Block


@dataclass(frozen=True)
class Status:
    """Where a node is and what it has of this height, so that others send what it lacks."""

    height: int
    votes: frozenset[Ballot]
    proposals: frozenset[int]


@dataclass(frozen=True)
class Decision:
    """A decided block and the precommits that decided it."""

    contents: Block
    ballots: tuple[Ballot, ...]


@dataclass(frozen=True)
class Gossip:
    """Transactions from a pool."""

    transactions: tuple[bytes, ...]


@dataclass
class Book:
    """Every ballot that left a signer. Signatures are not computed: what stands here is signed."""

    ballots: set[Ballot] = field(default_factory=set)
    _first: dict[tuple[int, int, int, int], bytes] = field(default_factory=dict)

    def enter(self, ballot: Ballot, *, may_lie: bool = False) -> None:
        """Raises Violation if an honest validator signs two things at one place."""
        first = self._first.setdefault(ballot.place, ballot.block)
        if first != ballot.block and not may_lie:
            raise Violation(
                f"node {ballot.node} signed twice at height {ballot.height}, round {ballot.round}, "
                f"{STEP_NAMES[ballot.step]}"
            )
        self.ballots.add(ballot)

    def is_signed(self, ballot: Ballot) -> bool:
        """Whether its signature would hold."""
        return ballot in self.ballots


def is_proof(proof: Proof, book: Book) -> bool:
    """Whether it convicts."""
    one, other = proof.one, proof.other
    return (
        one.place == other.place
        and one.block != other.block
        and one.step != PROPOSE
        and book.is_signed(one)
        and book.is_signed(other)
    )


def has_quorum(powers: Powers, nodes: set[int]) -> bool:
    """Over two thirds of the weight."""
    return 3 * sum(powers.get(node, 0) for node in nodes) > 2 * sum(powers.values())


def is_decided(decision: Decision, powers: Powers, book: Book) -> bool:
    """Whether these ballots decide the block."""
    ballots = decision.ballots
    if len({(one.height, one.round) for one in ballots}) != 1:
        return False
    good = {
        one.node
        for one in ballots
        if one.step == PRECOMMIT
        and one.block == decision.contents.id
        and one.height == decision.contents.height
        and book.is_signed(one)
    }
    return has_quorum(powers, good)


def compute_median_time(ballots: tuple[Ballot, ...], powers: Powers) -> int:
    """Weighted median of the precommits' times: less than a third of liars cannot move it beyond the others."""
    times = sorted((one.time_ms, powers.get(one.node, 0)) for one in ballots)
    half = sum(weight for _, weight in times) / 2
    for time_ms, weight in times:
        half -= weight
        if half <= 0:
            return time_ms
    return times[-1][0]
