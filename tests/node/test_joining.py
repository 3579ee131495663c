"""What somebody brings who joins a network, and what is believed of it: network file, headers, request to join."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from careledger.contracts.actions import decode_actions
from careledger.engine.configuration import Address, Peer, read_node_id
from careledger.engine.validator_key import open_validator_key
from careledger.ledger.light import LightBlock
from careledger.node import backup, founders, joining
from careledger.node.config import load
from careledger.node.finality import Headers
from careledger.node.home import LockedHome, open_keys
from careledger.node.joining import Place, join, read_join_request, read_own_network
from careledger.node.layout import Layout
from careledger.node.networkfile import NetworkFile, TrustedTimes, read_network, write_network
from careledger.node.service import open_registry
from careledger.primitives.errors import CareLedgerError, Invalid, Misconfigured, NotFound, VerificationFailed
from careledger.vault.keystore import Cost, KeyStore
from tests.contracts.network import CLINIC, HOSPITAL, NetworkPlay
from tests.ledger.play import START_MS
from tests.verifier.synthetic_network import START_NS, Blocks, sign

PASSPHRASE = "passphrase-123"
APP_HASHES = [bytes([height]) * 32 for height in range(12)]
SERVERS = (Address("127.0.0.1", 26657), Address("10.0.0.7", 26657))
PLACE = Place(
    listen="127.0.0.1:8080",
    p2p=Address("127.0.0.1", 26656),
    rpc=Address("127.0.0.1", 26657),
    reached_at=Address("203.0.113.9", 26656),
)
PEER = Peer("5" * 40, Address("198.51.100.7", 26656))


class Member:
    """A founder, its network, and blocks of that network as its validators signed them."""

    def __init__(self) -> None:
        founder = founders.Founder(
            "Hospital", HOSPITAL.root.key.public, HOSPITAL.node.key.public, HOSPITAL.validator.key.public
        )
        self.genesis = founders.make_network_genesis([founder], "ed25519", START_MS)
        self.engine_genesis = founders.engine_genesis(self.genesis, [founder], "ed25519")
        self.blocks = Blocks(self.genesis.chain_id, APP_HASHES)

    def file(self, height: int = 2, **changes: Any) -> bytes:
        trust = self.blocks.trust(height)
        written = write_network(self.engine_genesis, HOSPITAL.did, [PEER], SERVERS, trust)
        if not changes:
            return written
        return msgspec.json.encode(
            msgspec.structs.replace(msgspec.json.decode(written, type=NetworkFile), **changes)
        )


@pytest.fixture(scope="module")
def member() -> Member:
    return Member()


@pytest.fixture(autouse=True)
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    create, make = KeyStore.create, founders.create_validator_key
    cost = Cost(1, 8, 1)
    monkeypatch.setattr(
        KeyStore, "create", staticmethod(lambda keys, passphrase: create(keys, passphrase, cost))
    )
    monkeypatch.setattr(
        founders,
        "create_validator_key",
        lambda *given: make(*given, cost),
    )


def test_a_network_file_says_one_network_or_is_refused(member: Member) -> None:
    network = read_network(member.file())
    assert (network.genesis, network.key_type, network.member) == (member.genesis, "ed25519", HOSPITAL.did)
    assert (network.peers, network.rpc) == ((PEER,), SERVERS)
    sync = network.state_sync()
    assert (sync.trust_height, sync.trust_hash) == (2, member.blocks.at(2).commit.block_id.hash.hex())
    other = Blocks("cl-" + "5" * 32, APP_HASHES)
    document = json.loads(member.engine_genesis)
    false: list[dict[str, Any]] = [
        {"trust": other.trust(2).decode()},
        {"trust": "{}"},
        {"rpc": ["127.0.0.1:26657"]},
        {"rpc": ["nowhere"] * 2},
        {"peers": ["no-id@127.0.0.1:1"]},
        {"member": "did:careledger:00"},
        {"engine_genesis": "[]"},
        {"engine_genesis": "[" * 100_000},
        {"engine_genesis": json.dumps(document | {"chain_id": other.at(2).header.chain_id})},
        {"engine_genesis": json.dumps(document | {"app_state": {"genesis": "00"}})},
    ]
    for changes in false:
        with pytest.raises((VerificationFailed, Invalid)):
            read_network(member.file(**changes))
    with pytest.raises(VerificationFailed):
        read_network(member.file() + b"\n")


class Told(Headers):
    """A server that has these blocks, and counts what it is asked."""

    def __init__(self, blocks: dict[int, LightBlock]) -> None:
        self.blocks = blocks
        self.asked: list[int] = []

    async def light_block(self, height: int) -> LightBlock:
        self.asked.append(height)
        if height not in self.blocks:
            raise NotFound("no such block")
        return self.blocks[height]


def test_times_come_from_headers_that_lead_from_the_trusted_one(member: Member) -> None:
    blocks = {height: member.blocks.at(height) for height in range(1, 13)}
    now_ns = START_NS + 60 * 10**9

    def find(height: int, *servers: Told, trusted: int = 2, now: int = now_ns) -> int:
        order = dict(zip(SERVERS, servers, strict=False))
        network = read_network(member.file(trusted))
        times = TrustedTimes(network, lambda address: order[address], lambda: now)
        return asyncio.run(times.find(height))

    assert find(4, Told(blocks)) == (START_NS + 4 * 10**9) // 10**6
    assert find(2, Told(blocks)) == (START_NS + 2 * 10**9) // 10**6
    far = Told(blocks)  # nobody whom the trusted header names validates there any more
    assert find(12, far) == (START_NS + 12 * 10**9) // 10**6
    assert 2 < len(far.asked) < 12
    assert find(4, Told({}), Told(blocks)) > 0, "another server may have it"
    forged = sign(
        replace(blocks[4].header, time_ns=blocks[4].header.time_ns + 10**9),
        blocks[4].validators,
        {"m0": "wrong"},
    )
    refused: list[tuple[Any, ...]] = [
        (4, Told({4: forged}), Told({4: forged})),
        (4, Told({4: blocks[5]}), Told({4: blocks[5]})),
        (12, Told({12: blocks[12]}), Told({12: blocks[12]})),
    ]
    for height, *servers in refused:
        with pytest.raises(CareLedgerError):
            find(height, *servers)
    with pytest.raises(NotFound):
        find(3, Told(blocks), Told(blocks), trusted=4)
    with pytest.raises(VerificationFailed):
        find(4, Told(blocks), Told(blocks), now=now_ns + 15 * 86_400 * 10**9)


def test_who_joins_has_a_home_and_a_request_that_the_contract_takes(member: Member, tmp_path: Path) -> None:
    path = tmp_path / "home"
    made = join(path, "Riverside", PASSPHRASE, member.file(), PLACE)
    home = Layout(path).read()
    assert (home.chain_id, home.name) == (member.genesis.chain_id, "Riverside")
    own = read_own_network(Layout(path))
    assert own is not None and own.member == HOSPITAL.did
    config = load(path, {})
    assert (config.network.peers, config.network.rpc) == (str(PEER), str(PLACE.rpc))
    assert made.peer.address == PLACE.reached_at
    with pytest.raises(Misconfigured):
        join(path, "Riverside", PASSPHRASE, member.file(), PLACE)
    asked = read_join_request(made.request, HOSPITAL.did)
    assert (asked.did, asked.name, asked.peer) == (made.did, "Riverside", made.peer)
    assert asked.validator.public == open_validator_key(Layout(path).keys, PASSPHRASE).public
    kinds = [
        decode_actions([one])[0][0].name for one in (asked.admission_action(), asked.validator_action(1))
    ]
    assert kinds == ["admit", "add_validator"]
    play = NetworkPlay([HOSPITAL.founder()])
    play.decide(HOSPITAL, asked.admission_action())
    play.decide(HOSPITAL, asked.validator_action(1))
    assert len(play.weights) == 2
    with pytest.raises(Invalid):
        read_join_request(made.request, CLINIC.did)


def test_a_request_to_join_that_was_altered_is_refused(member: Member, tmp_path: Path) -> None:
    made = [join(tmp_path / name, name, PASSPHRASE, member.file(), PLACE) for name in ("one", "two")]
    one, two = (json.loads(each.request) for each in made)
    play = NetworkPlay([HOSPITAL.founder()])
    asked = read_join_request(made[0].request, HOSPITAL.did)
    swapped = json.dumps(one | {"validator": two["validator"]}, separators=(",", ":")).encode()
    taken = read_join_request(swapped, HOSPITAL.did)
    play.decide(HOSPITAL, asked.admission_action())
    for action in (taken.validator_action(1), taken.admission_action()):
        with pytest.raises(AssertionError):  # not its organisation's key; there already
            play.propose(HOSPITAL, action)
    renamed = one | {"admission": one["admission"] | {"name": "another"}}
    again = NetworkPlay([HOSPITAL.founder()])
    with pytest.raises(AssertionError):
        data = json.dumps(renamed, separators=(",", ":")).encode()
        again.propose(HOSPITAL, read_join_request(data, HOSPITAL.did).admission_action())
    for damaged in (made[0].request[:-1], made[0].request + b" ", b"{}", b"[" * 100_000):
        with pytest.raises(VerificationFailed):
            read_join_request(damaged, HOSPITAL.did)


def test_a_home_without_its_network_file_founded_its_network(member: Member, tmp_path: Path) -> None:
    join(tmp_path / "home", "Riverside", PASSPHRASE, member.file(), PLACE)
    shutil.move(tmp_path / "home" / "engine" / joining.FILE_NAME, tmp_path / "elsewhere")
    assert read_own_network(Layout(tmp_path / "home")) is None


def test_a_backup_is_restored_into_its_network_and_into_no_other(member: Member, tmp_path: Path) -> None:
    made = joining.join(tmp_path / "lab", "Lab", PASSPHRASE, member.file(), PLACE)
    locked = LockedHome(tmp_path / "lab", *open_keys(Layout(tmp_path / "lab"), PASSPHRASE))
    registry = open_registry(locked.home.layout, locked.home.keys)
    try:
        backup.write(backup.plan(locked.home, registry), tmp_path / "b", lambda _step: None)
    finally:
        registry.close()
        locked.close()
    again = tmp_path / "again"
    with pytest.raises(Misconfigured, match="another network"):
        backup.restore(tmp_path / "b", again, PASSPHRASE, Member().file())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "lab"]
    done = backup.restore(tmp_path / "b", again, PASSPHRASE, member.file())
    layout = Layout(again)
    assert read_own_network(layout) == read_network(member.file())
    assert read_node_id(layout.engine) == done["node_id"] != made.peer.id
    assert (layout.engine / "config" / "genesis.json").read_bytes() == member.engine_genesis
