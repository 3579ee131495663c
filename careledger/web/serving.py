"""Serve a home over HTTP: a node's writer and workers behind the ASGI application, in one process or in several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from careledger.node import config as configuration
from careledger.node import log
from careledger.node.config import Config, Value
from careledger.node.figures import RequestCounts
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.networking import open_own_validator
from careledger.node.service import NodeService
from careledger.node.worker import LocalWorker, RemoteWorker
from careledger.smart.limits import Limiter
from careledger.vault.keystore import KeyStore
from careledger.web.api.app import ApiApp, create_api
from careledger.web.app import AsgiApp, create_app
from careledger.web.requests import Count, services_of
from careledger.web.server import announce, bind
from careledger.web.server import serve as serve_http
from careledger.web.smart.app import create_smart, monotonic_ms


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
    log.configure(config.log.level)
    file, keys = open_keys(Layout(home), passphrase)
    validator = open_own_validator(Layout(home), passphrase)
    keys = keys.without_masters()  # the process that starts the others must not outlive an erasure with them
    listener = bind(config)
    config = config.listening_at(listener.getsockname()[1])
    counts = RequestCounts(config.server.workers)
    service: list[NodeService] = []

    def make_writer() -> NodeService:
        fresh = KeyStore.reload(Layout(home).keys, keys)
        fresh_service = NodeService(
            home, file, fresh, served=True, config=config, validator=validator, requests=counts
        )
        service.append(fresh_service)
        return service[0]

    def make_worker(number: int) -> HttpWorker:
        count = partial(counts.add, number)
        if config.server.workers > 1:
            return HttpWorker(RemoteWorker(Layout(home), file, keys, config), config, count)
        return HttpWorker(LocalWorker(service[0], keys, config), config, count)

    serve_http(make_worker, config, make_writer, on_ready, listener)


class HttpWorker:
    """A worker of the node behind the ASGI application."""

    def __init__(self, worker: LocalWorker | RemoteWorker, config: Config, count: Count) -> None:
        self._worker = worker
        self._config = config
        self._count = count
        self._api: ApiApp | None = None

    async def start(self) -> AsgiApp:
        """The application, once the worker is open."""
        parts = await self._worker.open()
        smart = await create_smart(parts)
        api = self._api = create_api(parts, self._config, Limiter(monotonic_ms))
        return create_app(
            services_of(self._config, parts.fhir, parts.authenticate, parts.problems, self._count, smart, api)
        )

    def leave(self) -> None:
        """Whoever waits for changes is answered now."""
        if self._api is not None:
            self._api.leave()

    async def stop(self) -> None:
        """Nothing is asked of the worker any more."""
        await self._worker.close()
