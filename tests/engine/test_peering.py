"""An engine is started anew for a lost peer only when that helps and costs nothing."""

from __future__ import annotations

import asyncio

from careledger.engine import peering
from careledger.engine.configuration import Address, Peer
from careledger.engine.peering import (
    DIALS_OFTEN_SECONDS,
    STALLED_SECONDS,
    PeerWatch,
    is_in_reach,
    watch_peers,
)
from careledger.engine.relay import Relay
from careledger.primitives.errors import Unavailable
from tests.engine.real import REAL_ENGINE, make_home, make_settings, running
from tests.engine.test_relay import echo

BERG, TAL = (Peer(digit * 40, Address("127.0.0.1", port)) for digit, port in (("a", 1001), ("b", 1002)))
LATE = DIALS_OFTEN_SECONDS + 1


def test_a_peer_that_was_out_of_reach_for_long_and_is_back_is_dialled_anew():
    watch = PeerWatch((BERG, TAL), 0.0)
    assert watch.see(0.0, [BERG.id, TAL.id], 5, 0) == ()
    assert watch.see(1.0, [TAL.id], 5, 0) == ()
    assert watch.see(1.0 + LATE, [TAL.id], 5, 0) == (BERG,)
    assert not watch.is_redial_due(BERG.id, False)
    assert watch.see(6.0 + LATE, [TAL.id], 5, 0) == (BERG,)
    assert watch.is_redial_due(BERG.id, True)
    assert watch.see(11.0 + LATE, [TAL.id], 5, 1) == ()  # it was started anew: it dials by itself for a while


def test_while_blocks_are_made_nothing_is_started_anew():
    watch = PeerWatch((BERG,), 0.0)
    for second in range(0, 1000, 5):
        assert watch.see(float(second), [], second, 0) == ()
    assert watch.see(995.0 + STALLED_SECONDS, [], 995, 0) == (BERG,)


def test_one_that_lets_nobody_in_is_no_reason():
    watch = PeerWatch((BERG,), 0.0)
    watch.see(0.0, [], 5, 0)
    for second in range(int(LATE), 1000, 5):
        assert watch.see(float(second), [], 5, 0) == (BERG,)
        assert not watch.is_redial_due(BERG.id, True)


def test_a_peer_that_came_back_by_itself_is_forgotten():
    watch = PeerWatch((BERG,), 0.0)
    watch.see(0.0, [], 5, 0)
    assert watch.see(LATE, [], 5, 0) == (BERG,)
    watch.is_redial_due(BERG.id, False)
    assert watch.see(LATE + 5, [BERG.id], 5, 0) == ()
    assert watch.see(LATE + 10, [], 5, 0) == ()


def test_a_cut_link_is_out_of_reach_though_it_accepts():
    async def test():
        async def greet(_reader, writer):
            writer.write(b"key")
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        link = Relay(Address("127.0.0.1", server.sockets[0].getsockname()[1]))
        address = await link.start()
        assert await is_in_reach(address)
        await link.cut()
        assert not await is_in_reach(address)
        await link.stop()
        server.close()
        assert not await is_in_reach(address)
        async with echo() as silent:
            assert not await is_in_reach(silent)

    asyncio.run(asyncio.wait_for(test(), 30))


@REAL_ENGINE
def test_a_stalled_engine_is_started_anew_once(tmp_path, monkeypatch):
    """The real one, which has a peer at a link that is cut and healed; it validates nothing, so it makes no block."""
    monkeypatch.setattr(peering, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(peering, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(peering, "DIALS_OFTEN_SECONDS", 0.3)

    async def test():
        there = make_settings(moniker="tal")
        link = Relay(there.p2p)
        settings = make_settings(peers=(Peer("c" * 40, await link.start()),))
        homes = [make_home(tmp_path / one.moniker, one, validates=False) for one in (there, settings)]
        await link.cut()
        async with running(homes[0], there), running(homes[1], settings) as process:
            await asyncio.sleep(1.0)
            assert process.restarts == 0  # out of reach: nothing would be gained
            await link.heal()
            async with asyncio.timeout(10):
                while not process.restarts:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await process.wait_until_ready()
            await asyncio.sleep(1.5)
            assert process.restarts == 1  # it is in reach and will not have us: once is enough
        await link.stop()

    asyncio.run(asyncio.wait_for(test(), 60))


def test_an_engine_that_does_not_answer_is_left_alone(monkeypatch):
    monkeypatch.setattr(peering, "LOOK_SECONDS", 0.01)

    class Silent:
        restarts = 0
        asked = 0

        @property
        def rpc(self):
            return self

        async def net_info(self):
            self.asked += 1
            raise Unavailable("no engine answers")

        def restart(self):
            raise AssertionError("started anew")

    async def test():
        engine = Silent()
        task = asyncio.create_task(watch_peers(engine, (BERG,), lambda *_: None))
        await asyncio.sleep(0.2)
        assert engine.asked > 3 and not task.done()
        task.cancel()

    asyncio.run(test())
