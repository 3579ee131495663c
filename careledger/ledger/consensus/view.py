"""The newest state as the pool asks it: what can be told of a transaction before its signatures are verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from careledger.ledger.execution import (
    ACCOUNTS,
    DAY_MS,
    Expired,
    LaneReserved,
    NoMessages,
    OtherLedger,
    Overlay,
    QuotaExceeded,
    Read,
    Rules,
    SequenceMismatch,
    SponsorNotSigned,
    UnknownLane,
    UnknownMessage,
    UnknownSponsor,
    ValidTooLong,
)
from careledger.ledger.kernel import BODY_BYTES_MAX, PARAMETERS, VALID_MS_MAX, Key, Rejected
from careledger.ledger.transaction import LANES, Authenticator, Body, TransactionTooLarge
from careledger.primitives.types import Did

MAY_PASS: Final[tuple[type[Rejected], ...]] = (
    ValidTooLong,
    QuotaExceeded,
    UnknownSponsor,
    SponsorNotSigned,
    UnknownMessage,
)
"""Refusals that a later state, a later day or a node that is up to date may lift."""
STANDINGS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """A sponsor after the newest block: its keys (none: it may not sponsor), its next sequences, its quota."""

    keys: tuple[Key, ...]
    lanes: dict[int, int]
    used_bytes: int

    def next_sequence(self, lane: int) -> int:
        """What the next transaction of this lane must have."""
        return self.lanes.get(lane, 0)


class View:
    """The newest state; each sponsor is read once a block."""

    def __init__(self, rules: Rules, genesis_hash: bytes, read: Read, height: int, time_ms: int) -> None:
        self.height = height
        self.time_ms = time_ms
        self._rules = rules
        self._genesis_hash = genesis_hash
        self._read = read
        self._standings: dict[Did, Standing] = {}
        state = Overlay(read)
        self._valid_ms_max = VALID_MS_MAX.get(state)
        self._body_bytes_max = BODY_BYTES_MAX.get(state)
        parameters = PARAMETERS.read(state)
        self._quota = None if parameters is None else parameters.quota_bytes_day

    def standing(self, sponsor: Did) -> Standing:
        """How the newest state knows it."""
        known = self._standings.get(sponsor)
        if known is None:
            if len(self._standings) >= STANDINGS_MAX:  # senders of invented sponsors
                self._standings.clear()
            known = self._standings[sponsor] = self._read_standing(sponsor)
        return known

    def check(self, body: Body, size: int, authenticators: Sequence[Authenticator]) -> Key:
        """The sponsor's key that signed, if the signature holds. Raises as `apply_block` would refuse.

        Cheapest first. Of the sequence only what was used already is refused; a gap may still be filled.
        """
        if body.genesis_hash != self._genesis_hash:
            raise OtherLedger
        if body.valid_until < self.time_ms:
            raise Expired
        if body.valid_until > self.time_ms + self._valid_ms_max:
            raise ValidTooLong
        if body.lane >= LANES:
            raise UnknownLane
        if size > self._body_bytes_max:
            raise TransactionTooLarge
        self._check_messages(body)
        standing = self.standing(body.sponsor)
        if body.sequence < standing.next_sequence(body.lane):
            raise SequenceMismatch
        if not standing.keys:
            raise UnknownSponsor
        if self._quota is not None and standing.used_bytes + size > self._quota:
            raise QuotaExceeded
        named = [Key(one.algorithm, one.key) for one in authenticators]
        for key in standing.keys:
            if key in named:
                return key
        raise SponsorNotSigned

    def _check_messages(self, body: Body) -> None:
        if not body.messages:
            raise NoMessages
        for data in body.messages:
            kind = self._rules.messages.get(int.from_bytes(data[:2], "big"))
            if kind is None:
                raise UnknownMessage
            if body.lane == 0 and not kind.is_urgent:
                raise LaneReserved

    def _read_standing(self, sponsor: Did) -> Standing:
        state = Overlay(self._read)
        keys = self._rules.sponsor_keys(state, sponsor)
        account = ACCOUNTS.get(state, sponsor) if keys else None
        if account is None:
            return Standing(keys, {}, 0)
        is_today = account.day == self.time_ms // DAY_MS
        return Standing(keys, dict(account.lanes), account.used_bytes if is_today else 0)
