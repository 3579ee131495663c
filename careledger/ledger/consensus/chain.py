"""A ledger's blocks and state on a KV, whoever orders them: what the embedded ledger and a network's replica share.

All functions work on a KV bound to the caller's transaction. What was written is real only if the caller commits; if
the transaction is aborted, call `reset` with a fresh KV before anything else. One writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from careledger.ledger.blocks import BLOCK, Block, hash_history_leaf
from careledger.ledger.checkpoint import origin_of
from careledger.ledger.consensus import index
from careledger.ledger.execution import (
    ACCOUNTS,
    BlockInput,
    History,
    Outcome,
    Read,
    Rules,
    apply_block,
    apply_genesis,
)
from careledger.ledger.genesis import GENESIS, Genesis, compute_chain_id, compute_genesis_hash
from careledger.ledger.kernel import Parameters, compute_state_key
from careledger.ledger.log import Frontier, consistency_path, inclusion_path, subtrees_between
from careledger.ledger.map_proof import MapProof
from careledger.ledger.store.kv import KV, PrefixKV
from careledger.ledger.transaction import TRANSACTION_SIZE_MAX
from careledger.ledger.tree import MapTree
from careledger.primitives.encoding import Schema
from careledger.primitives.errors import Conflict, Corrupt, Misconfigured, NotFound
from careledger.primitives.hashing import ZERO_DIGEST
from careledger.primitives.types import Did

HISTORY_PREFIX = b"h"
LOG_PREFIX = b"l"


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """A transaction in its block; `code` 0 means executed."""

    height: int
    position: int
    data: bytes
    code: int


@dataclass(frozen=True, slots=True)
class StateProof:
    """A state entry of the newest block: its value (None: absent), its hashed key, and the proof to `app_hash`."""

    key: bytes
    value: bytes | None
    proof: MapProof
    height: int
    time_ms: int
    app_hash: bytes


class Chain:
    """State, history and blocks of one ledger. `EmbeddedLedger` and `Replica` say where blocks come from."""

    mode = 0
    """Of the genesis that this kind of ledger has."""
    block_schema: Schema[Any] = BLOCK
    """How a block is kept."""

    def __init__(self, rules: Rules, genesis: Genesis) -> None:
        if genesis.mode != self.mode:
            raise Misconfigured("this genesis is of another kind of ledger")
        self.genesis = genesis
        self.genesis_hash = compute_genesis_hash(genesis)
        self.chain_id = compute_chain_id(self.genesis_hash)
        self.origin = origin_of(self.chain_id)
        self.height = 0
        self.time_ms = 0
        self.app_hash = ZERO_DIGEST
        self._rules = rules
        self._history = Frontier()
        self._tree = MapTree()

    def _begin(self, kv: KV, now_ms: int | None) -> Outcome:
        """Writes the genesis into an empty KV; the result depends on the genesis alone."""
        if kv.get(index.META_KEY) is not None:
            raise Conflict("this store already holds a ledger")
        genesis = self.genesis
        if now_ms is not None and now_ms < genesis.time_ms:
            raise Misconfigured("the clock is before the ledger's genesis", hint="set the machine's clock")
        kv.put(index.GENESIS_KEY, GENESIS.encode(genesis))
        outcome = apply_genesis(
            self._rules, Parameters(genesis.quota_bytes_day), genesis.time_ms, genesis.messages
        )
        self._write(kv, 0, genesis.time_ms, outcome)
        return outcome

    def reset(self, kv: KV) -> None:
        """Drops what memory holds and reads it again: after an aborted transaction."""
        meta = kv.get(index.META_KEY)
        if meta is None or len(meta) < 56:
            raise Corrupt("the ledger's head is missing", hint="run `careledger fsck`")
        self.height = int.from_bytes(meta[:8], "big")
        self.time_ms = int.from_bytes(meta[8:16], "big")
        self.app_hash = meta[16:48]
        self._history = Frontier.from_bytes(meta[48:])
        self._tree.reset(PrefixKV(kv, index.STATE_PREFIX))
        if self._tree.root != self.app_hash:
            raise Corrupt("the ledger's state does not have its app hash", hint="run `careledger fsck`")

    def try_out(
        self,
        kv: KV,
        transactions: Sequence[bytes],
        now_ms: int,
        before: Mapping[bytes, bytes | None] = MappingProxyType({}),
    ) -> Outcome:
        """How these would come out in the next block, each receipt in its place; nothing is changed.

        `before` is what those changed that were tried before them, and that stand before them in the block.
        """
        read = self.reader(kv)
        order = lane_order(transactions) or list(range(len(transactions)))
        block = BlockInput(
            self.genesis_hash,
            self.height + 1,
            max(now_ms, self.time_ms),
            History(self._history.size, self._history.root()),
            [transactions[at][:KEPT_MAX] for at in order],
        )
        outcome = apply_block(self._rules, lambda key: before[key] if key in before else read(key), block)
        places = sorted(range(len(order)), key=order.__getitem__)
        return replace(outcome, receipts=tuple(outcome.receipts[at] for at in places))

    def reader(self, kv: KV) -> Read:
        """The newest state by hashed key, as `apply_block` reads it."""
        state, tree = self._state(kv), self._tree
        return lambda key: tree.get(state, key)

    @staticmethod
    def _state(kv: KV) -> PrefixKV:
        return PrefixKV(kv, index.STATE_PREFIX)

    def _apply(self, kv: KV, height: int, time_ms: int, transactions: Sequence[bytes]) -> Outcome:
        history = History(self._history.size, self._history.root())
        outcome = apply_block(
            self._rules,
            self.reader(kv),
            BlockInput(self.genesis_hash, height, time_ms, history, transactions),
        )
        self._write(kv, height, time_ms, outcome)
        return outcome

    def _write(self, kv: KV, height: int, time_ms: int, outcome: Outcome) -> None:
        """State, history and the nodes of contract logs; the head moves."""
        self.app_hash = self._tree.update(self._state(kv), outcome.changes)
        for log, node in outcome.log_nodes:
            index.put_nodes(kv, LOG_PREFIX + log, (node,))
        self._move_head(kv, height, time_ms)

    def _move_head(self, kv: KV, height: int, time_ms: int) -> None:
        """The state has its app hash: history and head follow."""
        self.height, self.time_ms = height, time_ms
        leaf = hash_history_leaf(height, time_ms, self.app_hash)
        index.put_nodes(kv, HISTORY_PREFIX, self._history.append(leaf))
        head = height.to_bytes(8, "big") + time_ms.to_bytes(8, "big") + self.app_hash
        kv.put(index.META_KEY, head + self._history.to_bytes())

    def _index(self, kv: KV, block: bytes, outcome: Outcome) -> None:
        kv.put(index.block_key(self.height), block)
        index.put_receipts(kv, self.height, outcome.receipts, outcome.begin_events)

    # queries

    def block(self, kv: KV, height: int) -> Block:
        """Block `height`; 0 is the genesis, without transactions. Raises NotFound."""
        block: Block = self.block_schema.decode(self.block_bytes(kv, height))
        return block

    def block_bytes(self, kv: KV, height: int) -> bytes:
        """The same as the journal keeps it."""
        data = kv.get(index.block_key(height)) if 0 <= height < 2**64 else None
        if data is None:
            raise NotFound(f"there is no block {height}")
        return data

    def transaction(self, kv: KV, transaction_id: bytes) -> StoredTransaction:
        """A transaction by its id, executed or refused (the first time it came). Raises NotFound."""
        place = kv.get(index.transaction_key(transaction_id))
        if place is None:
            raise NotFound("there is no such transaction")
        height, position = int.from_bytes(place[:8], "big"), int.from_bytes(place[8:], "big")
        block = self.block(kv, height)
        return StoredTransaction(height, position, block.transactions[position], block.codes[position])

    def events(
        self, kv: KV, event_type: str, start_height: int = 0, stop_height: int = 2**63, limit: int = 1000
    ) -> list[index.StoredEvent]:
        """Events of one type in blocks start … stop − 1, oldest first, at most `limit`."""
        found: list[index.StoredEvent] = []
        for event in index.scan_events(kv, event_type, start_height, stop_height):
            if len(found) >= min(limit, index.EVENTS_MAX):
                break
            found.append(event)
        return found

    def state(self, kv: KV, contract: str, name: str, key: bytes) -> bytes | None:
        """The encoded value of a state entry of the newest block, or None."""
        return self._tree.get(self._state(kv), compute_state_key(contract, name, key))

    def prove_state(self, kv: KV, contract: str, name: str, key: bytes) -> StateProof:
        """A state entry of the newest block with its proof; absence is proved too."""
        hashed = compute_state_key(contract, name, key)
        state = self._state(kv)
        return StateProof(
            hashed,
            self._tree.get(state, hashed),
            self._tree.prove(state, hashed),
            self.height,
            self.time_ms,
            self.app_hash,
        )

    def history_path(self, kv: KV, height: int, size: int) -> list[bytes]:
        """Path of leaf `height` to the root of the first `size` leaves of the history log."""
        if size > self._history.size:
            raise NotFound(f"the history has {self._history.size} leaves")
        return inclusion_path(height, size, index.node_getter(kv, HISTORY_PREFIX))

    def history_consistency(self, kv: KV, old: int, new: int) -> list[bytes]:
        """Consistency path between two sizes of the history log."""
        if new > self._history.size:
            raise NotFound(f"the history has {self._history.size} leaves")
        return consistency_path(old, new, index.node_getter(kv, HISTORY_PREFIX))

    def history_subtrees(self, kv: KV, sizes: Sequence[int]) -> list[bytes]:
        """The complete subtrees between each of these ascending sizes of the history log and the next, from 0 on."""
        if sizes and sizes[-1] > self._history.size:
            raise NotFound(f"the history has {self._history.size} leaves")
        return subtrees_between(sizes, index.node_getter(kv, HISTORY_PREFIX))

    def log_path(self, kv: KV, contract: str, name: str, key: bytes, position: int, size: int) -> list[bytes]:
        """Path in a contract's log (`kernel.Log`), such as the batches of an organisation."""
        log = LOG_PREFIX + compute_state_key(contract, name, key)
        return inclusion_path(position, size, index.node_getter(kv, log))

    def next_sequence(self, kv: KV, sponsor: Did, lane: int) -> int:
        """The sequence that the next transaction of this sponsor in this lane must have."""
        raw = self._tree.get(self._state(kv), ACCOUNTS.state_key(sponsor))
        return dict(ACCOUNTS.value.decode(raw).lanes).get(lane, 0) if raw else 0


KEPT_MAX = TRANSACTION_SIZE_MAX + 1
_LANE_AT = 4 + 32 + 8 + 32
"""Where the lane stands in an encoded transaction: after the body's length, genesis hash, valid_until, sponsor."""


def read_genesis(kv: KV) -> Genesis:
    """The genesis of the ledger that `kv` holds. Raises NotFound if it holds none."""
    genesis = kv.get(index.GENESIS_KEY)
    if genesis is None:
        raise NotFound("there is no ledger in this store")
    return GENESIS.decode(genesis)


def is_urgent(transaction: bytes) -> bool:
    """Whether it stands in lane 0, and so comes first in its block."""
    return len(transaction) > _LANE_AT and transaction[_LANE_AT] == 0


def lane_order(transactions: Sequence[bytes]) -> list[int]:
    """Positions with lane 0 first, otherwise as given; empty if that changes nothing."""
    urgent = [at for at, data in enumerate(transactions) if is_urgent(data)]
    if not urgent or urgent[-1] == len(urgent) - 1:
        return []
    chosen = frozenset(urgent)
    return urgent + [at for at in range(len(transactions)) if at not in chosen]
