"""Actions: what a proposal may do, and how it takes effect. A part of the contract `governance`.

The actions of a proposal take effect together, or none of them. `effect` is run as a trial when a proposal is made,
so that nobody votes on what cannot be, and again when it has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from careledger.contracts.admission import (
    ADMISSION,
    ADMISSION_REFUSALS,
    PROOF,
    Admit,
    KeyNotProven,
    check_asked,
    check_new,
    enter_organisation,
    is_signed,
)
from careledger.contracts.identity import (
    DID,
    KEYS,
    KeyInUse,
    KeyMalformed,
    NotAnOrganisation,
    SubjectInactive,
    SubjectUnknown,
    check_unused,
    compute_key_id,
    get_active_organisation,
    leave,
)
from careledger.contracts.parameters import (
    BOUNDS,
    PARAMETER_NAME,
    ParameterOutOfBounds,
    ParameterUnknown,
    check_parameter,
    enter_parameter,
)
from careledger.contracts.sys import CODE, PACKAGES, Profile, ProfileEmpty, check_profile, enter_profile
from careledger.contracts.validators import (
    ACTIVE,
    ADDRESS,
    JAILED,
    REMOVED,
    WEIGHT,
    EngineKeyDiffers,
    LastValidator,
    OrganisationTooHeavy,
    TooManyValidators,
    Validator,
    ValidatorNotActive,
    ValidatorNotJailed,
    ValidatorUnknown,
    WeightOutOfBounds,
    WeightsUnequal,
    check_algorithm,
    check_weight,
    check_weights,
    compute_address,
    enter_validator,
    get_seats,
    get_validator,
    take_weight,
)
from careledger.ledger.kernel import KEY, Context, Key, Rejected
from careledger.primitives.encoding import DIGEST, U64, Schema, Text
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import tagged
from careledger.primitives.types import Did

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class RemoveOrganisation:
    """The organisation acts no more, for ever, and its validators are removed."""

    organisation: Did


@dataclass(frozen=True, slots=True)
class AddValidator:
    """An engine key, new to this ledger, signs blocks with this weight. The proof is the key's own signature."""

    organisation: Did
    key: Key
    weight: int
    proof: bytes


@dataclass(frozen=True, slots=True)
class SetWeight:
    """An active validator has this weight."""

    address: bytes
    weight: int


@dataclass(frozen=True, slots=True)
class RemoveValidator:
    """The validator signs nothing more, and its key never returns."""

    address: bytes


@dataclass(frozen=True, slots=True)
class Jail:
    """An active validator loses its weight until a vote gives it one again."""

    address: bytes


@dataclass(frozen=True, slots=True)
class Unjail:
    """A jailed validator signs again, with this weight."""

    address: bytes
    weight: int


@dataclass(frozen=True, slots=True)
class ChangeParameter:
    """The parameter has this value for every transaction after this."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From the body's height on this executes the ledger: versions as in `sys/profile`, and the hash of the code."""

    code: str
    python: str
    packages: tuple[tuple[str, ...], ...]
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class ActionKind(Generic[A]):
    """One thing that a proposal may do: its stable number, name, fields, effect and what it may be refused with."""

    number: int
    name: str
    schema: Schema[A]
    effect: Callable[[Context, Did, A], None]
    refusals: tuple[type[Rejected], ...]
    shifts_weight: bool = False
    """The rules of weight must hold after it. Jailing alone may break them until the next vote."""

    def encode(self, action: A) -> bytes:
        """The action as a body carries it: u8 number | fields."""
        return bytes((self.number,)) + self.schema.encode(action)


class ActionMalformed(Rejected):
    """A body has at least one action, each of a known number and canonically encoded."""

    number, code, reason = 513, "action-malformed", "the body holds no action, or one that cannot be read"


class UpgradeNotAlone(Rejected):
    """An upgrade is the only action of its body, so that nothing else can fail beside it."""

    number, code, reason = 514, "upgrade-not-alone", "an upgrade is the only action of its proposal"


VALIDATOR_STATEMENT: Schema[AddValidator] = Schema(AddValidator, organisation=DID, key=KEY)


