"""What validators signed of a network's ledger, as this node's own engine has it: headers, commits, validator sets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import lmdb

from careledger.contracts.validators import VALIDATOR_CHANGED
from careledger.engine.rpc import Rpc
from careledger.ledger.consensus.index import EVENTS_MAX
from careledger.ledger.execution import HISTORY
from careledger.ledger.light import LightBlock, TrustedPoint, is_in_reach, trust_header
from careledger.ledger.light_encoding import EngineHeader
from careledger.ledger.light_files import BRIDGES_MAX, PastProof, compose_signed_part, make_trust_file
from careledger.ledger.proof_files import SignedPart
from careledger.ledger.store.lmdb import LmdbKV
from careledger.primitives.errors import Corrupt, NotFound

if TYPE_CHECKING:
    from careledger.node.home import OpenHome

KNOWN_MAX: Final = 256
"""Headers of the past that are remembered, the newest asked for; one of 128 ML-DSA validators has 700 kB."""


@dataclass(frozen=True, slots=True)
class SignedState:
    """The header of block `height` + 1, which names the state after block `height`, and the way to it."""

    blocks: tuple[LightBlock, ...]
    previous: EngineHeader
    known: tuple[bytes, ...] = ()
    """Hashes of validator sets that every reader has: the only one, as long as it never changed."""

    @property
    def header(self) -> EngineHeader:
        """The header."""
        return self.blocks[-1].header

    def sign_newest(self) -> SignedPart:
        """The signed part of a receipt of the newest block."""
        return compose_signed_part(self.blocks, previous=self.previous, known=self.known)

    def sign_with_history(self, past: PastProof) -> SignedPart:
        """The signed part of an export."""
        return compose_signed_part(self.blocks, previous=self.previous, past=past, known=self.known)

    def trust_file(self) -> bytes:
        """What others keep: `checkpoint -o`."""
        return make_trust_file(self.blocks[-1])


class Headers:
    """Asks the engine; some of what it said of the past is remembered."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._known: OrderedDict[int, LightBlock] = OrderedDict()

    async def light_block(self, height: int) -> LightBlock:
        """The header of a height with its commit and validators. Raises Unavailable, NotFound, Invalid."""
        return await self._rpc.light_block(height)

    async def signed_state(self, home: OpenHome) -> SignedState:
        """For the newest state, once the next header is decided."""
        target = await self.light_block(home.height + 1)
        previous = await self.light_block(home.height) if home.height else target
        if target.header.app_hash != home.the_ledger.app_hash:
            raise Corrupt(
                "the validators signed another state than this node has",
                hint="stop the node and run `careledger fsck`",
            )
        changes = list_changes(home)
        if not changes:
            return SignedState((target,), previous.header, (target.validators.hash,))
        return SignedState((*await self.find_bridges(changes, target), target), previous.header)

    async def find_bridges(self, changes: Sequence[int], target: LightBlock) -> list[LightBlock]:
        """Headers over which whoever trusts the oldest one that the engine has comes to the target, by long steps.

        `changes` are heights of the first header under another set. The header before such one, too, may be needed:
        it announces the new set to those of whom nobody is left. Of more bridges than a file holds, the newest: who
        trusts a header from before those needs a newer one.
        """
        heights = _between(1, changes, target)
        self._remember(target)
        heights = heights[await self._count_forgotten(heights) :]
        return (await self._step(heights))[-BRIDGES_MAX:]

    async def find_way(self, height: int, changes: Sequence[int], target: LightBlock) -> list[LightBlock]:
        """As `find_bridges`, for whoever trusts the header of this height, below the target's.

        Raises NotFound if the engine has that header no more, or if there are more bridges than a file holds.
        """
        self._remember(target)
        found = await self._step(_between(height, changes, target))
        if len(found) > BRIDGES_MAX:
            raise NotFound("too much has changed since that height", hint="trust a newer header")
        return found

    async def _step(self, heights: list[int]) -> list[LightBlock]:
        """Headers between the first and the last of these, by steps as long as they may be."""
        found: list[LightBlock] = []
        while len(heights) > 1:
            block = await self._recall(heights.pop(0))
            point = trust_header(block.header, block.validators)
            heights = heights[await self._find_farthest(point, heights) :]
            found.append(await self._recall(heights[0]))
        return found[:-1]

    async def _count_forgotten(self, heights: Sequence[int]) -> int:
        """How many of these the engine has no more: it pruned them, or began with a snapshot after them."""
        low, high = 0, len(heights)
        while low < high:
            middle = (low + high) // 2
            try:
                await self._recall(heights[middle])
            except NotFound:
                low = middle + 1
            else:
                high = middle
        return low

    async def _find_farthest(self, point: TrustedPoint, heights: Sequence[int]) -> int:
        """The place of the farthest of these in reach, as far as all before it are; the first always is.

        By longer and longer steps, then by halves: sets grow apart, and one that came back must not be leapt to over
        others, whose readers could not follow.
        """

        async def is_near(place: int) -> bool:
            return is_in_reach(point, await self._recall(heights[place]))

        low, step = 0, 1
        while low + step < len(heights) and await is_near(low + step):
            low, step = low + step, 2 * step
        high = min(low + step, len(heights))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await is_near(middle) else (low, middle)
        return low

    async def _recall(self, height: int) -> LightBlock:
        block = self._known.pop(height, None) or await self.light_block(height)
        self._remember(block)
        return block

    def _remember(self, block: LightBlock) -> None:
        self._known[block.header.height] = block
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)


def _between(first: int, changes: Sequence[int], target: LightBlock) -> list[int]:
    """Heights that may be needed on the way from the first to the target, both of them too."""
    near = {first, *(height for change in changes for height in (change - 1, change))}
    last = target.header.height
    return [*sorted(height for height in near if first <= height < last), last]


def list_changes(home: OpenHome) -> list[int]:
    """Heights whose header was the first under another validator set: two after the block that decided it."""
    with home.tables.env.begin() as txn:
        kv = LmdbKV(txn, home.tables.ledger)
        found = home.the_ledger.events(kv, VALIDATOR_CHANGED.name, start_height=1, limit=EVENTS_MAX)
    return sorted({event.height + 2 for event in found})


def prove_history(home: OpenHome, txn: lmdb.Transaction) -> PastProof:
    """The history log as the newest state holds it: leaves of the blocks before the newest."""
    proof = home.the_ledger.prove_state(LmdbKV(txn, home.tables.ledger), HISTORY.contract, HISTORY.name, b"")
    if proof.value is None:
        raise Corrupt("the state holds no history", hint="run `careledger fsck`")
    return PastProof(HISTORY.value.decode(proof.value).root, proof.proof)
