"""Pins: at each checkpoint that somebody may hold, how the heads map stood, for as long as the home lives.

A pin is made with the block whose checkpoint is handed out, and with each day's first one (`handed`). It costs one
small record; the heads map keeps what changes afterwards (`ledger.past`). A replay of the journal makes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import lmdb
import msgspec

from careledger.ledger.consensus.chain import Chain
from careledger.ledger.log import EMPTY_ROOT
from careledger.ledger.past import PastMap, past_key
from careledger.ledger.pins import ACCESSES, PINS_MAX, RECORDS, PinnedHead, PinPart, make_head
from careledger.ledger.proof_files import AnchorPart, BlockPart, encode_binary, encode_map_path
from careledger.ledger.store.kv import KV
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.verification import ANCHOR_VALUE, HEAD_VALUE
from careledger.node import founding, handed
from careledger.primitives.errors import Corrupt
from careledger.primitives.types import Did
from careledger.vault.tables import Tables

if TYPE_CHECKING:
    from careledger.node.home import OpenHome

_NEWEST = b"pinned"
_RECORD = 0
"""Place under which the pin itself stands: no node of a map has it."""


class Pin(msgspec.Struct, frozen=True, array_like=True):
    """The anchor in the state of the pinned block, and its path there."""

    anchor: bytes
    path: str


def read_newest(txn: lmdb.Transaction, tables: Tables) -> int | None:
    """Height of the newest pin."""
    data = txn.get(_NEWEST, db=tables.meta)
    return None if data is None else int.from_bytes(data, "big")


def put_newest(txn: lmdb.Transaction, tables: Tables, height: int) -> None:
    """From here on what changes in the heads map is kept as it was at this height."""
    txn.put(_NEWEST, height.to_bytes(8, "big"), db=tables.meta)


def mark(home: OpenHome, txn: lmdb.Transaction) -> None:
    """Pin the newest block if its checkpoint is handed out, once. Call with heads, ledger and index agreeing."""
    height = home.height
    if home.past.mark == height or not handed.is_newest(txn, home.tables, height + 1):
        return
    state = founding.prove_anchor(home.the_ledger, LmdbKV(txn, home.tables.ledger), home.organisation)
    if state.value is None:
        return
    pin = Pin(state.value, encode_map_path(state.proof.siblings))
    txn.put(past_key(_RECORD, height), msgspec.msgpack.encode(pin), db=home.tables.past)
    put_newest(txn, home.tables, height)
    home.past.reset(height)


def take_pins(
    home: OpenHome, txn: lmdb.Transaction, handle: bytes, sizes: Sequence[int], signed_size: int
) -> list[PinPart]:
    """The pins of one chart at these earlier sizes of the history, where there are any, for a note of `signed_size`.

    Call while no group is in progress.
    """
    found = []
    for size in sizes[-PINS_MAX:]:
        data = txn.get(past_key(_RECORD, size - 1), db=home.tables.past)
        if data is not None and size <= home.height:
            found.append(_part(home, txn, handle, size - 1, _decode(data), signed_size))
    return found


def _part(
    home: OpenHome, txn: lmdb.Transaction, handle: bytes, height: int, pin: Pin, signed_size: int
) -> PinPart:
    kv = LmdbKV(txn, home.tables.ledger)
    return _compose(home.the_ledger, kv, view_of(home, txn, height), handle, (height, signed_size), pin)


def make_part(ledger: Chain, kv: KV, past: PastMap, handle: bytes, place: tuple[Did, int]) -> PinPart:
    """The pin of one chart at the newest block of this ledger: organisation and height are the `place`."""
    state = founding.prove_anchor(ledger, kv, place[0])
    if state.value is None:
        raise _damaged()
    pin = Pin(state.value, encode_map_path(state.proof.siblings))
    return _compose(ledger, kv, past, handle, (place[1], place[1] + 1), pin)


def _compose(
    ledger: Chain, kv: KV, past: PastMap, handle: bytes, place: tuple[int, int], pin: Pin
) -> PinPart:
    """`place` are the height, and the size of the history under which it is shown."""
    height, signed_size = place
    seq, root, time_ms, size, log = ANCHOR_VALUE.decode(pin.anchor)
    if past.root != root:
        raise _damaged()
    return PinPart(
        access=_head(past, ACCESSES, handle),
        anchor=AnchorPart(log=encode_binary(log), seq=seq, size=size, time=time_ms),
        block=BlockPart(height=height, time=ledger.block(kv, height).time_ms),
        path=encode_binary(b"".join(ledger.history_path(kv, height, signed_size))),
        records=_head(past, RECORDS, handle),
        state=pin.path,
    )


def _damaged() -> Corrupt:
    return Corrupt(
        "what the heads map once was is damaged",
        hint="remove the folder `index` of the stopped home; it is made again from the journal",
    )


def view_of(home: OpenHome, txn: lmdb.Transaction, height: int) -> PastMap:
    """The heads map as it was at a pinned block."""

    def later(place: int, at: int) -> bytes | None:
        with txn.cursor(home.tables.past) as cursor:
            if cursor.set_range(past_key(place, at)) and cursor.key()[:8] == place.to_bytes(8, "big"):
                return bytes(cursor.value())
        return None

    return PastMap(home.heads, LmdbKV(txn, home.tables.heads), later, height)


def _head(past: PastMap, log: int, handle: bytes) -> PinnedHead:
    value, proof = past.prove(founding.head_key(log, handle))
    size, root = (0, EMPTY_ROOT) if value is None else HEAD_VALUE.decode(value)
    return make_head(size, root, proof)


def _decode(data: bytes) -> Pin:
    try:
        return msgspec.msgpack.decode(data, type=Pin)
    except msgspec.DecodeError:
        raise Corrupt("a pin is damaged", hint="remove the folder `index` of the stopped home") from None
