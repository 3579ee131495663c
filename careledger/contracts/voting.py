"""Voting: proposals are made, voted on, and take effect at a block's beginning. A part of the contract `governance`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from careledger.contracts.actions import (
    ACTIONS,
    ActionMalformed,
    Upgrade,
    UpgradeNotAlone,
    decode_actions,
    is_constitutional,
    run_actions,
)
from careledger.contracts.identity import (
    DID,
    NotAnOrganisation,
    SubjectInactive,
    SubjectUnknown,
    get_active_organisation,
)
from careledger.contracts.proposals import (
    AGENDA,
    AGENDA_MAX,
    BODIES,
    BODY,
    CONSTITUTIONAL_DELAY_MS,
    EXPIRY_MS_MAX,
    FAILED,
    HEIGHTS_AHEAD_MAX,
    IN_FORCE,
    LAPSED,
    NUMBER,
    OPEN,
    OPEN_MAX,
    PASSED,
    PROPOSALS,
    REJECTED,
    Body,
    Due,
    Proposal,
    compute_body_hash,
    get_agenda,
    tally,
    write_due,
)
from careledger.contracts.validators import compute_weights, get_seats, is_network
from careledger.ledger.kernel import Context, EventKind, MessageKind, Rejected, State
from careledger.primitives.encoding import DIGEST, FLAG, U8, U16, Schema
from careledger.primitives.errors import Corrupt
from careledger.primitives.types import Did


@dataclass(frozen=True, slots=True)
class Propose:
    """A proposal, and its author's vote for it. Signed by the root key of an organisation with weight."""

    by: Did
    body: Body


@dataclass(frozen=True, slots=True)
class Vote:
    """An organisation's one vote on what it names by number and by hash. Signed by its root key."""

    by: Did
    number: int
    body_hash: bytes
    is_for: bool


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal was made."""

    number: int
    by: Did
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class Voted:
    """An organisation voted."""

    number: int
    by: Did
    is_for: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """A proposal passed, or came to its end. `code` is of the rule that refused it when it should have taken effect."""

    number: int
    status: int
    code: int


class NotANetwork(Rejected):
    """This ledger has no validators: its operator decides."""

    number, code, reason = 515, "not-a-network", "this ledger has no validators: its operator decides"


class NotAVoter(Rejected):
    """Only organisations with weight propose, and only those vote that had weight when the proposal was made and have
    it still."""

    number, code, reason = 517, "not-a-voter", "the organisation has no weight in this decision"


class TooManyProposals(Rejected):
    """An organisation has at most four proposals open or waiting."""

    number, code, reason = 518, "too-many-proposals", "the organisation has as many open proposals as it may"


class ExpiryOutOfRange(Rejected):
    """A proposal expires after this block's time, and within 30 days."""

    number, code, reason = 519, "expiry-out-of-range", "the proposal expires too early or too late"


class HeightOutOfRange(Rejected):
    """A height named lies ahead, by at most 10,000,000; an upgrade names one."""

    number, code, reason = 520, "height-out-of-range", "the height is past, too far ahead, or not named"


class ProposalUnknown(Rejected):
    """No proposal has this number."""

    number, code, reason = 521, "proposal-unknown", "no proposal has this number"


class ProposalClosed(Rejected):
    """The proposal has passed, lapsed or been rejected already."""

    number, code, reason = 522, "proposal-closed", "the proposal is no longer voted on"


class BodyDiffers(Rejected):
    """The proposal of this number says something else."""

    number, code, reason = 523, "body-differs", "the proposal's body is another"


class AlreadyVoted(Rejected):
    """An organisation votes once; its author voted by proposing."""

    number, code, reason = 524, "already-voted", "the organisation has voted already"


def propose(ctx: Context, message: Propose) -> None:
    """The proposal is written down under the next number, with its author's vote; nobody else's weight counts later."""
    # CHECK
    if not is_network(ctx.state):
        raise NotANetwork
    author, body = get_active_organisation(ctx.state, message.by), message.body
    weights = compute_weights(get_seats(ctx.state))
    if message.by not in weights:
        raise NotAVoter
    agenda = get_agenda(ctx.state)
    if sum(due.by == message.by for due in agenda.due) >= OPEN_MAX or len(agenda.due) >= AGENDA_MAX:
        raise TooManyProposals
    if not ctx.time_ms < body.expiry_ms <= ctx.time_ms + EXPIRY_MS_MAX:
        raise ExpiryOutOfRange
    actions = decode_actions(body.actions)
    is_upgrade = isinstance(actions[0][1], Upgrade)
    if (body.at_height or is_upgrade) and not 0 < body.at_height - ctx.height <= HEIGHTS_AHEAD_MAX:
        raise HeightOutOfRange
    ctx.require_signed(author.root)
    run_actions(ctx.draft(), message.by, actions)
    # APPLY
    number, body_hash = agenda.next_number, compute_body_hash(body)
    proposal = Proposal(
        message.by,
        body_hash,
        ctx.height,
        is_constitutional(actions),
        OPEN,
        0,
        tuple(weights.items()),
        ((message.by, True),),
    )
    BODIES.set(ctx.state, number, body)
    write_due(ctx.state, number, Due(number, message.by, False, body.at_height, body.expiry_ms))
    # EMIT
    ctx.emit(PROPOSED, Proposed(number, message.by, body_hash))
    _count(ctx, number, proposal)


