"""A link passes everything on until it is cut, and nothing while it is."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest
import uvloop

from careledger.engine import relay as relay_module
from careledger.engine.configuration import Address
from careledger.engine.relay import Relay, Relays


@contextlib.asynccontextmanager
async def echo(dialled=None):
    """A peer that sends back what it hears; `dialled` grows by one for each connection."""

    async def answer(reader, writer):
        (dialled if dialled is not None else []).append(1)
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def dial(address):
    return await asyncio.open_connection(address.host, address.port)


async def ask(connection, data=b"hello"):
    connection[1].write(data)
    return await asyncio.wait_for(connection[0].readexactly(len(data)), 5)


async def is_gone(connection):
    """Whether the other side reset or closed the connection."""
    try:
        return await asyncio.wait_for(connection[0].read(1), 5) == b""
    except ConnectionError:
        return True


def run(test):
    """On both loops: nodes run on uvloop, and it calls in another order."""
    asyncio.run(asyncio.wait_for(test(), 30))
    uvloop.run(asyncio.wait_for(test(), 30))


def test_a_link_passes_everything_both_ways_until_it_is_cut_and_after_it_is_healed():
    async def test():
        dialled = []
        async with echo(dialled) as peer:
            relay = Relay(peer)
            address = await relay.start()
            first = await dial(address)
            assert await ask(first) == b"hello"
            await relay.cut()
            assert await is_gone(first)
            assert await is_gone(await dial(address))
            await asyncio.sleep(0.05)
            assert len(dialled) == 1  # the peer does not even notice
            await relay.heal()
            assert await ask(await dial(address)) == b"hello"
            await relay.stop()
            with pytest.raises(OSError):
                await dial(address)

    run(test)


def test_a_cut_reaches_connections_that_are_still_being_made():
    async def test():
        async with echo() as peer:
            relay = Relay(peer)
            address = await relay.start()
            for turns in range(6):
                await relay.heal()
                making = asyncio.create_task(dial(address))
                for _ in range(turns):
                    await asyncio.sleep(0)
                await relay.cut()
                with contextlib.suppress(OSError):
                    assert await is_gone(await making)
            await relay.stop()

    run(test)


def test_much_at_once_arrives_whole_and_a_slow_reader_holds_the_sender_back():
    async def test():
        async with echo() as peer:
            relay = Relay(peer)
            reader, writer = await dial(await relay.start())
            data = os.urandom(4 << 20)

            async def send():
                for start in range(0, len(data), 1 << 16):
                    writer.write(data[start : start + (1 << 16)])
                    await writer.drain()

            sending = asyncio.create_task(send())
            assert await asyncio.wait_for(reader.readexactly(len(data)), 20) == data
            await sending
            await relay.stop()

    run(test)


def test_what_waits_in_a_relay_is_bounded():
    async def test():
        async def deaf(_reader, writer):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(20)
            writer.close()

        server = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1)
        relay = Relay(Address("127.0.0.1", server.sockets[0].getsockname()[1]))
        _, writer = await dial(await relay.start())
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.7):
                while sent < 256 << 20:
                    writer.write(bytes(1 << 16))
                    sent += 1 << 16
                    await writer.drain()
        assert sent < 64 << 20  # kernel buffers and WAITING_BYTES_MAX
        await relay.stop()
        server.close()

    run(test)


def test_a_peer_that_is_away_and_too_many_connections_are_resets(monkeypatch):
    monkeypatch.setattr(relay_module, "CONNECTIONS_MAX", 2)

    async def test():
        async with echo() as peer:
            relay = Relay(peer)
            address = await relay.start()
            kept = [await dial(address) for _ in range(2)]
            for connection in kept:
                assert await ask(connection) == b"hello"
            assert await is_gone(await dial(address))
            assert await ask(kept[0]) == b"hello"
            await relay.stop()
        away = Relay(peer)
        assert await is_gone(await dial(await away.start()))
        await away.stop()

    run(test)


def test_exactly_the_named_links_are_cut():
    async def test():
        async with echo() as peer:
            relays = Relays({"berg": peer, "tal": peer, "see": peer})
            addresses = await relays.start()
            await relays.cut(["berg", "see"])
            assert relays.list_cut() == ("berg", "see")
            assert await ask(await dial(addresses["tal"])) == b"hello"
            assert await is_gone(await dial(addresses["berg"]))
            await relays.cut(["tal"])
            assert await ask(await dial(addresses["berg"])) == b"hello"
            await relays.heal()
            assert relays.list_cut() == ()
            await relays.stop()

    run(test)
