"""How long a decision takes in a node with 100,000 directives, 50 of them in the chart that is asked for.

A home of its own: real leaves, committed through the node's backend, and real grants, executed by its ledger. What is
dear and not asked for is cheap: sixteen grants share a key and a transaction, and in charts that nobody asks for the
bindings are noise of the right length.

Each decision is the first in its chart since the last block, so every status is read from the ledger again; all of
the chart's directives name the caller, and none decides before the last was looked at.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from careledger.access.actor import Actor
from careledger.access.decision import AccessRequest, decide
from careledger.access.directives import (
    DAY_MS,
    Coding,
    ControllerLeaf,
    DirectiveLeaf,
    Grantee,
    Text,
    compute_commitment,
    compute_key_id,
    encode_leaf,
    encode_text,
    leaf_terms,
    to_base64,
)
from careledger.access.grants import GRANT_LANE
from careledger.access.patient_keys import PatientKey
from careledger.access.scopes import parse_scopes
from careledger.access.standing import Standing
from careledger.contracts.consent import grant_message
from careledger.ledger.kernel import ED25519, ML_DSA_65
from careledger.ledger.transaction import MESSAGES_MAX, SecretKey, build_transaction
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.making import init
from careledger.node.service import NodeService
from careledger.primitives.signing import ML_DSA_65_SIGNATURE_SIZE
from careledger.primitives.types import Did
from careledger.vault.commitments import Kind
from careledger.vault.model import CONTROLLER_TYPE, DIRECTIVE_TYPE, Commit, ResourceWrite

IN_CHART = 50
CHARTS = 2_000
CHARTS_ASKED = 40
ROUNDS = 60
CHARTS_A_COMMIT = 20
REST_SECONDS = 0.05
PASSPHRASE = "a bench has nothing to hide"
CALLER = "did:careledger:" + 64 * "c"
SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"


class Bench:
    """An open home, and the charts that are asked for."""

    def __init__(self, service: NodeService) -> None:
        self.service = service
        self.backend = service.context.backend
        self.home = service.context.home
        self.sequence = 0
        self.today = self.backend.now_ms() // DAY_MS
        self.keys = [PatientKey(os.urandom(32)) for _ in range(CHARTS_ASKED)]
        self.shared = SecretKey(ML_DSA_65, os.urandom(32))
        self.stranger = os.urandom(ML_DSA_65_SIGNATURE_SIZE)

    async def fill(self, charts: int) -> None:
        """Charts p0, p1, … with an enrolled key and 50 directives each; the first ones are asked for."""
        for start in range(0, charts, 200):
            group = range(start, min(start + 200, charts))
            await self.backend.commit(Commit(tuple(write for at in group for write in self._beginning(at))))
        for start in range(0, charts, CHARTS_A_COMMIT):
            made = [
                self._directive(chart, number)
                for chart in range(start, min(start + CHARTS_A_COMMIT, charts))
                for number in range(IN_CHART)
            ]
            grants = [grant for _, grant in made]
            transactions = tuple(
                self._transaction(grants[at : at + MESSAGES_MAX])
                for at in range(0, len(grants), MESSAGES_MAX)
            )
            await self.backend.commit(Commit(tuple(write for write, _ in made), transactions=transactions))

    def _beginning(self, chart: int) -> Iterator[ResourceWrite]:
        id = f"p{chart}"
        now_ms = self.backend.now_ms()
        body = b'{"resourceType":"Patient","id":"%s"}' % id.encode()
        yield ResourceWrite("Patient", id, 0, body, now_ms, (id,))
        public = self.keys[chart % CHARTS_ASKED].public
        leaf = ControllerLeaf(continues="", format="careledger/controller/1", key=to_base64(public))
        # Charts of one bench may share a key, so the key's id cannot be the leaf's in more than one.
        name = compute_key_id(public) if chart < CHARTS_ASKED else f"{chart:032x}"
        yield ResourceWrite(
            CONTROLLER_TYPE, name, 0, encode_leaf(leaf), now_ms, (id,), kind=int(Kind.GUARDIAN)
        )

    def _directive(self, chart: int, number: int) -> tuple[ResourceWrite, bytes]:
        """The leaf, and the grant that brings it into force."""
        asked = chart < CHARTS_ASKED
        with self.backend.snapshot() as snapshot:
            found = snapshot.chart_of(f"p{chart}")
            assert found is not None
            organisation, handle = snapshot.place(found)
        text = encode_text(
            Text(
                actions=("access",),
                categories=(Coding(code=f"category-{number}", system=SYSTEM),),
                effect="deny" if number % 2 else "permit",
                format="careledger/directive/1",
                from_day=self.today - number - 1,
                grantees=(Grantee(kind="organisation", value=CALLER if asked else f"did:x:{number}"),),
                handle=to_base64(handle),
                labels=(),
                nonce=to_base64(os.urandom(32)),
                organisation=to_base64(organisation),
                purposes=("HPAYMT", "TREAT"),
                supersedes="",
                types=("Condition", "Observation"),
                until_day=self.today + 365,
            )
        )
        salt = os.urandom(32)
        commitment = compute_commitment(salt, text)
        key = self.keys[chart % CHARTS_ASKED]
        leaf = DirectiveLeaf(
            binding=to_base64(key.bind(commitment) if asked else self.stranger),
            consent="",
            controller=compute_key_id(key.public) if asked else "",
            key=to_base64(self.shared.key.public),
            salt=to_base64(salt),
            text=to_base64(text),
        )
        body = encode_leaf(leaf)
        write = ResourceWrite(
            DIRECTIVE_TYPE,
            commitment.hex(),
            0,
            body,
            self.backend.now_ms(),
            (f"p{chart}",),
            chart_terms=leaf_terms(DIRECTIVE_TYPE, body),
            kind=int(Kind.DIRECTIVE),
        )
        return write, grant_message(commitment, self.shared.key.public, self.today + 365, bytes(32))

    def _transaction(self, grants: Sequence[bytes]) -> bytes:
        sponsor = SecretKey(ED25519, self.home.keys.node_seed)
        ledger = self.home.the_ledger
        valid_until = max(ledger.time_ms, self.backend.now_ms()) + 3_600_000
        self.sequence += 1
        return build_transaction(
            ledger.genesis_hash,
            valid_until,
            Did(self.home.organisation),
            GRANT_LANE,
            self.sequence - 1,
            grants,
            [sponsor, self.shared],
        )

    async def block(self, number: int) -> None:
        """Something else is recorded: a new height. Then the node's own threads come to rest."""
        body = b'{"resourceType":"Basic","id":"b%d"}' % number
        await self.backend.commit(
            Commit((ResourceWrite("Basic", f"b{number}", 0, body, self.backend.now_ms()),))
        )
        await asyncio.sleep(REST_SECONDS)

    def decide_all(self, standing: Standing, cpu_ms: list[float] | None = None) -> list[float]:
        """Milliseconds of one decision in each chart asked for; those of the processor go to `cpu_ms`."""
        actor = Actor("bench", "bench", CALLER, parse_scopes("system/*.rs"))
        category = (Coding(code="category-48", system=SYSTEM),)
        request = AccessRequest("read", "Observation", ("?",), self.home.did, category, self.backend.now_ms())
        times = []
        with self.backend.snapshot() as snapshot:
            charts = [snapshot.chart_of(f"p{chart}") for chart in range(CHARTS_ASKED)]
            for chart in charts:
                assert chart is not None
                begin, spent = time.perf_counter(), time.thread_time()
                directives = standing.directives(snapshot, chart, actor)
                decision = decide(request, actor, directives, (), snapshot.height)
                times.append(1000 * (time.perf_counter() - begin))
                if cpu_ms is not None:
                    cpu_ms.append(1000 * (time.thread_time() - spent))
                assert decision.rule == "directive-permit", decision
                assert len(directives) == IN_CHART
        return times

    def without_us(self, standing: Standing, calls: int = 20_000) -> float:
        """Microseconds by which a chart without directives is slower decided than without asking for any."""
        actor = Actor("bench", "bench", CALLER, parse_scopes("system/*.rs"))
        with self.backend.snapshot() as snapshot:
            begin = time.perf_counter()
            for _ in range(calls):
                standing.directives(snapshot, 0, actor)
            return 1e6 * (time.perf_counter() - begin) / calls


