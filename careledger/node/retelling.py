"""An engine that lost its data hears again what this home executed, block after block, until both stand alike.

CometBFT refuses an application that is ahead of it. So the home tells it of an older height, and answers the blocks up
to its own newest from what it keeps: each must be exactly the block that was executed here, nothing is executed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from careledger.contracts.validators import VALIDATOR_CHANGED, Power, compute_updates
from careledger.ledger.blocks import NetworkBlock
from careledger.ledger.consensus.index import BEGIN_POSITION, EVENTS_MAX
from careledger.ledger.consensus.replica import Decided
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node.home import OpenHome
from careledger.primitives.errors import Corrupt

FILE_NAME: Final = "retold"
NUMBER: Final = 20
"""Digits of a height in the file."""


class Retelling:
    """`height` is where the engine is told that this home stands: the home's own, except after a loss."""

    def __init__(self, home: OpenHome, is_lost: Callable[[Path], bool] | None = None) -> None:
        self._home = home
        self._file = home.layout.engine / FILE_NAME
        lost = (is_lost or is_engine_lost)(home.layout.engine)
        self._told = 0
        self.height = 0 if lost else min(self._read(), home.height)

    @property
    def is_behind(self) -> bool:
        """Whether the engine is still hearing of old blocks."""
        return self.height < self._home.height

    @property
    def app_hash(self) -> bytes:
        """After the block of `height`."""
        return self._block(self.height).app_hash

    def tell(self, decided: Decided) -> tuple[tuple[int, ...], tuple[Power, ...], bytes]:
        """What this block came to: codes, changes of validators, app hash. Raises Corrupt if it was another one here."""
        kept = self._block(decided.height)
        told = (decided.time_ms, decided.transactions, decided.evidence)
        if told != (kept.time_ms, kept.transactions, kept.evidence):
            raise Corrupt(
                f"the engine tells of another block {decided.height} than this home executed",
                hint="it is of another network, or this home was altered: run `careledger fsck`",
            )
        self._told = decided.height
        return kept.codes, self._changes(decided.height), kept.app_hash

    def told(self) -> None:
        """The engine has committed the block of which it told last."""
        self.height = self._told
        if self.is_behind:
            self._file.write_text(f"{self.height:0{NUMBER}}")
        else:
            self._file.unlink(missing_ok=True)

    def moved(self) -> None:
        """The home executed a block of its own: both stand alike."""
        self.height = self._home.height

    def _read(self) -> int:
        """A height that is too low is put right by the engine, which tells more; so the file need not be durable."""
        try:
            return int(self._file.read_text()[:NUMBER])
        except FileNotFoundError:
            return self._home.height
        except ValueError:
            return 0

    def _block(self, height: int) -> NetworkBlock:
        with self._home.tables.env.begin() as txn:
            kept = self._home.replica.block(LmdbKV(txn, self._home.tables.ledger), height)
        assert isinstance(kept, NetworkBlock)
        return kept

    def _changes(self, height: int) -> tuple[Power, ...]:
        ledger = self._home.the_ledger
        with self._home.tables.env.begin() as txn:
            kv = LmdbKV(txn, self._home.tables.ledger)
            events = ledger.events(kv, VALIDATOR_CHANGED.name, height, height + 1, EVENTS_MAX)
            events.sort(key=lambda one: (one.position != BEGIN_POSITION, one.position, one.number))
            changed = [VALIDATOR_CHANGED.schema.decode(one.data) for one in events]
            return compute_updates(changed, ledger.reader(kv))


def is_engine_lost(folder: Path) -> bool:
    """Whether the engine has no blocks: it is new, or its data are gone."""
    return not (folder / "data" / "blockstore.db").exists()
