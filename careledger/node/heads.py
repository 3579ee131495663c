"""Heads of charts' logs on their way into the heads map: what changed, written a few at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from careledger.ledger.log import Frontier
from careledger.node import founding

if TYPE_CHECKING:
    import lmdb

    from careledger.node.home import OpenHome

HEADS_PER_SLICE = 16


def head_changes(
    home: OpenHome, record_heads: Mapping[int, tuple[bytes, int, bytes]], access_charts: Collection[int]
) -> dict[bytes, bytes]:
    """New values of the heads map for these record logs, and for the access logs of these charts as they stand."""
    changes = {
        founding.head_key(0, handle): founding.head_value(size, root)
        for handle, size, root in record_heads.values()
    }
    return changes | _access_heads(home, {chart: home.access.frontier(chart) for chart in access_charts})


async def write_heads(
    home: OpenHome,
    txn: lmdb.Transaction,
    changes: dict[bytes, bytes],
    seen: dict[int, Frontier],
    give_way: Callable[[], Awaitable[None]],
) -> bytes:
    """Write changed heads, and those of the access logs `seen` as they are given: the map's root. `give_way` is awaited
    between slices of `HEADS_PER_SLICE`."""
    heads = iter(changes.items())
    while part := dict(islice(heads, HEADS_PER_SLICE)):
        home.update_heads(txn, part)
        if len(changes) > HEADS_PER_SLICE:
            await give_way()
    logs = iter(seen.items())
    while some := dict(islice(logs, HEADS_PER_SLICE)):
        home.update_heads(txn, _access_heads(home, some))
        if len(seen) > HEADS_PER_SLICE:
            await give_way()
    return home.heads.root


def _access_heads(home: OpenHome, frontiers: Mapping[int, Frontier]) -> dict[bytes, bytes]:
    return {
        founding.head_key(1, home.keyring.get(chart).handle): founding.head_value(log.size, log.root())
        for chart, log in frontiers.items()
    }
