"""Transactions that wait for a block, by sponsor and lane: who gives way when there is no room, and whose turn it is.

Knows nothing of states, signatures or time. What the limits count is `Waiting.cost`; whoever holds the most of it loses
first, the end of its fullest lane, so that nothing it still holds is cut off from what goes before.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from careledger.ledger.kernel import Key
from careledger.primitives.types import Did

COST_LEAST: Final = 512
"""What verifying and executing any transaction costs, counted as bytes of it."""
TURN_COST: Final = 4096
"""What a sponsor may send at each of its turns; what it leaves is kept for its next."""
VARIANTS_MAX: Final = 3
"""Signed forms of one body that are kept. A peer may pass on a body with a signature too few or too many; what the
others passed on must find room beside it."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A transaction whose signatures held, and what was read of it."""

    data: bytes
    digest: bytes
    id: bytes
    sponsor: Did
    lane: int
    sequence: int
    valid_until: int
    key: Key
    """Of the sponsor: with it the transaction stands or falls."""
    is_local: bool
    height: int
    """Of the newest block when it came."""
    is_handed_out: bool = False
    is_heard: bool = False
    """Whether a peer sent it: others may know it too."""
    cost: int = 0

    def __post_init__(self) -> None:
        self.cost = len(self.data) + COST_LEAST


@dataclass(frozen=True, slots=True)
class Room:
    """What may wait: cost in bytes and number, altogether and of one sponsor."""

    cost_max: int
    count_max: int
    sponsor_cost_max: int
    sponsor_count_max: int


