"""The real engine for tests: one validator with a file key and the application that is built in.

`make test` builds the engine first; a test run alone says loudly that it is not there.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from careledger.engine.configuration import Address, EngineSettings, Pace, write_home
from careledger.engine.genesis import GenesisSettings, Validator, compute_address, compute_genesis
from careledger.engine.install import find_engine
from careledger.engine.process import EngineProcess
from careledger.engine.signer import Report, open_signer
from careledger.engine.validator_key import ValidatorKey
from careledger.primitives.errors import CareLedgerError
from careledger.primitives.signing import ed25519_public_key
from tests.e2e.node import free_port

SEED = b"a validator's key for tests only"
CHAIN = "cl-" + "5" * 32
TIME_MS = 1_700_000_000_123


def find_reason() -> str:
    """Why there is no engine to test with; empty if there is one."""
    try:
        find_engine(os.environ)
    except CareLedgerError as error:
        return f"NO ENGINE, SO NOTHING ABOUT IT IS TESTED: {error.message}; run: make engine"
    return ""


REASON = find_reason()
REAL_ENGINE = pytest.mark.skipif(bool(REASON), reason=REASON or "the engine is there")


def make_settings(**others) -> EngineSettings:
    """An engine that needs nobody else, fast."""
    given = {
        "moniker": "berg",
        "p2p": Address("127.0.0.1", free_port()),
        "rpc": Address("127.0.0.1", free_port()),
        "application": "kvstore",
        "signer": None,
        "mempool": "flood",
        "pace": Pace(commit=50),
        **others,
    }
    return EngineSettings(**given)


def make_genesis(**others) -> bytes:
    """A network of one validator, whose key is `SEED`."""
    given = {
        "chain_id": CHAIN,
        "time_ms": TIME_MS,
        "validators": (Validator(ed25519_public_key(SEED), 10, "berg"),),
        "ledger_genesis": b"genesis",
        "key_type": "ed25519",
        **others,
    }
    return compute_genesis(GenesisSettings(**given))


def make_home(
    home: Path,
    settings: EngineSettings,
    *,
    validates: bool = True,
    genesis: bytes | None = None,
    seed: bytes | None = None,
) -> Path:
    """The engine's home, with the file key if it validates; `seed` makes its node key."""
    write_home(home, settings, genesis or make_genesis(), seed or os.urandom(32))
    if validates:
        public = ed25519_public_key(SEED)
        keys = {
            "pub_key": ("tendermint/PubKeyEd25519", public),
            "priv_key": ("tendermint/PrivKeyEd25519", SEED + public),
        }
        content = {
            name: {"type": type, "value": base64.b64encode(value).decode()}
            for name, (type, value) in keys.items()
        }
        content["address"] = compute_address(public).hex().upper()
        (home / "config" / "priv_validator_key.json").write_text(json.dumps(content))
        (home / "data" / "priv_validator_state.json").write_text('{"height": "0", "round": 0, "step": 0}')
    return home


@dataclasses.dataclass
class Logged:
    """What an engine's process logged."""

    lines: list[tuple[str, str, dict[str, object]]] = dataclasses.field(default_factory=list)

    def __call__(self, level, event, fields):
        self.lines.append((level, event, dict(fields)))

    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]


@contextlib.asynccontextmanager
async def running(home: Path, settings: EngineSettings, **others) -> AsyncIterator[EngineProcess]:
    """The real engine, ready; gone afterwards."""
    process = EngineProcess(
        find_engine(os.environ).path, home, settings, others.pop("log", Logged()), **others
    )
    await process.start()
    try:
        await process.wait_until_ready()
        yield process
    finally:
        await process.stop()


@contextlib.asynccontextmanager
async def signing(
    socket: Path, key: ValidatorKey, guard: Path, report: Report, chain: str = CHAIN
) -> AsyncIterator[asyncio.Task[None]]:
    """A signer at work for the engine at `socket`; closed afterwards."""
    signer = open_signer(key, guard, chain, report)
    task = asyncio.create_task(signer.run(socket))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        signer.close()
