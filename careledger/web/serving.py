"""Serve a home over HTTP: joins the node and the ASGI application, in one process or in several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from careledger.access.tokens import TokenIssuer, TokenVerifier
from careledger.fhir.http import FhirApp
from careledger.node import config as configuration
from careledger.node import logging
from careledger.node.backend import NodeBackend
from careledger.node.config import Config, Value
from careledger.node.home import open_keys
from careledger.node.layout import HomeFile, Layout
from careledger.node.remote import RemoteSequencer
from careledger.node.sequencer import system_clock_ms
from careledger.node.service import NodeService, fhir_app, fhir_base
from careledger.primitives.types import parse_did
from careledger.vault.journal import Journal
from careledger.vault.keyring import Keyring
from careledger.vault.keystore import Keys
from careledger.vault.snapshot import VaultReader
from careledger.vault.tables import Tables
from careledger.web.app import AsgiApp, create_app
from careledger.web.requests import services_of
from careledger.web.server import announce
from careledger.web.server import serve as serve_http


def serve(
    home: Path,
    overrides: Mapping[str, Value],
    passphrase: str,
    on_ready: Callable[[str], None] = announce,
) -> None:
    """Run in the foreground until SIGINT or SIGTERM. `overrides` are settings (`server.listen` …) from flags.

    Raises Misconfigured and its like before anything listens.
    """
    config = configuration.load(home, flags=dict(overrides))
    logging.configure(config.log.level)
    file, keys = open_keys(Layout(home), passphrase)
    service: list[NodeService] = []

    def make_writer() -> NodeService:
        service.append(NodeService(home, file, keys, served=True, config=config))
        return service[0]

    def make_worker(number: int) -> LocalWorker | RemoteWorker:
        if config.server.workers > 1:
            return RemoteWorker(Layout(home), file, keys, config)
        return LocalWorker(service[0], keys, config)

    serve_http(make_worker, config, make_writer, on_ready)


class LocalWorker:
    """The worker that shares process and loop with the writer."""

    def __init__(self, service: NodeService, keys: Keys, config: Config) -> None:
        self._service = service
        self._keys = keys
        self._config = config

    async def start(self) -> AsgiApp:
        node = self._service.context
        return make_app(node.fhir, node.backend, node.home.file, self._keys, self._config)

    async def stop(self) -> None:
        """The service stops by itself."""


class RemoteWorker:
    """A worker in a process of its own: reads the home by itself, writes through the node's socket."""

    def __init__(self, layout: Layout, file: HomeFile, keys: Keys, config: Config) -> None:
        self._layout = layout
        self._file = file
        self._keys = keys
        self._config = config
        self._order = RemoteSequencer(layout.socket)

    async def start(self) -> AsgiApp:
        keys = self._keys
        tables = Tables.open(self._layout.index, keys.journal_key, write=False)
        journal = Journal.open(self._layout.journal, keys.home_id, keys.journal_key, write=False)
        keyring = Keyring(keys, bytes(parse_did(self._file.did)), tables)
        reader = VaultReader(tables, journal, keyring, self._config.cache.body_bytes)
        await self._order.start()
        backend = NodeBackend(keys, reader, self._order, fhir_base(self._config), self._file.did)
        return make_app(fhir_app(backend, self._config), backend, self._file, keys, self._config)

    async def stop(self) -> None:
        await self._order.stop()


def make_app(fhir: FhirApp, backend: NodeBackend, file: HomeFile, keys: Keys, config: Config) -> AsgiApp:
    """The ASGI application of one worker."""
    issuer = TokenIssuer(keys.token_seed, file.did, file.chain_id, system_clock_ms)
    verifier = TokenVerifier(
        issuer.public_key, file.did, file.chain_id, backend.is_revoked, system_clock_ms, config.cache.tokens
    )
    return create_app(services_of(config, fhir, verifier.authenticate, backend.problems))
