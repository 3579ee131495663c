"""Homes on one network's ledger within the test's process; the test decides the blocks, as an engine would."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from careledger.ledger.consensus.abci import schema
from careledger.node import founding
from careledger.node.application import NodeApplication, NodePool
from careledger.node.founders import Founder, make_network_genesis
from careledger.node.home import LockedHome, OpenHome
from careledger.node.layout import HomeFile, Layout
from careledger.node.making import found
from careledger.node.networked import NetworkSequencer
from careledger.node.snapshots import Snapshots
from careledger.node.statesync import StateSync
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import ed25519_public_key
from careledger.vault.keystore import Cost, Keys, KeyStore

START_MS = 1_800_000_000_000
PASSPHRASE = "passphrase-123"
CHEAP = Cost(1, 8, 1)
EVERY = 4
MEMBER, NEWCOMER = "Harbour", "Ridge"


def time_of(height: int) -> int:
    return START_MS + 1000 * height


async def find_time(height: int) -> int:
    return time_of(height)


class Homes:
    """The homes of a member, who founded the network, and of a newcomer whom nobody has admitted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys: dict[str, Keys] = {}
        for name in (MEMBER, NEWCOMER):
            (folder / name).mkdir()
            self.keys[name] = KeyStore.create(Layout(folder / name).keys, PASSPHRASE, CHEAP)
        keys = self.keys[MEMBER]
        founder = Founder(
            MEMBER,
            founding.root_key(keys).public,
            ed25519_public_key(keys.node_seed),
            ed25519_public_key(sha256(b"validator")),
        )
        self.genesis = make_network_genesis([founder], "ed25519", START_MS)
        self.files = {name: self.found(name, name) for name in (MEMBER, NEWCOMER)}

    def found(self, name: str, folder: str) -> HomeFile:
        """A fresh home with these keys in that folder."""
        layout = Layout(self.folder / folder)
        layout.path.mkdir(exist_ok=True)
        return found(layout, name, self.keys[name], self.genesis, START_MS)


class Node:
    """An open home with everything but an engine."""

    def __init__(self, homes: Homes, name: str, folder: str, finds: Callable[[int], Any] | None) -> None:
        self._locked = LockedHome(homes.folder / folder, homes.files[name], homes.keys[name])
        self.home: OpenHome = self._locked.home
        self.pool = NodePool(self.home, lambda: time_of(self.home.height), 0.0)
        self.sequencer = NetworkSequencer(self.home, lambda: time_of(self.home.height), self.pool)
        self.snapshots = Snapshots(self.home, EVERY)
        self.sync = StateSync(self.home, self.sequencer, finds, self.pool.refresh)
        self.application = NodeApplication(
            self.home, self.sequencer, self.pool, self.sequencer.tell_gone, self.snapshots, self.sync
        )

    async def propose(self) -> tuple[bytes, ...]:
        """What the next block would hold if this node proposed it."""
        request = schema.RequestPrepareProposal(max_tx_bytes=1 << 20, height=self.home.height + 1)
        set_time(request.time, self.home.height + 1)
        return tuple((await self.application.prepare_proposal(request)).txs)

    async def decide(self, transactions: tuple[bytes, ...] = ()) -> bytes:
        """The next block; its app hash."""
        request = schema.RequestFinalizeBlock(height=self.home.height + 1, txs=transactions)
        set_time(request.time, self.home.height + 1)
        answer = await self.application.finalize_block(request)
        await self.application.commit(schema.RequestCommit())
        return bytes(answer.app_hash)

    async def grow(self, height: int) -> None:
        """Blocks of what waits, up to a height; each snapshot is whole before the next block."""
        while self.home.height < height:
            await self.decide(await self.propose())
            await self.snapshots.settle()

    def state(self) -> tuple[int, int, bytes, bytes, bytes]:
        ledger = self.home.replica
        frontier = ledger.frontier().to_bytes()
        return ledger.height, ledger.time_ms, ledger.app_hash, frontier, self.home.heads.root

    async def offers(self) -> list[Any]:
        return list((await self.application.list_snapshots(schema.RequestListSnapshots())).snapshots)

    async def chunk(self, height: int, number: int) -> bytes:
        request = schema.RequestLoadSnapshotChunk(height=height, format=1, chunk=number)
        return bytes((await self.application.load_snapshot_chunk(request)).chunk)

    async def offer(self, snapshot: Any, app_hash: bytes) -> int:
        request = schema.RequestOfferSnapshot(snapshot=snapshot, app_hash=app_hash)
        return int((await self.application.offer_snapshot(request)).result)

    async def apply(self, number: int, chunk: bytes, sender: str = "one") -> Any:
        request = schema.RequestApplySnapshotChunk(index=number, chunk=chunk, sender=sender)
        return await self.application.apply_snapshot_chunk(request)

    async def take(self, source: Node, app_hash: bytes) -> int:
        """The newest snapshot of another node, taken in; what was said of its last chunk."""
        snapshot = (await source.offers())[0]
        assert await self.offer(snapshot, app_hash) == 1
        result = 0
        for number in range(snapshot.chunks):
            result = (await self.apply(number, await source.chunk(snapshot.height, number))).result
        return result


def set_time(stamp: Any, height: int) -> None:
    stamp.seconds, stamp.nanos = divmod(time_of(height), 1000)
    stamp.nanos *= 1_000_000


@contextlib.asynccontextmanager
async def node_of(
    homes: Homes, name: str, folder: str = "", finds: Callable[[int], Any] | None = find_time
) -> AsyncIterator[Node]:
    """The home opened, and left clean whatever happens."""
    node = Node(homes, name, folder or name, finds)
    await node.sequencer.start()
    try:
        yield node
    finally:
        await node.snapshots.stop()
        await node.sequencer.stop()
        node._locked.close()


async def until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)
