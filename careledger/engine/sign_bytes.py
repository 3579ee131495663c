"""What a validator signs, from what the engine asks it to sign (CometBFT v0.40.0, types/canonical.go).

The bytes are the canonical vote or proposal behind its length. `content` names all of it but the time: the engine may
ask again for the same with another time, and has then to take the signature that it was given before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from careledger.engine.privval import (
    BlockID,
    CanonicalProposal,
    CanonicalVote,
    PartSetHeader,
    Proposal,
    Vote,
)
from careledger.engine.privval_table import SignedType
from careledger.ledger.consensus.abci.frames import encode_frame
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import DIGEST_SIZE, sha256

PROPOSE, PREVOTE, PRECOMMIT = 1, 2, 3
"""Steps of a round, in their order."""
STEPS: Final = {SignedType.PREVOTE: PREVOTE, SignedType.PRECOMMIT: PRECOMMIT}
NANOS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Something to sign: its place in the order, what it says (`content`), when, and the bytes to sign."""

    height: int
    round: int
    step: int
    content: bytes
    seconds: int
    nanos: int
    sign_bytes: bytes


def read_vote(chain_id: str, vote: Vote) -> Asked:
    """A prevote or precommit. Raises Invalid for anything that no engine asks for."""
    step = next((step for type, step in STEPS.items() if type == vote.type), None)
    if step is None:
        raise _invalid("a vote is a prevote or a precommit")
    if vote.extension:
        raise _invalid("this network has no vote extensions")
    _check_place(vote.height, vote.round)
    canonical = CanonicalVote(type=vote.type, height=vote.height, round=vote.round, chain_id=chain_id)
    if not _is_nil(vote.block_id):
        _copy_block(vote.block_id, canonical.block_id)
    return _make(canonical, vote.height, vote.round, step, canonical.timestamp, vote.timestamp)


def read_proposal(chain_id: str, proposal: Proposal) -> Asked:
    """A proposal of a block. Raises Invalid for anything that no engine asks for."""
    if proposal.type != SignedType.PROPOSAL:
        raise _invalid("a proposal has the type of a proposal")
    _check_place(proposal.height, proposal.round)
    if not (proposal.pol_round == -1 or 0 <= proposal.pol_round < proposal.round):
        raise _invalid("a proposal names an earlier round, or none")
    canonical = CanonicalProposal(
        type=proposal.type,
        height=proposal.height,
        round=proposal.round,
        pol_round=proposal.pol_round,
        chain_id=chain_id,
    )
    _copy_block(proposal.block_id, canonical.block_id)
    place = (proposal.height, proposal.round, PROPOSE)
    return _make(canonical, *place, canonical.timestamp, proposal.timestamp)


def _make(canonical: Message, height: int, round: int, step: int, field: Timestamp, time: Timestamp) -> Asked:
    content = sha256(canonical.SerializeToString())
    if not 0 <= time.nanos < NANOS or time.seconds <= 0:
        raise _invalid("a time is missing, or is none")
    field.seconds, field.nanos = time.seconds, time.nanos
    return Asked(height, round, step, content, time.seconds, time.nanos, encode_frame(canonical))


def _check_place(height: int, round: int) -> None:
    if height < 1 or round < 0:
        raise _invalid("heights begin at 1, rounds at 0")


def _is_nil(block: BlockID) -> bool:
    return not block.hash and not block.part_set_header.hash and not block.part_set_header.total


def _copy_block(block: BlockID, canonical: BlockID) -> None:
    header = block.part_set_header
    if len(block.hash) != DIGEST_SIZE or len(header.hash) != DIGEST_SIZE or not header.total:
        raise _invalid("a block is named by its hash and its parts, or not at all")
    canonical.CopyFrom(
        BlockID(hash=block.hash, part_set_header=PartSetHeader(total=header.total, hash=header.hash))
    )


def _invalid(message: str) -> Invalid:
    return Invalid(message, hint="is this the engine that belongs to this home?", code="unsignable")
