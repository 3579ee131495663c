"""The snapshots that a network's node keeps for others: taken at agreed heights, the newest two, as files.

HOME/engine/snapshots/HEIGHT/    `metadata`, and a file a chunk: `0`, `1`, …

One is taken from one read transaction of the index, in a thread that gives way between chunks: blocks go on meanwhile.
They hold what every organisation of the ledger holds, and no secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import lmdb

from careledger.ledger.consensus import snapshots
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node.log import logger
from careledger.primitives.errors import CareLedgerError
from careledger.primitives.files import sync_path, write_durably
from careledger.primitives.hashing import DIGEST_SIZE, sha256

if TYPE_CHECKING:
    from careledger.node.home import OpenHome

FOLDER: Final = "snapshots"
KEPT: Final = 2
FIRST_HEIGHT: Final = 16
"""A young ledger's snapshots are taken at each power of two from here on, so that who comes early finds one."""
PRUNE_EVERY: Final = 10
"""Blocks between two times that the engine forgets some."""
PAUSE_SECONDS: Final = 0.005
_METADATA: Final = "metadata"


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot that is there whole."""

    height: int
    metadata: bytes

    @property
    def chunks(self) -> int:
        """How many it has."""
        return len(self.metadata) // DIGEST_SIZE


def is_due(height: int, every: int) -> bool:
    """Whether every node takes a snapshot at this height; `every` 0: none."""
    if every == 0 or height == 0:
        return False
    return height % every == 0 or (FIRST_HEIGHT <= height < every and height.bit_count() == 1)


class Snapshots:
    """Those of one home. `after_block` and `stop` belong to the event loop."""

    def __init__(self, home: OpenHome, every: int, retain_blocks: int = 0) -> None:
        self._home = home
        self._every = every
        self._retain_blocks = retain_blocks
        self._folder = home.layout.engine / FOLDER
        self._taking: asyncio.Task[None] | None = None
        self._stopping = threading.Event()

    def after_block(self) -> None:
        """The newest block is committed: begin a snapshot of it if one is due. One at a time; a late one is left out."""
        if is_due(self._home.height, self._every) and (self._taking is None or self._taking.done()):
            txn = self._home.tables.env.begin()
            self._taking = asyncio.create_task(self._take(txn, self._home.height), name="snapshot")

    async def _take(self, txn: lmdb.Transaction, height: int) -> None:
        """Never raises: a node without room for a snapshot goes on without."""
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._write, txn, height)
        except (CareLedgerError, OSError, lmdb.Error) as error:
            logger().warning("no snapshot could be taken", height=height, error=type(error).__name__)
        finally:
            txn.abort()

    def _write(self, txn: lmdb.Transaction, height: int) -> None:
        """In a thread: the chunks, durable, then their place, then the older ones go."""
        parts = self._folder / f"{height}.new"
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(mode=0o700, parents=True)
        hashes = []
        kv = LmdbKV(txn, self._home.tables.ledger)
        for number, chunk in enumerate(snapshots.make_chunks(kv, self._home.the_ledger.genesis_hash)):
            if self._stopping.wait(PAUSE_SECONDS):
                return
            write_durably(parts / str(number), chunk)
            hashes.append(sha256(chunk))
        write_durably(parts / _METADATA, snapshots.compute_metadata(hashes))
        parts.rename(self._folder / str(height))
        sync_path(self._folder)
        self._forget_old()

    def _forget_old(self) -> None:
        kept = {str(one.height) for one in self.list_kept()[:KEPT]}
        for path in self._folder.iterdir():
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    async def settle(self) -> None:
        """Wait for the snapshot that is being taken."""
        if self._taking is not None:
            await asyncio.gather(self._taking, return_exceptions=True)

    async def stop(self) -> None:
        """Nothing reads the index any more when this returns; an unfinished snapshot is left and removed later."""
        self._stopping.set()
        await self.settle()

    def list_kept(self) -> list[Kept]:
        """Those that are whole, the newest first."""
        found = []
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path.name.isdecimal() and (path / _METADATA).is_file():
                    found.append(Kept(int(path.name), (path / _METADATA).read_bytes()))
        return sorted(found, key=lambda one: -one.height)

    def compute_retain_height(self) -> int:
        """From which height on the engine shall keep its blocks; 0: it forgets none now.

        Who begins with a snapshot that is offered here must find the blocks after it.
        """
        height, blocks = self._home.height, self._retain_blocks
        if not blocks or height % PRUNE_EVERY:
            return 0
        kept = self.list_kept()
        if self._every and len(kept) < KEPT:
            return 0
        return max(0, min([height - blocks, *[one.height - 1 for one in kept]]))

    def read_chunk(self, height: int, number: int) -> bytes:
        """One chunk as it was written; nothing if it is not there any more: the asker turns to another peer."""
        try:
            return (self._folder / str(height) / str(number)).read_bytes()
        except OSError:
            return b""
