"""The nodes of a simulated network: shipped home, sequencer, pool, application and signing guard in a faked machine."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from unittest import mock

from careledger.engine.sign_bytes import Asked
from careledger.engine.signing_guard import Signed, open_guard
from careledger.ledger.consensus.replica import Replica
from careledger.ledger.genesis import Genesis
from careledger.node import founding
from careledger.node.application import NodeApplication, NodePool
from careledger.node.backend import NodeBackend
from careledger.node.founders import Founder, make_network_genesis
from careledger.node.home import LockedHome
from careledger.node.layout import HomeFile, Layout
from careledger.node.making import found
from careledger.node.networked import NetworkSequencer
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import ed25519_public_key
from careledger.vault.keystore import Cost, Keys, KeyStore
from tests.simulation.disk import Disk, make_folder
from tests.simulation.engine import Engine, EngineDisk
from tests.simulation.world import START_MS, Killed, Violation

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

T = TypeVar("T")
NAMES: Final = ("Harbour", "Meadow", "Orchard", "Quarry", "Ridge", "Spring", "Thicket")
PASSPHRASE = "passphrase-123"
IDLE_S = 0.8
CHEAP = Cost(1, 8, 1)


class Down(Exception):
    """The node died while it was asked: nobody knows what became of it."""


class Founded:
    """Homes as founders made them, the same in every process; copied for each run."""

    def __init__(self, count: int) -> None:
        self.folder = make_folder()
        Finalize(
            None, shutil.rmtree, (self.folder, True), exitpriority=0
        )  # a campaign's processes run no `atexit`
        self.keys: list[Keys] = []
        self.files: list[HomeFile] = []
        with mock.patch.object(os, "urandom", random.Random(f"founders {count}").randbytes):
            self._found(NAMES[:count])

    def _found(self, names: tuple[str, ...]) -> None:
        layouts = [Layout(self.folder / str(number)) for number in range(len(names))]
        for layout in layouts:
            layout.path.mkdir()
            self.keys.append(KeyStore.create(layout.keys, PASSPHRASE, CHEAP))
        self.validators = [ed25519_public_key(validator_seed(number)) for number in range(len(names))]
        self.founders = [
            Founder(name, founding.root_key(keys).public, ed25519_public_key(keys.node_seed), validator)
            for name, keys, validator in zip(names, self.keys, self.validators, strict=True)
        ]
        self.genesis: Genesis = make_network_genesis(self.founders, "ed25519", START_MS)
        for layout, name, keys in zip(layouts, names, self.keys, strict=True):
            self.files.append(found(layout, name, keys, self.genesis, START_MS))


@functools.cache
def founded(count: int) -> Founded:
    """Homes of so many organisations."""
    return Founded(count)


def validator_seed(number: int) -> bytes:
    """Of a node's validator key."""
    return sha256(b"validator %d" % number)


