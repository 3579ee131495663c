"""What goes wrong in a run, and when: drawn from the seed alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.simulation.network import Weather

if TYPE_CHECKING:
    from tests.simulation.nodes import Node
    from tests.simulation.simulation import Simulation

CALM: Final = Weather(delay_s=0.03)
STORM: Final = Weather(loss=0.15, double=0.1, slow=0.1, delay_s=0.08)
STEPS: Final = ("block stored", "finalised", "committed", "state stored")
RESTART_S: Final = (0.3, 6.0)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of run. `faults` with their weights; `every_s` the mean time between two of them."""

    name: str
    faults: dict[str, int]
    every_s: float = 4.0
    weather: Weather = CALM
    pause_s: float = 0.35
    clients: int = 4
    has_liar: bool = False
    has_flood: bool = False
    has_silent: bool = False
    """One validator never has a turn to propose: what it sends is final only if others hear of it."""
    forgets: bool = False
    """One node's engine loses, when it dies, what it knew of its own votes: only the guard knows them."""
    seconds: float = 20.0


SCENARIOS: Final = (
    Scenario(
        "crashes", {"process": 2, "step": 4, "vote": 4, "write": 3, "power": 2, "blackout": 1}, forgets=True
    ),
    Scenario("partitions", {"halves": 2, "single": 5, "ring": 1, "heal": 2}, weather=STORM, has_silent=True),
    Scenario("liar", {"slow": 1, "single": 1}, has_liar=True),
    Scenario("flood", {"slow": 1}, has_flood=True, every_s=6.0, seconds=12.0),
    Scenario(
        "machines",
        {"full": 1, "sync": 1, "skew": 2, "power": 2, "write": 4, "told": 4, "wipe": 1},
        every_s=2.0,
    ),
    Scenario(
        "everything",
        {"process": 2, "step": 2, "power": 1, "halves": 1, "single": 2, "heal": 2, "write": 2},
        every_s=2.5,
        weather=STORM,
        has_liar=True,
    ),
)


class Faults:
    """Does what the scenario says to the nodes of a run."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self._chance = simulation.world.chance

    async def run(self) -> None:
        """Until it is cancelled."""
        scenario = self.simulation.scenario
        names, weights = list(scenario.faults), list(scenario.faults.values())
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / scenario.every_s))
            (name,) = self._chance.choices(names, weights)
            node = self._chance.choice(self.simulation.honest)
            self.simulation.trace.add("fault", name, node)
            getattr(self, name)(node)

    async def keep_up(self, node: Node) -> None:
        """Whoever died starts again some time later."""
        while True:
            is_quick = self.simulation.is_calm or node.number == self.simulation.forgetful
            await asyncio.sleep(0.3 if is_quick else self._chance.uniform(*RESTART_S))
            if not node.is_up and not node.disk.is_full:
                await node.start()

    def wipe(self, node: Node) -> None:
        """The engine's disk is lost, the home is not: other nodes tell it all blocks again."""
        node.lose_engine()

    def process(self, node: Node) -> None:
        """Killed, as with -9."""
        node.kill(power_loss=False)

    def power(self, node: Node) -> None:
        """The machine stops; what was not synced is lost."""
        node.kill(power_loss=True)

    def blackout(self, node: Node) -> None:
        """The power goes everywhere at once."""
        for one in self.simulation.nodes:
            one.kill(power_loss=True)

    def step(self, node: Node) -> None:
        """Killed between two of the steps with which a block is kept."""
        node.dies_at = (self._chance.choice(STEPS), node.height + 1)

    def vote(self, node: Node) -> None:
        """Killed as soon as it has signed something, before anybody heard of it; back soon, with something else in mind."""
        forgetful = self.simulation.forgetful
        if forgetful >= 0:
            node = self.simulation.nodes[forgetful]
        node.dies_at = (self._chance.choice(("signed", "proposed", "proposed")), node.height + 1)

    def told(self, node: Node) -> None:
        """The power goes as soon as a client was told that its record is kept, while a batch is on its way."""
        node.dies_at = ("told", 0)

    def write(self, node: Node) -> None:
        """The power goes in the middle of what the journal writes."""
        node.disk.dies_after = self._chance.randrange(1, 12)

    def full(self, node: Node) -> None:
        """The disk is full for some seconds."""
        node.disk.is_full = True

        def free() -> None:
            node.disk.is_full = False

        self.simulation.world.loop.call_later(self._chance.uniform(0.5, 4.0), free)

    def sync(self, node: Node) -> None:
        """The disk fails once."""
        node.disk.fails_sync = True

    def skew(self, node: Node) -> None:
        """One machine's clock is wrong, by up to an hour; every other one is right."""
        for other in self.simulation.nodes:
            other.skew_ms = 0
        node.skew_ms = self._chance.randrange(-3_600_000, 3_600_000)

    def slow(self, node: Node) -> None:
        """Messages take their time for a while."""
        self.simulation.network.weather = Weather(slow=0.2, slow_s=0.8)

    def halves(self, node: Node) -> None:
        """No side has two thirds."""
        numbers = [one.number for one in self.simulation.nodes]
        self._chance.shuffle(numbers)
        half = len(numbers) // 2
        self.simulation.network.cut((tuple(numbers[:half]), tuple(numbers[half:])))

    def single(self, node: Node) -> None:
        """One node hears nobody: the silent one, if there is one."""
        node = self.simulation.nodes[self.simulation.silent] if self.simulation.silent >= 0 else node
        others = tuple(one.number for one in self.simulation.nodes if one is not node)
        self.simulation.network.cut(((node.number,), others))

    def ring(self, node: Node) -> None:
        """Everybody hears two neighbours only."""
        count = self.simulation.count
        self.simulation.network.heal()
        for at in range(count // 2):
            self.simulation.network.cut_link(at, at + count // 2)

    def heal(self, node: Node) -> None:
        """Every link works."""
        self.simulation.network.heal()
