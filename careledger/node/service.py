"""The node's writing half: the open home, its sequencer, its door, and the commands about it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from careledger.access.tokens import TokenIssuer
from careledger.engine.validator_key import ValidatorKey
from careledger.fhir.context import Limits
from careledger.fhir.http import FhirApp
from careledger.node import config as configuration
from careledger.node.acts import enter_act
from careledger.node.asked import ASKED
from careledger.node.backend import NodeBackend
from careledger.node.commands import COMMANDS, CommandContext, Progress
from careledger.node.config import Config
from careledger.node.door import Command, Door
from careledger.node.figures import RequestCounts, compose, list_samples
from careledger.node.finality import Headers
from careledger.node.group import BaseUrl, encode_event
from careledger.node.home import LockedHome, OpenHome
from careledger.node.joining import read_own_network
from careledger.node.layout import HomeFile, Layout
from careledger.node.metrics import MetricsListener
from careledger.node.networked import NetworkSequencer
from careledger.node.networking import Networking, NotServed
from careledger.node.profile import check_profile
from careledger.node.remembering import Remembering
from careledger.node.sequencer import Sequencer, system_clock_ms
from careledger.node.spools import Spools
from careledger.node.witnesses import Witnesses
from careledger.primitives.errors import NotFound
from careledger.smart.grants import index_grants
from careledger.smart.memories import keep_memories
from careledger.vault.keystore import Keys
from careledger.vault.model import Commit
from careledger.vault.registry import StoredRegistry
from careledger.vault.snapshot import VaultReader


class NodeService:
    """Opens a home for writing. `served` says whether others may connect; one command can do without."""

    def __init__(
        self,
        path: Path,
        file: HomeFile,
        keys: Keys,
        *,
        served: bool,
        config: Config | None = None,
        any_profile: bool = False,
        validator: ValidatorKey | None = None,
        requests: RequestCounts | None = None,
    ) -> None:
        self._path = path
        self._file = file
        self._keys = keys
        self._served = served
        self._any_profile = any_profile  # only to adopt another one
        self.config = config or configuration.load(path)
        self._locked: LockedHome | None = None
        self._door: Door | None = None
        self._sequencer: Sequencer | None = None
        self._context: CommandContext | None = None
        self._registry: StoredRegistry | None = None
        self._witnesses: Witnesses | None = None
        self._remembering: Remembering | None = None
        self._validator = validator
        self._requests = requests or RequestCounts(1)
        self._metrics: MetricsListener | None = None
        self.networking: Networking | None = None

    async def start(self) -> None:
        """Lock, unlock, recover, begin. Raises with a hint; then nothing is left running."""
        locked = self._locked = LockedHome(self._path, self._file, self._keys)
        try:
            if not self._any_profile and not self._begins_with_snapshot(locked.home):
                check_profile(locked.home)
            sequencer = self._sequencer_of(locked.home)
            reader = locked.home.reader(self.config.cache.body_bytes)
            backend = NodeBackend(
                locked.home.keys, reader, sequencer, self._base(locked.home), locked.home.did
            )
            fhir = fhir_app(backend, self.config)
            witnesses = Witnesses.of(locked.home, sequencer, self.config)
            registry = open_registry(locked.home.layout, locked.home.keys)
            self._registry = registry
            await index_grants(registry)
            await keep_memories(registry, backend.now_ms())
            reader.on_forget.append(fhir.forget)
            self._context = CommandContext(
                self._path, self.config, locked.home, sequencer, reader, backend, fhir,
                token_issuer(locked.home, self.config), self._served, witnesses, registry, self.networking,
                Spools(self._path),
            )  # fmt: skip
            await sequencer.start()
            self._sequencer = sequencer
            if self.networking is not None and isinstance(sequencer, NetworkSequencer):
                await self.networking.start(sequencer)
            if backend.base_url != locked.home.base_url:
                await backend.commit(Commit(events=(encode_event(BaseUrl(backend.base_url)),)))
            if self._served:
                self._door = Door(locked.home.layout.socket, sequencer, self._commands())
                await self._door.open()
                self._witnesses = witnesses
                witnesses.start()
                self._remembering = Remembering(self._context)
                self._remembering.start()
                await self._listen_for_metrics()
        except BaseException:
            await self.stop()  # what has begun by then goes on otherwise, in a home that is closed
            raise

    def _close_registry(self) -> None:
        if self._registry is not None:
            self._registry.close()
            self._registry = None

    @staticmethod
    def _begins_with_snapshot(home: OpenHome) -> bool:
        """It executes nothing of the beginning: what may execute, the snapshot's state says."""
        return home.is_network and home.height == 0 and read_own_network(home.layout) is not None

    def _sequencer_of(self, home: OpenHome) -> Sequencer:
        """Who orders: this home itself, or a network."""
        if not home.is_network:
            return Sequencer(home, system_clock_ms)
        if not self._served:
            return NetworkSequencer(home, system_clock_ms, NotServed())
        self.networking = Networking(home, self.config, self._validator, system_clock_ms)
        return NetworkSequencer(home, system_clock_ms, self.networking.pool, Headers(self.networking.rpc))

    async def _listen_for_metrics(self) -> None:
        if self.config.metrics.listen:
            metrics = MetricsListener(
                self.config.metrics.listen, lambda: compose(list_samples(self.context, self._requests))
            )
            await metrics.start()
            self._metrics = metrics

    def _base(self, home: OpenHome) -> str:
        """A served node is where its configuration says; a stopped one is still where it was served last."""
        return fhir_base(self.config) if self._served else home.base_url or fhir_base(self.config)

    async def ended(self) -> None:
        """Never returns. Raises what the node cannot go on for, so that the program ends with its code and hint."""
        if self.networking is None:
            await asyncio.get_running_loop().create_future()
        else:
            await self.networking.ended()

    async def stop(self) -> None:
        """Finish what was accepted and leave a clean home."""
        if self._metrics is not None:
            await self._metrics.stop()
        if self._remembering is not None:
            await self._remembering.stop()
        if self._witnesses is not None:
            await self._witnesses.stop()
        if self._door is not None:
            await self._door.close()
        if self._context is not None:
            self._context.spools.close_all()
        if self.networking is not None:
            await self.networking.stop()
        if self._sequencer is not None:
            await self._sequencer.stop()
        self._close_registry()
        if self._locked is not None:
            self._locked.close()

    @property
    def context(self) -> CommandContext:
        """What commands and the in-process worker share."""
        if self._context is None:
            raise RuntimeError("the node is not started")
        return self._context

    @property
    def reader(self) -> VaultReader:
        """The reader of this process."""
        return self.context.reader

    def _commands(self) -> dict[str, Command]:
        def bind(name: str) -> Command:
            async def run(params: dict[str, Any], progress: Progress) -> dict[str, Any]:
                return await self.command(name, params, progress)

            return run

        return {name: bind(name) for name in (*COMMANDS, *ASKED)}

    async def command(self, name: str, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Run one of `COMMANDS`, and enter it in the house log; or what a worker asks of the writer (`ASKED`)."""
        found = COMMANDS.get(name) or ASKED.get(name)
        if found is None:
            raise NotFound(f"there is no method {name}", hint="client and node differ in version")
        result = await found(self.context, params, progress)
        await enter_act(self.context, name, params, result)
        return result


def fhir_app(backend: NodeBackend, config: Config) -> FhirApp:
    """The FHIR interface within the configured bounds."""
    limits = Limits(
        page_max=config.limits.max_page_entries,
        page_bytes=config.limits.max_page_bytes,
        bundle_entries_max=config.limits.max_bundle_entries,
        emergency_ms=config.limits.emergency_minutes * 60_000,
        review_ms=config.limits.emergency_review_hours * 3_600_000,
    )
    return FhirApp(backend, limits=limits, chart_cache_max_bytes=config.cache.chart_bytes)


def open_registry(layout: Layout, keys: Keys) -> StoredRegistry:
    """The registry of a home; every process of the node opens it by itself. The caller closes it."""
    return StoredRegistry(layout.registry, keys.registry_key, system_clock_ms)


def fhir_base(config: Config) -> str:
    """The FHIR base as clients write it."""
    return config.server.public_url + "/fhir"


def token_issuer(home: OpenHome, config: Config) -> TokenIssuer:
    """Issues tokens of this node: bound to its ledger, whatever address it is reached at."""
    return TokenIssuer(home.keys.token_seed, home.did, home.file.chain_id, system_clock_ms)
