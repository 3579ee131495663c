"""What validators signed of a network's ledger, as this node's own engine has it: headers, commits, validator sets."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import lmdb

from careledger.contracts.validators import VALIDATOR_CHANGED
from careledger.engine.rpc import Rpc
from careledger.ledger.execution import HISTORY
from careledger.ledger.light import LightBlock, choose_bridges, trust_header
from careledger.ledger.light_encoding import EngineHeader
from careledger.ledger.light_files import BRIDGES_MAX, PastProof, compose_signed_part, make_trust_file
from careledger.ledger.proof_files import SignedPart
from careledger.ledger.store.lmdb import LmdbKV
from careledger.primitives.errors import Corrupt, NotFound

if TYPE_CHECKING:
    from careledger.node.home import OpenHome

SETS_MAX: Final = 1_000
"""Changes of the validator set that are looked at for bridges: the newest."""


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
    """Asks the engine; what it said of the past is remembered."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._sets: dict[int, LightBlock] = {}

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
        changes = _changes(home)
        if not changes:
            return SignedState((target,), previous.header, (target.validators.hash,))
        return SignedState((*await self._bridges(changes, target), target), previous.header)

    async def _bridges(self, heights: Sequence[int], target: LightBlock) -> list[LightBlock]:
        """One signed header of each validator set since the first that skipping cannot leap over."""
        wanted = [1, *heights]
        for height in wanted:
            if height not in self._sets and height < target.header.height:
                with contextlib.suppress(NotFound):  # of before this node began with a snapshot
                    self._sets[height] = await self.light_block(height)
        known = [self._sets[height] for height in wanted if height in self._sets]
        if not known:
            return []
        start = trust_header(known[0].header, known[0].validators)
        return choose_bridges(start, known[1:], target)[-BRIDGES_MAX:]


def _changes(home: OpenHome) -> list[int]:
    """Heights whose header was the first under another validator set: two after the block that decided it."""
    with home.tables.env.begin() as txn:
        kv = LmdbKV(txn, home.tables.ledger)
        found = home.the_ledger.events(kv, VALIDATOR_CHANGED.name, start_height=1)
    return sorted({event.height + 2 for event in found})[-SETS_MAX:]


def prove_history(home: OpenHome, txn: lmdb.Transaction) -> PastProof:
    """The history log as the newest state holds it: leaves of the blocks before the newest."""
    proof = home.the_ledger.prove_state(LmdbKV(txn, home.tables.ledger), HISTORY.contract, HISTORY.name, b"")
    if proof.value is None:
        raise Corrupt("the state holds no history", hint="run `careledger fsck`")
    return PastProof(HISTORY.value.decode(proof.value).root, proof.proof)
