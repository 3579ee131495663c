"""What a search costs where directives withhold some of it, against the same search where nothing is withheld.

One chart, one query, two practitioners: three deny directives (a category, a label, a type) name the one, nobody names
the other. Both are asked in turn, through the FHIR interface of a node in this process, access entries durable.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from careledger.access.actor import Actor
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
from careledger.contracts.consent import grant_message
from careledger.fhir.messages import FhirRequest
from careledger.ledger.kernel import ED25519, ML_DSA_65
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.making import init
from careledger.node.service import NodeService
from careledger.primitives.types import Did
from careledger.vault.commitments import Kind
from careledger.vault.model import CONTROLLER_TYPE, DIRECTIVE_TYPE, Commit, ResourceWrite

OBSERVATIONS = 2_000
ROUNDS = 400
SYSTEM = "urn:bench"
PASSPHRASE = "a bench has nothing to hide"
NARROWED: tuple[dict[str, Any], ...] = (
    {"categories": (Coding(code="2", system=SYSTEM),)},
    {"labels": (Coding(code="R", system=SYSTEM),)},
    {"types": ("Condition",)},
)


class Bench:
    """An open node with one chart, and two who ask."""

    def __init__(self, service: NodeService) -> None:
        self.service = service
        self.backend = service.context.backend
        self.key = PatientKey(os.urandom(32))

    def request(self, practitioner: str, method: str, url: str, body: bytes = b"") -> FhirRequest:
        path, _, query = url.partition("?")
        pairs = [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))]
        did = self.service.context.home.did
        actor = Actor("bench", "bench", did, parse_scopes("system/*.cruds"), practitioner=practitioner)
        headers = {b"content-type": b"application/fhir+json"}
        parts = tuple(path.split("/")) if path else ()
        return FhirRequest(method, parts, pairs if query else [], headers, body, actor, os.urandom(16))

    async def ask(self, practitioner: str, method: str, url: str, body: bytes = b"") -> dict[str, Any]:
        answer = await self.service.context.fhir.handle(self.request(practitioner, method, url, body))
        assert answer.status < 300, (answer.status, answer.body[:300])
        found: dict[str, Any] = msgspec.json.decode(answer.body)
        return found

    async def fill(self, observations: int) -> None:
        await self.ask("anybody", "PUT", "Patient/p", b'{"resourceType":"Patient","id":"p"}')
        for start in range(0, observations, 500):
            entries = [
                {"resource": _observation(number), "request": {"method": "POST", "url": "Observation"}}
                for number in range(start, start + 500)
            ]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            await self.ask("anybody", "POST", "", msgspec.json.encode(bundle))
        public = self.key.public
        leaf = ControllerLeaf(continues="", format="careledger/controller/1", key=to_base64(public))
        await self._leaf(CONTROLLER_TYPE, compute_key_id(public), encode_leaf(leaf), Kind.GUARDIAN)
        for number, narrowed in enumerate(NARROWED):
            await self._deny(number, narrowed)

    async def _leaf(self, type: str, id: str, body: bytes, kind: Kind, *transactions: bytes) -> None:
        terms = leaf_terms(type, body)
        now_ms = self.backend.now_ms()
        write = ResourceWrite(type, id, 0, body, now_ms, ("p",), chart_terms=terms, kind=int(kind))
        await self.backend.commit(Commit((write,), transactions=transactions))

    async def _deny(self, number: int, narrowed: dict[str, Any]) -> None:
        with self.backend.snapshot() as snapshot:
            chart = snapshot.chart_of("p")
            assert chart is not None
            organisation, handle = snapshot.place(chart)
        today, nonce, salt = self.backend.now_ms() // DAY_MS, os.urandom(32), os.urandom(32)
        given = {"categories": (), "labels": (), "types": ()} | narrowed
        text = Text(
            actions=("access",),
            effect="deny",
            format="careledger/directive/1",
            from_day=today - 1,
            grantees=(Grantee(kind="practitioner", value="narrowed"),),
            handle=to_base64(handle),
            nonce=to_base64(nonce),
            organisation=to_base64(organisation),
            purposes=(),
            supersedes="",
            until_day=today + 365,
            **given,
        )
        encoded = encode_text(text)
        commitment = compute_commitment(salt, encoded)
        secret = SecretKey(ML_DSA_65, self.key.directive_seed(nonce))
        public = self.key.directive_key(nonce)
        leaf = DirectiveLeaf(
            binding=to_base64(self.key.bind(commitment)),
            consent="",
            controller=compute_key_id(self.key.public),
            key=to_base64(public),
            salt=to_base64(salt),
            text=to_base64(encoded),
        )
        home = self.service.context.home
        transaction = build_transaction(
            home.the_ledger.genesis_hash,
            max(home.the_ledger.time_ms, self.backend.now_ms()) + 3_600_000,
            Did(home.organisation),
            GRANT_LANE,
            number,
            [grant_message(commitment, public, text.until_day, bytes(32))],
            [SecretKey(ED25519, home.keys.node_seed), secret],
        )
        await self._leaf(DIRECTIVE_TYPE, commitment.hex(), encode_leaf(leaf), Kind.DIRECTIVE, transaction)


def _observation(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": SYSTEM, "code": str(number % 5)}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}",
        **({"meta": {"security": [{"system": SYSTEM, "code": "R"}]}} if number % 7 == 0 else {}),
    }


async def run(folder: Path, observations: int) -> dict[str, Any]:
    """Fill a home in this folder and measure."""
    init(folder / "home", "Bench", PASSPHRASE)
    file, keys = open_keys(Layout(folder / "home"), PASSPHRASE)
    service = NodeService(folder / "home", file, keys, served=False)
    await service.start()
    try:
        bench = Bench(service)
        await bench.fill(observations)
        url = "Observation?patient=p&code=8867-4&_sort=-date&_count=50"
        totals = {who: (await bench.ask(who, "GET", url))["total"] for who in ("free", "narrowed")}
        assert totals["narrowed"] < totals["free"] == observations, totals
        times: dict[str, list[float]] = {"free": [], "narrowed": []}
        for _ in range(ROUNDS):
            for who, taken in times.items():
                asked = bench.request(who, "GET", url)
                begin = time.perf_counter()
                await service.context.fhir.handle(asked)
                taken.append(1000 * (time.perf_counter() - begin))
        free, narrowed = (statistics.median(times[who]) for who in ("free", "narrowed"))
        return {
            "observations": observations,
            "withheld": observations - totals["narrowed"],
            "free_ms": round(free, 4),
            "narrowed_ms": round(narrowed, 4),
            "ratio": round(narrowed / free, 3),
        }
    finally:
        await service.stop()


async def measure(observations: int = OBSERVATIONS) -> dict[str, Any]:
    """The ratio and what it is made of, in a home that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="careledger-bench-"))
    try:
        return await run(folder, observations)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    print(asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else OBSERVATIONS)))