def compute_validator_statement(organisation: Did, key: Key) -> bytes:
    """What a new engine key signs: H(`cl1.validator`, enc(organisation, key))."""
    return tagged("cl1.validator", VALIDATOR_STATEMENT.encode(AddValidator(organisation, key, 0, b"")))


def decode_actions(encoded: Sequence[bytes]) -> list[tuple[ActionKind[Any], Any]]:
    """A body's actions with their kinds. Raises ActionMalformed, UpgradeNotAlone."""
    if not encoded:
        raise ActionMalformed
    actions = [_decode_action(data) for data in encoded]
    if len(actions) > 1 and any(kind is UPGRADE for kind, _ in actions):
        raise UpgradeNotAlone
    return actions


def _decode_action(data: bytes) -> tuple[ActionKind[Any], Any]:
    for kind in ACTIONS:
        if kind.number == data[0]:
            try:
                return kind, kind.schema.decode(data[1:])
            except Invalid as error:
                raise ActionMalformed(f"{kind.name}: {error.message}") from None
    raise ActionMalformed


def is_constitutional(actions: Sequence[tuple[ActionKind[Any], Any]]) -> bool:
    """Whether one of them touches what must never stop."""
    names = [bound.name for bound in BOUNDS if bound.is_constitutional]
    return any(kind is CHANGE_PARAMETER and action.name in names for kind, action in actions)


def run_actions(ctx: Context, by: Did, actions: Sequence[tuple[ActionKind[Any], Any]]) -> None:
    """All of them, one after the other, for the proposal's author. Raises what refuses one: then drop the context."""
    before = get_seats(ctx.state)
    for kind, action in actions:
        kind.effect(ctx, by, action)
    after = get_seats(ctx.state)
    if after == before:
        return
    if any(kind.shifts_weight for kind, _ in actions):
        check_weights(after)
    elif not after:
        raise LastValidator


def _admit(ctx: Context, by: Did, action: Admit) -> None:
    if action.by != by:
        raise KeyNotProven
    did = check_new(ctx.state, action.name, action.root)
    check_asked(ctx.state, action)
    enter_organisation(ctx, did, action.name, action.root, action.node, action.end_points)


def _remove_organisation(ctx: Context, by: Did, action: RemoveOrganisation) -> None:
    subject = get_active_organisation(ctx.state, action.organisation)
    for seat in get_seats(ctx.state):
        if seat.organisation == action.organisation:
            take_weight(ctx, seat.address, get_validator(ctx.state, seat.address), REMOVED)
    leave(ctx, action.organisation, subject)


def _add_validator(ctx: Context, by: Did, action: AddValidator) -> None:
    get_active_organisation(ctx.state, action.organisation)
    check_unused(ctx.state, action.key)
    check_algorithm(ctx.state, action.key)
    check_weight(action.weight)
    statement = compute_validator_statement(action.organisation, action.key)
    if not is_signed(action.key, statement, action.proof):
        raise KeyNotProven
    found_validator(ctx, action.organisation, action.key, action.weight)


def found_validator(ctx: Context, organisation: Did, key: Key, weight: int) -> None:
    """The checked engine key is the organisation's, and signs with this weight. Raises TooManyValidators."""
    validator = Validator(organisation, key, weight, ACTIVE, ctx.height)
    enter_validator(ctx, compute_address(key), validator)
    KEYS.set(ctx.state, compute_key_id(key), organisation)


def _set_weight(ctx: Context, by: Did, action: SetWeight) -> None:
    validator = _get_active(ctx, action.address)
    check_weight(action.weight)
    changed = Validator(validator.organisation, validator.key, action.weight, ACTIVE, ctx.height)
    enter_validator(ctx, action.address, changed)


def _remove_validator(ctx: Context, by: Did, action: RemoveValidator) -> None:
    take_weight(ctx, action.address, get_validator(ctx.state, action.address), REMOVED)


def _jail(ctx: Context, by: Did, action: Jail) -> None:
    take_weight(ctx, action.address, _get_active(ctx, action.address), JAILED)


