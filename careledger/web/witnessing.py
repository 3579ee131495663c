"""A witness in a process of its own, behind the same limits of connections, heads and times as a node."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from careledger.node import config as configuration
from careledger.node import log
from careledger.node.config import Value
from careledger.vault.secret_files import open_secret
from careledger.web.app import AsgiApp
from careledger.web.server import serve as serve_http
from careledger.witness.app import create_app
from careledger.witness.folder import WitnessFolder
from careledger.witness.witness import Witness

KEY_PURPOSE = b"witness"


def run_witness(
    path: Path,
    settings: dict[str, Value],
    passphrase: str,
    trust: Sequence[bytes],
    on_ready: Callable[[str, str], None],
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM. `settings` are of the node's `server` section.

    `trust` are checkpoint files of ledgers to follow from now on; `on_ready` gets the address and the key's line.
    """
    config = configuration.load(None, environment={}, flags=settings)
    log.configure(config.log.level, process="witness")
    folder = WitnessFolder.open(path)
    seed = open_secret(folder.read_key(), passphrase, KEY_PURPOSE)
    witness = Witness(folder, seed, lambda: int(time.time()), _report)
    try:
        for file in trust:
            witness.follow(file)
        serve_http(lambda _number: _Worker(witness), config, None, lambda url: on_ready(url, folder.key.text))
    finally:
        witness.close()


def _report(phrase: str, chain: str, height: int) -> None:
    log.logger().error(phrase, height=height, reason=chain)


class _Worker:
    """The witness as the server wants it."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def start(self) -> AsgiApp:
        return create_app(self._witness)

    def leave(self) -> None:
        """Nobody waits here."""

    async def stop(self) -> None:
        """Nothing is left to do: each answer was durable before it left."""
