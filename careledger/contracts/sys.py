"""Sys: what executes this ledger. The profile pins code, Python and the packages that touch consensus.

`sys/history`, `sys/parameters` and `sys/account` also belong here; `ledger.execution` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from careledger.contracts.identity import (
    DID,
    NotAnOrganisation,
    NotTheOperator,
    SubjectInactive,
    SubjectUnknown,
    get_active_organisation,
    is_operator,
)
from careledger.ledger.kernel import Context, Contract, EventKind, Item, MessageKind, Rejected
from careledger.primitives.encoding import DIGEST, U64, Pair, Schema, Set, Text
from careledger.primitives.types import Did

PACKAGES_MAX = 64


@dataclass(frozen=True, slots=True)
class Profile:
    """Versions that execute blocks: of this program, of Python (`3.11`), of packages as (name, version)."""

    code: str
    python: str
    packages: tuple[tuple[str, ...], ...]


PACKAGES = Set(Pair(Text(64, least=1), Text(64, least=1)), PACKAGES_MAX)
PROFILE: Item[Profile] = Item(
    "sys",
    "profile",
    Schema(Profile, code=Text(64), python=Text(16), packages=PACKAGES),
    "what executes blocks",
)
CODE: Item[bytes] = Item(
    "sys", "code", DIGEST, "hash of the code that executes blocks, if the validators voted for it"
)


@dataclass(frozen=True, slots=True)
class SetProfile:
    """From the next block on, this executes the ledger. Signed by the operator's root key; on a network, a vote
    does it (`governance.propose`), and the genesis names the first profile."""

    by: Did
    code: str
    python: str
    packages: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ProfileChanged:
    """The profile changed at this height."""

    height: int


class ProfileEmpty(Rejected):
    """A profile names the code and the Python that execute."""

    number, code, reason = 101, "profile-empty", "the profile names no code or no Python"


def set_profile(ctx: Context, message: SetProfile) -> None:
    """The profile is replaced."""
    # CHECK
    profile = Profile(message.code, message.python, message.packages)
    check_profile(profile)
    author = get_active_organisation(ctx.state, message.by)
    if not (ctx.is_genesis or is_operator(ctx.state, author)):
        raise NotTheOperator
    ctx.require_signed(author.root)
    # APPLY, EMIT
    enter_profile(ctx, profile)


def check_profile(profile: Profile) -> None:
    """Raises ProfileEmpty."""
    if not profile.code or not profile.python:
        raise ProfileEmpty


def enter_profile(ctx: Context, profile: Profile) -> None:
    """The checked profile executes the ledger."""
    PROFILE.write(ctx.state, profile)
    ctx.emit(PROFILE_CHANGED, ProfileChanged(ctx.height))


PROFILE_CHANGED = EventKind("sys.profile_changed", Schema(ProfileChanged, height=U64))
SET_PROFILE = MessageKind(
    101,
    "sys.profile",
    Schema(SetProfile, by=DID, code=Text(64), python=Text(16), packages=PACKAGES),
    set_profile,
    (ProfileEmpty, SubjectUnknown, SubjectInactive, NotAnOrganisation, NotTheOperator),
)

CONTRACT = Contract(
    name="sys",
    purpose="What executes the ledger, and its history.",
    state=(PROFILE, CODE),
    messages=(SET_PROFILE,),
    events=(PROFILE_CHANGED,),
)
