"""What a served node counts, as Prometheus reads it: how far it is, how fast, and how much waits.

Nothing about a patient: there are names of this program and numbers. The value of a label is a row of a table below,
so no id, path, client or text from outside can become one.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from careledger.ledger.consensus.verdicts import InsertCode, Why
from careledger.node.networked import NetworkSequencer

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext

ROUTE_CLASSES: Final = (
    "read", "vread", "search", "history", "create", "update", "delete", "bundle", "validate", "everything",
    "emergency-access", "metadata", "probe", "other",
)  # fmt: skip
STATUSES: Final = (
    200, 201, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 414, 415, 422, 431, 500, 501, 503,
    504,
)  # fmt: skip
"""Each has a place of its own; all others share the last."""
QUANTILES: Final = (0.5, 0.95)
_ENDS: Final[Mapping[str, str]] = {
    "_search": "search",
    "_history": "history",
    "[vid]": "vread",
    "$validate": "validate",
    "$everything": "everything",
    "$emergency-access": "emergency-access",
}
_METHODS: Final[Mapping[str, tuple[str, str]]] = {
    "GET": ("search", "read"),
    "HEAD": ("search", "read"),
    "POST": ("create", "other"),
    "PUT": ("update", "update"),
    "DELETE": ("delete", "delete"),
}
"""Of a type's path, of a resource's."""
_WHOLE: Final[Mapping[str, str]] = {
    "/": "bundle", "metadata": "metadata", "/livez": "probe", "/readyz": "probe",
}  # fmt: skip
_COUNT: Final = struct.Struct("=Q")


class Figure(NamedTuple):
    """One row of the table of figures."""

    name: str
    kind: str
    meaning: str
    label: str = ""


FIGURES: Final = (
    Figure("careledger_height", "gauge", "height of the newest block that this node executed"),
    Figure("careledger_problems", "gauge", "reasons for which the node cannot serve now"),
    Figure("careledger_journal_bytes", "gauge", "size of the journal"),
    Figure(
        "careledger_sync_seconds", "gauge", "how long the disk takes to make a commit durable, on average"
    ),
    Figure("careledger_access_entries_unindexed", "gauge", "access entries journalled and not yet indexed"),
    Figure("careledger_requests_total", "counter", "answers by class of route and status", "route"),
    Figure("careledger_block_age_seconds", "gauge", "since the newest block came; over 10 the node is stale"),
    Figure("careledger_charts_waiting", "gauge", "charts with records in no batch yet"),
    Figure("careledger_batch_in_flight", "gauge", "1 while a batch waits for its block"),
    Figure("careledger_versions_anchored_total", "counter", "versions whose block has come, since the start"),
    Figure(
        "careledger_anchor_seconds", "gauge", "from durable to anchored, of the newest groups", "quantile"
    ),
    Figure("careledger_pool_transactions", "gauge", "transactions in the node's pool"),
    Figure("careledger_pool_bytes", "gauge", "what they cost in the pool's rooms"),
    Figure("careledger_pool_inserted_total", "counter", "transactions by what became of them", "code"),
    Figure("careledger_pool_gone_total", "counter", "own transactions that left without a block", "why"),
    Figure("careledger_engine_running", "gauge", "1 while the engine's process runs"),
    Figure("careledger_engine_restarts_total", "counter", "how often it was started again"),
)
"""All there are. docs/operating/metrics.md says what to do about them."""

Sample = tuple[str, str, float]
"""Name, labels as text, value."""


def classify(method: str, route: str) -> str:
    """The class of a request by its template (`Patient/[id]`); whatever is no template is `other`."""
    if route in _WHOLE:
        return _WHOLE[route]
    if not route or route.startswith("/"):
        return "other"
    _, separator, end = route.rpartition("/")
    if end in _ENDS:
        return _ENDS[end]
    if separator and end != "[id]":
        return "other"
    return _METHODS.get(method, ("other", "other"))[bool(separator)]


class RequestCounts:
    """Answers by class and status. Make it before forking; each worker counts in a row of its own, without a lock."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(-1, workers * len(ROUTE_CLASSES) * (len(STATUSES) + 1) * _COUNT.size)

    def add(self, worker: int, method: str, route: str, status: int) -> None:
        """One more answer."""
        place = STATUSES.index(status) if status in STATUSES else len(STATUSES)
        at = self._at(worker, ROUTE_CLASSES.index(classify(method, route)), place)
        _COUNT.pack_into(self._memory, at, _COUNT.unpack_from(self._memory, at)[0] + 1)

    def list_counts(self) -> Iterator[tuple[str, str, int]]:
        """Class, status and number of all workers' answers, where there were any."""
        for number, name in enumerate(ROUTE_CLASSES):
            for place, status in enumerate((*map(str, STATUSES), "other")):
                count = sum(
                    _COUNT.unpack_from(self._memory, self._at(worker, number, place))[0]
                    for worker in range(self._workers)
                )
                if count:
                    yield name, status, count

    def _at(self, worker: int, number: int, place: int) -> int:
        return ((worker * len(ROUTE_CLASSES) + number) * (len(STATUSES) + 1) + place) * _COUNT.size


def compose(samples: Iterable[Sample]) -> bytes:
    """The text of Prometheus' format 0.0.4, in the order of `FIGURES`."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in samples:
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        by_name.setdefault(name, []).append(f"{name}{labels and '{' + labels + '}'} {shown}\n")
    return "".join(
        f"# HELP {one.name} {one.meaning}\n# TYPE {one.name} {one.kind}\n{''.join(by_name[one.name])}"
        for one in FIGURES
        if one.name in by_name
    ).encode()


def list_samples(node: CommandContext, requests: RequestCounts) -> Iterator[Sample]:
    """How this node stands now."""
    home = node.home
    yield "careledger_height", "", home.height
    yield "careledger_problems", "", len(node.backend.problems()) + len(node.witnesses.problems())
    yield "careledger_journal_bytes", "", home.journal.position.end
    yield "careledger_sync_seconds", "", node.sequencer.sync_times.seconds
    yield "careledger_access_entries_unindexed", "", home.access.pending
    for route, status, count in requests.list_counts():
        yield "careledger_requests_total", f'route="{route}",status="{status}"', count
    if isinstance(node.sequencer, NetworkSequencer):
        yield from _list_of_network(node, node.sequencer)


def _list_of_network(node: CommandContext, sequencer: NetworkSequencer) -> Iterator[Sample]:
    outbox, times = node.home.outbox, sequencer.anchor_times
    yield "careledger_block_age_seconds", "", time.monotonic() - sequencer.block_at
    yield "careledger_charts_waiting", "", len(outbox.records)
    yield "careledger_batch_in_flight", "", int(outbox.flight is not None)
    yield "careledger_versions_anchored_total", "", times.anchored
    for share in QUANTILES:
        yield "careledger_anchor_seconds", f'quantile="{share}"', times.quantile_ms(share) / 1000
    if node.networking is None:
        return
    pool = node.networking.pool.pool
    yield "careledger_pool_transactions", "", len(pool)
    yield "careledger_pool_bytes", "", pool.size_bytes
    for code in InsertCode:
        yield "careledger_pool_inserted_total", f'code="{code.name.lower()}"', pool.counts.inserted[code]
    for why in Why:
        yield "careledger_pool_gone_total", f'why="{why.name.lower()}"', pool.counts.gone[why]
    engine = node.networking.engine
    if engine is not None:
        yield "careledger_engine_running", "", int(engine.pid is not None)
        yield "careledger_engine_restarts_total", "", engine.restarts
