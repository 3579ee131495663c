"""A run of a whole network in one thread: `Simulation(seed).run()` raises Violation, or says what it did.

Four organisations, each with the shipped home, journal, sequencer, outbox, pool, application, replica and signing
guard; the engine around them is modelled. Faults go on for some seconds; then everything is healed, and within
`SETTLE_S` every node must have the same blocks, every batch its anchor, and every client an answer.
"""

from __future__ import annotations

import asyncio
import functools
import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

from careledger.contracts.validators import compute_address
from careledger.engine import stamped
from careledger.ledger.consensus.abci import schema
from careledger.ledger.consensus.pool import Limits, Pool
from careledger.ledger.consensus.queues import Room
from careledger.ledger.kernel import ED25519, Key
from careledger.ledger.transaction import compute_id, decode_transaction
from careledger.node import application
from careledger.node.founders import FOUNDING_WEIGHT
from careledger.vault import journal
from tests.simulation import checks
from tests.simulation.ballots import Block, Book, Powers
from tests.simulation.clients import Client, Told
from tests.simulation.disk import Disks, make_folder
from tests.simulation.engine import Engine
from tests.simulation.faults import CALM, SCENARIOS, Faults, Scenario
from tests.simulation.flood import Flood
from tests.simulation.liar import Liar
from tests.simulation.network import Network
from tests.simulation.nodes import Node, founded
from tests.simulation.world import START_MS, Violation, World

ORDERS_MAX = 12
RETRY_S = 1.0
"""As 503 tells a client to: a node whose disk failed stops when it next has to write, and is back soon after."""
SETTLE_S: Final = 60.0
"""Virtual seconds from the last fault to the same blocks, anchors and answers everywhere."""
BLOCK_TRANSACTIONS: Final = 12
BLOCK_BYTES: Final = 64 << 10
SMALL: Final = Limits(
    ordinary=Room(256 << 10, 61, 128 << 10, 60), urgent=Room(64 << 10, 24, 32 << 10, 20), again_ms=3_000
)
"""A pool that is soon full."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did."""

    seed: int
    scenario: str
    trace: str
    events: int
    virtual_s: float
    height: int
    transactions: int
    deaths: int
    operations: int
    lies: int
    convicted: int
    slowest_s: float


