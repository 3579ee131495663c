"""Where the embedded ledger keeps what: one prefix a kind, all of it rebuilt by executing the blocks again.

g -> genesis                       m -> height, time, app hash, history frontier
s… -> state map (ledger.tree)      h level index -> node of the history log
b height -> block                  x transaction id -> height, position
e type 00 height position number -> event's data
l log level index -> node of a contract's log
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from careledger.ledger.blocks import TransactionReceipt
from careledger.ledger.kernel import Event
from careledger.ledger.log import GetNode, Node
from careledger.ledger.store.kv import KV
from careledger.primitives.errors import Corrupt
from careledger.primitives.hashing import ZERO_DIGEST

GENESIS_KEY = b"g"
META_KEY = b"m"
STATE_PREFIX = b"s"
EVENTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event and where it happened: block, transaction in the block (or BEGIN_POSITION), event in the transaction."""

    height: int
    position: int
    number: int
    data: bytes


def block_key(height: int) -> bytes:
    """Where block `height` lies."""
    return b"b" + height.to_bytes(8, "big")


def transaction_key(transaction_id: bytes) -> bytes:
    """Where a transaction's place lies."""
    return b"x" + transaction_id


def put_nodes(kv: KV, prefix: bytes, nodes: Iterable[Node]) -> None:
    """Stores nodes of a log."""
    for level, position, digest in nodes:
        kv.put(prefix + bytes((level,)) + position.to_bytes(8, "big"), digest)


def node_getter(kv: KV, prefix: bytes) -> GetNode:
    """Reads what `put_nodes` stored; raises Corrupt for a node that is missing."""

    def get(level: int, position: int) -> bytes:
        node = kv.get(prefix + bytes((level,)) + position.to_bytes(8, "big"))
        if node is None:
            raise Corrupt("a node of a ledger log is missing", hint="run `careledger fsck`")
        return node

    return get


BEGIN_POSITION = 2**32 - 1
"""Where events stand that no transaction of the block caused."""


def put_receipts(
    kv: KV, height: int, receipts: Iterable[TransactionReceipt], begin_events: Sequence[Event] = ()
) -> None:
    """Indexes a block's transactions by id and its events by type. Refused transactions keep an earlier entry."""
    at = height.to_bytes(8, "big")
    begin = at + BEGIN_POSITION.to_bytes(4, "big")
    for number, event in enumerate(begin_events):
        kv.put(b"e" + event.type.encode() + b"\x00" + begin + number.to_bytes(4, "big"), event.data)
    for position, receipt in enumerate(receipts):
        place = at + position.to_bytes(4, "big")
        if receipt.id != ZERO_DIGEST and (receipt.code == 0 or kv.get(b"x" + receipt.id) is None):
            kv.put(b"x" + receipt.id, place)
        for number, event in enumerate(receipt.events):
            kv.put(b"e" + event.type.encode() + b"\x00" + place + number.to_bytes(4, "big"), event.data)


def scan_events(kv: KV, event_type: str, start_height: int, stop_height: int) -> Iterator[StoredEvent]:
    """Events of one type in blocks start … stop − 1, oldest first."""
    prefix = b"e" + event_type.encode() + b"\x00"
    size = len(prefix)
    stop = min(stop_height, 2**64 - 1)
    for key, data in kv.scan(prefix + start_height.to_bytes(8, "big"), prefix + stop.to_bytes(8, "big")):
        place = key[size:]
        yield StoredEvent(
            int.from_bytes(place[:8], "big"),
            int.from_bytes(place[8:12], "big"),
            int.from_bytes(place[12:], "big"),
            data,
        )
