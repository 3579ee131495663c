"""Nodes of a chart's log for proofs: stored every fourth level, computed between."""

from __future__ import annotations

import lmdb

from careledger.ledger.log import node_hash
from careledger.primitives.errors import Corrupt
from careledger.vault.index import NODE_LEVEL_STEP
from careledger.vault.tables import LEAF, LEAF_KEY, NODE_KEY, Tables


class LogNodes:
    """`get(level, index)` is the hash of a complete subtree of one log, as `ledger.log` asks for it."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables, chart: int, log: int) -> None:
        self._txn = txn
        self._tables = tables
        self._chart = chart
        self._log = log

    def get(self, level: int, index: int) -> bytes:
        """Raises Corrupt where the index has lost it."""
        if level == 0:
            return self._leaf(index)
        if level % NODE_LEVEL_STEP == 0:
            stored = self._txn.get(NODE_KEY.pack(self._chart, self._log, level, index), db=self._tables.node)
            if stored is None:
                raise _lost()
            return bytes(stored)
        return node_hash(self.get(level - 1, 2 * index), self.get(level - 1, 2 * index + 1))

    def _leaf(self, index: int) -> bytes:
        data = self._txn.get(LEAF_KEY.pack(self._chart, self._log, index), db=self._tables.leaf)
        if data is None:
            raise _lost()
        return bytes(LEAF.unpack(data)[2])


def _lost() -> Corrupt:
    return Corrupt(
        "the index has lost a node of a log", hint="remove the folder `index` of the home and restart"
    )