async def run(folder: Path, charts: int) -> dict[str, Any]:
    """Fill a home in this folder and measure."""
    init(folder / "home", "Bench", PASSPHRASE)
    file, keys = open_keys(Layout(folder / "home"), PASSPHRASE)
    service = NodeService(folder / "home", file, keys, served=False)
    await service.start()
    try:
        bench = Bench(service)
        begin = time.perf_counter()
        await bench.fill(charts)
        filled_s = time.perf_counter() - begin
        standing = Standing()
        first = bench.decide_all(standing)
        times: list[float] = []
        cpu_ms: list[float] = []
        gc.collect()
        for number in range(ROUNDS):
            await bench.block(number)
            times += bench.decide_all(standing, cpu_ms)
        times.sort()
        cpu_ms.sort()
        return {
            "directives": charts * IN_CHART,
            "in_chart": IN_CHART,
            "filled_s": round(filled_s, 1),
            "decisions": len(times),
            "p50_ms": round(statistics.median(times), 4),
            "p99_ms": round(times[len(times) * 99 // 100], 4),
            "max_ms": round(times[-1], 4),
            "cpu_p99_ms": round(cpu_ms[len(cpu_ms) * 99 // 100], 4),
            "same_height_ms": round(statistics.median(bench.decide_all(standing)), 4),
            "first_of_the_process_ms": round(statistics.median(first), 3),
            "chart_without_us": round(bench.without_us(standing), 3),
        }
    finally:
        await service.stop()


async def measure(charts: int = CHARTS) -> dict[str, Any]:
    """p99 of a decision and what else there is to know, in a home that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="careledger-bench-"))
    try:
        return await run(folder, charts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    print(asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else CHARTS)))
