"""Consent: that a directive holds or is revoked, by commitment. Whose it is, for whom, and what it says stay sealed.

A directive has a key of its own, which signs one grant and at most one revocation; a printed code revokes as well.
A commitment is used once, ever. Revocation wins: a grant that arrives with or after its own revocation is refused,
so no order of transactions brings a revoked directive into force. Expiry is a matter of time, never a message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from careledger.contracts.identity import compute_key_id
from careledger.ledger.kernel import (
    KEY,
    ML_DSA_65,
    Context,
    Contract,
    EventKind,
    Key,
    Map,
    MessageKind,
    Rejected,
)
from careledger.primitives.encoding import DIGEST, U8, U32, U64, Option, Schema
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import ML_DSA_65_PUBLIC_SIZE

ACTIVE, REVOKED = 1, 2
"""What a directive's entry says; expiry shows in `until_day` alone."""

DAY_MAX = 2_932_896
"""The last day of the year 9999, counted from 1970-01-01."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How a directive stands; always 77 bytes. `until_day` is its last day (UTC), `height` that of the last change.

    `key_hash` is H(`cl1.key-id`, enc(key)); `revocation_hash` is H(`cl1.revocation-code`, code).
    """

    status: int
    key_hash: bytes
    until_day: int
    revocation_hash: bytes
    height: int


ENTRY: Schema[Entry] = Schema(
    Entry, status=U8, key_hash=DIGEST, until_day=U32, revocation_hash=DIGEST, height=U64
)
DIRECTIVES: Map[bytes, Entry] = Map(
    "consent", "directive", DIGEST, ENTRY, "by commitment; 1 active, 2 revoked"
)
WITHDRAWN: Map[bytes, int] = Map(
    "consent",
    "withdrawn",
    DIGEST,
    U64,
    "by H(`cl1.withdrawn`, commitment | H(key) or revocation hash): height of a revocation that came before its grant",
)


@dataclass(frozen=True, slots=True)
class Grant:
    """A directive comes into force until the end of `until_day`. Signed by its own key (ML-DSA-65)."""

    commitment: bytes
    key: Key
    until_day: int
    revocation_hash: bytes


@dataclass(frozen=True, slots=True)
class Revoke:
    """The directive is without force from this block on, for ever. By its key, which signs, or by its code."""

    commitment: bytes
    key: Key | None
    code: bytes | None


@dataclass(frozen=True, slots=True)
class DirectiveChanged:
    """Some directive was granted or revoked."""

    commitment: bytes


class CommitmentUsed(Rejected):
    """The commitment is or was a directive's; it is used once, ever."""

    number, code, reason = 401, "commitment-used", "the commitment is or was a directive's"


class DirectiveKeyMalformed(Rejected):
    """A directive's key is ML-DSA-65, of exactly its size."""

    number, code, reason = 402, "directive-key-malformed", "the key is no ML-DSA-65 key"


class DayOutOfRange(Rejected):
    """The last day lies beyond the year 9999."""

    number, code, reason = 403, "day-out-of-range", "the last day lies beyond the year 9999"


class DirectiveWithdrawn(Rejected):
    """The grant's own key or code revoked this commitment before the grant came."""

    number, code, reason = 404, "directive-withdrawn", "the directive was revoked before it was granted"


class RevocationUnclear(Rejected):
    """A revocation is by the key or by the code: exactly one of them."""

    number, code, reason = 405, "revocation-unclear", "a revocation names either the key or the code"


class DirectiveRevoked(Rejected):
    """The directive is revoked already."""

    number, code, reason = 406, "directive-revoked", "the directive is revoked already"


class NotItsKey(Rejected):
    """The key is another directive's."""

    number, code, reason = 407, "not-its-key", "the key is not this directive's"


class NotItsCode(Rejected):
    """The code is another directive's."""

    number, code, reason = 408, "not-its-code", "the code is not this directive's"


def compute_revocation_hash(code: bytes) -> bytes:
    """H(`cl1.revocation-code`, code): what a grant names and the code opens."""
    return tagged("cl1.revocation-code", code)


def _withdrawal_key(commitment: bytes, authority: bytes) -> bytes:
    return tagged("cl1.withdrawn", commitment + authority)


def _check_key(key: Key) -> None:
    if key.algorithm != ML_DSA_65 or len(key.public) != ML_DSA_65_PUBLIC_SIZE:
        raise DirectiveKeyMalformed