def _unjail(ctx: Context, by: Did, action: Unjail) -> None:
    validator = get_validator(ctx.state, action.address)
    if validator.status != JAILED:
        raise ValidatorNotJailed
    get_active_organisation(ctx.state, validator.organisation)
    check_weight(action.weight)
    changed = Validator(validator.organisation, validator.key, action.weight, ACTIVE, ctx.height)
    enter_validator(ctx, action.address, changed)


def _get_active(ctx: Context, address: bytes) -> Validator:
    validator = get_validator(ctx.state, address)
    if validator.status != ACTIVE:
        raise ValidatorNotActive
    return validator


def _change_parameter(ctx: Context, by: Did, action: ChangeParameter) -> None:
    check_parameter(action.name, action.value)
    enter_parameter(ctx, action.name, action.value)


def _upgrade(ctx: Context, by: Did, action: Upgrade) -> None:
    profile = Profile(action.code, action.python, action.packages)
    check_profile(profile)
    enter_profile(ctx, profile)
    CODE.write(ctx.state, action.code_hash)


_OF_WEIGHTS: tuple[type[Rejected], ...] = (OrganisationTooHeavy, WeightsUnequal)
_OF_ORGANISATIONS: tuple[type[Rejected], ...] = (SubjectUnknown, SubjectInactive, NotAnOrganisation)

ADMIT_ORGANISATION = ActionKind(1, "admit", ADMISSION, _admit, ADMISSION_REFUSALS)
REMOVE_ORGANISATION = ActionKind(
    2,
    "remove_organisation",
    Schema(RemoveOrganisation, organisation=DID),
    _remove_organisation,
    (*_OF_ORGANISATIONS, *_OF_WEIGHTS, LastValidator),
    shifts_weight=True,
)
ADD_VALIDATOR = ActionKind(
    3,
    "add_validator",
    Schema(AddValidator, organisation=DID, key=KEY, weight=WEIGHT, proof=PROOF),
    _add_validator,
    (
        *_OF_ORGANISATIONS,
        KeyMalformed,
        KeyInUse,
        KeyNotProven,
        EngineKeyDiffers,
        WeightOutOfBounds,
        TooManyValidators,
        *_OF_WEIGHTS,
    ),
    shifts_weight=True,
)
SET_WEIGHT = ActionKind(
    4,
    "set_weight",
    Schema(SetWeight, address=ADDRESS, weight=WEIGHT),
    _set_weight,
    (ValidatorUnknown, ValidatorNotActive, WeightOutOfBounds, *_OF_WEIGHTS),
    shifts_weight=True,
)
REMOVE_VALIDATOR = ActionKind(
    5,
    "remove_validator",
    Schema(RemoveValidator, address=ADDRESS),
    _remove_validator,
    (ValidatorUnknown, *_OF_WEIGHTS, LastValidator),
    shifts_weight=True,
)
JAIL = ActionKind(
    6,
    "jail",
    Schema(Jail, address=ADDRESS),
    _jail,
    (ValidatorUnknown, ValidatorNotActive, LastValidator),
)
UNJAIL = ActionKind(
    7,
    "unjail",
    Schema(Unjail, address=ADDRESS, weight=WEIGHT),
    _unjail,
    (
        ValidatorUnknown,
        ValidatorNotJailed,
        WeightOutOfBounds,
        TooManyValidators,
        SubjectInactive,
        *_OF_WEIGHTS,
    ),
    shifts_weight=True,
)
CHANGE_PARAMETER = ActionKind(
    8,
    "set_parameter",
    Schema(ChangeParameter, name=PARAMETER_NAME, value=U64),
    _change_parameter,
    (ParameterUnknown, ParameterOutOfBounds),
)
UPGRADE = ActionKind(
    9,
    "upgrade",
    Schema(Upgrade, code=Text(64), python=Text(16), packages=PACKAGES, code_hash=DIGEST),
    _upgrade,
    (ProfileEmpty,),
)
ACTIONS: tuple[ActionKind[Any], ...] = (
    ADMIT_ORGANISATION,
    REMOVE_ORGANISATION,
    ADD_VALIDATOR,
    SET_WEIGHT,
    REMOVE_VALIDATOR,
    JAIL,
    UNJAIL,
    CHANGE_PARAMETER,
    UPGRADE,
)
"""Everything that may be voted on."""
