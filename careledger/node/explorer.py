"""The ledger as anybody of the network may see it: blocks, transactions in words, organisations, validators, search.

Read from a view of the index, in whatever process answers; nothing of a chart is opened. All that is asked for has a
limit. What a text names is `explorer_search`'s part.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from careledger.contracts.identity import CHANGED, ORGANISATION, REGISTERED, SUBJECTS, Subject
from careledger.contracts.validators import (
    ACTIVE,
    JAILED,
    VALIDATOR_CHANGED,
    VALIDATORS,
    ValidatorChanged,
    get_seats,
)
from careledger.ledger.blocks import BLOCK, NETWORK_BLOCK, Block
from careledger.ledger.consensus import index
from careledger.ledger.consensus.chain import HISTORY_PREFIX
from careledger.ledger.execution import Overlay
from careledger.ledger.genesis import GENESIS, NETWORK, Genesis, compute_chain_id, compute_genesis_hash
from careledger.ledger.kernel import Key
from careledger.ledger.log import consistency_path
from careledger.ledger.store.kv import KV
from careledger.ledger.transaction import Transaction, compute_id, decode_transaction
from careledger.node.explorer_words import (
    describe_did,
    describe_key,
    describe_message,
    describe_result,
    kinds,
    name_message,
)
from careledger.primitives.encoding import Schema
from careledger.primitives.errors import CareLedgerError, Corrupt, Invalid, NotFound
from careledger.primitives.types import Did, did_text
from careledger.vault.snapshot import VaultSnapshot

PAGE_MAX: Final = 100
SHOWN_MAX: Final = 500
"""Transactions of a block that are shown with it; the others are asked for by their hashes."""
TYPED_MAX: Final = 100
"""Transactions of a block whose types are counted in its line."""
RATE_BLOCKS: Final = 50
MEMBERS_SECONDS: Final = 2.0
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
STATUSES: Final[Mapping[int, str]] = {ACTIVE: "active", JAILED: "jailed"}


@dataclass(frozen=True, slots=True)
class Placed:
    """A transaction's place and bytes."""

    height: int
    position: int
    data: bytes
    code: int


