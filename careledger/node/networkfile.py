"""The file by which an organisation comes to a network: `careledger/network/1`, handed over by a member it trusts.

Canonical JSON (RFC 8785) of a closed shape: what the ledger and the engine began with, whom to dial, where to ask for
headers, and one header that whoever reads this believes. Everything else is verified from these.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from careledger.engine.configuration import Address, Peer, StateSync
from careledger.engine.genesis import PUBLIC_KEYS, KeyType
from careledger.engine.rpc import Rpc
from careledger.ledger.genesis import GENESIS, NETWORK, Genesis
from careledger.ledger.light import TRUST_PERIOD_NS, LightBlock, TrustedPoint, verify_block
from careledger.ledger.light_files import read_network_trust
from careledger.ledger.proof_files import decode_file
from careledger.node.finality import Headers
from careledger.primitives.errors import CareLedgerError, Invalid, NotFound, Unavailable, VerificationFailed
from careledger.primitives.types import Did, did_text, parse_did

FORMAT: Final[Literal["careledger/network/1"]] = "careledger/network/1"
FILE_NAME: Final = "network.json"
"""In the home's folder `engine`, of a home that joined."""
FILE_BYTES_MAX: Final = 16 << 20
SERVERS: Final = (2, 16)
STEPS_MAX: Final = 64
"""Headers that are fetched to come from the trusted one to another."""
NS: Final = 1_000_000_000


class NetworkFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields in the order of RFC 8785. `member` is who wrote it: whom a request for admission goes to."""

    engine_genesis: str
    format: Literal["careledger/network/1"]
    member: str
    peers: list[str]
    rpc: list[str]
    trust: str


@dataclass(frozen=True, slots=True)
class Network:
    """A network file, read and checked in itself."""

    engine_genesis: bytes
    genesis: Genesis
    key_type: KeyType
    member: Did
    peers: tuple[Peer, ...]
    rpc: tuple[Address, ...]
    point: TrustedPoint

    def state_sync(self) -> StateSync:
        """What the engine needs to begin with a snapshot."""
        return StateSync(self.rpc, self.point.height, self.point.header_hash.hex(), TRUST_PERIOD_NS // NS)


def write_network(
    engine_genesis: bytes, member: Did, peers: Sequence[Peer], rpc: Sequence[Address], trust: bytes
) -> bytes:
    """The file. Raises what `read_network` raises: what it would refuse is not written."""
    servers = [str(one) for one in rpc]
    file = NetworkFile(
        engine_genesis=engine_genesis.decode(),
        format=FORMAT,
        member=did_text(member),
        peers=sorted(str(one) for one in peers),
        rpc=servers * 2 if len(servers) == 1 else servers,
        trust=trust.decode(),
    )
    data = msgspec.json.encode(file)
    read_network(data)
    return data


def read_network(data: bytes) -> Network:
    """The network that the file names. Raises VerificationFailed or Invalid."""
    file = decode_file(data, NetworkFile, "the network file", FILE_BYTES_MAX)
    trust = read_network_trust(file.trust.encode())
    genesis, key_type = _read_engine_genesis(file.engine_genesis)
    if trust.point.chain_id != genesis.chain_id:
        raise VerificationFailed("the network file's trusted header is of another network")
    if not SERVERS[0] <= len(file.rpc) <= SERVERS[1]:
        raise Invalid(
            f"a network file names {SERVERS[0]} to {SERVERS[1]} RPC servers", hint="--rpc HOST:PORT"
        )
    return Network(
        engine_genesis=file.engine_genesis.encode(),
        genesis=genesis,
        key_type=key_type,
        member=parse_did(file.member),
        peers=tuple(map(parse_peer, file.peers)),
        rpc=tuple(map(parse_address, file.rpc)),
        point=trust.point,
    )


def _read_engine_genesis(text: str) -> tuple[Genesis, KeyType]:
    """Our genesis within the engine's, and the type of its validators' keys."""
    try:
        document = json.loads(text)
        genesis = GENESIS.decode(bytes.fromhex(document["app_state"]["genesis"]))
        (name,) = document["consensus_params"]["validator"]["pub_key_types"]
        chain_id = document["chain_id"]
    except (ValueError, KeyError, TypeError, Invalid, RecursionError):
        raise VerificationFailed("the network file holds no genesis of a network") from None
    key_type = next((one for one in PUBLIC_KEYS if one == name), None)
    if genesis.mode != NETWORK or genesis.chain_id != chain_id or key_type is None:
        raise VerificationFailed("the network file's genesis is not that of its network")
    return genesis, key_type


def parse_peer(text: str) -> Peer:
    """`NODE-ID@HOST:PORT`. Raises Invalid."""
    id, _, address = text.partition("@")
    return Peer(id, parse_address(address))


def parse_address(text: str) -> Address:
    """`HOST:PORT`; an IPv6 host stands in brackets. Raises Invalid."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port):
        raise Invalid("an address is HOST:PORT", hint="for example 10.0.0.7:26656")
    return Address(host, int(port))


class TrustedTimes:
    """Times of blocks, from headers that lead from a trusted one; any of the servers may tell them."""

    def __init__(
        self,
        network: Network,
        ask: Callable[[Address], Headers] = lambda address: Headers(Rpc(address)),
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._network = network
        self._ask = ask
        self._clock_ns = clock_ns

    async def find(self, height: int) -> int:
        """The block's time in ms. Raises what the last server's answer raises."""
        error: CareLedgerError = Unavailable("no server was asked", hint="name some in the network file")
        for address in dict.fromkeys(self._network.rpc):
            try:
                return (await self._reach(self._ask(address), height)).time_ns // 1_000_000
            except CareLedgerError as refused:
                error = refused
        raise error

    async def _reach(self, headers: Headers, height: int) -> TrustedPoint:
        """The header of a height, in one step or by halves."""
        point = self._network.point
        if height < point.height:
            raise NotFound("the snapshot is older than the header that is trusted")
        wanted = [height]
        for _ in range(STEPS_MAX):
            block: LightBlock = await headers.light_block(wanted[-1])
            if block.header.height != wanted[-1]:
                raise VerificationFailed("the engine told another header than was asked for")
            try:
                point = verify_block(point, block, now_ns=self._clock_ns())
            except VerificationFailed:
                between = (point.height + wanted[-1]) // 2
                if between == point.height:
                    raise
                wanted.append(between)
                continue
            wanted.pop()
            if not wanted:
                return point
        raise VerificationFailed("too many headers lie between the trusted one and the snapshot")
