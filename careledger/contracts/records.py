"""Records: each organisation anchors the root of its heads map, batch after batch, in one unbroken sequence.

The ledger sees roots only. The anchors of an organisation form a log of batches, so that any earlier batch can be
proved under the newest.
"""

from __future__ import annotations

from dataclasses import dataclass

from careledger.contracts.identity import (
    DID,
    NotAnOrganisation,
    SubjectInactive,
    SubjectUnknown,
    get_active_organisation,
)
from careledger.ledger.kernel import Context, Contract, EventKind, Log, Map, MessageKind, Rejected
from careledger.primitives.encoding import DIGEST, U64, Pair, Schema
from careledger.primitives.hashing import ZERO_DIGEST
from careledger.primitives.types import Did

FIRST_PREVIOUS = ZERO_DIGEST
"""`previous` of an organisation's first anchor: the root of an empty map."""


@dataclass(frozen=True, slots=True)
class Head:
    """An organisation's newest batch: number, root of its heads map, block time in ms, log of batches."""

    seq: int
    root: bytes
    time_ms: int
    size: int
    log_root: bytes


HEADS: Map[Did, Head] = Map(
    "records",
    "anchors",
    DID,
    Schema(Head, seq=U64, root=DIGEST, time_ms=U64, size=U64, log_root=DIGEST),
    "by organisation: the newest batch and the log of batches",
)
BATCHES: Log[Did] = Log("records", "batches", DID, "by organisation: leaf seq = enc(seq, root, time)")
BATCH = Pair(U64, DIGEST, U64)


@dataclass(frozen=True, slots=True)
class Anchor:
    """The next batch: number 0, 1, 2 …, the root it continues, its own root. Signed by the node key."""

    organisation: Did
    seq: int
    previous: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class Anchored:
    """A batch stands in the ledger."""

    organisation: Did
    seq: int
    root: bytes


class AnchorOutOfSequence(Rejected):
    """seq is not the number after the newest batch's. The node that sent it must stop: it has lost or kept a batch."""

    number, code, reason = 301, "anchor-out-of-sequence", "the anchor's number is not the next one"


class AnchorNotContinuing(Rejected):
    """The previous root is not the newest batch's. The node that sent it must stop: its history differs."""

    number, code, reason = 302, "anchor-not-continuing", "the anchor does not continue the newest root"


def encode_batch(seq: int, root: bytes, time_ms: int) -> bytes:
    """Leaf `seq` of the log of batches, before hashing."""
    return BATCH.encode((seq, root, time_ms))


def anchor(ctx: Context, message: Anchor) -> None:
    """The batch becomes the organisation's newest and a leaf of its log of batches."""
    # CHECK
    organisation = get_active_organisation(ctx.state, message.organisation)
    head = HEADS.get(ctx.state, message.organisation)
    if message.seq != (0 if head is None else head.seq + 1):
        raise AnchorOutOfSequence
    if message.previous != (FIRST_PREVIOUS if head is None else head.root):
        raise AnchorNotContinuing
    ctx.require_signed(organisation.node or organisation.root)  # every organisation has a node key
    # APPLY
    batch = encode_batch(message.seq, message.root, ctx.time_ms)
    log = BATCHES.append(ctx, message.organisation, batch)
    newest = Head(message.seq, message.root, ctx.time_ms, log.size, log.root())
    HEADS.set(ctx.state, message.organisation, newest)
    # EMIT
    ctx.emit(ANCHORED, Anchored(message.organisation, message.seq, message.root))


ANCHORED = EventKind("records.anchored", Schema(Anchored, organisation=DID, seq=U64, root=DIGEST))
ANCHOR = MessageKind(
    301,
    "records.anchor",
    Schema(Anchor, organisation=DID, seq=U64, previous=DIGEST, root=DIGEST),
    anchor,
    (SubjectUnknown, SubjectInactive, NotAnOrganisation, AnchorOutOfSequence, AnchorNotContinuing),
)

CONTRACT = Contract(
    name="records",
    purpose="Roots of sealed records, batch after batch.",
    state=(HEADS, BATCHES),
    messages=(ANCHOR,),
    events=(ANCHORED,),
)
