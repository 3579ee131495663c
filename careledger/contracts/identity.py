"""Identity: organisations, practitioners and devices as DIDs; keys rotate, roles change, nothing is deleted.

No patient has an entry here. An organisation's root key decides about itself and about its practitioners and devices;
the organisation with the role `operator` admits organisations; on a network validators vote, and no operator decides
anything. Every new key signs the transaction that brings it in (proof of possession), and no key is ever used
twice; a practitioner's may be a passkey. Practitioners and devices carry no name. Who is suspended, and whose licence ends when, is told by `standing`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from careledger.contracts import standing
from careledger.contracts.subjects import (
    CHANGED,
    DEVICE,
    DID,
    END_POINTS,
    KEYS,
    NAME,
    OPERATOR_ROLE,
    ORGANISATION,
    PRACTITIONER,
    RESTRICTIONS,
    ROLES,
    SUBJECT,
    SUBJECTS,
    KeyInUse,
    KeyMalformed,
    NotAnOrganisation,
    NotItsOrganisation,
    NotTheOperator,
    OperatorStays,
    Subject,
    SubjectChanged,
    SubjectInactive,
    SubjectUnknown,
    check_unused,
    compute_key_id,
    get_active,
    get_active_organisation,
    get_sponsor_keys,
    is_operator,
    require_operator,
)
from careledger.contracts.validators import get_seats
from careledger.ledger.kernel import KEY, Context, Contract, EventKind, Key, MessageKind, Rejected
from careledger.primitives.encoding import U8, Option, Schema
from careledger.primitives.types import Did, compute_did

__all__ = [
    "CHANGED",
    "DEVICE",
    "DID",
    "END_POINTS",
    "KEYS",
    "NAME",
    "OPERATOR_ROLE",
    "ORGANISATION",
    "PRACTITIONER",
    "ROLES",
    "SUBJECT",
    "SUBJECTS",
    "KeyInUse",
    "KeyMalformed",
    "NotAnOrganisation",
    "NotItsOrganisation",
    "NotTheOperator",
    "OperatorStays",
    "Subject",
    "SubjectChanged",
    "SubjectInactive",
    "SubjectUnknown",
    "check_unused",
    "compute_key_id",
    "get_active",
    "get_active_organisation",
    "get_sponsor_keys",
    "is_operator",
    "require_operator",
]
"""What other contracts and rooms ask about subjects, beside the messages below."""

ROOT, NODE = 1, 2
"""Purposes of keys: the root key decides, the node key (organisations only) anchors records and sponsors."""


@dataclass(frozen=True, slots=True)
class Register:
    """A new subject. Signed by `by`'s root key and by each new key; `by` is the organisation that admits it."""

    by: Did
    kind: int
    name: str
    root: Key
    node: Key | None
    end_points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rotate:
    """A new key in place of the root or node key. Signed by the organisation's root key and the new key."""

    subject: Did
    purpose: int
    key: Key


@dataclass(frozen=True, slots=True)
class Deactivate:
    """The subject acts no more, for ever. Signed by its organisation's root key, or by the operator's (`by`)."""

    subject: Did
    by: Did


@dataclass(frozen=True, slots=True)
class SetRole:
    """The subject's roles from now on. Signed by its organisation's root key; for organisations, the operator's."""

    subject: Did
    by: Did
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetEndPoints:
    """Where the subject can be reached from now on. Signed by its organisation's root key."""

    subject: Did
    end_points: tuple[str, ...]


class SubjectExists(Rejected):
    """The DID is registered already."""

    number, code, reason = 201, "subject-exists", "the DID is registered already"


class UnknownKind(Rejected):
    """Kinds are organisation 1, practitioner 2, device 3; purposes of keys root 1, node 2."""

    number, code, reason = 204, "unknown-kind", "the kind or purpose has no meaning"


class OrganisationUnnamed(Rejected):
    """An organisation has a name and a node key."""

    number, code, reason = 211, "organisation-unnamed", "an organisation needs a name and a node key"


