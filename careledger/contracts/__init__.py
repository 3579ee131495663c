"""The smart contracts: pure, deterministic, one file each. `CONTRACTS` is the one list of them."""

from __future__ import annotations

from collections.abc import Sequence

from careledger.contracts import consent, governance, identity, records, sys
from careledger.ledger.kernel import Key
from careledger.primitives.types import Did, compute_did

CONTRACTS = (sys.CONTRACT, identity.CONTRACT, records.CONTRACT, consent.CONTRACT, governance.CONTRACT)


def organisation_did(root: Key) -> Did:
    """The DID of an organisation whose first root key is this."""
    return compute_did(identity.ORGANISATION, *root)


def founding_messages(
    name: str, root: Key, node: Key, profile: sys.Profile | None = None, end_points: Sequence[str] = ()
) -> tuple[bytes, ...]:
    """Messages of a genesis: the founder becomes the operator; then the profile, if given."""
    did = organisation_did(root)
    register = identity.Register(did, identity.ORGANISATION, name, root, node, tuple(end_points))
    messages = [identity.REGISTER.encode(register)]
    if profile is not None:
        message = sys.SetProfile(did, profile.code, profile.python, profile.packages)
        messages.append(sys.SET_PROFILE.encode(message))
    return tuple(messages)


def anchor_message(organisation: Did, seq: int, previous: bytes, root: bytes) -> bytes:
    """`records.anchor` as a transaction carries it."""
    return records.ANCHOR.encode(records.Anchor(organisation, seq, previous, root))
