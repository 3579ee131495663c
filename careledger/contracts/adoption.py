"""Adoption: an organisation's embedded ledger goes on in this network's. Contract `ledger`.

What the embedded ledger said is its operator's word. Its anchors continue in `records`; everything else that is brought
along is kept apart, for this organisation alone: nobody's key, name or commitment is taken by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from careledger.contracts.identity import (
    DID,
    ORGANISATION,
    SUBJECTS,
    NotAnOrganisation,
    Subject,
    SubjectInactive,
    SubjectUnknown,
    get_active_organisation,
)
from careledger.contracts.records import BATCHES, HEADS, Head, encode_batch
from careledger.contracts.validators import is_network
from careledger.contracts.voting import NotANetwork
from careledger.ledger.foreign import (
    PROVEN_ENTRY,
    SIGNED_STATE,
    VALUE_BYTES_MAX,
    ProvenEntry,
    SignedState,
    check_entry,
    check_signed_state,
)
from careledger.ledger.kernel import Context, Contract, EventKind, Map, MessageKind, Rejected
from careledger.primitives.encoding import DIGEST, U64, Bytes, List, Pair, Schema
from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.types import Did

V = TypeVar("V")

FOLLOWING_MAX = 256
SEQ_MAX = 1 << 62


@dataclass(frozen=True, slots=True)
class Adopt:
    """The last state of the organisation's embedded ledger, and three entries of it: itself, its newest batch, its log
    of batches. Signed by the root key, which is the same on both ledgers."""

    organisation: Did
    signed: SignedState
    subject: ProvenEntry
    head: ProvenEntry
    batches: ProvenEntry


@dataclass(frozen=True, slots=True)
class Follow:
    """Further entries of the adopted state, each under its hashed key there. Signed by the root key."""

    organisation: Did
    entries: tuple[tuple[bytes, ProvenEntry], ...]


@dataclass(frozen=True, slots=True)
class Adopted:
    """What an organisation adopted: the embedded ledger, its history log, its last state, its newest batch there; and
    the block here."""

    genesis_hash: bytes
    size: int
    root: bytes
    state_root: bytes
    seq: int
    height: int


@dataclass(frozen=True, slots=True)
class LedgerAdopted:
    """An organisation's embedded ledger goes on here."""

    organisation: Did
    genesis_hash: bytes
    size: int


ADOPTED: Map[Did, Adopted] = Map(
    "ledger",
    "adopted",
    DID,
    Schema(Adopted, genesis_hash=DIGEST, size=U64, root=DIGEST, state_root=DIGEST, seq=U64, height=U64),
    "by organisation: the embedded ledger that goes on here",
)
FOLLOWED: Map[tuple[Did, bytes], bytes] = Map(
    "ledger",
    "followed",
    Pair(DID, DIGEST),
    Bytes(VALUE_BYTES_MAX, least=1),
    "by organisation and hashed key there: an entry of the adopted state, as it was",
)


def followed_key(organisation: bytes, state_key: bytes) -> bytes:
    """Where an entry stands that followed: the state key here of the one under `state_key` there."""
    return FOLLOWED.state_key((Did(organisation), state_key))


def decode_followed(raw: bytes) -> bytes:
    """The entry as it was, from what the state holds under `followed_key`."""
    return FOLLOWED.value.decode(raw)


class AlreadyAdopted(Rejected):
    """An organisation adopts one embedded ledger, once."""

    number, code, reason = 601, "already-adopted", "the organisation has adopted a ledger already"


class AlreadyAnchored(Rejected):
    """Whoever has anchored here cannot put other records before that."""

    number, code, reason = 602, "already-anchored", "the organisation has anchored records here already"


class StateUnproven(Rejected):
    """The operator of the embedded ledger signed the head of its history log, and the state is that of its last block."""

    number, code, reason = 603, "state-unproven", "the embedded ledger's state is not proven"


class EntryUnproven(Rejected):
    """Every entry stands in the adopted state, and is what its place says."""

    number, code, reason = 604, "entry-unproven", "an entry of the embedded ledger is not proven"


class OtherKeys(Rejected):
    """The embedded ledger knows the organisation, active, under the root key that it has here."""

    number, code, reason = 605, "other-keys", "the embedded ledger knows the organisation otherwise"


class AdoptedLater(Rejected):
    """The embedded ledger's last block is not dated after this one."""

    number, code, reason = 606, "adopted-later", "the embedded ledger's time is later than this block's"


class NothingAdopted(Rejected):
    """Entries follow the adoption of their ledger."""

    number, code, reason = 607, "nothing-adopted", "the organisation has adopted no ledger"


class AlreadyFollows(Rejected):
    """An entry follows once."""

    number, code, reason = 608, "already-follows", "the entry followed already"