class ValidatorStays(Rejected):
    """An organisation whose validators have weight leaves by a vote: the others must go on signing blocks."""

    number, code, reason = 212, "validator-stays", "the organisation has validators: it leaves by a vote"


def enter(ctx: Context, did: Did, subject: Subject) -> None:
    """A checked subject and its keys enter the state."""
    SUBJECTS.set(ctx.state, did, subject)
    for key in (subject.root, subject.node):
        if key is not None:
            KEYS.set(ctx.state, compute_key_id(key), did)
    ctx.emit(REGISTERED, SubjectChanged(did))


def leave(ctx: Context, did: Did, subject: Subject) -> None:
    """The checked subject acts no more, for ever."""
    SUBJECTS.set(ctx.state, did, replace(subject, is_active=False))
    ctx.emit(DEACTIVATED, SubjectChanged(did))


def _check_new_key(ctx: Context, kind: int, key: Key) -> None:
    check_unused(ctx.state, key, is_of_practitioner=kind == PRACTITIONER)
    ctx.require_signed(key)


def register(ctx: Context, message: Register) -> None:
    """A DID and its first keys enter the state."""
    # CHECK
    if message.kind not in (ORGANISATION, PRACTITIONER, DEVICE):
        raise UnknownKind
    is_organisation = message.kind == ORGANISATION
    if is_organisation and (not message.name or message.node is None):
        raise OrganisationUnnamed
    if not is_organisation and (message.name or message.node is not None):
        raise NotAnOrganisation
    did = compute_did(message.kind, *message.root)
    if SUBJECTS.get(ctx.state, did) is not None:
        raise SubjectExists
    if not (ctx.is_genesis and message.by == did):
        author = get_active_organisation(ctx.state, message.by)
        if is_organisation and not is_operator(ctx.state, author):
            raise NotTheOperator
        ctx.require_signed(author.root)
    keys = [message.root] if message.node is None else [message.root, message.node]
    for key in keys:
        _check_new_key(ctx, message.kind, key)
    if len(keys) == 2 and keys[0] == keys[1]:
        raise KeyInUse
    # APPLY
    organisation = did if is_organisation else message.by
    roles = (OPERATOR_ROLE,) if ctx.is_genesis and message.by == did else ()
    subject = Subject(
        message.kind,
        organisation,
        message.name,
        True,
        message.root,
        message.node,
        roles,
        message.end_points,
        ctx.height,
    )
    enter(ctx, did, subject)


def rotate(ctx: Context, message: Rotate) -> None:
    """The key changes; the DID stays, and the old key is never accepted again."""
    # CHECK
    if message.purpose not in (ROOT, NODE):
        raise UnknownKind
    subject = get_active(ctx.state, message.subject)
    if message.purpose == NODE and subject.kind != ORGANISATION:
        raise NotAnOrganisation
    organisation = get_active_organisation(ctx.state, subject.organisation)
    ctx.require_signed(organisation.root)
    _check_new_key(ctx, subject.kind, message.key)
    # APPLY
    if message.purpose == ROOT:
        subject = replace(subject, root=message.key)
    else:
        subject = replace(subject, node=message.key)
    SUBJECTS.set(ctx.state, message.subject, subject)
    KEYS.set(ctx.state, compute_key_id(message.key), message.subject)
    # EMIT
    ctx.emit(ROTATED, SubjectChanged(message.subject))


def deactivate(ctx: Context, message: Deactivate) -> None:
    """The subject and what rests on it stops acting; its entry stays."""
    # CHECK
    subject = get_active(ctx.state, message.subject)
    author = get_active_organisation(ctx.state, message.by)
    is_decided_above = subject.kind == ORGANISATION and is_operator(ctx.state, author)
    if message.by != subject.organisation and not is_decided_above:
        raise NotItsOrganisation
    if is_operator(ctx.state, subject):
        raise OperatorStays
    if any(seat.organisation == message.subject for seat in get_seats(ctx.state)):
        raise ValidatorStays
    ctx.require_signed(author.root)
    # APPLY, EMIT
    leave(ctx, message.subject, subject)


