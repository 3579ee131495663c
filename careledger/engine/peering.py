"""Finding peers again after a long separation.

The engine dials a lost peer twenty times, every five to eight seconds, then after 3, 9, 27, … seconds: after an outage
of ten minutes it may take another ten before it dials again, and nothing on its RPC hurries it that a stranger should
not be able to call. An engine that starts anew dials at once. So an engine is started anew when all of this holds: it
has made no block for a while (so nothing is lost by it), it has missed a peer for so long that it dials rarely, and
that peer, which was out of reach, is there again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from careledger.engine.configuration import Address, Peer
from careledger.engine.rpc import Rpc
from careledger.primitives.errors import CareLedgerError

LOOK_SECONDS: Final = 5.0
STALLED_SECONDS: Final = 10.0
DIALS_OFTEN_SECONDS: Final = 90.0
"""So long after it lost a peer the engine certainly still dials it every few seconds."""
PROBE_SECONDS_MAX: Final = 2.0


class Restartable(Protocol):
    """An engine's process, as far as this needs it."""

    rpc: Rpc
    restarts: int

    def restart(self) -> None: ...


@dataclass(slots=True)
class _Missing:
    since: float
    was_out_of_reach: bool = False


class PeerWatch:
    """What was seen of the peers so far. Decides; does nothing itself."""

    def __init__(self, peers: Iterable[Peer], now: float) -> None:
        self._peers = tuple(peers)
        self._missing: dict[str, _Missing] = {}
        self._restarts = 0
        self._height = -1
        self._height_since = now

    def see(self, now: float, connected: Iterable[str], height: int, restarts: int) -> tuple[Peer, ...]:
        """Take note of the engine's state; the peers to probe, none while there is no reason to start it anew."""
        if restarts != self._restarts:
            self._missing.clear()  # it dials often again
            self._restarts = restarts
        if height != self._height:
            self._height, self._height_since = height, now
        here = set(connected)
        for peer in self._peers:
            if peer.id in here:
                self._missing.pop(peer.id, None)
            else:
                self._missing.setdefault(peer.id, _Missing(now))
        if now - self._height_since < STALLED_SECONDS:
            return ()
        lost = {id for id, missing in self._missing.items() if now - missing.since > DIALS_OFTEN_SECONDS}
        return tuple(peer for peer in self._peers if peer.id in lost)

    def is_redial_due(self, id: str, is_in_reach: bool) -> bool:
        """Take note of a probe; whether this peer is back. One that was always in reach keeps us out: no use."""
        missing = self._missing[id]
        is_back = is_in_reach and missing.was_out_of_reach
        missing.was_out_of_reach = missing.was_out_of_reach or not is_in_reach
        return is_back


async def watch_peers(
    engine: Restartable, peers: Iterable[Peer], log: Callable[[str, str, dict[str, object]], None]
) -> None:
    """Watch until cancelled; start the engine anew when that finds a lost peer. Never raises."""
    watch = PeerWatch(peers, time.monotonic())
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            connected = [peer.node_info.id for peer in (await engine.rpc.net_info()).peers]
            height = (await engine.rpc.status()).sync_info.latest_block_height
        except CareLedgerError:
            continue  # it starts, or is frozen
        lost = watch.see(time.monotonic(), connected, height, engine.restarts)
        reached = await asyncio.gather(*(is_in_reach(peer.address) for peer in lost))
        back = [watch.is_redial_due(peer.id, reach) for peer, reach in zip(lost, reached, strict=True)]
        if any(back):
            log("warning", "engine: lost peers are back, starting it anew", {"count": sum(back)})
            engine.restart()


async def is_in_reach(address: Address) -> bool:
    """Whether an engine listens there: it speaks first. A link that is cut accepts and says nothing."""
    writer = None
    try:
        async with asyncio.timeout(PROBE_SECONDS_MAX):
            reader, writer = await asyncio.open_connection(address.host.strip("[]"), address.port)
            return bool(await reader.read(1))
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
