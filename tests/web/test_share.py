"""Whoever has more connections than another leaves the next one to that other, for a moment."""

from __future__ import annotations

import asyncio
import socket

import pytest

from careledger.web import share


async def count_taken(listener: socket.socket, others: int, waits: list[float]) -> list[int]:
    """Connections that a worker with one took of the one that came, after each wait; the other worker has `others`."""
    loads = share.Loads(2)
    loads.number = 1
    loads.set(others)
    loads.number = 0
    taken: list[asyncio.Protocol] = []

    def connect() -> asyncio.Protocol:
        taken.append(asyncio.Protocol())
        return taken[-1]

    acceptor = share.Acceptor(listener, connect, None, loads, {object()})
    acceptor.start()
    counts = []
    with socket.create_connection(listener.getsockname()):
        for wait in waits:
            await asyncio.sleep(wait)
            counts.append(len(taken))
    acceptor.stop()
    return counts


@pytest.mark.parametrize(
    "others, taken", [(0, [0, 1]), (1, [1, 1]), (2, [1, 1])], ids=["fewer", "as many", "more"]
)
def test_the_next_connection_is_left_to_whoever_has_fewer(monkeypatch, others, taken):
    monkeypatch.setattr(share, "POLITE_SECONDS", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        assert asyncio.run(count_taken(listener, others, [0.3, 0.9])) == taken
