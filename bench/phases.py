"""The phases of the bench against one node: what is asked, how often, and what is kept of it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from bench import patients
from bench.client import Client, Make, Outcome

CONNECTIONS = 8
WARM_UP = 300
SEED = 1
OFFERED = {"read": 300.0, "search": 150.0, "create": 150.0}
"""Requests a second at which p99 is compared between few and many patients: well under every floor."""

LARGE_BUNDLE_RESOURCES = 20_000
READS_BESIDE_BUNDLE = 200.0

VITALS = "&category=vital-signs&_sort=-date&_count=50"


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of each closed-loop phase."""

    create: int = 5000
    create_patient: int = 4000
    read: int = 8000
    search: int = 5000
    name: int = 6000
    everything: int = 2000
    update: int = 5000
    offered_s: float = 15.0


QUICK = Counts(500, 400, 800, 500, 600, 200, 500, 2.0)


@dataclass(slots=True)
class Loaded:
    """What the node holds, as far as the phases need it."""

    resources: int = 0
    patients: list[str] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def see(self, status: int, answer: bytes) -> None:
        """Take in the answer to a Bundle."""
        if status >= 300:
            self.refusals.append(f"{status} {answer[:300].decode(errors='replace')}")
            return
        for entry in json.loads(answer)["entry"]:
            type, _, rest = entry["response"]["location"].partition("/")
            if type.startswith("http"):
                type, _, rest = entry["response"]["location"].rpartition("/fhir/")[2].partition("/")
            self.resources += 1
            if type == "Patient":
                self.patients.append(rest.split("/")[0])
            elif type == "Observation":
                self.observations.append(rest.split("/")[0])


async def load(client: Client, data: patients.Data, loaded: Loaded) -> Outcome:
    """House Bundles one at a time, then one transaction a patient over 8 connections. Answers are read afterwards."""
    answers: list[tuple[int, bytes]] = []
    keep = lambda status, body: answers.append((status, body))  # noqa: E731
    bundles = [client.request("POST", "", bundle) for bundle in data.house]
    total = await client.closed_loop(bundles, 1, keep)
    rest = [client.request("POST", "", bundle) for bundle in data.patients]
    outcome = await client.closed_loop(rest, CONNECTIONS, keep)
    outcome.wall_s += total.wall_s
    outcome.server_cpu_s += total.server_cpu_s
    outcome.client_cpu_s += total.client_cpu_s
    outcome.seconds += total.seconds
    outcome.statuses += total.statuses
    outcome.refusals += total.refusals
    for status, body in answers:
        loaded.see(status, body)
    return outcome


class Phases:
    """The small requests, each made by number, always the same for the same node content."""

    def __init__(self, client: Client, loaded: Loaded, names: list[str], counts: Counts) -> None:
        self._client = client
        self._loaded = loaded
        self._names = names
        self._counts = counts
        self._random = random.Random(SEED)
        self._made = 0

    def makers(self) -> dict[str, Make]:
        """Each kind of request by its figure."""
        get = self._client.request
        choose = self._random.choice
        held = self._loaded
        return {
            "create": lambda _: get("POST", "/Observation", self._new_observation()),
            "create_patient": lambda _: get("POST", "/Patient", patients.patient(self._next())),
            "read": lambda _: get("GET", f"/Observation/{choose(held.observations)}"),
            "search": lambda _: get("GET", f"/Observation?patient={choose(held.patients)}{VITALS}"),
            "name": lambda _: get("GET", f"/Patient?name={quote(choose(self._names))}&_count=20"),
            "everything": lambda _: get("GET", f"/Patient/{choose(held.patients)}/$everything?_count=200"),
        }

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _new_observation(self) -> bytes:
        return patients.observation(self._random.choice(self._loaded.patients), self._next())

    async def closed(self, say: Callable[[str], None]) -> dict[str, Outcome]:
        """Every phase, 8 connections in a closed loop, after a warm-up."""
        outcomes = {}
        for name in self.makers():
            say(name)
            outcomes[name] = await self.closed_once(name)
        say("update")
        outcomes["update"] = await self._update()
        return outcomes

    async def closed_once(self, name: str) -> Outcome:
        """One phase, warm-up included."""
        return await self._closed(self.makers()[name], getattr(self._counts, name))

    async def _closed(self, make: Make, count: int) -> Outcome:
        warm = [make(number) for number in range(min(WARM_UP, count))]
        await self._client.closed_loop(warm, CONNECTIONS)
        await asyncio.sleep(0.3)
        return await self._client.closed_loop([make(number) for number in range(count)], CONNECTIONS)

    async def _update(self) -> Outcome:
        """PUT of Observations that were read before, each with another note."""
        chosen = self._random.sample(self._loaded.observations, min(2000, len(self._loaded.observations)))
        current: list[dict[str, Any]] = []
        reads = [self._client.request("GET", f"/Observation/{id}") for id in chosen]
        await self._client.closed_loop(
            reads,
            CONNECTIONS,
            lambda status, body: current.append(json.loads(body)) if status == 200 else None,
        )

        def make(number: int) -> bytes:
            resource = {
                name: value for name, value in current[number % len(current)].items() if name != "meta"
            }
            resource["note"] = [{"text": f"bench {number} {self._next()}"}]
            return self._client.request(
                "PUT", f"/Observation/{resource['id']}", json.dumps(resource).encode()
            )

        return await self._closed(make, self._counts.update)

    async def offered(self) -> dict[str, Outcome]:
        """Read, search and create at fixed rates."""
        makers = self.makers()
        outcomes = {}
        for name, rate in OFFERED.items():
            await self._client.closed_loop([makers[name](at) for at in range(WARM_UP)], CONNECTIONS)
            outcomes[name] = await self._client.offered(
                makers[name], rate, self._counts.offered_s, CONNECTIONS
            )
        return outcomes

    async def beside_a_large_bundle(self, resources: int) -> dict[str, Any]:
        """Reads at a fixed rate while one large transaction is taken in."""
        read = self.makers()["read"]
        bundle = self._client.request("POST", "", patients.large_bundle(resources))
        alone = await self._client.offered(read, READS_BESIDE_BUNDLE, self._counts.offered_s, 4)
        taken = asyncio.ensure_future(self._client.closed_loop([bundle], 1))
        slices: list[Outcome] = []
        while not taken.done():
            slices.append(await self._client.offered(read, READS_BESIDE_BUNDLE, 0.5, 4, first_connection=1))
        beside = Outcome()
        for one in slices:
            beside.seconds += one.seconds
            beside.statuses += one.statuses
            beside.wall_s += one.wall_s
        large = taken.result()
        return {
            "resources": resources,
            "request_mb": round(len(bundle) / 1e6, 1),
            "bundle_s": round(large.wall_s, 2),
            "bundle_statuses": {str(status): count for status, count in large.statuses.items()},
            "bundle_refusals": large.refusals,
            "reads_alone": alone.report(),
            "reads_beside": beside.report(),
        }
