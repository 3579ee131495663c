"""A newcomer comes to a network whose state has 100,000 entries: by a snapshot of it, not by its blocks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from careledger.contracts.consent import compute_revocation_hash, revoke_message
from careledger.ledger.genesis import Genesis
from careledger.ledger.kernel import ED25519
from careledger.ledger.transaction import MESSAGES_MAX, SecretKey, build_transaction
from careledger.node import founding
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.snapshots import FOLDER
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did, parse_did

if TYPE_CHECKING:
    from bench.network_bench import Network

KEYS = 100_000
RATE = 400
LANE = 15
SNAPSHOT_SECONDS = 300


def sign_many(organisation: dict[str, Any], count: int) -> Iterator[bytes]:
    """Transactions of as many revocations as one may carry, each a state entry, of directives that nobody granted."""
    home = Path(organisation["home"])
    file, keys = open_keys(Layout(home), Path(organisation["passphrase_file"]).read_text().strip())
    genesis = Genesis.from_bytes(bytes.fromhex(file.genesis))
    did, secret = Did(parse_did(file.did)), SecretKey(ED25519, keys.node_seed)
    valid_until = time.time_ns() // 1_000_000 + founding.ANCHOR_VALID_MS
    for number in range(count):
        codes = [sha256(b"join %s %d %d" % (file.did.encode(), number, at)) for at in range(MESSAGES_MAX)]
        messages = [revoke_message(compute_revocation_hash(code), code=code) for code in codes]
        yield build_transaction(genesis.genesis_hash, valid_until, did, LANE, number, messages, [secret])


async def fill(network: Network, keys: int = KEYS) -> int:
    """At least so many entries more, offered to all members alike; how many."""
    from bench.network_bench import Sender

    members = network.organisations
    count = -(-keys // (MESSAGES_MAX * len(members)))
    signed = [list(sign_many(one, count)) for one in members]
    await asyncio.gather(
        *[Sender(one).run(each, RATE / len(members)) for one, each in zip(members, signed, strict=True)]
    )
    return count * MESSAGES_MAX * len(members)


def join(network: Network) -> dict[str, Any]:
    """Wait for a snapshot of the state as it is when the pools are empty, and let one more organisation come."""
    folder = Path(network.organisations[0]["home"]) / "engine" / FOLDER
    _wait(lambda: not any(one["pool"] for one in network.status()))
    filled = max(one["height"] for one in network.status())
    _wait(lambda: _newest(folder) > filled)
    newest = _newest(folder)
    sizes = [path.stat().st_size for path in (folder / str(newest)).iterdir()]
    time.sleep(3)  # two more blocks: who comes verifies the snapshot by them
    command = [
        sys.executable,
        "-m",
        "careledger",
        "network",
        "join",
        "Newcomer",
        "--dir",
        str(network.folder),
    ]
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    seconds = json.loads(done.stdout)["seconds"]
    result = {"snapshot_at": newest, "chunks": len(sizes) - 1, "bytes": sum(sizes), "seconds": seconds}
    print(f"join: {result}", flush=True)
    return result | {"joined_s": seconds["state sync and following"]}


def _newest(folder: Path) -> int:
    """Height of the newest snapshot that is whole."""
    return max((int(path.name) for path in folder.glob("*") if path.name.isdecimal()), default=0)


def _wait(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + SNAPSHOT_SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise RuntimeError("no snapshot was taken in time")
        time.sleep(0.5)