def adopt(ctx: Context, message: Adopt) -> None:
    """The organisation's log of batches goes on, by one batch with the same root in this network's time."""
    # CHECK
    if not is_network(ctx.state):
        raise NotANetwork
    did, signed = message.organisation, message.signed
    author = get_active_organisation(ctx.state, did)
    if ADOPTED.get(ctx.state, did) is not None:
        raise AlreadyAdopted
    if HEADS.get(ctx.state, did) is not None:
        raise AlreadyAnchored
    ctx.require_signed(author.root)
    try:
        genesis_hash = check_signed_state(signed)
    except (Invalid, VerificationFailed) as error:
        raise StateUnproven(error.message) from None
    if signed.time_ms > ctx.time_ms:
        raise AdoptedLater
    subject = _decode(SUBJECTS, did, message.subject, signed.state_root)
    _check_same(subject, author)
    head = _decode(HEADS, did, message.head, signed.state_root)
    log = _decode(BATCHES, did, message.batches, signed.state_root)
    _check_batches(head, log.size, log.root())
    # APPLY
    seq = head.seq + 1
    BATCHES.set(ctx.state, did, log)
    grown = BATCHES.append(ctx, did, encode_batch(seq, head.root, ctx.time_ms))
    HEADS.set(ctx.state, did, Head(seq, head.root, ctx.time_ms, grown.size, grown.root()))
    adopted = Adopted(genesis_hash, signed.size, signed.root, signed.state_root, head.seq, ctx.height)
    ADOPTED.set(ctx.state, did, adopted)
    # EMIT
    ctx.emit(LEDGER_ADOPTED, LedgerAdopted(did, genesis_hash, signed.size))


def _decode(place: Map[Did, V], did: Did, entry: ProvenEntry, state_root: bytes) -> V:
    try:
        check_entry(state_root, place.state_key(did), entry)
        return place.value.decode(entry.value)
    except (Invalid, VerificationFailed) as error:
        raise EntryUnproven(error.message) from None


def _check_same(there: Subject, here: Subject) -> None:
    if there.kind != ORGANISATION or not there.is_active or there.root != here.root:
        raise OtherKeys


def _check_batches(head: Head, size: int, root: bytes) -> None:
    """The log holds exactly the batches up to the newest one."""
    if head.seq >= SEQ_MAX or (head.size, head.log_root) != (size, root) or size != head.seq + 1:
        raise EntryUnproven("the log of batches is not that of the newest batch")


def follow(ctx: Context, message: Follow) -> None:
    """The entries stand beside the adopted state's root, for whoever reads this organisation's records."""
    # CHECK
    did = message.organisation
    author = get_active_organisation(ctx.state, did)
    adopted = ADOPTED.get(ctx.state, did)
    if adopted is None:
        raise NothingAdopted
    ctx.require_signed(author.root)
    for key, entry in message.entries:
        if FOLLOWED.get(ctx.state, (did, key)) is not None:
            raise AlreadyFollows
        try:
            check_entry(adopted.state_root, key, entry)
        except VerificationFailed as error:
            raise EntryUnproven(error.message) from None
    # APPLY
    for key, entry in message.entries:
        FOLLOWED.set(ctx.state, (did, key), entry.value)


LEDGER_ADOPTED = EventKind(
    "ledger.adopted", Schema(LedgerAdopted, organisation=DID, genesis_hash=DIGEST, size=U64)
)
_OF_AUTHORS: tuple[type[Rejected], ...] = (SubjectUnknown, SubjectInactive, NotAnOrganisation)
ADOPT = MessageKind(
    601,
    "ledger.adopt",
    Schema(
        Adopt,
        organisation=DID,
        signed=SIGNED_STATE,
        subject=PROVEN_ENTRY,
        head=PROVEN_ENTRY,
        batches=PROVEN_ENTRY,
    ),
    adopt,
    (
        NotANetwork,
        *_OF_AUTHORS,
        AlreadyAdopted,
        AlreadyAnchored,
        StateUnproven,
        AdoptedLater,
        EntryUnproven,
        OtherKeys,
    ),
)
FOLLOW = MessageKind(
    602,
    "ledger.follow",
    Schema(Follow, organisation=DID, entries=List(Pair(DIGEST, PROVEN_ENTRY), FOLLOWING_MAX)),
    follow,
    (*_OF_AUTHORS, NothingAdopted, AlreadyFollows, EntryUnproven),
)

CONTRACT = Contract(
    name="ledger",
    purpose="An organisation's embedded ledger goes on in the network's.",
    state=(ADOPTED, FOLLOWED),
    messages=(ADOPT, FOLLOW),
    events=(LEDGER_ADOPTED,),
)
