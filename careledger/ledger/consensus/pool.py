"""The pool of a network node: transactions between their arrival and their block. In memory; no I/O, no clock.

A signature is verified when a transaction arrives, everything cheaper before it. What is in the pool is promised to no
block: `prepare` and every other node check it again. Lane 0 (revocations) has a room of its own, which no other lane's
transactions take or make smaller. A sponsor is held to its share in each room, in gossip and in blocks; a flood of one
delays itself alone.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from careledger.ledger.blocks import TransactionReceipt
from careledger.ledger.consensus.queues import (
    VARIANTS_MAX,
    Queues,
    Room,
    Sender,
    Turns,
    Waiting,
    compute_wire_size,
)
from careledger.ledger.consensus.rates import Buckets
from careledger.ledger.consensus.verdicts import Gone, InsertCode, Source, Verdict, Why
from careledger.ledger.consensus.view import MAY_PASS, View
from careledger.ledger.execution import QuotaExceeded, Read, Rules, SequenceMismatch
from careledger.ledger.kernel import Rejected
from careledger.ledger.transaction import (
    TRANSACTION_SIZE_MAX,
    Transaction,
    TransactionTooLarge,
    compute_id,
    decode_transaction,
)
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did

MIB: Final = 1 << 20
SWEEP_MS: Final = 10_000
"""How often, in block time, everything is looked through for what can no longer be executed."""
GONE_MAX: Final = 10_000
SPONSOR_AT: Final = slice(44, 76)
"""Where the sponsor stands in a transaction: after the body's length, genesis hash and valid_until."""


ORDINARY: Final = Room(64 * MIB, 40_000, 24 * MIB, 15_000)
URGENT: Final = Room(16 * MIB, 8_000, 6 * MIB, 3_000)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a pool. Rooms count cost: bytes and 512 for each transaction; rates are a second."""

    ordinary: Room = ORDINARY
    urgent: Room = URGENT
    """Of lane 0."""
    ahead_max: int = 8_192
    """Sequences of a lane that may wait, gaps included."""
    rate: int = 2_000
    burst: int = 10_000
    """Transactions of a sponsor whose signatures are verified."""
    failures: int = 50
    failures_burst: int = 500
    """Signatures that may fail of what names a sponsor: peers and this node's own clients are counted apart."""
    again_ms: int = 5_000
    """After which a local transaction that is in no block is gossiped again."""
    told_max: int = 512
    """Of a sponsor's, in no block yet, that peers heard of here first: whatever else of it there is waits for room
    among these, or for a block that this node proposes. Lane 0 waits for nothing."""
    heard_max: int = 64
    """While fewer wait here, what a peer sent is passed on at once; else once `heard_blocks` passed it over, for by
    then whoever is reached by others has it."""
    heard_blocks: int = 2
    refused_blocks: int = 10
    refused_max: int = 20_000
    """How long, and how many, transactions refused in execution are remembered."""


@dataclass(slots=True)
class Counts:
    """Since the start; `inserted` by code."""

    inserted: Counter[InsertCode] = field(default_factory=Counter)
    gone: Counter[Why] = field(default_factory=Counter)
    executed: int = 0
    handed_out: int = 0