class Node:
    """One organisation's machine. It starts, dies and starts again."""

    engine_type: type[Engine] = Engine

    def __init__(self, simulation: Simulation, number: int) -> None:
        self.simulation = simulation
        self.number = number
        home = founded(simulation.count)
        self.keys, self._file = home.keys[number], home.files[number]
        self._path = simulation.folder / str(number)
        shutil.copytree(home.folder / str(number), self._path)
        self.engine_disk = EngineDisk()
        self.disk = Disk(simulation.world.chance, lambda: self.kill(power_loss=True))
        self.skew_ms = 0
        self.height = 0
        self.deaths = 0
        self.is_up = self.is_ready = False
        self.dies_at: tuple[str, int] | None = None
        """If set: it dies at that step of the block at that height."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: list[asyncio.TimerHandle] = []

    def __str__(self) -> str:
        return f"node {self.number}"

    def clock_ms(self) -> int:
        """This machine's clock."""
        return self.simulation.world.now_ms() + self.skew_ms

    # Life

    async def start(self) -> None:
        """Open the home as a process would, recover, and join the others."""
        simulation = self.simulation
        layout = Layout(self._path)
        simulation.disks.put(layout.journal, self.disk)
        self.disk.dies_after, self.disk.was_faulty, self.disk.fails_sync = 0, False, False
        self._lay_out_engine(layout.engine)
        self._locked = LockedHome(self._path, self._file, self.keys)
        self.home = home = self._locked.home
        self.guard = open_guard(
            self._path / "signed.json",
            home.the_ledger.chain_id,
            ed25519_public_key(validator_seed(self.number)),
            used=(self._path / "signed.json").exists(),
            clock=lambda: self.clock_ms() / 1000,
        )
        self.pool = NodePool(home, self.clock_ms, IDLE_S)
        self.sequencer = NetworkSequencer(home, self.clock_ms, self.pool)
        self.application = NodeApplication(home, self.sequencer, self.pool, self.sequencer.tell_gone)
        self.backend = NodeBackend(home.keys, home.reader(0), self.sequencer, "", home.did)
        self.height = home.height
        self.is_up, self.is_ready = True, False
        await self.sequencer.start()
        self.engine = simulation.engine_type(self.number)(self, self.engine_disk)
        simulation.network.join(self.number, self.engine.deliver)
        simulation.trace.add(self, "starts", self.height)
        self.spawn(self._run_engine())

    def _lay_out_engine(self, folder: Path) -> None:
        """As much of the engine's folder as the node looks at: whether there are blocks."""
        store = folder / "data" / "blockstore.db"
        store.parent.mkdir(parents=True, exist_ok=True)
        if self.engine_disk.blocks:
            store.touch()
        else:
            store.unlink(missing_ok=True)

    def lose_engine(self) -> None:
        """The process is killed, and everything that its engine had stored is gone."""
        self.kill(power_loss=False)
        self.engine_disk = EngineDisk()

    async def _run_engine(self) -> None:
        try:
            await self.engine.run()
        except (Killed, asyncio.CancelledError, Violation):
            raise
        except Exception as error:
            self.sequencer.fail(error)
            self.simulation.stopped(self, error)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Something that ends with the node."""
        task = self.simulation.world.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Violation):
            self.simulation.world.failures.append(error)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Unless the node has died by then."""
        self._timers = [timer for timer in self._timers if not timer.cancelled()][-50:]
        self._timers.append(self.simulation.world.loop.call_later(seconds, work))

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Ask the node as a client does. Raises Down if it is not there or dies meanwhile."""
        if not self.is_up:
            raise Down

        async def run() -> T:
            return await work()

        task = self.spawn(run())
        await asyncio.wait([task])
        if task.cancelled() or isinstance(task.exception(), Killed):
            raise Down
        return task.result()

    def may_die(self, step: str) -> None:
        """A point between two of the steps that are not one: here the run may end the process."""
        if self.dies_at is not None and self.dies_at[0] == step and self.dies_at[1] <= self.engine.height:
            self.dies_at = None
            self.kill(power_loss=False)
            raise Killed

    def sign(self, asked: Asked) -> Signed:
        """As the remote signer does."""
        return self.guard.sign(asked, lambda data: sha256(validator_seed(self.number) + data))

    def kill(self, *, power_loss: bool) -> None:
        """The process ends here and now; what it had written stays, or with the power only what was synced."""
        if not self.is_up:
            return
        self.is_up = self.is_ready = False
        self.deaths += 1
        self.simulation.trace.add(self, "dies", self.height, "power" if power_loss else "process")
        self.simulation.network.leave(self.number)
        for timer in self._timers:
            timer.cancel()
        self._freeze()
        if power_loss:
            self.disk.lose_power(Layout(self._path).journal)
            Layout(self._path).running.write_text("before the power went")
        if self.number == self.simulation.forgetful:
            self.engine_disk.forget_votes()
        tasks = {*self._tasks, *self.sequencer._tasks}
        for task in tasks:
            task.cancel()
        burial = self.simulation.world.loop.create_task(self._bury(tasks, self.home.journal._descriptor))
        self.simulation.burials.append(burial)

    def _freeze(self) -> None:
        """Whatever still runs of the dead process reaches no file any more."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, self.home.journal._descriptor)
        os.close(nowhere)
        self.home.tables.env.close()
        self._locked._lock.release()
        self.guard.close()

    @staticmethod
    async def _bury(tasks: set[asyncio.Task[Any]], descriptor: int) -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        os.close(descriptor)

    # What checks ask

    def chain(self) -> Replica:
        """The node's ledger."""
        return self.home.replica
