"""Coming to a network: keys, a home on its ledger, and the file with which its members are asked.

`careledger/join-request/1` is canonical JSON (RFC 8785) of a closed shape: the request for admission of the
organisation, signed by its root and node key, and its validator's key, which signed that it is the organisation's.
docs/spec/joining.md is the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from careledger.contracts.actions import (
    ADD_VALIDATOR,
    ADMIT_ORGANISATION,
    AddValidator,
    compute_validator_statement,
)
from careledger.contracts.admission import Admit
from careledger.contracts.identity import ORGANISATION
from careledger.engine.configuration import Address, Peer
from careledger.engine.validator_key import open_validator_key
from careledger.ledger.kernel import ED25519, Key
from careledger.ledger.proof_files import decode_file
from careledger.ledger.transaction import SecretKey
from careledger.node import admission, founders
from careledger.node.admission import AdmissionRequest, ProvenKey
from careledger.node.config import FILE_NAME as CONFIG_NAME
from careledger.node.layout import Layout
from careledger.node.networkfile import FILE_NAME, Network, parse_peer, read_network
from careledger.primitives.errors import Conflict, Misconfigured
from careledger.primitives.files import write_durably
from careledger.primitives.types import Did, compute_did
from careledger.vault.keystore import KeyStore

REQUEST_FORMAT: Final[Literal["careledger/join-request/1"]] = "careledger/join-request/1"
REQUEST_NAME: Final = "join-request.json"
"""In the home that asks."""


class JoinRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields in the order of RFC 8785. `peer`: how the engine of who asks is reached, `NODE-ID@HOST:PORT`."""

    admission: AdmissionRequest
    format: Literal["careledger/join-request/1"]
    peer: str
    validator: ProvenKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a home that joins listens. `reached_at`: where its peers find its engine."""

    listen: str
    p2p: Address
    rpc: Address
    reached_at: Address
    relayed: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """A home that can be served; its organisation is not admitted yet."""

    did: Did
    chain_id: str
    peer: Peer
    request: bytes


@dataclass(frozen=True, slots=True)
class AskedToJoin:
    """A request, read: the actions of a proposal that would admit the organisation, and add its validator."""

    did: Did
    name: str
    peer: Peer
    validator: Key
    proof: bytes
    admit: Admit

    def admission_action(self) -> bytes:
        """The organisation is admitted."""
        return ADMIT_ORGANISATION.encode(self.admit)

    def validator_action(self, weight: int) -> bytes:
        """Its validator signs with this weight."""
        return ADD_VALIDATOR.encode(AddValidator(self.did, self.validator, weight, self.proof))


def join(path: Path, name: str, passphrase: str, file: bytes, place: Place, to: Did | None = None) -> Joined:
    """Make the home and ask the member who wrote the network file, or `to`; whole, or nothing of it. Raises if the folder is not empty."""
    network = read_network(file)
    with founders.whole(path):
        founder = founders.prepare(path, name, passphrase, network.key_type)
        founders.found_network_home(path, name, passphrase, network.genesis)
        if not (path / CONFIG_NAME).exists():
            write_durably(path / CONFIG_NAME, _compute_config(network, place).encode())
        did = compute_did(ORGANISATION, *founder.root_key)
        return begin_joining(path, name, passphrase, network, file, place, did, to)


def begin_joining(
    path: Path,
    name: str,
    passphrase: str,
    network: Network,
    file: bytes,
    place: Place,
    did: Did,
    to: Did | None = None,
) -> Joined:
    """Lay what the engine needs into a home that has its keys, and write the request to join."""
    layout = Layout(path)
    node_id = founders.begin_engine(layout, network.engine_genesis)
    peer = Peer(node_id, place.reached_at)
    write_durably(layout.engine / FILE_NAME, file)
    request = _make_request(layout, name, passphrase, to or network.member, did, peer)
    write_durably(path / REQUEST_NAME, request)
    return Joined(did, network.genesis.chain_id, peer, request)


def write_settings(path: Path, network: Network, place: Place) -> None:
    """Add the network's settings to those that a home has. Raises Conflict if it has such already."""
    present = (path / CONFIG_NAME).read_text() if (path / CONFIG_NAME).exists() else ""
    if not present:
        write_durably(path / CONFIG_NAME, _compute_config(network, place).encode())
        return
    if "[network]" in present:
        raise Conflict(
            "the home's configuration names a network already", hint="take [network] out of its config.toml"
        )
    own = _compute_config(network, place)
    text = present.rstrip("\n") + "\n\n" + own[own.index("[network]") :]
    write_durably(path / CONFIG_NAME, text.encode())


def _make_request(layout: Layout, name: str, passphrase: str, to: Did, did: Did, peer: Peer) -> bytes:
    keys = KeyStore.open(layout.keys, passphrase)
    root, node = SecretKey(ED25519, keys.root_seed), SecretKey(ED25519, keys.node_seed)
    asked = msgspec.json.decode(admission.make_request(to, name, root, node), type=AdmissionRequest)
    validator = open_validator_key(layout.keys, passphrase)
    key = Key(founders.ALGORITHMS[validator.type], validator.public)
    request = JoinRequest(
        admission=asked,
        format=REQUEST_FORMAT,
        peer=str(peer),
        validator=admission.prove_key(key, validator.sign(compute_validator_statement(did, key))),
    )
    return msgspec.json.encode(request)


def read_join_request(data: bytes, member: Did) -> AskedToJoin:
    """Who asks this member. Raises VerificationFailed or Invalid. That the keys signed, the contract checks."""
    file = decode_file(data, JoinRequest, "the request to join")
    asked = admission.read_request(msgspec.json.encode(file.admission), member)
    key, proof = admission.read_key(file.validator)
    return AskedToJoin(asked.did, asked.name, parse_peer(file.peer), key, proof, asked.admit)


def read_own_network(layout: Layout) -> Network | None:
    """The network file with which this home joined; None if it founded its network."""
    try:
        return read_network((layout.engine / FILE_NAME).read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misconfigured(
            f"the home's network file cannot be read: {error.strerror}", hint="put it back into HOME/engine"
        ) from error


def _compute_config(network: Network, place: Place) -> str:
    """The text of the home's config.toml: every member that the network file names is a peer."""
    peers = ", ".join(f'"{peer}"' for peer in network.peers)
    return (
        f'[server]\nlisten = "{place.listen}"\n\n[network]\np2p = "{place.p2p}"\nrpc = "{place.rpc}"\n'
        f"peers = [{peers}]\n" + ("relayed = true\n" if place.relayed else "")
    )
