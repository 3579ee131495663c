"""`careledger migrate`: a home with an embedded ledger goes over to a network, on a copy; the old one stays.

The journal of the copy gets one record, after which its blocks are the network's; keys, charts, logs and index stay. What
the ledger must know of before (`ledger.adopt`, `ledger.follow`) is sent once the organisation is admitted.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from careledger.contracts.subjects import SUBJECTS
from careledger.engine.validator_key import create_validator_key
from careledger.ledger.execution import Overlay
from careledger.ledger.genesis import EMBEDDED
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node import founding, joining
from careledger.node.founding import root_key
from careledger.node.home import LockedHome, OpenHome, open_keys
from careledger.node.joining import Joined, Place
from careledger.node.layout import Layout
from careledger.node.networkfile import Network, read_network
from careledger.node.replacing import Names, replace_home
from careledger.node.service import NodeService
from careledger.primitives.errors import Misconfigured
from careledger.primitives.types import Did, parse_did
from careledger.vault import journal as frames
from careledger.vault import records
from careledger.vault.journal import pack_record

KEPT: Final = "embedded"
"""Ends the name of the folder in which the home as it was stays."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """The home that joins, and where the old one is kept."""

    joined: Joined
    height: int
    kept: Path


def migrate(home: Path, passphrase: str, file: bytes, place: Place, to: Did | None = None) -> Migrated:
    """Convert the stopped home; it can be served then, and asks to be admitted.

    Raises what `join` and `replace_home` raise, Misconfigured for a home that is on a network already or under another
    root key; then the home is as it was.
    """
    network = read_network(file)
    name, did = _check(Layout(home))

    def convert(copy: Path) -> tuple[int, Joined]:
        height = _convert(copy, passphrase, network)
        joining.write_settings(copy, network, place)
        create_validator_key(Layout(copy).keys, passphrase, network.key_type)
        return height, joining.begin_joining(copy, name, passphrase, network, file, place, did, to)

    replaced = replace_home(home, passphrase, Names("migrating", KEPT, "migrated"), convert)
    height, joined = replaced.result
    return Migrated(joined, height, replaced.kept)


def _check(layout: Layout) -> tuple[str, Did]:
    file = layout.read()
    if founding.read_genesis(bytes.fromhex(file.genesis)).mode != EMBEDDED:
        raise Misconfigured("this home's ledger is a network's already", hint="careledger network status")
    return file.name, parse_did(file.did)


def _convert(copy: Path, passphrase: str, network: Network) -> int:
    """The journal ends the embedded ledger, and home.json names the network's; the height of the last block."""
    layout = Layout(copy)
    file, keys = open_keys(layout, passphrase)
    asyncio.run(_anchor_all(copy, passphrase))
    locked = LockedHome(copy, file, keys)
    try:
        opened = locked.home
        _check_root(opened)
        height = opened.height
        last = records.pack_migrated(height, opened.the_ledger.app_hash)
        opened.journal.append(frames.COMMITTED, [pack_record(records.MIGRATED, last)])
        opened.journal.sync()
    finally:
        locked.close()
    shutil.rmtree(layout.index)  # made again from the journal, which says how it goes on
    genesis = founding.write_genesis(network.genesis).hex()
    layout.write(
        msgspec.structs.replace(file, chain_id=network.genesis.chain_id, genesis=genesis, former=file.genesis)
    )
    return height


def _check_root(home: OpenHome) -> None:
    """Raises Misconfigured if the embedded ledger knows the organisation under another root key than the home has.

    The network would admit it, and refuse its records for ever (605): better said before anything is changed.
    """
    did = Did(home.organisation)
    with home.tables.env.begin() as txn:
        reader = home.the_ledger.reader(LmdbKV(txn, home.tables.ledger))
        subject = SUBJECTS.get(Overlay(reader), did)
    if subject is None or not subject.is_active or subject.root != root_key(home.keys):
        raise Misconfigured(
            "the embedded ledger has this organisation under another root key than HOME/keys: no network adopts it so",
            hint="this home goes on as it is; join the network with a new home, and keep this one for what it holds",
            code="root-rotated",
        )


async def _anchor_all(copy: Path, passphrase: str) -> None:
    """A node that stops anchors every access entry; then nothing waits for a block that never comes."""
    file, keys = open_keys(Layout(copy), passphrase)
    service = NodeService(copy, file, keys, served=False)
    await service.start()
    await service.stop()
