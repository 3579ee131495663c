"""Standing: who may act for the time being. Suspensions, licences that end, and what practitioners sign themselves.

An organisation's root key suspends, reinstates and licenses its practitioners and devices; on an embedded ledger the
operator suspends organisations, on a network nobody does (validators vote). A suspension may travel in lane 0, a
reinstatement may not. Nobody acts while suspended, or once every licence has ended: `compute_standing` says so to
nodes, `identity.sign` holds it here. Expiry is by block time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from careledger.contracts.subjects import (
    CHANGED,
    DID,
    LICENCES,
    LICENCES_MAX,
    OPERATOR_ROLE,
    ORGANISATION,
    PRACTITIONER,
    RESTRICTIONS,
    ROLE,
    SUBJECTS,
    NotAnOrganisation,
    NotItsOrganisation,
    NotTheOperator,
    OperatorStays,
    Restrictions,
    Subject,
    SubjectChanged,
    SubjectInactive,
    SubjectUnknown,
    get_active,
    get_active_organisation,
    get_restrictions,
    is_operator,
)
from careledger.ledger.kernel import Context, EventKind, Map, MessageKind, Rejected, State
from careledger.primitives.encoding import DIGEST, U32, U64, Pair, Schema
from careledger.primitives.types import Did

DAY_MS = 86_400_000
DAY_MAX = 2_932_896
"""Days since 1970; the last is that of the year 9999."""

ACTIVE, SUSPENDED, LAPSED, DEACTIVATED, UNKNOWN = "active", "suspended", "lapsed", "deactivated", "unknown"
"""How a DID can stand; only who is active acts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a DID stands at a time, and the roles that it then has: none unless active."""

    status: str
    roles: tuple[str, ...]
    kind: int = 0
    organisation: Did | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """When a practitioner signed a statement."""

    height: int
    time_ms: int


SIGNED: Map[tuple[Did, bytes], Signed] = Map(
    "identity",
    "signed",
    Pair(DID, DIGEST),
    Schema(Signed, height=U64, time_ms=U64),
    "by practitioner and statement's hash: when it was signed",
)


@dataclass(frozen=True, slots=True)
class Suspend:
    """The subject acts no more until reinstated. Signed by its organisation's root key; for organisations, the operator's."""

    subject: Did
    by: Did


@dataclass(frozen=True, slots=True)
class Reinstate:
    """The subject acts again. Signed as its suspension is."""

    subject: Did
    by: Did


@dataclass(frozen=True, slots=True)
class License:
    """The practitioner has a role until the end of a day (UTC), instead of any day set before; day 0 ends it now.

    Signed by its organisation's root key. A role that was ever licensed is held by licence alone.
    """

    subject: Did
    by: Did
    role: str
    until_day: int


@dataclass(frozen=True, slots=True)
class Sign:
    """A practitioner stands by a statement, of which the ledger sees a hash. Signed by the practitioner's own key."""

    by: Did
    statement: bytes


@dataclass(frozen=True, slots=True)
class StatementSigned:
    """A practitioner signed a statement."""

    by: Did
    statement: bytes


class SubjectSuspended(Rejected):
    """The subject is suspended."""

    number, code, reason = 213, "subject-suspended", "the subject is suspended"


class NotSuspended(Rejected):
    """Only who is suspended is reinstated."""

    number, code, reason = 214, "not-suspended", "the subject is not suspended"


class NotAPractitioner(Rejected):
    """Only practitioners are licensed, and sign statements."""

    number, code, reason = 215, "not-a-practitioner", "the subject is no practitioner"


class LicenceLapsed(Rejected):
    """Every licence of the practitioner has ended."""

    number, code, reason = 216, "licence-lapsed", "the practitioner's licence has ended"


class LicenceOutOfBounds(Rejected):
    """A licence ends on a day up to the year 9999, is not for the operator's role, and there are at most 32 of them."""

    number, code, reason = 217, "licence-out-of-bounds", "such a licence cannot be"


class AlreadySigned(Rejected):
    """A practitioner signs a statement once."""

    number, code, reason = 218, "already-signed", "the practitioner signed this statement already"


def compute_standing(state: State, did: Did, time_ms: int) -> Standing:
    """How the DID stands when the time is `time_ms`. Its organisation's end, or suspension, is its own."""
    subject = SUBJECTS.get(state, did)
    if subject is None:
        return Standing(UNKNOWN, ())
    organisation = SUBJECTS.get(state, subject.organisation)
    limits = get_restrictions(state, did)
    status, roles = ACTIVE, _get_roles_in_force(subject, limits, time_ms)
    if not subject.is_active or organisation is None or not organisation.is_active:
        status = DEACTIVATED
    elif limits.is_suspended or get_restrictions(state, subject.organisation).is_suspended:
        status = SUSPENDED
    elif _has_lapsed(limits, time_ms):
        status = LAPSED
    return Standing(status, roles if status == ACTIVE else (), subject.kind, subject.organisation)


def _has_lapsed(limits: Restrictions, time_ms: int) -> bool:
    today = time_ms // DAY_MS
    return bool(limits.licences) and all(until_day < today for _, until_day in limits.licences)


