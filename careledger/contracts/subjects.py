"""Subjects: who a DID is, which keys are or were whose, and who is suspended; what all rules about them ask.

The messages that change this are `identity` (who is who) and `standing` (who may act for the time being).
"""

from __future__ import annotations

from dataclasses import dataclass

from careledger.contracts.validators import is_network
from careledger.ledger.kernel import (
    ED25519,
    KEY,
    ML_DSA_65,
    WEBAUTHN_ES256,
    WEBAUTHN_ML_DSA,
    Context,
    Key,
    Map,
    Rejected,
    State,
)
from careledger.primitives.encoding import DIGEST, FLAG, U8, U32, U64, Codec, Option, Pair, Schema, Set, Text
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import ED25519_PUBLIC_SIZE, ML_DSA_65_PUBLIC_SIZE
from careledger.primitives.types import Did
from careledger.primitives.webauthn import check_es256_key, check_ml_dsa_65_key, get_raw_key

ORGANISATION, PRACTITIONER, DEVICE = 1, 2, 3
"""Kinds of subject."""

OPERATOR_ROLE = "operator"
ROLES_MAX, END_POINTS_MAX, LICENCES_MAX = 32, 16, 32

DID: Codec[Did] = DIGEST  # type: ignore[assignment]  # a Did is a digest
NAME = Text(200)
ROLE = Text(64, least=1)
ROLES = Set(ROLE, ROLES_MAX)
END_POINTS = Set(Text(512, least=1), END_POINTS_MAX)


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a DID is now. `organisation` is the subject itself if it is one; `height` is that of the registration."""

    kind: int
    organisation: Did
    name: str
    is_active: bool
    root: Key
    node: Key | None
    roles: tuple[str, ...]
    end_points: tuple[str, ...]
    height: int


SUBJECT: Schema[Subject] = Schema(
    Subject,
    kind=U8,
    organisation=DID,
    name=NAME,
    is_active=FLAG,
    root=KEY,
    node=Option(KEY),
    roles=ROLES,
    end_points=END_POINTS,
    height=U64,
)
SUBJECTS: Map[Did, Subject] = Map("identity", "subject", DID, SUBJECT, "by DID")
KEYS: Map[bytes, Did] = Map(
    "identity", "key", DIGEST, DID, "by H(`cl1.key-id`, enc(key)), a passkey's raw: whose it is or was"
)


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What limits a subject for the time being: absent, nothing does. `licences` are (role, last day), by role."""

    is_suspended: bool
    licences: tuple[tuple[str, int], ...]


LICENCES = Set(Pair(ROLE, U32), LICENCES_MAX)
NO_RESTRICTIONS = Restrictions(False, ())
RESTRICTIONS: Map[Did, Restrictions] = Map(
    "identity",
    "standing",
    DID,
    Schema(Restrictions, is_suspended=FLAG, licences=LICENCES),
    "by DID: whether suspended; roles that end, with their last day (UTC, since 1970)",
)


@dataclass(frozen=True, slots=True)
class SubjectChanged:
    """A subject was registered or changed; the state says how."""

    subject: Did


CHANGED: Schema[SubjectChanged] = Schema(SubjectChanged, subject=DID)


class SubjectUnknown(Rejected):
    """No subject has this DID."""

    number, code, reason = 202, "subject-unknown", "no subject has this DID"


class SubjectInactive(Rejected):
    """The subject is deactivated, or the organisation that would act is deactivated or suspended."""

    number, code, reason = 203, "subject-inactive", "the subject is deactivated"


class NotAnOrganisation(Rejected):
    """Only organisations act for others, have node keys and names."""

    number, code, reason = 205, "not-an-organisation", "only an organisation has this"


class NotTheOperator(Rejected):
    """Only the operator admits organisations and sets their roles."""

    number, code, reason = 206, "not-the-operator", "only the operator may do this"


class NotItsOrganisation(Rejected):
    """The subject belongs to another organisation."""

    number, code, reason = 207, "not-its-organisation", "the subject belongs to another organisation"


class KeyInUse(Rejected):
    """The key is or was somebody's; root and node keys differ."""

    number, code, reason = 208, "key-in-use", "the key is or was in use"


class KeyMalformed(Rejected):
    """The key can never sign: its algorithm, size, point or origin. Passkeys are practitioners' alone."""

    number, code, reason = 209, "key-malformed", "the key cannot sign transactions"


class OperatorStays(Rejected):
    """The last word on admission cannot be deactivated or suspended, nor give its role away by itself."""

    number, code, reason = 210, "operator-stays", "the operator cannot be deactivated or lose its role"


_KEY_SIZES = {ED25519: ED25519_PUBLIC_SIZE, ML_DSA_65: ML_DSA_65_PUBLIC_SIZE}
_PASSKEY_CHECKS = {WEBAUTHN_ES256: check_es256_key, WEBAUTHN_ML_DSA: check_ml_dsa_65_key}


def compute_key_id(key: Key) -> bytes:
    """H(`cl1.key-id`, enc(key)); of a passkey the raw key counts, wherever it is registered for."""
    if key.algorithm in _PASSKEY_CHECKS:
        key = Key(key.algorithm, get_raw_key(key.public))
    return tagged("cl1.key-id", KEY.encode(key))


def get_restrictions(state: State, did: Did) -> Restrictions:
    """What limits the subject for the time being."""
    return RESTRICTIONS.get(state, did) or NO_RESTRICTIONS


def get_active(state: State, did: Did) -> Subject:
    """The subject, if it is active. Raises SubjectUnknown, SubjectInactive."""
    subject = SUBJECTS.get(state, did)
    if subject is None:
        raise SubjectUnknown
    if not subject.is_active:
        raise SubjectInactive
    return subject


def get_active_organisation(state: State, did: Did) -> Subject:
    """The organisation, if it is one, active and not suspended."""
    subject = get_active(state, did)
    if subject.kind != ORGANISATION:
        raise NotAnOrganisation
    if get_restrictions(state, did).is_suspended:
        raise SubjectInactive("the organisation is suspended")
    return subject


def is_operator(state: State, subject: Subject) -> bool:
    """Whether it admits organisations and sets the profile; on a network nobody does alone."""
    return OPERATOR_ROLE in subject.roles and not is_network(state)


def get_sponsor_keys(state: State, did: Did) -> tuple[Key, ...]:
    """An active organisation's node and root key; () for everybody else, and while it is suspended."""
    subject = SUBJECTS.get(state, did)
    if subject is None or not subject.is_active or subject.kind != ORGANISATION or subject.node is None:
        return ()
    if get_restrictions(state, did).is_suspended:
        return ()
    return subject.node, subject.root


def require_operator(ctx: Context, did: Did) -> None:
    """Raises unless `did` is the operator and its root key signed."""
    author = get_active_organisation(ctx.state, did)
    if not is_operator(ctx.state, author):
        raise NotTheOperator
    ctx.require_signed(author.root)


def check_unused(state: State, key: Key, *, is_of_practitioner: bool = False) -> None:
    """Raises KeyMalformed, KeyInUse. Passkeys sign for people alone: an organisation's keys sign more than transactions."""
    check_passkey = _PASSKEY_CHECKS.get(key.algorithm) if is_of_practitioner else None
    if check_passkey is not None:
        try:
            check_passkey(key.public)
        except VerificationFailed as error:
            raise KeyMalformed(error.message) from None
    elif _KEY_SIZES.get(key.algorithm) != len(key.public):
        raise KeyMalformed
    if KEYS.get(state, compute_key_id(key)) is not None:
        raise KeyInUse
