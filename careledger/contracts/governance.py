"""Governance, first form: the operator admits organisations and sets parameters, each within bounds; nobody votes yet.

An organisation asks to be admitted with a statement that its own root and node keys sign; the operator's root key
signs the transaction. What executes the ledger is pinned by `sys.profile`, who acts by `identity`. The bounds are
part of the program: no parameter can be set so that the ledger refuses its own anchors or a revocation.
"""

from __future__ import annotations

from dataclasses import dataclass

from careledger.contracts.identity import (
    DID,
    END_POINTS,
    NAME,
    ORGANISATION,
    SUBJECTS,
    KeyInUse,
    KeyMalformed,
    NotAnOrganisation,
    NotTheOperator,
    OrganisationUnnamed,
    Subject,
    SubjectExists,
    SubjectInactive,
    SubjectUnknown,
    check_unused,
    enter,
    require_operator,
)
from careledger.ledger.kernel import (
    BODY_BYTES_MAX,
    ED25519,
    GOVERNED,
    KEY,
    PARAMETERS,
    VALID_MS_MAX,
    Context,
    Contract,
    EventKind,
    Key,
    MessageKind,
    Parameters,
    Rejected,
    State,
)
from careledger.primitives.encoding import U64, Bytes, Schema, Text
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import (
    ED25519_SIGNATURE_SIZE,
    ML_DSA_65_SIGNATURE_SIZE,
    verify_ed25519,
    verify_ml_dsa_65,
)
from careledger.primitives.types import Did, compute_did

QUOTA = "quota_bytes_day"
PARAMETER_NAME = Text(64, least=1)
PROOF = Bytes(ML_DSA_65_SIGNATURE_SIZE, least=ED25519_SIGNATURE_SIZE)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a parameter may be, both ends included, and what it means."""

    name: str
    least: int
    most: int
    meaning: str


BOUNDS: tuple[Bound, ...] = (
    # Least: a sponsor's anchors at 500 blocks a second for a day, and half as much again.
    Bound(QUOTA, 1 << 34, 1 << 50, "bytes of transaction bodies that a sponsor may send a day"),
    Bound(VALID_MS_MAX.name, 3_600_000, VALID_MS_MAX.default, "how far ahead valid_until may lie, in ms"),
    # Least: an admission under ML-DSA-65 keys, twice.
    Bound(BODY_BYTES_MAX.name, 32_768, BODY_BYTES_MAX.default, "bytes of the body of one transaction"),
)
"""Every parameter that may be set."""


@dataclass(frozen=True, slots=True)
class SetParameter:
    """The parameter has this value for every transaction after this one. Signed by the operator's root key."""

    by: Did
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Admit:
    """An organisation enters the ledger. Signed by the operator's root key.

    The proofs are the new root and node keys' signatures over `compute_statement`: they possess what they bring, and
    ask this operator, under this name.
    """

    by: Did
    name: str
    root: Key
    node: Key
    end_points: tuple[str, ...]
    root_proof: bytes
    node_proof: bytes


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


class KeyNotProven(Rejected):
    """The root or node key did not sign this statement to this operator."""

    number, code, reason = 503, "key-not-proven", "a new key did not sign the request for admission"


STATEMENT: Schema[Admit] = Schema(Admit, by=DID, name=NAME, root=KEY, node=KEY, end_points=END_POINTS)


def compute_statement(by: Did, name: str, root: Key, node: Key, end_points: tuple[str, ...]) -> bytes:
    """What the new keys sign: H(`cl1.admission`, enc(by, name, root, node, end_points))."""
    return tagged("cl1.admission", STATEMENT.encode(Admit(by, name, root, node, end_points, b"", b"")))


def get_parameter(state: State, name: str) -> int:
    """A parameter's value in this state. Raises ParameterUnknown."""
    if name == QUOTA:
        parameters = PARAMETERS.read(state)
        return _find(name).most if parameters is None else parameters.quota_bytes_day
    governed = next((one for one in (VALID_MS_MAX, BODY_BYTES_MAX) if one.name == name), None)
    if governed is None:
        raise ParameterUnknown
    return governed.get(state)


def _find(name: str) -> Bound:
    for bound in BOUNDS:
        if bound.name == name:
            return bound
    raise ParameterUnknown


def set_parameter(ctx: Context, message: SetParameter) -> None:
    """The parameter has the value."""
    # CHECK
    bound = _find(message.name)
    if not bound.least <= message.value <= bound.most:
        raise ParameterOutOfBounds
    require_operator(ctx, message.by)
    # APPLY
    if message.name == QUOTA:
        PARAMETERS.write(ctx.state, Parameters(message.value))
    else:
        GOVERNED.set(ctx.state, message.name, message.value)
    # EMIT
    ctx.emit(PARAMETER_SET, ParameterSet(message.name, message.value))


def admit(ctx: Context, message: Admit) -> None:
    """The organisation is registered, active, without roles."""
    # CHECK
    if not message.name:
        raise OrganisationUnnamed
    did = compute_did(ORGANISATION, *message.root)
    if SUBJECTS.get(ctx.state, did) is not None:
        raise SubjectExists
    require_operator(ctx, message.by)
    check_unused(ctx.state, message.root)
    check_unused(ctx.state, message.node)
    if message.root == message.node:
        raise KeyInUse
    statement = compute_statement(message.by, message.name, message.root, message.node, message.end_points)
    _check_proof(message.root, statement, message.root_proof)
    _check_proof(message.node, statement, message.node_proof)
    # APPLY, EMIT
    subject = Subject(
        ORGANISATION,
        did,
        message.name,
        True,
        message.root,
        message.node,
        (),
        message.end_points,
        ctx.height,
    )
    enter(ctx, did, subject)


def _check_proof(key: Key, statement: bytes, proof: bytes) -> None:
    try:
        if key.algorithm == ED25519:
            verify_ed25519(key.public, statement, proof)
        else:
            verify_ml_dsa_65(key.public, statement, proof)
    except VerificationFailed:
        raise KeyNotProven from None


PARAMETER_SET = EventKind("governance.parameter_set", Schema(ParameterSet, name=PARAMETER_NAME, value=U64))

SET_PARAMETER = MessageKind(
    501,
    "governance.set_parameter",
    Schema(SetParameter, by=DID, name=PARAMETER_NAME, value=U64),
    set_parameter,
    (
        ParameterUnknown,
        ParameterOutOfBounds,
        SubjectUnknown,
        SubjectInactive,
        NotAnOrganisation,
        NotTheOperator,
    ),
)
ADMIT = MessageKind(
    502,
    "governance.admit",
    Schema(
        Admit,
        by=DID,
        name=NAME,
        root=KEY,
        node=KEY,
        end_points=END_POINTS,
        root_proof=PROOF,
        node_proof=PROOF,
    ),
    admit,
    (
        OrganisationUnnamed,
        SubjectExists,
        SubjectUnknown,
        SubjectInactive,
        NotAnOrganisation,
        NotTheOperator,
        KeyMalformed,
        KeyInUse,
        KeyNotProven,
    ),
)

CONTRACT = Contract(
    name="governance",
    purpose="Who is admitted, and the ledger's parameters, within the bounds that the program sets.",
    state=(GOVERNED,),
    messages=(SET_PARAMETER, ADMIT),
    events=(PARAMETER_SET,),
)
