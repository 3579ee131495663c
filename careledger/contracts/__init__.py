"""The smart contracts: pure, deterministic, one file each, with parts where it grows (`governance`: parameters,
admission, validators, actions, proposals, voting). `CONTRACTS` is the one list of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from careledger.contracts import adoption, consent, governance, identity, records, sys, validators
from careledger.ledger.kernel import Key
from careledger.primitives.types import Did, compute_did

CONTRACTS = (
    sys.CONTRACT,
    identity.CONTRACT,
    records.CONTRACT,
    consent.CONTRACT,
    governance.CONTRACT,
    adoption.CONTRACT,
)


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


class Founder(NamedTuple):
    """An organisation that founds a network: its root and node key, its validator's engine key, its weight."""

    name: str
    root: Key
    node: Key
    validator: Key
    weight: int = 1
    end_points: tuple[str, ...] = ()


def network_founding_messages(
    founders: Sequence[Founder], profile: sys.Profile | None = None
) -> tuple[bytes, ...]:
    """Messages of a network's genesis: all founders are registered and validate, nobody is the operator; then the
    profile, if given. Raises the refusals of the rules of weight (`validators.check_weights`)."""
    seats = [
        validators.Seat(validators.compute_address(one.validator), organisation_did(one.root), one.weight)
        for one in founders
    ]
    validators.check_weights(tuple(seats))
    messages = [
        governance.FOUND.encode(
            governance.Found(one.name, one.root, one.node, one.end_points, one.validator, one.weight)
        )
        for one in founders
    ]
    if profile is not None:
        by = organisation_did(founders[0].root)
        message = sys.SetProfile(by, profile.code, profile.python, profile.packages)
        messages.append(sys.SET_PROFILE.encode(message))
    return tuple(messages)


def anchor_message(organisation: Did, seq: int, previous: bytes, root: bytes) -> bytes:
    """`records.anchor` as a transaction carries it."""
    return records.ANCHOR.encode(records.Anchor(organisation, seq, previous, root))