def set_role(ctx: Context, message: SetRole) -> None:
    """The subject has exactly these roles."""
    # CHECK
    subject = get_active(ctx.state, message.subject)
    author = get_active_organisation(ctx.state, message.by)
    if subject.kind == ORGANISATION:
        if not is_operator(ctx.state, author):
            raise NotTheOperator
    elif subject.organisation != message.by:
        raise NotItsOrganisation
    if OPERATOR_ROLE in message.roles and subject.kind != ORGANISATION:
        raise NotAnOrganisation
    if is_operator(ctx.state, subject) and OPERATOR_ROLE not in message.roles:
        raise OperatorStays
    ctx.require_signed(author.root)
    # APPLY
    SUBJECTS.set(ctx.state, message.subject, replace(subject, roles=message.roles))
    # EMIT
    ctx.emit(ROLES_SET, SubjectChanged(message.subject))


def set_end_points(ctx: Context, message: SetEndPoints) -> None:
    """The subject can be reached at exactly these addresses."""
    # CHECK
    subject = get_active(ctx.state, message.subject)
    organisation = get_active_organisation(ctx.state, subject.organisation)
    ctx.require_signed(organisation.root)
    # APPLY
    SUBJECTS.set(ctx.state, message.subject, replace(subject, end_points=message.end_points))
    # EMIT
    ctx.emit(END_POINTS_SET, SubjectChanged(message.subject))


REGISTERED = EventKind("identity.registered", CHANGED)
ROTATED = EventKind("identity.rotated", CHANGED)
DEACTIVATED = EventKind("identity.deactivated", CHANGED)
ROLES_SET = EventKind("identity.roles_set", CHANGED)
END_POINTS_SET = EventKind("identity.end_points_set", CHANGED)

REGISTER = MessageKind(
    201,
    "identity.register",
    Schema(Register, by=DID, kind=U8, name=NAME, root=KEY, node=Option(KEY), end_points=END_POINTS),
    register,
    (
        UnknownKind,
        OrganisationUnnamed,
        NotAnOrganisation,
        SubjectExists,
        SubjectUnknown,
        SubjectInactive,
        NotTheOperator,
        KeyMalformed,
        KeyInUse,
    ),
)
ROTATE = MessageKind(
    202,
    "identity.rotate",
    Schema(Rotate, subject=DID, purpose=U8, key=KEY),
    rotate,
    (UnknownKind, SubjectUnknown, SubjectInactive, NotAnOrganisation, KeyMalformed, KeyInUse),
)
DEACTIVATE = MessageKind(
    203,
    "identity.deactivate",
    Schema(Deactivate, subject=DID, by=DID),
    deactivate,
    (SubjectUnknown, SubjectInactive, NotAnOrganisation, NotItsOrganisation, OperatorStays, ValidatorStays),
    is_urgent=True,
)
SET_ROLE = MessageKind(
    204,
    "identity.set_role",
    Schema(SetRole, subject=DID, by=DID, roles=ROLES),
    set_role,
    (SubjectUnknown, SubjectInactive, NotAnOrganisation, NotTheOperator, NotItsOrganisation, OperatorStays),
)
SET_END_POINTS = MessageKind(
    205,
    "identity.set_end_points",
    Schema(SetEndPoints, subject=DID, end_points=END_POINTS),
    set_end_points,
    (SubjectUnknown, SubjectInactive),
)

CONTRACT = Contract(
    name="identity",
    purpose="Organisations, practitioners and devices as DIDs; no patient.",
    state=(SUBJECTS, KEYS, RESTRICTIONS, standing.SIGNED),
    messages=(REGISTER, ROTATE, DEACTIVATE, SET_ROLE, SET_END_POINTS, *standing.MESSAGES),
    events=(REGISTERED, ROTATED, DEACTIVATED, ROLES_SET, END_POINTS_SET, *standing.EVENTS),
    sponsor_keys=get_sponsor_keys,
)
