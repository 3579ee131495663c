"""What an engine answers is read exactly and within limits; silence, refusals and nonsense are told apart."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from careledger.engine import rpc as rpc_module
from careledger.engine.configuration import Address
from careledger.engine.genesis import compute_address
from careledger.engine.rpc import Rpc, parse_time
from careledger.ledger.light import check_block
from careledger.ledger.light_encoding import Validator
from careledger.primitives.errors import Corrupt, Invalid, NotFound, TooLarge, Unavailable
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import ed25519_public_key
from tests.conftest import VECTORS
from tests.engine.real import CHAIN, REAL_ENGINE, SEED, make_home, make_settings, running
from tests.engine.test_process import reach


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


@REAL_ENGINE
def test_every_question_is_answered_by_the_real_engine(tmp_path):
    async def test():
        settings = make_settings()
        async with running(make_home(tmp_path / "engine", settings), settings) as process:
            await reach(process, 3)
            rpc, public = process.rpc, ed25519_public_key(SEED)
            address = compute_address(public).hex().upper()
            status = await rpc.status()
            assert (status.node_info.network, status.node_info.moniker) == (CHAIN, "berg")
            assert status.validator_info.address == address and status.validator_info.pub_key.value == public
            block, following = await rpc.light_block(2), await rpc.light_block(3)
            check_block(block, CHAIN)
            assert (block.header.height, block.header.app_version) == (2, 1)
            assert following.header.last_block_id == block.commit.block_id
            assert block.validators.validators == (Validator("ed25519", public, 10),)
            assert block.header.data_hash == sha256(b"")
            assert (await rpc.net_info()).peers == ()
            with pytest.raises(NotFound):
                await rpc.light_block(10_000)

    run(test)


@contextlib.asynccontextmanager
async def playing(*answers, head="HTTP/1.1 200 OK\r\n", is_whole=True):
    """An engine that gives these answers, one a connection, and writes down what it was asked."""
    asked, left = [], list(answers)

    async def answer(reader, writer):
        asked.append((await reader.readline()).decode().split()[1])
        await reader.readuntil(b"\r\n\r\n")
        body = left.pop(0) if left else b""
        body = body if isinstance(body, bytes) else json.dumps({"jsonrpc": "2.0", "id": -1, **body}).encode()
        writer.write(f"{head}Content-Length: {len(body) + (0 if is_whole else 1)}\r\n\r\n".encode() + body)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield Rpc(Address("127.0.0.1", server.sockets[0].getsockname()[1]), seconds_max=5), asked
    finally:
        server.close()


ENGINE = json.loads((VECTORS / "engine_light.json").read_text())["blocks"]["block-1"]


def make_page(members, total):
    """A page of the validators of block 1."""
    return {"result": {"block_height": "1", "validators": members, "total": total}}


def test_all_pages_of_validators_are_read():
    commit, (one, *_) = {"result": ENGINE["commit"]}, ENGINE["validators"]["validators"]

    async def test():
        pages = [make_page([one] * 100, "150"), make_page([one] * 50, "150")]
        async with playing(commit, *pages) as (rpc, asked):
            assert len((await rpc.light_block(1)).validators.validators) == 150
            assert [path.partition("page=")[2] for path in asked[1:]] == ["1&per_page=100", "2&per_page=100"]

    run(test)


@pytest.mark.parametrize(
    "pages",
    [
        [make_page([], "1")],
        [make_page(["x"], "1")],
        [make_page([], "1001")],  # more than a set has: they are not asked for
        [make_page([], "many")],
        [make_page([], None)],
        [{"result": {"block_height": "1", "validators": []}}],
        [{"result": []}],
        [b'{"result": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"],
    ],
)
def test_a_set_of_validators_that_is_none_is_refused(pages):
    async def test():
        async with playing({"result": ENGINE["commit"]}, *pages) as (rpc, asked):
            with pytest.raises((Corrupt, Invalid)):
                await rpc.light_block(1)
            assert len(asked) == 2

    run(test)


HASH = "A" * 64
SYNC = {"latest_block_hash": HASH, "latest_app_hash": "", "latest_block_height": "5", "catching_up": False,
        "latest_block_time": "2026-01-02T03:04:05.000000006Z", "earliest_block_height": "1"}  # fmt: skip
NODE = {"id": "a" * 40, "network": "cl-1", "moniker": "berg"}
KEY = {"type": "t", "value": "AAAA"}
STATUS = {
    "node_info": NODE,
    "sync_info": SYNC,
    "validator_info": {"address": "AB", "pub_key": KEY, "voting_power": "0"},
}


def test_what_the_engine_adds_is_left_out():
    async def test():
        async with playing({"result": {**STATUS, "news": [1]}}) as (rpc, _):
            assert (await rpc.status()).sync_info.latest_block_height == 5

    run(test)


@pytest.mark.parametrize(
    "sync",
    [{"latest_block_height": "-1"}, {"latest_block_height": "9223372036854775808"}, {"latest_block_height": "5x"},
     {"latest_block_height": None}, {"latest_block_hash": "zz"}, {"latest_block_hash": "A" * 130},
     {"latest_block_time": "yesterday"}],
)  # fmt: skip
def test_nonsense_is_refused(sync):
    async def test():
        async with playing({"result": {**STATUS, "sync_info": {**SYNC, **sync}}}) as (rpc, _):
            with pytest.raises(Corrupt):
                await rpc.status()

    run(test)


@pytest.mark.parametrize("answer", [b"", b"{", b"404 page not found", b'{"result": ', b"\xff\xfe", b"[]"])
def test_what_is_no_answer_is_refused(answer):
    async def test():
        async with playing(answer) as (rpc, _):
            with pytest.raises(Corrupt):
                await rpc.status()

    run(test)


def test_half_an_answer_and_another_protocol_are_refused():
    async def test():
        for how in ({"is_whole": False}, {"head": "SSH-2.0-OpenSSH\r\n"}):
            async with playing({"result": STATUS}, **how) as (rpc, _):
                with pytest.raises(Corrupt):
                    await rpc.status()

    run(test)


def test_an_answer_has_a_limit_of_bytes_and_seconds(monkeypatch):
    monkeypatch.setattr(rpc_module, "ANSWER_BYTES_MAX", 10_000)

    async def test():
        async with playing(b" " * 20_000) as (rpc, _):
            with pytest.raises(TooLarge):
                await rpc.status()

        async def silent(_reader, writer):
            await asyncio.sleep(5)
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        with pytest.raises(Unavailable, match="no answer in"):
            await Rpc(address, seconds_max=0.1).status()
        server.close()
        with pytest.raises(Unavailable) as refused:
            await Rpc(address).status()
        assert refused.value.code == "engine-unreachable"

    run(test)


def test_a_refusal_says_why():
    async def test():
        said = {
            "code": -32603,
            "message": "Internal error",
            "data": "height 9 must be less than or equal to 5",
        }
        async with playing({"error": said}, {"error": {**said, "data": "no luck"}}) as (rpc, _):
            with pytest.raises(NotFound, match="height 9"):
                await rpc.ask("commit")
            with pytest.raises(Unavailable, match="no luck"):
                await rpc.ask("commit")

    run(test)


@pytest.mark.parametrize(
    "text, time",
    [("1970-01-01T00:00:00Z", (0, 0)), ("2026-11-23T10:51:43.104829732Z", (1795431103, 104829732)),
     ("2026-11-23T10:51:43.1Z", (1795431103, 100_000_000)), ("0001-01-01T00:00:00Z", (-62135596800, 0))],
)  # fmt: skip
def test_times_are_exact(text, time):
    assert parse_time(text) == time