@dataclass(slots=True)
class Members:
    """The organisations as of some seconds ago: to list them takes a look at everybody who was ever registered."""

    clock: Callable[[], float] = time.monotonic
    _listed: list[dict[str, Any]] = field(default_factory=list)
    _at: float = -MEMBERS_SECONDS

    def get(self, list_now: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Those that are kept, or anew."""
        if self.clock() - self._at >= MEMBERS_SECONDS:
            self._listed, self._at = list_now(), self.clock()
        return self._listed


class Explorer:
    """One view of the ledger. Use within the snapshot's lifetime; `members` outlives it."""

    __slots__ = (
        "_genesis", "_kv", "_members", "_names", "_schema", "height", "is_network", "state", "time_ms",
    )  # fmt: skip

    def __init__(self, snapshot: VaultSnapshot, members: Members | None = None) -> None:
        self._members = members or Members()
        self._kv: KV = snapshot.ledger()
        self.state = Overlay(snapshot.state)
        self._names: dict[bytes, str] = {}
        self._genesis = _read_genesis(self._kv.get(index.GENESIS_KEY) or b"")
        self.is_network = self._genesis.mode == NETWORK
        self._schema: Schema[Any] = NETWORK_BLOCK if self.is_network else BLOCK
        meta = self._kv.get(index.META_KEY) or b""
        self.height, self.time_ms = int.from_bytes(meta[:8], "big"), int.from_bytes(meta[8:16], "big")

    @property
    def chain(self) -> str:
        """The ledger's name."""
        return compute_chain_id(compute_genesis_hash(self._genesis))

    def overview(self) -> dict[str, Any]:
        """Which ledger this is, how far and how fast it is, and whose."""
        organisations = self.list_organisations()
        return {
            "chain": self.chain,
            "mode": "network" if self.is_network else "embedded",
            "height": self.height,
            "time_ms": self.time_ms,
            "hash": (self._kv.get(index.META_KEY) or b"")[16:48].hex(),
            "genesis_ms": self._genesis.time_ms,
            "block_interval_ms": self._interval_ms(),
            "organisations": organisations,
            "validators": len(get_seats(self.state)),
            "message_types": sorted(kind.name for kind in kinds().values()),
        }

    def _interval_ms(self) -> int:
        """Mean time between the newest blocks; 0 where there are too few."""
        first = max(1, self.height - RATE_BLOCKS)
        if self.height - first < 2:
            return 0
        try:
            return (self.time_ms - self.block(first).time_ms) // (self.height - first)
        except NotFound:
            return 0

    def list_organisations(self) -> list[dict[str, Any]]:
        """Every organisation, in the order of admission: of the first 10,000 that were registered, and who validates."""
        return self._members.get(self._list_organisations)

    def _list_organisations(self) -> list[dict[str, Any]]:
        events = index.scan_events(self._kv, REGISTERED.name, 0, 2**63)
        named = [CHANGED.decode(event.data).subject for event in islice(events, index.EVENTS_MAX)]
        seats = [seat.organisation for seat in get_seats(self.state)]
        found = []
        for did in dict.fromkeys([*named, *seats]):
            subject = SUBJECTS.get(self.state, did)
            if subject is not None and subject.kind == ORGANISATION:
                found.append(describe_organisation(did, subject))
        return found

    # Blocks

    def list_blocks(self, before: int | None, count: int) -> dict[str, Any]:
        """Blocks below `before`, newest first; `next` says where the page after begins, None at the end."""
        top = self.height if before is None else min(before - 1, self.height)
        blocks = []
        for height in range(top, max(-1, top - min(count, PAGE_MAX)), -1):
            try:
                blocks.append(self.line(self.block(height)))
            except NotFound:  # this node began with a snapshot: it has no older ones
                return {"blocks": blocks, "next": None}
        last = top - len(blocks) + 1
        return {"blocks": blocks, "next": last if blocks and last > 0 else None}

    def line(self, block: Block) -> dict[str, Any]:
        types: dict[str, int] = {}
        for data in block.transactions[:TYPED_MAX]:
            for name in _types_of(data):
                types[name] = types.get(name, 0) + 1
        return {
            "height": block.height,
            "time_ms": block.time_ms,
            "hash": block.app_hash.hex(),
            "transactions": len(block.transactions),
            "refused": sum(map(bool, block.codes)),
            "types": types,
        }

    def show_block(self, height: int) -> dict[str, Any]:
        """A block with its transactions. Raises NotFound."""
        block = self.block(height)
        shown = [
            self.describe(Placed(height, at, data, block.codes[at]))
            for at, data in enumerate(block.transactions[:SHOWN_MAX])
        ]
        founding = (
            [describe_message(data, self.name_of) for data in self._genesis.messages] if not height else []
        )
        evidence = [
            {"kind": one.kind, "validator": one.address.hex(), "height": one.height}
            for one in getattr(block, "evidence", ())
        ]
        return {
            **self.line(block),
            "chain": self.chain,
            "previous": height - 1 if height else None,
            "evidence": evidence,
            "founding": founding,
            "list": shown,
            "left_out": len(block.transactions) - len(shown),
        }

    def block(self, height: int) -> Block:
        if not 0 <= height <= self.height:
            raise NotFound(f"there is no block {height}", hint=f"the newest is {self.height}")
        data = self._kv.get(index.block_key(height))
        if data is not None:
            block: Block = self._schema.decode(data)
            return block
        if height:
            raise NotFound(
                f"this node does not have block {height}", hint="it began with a snapshot: ask another node"
            )
        return Block(0, self._genesis.time_ms, (), (), compute_genesis_hash(self._genesis), b"")

    def prove_continued(self, old: int, new: int) -> list[bytes]:
        """That the history of `new` blocks begins with that of `old` ones (RFC 6962, 2.1.2). Raises Invalid."""
        if not 0 < old <= new:
            raise Invalid("that height is not in the checkpoint", hint=f"at most {new - 1}", code="parameter")
        return consistency_path(old, new, index.node_getter(self._kv, HISTORY_PREFIX))

    # Transactions

    def show_transaction(self, id: str) -> dict[str, Any]:
        """A transaction by its hash, with its bytes. Raises Invalid, NotFound."""
        if not _HASH.fullmatch(id):
            raise Invalid("this is no transaction's hash", hint="64 hex digits")
        found = self.find(bytes.fromhex(id))
        if found is None:
            raise NotFound("there is no such transaction on this ledger", hint="hashes stand in the blocks")
        return self.describe(found) | {"chain": self.chain, "raw": found.data.hex()}

    def find(self, id: bytes) -> Placed | None:
        place = self._kv.get(index.transaction_key(id))
        if place is None:
            return None
        height, position = int.from_bytes(place[:8], "big"), int.from_bytes(place[8:], "big")
        block = self.block(height)
        return Placed(height, position, block.transactions[position], block.codes[position])

    def describe(self, found: Placed) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "height": found.height,
            "position": found.position,
            "result": describe_result(found.code),
            "bytes": len(found.data),
        }
        try:
            transaction, body = decode_transaction(found.data)
        except CareLedgerError:
            return shown | {"hash": "", "messages": []}
        return shown | {
            "hash": compute_id(transaction.body).hex(),
            "sponsor": describe_did(body.sponsor, self.name_of),
            "lane": body.lane,
            "sequence": body.sequence,
            "valid_until_ms": body.valid_until,
            "signatures": _signatures(transaction),
            "messages": [describe_message(data, self.name_of) for data in body.messages],
        }

    # Who

    def name_of(self, did: bytes) -> str:
        """The name of an organisation on the ledger, '' for everybody else."""
        known = self._names.get(did)
        if known is None:
            subject = SUBJECTS.get(self.state, Did(did))
            known = self._names[did] = "" if subject is None else subject.name
        return known

    def list_validators(self) -> list[dict[str, Any]]:
        """Every validator that is active or jailed, the heaviest first; none on an embedded ledger."""
        addresses = [seat.address for seat in get_seats(self.state)]
        events = index.scan_events(self._kv, VALIDATOR_CHANGED.name, 0, 2**63)
        for event in islice(events, index.EVENTS_MAX):
            changed: ValidatorChanged = VALIDATOR_CHANGED.schema.decode(event.data)
            addresses.append(changed.address)
        found = []
        for address in dict.fromkeys(addresses):
            one = VALIDATORS.get(self.state, address)
            if one is not None and one.status in STATUSES:
                found.append(
                    {
                        "address": address.hex(),
                        "organisation": describe_did(one.organisation, self.name_of),
                        "key": describe_key(one.key),
                        "weight": one.weight,
                        "status": STATUSES[one.status],
                        "since": one.height,
                    }
                )
        return sorted(found, key=lambda one: (-one["weight"], one["address"]))


@lru_cache(4)
def _read_genesis(data: bytes) -> Genesis:
    if not data:
        raise Corrupt("the ledger's genesis is missing", hint="run `careledger fsck`")
    return GENESIS.decode(data)


def _types_of(data: bytes) -> list[str]:
    try:
        _, body = decode_transaction(data)
    except CareLedgerError:
        return []
    return [name_message(one) or "unknown" for one in body.messages]


def _signatures(transaction: Transaction) -> list[dict[str, str]]:
    return [describe_key(Key(one.algorithm, one.key)) for one in transaction.authenticators]


def describe_organisation(did: Did, subject: Subject) -> dict[str, Any]:
    return {
        "did": did_text(did),
        "name": subject.name,
        "active": subject.is_active,
        "roles": list(subject.roles),
        "end_points": list(subject.end_points),
        "height": subject.height,
    }
