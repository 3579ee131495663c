"""Clients of simulated nodes: they write, read, grant, revoke and look, and remember what they were told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from careledger.contracts import consent
from careledger.fhir.json import dumps
from careledger.fhir.search.extract import extract
from careledger.ledger.consensus.verdicts import Source
from careledger.ledger.kernel import ED25519
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import SecretKey, build_transaction, compute_id, decode_transaction
from careledger.node.group import LEDGER_REFUSES
from careledger.primitives.errors import Conflict, Unavailable
from careledger.primitives.types import Did
from careledger.vault.model import AccessEntry, Commit, ResourceWrite
from tests.ledger.play import Decided
from tests.simulation.history import ABSENT, ACTIVE, NEVER, REVOKED, UNKNOWN, Operation
from tests.simulation.nodes import Down, Node
from tests.simulation.world import Violation

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

VALID_MS: Final = 7_200_000
FIRST_LANE: Final = 2
READ_WAIT_S: Final = 20.0
LATER_S: Final = 0.001
"""What happens at one instant is concurrent: this is the least that comes after it."""
RIVALS: Final = 0.4
DIRECTIVE_S: Final = 3.0
"""So long a directive is talked about, and as long again."""


@dataclass
class Told:
    """Everything that clients were told, by all of them."""

    directives: dict[str, list[Operation]] = field(default_factory=dict)
    resources: dict[str, list[Operation]] = field(default_factory=dict)
    finals: dict[bytes, int] = field(default_factory=dict)
    """Transactions said to be final, by id, with the height that was named."""
    refused: dict[bytes, str] = field(default_factory=dict)
    """Transactions said to be refused."""
    entries: dict[int, int] = field(default_factory=dict)
    """Access entries said to be durable, by node."""
    seen_height: int = 0
    """The highest block that any answer came from: who asks next asks for no less."""
    slowest_s: float = 0.0
    turned_away: int = 0
    """Transactions for which a pool had no room."""


class Client:
    """Does one thing after the other, at whatever node it finds."""

    def __init__(self, simulation: Simulation, number: int) -> None:
        self.simulation = simulation
        self.number = number
        self.told = simulation.told
        self._chance = simulation.world.chance

    async def run(self) -> None:
        """Until it is cancelled."""
        kinds = {"write": 4, "grant": 3, "revoke": 2, "both": 4, "read": 4, "look": 2}
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / self.simulation.scenario.pause_s))
            node = self._chance.choice(self.simulation.asked)
            if not node.is_up:
                continue
            (kind,) = self._chance.choices(list(kinds), list(kinds.values()))
            await getattr(self, kind)(node)

    def _now(self) -> float:
        return self.simulation.world.loop.time()

    # Records

    async def write(self, node: Node) -> None:
        """The next version of some patient's record at this node."""
        id = f"p{node.number}-{self._chance.randrange(3)}"
        asked = self._now()
        try:
            expected = await node.call(lambda: self._version(node, id))
            body = {"resourceType": "Patient", "id": id, "name": [{"family": f"Version {expected + 1}"}]}
            found = extract("Patient", body)
            write = ResourceWrite(
                "Patient", id, expected, dumps(body), node.clock_ms(), (id,), "",
                found.values, found.terms, found.chart_terms,
            )  # fmt: skip
            await self._tell_resource(
                node, id, expected, asked, lambda: node.backend.commit(Commit((write,)))
            )
        except Down:
            return

    async def _version(self, node: Node, id: str) -> int:
        with node.backend.snapshot() as snapshot:
            current = snapshot.current("Patient", id)
        return 0 if current is None else current.version

    async def _tell_resource(
        self, node: Node, id: str, expected: int, asked: float, work: Callable[[], Awaitable[object]]
    ) -> None:
        outcome, answered = UNKNOWN, NEVER
        found = self.told.resources.setdefault(id, [])
        who = f"client {self.number}"
        pending = Operation(id, "write", expected, UNKNOWN, asked, NEVER, who)
        found.append(pending)
        flight = node.is_up and node.home.outbox.flight
        try:
            await node.call(work)
            outcome, answered = "ok", self._now()
        except Conflict:
            outcome, answered = "refused", self._now()
        except (Unavailable, Down):
            pass
        found[found.index(pending)] = Operation(id, "write", expected, outcome, asked, answered, who)
        self.simulation.trace.add(f"client {self.number}", "writes", node, id, expected, outcome)
        in_flight = node.is_up and node.home.outbox.flight
        if outcome == "ok" and in_flight and in_flight is flight and node.dies_at == ("told", 0):
            node.dies_at = None
            node.kill(power_loss=True)

    def look_at_all(self, node: Node) -> None:
        """Every record that anybody wrote at this node, as it is now."""
        now = self._now()
        with node.backend.snapshot() as snapshot:
            for id, operations in self.told.resources.items():
                if id.startswith(f"p{node.number}-"):
                    current = snapshot.current("Patient", id)
                    seen = 0 if current is None else current.version
                    operations.append(Operation(id, "read", 0, seen, now, now, "the end"))

    async def look(self, node: Node) -> None:
        """Read a record: the entry that says so is durable before the answer."""
        id = f"p{node.number}-{self._chance.randrange(3)}"
        asked = self._now()
        entry = AccessEntry(
            0,
            bytes(16),
            "actor",
            "client",
            node.home.did,
            "TREAT",
            "rule",
            True,
            "read",
            "",
            0,
            node.clock_ms(),
        )
        try:
            await node.call(lambda: node.backend.log_access((entry,)))
            self.told.entries[node.number] = self.told.entries.get(node.number, 0) + 1
            seen = await node.call(lambda: self._version(node, id))
        except (Down, Unavailable):
            return
        found = self.told.resources.setdefault(id, [])
        found.append(Operation(id, "read", 0, seen, asked, self._now(), f"client {self.number}"))
        self.simulation.trace.add(f"client {self.number}", "looks", node, id, seen)

    # Directives

    def _directive(self) -> str:
        """One of the few that are talked about at this time."""
        now = int(self._now() / DIRECTIVE_S)
        return f"directive {now - self._chance.randrange(2)}-{self._chance.randrange(2)}"

    async def grant(self, node: Node, name: str = "") -> None:
        """Some directive comes into force, if it did not before."""
        one, lane = decided(name or self._directive()), FIRST_LANE + self.number
        if not name and self._chance.random() < RIVALS:
            self._rival(node, lane)
        await self._order(node, one, "grant", lane, [one.grant()], [one.key])

    def _rival(self, node: Node, lane: int) -> None:
        """With the same sequence, at another node: only one of the two can be executed."""
        other, one = self._chance.choice(self.simulation.asked), decided(self._directive())
        if other is node or not other.is_up or not node.is_up:
            return
        other.pool.insert(compose(node, lane, [one.grant()], [one.key]), Source.PEER)
        operation = Operation(one.name, "grant", 0, UNKNOWN, self._now(), NEVER, "a rival")
        self.told.directives.setdefault(one.name, []).append(operation)

    async def revoke(self, node: Node, name: str = "") -> None:
        """Some directive is revoked by its code, urgently."""
        one = decided(name or self._directive())
        await self._order(node, one, "revoke", 0, [one.revoke_by_code()], [])

    async def both(self, node: Node) -> None:
        """A directive of its own is granted at two nodes at once: one of them comes second."""
        other = self._chance.choice(self.simulation.asked)
        name = f"contested {self.number} {self._now():.3f}"
        if other is not node and other.is_up:
            await asyncio.gather(self.grant(node, name), self.grant(other, name))

    async def _order(
        self, node: Node, one: Named, kind: str, lane: int, messages: list[bytes], keys: list[SecretKey]
    ) -> None:
        asked, who = self._now(), f"client {self.number}"
        found = self.told.directives.setdefault(one.name, [])
        pending = Operation(one.name, kind, 0, UNKNOWN, asked, NEVER, who)
        found.append(pending)  # as long as it is not answered, or if nobody waits for the answer any more
        for _ in range(5):
            try:
                outcome = await self._try(node, lane, messages, keys)
            except Down:
                outcome = UNKNOWN
            if outcome != "moved":
                break
            await asyncio.sleep(self._chance.uniform(0.2, 1.5))
            if not node.is_up:
                break
        if outcome == "moved":
            found.remove(pending)
            return
        answered = NEVER if outcome == UNKNOWN else self._now()
        if outcome != UNKNOWN:
            self.told.slowest_s = max(self.told.slowest_s, answered - asked)
        found[found.index(pending)] = Operation(one.name, kind, 0, outcome, asked, answered, who)
        self.simulation.trace.add(who, kind, node, one.name, outcome)
        if outcome == "refused":
            await asyncio.sleep(LATER_S)
            await self.read(node, one.name)  # the reason is there to be seen

    async def _try(self, node: Node, lane: int, messages: list[bytes], keys: list[SecretKey]) -> str:
        """One transaction, composed for the node's newest state: ok, refused, moved, or unknown."""
        transaction = compose(node, lane, messages, keys)
        id = compute_id(decode_transaction(transaction)[0].body)
        try:
            result = await node.call(lambda: node.backend.commit(Commit(transactions=(transaction,))))
        except Conflict as refusal:
            if refusal.code == LEDGER_REFUSES:
                self.told.refused[id] = refusal.message
                return "refused"
            return "moved"
        except Unavailable as error:
            if "takes no more" in error.message:
                self.told.turned_away += 1
            return UNKNOWN
        self.told.finals[id] = result.height
        self.told.seen_height = max(self.told.seen_height, result.height)
        return "ok"

    async def read(self, node: Node, name: str = "") -> None:
        """How a directive stands, at no lower a height than anybody was told of."""
        one = decided(name or self._directive())
        asked, least = self._now(), self.told.seen_height
        while node.is_up and node.height < least and self._now() < asked + READ_WAIT_S:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        if not node.is_up or node.height < least:
            return
        with node.backend.snapshot() as snapshot:
            height, raw = snapshot.ledger_height, snapshot.state(consent.entry_key(one.commitment))
        entry = None if raw is None else consent.decode_entry(raw)
        seen = ABSENT if entry is None else ACTIVE if entry.status == consent.ACTIVE else REVOKED
        if height < least or (entry is not None and entry.height > height):
            raise Violation(f"{node} answers from block {height}, at least {least} was asked for")
        self.told.seen_height = max(self.told.seen_height, height)
        operation = Operation(one.name, "read", 0, seen, asked, self._now(), f"client {self.number}")
        self.told.directives.setdefault(one.name, []).append(operation)
        self.simulation.trace.add(f"client {self.number}", "reads", node, one.name, seen, height)


class Named(Decided):
    """A directive with its name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


_DECIDED: dict[str, Named] = {}


def decided(name: str) -> Named:
    """A directive by its name; its keys cost a millisecond."""
    return _DECIDED.setdefault(name, Named(name)) if name not in _DECIDED else _DECIDED[name]


def compose(node: Node, lane: int, messages: list[bytes], keys: list[SecretKey], ahead: int = 0) -> bytes:
    """The organisation's next transaction in a lane, by its node's newest state."""
    home, chain = node.home, node.chain()
    did = Did(home.organisation)
    with home.tables.env.begin() as txn:
        sequence = chain.next_sequence(LmdbKV(txn, home.tables.ledger), did, lane) + ahead
    valid_until = chain.time_ms + VALID_MS + node.simulation.world.chance.randrange(100_000)
    sponsor = SecretKey(ED25519, node.keys.node_seed)
    return build_transaction(chain.genesis_hash, valid_until, did, lane, sequence, messages, [sponsor, *keys])
