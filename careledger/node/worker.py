"""A worker's half of the node: what answers requests, beside the writer in one process or in a process of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from careledger.access.actor import Actor
from careledger.access.tokens import Presented, TokenIssuer, TokenVerifier
from careledger.fhir.http import FhirApp
from careledger.node.authorisation import Authority, open_authority
from careledger.node.backend import NodeBackend
from careledger.node.config import Config
from careledger.node.layout import HomeFile, Layout
from careledger.node.remote import RemoteSequencer
from careledger.node.sequencer import system_clock_ms
from careledger.node.service import NodeService, fhir_app, fhir_base, open_registry
from careledger.primitives.types import parse_did
from careledger.vault.journal import Journal
from careledger.vault.keyring import Keyring
from careledger.vault.keystore import Keys, KeyStore
from careledger.vault.registry import Registry, StoredRegistry
from careledger.vault.snapshot import VaultReader
from careledger.vault.tables import Tables

Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Runs one of `commands.COMMANDS` in the writer's process. Raises what it raises."""


@dataclass(frozen=True, slots=True)
class Answering:
    """What an HTTP shell needs of a node: the FHIR interface, who is asking, and why it cannot serve now.

    `call` is for what only the writer can do; `reader` for what the ledger says.
    """

    fhir: FhirApp
    authenticate: Callable[[bytes | None, Presented | None], Actor]
    problems: Callable[[], tuple[str, ...]]
    authority: Authority
    read_token: Callable[[str], Actor]
    call: Call
    reader: VaultReader


class LocalWorker:
    """Shares process and loop with the writer."""

    def __init__(self, service: NodeService, keys: Keys, config: Config) -> None:
        self._service = service
        self._keys = keys
        self._config = config

    async def open(self) -> Answering:
        """The parts, over the writer's own."""
        node, service = self._service.context, self._service

        async def call(name: str, params: dict[str, Any]) -> dict[str, Any]:
            return await service.command(name, params, lambda _step: None)

        own = Own(node.home.file, self._keys, self._config, call, node.reader)
        return _answering(node.fhir, node.backend, node.registry, own)

    async def close(self) -> None:
        """The service stops by itself."""


class RemoteWorker:
    """A process of its own: reads the home by itself, writes through the node's socket."""

    def __init__(self, layout: Layout, file: HomeFile, keys: Keys, config: Config) -> None:
        self._layout = layout
        self._file = file
        self._keys = keys
        self._config = config
        self._order = RemoteSequencer(layout.socket)
        self._registry: StoredRegistry | None = None

    async def open(self) -> Answering:
        """Open the home for reading and connect to the writer. Raises if either is not possible."""
        folder, sealed = self._layout.keys, self._keys
        keys = KeyStore.reload(folder, sealed)
        tables = Tables.open(self._layout.index, keys.journal_key, write=False)
        journal = Journal.open(self._layout.journal, keys.home_id, keys.journal_key, write=False)
        organisation = bytes(parse_did(self._file.did))
        keyring = Keyring(keys, organisation, tables, lambda: KeyStore.reload(folder, sealed))
        reader = VaultReader(tables, journal, keyring, self._config.cache.body_bytes)
        self._order.forget = reader.renew
        await self._order.start()
        reader.renew()  # something may have been erased before the writer knew of this worker
        backend = NodeBackend(keys, reader, self._order, fhir_base(self._config), self._file.did)
        fhir = fhir_app(backend, self._config)
        reader.on_forget.append(fhir.forget)
        self._registry = open_registry(self._layout, keys)
        own = Own(self._file, keys, self._config, self._order.call, reader)
        return _answering(fhir, backend, self._registry, own)

    async def close(self) -> None:
        """Disconnect."""
        await self._order.stop()
        if self._registry is not None:
            self._registry.close()


@dataclass(frozen=True, slots=True)
class Own:
    """What a worker brings by itself."""

    file: HomeFile
    keys: Keys
    config: Config
    call: Call
    reader: VaultReader


def _answering(fhir: FhirApp, backend: NodeBackend, registry: Registry, own: Own) -> Answering:
    file, keys, config = own.file, own.keys, own.config
    issuer = TokenIssuer(keys.token_seed, file.did, file.chain_id, system_clock_ms)
    verifier = TokenVerifier(
        issuer.public_key,
        file.did,
        file.chain_id,
        backend.is_revoked,
        system_clock_ms,
        config.cache.tokens,
        prove=_proved_by_the_shell,
    )
    authority = open_authority(backend, registry, issuer, keys, config, file.name)

    def authenticate(authorization: bytes | None, presented: Presented | None) -> Actor:
        actor = verifier.authenticate(authorization, presented)
        authority.standings.check(actor)
        return actor

    def read_token(token: str) -> Actor:
        actor = verifier.read(token.encode("latin-1", "replace"))
        authority.standings.check(actor)
        return actor

    return Answering(fhir, authenticate, backend.problems, authority, read_token, own.call, own.reader)


def _proved_by_the_shell(presented: Presented, token: bytes, thumbprint: str) -> None:
    """Nothing here: a proof is used up in the registry, which takes a wait; `web.app` does it before it goes on."""
