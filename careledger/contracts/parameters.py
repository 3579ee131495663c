"""The ledger's parameters: numbers that may be set, each within bounds that are part of the program.

No parameter can be set so that the ledger refuses its own anchors, a revocation or an admission; there is none that
turns off anchors, revocations, the access log or erasure. Who may set one, `governance` says.
"""

from __future__ import annotations

from dataclasses import dataclass

from careledger.ledger.kernel import (
    BODY_BYTES_MAX,
    GOVERNED,
    PARAMETERS,
    VALID_MS_MAX,
    Context,
    EventKind,
    Parameters,
    Rejected,
    State,
)
from careledger.primitives.encoding import U64, Schema, Text

QUOTA = "quota_bytes_day"
PARAMETER_NAME = Text(64, least=1)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a parameter may be, both ends included, and what it means."""

    name: str
    least: int
    most: int
    meaning: str
    is_constitutional: bool = False
    """What must never stop rests on it: on a network a vote about it needs more weight, and waits."""


BOUNDS: tuple[Bound, ...] = (
    # Least: a sponsor's anchors at 500 blocks a second for a day, and half as much again.
    Bound(QUOTA, 1 << 34, 1 << 50, "bytes of transaction bodies that a sponsor may send a day", True),
    Bound(VALID_MS_MAX.name, 3_600_000, VALID_MS_MAX.default, "how far ahead valid_until may lie, in ms"),
    # Least: an admission under ML-DSA-65 keys, twice.
    Bound(BODY_BYTES_MAX.name, 32_768, BODY_BYTES_MAX.default, "bytes of the body of one transaction"),
)
"""Every parameter that may be set."""


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """A parameter was set."""

    name: str
    value: int


class ParameterUnknown(Rejected):
    """No parameter has this name."""

    number, code, reason = 501, "parameter-unknown", "no parameter has this name"


class ParameterOutOfBounds(Rejected):
    """The value lies outside the parameter's bounds, which are part of the program."""

    number, code, reason = 502, "parameter-out-of-bounds", "the value is out of the parameter's bounds"


def find_bound(name: str) -> Bound:
    """The parameter's bounds. Raises ParameterUnknown."""
    for bound in BOUNDS:
        if bound.name == name:
            return bound
    raise ParameterUnknown


def get_parameter(state: State, name: str) -> int:
    """A parameter's value in this state. Raises ParameterUnknown."""
    if name == QUOTA:
        parameters = PARAMETERS.read(state)
        return find_bound(name).most if parameters is None else parameters.quota_bytes_day
    governed = next((one for one in (VALID_MS_MAX, BODY_BYTES_MAX) if one.name == name), None)
    if governed is None:
        raise ParameterUnknown
    return governed.get(state)


def check_parameter(name: str, value: int) -> None:
    """Raises ParameterUnknown, ParameterOutOfBounds."""
    bound = find_bound(name)
    if not bound.least <= value <= bound.most:
        raise ParameterOutOfBounds


def enter_parameter(ctx: Context, name: str, value: int) -> None:
    """The checked parameter has the value for every transaction after this."""
    if name == QUOTA:
        PARAMETERS.write(ctx.state, Parameters(value))
    else:
        GOVERNED.set(ctx.state, name, value)
    ctx.emit(PARAMETER_SET, ParameterSet(name, value))


PARAMETER_SET = EventKind("governance.parameter_set", Schema(ParameterSet, name=PARAMETER_NAME, value=U64))
