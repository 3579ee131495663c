"""The engine's home: config.toml and the node key, written from typed settings; only what differs from its defaults.

HOME/config/config.toml      written again at every start
HOME/config/genesis.json     of the network: see genesis.py
HOME/config/node_key.json    the key with which peers know this node; it signs nothing of the ledger's
HOME/data/                   the engine's own

The validator's key is not here: a remote signer holds it. The engine makes a file key at its first start even so;
that one is named as unused and is no validator.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from careledger.ledger.transaction import TRANSACTION_SIZE_MAX
from careledger.primitives.errors import Corrupt, Invalid
from careledger.primitives.files import write_durably
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import SEED_SIZE, ed25519_public_key

PEERS_MAX: Final = 256
BATCH_BYTES_MAX: Final = 1 << 20
"""Of transactions in one message to a peer; every node must take what the others send."""
SEEN_TRANSACTIONS_MAX: Final = 100_000
"""What the engine remembers of transactions from peers: 32 bytes each, and overhead."""
RPC_SERVERS_MAX: Final = 16
_NODE_KEY_BYTES_MAX: Final = 4096
_MONIKER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NODE_ID: Final = re.compile(r"[0-9a-f]{40}")
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9a-fA-F:.]{2,45}\]")
_HASH: Final = re.compile(r"[0-9A-Fa-f]{64}")

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address; an IPv6 host stands in brackets."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host) or not 0 < self.port < 65536:
            raise _invalid(f"{self.host}:{self.port} is no address")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it; a name other than localhost is taken for somewhere else."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: its id (of its node key) and where to dial it."""

    id: str
    address: Address

    def __post_init__(self) -> None:
        if not _NODE_ID.fullmatch(self.id):
            raise _invalid("a node's id has 40 lower-case hex digits")

    def __str__(self) -> str:
        return f"{self.id}@{self.address}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the engine waits, in ms. Each further round of a height waits the delta longer."""

    propose: int = 2000
    propose_delta: int = 500
    vote: int = 500
    vote_delta: int = 250
    commit: int = 200
    """After a block, before the next begins: the interval of an idle network, and part of every write's latency."""
    reap: int = 20
    """Between two questions for new transactions: part of every write's latency."""