class Simulation:
    """One run. Everything in it follows from the seed."""

    def __init__(self, seed: int, scenario: Scenario | None = None, count: int = 4) -> None:
        self.seed = seed
        self.count = count
        self.scenario = scenario or SCENARIOS[seed % len(SCENARIOS)]
        founded(count)
        self.world = World(seed)
        self.trace = self.world.trace
        self.network = Network(self.world)
        self.book = Book()
        self.disks = Disks()
        self.told = Told()
        self.folder = make_folder()
        self.burials: list[asyncio.Task[None]] = []
        self.history: dict[int, Block] = {}
        self.app_hashes: dict[int, bytes] = {}
        self.lies: dict[bytes, str] = {}
        self.is_calm = False
        self.genesis_ms = START_MS
        self._validators = [Key(ED25519, one) for one in founded(count).validators]
        self.founding_powers: Powers = dict.fromkeys(range(count), FOUNDING_WEIGHT)
        self.liar = self.world.chance.randrange(count) if self.scenario.has_liar else -1
        self.forgetful = self.world.chance.randrange(count) if self.scenario.forgets else -1
        self.silent = self.world.chance.randrange(count) if self.scenario.has_silent else -1
        self.nodes = [Node(self, number) for number in range(count)]
        self.honest = [node for node in self.nodes if node.number != self.liar]
        flooding = 0 if self.scenario.has_flood else -1
        self.asked = [node for node in self.honest if node.number != flooding]
        """Nodes that clients use: under a flood those of the others."""

    # What the modelled engines ask

    def engine_type(self, number: int) -> type[Engine]:
        """Honest, or not."""
        return Liar if number == self.liar else Engine

    def peers(self, number: int) -> list[int]:
        """Everybody else."""
        return [other for other in range(self.count) if other != number]

    def proposer(self, powers: Powers, height: int, round: int) -> int:
        """Whose turn it is."""
        nodes = [node for node in sorted(powers) if node != self.silent] or sorted(powers)
        return nodes[(height + round) % len(nodes)]

    def address_of(self, number: int) -> bytes:
        """The validator's address."""
        return compute_address(self._validators[number])

    def node_of_validator(self, key: schema.PublicKey) -> int:
        """Whose validator this is."""
        return self._validators.index(Key(ED25519, bytes(key.ed25519)))

    def init_chain(self) -> schema.RequestInitChain:
        """As the engine's genesis file says."""
        home = founded(self.count)
        updates = [
            schema.ValidatorUpdate(pub_key=schema.PublicKey(ed25519=key.public), power=FOUNDING_WEIGHT)
            for key in self._validators
        ]
        state = json.dumps({"genesis": home.genesis.to_bytes().hex()}).encode()
        return schema.RequestInitChain(
            chain_id=home.genesis.chain_id, validators=updates, app_state_bytes=state
        )

    # What is checked as it happens

    def check_app_hash(self, node: Node, height: int, app_hash: bytes) -> None:
        """The same at every node."""
        if self.app_hashes.setdefault(height, app_hash) != app_hash:
            raise Violation(f"{node} has another app hash at height {height}")

    def decided(self, node: Node, block: Block) -> None:
        """One block a height."""
        if block.id in self.lies:
            raise Violation(f"{node} decides a block that is {self.lies[block.id]}")
        if block.height not in self.history:
            self.history[block.height] = block
            ids = [compute_id(decode_transaction(one)[0].body) for one in block.transactions]
            self.trace.add("history", block.height, block.label, block.time_ms, *ids)
        if self.history[block.height].id != block.id:
            raise Violation(f"{node} decides another block at height {block.height}")

    def judged(self, node: Node, block: Block, *, is_valid: bool) -> None:
        """No honest application accepts what breaks a rule, or refuses what an honest one proposed."""
        self.trace.add(node, "accepts" if is_valid else "rejects", block.label)
        if is_valid and block.id in self.lies:
            raise Violation(f"{node} accepts a block that is {self.lies[block.id]}")

    def committed(self, node: Node, block: Block) -> None:
        """Nothing that was refused stands in a block."""
        if any(node.engine_disk.answers[block.height][1]):
            raise Violation(f"block {block.height} holds a refused transaction")

    def stopped(self, node: Node, error: Exception) -> None:
        """A node gave up: right only if its disk failed it."""
        if not node.is_up:
            return
        if not node.disk.was_faulty:
            raise Violation(f"{node} stops: {type(error).__name__}: {error}") from error
        self.trace.add(node, "stops", type(error).__name__)
        node.kill(power_loss=False)

    # The run

    def run(self) -> Report:
        """Everything; raises Violation."""
        try:
            with self._patched():
                self.world.loop.run_until_complete(self._run())
                checks.check_all(self)
                return self._report()
        except Violation as violation:
            tail = "\n".join(self.trace.tail[-60:])
            raise Violation(f"seed {self.seed} ({self.scenario.name}): {violation}\n{tail}") from violation
        finally:
            self._close()

    def _patched(self) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(self.world.patched())
        stack.enter_context(mock.patch.object(journal, "os", self.disks))
        stack.enter_context(mock.patch.object(stamped, "os", self.disks))
        stack.enter_context(mock.patch.object(application, "Pool", functools.partial(Pool, limits=SMALL)))
        stack.enter_context(mock.patch.object(application, "BLOCK_BYTES_MAX", BLOCK_BYTES))
        stack.enter_context(
            mock.patch.object(application.proposals, "BLOCK_TRANSACTIONS_MAX", BLOCK_TRANSACTIONS)
        )
        return stack

    async def _run(self) -> None:
        loop, scenario = self.world.loop, self.scenario
        self.network.weather = scenario.weather
        for node in self.nodes:
            await node.start()
        faults = Faults(self)
        works: list[Any] = [Client(self, number).run() for number in range(scenario.clients)]
        works.append(faults.run())
        if scenario.has_flood:
            works.append(Flood(self).run())
        passing = [loop.create_task(work) for work in works]
        keeping = [loop.create_task(faults.keep_up(node)) for node in self.nodes]
        await self._wait(scenario.seconds, [*passing, *keeping])
        for task in passing[scenario.clients :]:
            task.cancel()
        if self.silent >= 0:
            self._cut_off(self.nodes[self.silent])
            passing.append(loop.create_task(Client(self, 5).grant(self.nodes[self.silent], "unheard")))
            await self._wait(2.0, [*passing[:-1], *keeping])
        self._calm_down()
        await self._wait(3.0, keeping)
        for task in passing:
            task.cancel()
        await self._settle(keeping)
        for task in [*passing, *keeping]:
            task.cancel()
        await asyncio.gather(*passing, *keeping, *self.burials, return_exceptions=True)

    def _cut_off(self, node: Node) -> None:
        """Nobody hears it; what its clients order meanwhile is final all the same once it is back."""
        self.network.cut(((node.number,), tuple(self.peers(node.number))))

    def _calm_down(self) -> None:
        self.is_calm = True
        self.trace.add("everything", "heals")
        self.network.heal()
        self.network.weather = CALM
        for node in self.nodes:
            node.skew_ms = 0
            node.dies_at = None
            node.disk.is_full = node.disk.fails_sync = False
            node.disk.dies_after = 0

    async def _wait(self, seconds: float, tasks: list[asyncio.Task[Any]]) -> None:
        """Let it run; whatever fails in it, fails the run."""
        end = self.world.loop.time() + seconds
        while self.world.loop.time() < end:
            await asyncio.sleep(0.1)
            self._raise_failures(tasks)

    def _raise_failures(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                self.world.failures.append(error)
        if self.world.failures:
            first = self.world.failures[0]
            raise (
                first if isinstance(first, Violation) else Violation(f"{type(first).__name__}: {first}")
            ) from first

    async def _settle(self, keeping: list[asyncio.Task[Any]]) -> None:
        end = self.world.loop.time() + SETTLE_S
        last = [self.world.loop.create_task(self._last_orders(node)) for node in self.asked]
        while not (all(task.done() for task in last) and checks.is_settled(self)):
            if self.world.loop.time() > end:
                raise Violation(f"not settled {SETTLE_S:.0f} s after the last fault: {checks.describe(self)}")
            await self._wait(0.2, [*keeping, *last])

    async def _last_orders(self, node: Node) -> None:
        """After the faults, whatever is valid is final, at every node."""
        while not node.is_ready:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        client = Client(self, 6 + node.number)
        name = f"last of {self.seed} {node.number}"
        for _ in range(ORDERS_MAX):
            await client.grant(node, name)
            if any(one.outcome in ("ok", "refused") for one in self.told.directives[name]):
                break
            await asyncio.sleep(RETRY_S)
        for _ in range(ORDERS_MAX):
            await client.revoke(node, name)
            if self.told.directives[name][-1].outcome == "ok":
                break
            await asyncio.sleep(RETRY_S)
        else:
            raise Violation(f"{node} cannot have a directive revoked after the faults")

    def _report(self) -> Report:
        return Report(
            self.seed,
            self.scenario.name,
            self.trace.digest,
            self.trace.count,
            self.world.loop.time(),
            max(self.history),
            sum(len(block.transactions) for block in self.history.values()),
            sum(node.deaths for node in self.nodes),
            sum(map(len, [*self.told.directives.values(), *self.told.resources.values()])),
            len(self.lies),
            sum(len(block.proofs) for block in self.history.values()),
            self.told.slowest_s,
        )

    def _close(self) -> None:
        for node in self.nodes:
            node.kill(power_loss=False)
        self.world.close()
        shutil.rmtree(self.folder, ignore_errors=True)
