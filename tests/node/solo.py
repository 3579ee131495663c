"""A network of one organisation inside the test's process: its blocks are decided by hand, one at a time.

The engine's part is played by `block`: propose, check, finalise, commit, as the engine asks for them.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from google.protobuf.timestamp_pb2 import Timestamp

from careledger.ledger.consensus.abci import schema
from careledger.ledger.consensus.abci.table import ProposalStatus
from careledger.node import founders
from careledger.node.application import NodeApplication, NodePool
from careledger.node.backend import NodeBackend
from careledger.node.config import Config, load
from careledger.node.founders import found_network_home, make_network_genesis, prepare
from careledger.node.home import LockedHome, open_keys
from careledger.node.layout import Layout
from careledger.node.networked import NetworkSequencer
from careledger.node.service import fhir_app
from careledger.primitives.errors import CareLedgerError
from careledger.vault.keystore import Keys, KeyStore
from tests.faults.rig import CHEAP, PASSPHRASE, WAIT_SECONDS
from tests.fhir.client import Client

START_MS = 1_700_000_000_000


@functools.cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="careledger-solo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    create = KeyStore.create

    def cheap(keys: Path, passphrase: str) -> Keys:
        return create(keys, passphrase, CHEAP)

    with mock.patch.object(founders.KeyStore, "create", staticmethod(cheap)):
        founder = prepare(folder / "home", "Harbour", PASSPHRASE, "ed25519")
    genesis = make_network_genesis([founder], "ed25519", START_MS)
    found_network_home(folder / "home", "Harbour", PASSPHRASE, genesis)
    return folder / "home"


def new_solo(path: Path) -> Path:
    """A fresh home of the one organisation; all have the same keys and genesis."""
    shutil.copytree(_template(), path)
    return path


class Solo:
    """The node, its home open. `now_ms` is its clock; a block is made when `block` is called."""

    def __init__(self, path: Path) -> None:
        self.loop = asyncio.new_event_loop()
        file, keys = open_keys(Layout(path), PASSPHRASE)
        self._locked = LockedHome(path, file, keys)
        self.home = home = self._locked.home
        self.now_ms = max(START_MS, home.the_ledger.time_ms)
        self.pool = NodePool(home, self.clock_ms, 0.0)
        self.sequencer = NetworkSequencer(home, self.clock_ms, self.pool)
        self.application = NodeApplication(home, self.sequencer, self.pool, self.sequencer.tell_gone)
        self.reader = home.reader(1 << 20)
        config: Config = load(path)
        self.backend = NodeBackend(home.keys, self.reader, self.sequencer, "http://node.test/fhir", home.did)
        self.backend.run = self.run  # type: ignore[attr-defined]
        self.backend.now_ms = self.clock_ms  # type: ignore[method-assign]
        self.client = Client(self.backend, app=fhir_app(self.backend, config))
        self.run(self.sequencer.start())

    def clock_ms(self) -> int:
        return self.now_ms

    def run(self, work: Any) -> Any:
        """The result; nobody may wait for ever."""
        return self.loop.run_until_complete(asyncio.wait_for(work, WAIT_SECONDS))

    def block(self) -> int:
        """Decide, execute and commit the next block; its height."""
        return int(self.run(self._block()))

    def empty_block(self) -> None:
        """As `block`, of a proposer who has nothing."""
        self.run(self.execute(self.home.height + 1, _timestamp(self.now_ms), ()))

    async def _block(self) -> int:
        height = self.home.height + 1
        self.now_ms = max(self.now_ms, self.home.the_ledger.time_ms)
        moment = _timestamp(self.now_ms)
        proposed = await self.application.prepare_proposal(
            schema.RequestPrepareProposal(height=height, time=moment, max_tx_bytes=1 << 20)
        )
        checked = await self.application.process_proposal(
            schema.RequestProcessProposal(height=height, time=moment, txs=proposed.txs)
        )
        assert checked.status == ProposalStatus.ACCEPT
        await self.execute(height, moment, proposed.txs)
        return height

    async def execute(self, height: int, moment: Any, transactions: Sequence[bytes]) -> None:
        """The engine has decided this block."""
        await self.application.finalize_block(
            schema.RequestFinalizeBlock(height=height, time=moment, txs=transactions)
        )
        await self.application.commit(schema.RequestCommit())

    def anchor(self) -> None:
        """Blocks until everything written so far is in one."""
        outbox = self.home.outbox
        for _ in range(50):
            if not outbox.records and outbox.flight is None:
                return
            self.run(asyncio.sleep(0.02))
            self.block()
        raise AssertionError("nothing is anchored")

    def finalise(self, transaction: bytes) -> int:
        """The height of the block that executes it."""

        async def both() -> int:
            waiting = asyncio.ensure_future(self.sequencer.finalise((transaction,)))
            for _ in range(5):
                await asyncio.sleep(0.01)
                await self._block()
                if waiting.done():
                    break
            return await waiting

        return int(self.run(both()))

    def close(self) -> None:
        """Stop cleanly."""
        try:
            self.run(self.sequencer.stop())
        except CareLedgerError:
            pass
        self._locked.close()
        self.loop.close()


@contextmanager
def solo_of(path: Path) -> Iterator[Solo]:
    """The home opened; closed at the end whatever happens."""
    node = Solo(path)
    try:
        yield node
    finally:
        node.close()


def _timestamp(time_ms: int) -> Any:
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)
