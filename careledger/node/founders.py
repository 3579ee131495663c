"""Homes on a network: an organisation makes its keys first, all agree on a genesis, then each founds its home on it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from careledger import contracts
from careledger.engine.configuration import compute_node_id, compute_node_key
from careledger.engine.genesis import GenesisSettings, KeyType, Validator, compute_genesis
from careledger.engine.validator_key import create_validator_key
from careledger.ledger.genesis import NETWORK, QUOTA_BYTES_DAY_DEFAULT, Genesis
from careledger.ledger.kernel import ED25519, ML_DSA_65, Key
from careledger.node import founding
from careledger.node.layout import HomeFile, Layout
from careledger.node.making import found, unmake
from careledger.primitives.errors import Invalid, Misconfigured
from careledger.primitives.files import write_durably
from careledger.primitives.signing import ED25519_PUBLIC_SIZE, ML_DSA_44_PUBLIC_SIZE, ed25519_public_key
from careledger.vault.keystore import KeyStore

FOUNDING_WEIGHT: Final = 10
"""Of each founder. The engine takes whoever has a third of all weight, rounded down, for one without whom no block is made,
and lets it fetch old blocks one by one: of four or five with weight 1 that would be everybody."""
ALGORITHMS: dict[KeyType, int] = {"ml_dsa_65": ML_DSA_65, "ed25519": ED25519}


class Founder(msgspec.Struct, frozen=True):
    """What an organisation tells the others before there is a ledger: public keys, its name, its weight."""

    name: str
    root: bytes
    node: bytes
    validator: bytes
    weight: int = FOUNDING_WEIGHT

    @property
    def root_key(self) -> Key:
        """The organisation's root key."""
        return Key(ED25519, self.root)

    @property
    def node_key(self) -> Key:
        """The key that signs its anchors."""
        return Key(ED25519, self.node)


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """What is made meanwhile in the folder, which is absent or empty, stays only if all of it is done."""
    check_empty(path)
    existed = path.exists()
    try:
        yield
    except BaseException:  # an interrupt, too: half a home can be neither served nor made anew
        unmake(path, existed=existed)
        raise


def check_empty(path: Path) -> None:
    """Raises Misconfigured if the folder holds anything but a configuration."""
    if path.exists() and any(entry.name != "config.toml" for entry in path.iterdir()):
        raise Misconfigured(f"{path} is not empty", hint="choose an empty folder", code="folder-not-empty")


def prepare(path: Path, name: str, passphrase: str, key_type: KeyType = "ml_dsa_65") -> Founder:
    """Make the keys of a home to come: the organisation's and its validator's. Raises if the folder is not empty."""
    layout = Layout(path)
    check_empty(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = KeyStore.create(layout.keys, passphrase)
    validator = create_validator_key(layout.keys, passphrase, key_type)
    root = founding.root_key(keys)
    return Founder(name, root.public, ed25519_public_key(keys.node_seed), validator)


def make_network_genesis(
    founders: Sequence[Founder], key_type: KeyType = "ml_dsa_65", now_ms: int | None = None
) -> Genesis:
    """The first state of a network: its founders are registered, their validators weighed; nobody is its operator."""
    if not founders:
        raise Invalid("a network has at least one organisation", hint="name its founders")
    algorithm = ALGORITHMS[key_type]
    return Genesis(
        mode=NETWORK,
        entropy=os.urandom(32),
        time_ms=time.time_ns() // 1_000_000 if now_ms is None else now_ms,
        ed25519=bytes(ED25519_PUBLIC_SIZE),
        ml_dsa_44=bytes(ML_DSA_44_PUBLIC_SIZE),
        quota_bytes_day=QUOTA_BYTES_DAY_DEFAULT,
        messages=contracts.network_founding_messages(
            [
                contracts.Founder(
                    one.name, one.root_key, one.node_key, Key(algorithm, one.validator), one.weight
                )
                for one in founders
            ],
            founding.running_profile(),
        ),
    )


def engine_genesis(genesis: Genesis, founders: Sequence[Founder], key_type: KeyType = "ml_dsa_65") -> bytes:
    """The engine's genesis.json of the same network."""
    return compute_genesis(
        GenesisSettings(
            chain_id=genesis.chain_id,
            time_ms=genesis.time_ms,
            validators=tuple(Validator(one.validator, one.weight, one.name) for one in founders),
            ledger_genesis=genesis.to_bytes(),
            key_type=key_type,
        )
    )


def found_network_home(path: Path, name: str, passphrase: str, genesis: Genesis) -> HomeFile:
    """The home of keys that `prepare` made, on this network's ledger."""
    layout = Layout(path)
    keys = KeyStore.open(layout.keys, passphrase)
    return found(layout, name, keys, genesis, time.time_ns() // 1_000_000)


def begin_engine(layout: Layout, genesis: bytes) -> str:
    """Lay the engine's genesis and a node key into the home; the node key's id, by which peers know it."""
    folder = layout.engine
    (folder / "config").mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(folder / "config" / "genesis.json", genesis)
    seed = os.urandom(32)
    write_durably(folder / "config" / "node_key.json", compute_node_key(seed))
    return compute_node_id(seed)
