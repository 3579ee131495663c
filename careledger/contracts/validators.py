"""Validators: whose engine keys sign blocks, and with which weight. A part of the contract `governance`.

Weight is granted by votes, belongs to an organisation, and cannot be handed on. From four organisations on each has
less than a third; two or three have equal weights, so that every block needs all of them. Evidence against a
validator takes its weight at once and jails it, whatever that leaves, but the last one stays. A ledger with
validators is a network: there no operator decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from careledger.ledger.kernel import KEY, Context, Event, EventKind, Evidence, Item, Key, Map, Rejected, State
from careledger.primitives.encoding import DIGEST, U8, U64, Codec, Fixed, Schema, Set
from careledger.primitives.errors import Corrupt
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did

ACTIVE, JAILED, REMOVED = 1, 2, 3
"""Statuses. Only the active have weight; a removed one's key never returns."""

VALIDATORS_MAX = 128
WEIGHT_MAX = 1_000_000
UNANIMOUS_MAX = 3
"""Up to so many organisations, all must agree, on blocks and on decisions."""

ADDRESS: Codec[bytes] = Fixed(20)
WEIGHT = U64
_DID: Codec[Did] = DIGEST  # type: ignore[assignment]  # a Did is a digest


@dataclass(frozen=True, slots=True)
class Validator:
    """An engine key of an organisation. `height` is that of its newest change."""

    organisation: Did
    key: Key
    weight: int
    status: int
    height: int


class Seat(NamedTuple):
    """An active validator, as the rules of weight see it."""

    address: bytes
    organisation: Did
    weight: int


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """Who signs blocks. `algorithm` is that of every engine key: the engine takes no other, and would halt."""

    algorithm: int
    seats: tuple[Seat, ...]


class Power(NamedTuple):
    """A validator as the engine is told of it; power 0 removes."""

    algorithm: int
    public: bytes
    power: int


SEAT: Schema[Seat] = Schema(Seat, address=ADDRESS, organisation=_DID, weight=WEIGHT)
VALIDATORS: Map[bytes, Validator] = Map(
    "governance",
    "validator",
    ADDRESS,
    Schema(Validator, organisation=_DID, key=KEY, weight=WEIGHT, status=U8, height=U64),
    "by address: SHA-256 of the engine key, cut to 20 bytes; 1 active, 2 jailed, 3 removed",
)
VALIDATOR_SET: Item[ValidatorSet] = Item(
    "governance",
    "validators",
    Schema(ValidatorSet, algorithm=U8, seats=Set(SEAT, VALIDATORS_MAX)),
    "the active ones; present on a network, absent on an embedded ledger",
)


@dataclass(frozen=True, slots=True)
class ValidatorChanged:
    """A validator was added, weighed, jailed or removed; weight 0: it signs nothing, or did not before."""

    address: bytes
    organisation: Did
    weight_before: int
    weight: int
    status: int


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """The engine proved that a validator with weight signed twice (kind 1) or lied to a light client (2)."""

    address: bytes
    organisation: Did
    kind: int
    height: int


class ValidatorUnknown(Rejected):
    """No validator has this address, or it was removed."""

    number, code, reason = 504, "validator-unknown", "no validator has this address"


class ValidatorNotActive(Rejected):
    """The validator is jailed: it has no weight until a vote gives it back."""

    number, code, reason = 505, "validator-not-active", "the validator is jailed"


class ValidatorNotJailed(Rejected):
    """Only a jailed validator can be given its weight back."""

    number, code, reason = 506, "validator-not-jailed", "the validator is not jailed"


class WeightOutOfBounds(Rejected):
    """An active validator's weight is 1 to 1,000,000."""

    number, code, reason = 507, "weight-out-of-bounds", "a weight is 1 to 1,000,000"


class OrganisationTooHeavy(Rejected):
    """With four or more organisations each has less than a third of the weight."""

    number, code, reason = 508, "organisation-too-heavy", "an organisation would have a third of the weight"


class WeightsUnequal(Rejected):
    """Two or three organisations have equal weights, so that every block needs all."""

    number, code, reason = 509, "weights-unequal", "two or three organisations have equal weights"


class LastValidator(Rejected):
    """The set of validators is never empty: nobody could sign the next block."""

    number, code, reason = 510, "last-validator", "no validator would be left"


class TooManyValidators(Rejected):
    """A network has at most 128 validators."""

    number, code, reason = 511, "too-many-validators", "a network has at most 128 validators"


class EngineKeyDiffers(Rejected):
    """Every engine key is of the algorithm that the genesis chose, and no vote changes that: the engine would refuse
    another, and halt."""

    number, code, reason = (
        512,
        "engine-key-differs",
        "the engine keys here are of another algorithm, which the genesis chose and no vote changes",
    )


def compute_address(key: Key) -> bytes:
    """The engine's name of a validator: SHA-256 of its public key, cut to 20 bytes."""
    return sha256(key.public)[:20]


def is_network(state: State) -> bool:
    """Whether this ledger has validators, who decide by votes."""
    return state.get(_SET_KEY) is not None


def get_seats(state: State) -> tuple[Seat, ...]:
    """The active validators, ascending by address; none on an embedded ledger."""
    found = VALIDATOR_SET.read(state)
    return () if found is None else found.seats


def compute_weights(seats: tuple[Seat, ...]) -> dict[Did, int]:
    """Weight by organisation, ascending by DID."""
    weights: dict[Did, int] = {}
    for seat in sorted(seats, key=lambda seat: seat.organisation):
        weights[seat.organisation] = weights.get(seat.organisation, 0) + seat.weight
    return weights


