"""Governance: who is admitted, who validates, which parameters hold, what executes.

On an embedded ledger the operator's root key decides. A ledger with validators is a network: there every decision is a
proposal on which the organisations with weight vote, each with its root key. What the genesis names is all that
nobody voted for.
"""

from __future__ import annotations

from dataclasses import dataclass

from careledger.contracts.actions import found_validator
from careledger.contracts.admission import (
    ADMISSION,
    ADMISSION_REFUSALS,
    Admit,
    check_asked,
    check_keys,
    check_new,
    enter_organisation,
)
from careledger.contracts.identity import (
    DID,
    END_POINTS,
    NAME,
    KeyInUse,
    KeyMalformed,
    NotAnOrganisation,
    NotTheOperator,
    OrganisationUnnamed,
    SubjectExists,
    SubjectInactive,
    SubjectUnknown,
    check_unused,
    require_operator,
)
from careledger.contracts.parameters import (
    PARAMETER_NAME,
    PARAMETER_SET,
    ParameterOutOfBounds,
    ParameterUnknown,
    check_parameter,
    enter_parameter,
)
from careledger.contracts.proposals import AGENDA, BODIES, PROPOSALS
from careledger.contracts.validators import (
    MISBEHAVED,
    VALIDATOR_CHANGED,
    VALIDATOR_SET,
    VALIDATORS,
    WEIGHT,
    EngineKeyDiffers,
    TooManyValidators,
    WeightOutOfBounds,
    check_algorithm,
    check_weight,
    on_evidence,
)
from careledger.contracts.voting import PROPOSE, PROPOSED, SETTLED, VOTE, VOTED, on_block
from careledger.ledger.kernel import GOVERNED, KEY, Context, Contract, Key, MessageKind, Rejected
from careledger.primitives.encoding import U64, Schema
from careledger.primitives.types import Did


@dataclass(frozen=True, slots=True)
class SetParameter:
    """The parameter has this value for every transaction after this one. Signed by the operator's root key."""

    by: Did
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Found:
    """A founder of a network: an organisation, its engine key and its weight. Only in a genesis."""

    name: str
    root: Key
    node: Key
    end_points: tuple[str, ...]
    validator: Key
    weight: int


class GenesisOnly(Rejected):
    """Founders stand in the genesis; who comes later is admitted by a vote."""

    number, code, reason = 516, "genesis-only", "this message stands in a genesis only"


def set_parameter(ctx: Context, message: SetParameter) -> None:
    """The parameter has the value."""
    # CHECK
    check_parameter(message.name, message.value)
    require_operator(ctx, message.by)
    # APPLY, EMIT
    enter_parameter(ctx, message.name, message.value)


def admit(ctx: Context, message: Admit) -> None:
    """The organisation is registered, active, without roles."""
    # CHECK
    did = check_new(ctx.state, message.name, message.root)
    require_operator(ctx, message.by)
    check_asked(ctx.state, message)
    # APPLY, EMIT
    enter_organisation(ctx, did, message.name, message.root, message.node, message.end_points)


def found(ctx: Context, message: Found) -> None:
    """The organisation is registered and validates. That the weights keep the rules, `genesis_validators` checks."""
    # CHECK
    if not ctx.is_genesis:
        raise GenesisOnly
    did = check_new(ctx.state, message.name, message.root)
    check_keys(ctx.state, message.root, message.node)
    check_unused(ctx.state, message.validator)
    if message.validator in (message.root, message.node):
        raise KeyInUse
    check_algorithm(ctx.state, message.validator)
    check_weight(message.weight)
    # APPLY, EMIT
    enter_organisation(ctx, did, message.name, message.root, message.node, message.end_points)
    found_validator(ctx, did, message.validator, message.weight)


_OF_OPERATORS: tuple[type[Rejected], ...] = (
    SubjectUnknown,
    SubjectInactive,
    NotAnOrganisation,
    NotTheOperator,
)

SET_PARAMETER = MessageKind(
    501,
    "governance.set_parameter",
    Schema(SetParameter, by=DID, name=PARAMETER_NAME, value=U64),
    set_parameter,
    (ParameterUnknown, ParameterOutOfBounds, *_OF_OPERATORS),
)
ADMIT = MessageKind(502, "governance.admit", ADMISSION, admit, (*ADMISSION_REFUSALS, *_OF_OPERATORS))
FOUND = MessageKind(
    503,
    "governance.found",
    Schema(
        Found,
        name=NAME,
        root=KEY,
        node=KEY,
        end_points=END_POINTS,
        validator=KEY,
        weight=WEIGHT,
    ),
    found,
    (
        GenesisOnly,
        OrganisationUnnamed,
        SubjectExists,
        KeyMalformed,
        KeyInUse,
        EngineKeyDiffers,
        WeightOutOfBounds,
        TooManyValidators,
    ),
)
CONTRACT = Contract(
    name="governance",
    purpose="Who is admitted, who validates with which weight, the ledger's parameters within the bounds that the "
    "program sets, and what executes it.",
    state=(GOVERNED, VALIDATOR_SET, VALIDATORS, AGENDA, PROPOSALS, BODIES),
    messages=(SET_PARAMETER, ADMIT, FOUND, PROPOSE, VOTE),
    events=(PARAMETER_SET, PROPOSED, VOTED, SETTLED, VALIDATOR_CHANGED, MISBEHAVED),
    on_evidence=on_evidence,
    on_block=on_block,
)