@dataclass(frozen=True, slots=True)
class StateSync:
    """Begin from a snapshot of peers, believed by one trusted header that two or more RPC servers must continue."""

    rpc_servers: tuple[Address, ...]
    trust_height: int
    trust_hash: str
    trust_period_s: int

    def __post_init__(self) -> None:
        if not 2 <= len(self.rpc_servers) <= RPC_SERVERS_MAX:
            raise _invalid(f"state sync needs 2 to {RPC_SERVERS_MAX} RPC servers: a single one could lie")
        if self.trust_height < 1 or self.trust_period_s < 1 or not _HASH.fullmatch(self.trust_hash):
            raise _invalid(
                "state sync needs a trusted height, the header's hash (64 hex digits), and a period"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What differs between engines. Sockets are paths below the engine's home, which is its working directory."""

    moniker: str
    p2p: Address
    rpc: Address
    peers: tuple[Peer, ...] = ()
    private_peers: tuple[str, ...] = ()
    """Ids that are told to nobody: a sentry's validator."""
    admits_strangers: bool = False
    """Whether nodes that are not among the peers may connect: a public sentry or seed."""
    external: Address | None = None
    application: str = "abci.sock"
    """The application's socket, or the name of one that is built in (for tests)."""
    signer: str | None = "signer.sock"
    """Where the engine waits for its remote signer; none: a file key (for tests)."""
    mempool: Literal["app", "flood"] = "app"
    pace: Pace = field(default_factory=Pace)
    state_sync: StateSync | None = None
    metrics: Address | None = None
    log_level: str = "info"

    def __post_init__(self) -> None:
        if not _MONIKER.fullmatch(self.moniker):
            raise _invalid("an engine's name has up to 64 letters, digits, dots, hyphens and underscores")
        if not self.rpc.is_loopback:
            raise Invalid(
                f"the engine's RPC would be open on {self.rpc.host}",
                hint="put it on 127.0.0.1: it asks nobody who they are",
                code="engine-rpc-open",
            )
        if len(self.peers) > PEERS_MAX or len({peer.id for peer in self.peers}) != len(self.peers):
            raise _invalid(f"an engine has up to {PEERS_MAX} peers, each once")
        if not all(_NODE_ID.fullmatch(id) for id in self.private_peers):
            raise _invalid("a node's id has 40 lower-case hex digits")
        for name in (self.application, self.signer or "x"):
            if not re.fullmatch(r"[a-z][a-z0-9_.-]{0,63}", name):
                raise _invalid("a socket of the engine is a plain file name in its home")


def compute_config(settings: EngineSettings) -> str:
    """The text of config.toml."""
    sections: dict[str, dict[str, Value]] = {
        "": _base(settings),
        "rpc": {
            "laddr": f"tcp://{settings.rpc}",
            "max_open_connections": 64,
            "max_subscription_clients": 8,
            "max_request_batch_size": 10,
            "max_body_bytes": 2 * TRANSACTION_SIZE_MAX,
        },
        "p2p": _p2p(settings),
        "mempool": {
            "type": settings.mempool,
            "max_tx_bytes": TRANSACTION_SIZE_MAX,
            "max_batch_bytes": BATCH_BYTES_MAX,
            "seen_cache_size": SEEN_TRANSACTIONS_MAX,
            "reap_interval": f"{settings.pace.reap}ms",
        },
        "statesync": _state_sync(settings.state_sync),
        "consensus": _consensus(settings.pace),
        "storage": {"discard_abci_responses": True},  # receipts are ours; the last block's stay for recovery
        "tx_index": {"indexer": "null"},
        "instrumentation": _metrics(settings.metrics),
    }
    lines = ["# Written by careledger at every start: change the node's configuration, not this file."]
    for name, values in sections.items():
        if values:
            lines += ["", f"[{name}]"] if name else []
            lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _base(settings: EngineSettings) -> dict[str, Value]:
    base: dict[str, Value] = {
        "moniker": settings.moniker,
        "proxy_app": f"unix://{settings.application}"
        if settings.application.endswith(".sock")
        else settings.application,
        "abci": "socket",
        "log_level": settings.log_level,
        "log_format": "json",
    }
    if settings.signer is None:
        return base
    unused = {
        "priv_validator_key_file": "data/unused_file_key.json",
        "priv_validator_state_file": "data/unused_file_state.json",
    }
    return base | {"priv_validator_laddr": f"unix://{settings.signer}"} | unused


def _p2p(settings: EngineSettings) -> dict[str, Value]:
    """Peers: those named are always let in; nobody else is, because the number of others is none."""
    strangers: dict[str, Value] = (
        {} if settings.admits_strangers else {"max_num_inbound_peers": 0, "max_num_outbound_peers": 0}
    )
    return {
        "laddr": f"tcp://{settings.p2p}",
        "external_address": str(settings.external) if settings.external else "",
        "persistent_peers": ",".join(map(str, settings.peers)),
        "unconditional_peer_ids": ",".join(peer.id for peer in settings.peers),
        "private_peer_ids": ",".join(settings.private_peers),
        "pex": False,
        "addr_book_strict": False,
        "allow_duplicate_ip": True,
        **strangers,
    }


def _state_sync(sync: StateSync | None) -> dict[str, Value]:
    if sync is None:
        return {}
    return {
        "enable": True,
        "rpc_servers": ",".join(f"http://{server}" for server in sync.rpc_servers),
        "trust_height": sync.trust_height,
        "trust_hash": sync.trust_hash.upper(),
        "trust_period": f"{sync.trust_period_s}s",
        "discovery_time": "5s",  # the least that the engine takes
        "temp_dir": "data",
    }


def _consensus(pace: Pace) -> dict[str, Value]:
    """Empty blocks come at the pace of full ones.

    An interval between them would delay every transaction too: the engine is told of none (mempool "app"), so it
    would wait the interval out. An application that wants idle blocks rarer takes its time in PrepareProposal.
    """
    return {
        "timeout_propose": f"{pace.propose}ms",
        "timeout_propose_delta": f"{pace.propose_delta}ms",
        "timeout_prevote": f"{pace.vote}ms",
        "timeout_prevote_delta": f"{pace.vote_delta}ms",
        "timeout_precommit": f"{pace.vote}ms",
        "timeout_precommit_delta": f"{pace.vote_delta}ms",
        "timeout_commit": f"{pace.commit}ms",
        "create_empty_blocks": True,
        "create_empty_blocks_interval": "0s",
    }


def _metrics(address: Address | None) -> dict[str, Value]:
    return {"prometheus": True, "prometheus_listen_addr": str(address)} if address else {}


def _toml(value: Value) -> str:
    """A value as TOML. Texts were checked to be plain: a quote or a control character is a defect."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not value.isascii() or not value.isprintable() or '"' in value or "\\" in value:
        raise RuntimeError("a setting of the engine that was not checked")
    return f'"{value}"'


class _Key(msgspec.Struct, frozen=True):
    type: str
    value: str


class _NodeKeyFile(msgspec.Struct, frozen=True):
    priv_key: _Key


def compute_node_id(seed: bytes) -> str:
    """The id by which peers know the holder of this node key."""
    return sha256(ed25519_public_key(seed))[:20].hex()


def read_node_id(home: Path) -> str:
    """The id of the node key in an engine's home. Raises Corrupt if there is none that can be read."""
    path = home / "config" / "node_key.json"
    try:
        with path.open("rb") as file:
            value = msgspec.json.decode(file.read(_NODE_KEY_BYTES_MAX), type=_NodeKeyFile).priv_key.value
        seed = base64.b64decode(value, validate=True)[:SEED_SIZE]
        return compute_node_id(seed)
    except (OSError, ValueError, msgspec.DecodeError):
        raise Corrupt(
            f"{path} is missing or damaged",
            hint="restore it from the backup; with a new one, peers must be told its id",
            code="engine-node-key",
        ) from None


def write_home(home: Path, settings: EngineSettings, genesis: bytes, node_seed: bytes) -> None:
    """Make or renew the engine's home: durable when it returns.

    `node_seed` (32 random bytes) makes the node key where there is none. Raises Corrupt if the home is of another
    network: what the engine holds fits one genesis only.
    """
    for folder in (home, home / "config", home / "data"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = home / "config"
    there = config / "genesis.json"
    if there.exists() and there.read_bytes() != genesis:
        raise Corrupt(
            f"{there} is of another network",
            hint="name another folder, or move this one away: its node begins anew by block or state sync",
            code="engine-other-genesis",
        )
    if not (config / "node_key.json").exists():
        write_durably(config / "node_key.json", compute_node_key(node_seed))
    write_durably(there, genesis)
    write_durably(config / "config.toml", compute_config(settings).encode())


def compute_node_key(seed: bytes) -> bytes:
    """The content of node_key.json."""
    value = base64.b64encode(seed + ed25519_public_key(seed)).decode()
    return msgspec.json.encode(_NodeKeyFile(_Key("tendermint/PrivKeyEd25519", value)))


def _invalid(message: str) -> Invalid:
    return Invalid(message, hint="correct the engine's settings", code="engine-settings")
