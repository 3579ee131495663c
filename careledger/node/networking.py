"""A served node of a network: pool, application, remote signer, relays and engine, started and stopped in order.

The application's socket is there before the engine, the signer as soon as the engine asks for it; when either end of
them fails for good, the node stops: a replica that cannot follow must not answer as if it could.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from careledger.engine.configuration import (
    Address,
    EngineSettings,
    Peer,
    read_node_id,
    write_home,
)
from careledger.engine.configuration import StateSync as Begin
from careledger.engine.install import find_engine
from careledger.engine.process import EngineProcess
from careledger.engine.relay import Relays, read_cut, write_cut
from careledger.engine.rpc import Rpc
from careledger.engine.signer import Signer, Silence, open_signer
from careledger.engine.signing_guard import GUARD_NAME
from careledger.engine.validator_key import FILE_NAME, ValidatorKey, open_validator_key
from careledger.ledger.consensus.abci.server import Server, serve
from careledger.node.application import NodeApplication, NodePool
from careledger.node.config import Config, NetworkConfig, split_listen
from careledger.node.home import OpenHome
from careledger.node.joining import read_own_network
from careledger.node.layout import Layout
from careledger.node.log import logger
from careledger.node.networked import NetworkSequencer
from careledger.node.networkfile import TrustedTimes, parse_peer
from careledger.node.profile import ProfileDiffers
from careledger.node.snapshots import Snapshots
from careledger.node.statesync import StateSync
from careledger.primitives.errors import CareLedgerError, Conflict, Misconfigured, NotFound, Unavailable
from careledger.primitives.files import write_durably

SIGNER: Final = "signer.sock"
PEERS_NAME: Final = "peers"
LAST_BLOCK_SECONDS: Final = 15.0
"""So long the engine outlives its node before an upgrade: who has the last block of the old program gives it to the others.
Else two of four may lack it, and nobody is left to get it from."""
BEGINNING_FAILED: Final = "engine: State sync failed"
"""What the engine says before it waits for ever: it tries no other way to begin."""
STALE_SECONDS: Final = 10.0
"""A node whose newest block is older knows too little to let others in (protocol.md, Network)."""


class NotServed:
    """The ordering of a network's home that is opened for one command: nothing can be ordered."""

    def submit(self, transaction: bytes) -> None:
        """Raises Unavailable."""
        raise Unavailable(
            "this needs the network, and the node is not served",
            hint="careledger serve, then repeat",
        )


