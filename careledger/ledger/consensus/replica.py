"""A replica of a network's ledger: the engine's validators order, every node executes.

The engine decides a block before it is executed; what one replica finalises, each honest one finalises alike. As with
every `Chain`, what `finalise` wrote is real only once the caller commits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from careledger.ledger.blocks import NETWORK_BLOCK, NetworkBlock, TransactionReceipt
from careledger.ledger.consensus import index
from careledger.ledger.consensus.chain import Chain, read_genesis
from careledger.ledger.consensus.snapshots import Contents, restore_state
from careledger.ledger.execution import BlockInput, History, Outcome, Rules, apply_block
from careledger.ledger.genesis import NETWORK, Genesis
from careledger.ledger.kernel import EVIDENCE, Evidence
from careledger.ledger.log import Frontier
from careledger.ledger.store.kv import KV
from careledger.primitives.encoding import U64, Pair
from careledger.primitives.errors import Corrupt, Invalid, VerificationFailed
from careledger.primitives.hashing import new_sha256

PLANS_MAX: Final = 4
"""Proposals of one height that are remembered with their outcome."""
_PLACE: Final = Pair(U64, U64, U64)
"""enc(height, time in ms, number of transactions)."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A block as the engine gives it. Time in ms, never decreasing: the engine sees to it."""

    height: int
    time_ms: int
    transactions: tuple[bytes, ...]
    evidence: tuple[Evidence, ...] = ()

    def digest(self) -> bytes:
        """Names exactly this block, whatever its proposer put into it: no limit holds yet."""
        running = new_sha256(_PLACE.encode((self.height, self.time_ms, len(self.transactions))))
        for part in (*self.transactions, *map(EVIDENCE.encode, self.evidence)):
            running.update(new_sha256(part).digest())
        return running.digest()


@dataclass(frozen=True, slots=True)
class Finalised:
    """A decided block, executed. `block` is what the journal keeps."""

    height: int
    time_ms: int
    block: bytes
    app_hash: bytes
    receipts: tuple[TransactionReceipt, ...]
    outcome: Outcome


class Replica(Chain):
    """Executes what the engine decided. Make one with `create` or `open`."""

    mode = NETWORK
    block_schema = NETWORK_BLOCK

    def __init__(self, rules: Rules, genesis: Genesis) -> None:
        super().__init__(rules, genesis)
        self._plans: OrderedDict[bytes, Outcome] = OrderedDict()

    @property
    def rules(self) -> Rules:
        """The contracts that this replica executes."""
        return self._rules

    @classmethod
    def create(cls, kv: KV, genesis: Genesis, rules: Rules) -> Replica:
        """Writes the genesis into an empty KV: height 0, the same app hash on every node."""
        replica = cls(rules, genesis)
        outcome = replica._begin(kv, None)
        replica._keep(kv, Decided(0, genesis.time_ms, ()), outcome)
        return replica

    @classmethod
    def open(cls, kv: KV, rules: Rules) -> Replica:
        """The ledger that `kv` holds. Raises NotFound if it holds none."""
        replica = cls(rules, read_genesis(kv))
        replica.reset(kv)
        return replica

    def reset(self, kv: KV) -> None:
        """As `Chain.reset`; what was planned is forgotten."""
        super().reset(kv)
        self._plans.clear()

    def block_input(self, decided: Decided) -> BlockInput:
        """What executing it stands on."""
        return BlockInput(
            self.genesis_hash,
            decided.height,
            decided.time_ms,
            History(self._history.size, self._history.root()),
            decided.transactions,
            decided.evidence,
        )

    def plan(self, decided: Decided, outcome: Outcome) -> None:
        """Remember how a proposal comes out on the newest state, so that `finalise` need not execute it again."""
        self._plans[decided.digest()] = outcome
        while len(self._plans) > PLANS_MAX:
            self._plans.popitem(last=False)

    def is_planned(self, decided: Decided) -> bool:
        """Whether exactly this block's outcome is remembered."""
        return decided.digest() in self._plans

    def finalise(self, kv: KV, decided: Decided) -> Finalised:
        """Executes the next block. Raises Corrupt if it is not the next one."""
        if decided.height != self.height + 1 or decided.time_ms < self.time_ms:
            raise Corrupt(
                f"block {decided.height} does not follow block {self.height}",
                hint="engine and home do not belong together: run `careledger engine doctor`",
            )
        outcome = self._plans.get(decided.digest())
        if outcome is None:
            outcome = apply_block(self._rules, self.reader(kv), self.block_input(decided))
        self._plans.clear()
        self._write(kv, decided.height, decided.time_ms, outcome)
        block = self._keep(kv, decided, outcome)
        return Finalised(self.height, self.time_ms, block, self.app_hash, outcome.receipts, outcome)

    def replay(self, kv: KV, block: bytes) -> None:
        """Executes a block of the journal again. Raises Corrupt if it is not next, or anything in it comes out
        otherwise: codes, app hash. The caller then aborts and resets."""
        try:
            expected = NETWORK_BLOCK.decode(block)
        except Invalid:
            raise Corrupt("a block of the journal cannot be read") from None
        decided = Decided(expected.height, expected.time_ms, expected.transactions, expected.evidence)
        if self.finalise(kv, decided).block != block:
            raise Corrupt(f"block {expected.height}: a code or the app hash differs")

    def restore(self, kv: KV, contents: Contents) -> None:
        """Go on from a snapshot (`snapshots`). Raises VerificationFailed if it is not what its head says; the caller
        then aborts and resets. Of its block no more than height, time and app hash is known."""
        head = contents.head
        if head.genesis_hash != self.genesis_hash:
            raise VerificationFailed("the snapshot is of another ledger")
        self._plans.clear()
        self._tree = restore_state(kv, contents)
        self._history, self.app_hash = contents.history.copy(), head.app_hash
        self._move_head(kv, head.height, head.time_ms)
        empty = Decided(head.height, head.time_ms, ())
        kv.put(index.block_key(head.height), NETWORK_BLOCK.encode(_unexecuted(empty, (), head.app_hash)))

    def frontier(self) -> Frontier:
        """Of the history log."""
        return self._history

    def _keep(self, kv: KV, decided: Decided, outcome: Outcome) -> bytes:
        codes = tuple(receipt.code for receipt in outcome.receipts) if decided.transactions else ()
        block = NETWORK_BLOCK.encode(_unexecuted(decided, codes, self.app_hash))
        kv.put(index.block_key(self.height), block)
        index.put_receipts(kv, self.height, outcome.receipts, outcome.begin_events)
        return block


def _unexecuted(decided: Decided, codes: Sequence[int] = (), app_hash: bytes = bytes(32)) -> NetworkBlock:
    return NetworkBlock(
        decided.height,
        decided.time_ms,
        decided.transactions,
        tuple(codes),
        app_hash,
        b"",
        decided.evidence,
    )
