"""The faked network: messages are lost, delayed, doubled and overtaken; links are cut and come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.world import World

Deliver = Callable[[int, object], None]


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad it is: chances a message, delays in seconds."""

    loss: float = 0.0
    double: float = 0.0
    slow: float = 0.0
    delay_s: float = 0.02
    slow_s: float = 1.5


class Network:
    """Between numbered nodes. A node that is down, or on the other side of a cut, hears nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._receivers: dict[int, Deliver] = {}
        self._cut: set[tuple[int, int]] = set()
        self.weather = Weather()
        self.sent = 0

    def join(self, node: int, deliver: Deliver) -> None:
        """The node listens."""
        self._receivers[node] = deliver

    def leave(self, node: int) -> None:
        """Nobody listens there."""
        self._receivers.pop(node, None)

    def cut(self, sides: tuple[tuple[int, ...], ...]) -> None:
        """Only nodes of one side hear each other."""
        side = {node: at for at, nodes in enumerate(sides) for node in nodes}
        self._cut = {(a, b) for a in side for b in side if side[a] != side[b]}

    def cut_link(self, one: int, other: int) -> None:
        """These two do not hear each other."""
        self._cut |= {(one, other), (other, one)}

    def heal(self) -> None:
        """Everybody hears everybody."""
        self._cut = set()

    def send(self, source: int, target: int, message: object) -> None:
        """It arrives, or not, once or twice, some time later."""
        self.sent += 1
        chance, weather = self._world.chance, self.weather
        if (source, target) in self._cut or chance.random() < weather.loss:
            return
        copies = 2 if chance.random() < weather.double else 1
        for _ in range(copies):
            delay = chance.uniform(0.001, weather.delay_s)
            if chance.random() < weather.slow:
                delay += chance.uniform(0.0, weather.slow_s)
            self._world.loop.call_later(delay, self._arrive, source, target, message)

    def _arrive(self, source: int, target: int, message: object) -> None:
        deliver = self._receivers.get(target)
        if deliver is not None and (source, target) not in self._cut:
            deliver(source, message)