class Networking:
    """What runs beside the sequencer while a network's node is served."""

    def __init__(
        self, home: OpenHome, config: Config, key: ValidatorKey | None, clock_ms: Callable[[], int]
    ) -> None:
        self._home = home
        self._config = config.network
        self._configured = config
        self._key = key
        self._folder = home.layout.engine
        self.pool = NodePool(home, clock_ms, config.network.idle_ms / 1000)
        self._peers = _list_peers(config.network, self._folder)
        self._relays = Relays({peer.id: peer.address for peer in self._peers})
        self._dialled: dict[str, Address] = {}
        self._network = read_own_network(home.layout)
        self.snapshots = Snapshots(home, config.network.snapshot_blocks, config.network.retain_blocks)
        self.state_sync: StateSync | None = None
        self._server: Server | None = None
        self.signer: Signer | None = None
        self._signer: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self.engine: EngineProcess | None = None
        self._over = asyncio.Event()
        self._reason: CareLedgerError | None = None
        self.rpc = Rpc(_address(config.network.rpc))

    async def start(self, sequencer: NetworkSequencer) -> None:
        """Application, signer, relays, then the engine."""
        engine = find_engine(os.environ)
        genesis = self._folder / "config" / "genesis.json"
        if not genesis.exists():
            raise Misconfigured(
                "the home has no genesis of the engine", hint="careledger join, or careledger network up"
            )
        await self._open_links()
        settings = self._settings()
        write_home(self._folder, settings, genesis.read_bytes(), secrets.token_bytes(32))
        find_time = None if self._network is None else TrustedTimes(self._network).find
        self.state_sync = StateSync(self._home, sequencer, find_time, self.pool.refresh)
        signer = self.signer = self._open_signer()
        application = NodeApplication(
            self._home, sequencer, self.pool, sequencer.tell_gone, self.snapshots, self.state_sync, signer
        )
        self._server = await serve(
            self._folder / settings.application, application, sequencer.fail, on_hang_up=sequencer.abort_block
        )
        if signer is not None:
            self._signer = asyncio.create_task(self._sign(signer, sequencer.fail), name="signer")
        self.engine = EngineProcess(engine.path, self._folder, settings, self._heard, environment=os.environ)
        await self.engine.start()
        self._watch = asyncio.create_task(self._stop_with(sequencer, self.engine), name="failure")
        await self.engine.wait_until_ready()

    async def _open_links(self) -> None:
        """To every peer, those that were cut cut from the beginning."""
        if self._config.relayed:
            self._dialled = await self._relays.start()
            await self._relays.cut(read_cut(self._folder))

    def _heard(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """A line of the engine's. A beginning that has failed ends the node: nobody would see that it waits for nothing."""
        log_engine(level, event, fields)
        if event == BEGINNING_FAILED:
            known = None if self.state_sync is None else self.state_sync.failure
            self._reason = known or cannot_begin(str(fields.get("reason", "")))
            self._over.set()

    async def ended(self) -> None:
        """Never returns. Raises what this node cannot go on for: no snapshot to begin with can be taken in."""
        await self._over.wait()
        assert self._reason is not None
        raise self._reason

    @staticmethod
    async def _stop_with(sequencer: NetworkSequencer, engine: EngineProcess) -> None:
        """A node that cannot follow takes no part in deciding either. What it has stays, and says why it stopped."""
        await sequencer.failed.wait()
        seconds = 0.0
        try:
            sequencer.check_health()
        except CareLedgerError as error:
            logger().error("the node has stopped", reason=error.message, hint=error.hint)
            seconds = LAST_BLOCK_SECONDS if error.code == ProfileDiffers.code else 0.0
        await asyncio.sleep(seconds)
        await engine.stop()

    def _open_signer(self) -> Signer | None:
        """A signer that cannot begin silences the validator, not the node: others may be enough."""
        if self._key is None:
            return None
        chain_id = self._home.the_ledger.chain_id
        try:
            return open_signer(self._key, self._folder / GUARD_NAME, chain_id, _refused)
        except CareLedgerError as error:
            logger().error("the validator signs nothing", reason=error.message, hint=error.hint)
            return Signer(self._key, Silence(error), chain_id, _refused)

    async def _sign(self, signer: Signer, fail: Callable[[BaseException], None]) -> None:
        """Until cancelled. A defect of the signer stops the node: a validator must not fall silent unseen."""
        try:
            await signer.run(self._folder / SIGNER)
        except Exception as error:
            fail(error)
            raise
        finally:
            signer.close()

    def _settings(self) -> EngineSettings:
        return make_settings(
            self._home.file.name,
            self._configured,
            tuple(Peer(peer.id, self._dialled.get(peer.id, peer.address)) for peer in self._peers),
            signs=self._key is not None,
            state_sync=None if self._network is None else self._network.state_sync(),
        )

    async def stop(self) -> None:
        """Engine first: it needs the others until it is gone."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self.engine is not None:
            await self.engine.stop()
        if self._signer is not None:
            self._signer.cancel()
            await asyncio.gather(self._signer, return_exceptions=True)
        await self._relays.stop()
        if self._server is not None:
            await self._server.close()
        await self.snapshots.stop()

    async def admit(self, peer: Peer) -> None:
        """Let this peer in and dial it, from now on and after every start. The engine starts anew for it."""
        if peer in self._peers or self.engine is None:
            return
        configured = self._config.peers.splitlines()
        if any(parse_peer(line).id == peer.id for line in configured):
            raise Conflict(
                "the configuration names this peer", hint="change network.peers, and restart the node"
            )
        self._peers = (*(one for one in self._peers if one.id != peer.id), peer)
        lines = "".join(f"{one}\n" for one in self._peers if str(one) not in configured)
        write_durably(self._folder / PEERS_NAME, lines.encode())
        if self._config.relayed:
            self._dialled[peer.id] = await self._relays.add(peer.id, peer.address)
        genesis = (self._folder / "config" / "genesis.json").read_bytes()
        write_home(self._folder, self._settings(), genesis, secrets.token_bytes(32))
        self.engine.restart()

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Whom this node lets in and dials."""
        return self._peers

    async def cut(self, peers: frozenset[str]) -> None:
        """Let nothing through to these peers (node ids), and everything to the others, after the next start too."""
        if not self._config.relayed or peers - {peer.id for peer in self._peers}:
            raise NotFound("this node dials no such peer through a relay", hint="set network.relayed")
        write_cut(self._folder, peers)
        await self._relays.cut(peers)

    @property
    def node_id(self) -> str:
        """By which peers know this node's engine."""
        return read_node_id(self._folder)


def make_settings(
    name: str, config: Config, peers: tuple[Peer, ...], *, signs: bool, state_sync: Begin | None = None
) -> EngineSettings:
    """How the engine of an organisation's node is set by the node's configuration."""
    metrics = config.metrics.engine_listen
    return EngineSettings(
        moniker=_moniker(name),
        p2p=_address(config.network.p2p),
        rpc=_address(config.network.rpc),
        peers=peers,
        signer=SIGNER if signs else None,
        state_sync=state_sync,
        metrics=_address(metrics) if metrics else None,
    )


def open_own_validator(layout: Layout, passphrase: str) -> ValidatorKey | None:
    """The validator key of a home; None if it has none: an embedded home, or a node that only follows."""
    if not (layout.keys / FILE_NAME).exists():
        return None
    return open_validator_key(layout.keys, passphrase)


def _list_peers(config: NetworkConfig, folder: Path) -> tuple[Peer, ...]:
    """Those of the configuration, and those that were admitted since (HOME/engine/peers); an id counts once."""
    admitted = folder / PEERS_NAME
    lines = config.peers.splitlines() + (admitted.read_text().splitlines() if admitted.exists() else [])
    found = {peer.id: peer for peer in map(parse_peer, reversed(lines))}
    return tuple(reversed(found.values()))


def _address(text: str) -> Address:
    host, port = split_listen(text)
    return Address(f"[{host}]" if ":" in host else host, port)


def _moniker(name: str) -> str:
    """The organisation's name as the engine takes it."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64]
    return plain or "node"


def cannot_begin(reason: str) -> Unavailable:
    """The engine gave up to begin with a snapshot; `reason` in its words."""
    return Unavailable(
        f"the node cannot begin with a snapshot of the network: {reason or 'the engine says no more'}",
        hint="are the members that the network file names reached and in step (careledger network status there)? Then serve "
        "again; with a file that `careledger network describe` wrote long ago, remove the home and join anew",
        code="state-sync-failed",
    )


def _refused(error: CareLedgerError) -> None:
    logger().warning("the signer refused", reason=error.message, hint=error.hint)


def log_engine(level: str, event: str, fields: Mapping[str, object]) -> None:
    """What the engine says of every block is for those who look for a fault: some lines a second fill a disk."""
    getattr(logger(), level if level in ("warning", "error") else "debug")(event, **fields)