@dataclass(slots=True)
class Lane:
    """One lane of a sponsor: what there is by sequence, gaps allowed."""

    slots: dict[int, list[Waiting]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    cost: int = 0

    def run(self, first: int, is_usable: Callable[[Waiting], bool]) -> Iterator[Waiting]:
        """From `first` on without a gap, of each sequence the first that is usable."""
        while chosen := next(filter(is_usable, self.slots.get(first, ())), None):
            yield chosen
            first += 1


@dataclass(slots=True)
class Sender:
    """Everything of one sponsor; `spare`: further forms of one body.

    `fresh`: not yet handed out for gossip; `told`: handed out and first heard of here.
    """

    lanes: dict[int, Lane] = field(default_factory=dict)
    fresh: OrderedDict[bytes, Waiting] = field(default_factory=OrderedDict)
    told: set[bytes] = field(default_factory=set)
    spare: dict[bytes, Waiting] = field(default_factory=dict)
    cost: int = 0
    count: int = 0


class Queues:
    """All that waits in one room. A `Waiting` is in it once at most; callers see to that by its digest."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.senders: dict[Did, Sender] = {}
        self.cost = 0
        self.count = 0

    def find(self, sponsor: Did, lane: int, sequence: int) -> Sequence[Waiting]:
        """What waits with this sequence: forms of one body."""
        sender = self.senders.get(sponsor)
        if sender is None or lane not in sender.lanes:
            return ()
        return sender.lanes[lane].slots.get(sequence, ())

    def put(self, item: Waiting) -> list[Waiting] | None:
        """Takes it in; what had to give way for it, or None if it is the one that would have to: then nothing changed."""
        self.add(item)
        displaced: list[Waiting] = []
        while loser := self._find_loser(item.sponsor):
            self.remove(loser)
            if loser is item:
                for other in reversed(displaced):
                    self.add(other)
                return None
            displaced.append(loser)
        return displaced

    def add(self, item: Waiting) -> None:
        """Takes it in, whatever the limits say: first of its forms if it is local, else last."""
        sender = self.senders.setdefault(item.sponsor, Sender())
        lane = sender.lanes.setdefault(item.lane, Lane())
        forms = lane.slots.get(item.sequence)
        if forms is None:
            lane.slots[item.sequence] = [item]
            insort(lane.order, item.sequence)
        else:
            forms.insert(0 if item.is_local else len(forms), item)
            sender.spare[forms[-1].digest] = forms[-1]
            sender.spare[forms[1].digest] = forms[1]
        if not item.is_handed_out:
            sender.fresh[item.digest] = item
        elif not item.is_heard:
            sender.told.add(item.digest)
        self._count(sender, lane, item.cost, 1)

    def hand_out(self, item: Waiting) -> None:
        """It is not fresh any more."""
        sender = self.senders[item.sponsor]
        item.is_handed_out = True
        del sender.fresh[item.digest]
        if not item.is_heard:
            sender.told.add(item.digest)

    def refresh(self, item: Waiting) -> None:
        """It is to be handed out once more."""
        sender = self.senders[item.sponsor]
        item.is_handed_out = False
        sender.told.discard(item.digest)
        sender.fresh[item.digest] = item

    def remove(self, item: Waiting) -> None:
        """Takes it out; it must be there."""
        sender = self.senders[item.sponsor]
        lane = sender.lanes[item.lane]
        forms = lane.slots[item.sequence]
        forms.remove(item)
        sender.spare.pop(item.digest, None)
        if forms:
            sender.spare.pop(forms[0].digest, None)
        else:
            del lane.slots[item.sequence]
            del lane.order[bisect_left(lane.order, item.sequence)]
        sender.fresh.pop(item.digest, None)
        sender.told.discard(item.digest)
        self._count(sender, lane, -item.cost, -1)
        if not lane.slots:
            del sender.lanes[item.lane]
        if not sender.lanes:
            del self.senders[item.sponsor]

    def list_before(self, sponsor: Did, lane: int, sequence: int) -> list[Waiting]:
        """What waits in this lane below this sequence."""
        sender = self.senders.get(sponsor)
        if sender is None or lane not in sender.lanes:
            return []
        queue = sender.lanes[lane]
        below = queue.order[: bisect_left(queue.order, sequence)]
        return [item for at in below for item in queue.slots[at]]

    def __iter__(self) -> Iterator[Waiting]:
        for sender in self.senders.values():
            for lane in sender.lanes.values():
                for forms in lane.slots.values():
                    yield from forms

    def _count(self, sender: Sender, lane: Lane, cost: int, count: int) -> None:
        lane.cost += cost
        sender.cost += cost
        sender.count += count
        self.cost += cost
        self.count += count

    def _find_loser(self, newest: Did) -> Waiting | None:
        """Who has to go: of the newest's sponsor if that has too much, of the greatest if all have; None: nobody.

        Further forms first: peers make them, and must not make their sponsor's share smaller.
        """
        sender = self.senders[newest]
        room = self.room
        if sender.cost <= room.sponsor_cost_max and sender.count <= room.sponsor_count_max:
            if self.cost <= room.cost_max and self.count <= room.count_max:
                return None
            sponsor = max(self.senders, key=lambda did: (self.senders[did].cost, did))
            sender = self.senders[sponsor]
        if sender.spare:
            return next(reversed(sender.spare.values()))
        fullest = max(sender.lanes, key=lambda at: (sender.lanes[at].cost, at))
        lane = sender.lanes[fullest]
        return lane.slots[lane.order[-1]][-1]


def compute_wire_size(data: bytes) -> int:
    """Bytes of a transaction in the engine's block: tag, length, data (protobuf's repeated bytes)."""
    size = len(data)
    return size + (2 if size < 1 << 7 else 3 if size < 1 << 14 else 4)


class _Turn:
    """One sponsor in the round: its lanes, each with its head, and what it may send."""

    __slots__ = ("aside", "credit", "lanes")

    def __init__(self, lanes: Iterable[Iterator[Waiting]]) -> None:
        self.lanes: deque[tuple[Waiting, Iterator[Waiting]]] = deque()
        self.aside: list[tuple[Waiting, Iterator[Waiting]]] = []
        self.credit = 0
        for rest in lanes:
            self.push(rest)

    def push(self, rest: Iterator[Waiting]) -> None:
        if head := next(rest, None):
            self.lanes.append((head, rest))


class Turns:
    """Gives transactions out, sponsor after sponsor and within one lane after lane, by equal cost; lanes keep order.

    `take` goes on where the last one stopped.
    """

    def __init__(self, senders: Iterable[Iterable[Iterator[Waiting]]]) -> None:
        self._turns = deque([_Turn(lanes) for lanes in senders])

    def take(self, bytes_max: int, count_max: int) -> list[Waiting]:
        """The next: at most `count_max`, of at most `bytes_max` on the wire.

        A lane whose head does not fit stands aside, so that small ones of others still find room.
        """
        taken: list[Waiting] = []
        done: list[_Turn] = []
        while self._turns and len(taken) < count_max:
            turn = self._turns.popleft()
            turn.credit += TURN_COST
            bytes_max = self._serve(turn, taken, bytes_max, count_max)
            if turn.lanes:
                self._turns.append(turn)
            elif turn.aside:
                done.append(turn)
        for turn in (*done, *self._turns):
            turn.lanes.extend(turn.aside)
            turn.aside.clear()
        self._turns.extend(done)
        return taken

    @staticmethod
    def _serve(turn: _Turn, taken: list[Waiting], bytes_max: int, count_max: int) -> int:
        """One sponsor's turn; what is left of the bytes."""
        while turn.lanes and len(taken) < count_max:
            head, rest = turn.lanes[0]
            size = compute_wire_size(head.data)
            if size <= bytes_max and head.cost > turn.credit:
                break
            turn.lanes.popleft()
            if size > bytes_max:
                turn.aside.append((head, rest))
                continue
            taken.append(head)
            turn.credit -= head.cost
            bytes_max -= size
            turn.push(rest)
        return bytes_max
