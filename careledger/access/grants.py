"""Enrolled keys that follow each other, and the ledger transactions of directives.

Transactions are composed alike by the device that signs them and the node that sponsors them. Pure: whoever composes a body from the same envelope and the same values gets the same bytes, so a device signs only
what it composed itself, and a node sends only what it composed itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from careledger.access.directives import Controller, ControllerLeaf, compute_key_id
from careledger.contracts.consent import grant_message, revoke_message
from careledger.ledger.controllers import read_controller
from careledger.ledger.kernel import ED25519, ML_DSA_65
from careledger.ledger.transaction import (
    BODY,
    TRANSACTION,
    Authenticator,
    Body,
    Transaction,
    compute_id,
)
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.signing import ed25519_public_key, sign_ed25519, sign_ml_dsa_65
from careledger.primitives.types import Did

REVOCATION_LANE: Final = 0
GRANT_LANE: Final = 3

SEQUENCE_MOVED: Final = "sequence-moved"
"""Code of the Conflict that says: another transaction took this sequence; compose anew, sign, repeat."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a transaction holds beside its message: ledger, sponsor, its next sequence in the lane, last block time."""

    genesis_hash: bytes
    sponsor: Did
    sequence: int
    valid_until: int

    def compose(self, lane: int, message: bytes) -> bytes:
        """The body of a transaction of one message."""
        return BODY.encode(
            Body(self.genesis_hash, self.valid_until, self.sponsor, lane, self.sequence, (message,))
        )


def compose_grant(
    envelope: Envelope, commitment: bytes, public: bytes, until_day: int, revocation_hash: bytes
) -> bytes:
    """The body that brings a directive into force; `public` is its own key."""
    return envelope.compose(GRANT_LANE, grant_message(commitment, public, until_day, revocation_hash))


def compose_revocation(
    envelope: Envelope, commitment: bytes, *, public: bytes | None = None, code: bytes | None = None
) -> bytes:
    """The body that revokes a directive, by its own key or by its printed code."""
    return envelope.compose(REVOCATION_LANE, revoke_message(commitment, public=public, code=code))


def sign_body(body: bytes, directive_seed: bytes) -> bytes:
    """The directive's own signature over the transaction's id: what the patient's device gives."""
    return sign_ml_dsa_65(directive_seed, compute_id(body))


def complete(body: bytes, node_seed: bytes, public: bytes | None = None, signature: bytes = b"") -> bytes:
    """The transaction with the sponsor's signature, and the directive's if there is one."""
    own = Authenticator(ED25519, ed25519_public_key(node_seed), sign_ed25519(node_seed, compute_id(body)))
    others = () if public is None else (Authenticator(ML_DSA_65, public, signature),)
    authenticators = sorted((own, *others), key=lambda one: (one.algorithm, one.key))
    return TRANSACTION.encode(Transaction(body, tuple(authenticators)))


def continuation(public: bytes) -> bytes:
    """What the key that is enrolled signs to let another follow it: that key's id, in its ASCII digits."""
    return compute_key_id(public).encode()


def follows(former: Controller | None, leaf: ControllerLeaf, place: tuple[bytes, bytes]) -> Controller | None:
    """The key that this leaf enrols rightly in the chart at `place` (organisation, handle), or None.

    The first of its chart, or signed by the `former` one or its recovery key; a passkey signed that it is this chart's.
    """
    try:
        return read_controller(leaf, former, b"".join(place))
    except VerificationFailed:
        return None