def check_weights(seats: tuple[Seat, ...]) -> None:
    """Raises LastValidator, OrganisationTooHeavy, WeightsUnequal."""
    if not seats:
        raise LastValidator
    weights = tuple(compute_weights(seats).values())
    if len(weights) <= UNANIMOUS_MAX:
        if min(weights) != max(weights):
            raise WeightsUnequal
    elif 3 * max(weights) >= sum(weights):
        raise OrganisationTooHeavy


def get_validator(state: State, address: bytes) -> Validator:
    """A validator, active or jailed. Raises ValidatorUnknown."""
    validator = VALIDATORS.get(state, address)
    if validator is None or validator.status == REMOVED:
        raise ValidatorUnknown
    return validator


def check_weight(weight: int) -> None:
    """Raises WeightOutOfBounds."""
    if not 1 <= weight <= WEIGHT_MAX:
        raise WeightOutOfBounds


def check_algorithm(state: State, key: Key) -> None:
    """Raises EngineKeyDiffers."""
    found = VALIDATOR_SET.read(state)
    if found is not None and found.algorithm != key.algorithm:
        raise EngineKeyDiffers


def enter_validator(ctx: Context, address: bytes, validator: Validator) -> None:
    """The validator is this now, and the set of who signs follows. Raises TooManyValidators."""
    # CHECK
    found = VALIDATOR_SET.read(ctx.state) or ValidatorSet(validator.key.algorithm, ())
    seats = [seat for seat in found.seats if seat.address != address]
    before = sum(seat.weight for seat in found.seats if seat.address == address)
    if validator.status == ACTIVE:
        if len(seats) >= VALIDATORS_MAX:
            raise TooManyValidators
        seats.append(Seat(address, validator.organisation, validator.weight))
    # APPLY
    VALIDATORS.set(ctx.state, address, validator)
    VALIDATOR_SET.write(ctx.state, ValidatorSet(found.algorithm, tuple(sorted(seats))))
    # EMIT
    weight, status = validator.weight, validator.status
    ctx.emit(VALIDATOR_CHANGED, ValidatorChanged(address, validator.organisation, before, weight, status))


def take_weight(ctx: Context, address: bytes, validator: Validator, status: int) -> None:
    """The validator signs nothing more: jailed, or removed for ever."""
    enter_validator(ctx, address, replace(validator, weight=0, status=status, height=ctx.height))


def on_evidence(ctx: Context, evidence: Evidence) -> None:
    """The validator loses its weight and is jailed. Nothing happens if it has none; the last one keeps it."""
    validator = VALIDATORS.get(ctx.state, evidence.address)
    if validator is None or validator.status != ACTIVE:
        return
    misbehaved = Misbehaved(evidence.address, validator.organisation, evidence.kind, evidence.height)
    ctx.emit(MISBEHAVED, misbehaved)
    if len(get_seats(ctx.state)) > 1:
        take_weight(ctx, evidence.address, validator, JAILED)


def get_powers(state: State) -> tuple[Power, ...]:
    """The active validators as the engine is told of them, ascending by address."""
    return tuple([_compute_power(state.get, seat.address, seat.weight) for seat in get_seats(state)])


def genesis_validators(state: State) -> tuple[Power, ...]:
    """The validators with which a network begins. Raises what `check_weights` raises: such a genesis is refused."""
    check_weights(get_seats(state))
    return get_powers(state)


class BlockOutcome(Protocol):
    """What `apply_block` returns, as far as it is needed here."""

    @property
    def changes(self) -> Mapping[bytes, bytes | None]: ...
    @property
    def receipts(self) -> Sequence[HasEvents]: ...
    @property
    def begin_events(self) -> Sequence[Event]: ...


class HasEvents(Protocol):
    """A receipt."""

    @property
    def events(self) -> Sequence[Event]: ...


def validator_updates(outcome: BlockOutcome) -> tuple[Power, ...]:
    """What a block changes for the engine, ascending by address, whatever state is at hand.

    Whoever came and went within the block is left out: the engine refuses to remove whom it does not know, and halts.
    """
    events = [*outcome.begin_events, *[event for receipt in outcome.receipts for event in receipt.events]]
    changed = [
        VALIDATOR_CHANGED.schema.decode(event.data)
        for event in events
        if event.type == VALIDATOR_CHANGED.name
    ]
    return compute_updates(changed, outcome.changes.get)


def compute_updates(
    changed: Iterable[ValidatorChanged], read: Callable[[bytes], bytes | None]
) -> tuple[Power, ...]:
    """As `validator_updates`, from the block's events in their order; `read` knows the changed validators' entries."""
    before: dict[bytes, int] = {}
    after: dict[bytes, int] = {}
    for one in changed:
        before.setdefault(one.address, one.weight_before)
        after[one.address] = one.weight
    return tuple(
        [
            _compute_power(read, address, after[address])
            for address in sorted(after)
            if after[address] != before[address]
        ]
    )


def _compute_power(read: Callable[[bytes], bytes | None], address: bytes, power: int) -> Power:
    raw = read(VALIDATORS.state_key(address))
    if raw is None:
        raise Corrupt("a validator with weight has no entry", hint="run `careledger fsck`")
    return Power(*VALIDATORS.value.decode(raw).key, power)


_SET_KEY = VALIDATOR_SET.state_key(b"")

VALIDATOR_CHANGED = EventKind(
    "governance.validator_changed",
    Schema(
        ValidatorChanged,
        address=ADDRESS,
        organisation=_DID,
        weight_before=WEIGHT,
        weight=WEIGHT,
        status=U8,
    ),
)
MISBEHAVED = EventKind(
    "governance.misbehaved",
    Schema(Misbehaved, address=ADDRESS, organisation=_DID, kind=U8, height=U64),
)
