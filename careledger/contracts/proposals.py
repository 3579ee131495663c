"""Proposals: what is written down of them, and when they have passed. A part of the contract `governance`.

Each organisation with weight has one vote of that weight, as it was when the proposal was made and never more than it
is now. Up to three organisations must all agree. What is approved is a body, by its hash: exactly these actions, until
then, at that height. Two proposals with equal bodies have numbers of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from careledger.contracts.identity import DID
from careledger.contracts.validators import (
    UNANIMOUS_MAX,
    VALIDATORS_MAX,
    WEIGHT,
    compute_weights,
    get_seats,
)
from careledger.ledger.kernel import Item, Map, State
from careledger.primitives.encoding import DIGEST, FLAG, U8, U64, Bytes, List, Pair, Schema, Set
from careledger.primitives.hashing import tagged
from careledger.primitives.types import Did

OPEN, PASSED, IN_FORCE, FAILED, LAPSED, REJECTED = 1, 2, 3, 4, 5, 6
"""Statuses: being voted on; passed and waiting; taken effect; refused when it should have; expired; voted down."""

ACTIONS_MAX = 128
ACTION_SIZE_MAX = 16_384
OPEN_MAX = 4
"""Proposals of one organisation that may be open or waiting at a time."""
EXPIRY_MS_MAX = 30 * 86_400_000
HEIGHTS_AHEAD_MAX = 10_000_000
CONSTITUTIONAL_DELAY_MS = 86_400_000
AGENDA_MAX = OPEN_MAX * VALIDATORS_MAX


@dataclass(frozen=True, slots=True)
class Body:
    """What is voted on. `expiry_ms` is block time; `at_height` 0: at the next block after it has passed."""

    actions: tuple[bytes, ...]
    expiry_ms: int
    at_height: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal and its votes. `voters` are the organisations that had weight at `height`, with that weight."""

    by: Did
    body_hash: bytes
    height: int
    is_constitutional: bool
    status: int
    settled_height: int
    voters: tuple[tuple[Did, int], ...]
    votes: tuple[tuple[Did, bool], ...]


class Due(NamedTuple):
    """A proposal that is not settled. While open: when it lapses (`height` 0: at no height). Once passed: the first
    height and time at which it takes effect."""

    number: int
    by: Did
    has_passed: bool
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Agenda:
    """The proposals that are not settled, by number, and the number of the next one."""

    next_number: int
    due: tuple[Due, ...]


NUMBER = U64
BODY: Schema[Body] = Schema(
    Body,
    actions=List(Bytes(ACTION_SIZE_MAX, least=1), ACTIONS_MAX),
    expiry_ms=U64,
    at_height=U64,
)
DUE: Schema[Due] = Schema(Due, number=NUMBER, by=DID, has_passed=FLAG, height=U64, time_ms=U64)
PROPOSALS: Map[int, Proposal] = Map(
    "governance",
    "proposal",
    NUMBER,
    Schema(
        Proposal,
        by=DID,
        body_hash=DIGEST,
        height=U64,
        is_constitutional=FLAG,
        status=U8,
        settled_height=U64,
        voters=Set(Pair(DID, WEIGHT), VALIDATORS_MAX),
        votes=Set(Pair(DID, FLAG), VALIDATORS_MAX),
    ),
    "by number; 1 open, 2 passed, 3 in force, 4 failed, 5 lapsed, 6 rejected",
)
BODIES: Map[int, Body] = Map(
    "governance",
    "body",
    NUMBER,
    BODY,
    "by number, until the proposal is settled; the block that proposed it keeps it",
)
AGENDA: Item[Agenda] = Item(
    "governance",
    "agenda",
    Schema(Agenda, next_number=NUMBER, due=Set(DUE, AGENDA_MAX)),
    "what is open or waiting",
)


def compute_body_hash(body: Body) -> bytes:
    """What voters approve: H(`cl1.proposal`, enc(body))."""
    return tagged("cl1.proposal", BODY.encode(body))


def get_agenda(state: State) -> Agenda:
    """What is not settled."""
    return AGENDA.read(state) or Agenda(1, ())


def write_due(state: State, number: int, due: Due | None) -> None:
    """The agenda holds this for the proposal, or nothing."""
    agenda = get_agenda(state)
    kept = [one for one in agenda.due if one.number != number]
    entries = kept if due is None else sorted([*kept, due])
    AGENDA.write(state, Agenda(max(agenda.next_number, number + 1), tuple(entries)))


def has_passed(voters: dict[Did, int], backing: dict[Did, int], *, is_constitutional: bool) -> bool:
    """Whether these, with the weight that counts for each, carry a proposal: all of up to three organisations, else
    more than two thirds of the weight, or more than three quarters where it is constitutional."""
    if len(voters) <= UNANIMOUS_MAX:
        return all(backing.get(did, 0) > 0 for did in voters)
    needed, of = (3, 4) if is_constitutional else (2, 3)
    return of * sum(backing.values()) > needed * sum(voters.values())


def tally(state: State, proposal: Proposal) -> int:
    """PASSED, REJECTED (whatever the others will say), or OPEN."""
    voters, votes = dict(proposal.voters), dict(proposal.votes)
    weights = compute_weights(get_seats(state))
    counting = {did: min(weight, weights.get(did, 0)) for did, weight in proposal.voters}
    agreed = {did: weight for did, weight in counting.items() if votes.get(did) is True}
    possible = {did: weight for did, weight in counting.items() if votes.get(did) is not False}
    if has_passed(voters, agreed, is_constitutional=proposal.is_constitutional):
        return PASSED
    return OPEN if has_passed(voters, possible, is_constitutional=proposal.is_constitutional) else REJECTED
