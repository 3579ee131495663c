"""Which headers a receipt brings along, so that whoever trusts an older one comes to its own."""

from __future__ import annotations

import asyncio

import pytest

from careledger.engine.configuration import Address
from careledger.engine.rpc import Rpc
from careledger.ledger.light import LightBlock, trust_header, verify_blocks
from careledger.ledger.light_files import BRIDGES_MAX
from careledger.node import finality
from careledger.node.finality import Headers
from careledger.primitives.errors import NotFound
from tests.verifier.synthetic_network import Blocks

ROTATING = [" ".join(f"e{(at + member) % 20}:1" for member in range(4)) for at in range(40)]
"""One of four is another at each block."""


class Engine(Headers):
    """Has the blocks from `first` on, and counts what it is asked."""

    def __init__(self, sets: list[str], first: int = 1) -> None:
        super().__init__(Rpc(Address("127.0.0.1", 1)))
        self.blocks = Blocks("cl-" + "6" * 32, [bytes(32)] * len(sets), sets)
        self.sets, self.first, self.asked = sets, first, 0

    async def light_block(self, height: int) -> LightBlock:
        self.asked += 1
        if height < self.first:
            raise NotFound("pruned")
        return self.blocks.at(height)

    def bridge(self) -> list[LightBlock]:
        """To the newest block."""
        changes = [at + 1 for at in range(1, len(self.sets)) if self.sets[at] != self.sets[at - 1]]
        return asyncio.run(self.find_bridges(changes, self.blocks.at(len(self.sets))))

    def check(self, bridges: list[LightBlock], trusted: int) -> None:
        start = self.blocks.at(trusted)
        point = trust_header(start.header, start.validators)
        newest = verify_blocks(point, [*bridges, self.blocks.at(len(self.sets))])
        assert newest.height == len(self.sets)


def test_a_set_that_is_wholly_another_is_announced_by_the_header_before_it() -> None:
    for engine in (
        Engine(["e0:1 e1:1"] * 4 + ["e2:1 e3:1"] * 4),
        Engine(["e0:1 e1:1", "e2:1 e3:1", "e4:1 e5:1", "e0:1 e1:1 e2:1"]),
    ):
        bridges = engine.bridge()
        for trusted in range(1, len(engine.sets) + 1):
            engine.check(bridges, trusted)


def test_steps_are_long_and_few_headers_are_asked_for() -> None:
    same = Engine(["e0:1 e1:1 e2:1"] * 30 + ["e0:1 e1:1 e3:1"] * 10)
    assert (same.bridge(), same.asked) == ([], 3), "those of whom two thirds stay need none"
    engine = Engine(ROTATING)
    bridges = engine.bridge()
    assert len(bridges) < len(ROTATING) / 2 and engine.asked <= len(ROTATING)
    for trusted in range(1, len(ROTATING)):
        engine.check(bridges, trusted)
    asked = engine.asked
    assert engine.bridge() == bridges and engine.asked == asked, "they are remembered"


def test_what_the_engine_pruned_is_where_trust_begins() -> None:
    engine = Engine(ROTATING, first=15)
    bridges = engine.bridge()
    assert bridges[0].header.height > 15
    for trusted in range(15, len(ROTATING)):
        engine.check(bridges, trusted)


def test_of_more_bridges_than_a_file_holds_the_newest_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finality, "KNOWN_MAX", 3)
    sets = [f"e{at % 7}:1" for at in range(BRIDGES_MAX + 10)]
    engine = Engine(sets)
    bridges = engine.bridge()
    assert len(bridges) == BRIDGES_MAX and len(engine._known) == 3
    for trusted in (11, 12, len(sets)):
        engine.check(bridges, trusted)


def test_from_a_trusted_height_only_what_lies_after_it_is_given() -> None:
    changes = list(range(2, len(ROTATING) + 1))
    for trusted in (1, 7, 20, len(ROTATING) - 1):
        engine = Engine(ROTATING, first=trusted)
        target = engine.blocks.at(len(ROTATING))
        way = asyncio.run(engine.find_way(trusted, changes, target))
        assert all(trusted < block.header.height < len(ROTATING) for block in way)
        assert len(way) <= (len(ROTATING) - trusted) / 2
        engine.check(way, trusted)
    with pytest.raises(NotFound):
        asyncio.run(Engine(ROTATING, first=15).find_way(9, changes, target))
