"""What the pool says of a transaction: on arrival, and when it leaves otherwise than in a block."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from careledger.ledger.kernel import Rejected


class InsertCode(IntEnum):
    """What became of a transaction on arrival. From 32,000 on the engine may offer it again (its CodeTypeRetry)."""

    OK = 0
    DUPLICATE = 1
    """It is here already, or as many signed forms of its body as are kept."""
    INVALID = 2
    """No later state takes it; `refusal` says why."""
    CONFLICT = 3
    """The sponsor has another transaction with this sequence here."""
    REFUSED = 4
    """It was refused when it was executed here, a few blocks ago."""
    NOT_NOW = 32_000
    """The newest state refuses it, `refusal` says why; a later one may not."""
    AHEAD = 32_001
    """Its sequence is too far ahead of the state's."""
    FULL = 32_002
    """No room for more of this sponsor."""
    RATE = 32_003
    """More of this sponsor a second than it may send."""
    BUSY = 32_004
    """Too many signatures from this source did not hold."""

    @property
    def is_retry(self) -> bool:
        """Whether the same bytes may be taken later."""
        return self >= InsertCode.NOT_NOW


class Source(IntEnum):
    """Where a transaction came from: this node's own clients, the engine's peers, or the engine's own door (RPC)."""

    LOCAL = 0
    PEER = 1
    DOOR = 2


class Why(IntEnum):
    """Why a local transaction left the pool without being in a block. Other nodes may still hold it."""

    EVICTED = 1
    EXPIRED = 2
    OVERTAKEN = 3
    """Another transaction was executed with its sequence."""
    REFUSED = 4
    """When a block was prepared; `Gone.number` is the rule."""
    DISOWNED = 5
    """The key of the sponsor that signed it is no longer one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refusal` is the rule that refused, with INVALID and NOT_NOW."""

    code: InsertCode
    refusal: Rejected | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """A local transaction that left, by its id."""

    id: bytes
    why: Why
    number: int = 0