def vote(ctx: Context, message: Vote) -> None:
    """The vote counts; with it the proposal may pass, or be rejected."""
    # CHECK
    author = get_active_organisation(ctx.state, message.by)
    proposal = PROPOSALS.get(ctx.state, message.number)
    if proposal is None:
        raise ProposalUnknown
    if proposal.status != OPEN:
        raise ProposalClosed
    if message.body_hash != proposal.body_hash:
        raise BodyDiffers
    if message.by not in dict(proposal.voters) or message.by not in compute_weights(get_seats(ctx.state)):
        raise NotAVoter
    if message.by in dict(proposal.votes):
        raise AlreadyVoted
    ctx.require_signed(author.root)
    # APPLY, EMIT
    votes = tuple(sorted([*proposal.votes, (message.by, message.is_for)]))
    ctx.emit(VOTED, Voted(message.number, message.by, message.is_for))
    _count(ctx, message.number, replace(proposal, votes=votes))


def _count(ctx: Context, number: int, proposal: Proposal) -> None:
    """Writes the proposal with its votes; it waits once it has passed, and is settled if it cannot pass any more."""
    status = tally(ctx.state, proposal)
    PROPOSALS.set(ctx.state, number, replace(proposal, status=status))
    if status == REJECTED:
        _settle(ctx, number, proposal, REJECTED)
    elif status == PASSED:
        at_height = _get_body(ctx.state, number).at_height
        delay_ms = CONSTITUTIONAL_DELAY_MS if proposal.is_constitutional else 0
        due = Due(number, proposal.by, True, max(ctx.height + 1, at_height), ctx.time_ms + delay_ms)
        write_due(ctx.state, number, due)
        ctx.emit(SETTLED, Settled(number, PASSED, 0))


def on_block(ctx: Context) -> None:
    """What has passed and is due takes effect; what was not decided in time lapses."""
    agenda = AGENDA.read(ctx.state)
    if agenda is None:
        return
    for due in agenda.due:
        proposal = PROPOSALS.get(ctx.state, due.number)
        if proposal is None:
            raise Corrupt("a proposal of the agenda has no entry", hint="run `careledger fsck`")
        is_at_height = due.height > 0 and ctx.height >= due.height
        if due.has_passed and is_at_height and ctx.time_ms >= due.time_ms:
            _take_effect(ctx, due.number, proposal)
        elif not due.has_passed and (is_at_height or ctx.time_ms > due.time_ms):
            _settle(ctx, due.number, proposal, LAPSED)


def _take_effect(ctx: Context, number: int, proposal: Proposal) -> None:
    draft = ctx.draft()
    try:
        run_actions(draft, proposal.by, decode_actions(_get_body(ctx.state, number).actions))
    except Rejected as refusal:
        _settle(ctx, number, proposal, FAILED, refusal.number)
    else:
        ctx.take(draft)
        _settle(ctx, number, proposal, IN_FORCE)


def _settle(ctx: Context, number: int, proposal: Proposal, status: int, code: int = 0) -> None:
    PROPOSALS.set(ctx.state, number, replace(proposal, status=status, settled_height=ctx.height))
    BODIES.delete(ctx.state, number)
    write_due(ctx.state, number, None)
    ctx.emit(SETTLED, Settled(number, status, code))


def _get_body(state: State, number: int) -> Body:
    body = BODIES.get(state, number)
    if body is None:
        raise Corrupt("a proposal that is not settled has no body", hint="run `careledger fsck`")
    return body


def get_upgrades(state: State) -> tuple[tuple[int, Upgrade], ...]:
    """Upgrades that have passed, with the block that they execute first; a node with other code stops before it."""
    found: list[tuple[int, Upgrade]] = []
    for due in get_agenda(state).due:
        if due.has_passed:
            action = decode_actions(_get_body(state, due.number).actions)[0][1]
            if isinstance(action, Upgrade):
                found.append((due.height, action))
    return tuple(found)


_OF_AUTHORS: tuple[type[Rejected], ...] = (SubjectUnknown, SubjectInactive, NotAnOrganisation)
_OF_ACTIONS: tuple[type[Rejected], ...] = tuple(
    dict.fromkeys([refusal for kind in ACTIONS for refusal in kind.refusals])
)

PROPOSED = EventKind("governance.proposed", Schema(Proposed, number=NUMBER, by=DID, body_hash=DIGEST))
VOTED = EventKind("governance.voted", Schema(Voted, number=NUMBER, by=DID, is_for=FLAG))
SETTLED = EventKind("governance.settled", Schema(Settled, number=NUMBER, status=U8, code=U16))

PROPOSE = MessageKind(
    504,
    "governance.propose",
    Schema(Propose, by=DID, body=BODY),
    propose,
    (
        NotANetwork,
        *_OF_AUTHORS,
        NotAVoter,
        TooManyProposals,
        ExpiryOutOfRange,
        ActionMalformed,
        UpgradeNotAlone,
        HeightOutOfRange,
        *[refusal for refusal in _OF_ACTIONS if refusal not in _OF_AUTHORS],
    ),
)
VOTE = MessageKind(
    505,
    "governance.vote",
    Schema(Vote, by=DID, number=NUMBER, body_hash=DIGEST, is_for=FLAG),
    vote,
    (*_OF_AUTHORS, ProposalUnknown, ProposalClosed, BodyDiffers, NotAVoter, AlreadyVoted),
)
