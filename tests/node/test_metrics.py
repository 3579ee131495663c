"""Figures: what they say of a node's work, and that no word of them comes from outside."""

from __future__ import annotations

import http.client
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from careledger.fhir.routes import ROUTES
from careledger.ledger.consensus.pool import Counts
from careledger.ledger.consensus.verdicts import InsertCode, Why
from careledger.node import config as configuration
from careledger.node.figures import (
    FIGURES,
    QUANTILES,
    ROUTE_CLASSES,
    STATUSES,
    RequestCounts,
    classify,
    compose,
    list_samples,
)
from careledger.node.networked import NetworkSequencer
from careledger.node.waiting import AnchorTimes, SyncTimes
from careledger.primitives.errors import Misconfigured
from tests.e2e.node import Node, free_port

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="[^"]*",?)+)\})? (-?[0-9.e+-]+)')
WORDS = {
    "route": set(ROUTE_CLASSES),
    "status": {*map(str, STATUSES), "other"},
    "code": {code.name.lower() for code in InsertCode},
    "why": {why.name.lower() for why in Why},
    "quantile": set(map(str, QUANTILES)),
}
"""Every value that a label can have."""
CANARIES = ("adell-482", "Mills423", "1974-03-02", "999-12-3456", "e2e")


def read(text: str) -> dict[tuple[str, str], float]:
    """The samples; every label's value is a word of the program."""
    known = {figure.name for figure in FIGURES}
    found = {}
    for line in text.splitlines():
        if line.startswith("# "):
            assert line.split(" ")[2] in known
            continue
        match = LINE.fullmatch(line)
        assert match, line
        assert match[1] in known
        for label, value in re.findall(r'([a-z]+)="([^"]*)"', match[2] or ""):
            assert value in WORDS[label], line
        found[match[1], match[2] or ""] = float(match[3])
    return found


def ask(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_every_route_has_a_class_and_nothing_else_becomes_one():
    for route in ROUTES:
        template = re.sub(r"\{(id|vid)\}", r"[\1]", route.pattern.replace("{type}", "Patient")) or "/"
        assert classify(route.method, template) in set(ROUTE_CLASSES) - {"other"}, route
    for strange in ("", "/fhir/Patient/adell-482", "Patient/adell-482", "Patient/adell-482/x", "/x"):
        assert classify("GET", strange) == "other"
    assert classify("BREW", "Patient/[id]") == "other"


def test_workers_count_apart_and_are_shown_together():
    counts = RequestCounts(2)
    counts.add(0, "GET", "Patient/[id]", 200)
    counts.add(1, "HEAD", "Patient/[id]", 200)
    counts.add(1, "GET", "Patient/[id]", 404)
    counts.add(1, "GET", "Patient", 299)
    assert list(counts.list_counts()) == [("read", "200", 2), ("read", "404", 1), ("search", "other", 1)]


ASKED = {
    'route="update",status="201"': 1,
    'route="read",status="200"': 3,
    'route="read",status="404"': 1,
    'route="search",status="200"': 1,
    'route="other",status="404"': 1,
}


def count_requests(port):
    figures = read(ask(port)[1])
    return {labels: count for (name, labels), count in figures.items() if name == "careledger_requests_total"}


def test_a_served_node_tells_its_figures_and_no_word_of_a_patient(tmp_path, monkeypatch):
    port = free_port()
    monkeypatch.setenv("CARELEDGER_METRICS__LISTEN", f"127.0.0.1:{port}")
    node = Node(tmp_path / "home", 2).init().start()
    try:
        caller = node.caller()
        patient = {"resourceType": "Patient", "id": "adell-482", "name": [{"family": "Mills423"}]}
        assert caller.put("Patient/adell-482", patient | {"birthDate": "1974-03-02"}).status == 201
        for _ in range(3):
            assert caller.get("Patient/adell-482").status == 200
        assert caller.get("Patient?identifier=999-12-3456&name=Mills423").status == 200
        assert caller.get("Patient/Mills423").status == 404
        assert caller.get("Patient/adell-482/1974-03-02").status == 404
        end = time.monotonic() + 20
        while (requests := count_requests(port)) != ASKED and time.monotonic() < end:
            time.sleep(0.05)  # a request is counted once it is answered, by whichever worker answered it
        assert requests == ASKED
        status, text = ask(port)
        assert status == 200
        assert not [canary for canary in CANARIES if canary in text]
        found = read(text)
        assert found["careledger_height", ""] >= 1
        assert found["careledger_journal_bytes", ""] > 1000
        assert ask(port, "/fhir/Patient/adell-482")[0] == 404
        assert ask(port, method="POST")[0] == 405
    finally:
        node.stop()


def test_a_networks_node_tells_how_much_waits_and_not_what():
    sequencer = NetworkSequencer.__new__(NetworkSequencer)
    sequencer.sync_times, sequencer.anchor_times = SyncTimes(0.001), AnchorTimes()
    sequencer.block_at = time.monotonic() - 2
    pool = SimpleNamespace(size_bytes=900, counts=Counts(), __len__=lambda: 2)
    pool.counts.inserted[InsertCode.OK] = 7
    waiting: Any = {4711, 4712, 4713}
    node: Any = SimpleNamespace(
        home=SimpleNamespace(
            height=12,
            journal=SimpleNamespace(position=SimpleNamespace(end=5000)),
            access=SimpleNamespace(pending=1),
            outbox=SimpleNamespace(records=waiting, flight=None),
        ),
        backend=SimpleNamespace(problems=lambda: ("the disk is full",)),
        witnesses=SimpleNamespace(problems=list),
        sequencer=sequencer,
        networking=SimpleNamespace(
            pool=SimpleNamespace(pool=_Sized(2, pool)), engine=SimpleNamespace(pid=1, restarts=3)
        ),
    )
    text = compose(list_samples(node, RequestCounts(1))).decode()
    found = read(text)
    assert found["careledger_charts_waiting", ""] == 3
    assert not re.search(r"471\d", text)
    assert 2 <= found["careledger_block_age_seconds", ""] < 60
    assert found["careledger_pool_transactions", ""] == 2
    assert found["careledger_pool_inserted_total", 'code="ok"'] == 7
    assert found["careledger_engine_restarts_total", ""] == 3
    assert {name for name, _ in found} == {one.name for one in FIGURES} - {"careledger_requests_total"}


class _Sized:
    def __init__(self, size: int, pool: SimpleNamespace) -> None:
        self._size = size
        self.size_bytes, self.counts = pool.size_bytes, pool.counts

    def __len__(self) -> int:
        return self._size


@pytest.mark.parametrize("setting", ["metrics.listen", "metrics.engine_listen"])
def test_figures_are_told_on_loopback_only(setting):
    assert configuration.load(None, {}, {setting: "127.0.0.1:9464"})
    with pytest.raises(Misconfigured, match="open to others"):
        configuration.load(None, {}, {setting: "0.0.0.0:9464"})
