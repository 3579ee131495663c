"""An engine's files say what was set, and the real engine understands them so."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import stat
import subprocess
import time
import tomllib

import pytest

from careledger.engine.configuration import (
    Address,
    Pace,
    Peer,
    StateSync,
    compute_config,
    compute_node_id,
    read_node_id,
    write_home,
)
from careledger.engine.genesis import (
    GenesisSettings,
    Validator,
    compute_address,
    compute_genesis,
)
from careledger.engine.install import find_engine
from careledger.engine.relay import Relay
from careledger.primitives.errors import Corrupt, Invalid
from careledger.primitives.signing import ML_DSA_65_PUBLIC_SIZE
from tests.e2e.node import free_port
from tests.engine.real import CHAIN, REAL_ENGINE, TIME_MS, make_genesis, make_home, make_settings, running
from tests.engine.test_process import reach

IDS = ("a" * 40, "b" * 40)
RPC = (Address("127.0.0.1", 1001), Address("127.0.0.1", 1002))
FULL = {
    "application": "abci.sock",
    "signer": "signer.sock",
    "mempool": "app",
    "peers": (Peer(IDS[0], Address("10.0.0.1", 26656)), Peer(IDS[1], Address("tal.example.org", 26656))),
    "private_peers": (IDS[0],),
    "external": Address("berg.example.org", 26656),
    "state_sync": StateSync(RPC, 5, "ab" * 32, 3600),
    "metrics": Address("127.0.0.1", 9100),
    "pace": Pace(),
}


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


def test_the_settings_are_what_is_written():
    read = tomllib.loads(compute_config(make_settings(**FULL)))
    assert read["proxy_app"] == "unix://abci.sock" and read["priv_validator_laddr"] == "unix://signer.sock"
    assert read["priv_validator_key_file"] == "data/unused_file_key.json"
    assert read["mempool"]["type"] == "app" and read["mempool"]["reap_interval"] == "20ms"
    peers = f"{IDS[0]}@10.0.0.1:26656,{IDS[1]}@tal.example.org:26656"
    assert read["p2p"]["persistent_peers"] == peers
    assert read["p2p"]["private_peer_ids"] == IDS[0] and not read["p2p"]["pex"]
    sync = read["statesync"]
    assert sync["enable"] and sync["rpc_servers"] == "http://127.0.0.1:1001,http://127.0.0.1:1002"
    assert (sync["trust_height"], sync["trust_hash"], sync["trust_period"]) == (5, "AB" * 32, "3600s")
    assert read["instrumentation"]["prometheus"] and "instrumentation" not in tomllib.loads(
        compute_config(make_settings())
    )


@pytest.mark.parametrize(
    "others",
    [
        {"rpc": Address("0.0.0.0", 26657)},
        {"rpc": Address("berg.example.org", 26657)},
        {"moniker": 'x"\nproxy_app = "kvstore'},
        {"moniker": ""},
        {"moniker": "Krankenhaus Süd"},
        {"application": "../abci.sock"},
        {"signer": "/tmp/signer.sock"},
        {"peers": (FULL["peers"][0], FULL["peers"][0])},
        {"private_peers": ("x",)},
    ],
)  # fmt: skip
def test_settings_that_would_open_or_confuse_the_engine_are_refused(others):
    with pytest.raises(Invalid):
        make_settings(**others)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Address('127.0.0.1"', 1),
        lambda: Address("a b", 1),
        lambda: Address("::1", 1),
        lambda: Address("127.0.0.1", 0),
        lambda: Address("127.0.0.1", 65536),
        lambda: Peer("A" * 40, RPC[0]),
        lambda: StateSync(RPC[:1], 5, "ab" * 32, 3600),
        lambda: StateSync(RPC, 0, "ab" * 32, 3600),
        lambda: StateSync(RPC, 5, "ab" * 31, 3600),
        lambda: StateSync(RPC, 5, "ab" * 32, 0),
    ],
)
def test_parts_of_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(Invalid):
        make()


def test_what_reaches_only_this_machine():
    loopback = [("127.0.0.1", True), ("127.8.8.8", True), ("[::1]", True), ("localhost", True), ("10.0.0.1", False),
                ("localhost.example.org", False), ("[::]", False)]  # fmt: skip
    assert [(host, Address(host, 1).is_loopback) for host, _ in loopback] == loopback


def test_a_home_keeps_its_node_key_and_its_network(tmp_path):
    home, seed = tmp_path / "engine", os.urandom(32)
    settings = make_settings()
    write_home(home, settings, make_genesis(), seed)
    write_home(home, make_settings(moniker="tal"), make_genesis(), os.urandom(32))
    assert read_node_id(home) == compute_node_id(seed)
    assert tomllib.loads((home / "config" / "config.toml").read_text())["moniker"] == "tal"
    for path in (home, *home.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077
    with pytest.raises(Corrupt):
        write_home(home, settings, make_genesis(ledger_genesis=b"another"), seed)
    assert (home / "config" / "genesis.json").read_bytes() == make_genesis()
    (home / "config" / "node_key.json").write_text("{}")
    with pytest.raises(Corrupt):
        read_node_id(home)


KEYS = tuple(bytes([number]) * ML_DSA_65_PUBLIC_SIZE for number in range(3))
GENESIS = {
    "chain_id": CHAIN,
    "time_ms": TIME_MS,
    "ledger_genesis": b"g",
    "validators": (Validator(KEYS[0], 1),),
}


@pytest.mark.parametrize(
    "others",
    [
        {"chain_id": "Cl"},
        {"chain_id": "c" * 51},
        {"validators": ()},
        {"validators": (Validator(KEYS[0], 0),)},
        {"validators": (Validator(KEYS[0][:32], 1),)},
        {"validators": (Validator(KEYS[0], 1), Validator(KEYS[0], 1))},
        {"key_type": "ed25519"},
        {"block_bytes_max": 70_000},
        {"evidence_bytes_max": 5 << 20},
        {"evidence_bytes_max": (256 << 10) + 1, "block_bytes_max": 8 << 20},
    ],
)
def test_a_genesis_that_no_network_could_begin_with_is_refused(others):
    with pytest.raises(Invalid):
        GenesisSettings(**{**GENESIS, **others})


# --- the real engine -----------------------------------------------------------------------------------------------
@REAL_ENGINE
def test_every_setting_is_one_the_engine_knows(tmp_path):
    """It ignores what it does not know: a setting of another name would have no effect, and nobody would notice."""
    engine = find_engine(os.environ).path
    subprocess.run([engine, "init", "--home", tmp_path], check=True, capture_output=True, env={})
    known = tomllib.loads((tmp_path / "config" / "config.toml").read_text())
    ours = tomllib.loads(compute_config(make_settings(**FULL)))
    for name, value in ours.items():
        for key, here, there in (
            [(f"{name}.{key}", value[key], known[name].get(key)) for key in value]
            if isinstance(value, dict)
            else [(name, value, known.get(name))]
        ):
            assert type(here) is type(there), key


@REAL_ENGINE
def test_the_engine_reads_a_genesis_of_post_quantum_validators_as_it_was_meant(tmp_path):
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

    publics = [MLDSA65PrivateKey.generate().public_key().public_bytes_raw() for _ in range(2)]
    validators = tuple(Validator(public, power) for public, power in zip(publics, (10, 7), strict=True))
    genesis = compute_genesis(GenesisSettings(**{**GENESIS, "validators": validators, "evidence_days": 9}))

    async def test():
        settings = make_settings()
        home = make_home(tmp_path / "engine", settings, validates=False, genesis=genesis)
        async with running(home, settings) as process:
            status = await process.rpc.status()
            assert status.node_info.id == read_node_id(home) and status.node_info.network == CHAIN
            # The engine has compared each address with its own reckoning, and completed what was left out.
            document = json.loads(await process.rpc.ask("genesis"))["genesis"]
            keys = [one["pub_key"]["value"] for one in document["validators"]]
            assert [base64.b64decode(key) for key in keys] == publics
            addresses = [compute_address(public).hex().upper() for public in publics]
            assert [one["address"] for one in document["validators"]] == addresses
            assert [one["power"] for one in document["validators"]] == ["10", "7"]
            parameters = document["consensus_params"]
            assert parameters["validator"]["pub_key_types"] == ["ml_dsa_65"]
            assert parameters["evidence"]["max_age_duration"] == str(9 * 86_400 * 10**9)
            assert parameters["version"]["app"] == "1"
            assert document["genesis_time"] == "2023-11-14T22:13:20.123Z" and document["app_state"] == {
                "genesis": "67"
            }

    run(test)


async def list_peers(process):
    return {peer.node_info.moniker for peer in (await process.rpc.net_info()).peers}


async def await_peers(process, expected, seconds):
    end = time.monotonic() + seconds
    while await list_peers(process) != expected:
        assert time.monotonic() < end, await list_peers(process)
        await asyncio.sleep(0.1)


@REAL_ENGINE
@pytest.mark.slow
def test_only_named_peers_are_let_in_and_cut_links_come_back(tmp_path):
    """Berg validates; tal follows it through links that can be cut; nobody named the stranger."""

    async def test():
        seeds = {name: os.urandom(32) for name in ("berg", "tal")}
        ids = {name: compute_node_id(seed) for name, seed in seeds.items()}
        ports = {name: Address("127.0.0.1", free_port()) for name in seeds}
        links = {name: Relay(address) for name, address in ports.items()}
        dialled = {name: await link.start() for name, link in links.items()}
        all_settings = {
            "berg": make_settings(p2p=ports["berg"], peers=(Peer(ids["tal"], dialled["tal"]),)),
            "tal": make_settings(
                moniker="tal", p2p=ports["tal"], peers=(Peer(ids["berg"], dialled["berg"]),)
            ),
            "stranger": make_settings(moniker="stranger", peers=(Peer(ids["berg"], ports["berg"]),)),
        }
        async with contextlib.AsyncExitStack() as stack:
            at = {}
            for name, settings in all_settings.items():
                home = make_home(tmp_path / name, settings, validates=name == "berg", seed=seeds.get(name))
                at[name] = await stack.enter_async_context(running(home, settings))
            await await_peers(at["berg"], {"tal"}, 15)
            height = await reach(at["tal"], 2)
            for link in links.values():
                await link.cut()
            await await_peers(at["berg"], set(), 5)
            await await_peers(at["tal"], set(), 5)
            for link in links.values():
                await link.heal()
            await await_peers(at["tal"], {"berg"}, 15)
            await reach(at["tal"], height + 5)
            # The stranger counts berg for a moment at each try, until berg's refusal has reached it.
            await await_peers(at["berg"], {"tal"}, 5)
            await await_peers(at["stranger"], set(), 5)
            assert (await at["stranger"].get_health()).height == 0
        for link in links.values():
            await link.stop()

    run(test)