class Pool:
    """All that waits at one node. `read` answers from the newest state until the next `update`. Not for two threads."""

    def __init__(
        self,
        rules: Rules,
        genesis_hash: bytes,
        read: Read,
        height: int,
        time_ms: int,
        limits: Limits = Limits(),
    ) -> None:
        self.limits = limits
        self.counts = Counts()
        self._rules = rules
        self._genesis_hash = genesis_hash
        self._view = View(rules, genesis_hash, read, height, time_ms)
        self._urgent = Queues(limits.urgent)
        self._ordinary = Queues(limits.ordinary)
        self._by_digest: dict[bytes, Waiting] = {}
        self._refused: OrderedDict[bytes, int] = OrderedDict()
        self._handed_out: OrderedDict[bytes, int] = OrderedDict()
        self._heard: OrderedDict[bytes, int] = OrderedDict()  # kept back, and the height when it came
        self._gone: deque[Gone] = deque(maxlen=GONE_MAX)
        self._rates = Buckets(limits.rate, limits.burst)
        self._failures = Buckets(limits.failures, limits.failures_burst)
        self._sweep_at_ms = time_ms + SWEEP_MS
        self._round = 0

    # arrival

    def insert(self, data: bytes, source: Source, now_ms: int) -> Verdict:
        """Takes a transaction in, or says why not. `now_ms` is the machine's clock, for rates alone."""
        try:
            verdict = self._insert(data, source, now_ms)
        except Rejected as refusal:
            code = InsertCode.NOT_NOW if isinstance(refusal, MAY_PASS) else InsertCode.INVALID
            verdict = Verdict(code, refusal)
        self.counts.inserted[verdict.code] += 1
        return verdict

    def _insert(self, data: bytes, source: Source, now_ms: int) -> Verdict:
        if len(data) > TRANSACTION_SIZE_MAX:
            raise TransactionTooLarge
        digest = sha256(data)
        if known := self._by_digest.get(digest):
            if source is Source.LOCAL and not known.is_local:
                known.is_local = True
                if self._heard.pop(digest, None) is not None:
                    self._queues(known.lane).refresh(known)
                elif known.is_handed_out:
                    self._handed_out[digest] = now_ms
            return Verdict(InsertCode.DUPLICATE)
        if self._view.height - self._refused.get(digest, -(1 << 62)) < self.limits.refused_blocks:
            return Verdict(InsertCode.REFUSED)
        transaction, body = decode_transaction(data)
        key = self._view.check(body, len(transaction.body), transaction.authenticators)
        if body.sequence >= self._next(body.sponsor, body.lane) + self.limits.ahead_max:
            return Verdict(InsertCode.AHEAD)
        item = Waiting(
            data,
            digest,
            compute_id(transaction.body),
            body.sponsor,
            body.lane,
            body.sequence,
            body.valid_until,
            key,
            source is Source.LOCAL,
            self._view.height,
            is_handed_out=self._is_kept_back(source, body.lane),
            is_heard=source is Source.PEER,
        )
        if is_taken := self._find_taken(item):
            return Verdict(is_taken)
        if not self._rates.has(item.sponsor, now_ms):
            return Verdict(InsertCode.RATE)
        if not self._failures.has(bytes([source]) + item.sponsor, now_ms):
            return Verdict(InsertCode.BUSY)
        return Verdict(self._take_in(item, transaction, source, now_ms))

    def _find_taken(self, item: Waiting) -> InsertCode | None:
        """What stands in its place; a local form of a body takes the last form's place rather than be kept out."""
        forms = self._queues(item.lane).find(item.sponsor, item.lane, item.sequence)
        if forms and forms[0].id != item.id:
            return InsertCode.CONFLICT
        if len(forms) >= VARIANTS_MAX and (not item.is_local or forms[-1].is_local):
            return InsertCode.DUPLICATE
        return None

    def _take_in(self, item: Waiting, transaction: Transaction, source: Source, now_ms: int) -> InsertCode:
        """Room first, as that is cheaper; then the signatures. A forged one displaces nothing."""
        queues = self._queues(item.lane)
        displaced = queues.put(item)
        if displaced is None:
            return InsertCode.FULL
        try:
            self._rules.verify(item.data, transaction.authenticators, item.id)
        except Rejected:
            queues.remove(item)
            for other in reversed(displaced):
                queues.add(other)
            self._failures.charge(bytes([source]) + item.sponsor, now_ms)
            raise
        self._rates.charge(item.sponsor, now_ms)
        self._by_digest[item.digest] = item
        if item.is_handed_out:
            self._heard[item.digest] = item.height
        for other in displaced:
            self._forget(other, Why.EVICTED)
        forms = queues.find(item.sponsor, item.lane, item.sequence)
        if len(forms) > VARIANTS_MAX:
            self._drop(forms[-1], Why.EVICTED)
        return InsertCode.OK

    # gossip

    def reap(self, bytes_max: int, count_max: int, now_ms: int) -> list[bytes]:
        """What has not been handed out yet, lane 0 first, sponsor after sponsor; at least room for one is assumed.

        A local transaction comes again each `again_ms` until it is in a block: peers may have been away. When more come
        than blocks take, most are not handed out: each node proposes its own, and none drowns in those of the others.
        """
        self._renew(now_ms)
        bytes_max = max(bytes_max, TRANSACTION_SIZE_MAX + 4)
        taken: list[Waiting] = []
        for queues in (self._urgent, self._ordinary):
            turns = Turns([self._list_fresh(queues, sender)] for sender in queues.senders.values())
            found = turns.take(bytes_max, count_max - len(taken))
            bytes_max -= sum(len(item.data) + 4 for item in found)
            taken += found
        for item in taken:
            self._queues(item.lane).hand_out(item)
            if item.is_local:
                self._handed_out[item.digest] = now_ms
        self.counts.handed_out += len(taken)
        return [item.data for item in taken]

    def _is_kept_back(self, source: Source, lane: int) -> bool:
        return source is Source.PEER and lane > 0 and len(self._by_digest) >= self.limits.heard_max

    def _list_fresh(self, queues: Queues, sender: Sender) -> Iterator[Waiting]:
        fresh = iter(sender.fresh.values())
        if queues is self._urgent:
            return fresh
        return islice(fresh, max(0, self.limits.told_max - len(sender.told)))

    def _renew(self, now_ms: int) -> None:
        while self._handed_out:
            digest, then_ms = next(iter(self._handed_out.items()))
            if 0 <= now_ms - then_ms < self.limits.again_ms:
                break
            self._handed_out.popitem(last=False)
            self._refresh(digest)
        while self._heard:
            digest, height = next(iter(self._heard.items()))
            if self._view.height - height < self.limits.heard_blocks:
                return
            self._heard.popitem(last=False)
            self._refresh(digest)

    def _refresh(self, digest: bytes) -> None:
        item = self._by_digest[digest]
        self._queues(item.lane).refresh(item)

    # blocks

    def select(self, bytes_max: int, count_max: int) -> list[bytes]:
        """Candidates for the next block, in its order: lane 0, then the others; each lane as the state's next goes on.

        Sponsors take turns. Lane 0 takes up to half of the block, and more only where the others leave it.
        `bytes_max` counts as the engine does. Nothing is removed but what can no longer be executed.
        """
        dead: list[tuple[Waiting, Why]] = []
        urgent, ordinary = (Turns(self._runs(queues, dead)) for queues in (self._urgent, self._ordinary))
        first = urgent.take(bytes_max // 2, count_max // 2)
        rest_max = bytes_max - _wire_size(first)
        rest = ordinary.take(rest_max, count_max - len(first))
        more = urgent.take(rest_max - _wire_size(rest), count_max - len(first) - len(rest))
        self._round += 1
        for item, why in dead:
            self._drop(item, why)
        return [item.data for item in (*first, *more, *rest)]

    def _runs(self, queues: Queues, dead: list[tuple[Waiting, Why]]) -> Iterator[Iterable[Iterator[Waiting]]]:
        """Of each sponsor, another first each time, the lanes' executable runs; the dead are collected."""

        def is_usable(item: Waiting) -> bool:
            why = self._why_dead(item)
            if why is not None:
                dead.append((item, why))
            return why is None

        sponsors = list(queues.senders)
        start = self._round % len(sponsors) if sponsors else 0
        for sponsor in sponsors[start:] + sponsors[:start]:
            lanes = queues.senders[sponsor].lanes
            yield [lane.run(self._next(sponsor, number), is_usable) for number, lane in lanes.items()]

    def refuse(self, refused: Iterable[tuple[bytes, TransactionReceipt]]) -> None:
        """What `prepare` could not execute leaves the pool and is not taken in again for `refused_blocks`.

        One whose sequence was not next only missed what was refused before it: it stays.
        """
        for data, receipt in refused:
            if receipt.code == SequenceMismatch.number:
                continue
            item = self._by_digest.get(sha256(data))
            if item is None:
                continue
            self._drop(item, Why.REFUSED, receipt.code)
            if receipt.code != QuotaExceeded.number:
                self._refused[item.digest] = self._view.height
                if len(self._refused) > self.limits.refused_max:
                    self._refused.popitem(last=False)

    def list_overdue(self, blocks: int) -> list[bytes]:
        """Local transactions that could be next in their lanes, and that this many blocks have passed over.

        Only code 0 enters a block, so no receipt will say that one is refused: `prepare` it to find out.
        """
        height = self._view.height - blocks
        heads = [
            next(lane.run(self._next(sponsor, number), lambda item: True), None)
            for queues in (self._urgent, self._ordinary)
            for sponsor, sender in queues.senders.items()
            for number, lane in sender.lanes.items()
        ]
        return [head.data for head in heads if head and head.is_local and head.height <= height]

    def update(self, transactions: Sequence[bytes], read: Read, height: int, time_ms: int) -> None:
        """A block was committed and `read` is the state after it: its transactions leave, and what it overtook."""
        self._view = View(self._rules, self._genesis_hash, read, height, time_ms)
        sponsors: dict[Did, None] = {}
        for data in transactions:
            sponsors[Did(data[SPONSOR_AT])] = None
            if item := self._by_digest.get(sha256(data)):
                self._queues(item.lane).remove(item)
                self._forget(item, None)
                self.counts.executed += 1
        for sponsor in sponsors:
            for queues in (self._urgent, self._ordinary):
                sender = queues.senders.get(sponsor)
                for lane in list(sender.lanes) if sender else ():
                    for item in queues.list_before(sponsor, lane, self._next(sponsor, lane)):
                        self._drop(item, Why.OVERTAKEN)
        if time_ms >= self._sweep_at_ms:
            self._sweep_at_ms = time_ms + SWEEP_MS
            for item in list(self._by_digest.values()):
                if why := self._why_dead(item):
                    self._drop(item, why)

    def drain_gone(self) -> list[Gone]:
        """Local transactions that left otherwise than in a block since the last call; read receipts first.

        One whose body was executed in another signed form counts as overtaken. The oldest of over 10,000 are lost.
        """
        gone = list(self._gone)
        self._gone.clear()
        return gone

    # figures

    def __len__(self) -> int:
        return len(self._by_digest)

    def __contains__(self, data: bytes) -> bool:
        return sha256(data) in self._by_digest

    @property
    def size_bytes(self) -> int:
        """Cost of all that waits."""
        return self._urgent.cost + self._ordinary.cost

    # parts

    def _queues(self, lane: int) -> Queues:
        return self._urgent if lane == 0 else self._ordinary

    def _next(self, sponsor: Did, lane: int) -> int:
        return self._view.standing(sponsor).next_sequence(lane)

    def _why_dead(self, item: Waiting) -> Why | None:
        if item.valid_until < self._view.time_ms:
            return Why.EXPIRED
        return None if item.key in self._view.standing(item.sponsor).keys else Why.DISOWNED

    def _drop(self, item: Waiting, why: Why, number: int = 0) -> None:
        self._queues(item.lane).remove(item)
        self._forget(item, why, number)

    def _forget(self, item: Waiting, why: Why | None, number: int = 0) -> None:
        del self._by_digest[item.digest]
        self._handed_out.pop(item.digest, None)
        self._heard.pop(item.digest, None)
        if why is not None:
            self.counts.gone[why] += 1
            if item.is_local:
                self._gone.append(Gone(item.id, why, number))


def _wire_size(items: Sequence[Waiting]) -> int:
    return sum(compute_wire_size(item.data) for item in items)