def _get_roles_in_force(subject: Subject, limits: Restrictions, time_ms: int) -> tuple[str, ...]:
    licensed = dict(limits.licences)
    kept = [role for role in subject.roles if role not in licensed]
    kept += [role for role, until_day in limits.licences if until_day >= time_ms // DAY_MS]
    return tuple(sorted(kept))


def _get_author(ctx: Context, subject: Subject, did: Did, by: Did) -> Subject:
    """Whoever may suspend and reinstate the subject: its organisation, or for organisations the operator."""
    author = get_active_organisation(ctx.state, by)
    if subject.kind == ORGANISATION:
        if not is_operator(ctx.state, author):
            raise NotTheOperator
        if by == did:
            raise OperatorStays
    elif subject.organisation != by:
        raise NotItsOrganisation
    return author


def suspend(ctx: Context, message: Suspend) -> None:
    """The subject's entry and licences stay; it acts for nobody."""
    # CHECK
    subject = get_active(ctx.state, message.subject)
    author = _get_author(ctx, subject, message.subject, message.by)
    limits = get_restrictions(ctx.state, message.subject)
    if limits.is_suspended:
        raise SubjectSuspended
    ctx.require_signed(author.root)
    # APPLY
    RESTRICTIONS.set(ctx.state, message.subject, replace(limits, is_suspended=True))
    # EMIT
    ctx.emit(SUSPENDED_EVENT, SubjectChanged(message.subject))


def reinstate(ctx: Context, message: Reinstate) -> None:
    """The subject acts as before the suspension, within its licences."""
    # CHECK
    subject = get_active(ctx.state, message.subject)
    author = _get_author(ctx, subject, message.subject, message.by)
    limits = get_restrictions(ctx.state, message.subject)
    if not limits.is_suspended:
        raise NotSuspended
    ctx.require_signed(author.root)
    # APPLY
    RESTRICTIONS.set(ctx.state, message.subject, replace(limits, is_suspended=False))
    # EMIT
    ctx.emit(REINSTATED, SubjectChanged(message.subject))


def license_(ctx: Context, message: License) -> None:
    """The role is in force while the block's day is at most `until_day`."""
    # CHECK
    subject = get_active(ctx.state, message.subject)
    author = get_active_organisation(ctx.state, message.by)
    if subject.kind != PRACTITIONER:
        raise NotAPractitioner
    if subject.organisation != message.by:
        raise NotItsOrganisation
    limits = get_restrictions(ctx.state, message.subject)
    licences = {**dict(limits.licences), message.role: message.until_day}
    if message.until_day > DAY_MAX or message.role == OPERATOR_ROLE or len(licences) > LICENCES_MAX:
        raise LicenceOutOfBounds
    ctx.require_signed(author.root)
    # APPLY
    ordered = LICENCES.sorted(tuple(licences.items()))
    RESTRICTIONS.set(ctx.state, message.subject, replace(limits, licences=ordered))
    # EMIT
    ctx.emit(LICENSED, SubjectChanged(message.subject))


def sign(ctx: Context, message: Sign) -> None:
    """The statement's hash stands under the practitioner's DID, with the block's time."""
    # CHECK
    subject = get_active(ctx.state, message.by)
    if subject.kind != PRACTITIONER:
        raise NotAPractitioner
    get_active_organisation(ctx.state, subject.organisation)
    limits = get_restrictions(ctx.state, message.by)
    if limits.is_suspended:
        raise SubjectSuspended
    if _has_lapsed(limits, ctx.time_ms):
        raise LicenceLapsed
    if SIGNED.get(ctx.state, (message.by, message.statement)) is not None:
        raise AlreadySigned
    ctx.require_signed(subject.root)
    # APPLY
    SIGNED.set(ctx.state, (message.by, message.statement), Signed(ctx.height, ctx.time_ms))
    # EMIT
    ctx.emit(STATEMENT_SIGNED, StatementSigned(message.by, message.statement))


SUSPENDED_EVENT = EventKind("identity.suspended", CHANGED)
REINSTATED = EventKind("identity.reinstated", CHANGED)
LICENSED = EventKind("identity.licensed", CHANGED)
STATEMENT_SIGNED = EventKind("identity.signed", Schema(StatementSigned, by=DID, statement=DIGEST))

_OF_SUBJECTS: tuple[type[Rejected], ...] = (SubjectUnknown, SubjectInactive, NotAnOrganisation)
SUSPEND = MessageKind(
    206,
    "identity.suspend",
    Schema(Suspend, subject=DID, by=DID),
    suspend,
    (*_OF_SUBJECTS, NotTheOperator, NotItsOrganisation, OperatorStays, SubjectSuspended),
    is_urgent=True,
)
REINSTATE = MessageKind(
    207,
    "identity.reinstate",
    Schema(Reinstate, subject=DID, by=DID),
    reinstate,
    (*_OF_SUBJECTS, NotTheOperator, NotItsOrganisation, OperatorStays, NotSuspended),
)
LICENSE = MessageKind(
    208,
    "identity.license",
    Schema(License, subject=DID, by=DID, role=ROLE, until_day=U32),
    license_,
    (*_OF_SUBJECTS, NotAPractitioner, NotItsOrganisation, LicenceOutOfBounds),
)
SIGN = MessageKind(
    209,
    "identity.sign",
    Schema(Sign, by=DID, statement=DIGEST),
    sign,
    (SubjectUnknown, SubjectInactive, NotAPractitioner, SubjectSuspended, LicenceLapsed, AlreadySigned),
)
MESSAGES = (SUSPEND, REINSTATE, LICENSE, SIGN)
EVENTS = (SUSPENDED_EVENT, REINSTATED, LICENSED, STATEMENT_SIGNED)