def grant(ctx: Context, message: Grant) -> None:
    """The directive is active."""
    # CHECK
    _check_key(message.key)
    if message.until_day > DAY_MAX:
        raise DayOutOfRange
    if DIRECTIVES.get(ctx.state, message.commitment) is not None:
        raise CommitmentUsed
    key_hash = compute_key_id(message.key)
    for authority in (key_hash, message.revocation_hash):
        if WITHDRAWN.get(ctx.state, _withdrawal_key(message.commitment, authority)) is not None:
            raise DirectiveWithdrawn
    ctx.require_signed(message.key)
    # APPLY
    entry = Entry(ACTIVE, key_hash, message.until_day, message.revocation_hash, ctx.height)
    DIRECTIVES.set(ctx.state, message.commitment, entry)
    # EMIT
    ctx.emit(GRANTED, DirectiveChanged(message.commitment))


def revoke(ctx: Context, message: Revoke) -> None:
    """The directive is revoked; if its grant has not come yet, it never will be active."""
    # CHECK
    authority = _check_authority(ctx, message)
    entry = DIRECTIVES.get(ctx.state, message.commitment)
    early = _withdrawal_key(message.commitment, authority)
    if entry is None:
        if WITHDRAWN.get(ctx.state, early) is not None:
            raise DirectiveRevoked
    else:
        _check_revocable(entry, message, authority)
    # APPLY
    if entry is None:
        # Bound to key or code: whoever sees a commitment before its grant cannot keep that grant out.
        WITHDRAWN.set(ctx.state, early, ctx.height)
    else:
        DIRECTIVES.set(ctx.state, message.commitment, replace(entry, status=REVOKED, height=ctx.height))
    # EMIT
    ctx.emit(REVOKED_EVENT, DirectiveChanged(message.commitment))


def _check_authority(ctx: Context, message: Revoke) -> bytes:
    """What the revocation rests on: hash of a key that signed, or of the code."""
    if message.key is not None and message.code is None:
        _check_key(message.key)
        ctx.require_signed(message.key)
        return compute_key_id(message.key)
    if message.key is None and message.code is not None:
        return compute_revocation_hash(message.code)
    raise RevocationUnclear


def _check_revocable(entry: Entry, message: Revoke, authority: bytes) -> None:
    if message.key is not None and authority != entry.key_hash:
        raise NotItsKey
    if message.code is not None and authority != entry.revocation_hash:
        raise NotItsCode
    if entry.status == REVOKED:
        raise DirectiveRevoked


CHANGED: Schema[DirectiveChanged] = Schema(DirectiveChanged, commitment=DIGEST)
GRANTED = EventKind("consent.granted", CHANGED)
REVOKED_EVENT = EventKind("consent.revoked", CHANGED)

GRANT = MessageKind(
    401,
    "consent.grant",
    Schema(Grant, commitment=DIGEST, key=KEY, until_day=U32, revocation_hash=DIGEST),
    grant,
    (DirectiveKeyMalformed, DayOutOfRange, CommitmentUsed, DirectiveWithdrawn),
)
REVOKE = MessageKind(
    402,
    "consent.revoke",
    Schema(Revoke, commitment=DIGEST, key=Option(KEY), code=Option(DIGEST)),
    revoke,
    (RevocationUnclear, DirectiveKeyMalformed, NotItsKey, NotItsCode, DirectiveRevoked),
    is_urgent=True,
)

CONTRACT = Contract(
    name="consent",
    purpose="That directives hold or are revoked, by commitment; no patient, no grantee.",
    state=(DIRECTIVES, WITHDRAWN),
    messages=(GRANT, REVOKE),
    events=(GRANTED, REVOKED_EVENT),
)


# For those who make messages and read entries


def grant_message(commitment: bytes, public: bytes, until_day: int, revocation_hash: bytes) -> bytes:
    """`consent.grant` as a transaction carries it; `public` is the directive's own ML-DSA-65 key."""
    return GRANT.encode(Grant(commitment, Key(ML_DSA_65, public), until_day, revocation_hash))


def revoke_message(commitment: bytes, *, public: bytes | None = None, code: bytes | None = None) -> bytes:
    """`consent.revoke` as a transaction carries it: by the directive's key, which must sign, or by its code."""
    key = None if public is None else Key(ML_DSA_65, public)
    return REVOKE.encode(Revoke(commitment, key, code))


def compute_key_hash(public: bytes) -> bytes:
    """What `Entry.key_hash` is for a directive's own ML-DSA-65 key: her device compares it."""
    return compute_key_id(Key(ML_DSA_65, public))


def withdrawal_keys(commitment: bytes, entry: Entry) -> tuple[bytes, bytes]:
    """Where the state map says that this directive was revoked although the ledger holds no entry of it: by its key, or
    by its code."""
    key, code = (_withdrawal_key(commitment, one) for one in (entry.key_hash, entry.revocation_hash))
    return WITHDRAWN.state_key(key), WITHDRAWN.state_key(code)


def entry_key(commitment: bytes) -> bytes:
    """Where the state map holds the directive's entry."""
    return DIRECTIVES.state_key(commitment)


def decode_entry(value: bytes) -> Entry:
    """The entry that the state holds there. Raises Invalid."""
    return ENTRY.decode(value)
