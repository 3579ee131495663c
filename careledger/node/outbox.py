"""What a network's node has journalled and not yet anchored: charts whose record log grew, and the batch in flight.

A network decides blocks when it does, so writes are acknowledged before their anchor. One batch is in flight at a
time: its heads are fixed when its `records.anchor` is composed (a record of the journal), and enter the heads map with
the block that holds the anchor. So heads map and ledger agree at every height, and a replay comes to the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

import lmdb
import msgspec

from careledger.contracts.records import FIRST_PREVIOUS
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node import founding
from careledger.primitives.errors import Corrupt
from careledger.vault.tables import CHART_KEY, LANDING, LANDINGS_KEY, Tables

if TYPE_CHECKING:
    from careledger.node.home import OpenHome

_WAITING: Final = b"waiting"
_FLIGHT: Final = b"flight"


class Flight(msgspec.Struct, frozen=True, array_like=True):
    """A batch on its way into a block. `changes` are the new values of the heads map, `view` the newest commit in it."""

    seq: int
    root: bytes
    transaction: bytes
    changes: dict[bytes, bytes]
    view: int = 0


class Outbox:
    """Kept in the index with everything else that follows from the journal."""

    def __init__(self) -> None:
        self.records: set[int] = set()
        self.flight: Flight | None = None
        self.landings: tuple[tuple[int, int], ...] = ()

    def reset(self, txn: lmdb.Transaction, tables: Tables) -> None:
        """As the index holds it."""
        waiting = txn.get(_WAITING, b"", db=tables.meta)
        flight = txn.get(_FLIGHT, b"", db=tables.meta)
        self.records = {number for (number,) in CHART_KEY.iter_unpack(waiting)}
        self.flight = msgspec.msgpack.decode(flight, type=Flight) if flight else None
        landings = LANDING.iter_unpack(txn.get(LANDINGS_KEY, b"", db=tables.meta))
        self.landings = tuple([(view, height) for view, height in landings])

    def store(self, txn: lmdb.Transaction, tables: Tables) -> None:
        """Into the open transaction."""
        txn.put(_WAITING, b"".join(map(CHART_KEY.pack, sorted(self.records))), db=tables.meta)
        txn.put(_FLIGHT, msgspec.msgpack.encode(self.flight) if self.flight else b"", db=tables.meta)
        txn.put(LANDINGS_KEY, b"".join([LANDING.pack(*one) for one in self.landings]), db=tables.meta)

    def changes(self, home: OpenHome, access_charts: Collection[int]) -> dict[bytes, bytes]:
        """Heads of what waits, and of these charts' access logs, as they are now."""
        found: dict[bytes, bytes] = {}
        for chart in self.records:
            state = home.writer.state(chart)
            head = founding.head_value(state.frontier.size, state.frontier.root())
            found[founding.head_key(0, state.handle)] = head
        for chart in access_charts:
            frontier = home.access.frontier(chart)
            handle = home.keyring.get(chart).handle
            found[founding.head_key(1, handle)] = founding.head_value(frontier.size, frontier.root())
        return found

    def depart(
        self, seq: int, root: bytes, transaction: bytes, changes: Mapping[bytes, bytes], view: int
    ) -> None:
        """What waited, up to the commit `view`, is in flight from here on."""
        self.flight = Flight(seq, root, transaction, dict(changes), view)
        self.records = set()

    def settle(self, home: OpenHome, txn: lmdb.Transaction) -> Flight | None:
        """After a block: the batch that it anchored, now in the heads map; None if it is still in flight.

        Raises Corrupt if the ledger holds another batch than this home's: the node must stop.
        """
        anchored = founding.newest_anchor(home.the_ledger, LmdbKV(txn, home.tables.ledger), home.organisation)
        landed, flight = None, self.flight
        if home.migrated_view is not None:
            if anchored is None:
                return None  # what this home anchored in its embedded ledger is not adopted yet
            if not self.landings:
                self.landings = ((home.migrated_view, home.height),)
        if flight is not None and anchored is not None and anchored.seq >= flight.seq:
            home.update_heads(txn, flight.changes)
            landed, self.flight = flight, None
            self.landings = (*self.landings[-1:], (flight.view, home.height))
        if (FIRST_PREVIOUS if anchored is None else anchored.root) != home.heads.root:
            raise Corrupt(
                f"block {home.height} anchors other records than this home holds",
                hint="another node uses this home's keys, or the home was restored from an older copy: "
                "stop it and run `careledger fsck`",
            )
        return landed
