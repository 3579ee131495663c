"""`apply_block`: THE state transition function, the same under every way of ordering transactions.

Pure: what it reads comes through `read`, what it writes leaves in the outcome. Nothing raises out of it but a failing
store: a rule that refuses gives its number, a defect in a handler gives `Defect`, and both leave no trace in the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from careledger.ledger.blocks import TransactionReceipt
from careledger.ledger.kernel import (
    BODY_BYTES_MAX,
    PARAMETERS,
    VALID_MS_MAX,
    Context,
    Contract,
    Event,
    Evidence,
    Item,
    Key,
    Map,
    MessageKind,
    Parameters,
    Rejected,
    State,
)
from careledger.ledger.log import Node
from careledger.ledger.transaction import (
    LANES,
    Authenticator,
    Body,
    TransactionTooLarge,
    compute_id,
    decode_transaction,
    verify_authenticators,
)
from careledger.primitives.encoding import DIGEST, U8, U32, U64, Pair, Schema, Set
from careledger.primitives.errors import CareLedgerError, Corrupt, Invalid, Unavailable
from careledger.primitives.hashing import ZERO_DIGEST
from careledger.primitives.types import Did

DAY_MS = 86_400_000

Read = Callable[[bytes], bytes | None]
"""The state before the block, by hashed key."""

Verify = Callable[[bytes, Sequence[Authenticator], bytes], frozenset[Key]]
"""Who signed: (the transaction's bytes, its authenticators, its id) -> their keys.

It answers and refuses exactly as `verify_authenticators` would; it may only be quicker.
"""


class Defect(Rejected):
    """A handler failed in a way that no rule foresees; the transaction is refused. Report it."""

    number, code, reason = 1, "defect", "a handler failed; please report this"


DEFECTS = (
    ArithmeticError,
    AttributeError,
    CareLedgerError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a wrong handler can raise. Failures of store and machine (OSError, MemoryError, lmdb's) are none of it."""


class OtherLedger(Rejected):
    """The transaction was made for another ledger."""

    number, code, reason = 4, "other-ledger", "the transaction names another genesis"


class Expired(Rejected):
    """valid_until lies before the block's time."""

    number, code, reason = 5, "expired", "valid_until has passed"


class ValidTooLong(Rejected):
    """valid_until lies further ahead of the block's time than `valid_ms_max`: 24 hours, unless governance set less."""

    number, code, reason = 6, "valid-too-long", "valid_until is too far ahead"


class LaneOrder(Rejected):
    """A transaction of lane 0 stands behind one of another lane."""

    number, code, reason = 7, "lane-order", "lane 0 comes first in a block"


class LaneReserved(Rejected):
    """Lane 0 carries only revocations, suspensions and jailing."""

    number, code, reason = 8, "lane-reserved", "this message may not travel in lane 0"


class UnknownLane(Rejected):
    """Lanes are 0 to 15."""

    number, code, reason = 9, "unknown-lane", "lanes are 0 to 15"


class SequenceMismatch(Rejected):
    """The sequence is not the next of this sponsor and lane."""

    number, code, reason = 10, "sequence-mismatch", "the sequence is not the next one of this lane"


class QuotaExceeded(Rejected):
    """The sponsor's bytes of this day (block time, UTC) are used up."""

    number, code, reason = 11, "quota-exceeded", "the sponsor's quota of today is used up"


class UnknownSponsor(Rejected):
    """The sponsor is no active organisation."""

    number, code, reason = 12, "unknown-sponsor", "the sponsor is no active organisation"


class SponsorNotSigned(Rejected):
    """None of the sponsor's keys signed."""

    number, code, reason = 13, "sponsor-not-signed", "no key of the sponsor signed"


class UnusedAuthenticator(Rejected):
    """A key signed that neither the sponsor nor a message needs."""

    number, code, reason = 17, "unused-authenticator", "an authenticator is not needed"


class UnknownMessage(Rejected):
    """No contract has a message of this number."""

    number, code, reason = 18, "unknown-message", "no contract has this message"


class MalformedMessage(Rejected):
    """The message's fields are not the canonical encoding, or over a limit."""

    number, code, reason = 19, "malformed-message", "the message is not canonically encoded"


class NoMessages(Rejected):
    """A transaction carries at least one message."""

    number, code, reason = 21, "no-messages", "the transaction carries no message"


@dataclass(frozen=True, slots=True)
class History:
    """Size and root of the history log before the block."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Account:
    """A sponsor's day (days since 1970 in block time), bytes used in it, and the next sequence of each used lane."""

    day: int
    used_bytes: int
    lanes: tuple[tuple[int, int], ...]


HISTORY: Item[History] = Item(
    "sys", "history", Schema(History, size=U64, root=DIGEST), "the history log before the newest block"
)
ACCOUNTS: Map[Did, Account] = Map(
    "sys",
    "account",
    DIGEST,  # type: ignore[arg-type]  # a Did is a digest
    Schema(Account, day=U32, used_bytes=U64, lanes=Set(Pair(U8, U64), LANES)),
    "by sponsor: quota and sequences",
)
SYSTEM_STATE: tuple[Map[Any, Any], ...] = (HISTORY, PARAMETERS, ACCOUNTS)

ENVELOPE_REFUSALS_OF_EXECUTION: tuple[type[Rejected], ...] = (
    Defect,
    OtherLedger,
    Expired,
    ValidTooLong,
    LaneOrder,
    LaneReserved,
    UnknownLane,
    SequenceMismatch,
    QuotaExceeded,
    UnknownSponsor,
    SponsorNotSigned,
    UnusedAuthenticator,
    UnknownMessage,
    MalformedMessage,
    NoMessages,
)


class Overlay:
    """Writes over a state that is only read: `changes` holds what differs, None is a deletion."""

    __slots__ = ("_read", "changes", "seen")

    def __init__(self, read: Read) -> None:
        self._read = read
        self.changes: dict[bytes, bytes | None] = {}
        self.seen: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        if key in self.changes:
            return self.changes[key]
        if key in self.seen:
            return self.seen[key]
        value = self.seen[key] = self._read(key)
        return value

    def set(self, key: bytes, value: bytes | None) -> None:
        self.changes[key] = value


def verify_always(_: bytes, authenticators: Sequence[Authenticator], transaction_id: bytes) -> frozenset[Key]:
    """`verify_authenticators`, each time."""
    return verify_authenticators(authenticators, transaction_id)


class Rules:
    """The contracts of a ledger, indexed. Raises RuntimeError if their tables contradict each other.

    `verify` is how signatures are checked: a replica, which meets a transaction up to four times, passes one that
    remembers (`consensus.verified.VerifiedOnce`).
    """

    def __init__(self, contracts: Sequence[Contract], verify: Verify = verify_always) -> None:
        self.verify = verify
        self.messages: dict[int, MessageKind[Any]] = {}
        for contract in contracts:
            for kind in contract.messages:
                if kind.number in self.messages:
                    raise RuntimeError(f"message number {kind.number} is taken")
                self.messages[kind.number] = kind
        providers = [contract.sponsor_keys for contract in contracts if contract.sponsor_keys]
        if len(providers) != 1:
            raise RuntimeError("exactly one contract must know the sponsors' keys")
        self.sponsor_keys = providers[0]
        self.on_evidence = tuple([one.on_evidence for one in contracts if one.on_evidence])
        self.on_block = tuple([one.on_block for one in contracts if one.on_block])


@dataclass(frozen=True, slots=True)
class BlockInput:
    """A block to execute, and what it stands on. `history` are the leaves 0 … height − 1."""

    genesis_hash: bytes
    height: int
    time_ms: int
    history: History
    transactions: Sequence[bytes]
    evidence: tuple[Evidence, ...] = ()
    """What the engine proved against validators; acted on before the transactions."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """State changes by hashed key, receipts in the order of the transactions, and nodes of contract logs to store."""

    changes: dict[bytes, bytes | None]
    receipts: tuple[TransactionReceipt, ...]
    log_nodes: tuple[tuple[bytes, Node], ...]
    begin_events: tuple[Event, ...] = ()
    """Of what the block did before its transactions: evidence acted on, proposals that took effect."""


class Execution:
    """A block under way, transaction after transaction; `block.transactions` is not looked at.

    The first write is `sys/history`; evidence and what is due follow, then what is applied.
    """

    __slots__ = ("_begin_events", "_block", "_is_past_lane_0", "_nodes", "_receipts", "_rules", "_state")

    def __init__(self, rules: Rules, read: Read, block: BlockInput) -> None:
        self._rules, self._block = rules, block
        state = self._state = Overlay(read)
        HISTORY.write(state, block.history)
        self._receipts: list[TransactionReceipt] = []
        self._nodes: list[tuple[bytes, Node]] = []
        self._begin_events = _begin(rules, state, block, self._nodes)
        self._is_past_lane_0 = False

    def apply(self, data: bytes, *, is_kept_if_refused: bool = True) -> TransactionReceipt:
        """Executes the next transaction. One that is refused and not kept is no part of the block."""
        receipt, lane = _apply_transaction(
            self._rules, self._state, self._block, data, self._is_past_lane_0, self._nodes
        )
        if receipt.code == 0 or is_kept_if_refused:
            self._receipts.append(receipt)
            self._is_past_lane_0 = self._is_past_lane_0 or lane > 0
        return receipt

    def outcome(self) -> Outcome:
        """What the transactions so far come to."""
        return Outcome(self._state.changes, tuple(self._receipts), tuple(self._nodes), self._begin_events)


def apply_block(rules: Rules, read: Read, block: BlockInput) -> Outcome:
    """Executes a block on the state behind `read`."""
    execution = Execution(rules, read, block)
    for data in block.transactions:
        execution.apply(data)
    return execution.outcome()


def _begin(
    rules: Rules, state: Overlay, block: BlockInput, nodes: list[tuple[bytes, Node]]
) -> tuple[Event, ...]:
    """What happens before the transactions, each step whole or not at all; its events."""
    events: list[Event] = []
    for evidence in block.evidence:
        for on_evidence in rules.on_evidence:
            events += _run_step(state, block, nodes, on_evidence, evidence)
    for on_block in rules.on_block:
        events += _run_step(state, block, nodes, on_block)
    return tuple(events)


def _run_step(
    state: Overlay,
    block: BlockInput,
    nodes: list[tuple[bytes, Node]],
    step: Callable[..., None],
    *arguments: Evidence,
) -> list[Event]:
    draft = Overlay(state.get)
    context = Context(draft, block.height, block.time_ms, frozenset())
    try:
        step(context, *arguments)
    except (Corrupt, Unavailable):
        raise
    except DEFECTS:  # nobody sent it, so nobody is refused; it must not halt the ledger
        return []
    state.changes.update(draft.changes)
    nodes.extend(context.log_nodes)
    return context.events


def apply_genesis(rules: Rules, parameters: Parameters, time_ms: int, messages: Iterable[bytes]) -> Outcome:
    """The first state: every key counts as having signed. Raises what refuses a message."""
    state = Overlay(lambda key: None)
    PARAMETERS.write(state, parameters)
    context = Context(state, 0, time_ms, frozenset(), is_genesis=True)
    for data in messages:
        kind, message = _decode_message(rules, data)
        kind.handler(context, message)
    receipt = TransactionReceipt(ZERO_DIGEST, 0, tuple(context.events))
    return Outcome(state.changes, (receipt,), tuple(context.log_nodes))


def _apply_transaction(
    rules: Rules,
    state: Overlay,
    block: BlockInput,
    data: bytes,
    is_past_lane_0: bool,
    nodes: list[tuple[bytes, Node]],
) -> tuple[TransactionReceipt, int]:
    """One transaction, all or nothing; its receipt and lane (−1 if it has none)."""
    transaction_id, lane = ZERO_DIGEST, -1
    try:
        transaction, body = decode_transaction(data)
        transaction_id, lane = compute_id(transaction.body), body.lane
        account = _check_envelope(state, block, body, len(transaction.body), is_past_lane_0)
        signers = rules.verify(data, transaction.authenticators, transaction_id)
        draft = Overlay(state.get)
        context = Context(draft, block.height, block.time_ms, signers)
        _check_sponsor(rules, context, body.sponsor)
        ACCOUNTS.set(draft, body.sponsor, account)
        _run_messages(rules, context, body)
        if len(signers) != 1 and not signers.issubset(context.used):
            raise UnusedAuthenticator
    except Rejected as refusal:
        return TransactionReceipt(transaction_id, refusal.number, reason=refusal.message), lane
    except (Corrupt, Unavailable):
        raise  # the store's failure is not the transaction's: the node stops
    except DEFECTS as error:  # must not halt the ledger; it is refused everywhere alike
        return TransactionReceipt(transaction_id, Defect.number, reason=type(error).__name__), lane
    state.changes.update(draft.changes)
    nodes.extend(context.log_nodes)
    return TransactionReceipt(transaction_id, 0, tuple(context.events)), lane


def _check_envelope(state: State, block: BlockInput, body: Body, size: int, is_past_lane_0: bool) -> Account:
    """Everything that costs no signature; the sponsor's account as it will be."""
    if body.genesis_hash != block.genesis_hash:
        raise OtherLedger
    if body.valid_until < block.time_ms:
        raise Expired
    if body.valid_until > block.time_ms + VALID_MS_MAX.get(state):
        raise ValidTooLong
    if body.lane >= LANES:
        raise UnknownLane
    if body.lane == 0 and is_past_lane_0:
        raise LaneOrder
    if not body.messages:
        raise NoMessages
    if size > BODY_BYTES_MAX.get(state):
        raise TransactionTooLarge
    account = ACCOUNTS.get(state, body.sponsor) or Account(0, 0, ())
    lanes = dict(account.lanes)
    if body.sequence != lanes.get(body.lane, 0):
        raise SequenceMismatch(f"the next sequence of lane {body.lane} is {lanes.get(body.lane, 0)}")
    lanes[body.lane] = body.sequence + 1
    day = block.time_ms // DAY_MS
    used = size + (account.used_bytes if account.day == day else 0)
    parameters = PARAMETERS.read(state)
    if parameters is not None and used > parameters.quota_bytes_day:
        raise QuotaExceeded
    return Account(day, used, tuple(sorted(lanes.items())))


def _check_sponsor(rules: Rules, context: Context, sponsor: Did) -> None:
    keys: tuple[Key, ...] = rules.sponsor_keys(context.state, sponsor)
    if not keys:
        raise UnknownSponsor
    signed = [key for key in keys if key in context.signers]
    if not signed:
        raise SponsorNotSigned
    context.used.append(signed[0])


def _run_messages(rules: Rules, context: Context, body: Body) -> None:
    for data in body.messages:
        kind, message = _decode_message(rules, data)
        if body.lane == 0 and not kind.is_urgent:
            raise LaneReserved
        kind.handler(context, message)


def _decode_message(rules: Rules, data: bytes) -> tuple[MessageKind[Any], Any]:
    kind = rules.messages.get(int.from_bytes(data[:2], "big"))
    if kind is None:
        raise UnknownMessage
    try:
        return kind, kind.schema.decode(data[2:])
    except Invalid as error:
        raise MalformedMessage(f"{kind.name}: {error.message}") from None
