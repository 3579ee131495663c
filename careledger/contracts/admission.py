"""Admission: an organisation asks with a statement that its own root and node keys sign, naming whom it asks.

Whom it asks is the operator of an embedded ledger, or on a network the organisation that proposes it.
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
    OrganisationUnnamed,
    Subject,
    SubjectExists,
    check_unused,
    enter,
)
from careledger.ledger.kernel import ED25519, KEY, Context, Key, Rejected, State
from careledger.primitives.encoding import Bytes, Schema
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import (
    ED25519_SIGNATURE_SIZE,
    ML_DSA_65_SIGNATURE_SIZE,
    verify_ed25519,
    verify_ml_dsa_65,
)
from careledger.primitives.types import Did, compute_did

PROOF = Bytes(ML_DSA_65_SIGNATURE_SIZE, least=ED25519_SIGNATURE_SIZE)


@dataclass(frozen=True, slots=True)
class Admit:
    """An organisation enters the ledger. Signed by the operator's root key; on a network, an action of a proposal.

    The proofs are the new root and node keys' signatures over `compute_statement`: they possess what they bring, and
    ask this operator (the proposal's author), under this name.
    """

    by: Did
    name: str
    root: Key
    node: Key
    end_points: tuple[str, ...]
    root_proof: bytes
    node_proof: bytes


class KeyNotProven(Rejected):
    """The root or node key did not sign this statement to this operator, or to this author of a proposal."""

    number, code, reason = 503, "key-not-proven", "a new key did not sign the request for admission"


STATEMENT: Schema[Admit] = Schema(Admit, by=DID, name=NAME, root=KEY, node=KEY, end_points=END_POINTS)
ADMISSION: Schema[Admit] = Schema(
    Admit,
    by=DID,
    name=NAME,
    root=KEY,
    node=KEY,
    end_points=END_POINTS,
    root_proof=PROOF,
    node_proof=PROOF,
)
ADMISSION_REFUSALS: tuple[type[Rejected], ...] = (
    OrganisationUnnamed,
    SubjectExists,
    KeyMalformed,
    KeyInUse,
    KeyNotProven,
)


def compute_statement(by: Did, name: str, root: Key, node: Key, end_points: tuple[str, ...]) -> bytes:
    """What the new keys sign: H(`cl1.admission`, enc(by, name, root, node, end_points))."""
    return tagged("cl1.admission", STATEMENT.encode(Admit(by, name, root, node, end_points, b"", b"")))


def check_new(state: State, name: str, root: Key) -> Did:
    """The DID that this organisation will have. Raises OrganisationUnnamed, SubjectExists."""
    if not name:
        raise OrganisationUnnamed
    did = compute_did(ORGANISATION, *root)
    if SUBJECTS.get(state, did) is not None:
        raise SubjectExists
    return did


def check_keys(state: State, root: Key, node: Key) -> None:
    """Raises KeyMalformed, KeyInUse."""
    check_unused(state, root)
    check_unused(state, node)
    if root == node:
        raise KeyInUse


def check_asked(state: State, message: Admit) -> None:
    """The keys may be taken, and both signed the statement. Raises KeyMalformed, KeyInUse, KeyNotProven."""
    check_keys(state, message.root, message.node)
    statement = compute_statement(message.by, message.name, message.root, message.node, message.end_points)
    if not is_signed(message.root, statement, message.root_proof):
        raise KeyNotProven
    if not is_signed(message.node, statement, message.node_proof):
        raise KeyNotProven


def enter_organisation(
    ctx: Context, did: Did, name: str, root: Key, node: Key, end_points: tuple[str, ...]
) -> None:
    """The checked organisation is registered, active, without roles."""
    subject = Subject(ORGANISATION, did, name, True, root, node, (), end_points, ctx.height)
    enter(ctx, did, subject)


def is_signed(key: Key, statement: bytes, proof: bytes) -> bool:
    """Whether the key signed the statement; its size was checked before."""
    try:
        if key.algorithm == ED25519:
            verify_ed25519(key.public, statement, proof)
        else:
            verify_ml_dsa_65(key.public, statement, proof)
    except VerificationFailed:
        return False
    return True
