"""The profile: which code, Python and packages execute this ledger. A node that differs stops until it is adopted.

protocol.md, Transactions: `sys/profile` pins them; a transaction of the operator changes them.
"""

from __future__ import annotations

import time

from careledger.contracts.sys import PROFILE, SET_PROFILE, Profile, SetProfile
from careledger.ledger.kernel import ED25519
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.node.founding import ANCHOR_VALID_MS, running_profile
from careledger.node.home import OpenHome
from careledger.primitives.errors import Misconfigured
from careledger.primitives.types import Did

PROFILE_LANE = 2


class ProfileDiffers(Misconfigured):
    """This program, Python or a package is not the one that the ledger names."""

    code = "profile-differs"


def pinned_profile(home: OpenHome) -> Profile | None:
    """What the state says executes this ledger; None if it says nothing."""
    with home.tables.env.begin() as txn:
        data = home.the_ledger.state(LmdbKV(txn, home.tables.ledger), PROFILE.contract, PROFILE.name, b"")
    return None if data is None else PROFILE.value.decode(data)


def check_profile(home: OpenHome) -> None:
    """Raise ProfileDiffers, naming what differs and the command that adopts it."""
    pinned, running = pinned_profile(home), running_profile()
    if pinned in (None, running):
        return
    raise ProfileDiffers(
        f"the ledger is executed by {describe(pinned)}, and this is {describe(running)}",
        hint=f"use those versions, or adopt these: careledger upgrade --home {home.layout.path}",
    )


def describe(profile: Profile | None) -> str:
    """The profile in one line."""
    if profile is None:
        return "nothing"
    packages = ", ".join(" ".join(package) for package in profile.packages)
    return f"careledger {profile.code} on Python {profile.python} with {packages}"


def adoption(home: OpenHome) -> bytes | None:
    """The operator's transaction that adopts what runs here; None if the ledger names it already."""
    running = running_profile()
    if pinned_profile(home) == running:
        return None
    ledger, did = home.the_ledger, Did(home.organisation)
    message = SET_PROFILE.encode(SetProfile(did, running.code, running.python, running.packages))
    with home.tables.env.begin() as txn:
        sequence = ledger.next_sequence(LmdbKV(txn, home.tables.ledger), did, PROFILE_LANE)
    return build_transaction(
        ledger.genesis_hash,
        max(time.time_ns() // 1_000_000, ledger.time_ms) + ANCHOR_VALID_MS,
        did,
        PROFILE_LANE,
        sequence,
        [message],
        [SecretKey(ED25519, home.keys.root_seed)],
    )
