"""The profile: which code, Python and packages execute this ledger. A node that differs stops until it is adopted.

protocol.md, Transactions: `sys/profile` pins them; a transaction of the operator changes them, on a network a vote does,
from a height on (docs/spec/governance.md, Versions).
"""

from __future__ import annotations

import time
from typing import Any

from careledger.contracts.sys import CODE, PROFILE, SET_PROFILE, Profile, SetProfile
from careledger.contracts.voting import get_upgrades
from careledger.ledger.consensus.index import STATE_PREFIX
from careledger.ledger.execution import Overlay
from careledger.ledger.kernel import ED25519
from careledger.ledger.store.kv import PrefixKV
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.ledger.tree import ValueReader
from careledger.node.founding import ANCHOR_VALID_MS, running_profile
from careledger.node.home import OpenHome
from careledger.node.program import Program, running_code_hash
from careledger.primitives.errors import Conflict, Misconfigured
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


def _running() -> Program:
    return Program(running_profile(), running_code_hash())


def agreed_programs(home: OpenHome) -> list[tuple[int, Program]]:
    """What executes the newest block, then what passed votes put in its place, each with its first height, ascending.

    The first is missing if the state says nothing.
    """
    with home.tables.env.begin() as txn:
        kv, reader = PrefixKV(LmdbKV(txn, home.tables.ledger), STATE_PREFIX), ValueReader()
        state = Overlay(lambda key: reader.read(kv, key))  # what is committed, whatever is being executed
        pinned, code_hash, upgrades = PROFILE.read(state), CODE.read(state), get_upgrades(state)
    found = [] if pinned is None else [(0, Program(pinned, code_hash))]
    later = [
        (height, Program(Profile(one.code, one.python, one.packages), one.code_hash))
        for height, one in upgrades
    ]
    return found + sorted(later, key=lambda entry: entry[0])


def check_profile(home: OpenHome) -> None:
    """This process may execute the next block. Raises ProfileDiffers, naming what differs and what to do about it."""
    agreed, running, next_height = agreed_programs(home), _running(), home.height + 1
    due = [(height, program) for height, program in agreed if height <= next_height]
    if not due or due[-1][1].is_met_by(running):
        return
    since, program = due[-1]
    when = f"from block {next_height} on " if since == next_height else ""
    raise ProfileDiffers(
        f"{when}the ledger is executed by {program.describe()}, and this is {running.describe()}",
        hint=_compute_hint(home, running, agreed),
    )


def _compute_hint(home: OpenHome, running: Program, agreed: list[tuple[int, Program]]) -> str:
    again = f"careledger serve --home {home.layout.path}"
    for height, program in agreed:
        if height > home.height + 1 and program.is_met_by(running):
            return f"this is what executes it from block {height} on: until then run the former version"
    if home.is_network:
        return f"install those versions, then: {again}"
    return f"use those versions, or adopt these: careledger upgrade --home {home.layout.path}"


def describe(profile: Profile | None) -> str:
    """The profile in one line."""
    return "nothing" if profile is None else Program(profile, None).describe()


def show_upgrades(home: OpenHome) -> list[dict[str, Any]]:
    """What will execute the ledger by votes that passed, from which height on, and whether this is it."""
    running = _running()
    return [
        {"height": height, "to": program.describe(), "ready": program.is_met_by(running)}
        for height, program in agreed_programs(home)
        if height > home.height
    ]


def adoption(home: OpenHome) -> bytes | None:
    """The operator's transaction that adopts what runs here; None if the ledger names it already."""
    running = running_profile()
    if pinned_profile(home) == running:
        return None
    if home.is_network:
        raise Conflict(
            "on a network what executes the ledger changes by a vote",
            hint="careledger governance propose upgrade FILE --at-height HEIGHT",
            code="decided-by-votes",
        )
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
