"""`make bench`: every figure as a table, and everything that was measured in `bench.json`.

Order: load, memory, disk, requests, start, fixed rates, a large Bundle, receipts, ten times the patients, a chart
shredded; then the same load and requests with other numbers of workers; then the ledger alone; then decisions among
100,000 directives; then a large chart, exported and verified.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

from bench import consent_bench, export_bench, ledger_bench, patients, receipts, withheld_bench
from bench.client import Client
from bench.figures import COLUMNS, compute_rows, compute_table
from bench.node import Node, sync_latency_ms
from bench.phases import CONNECTIONS, LARGE_BUNDLE_RESOURCES, QUICK, Counts, Loaded, Phases, load

ROOT = Path(__file__).resolve().parent.parent
TIMES_MORE_PATIENTS = 10
RESOURCES_AT_START = 30_000
PARTS = (
    "load",
    "requests",
    "start",
    "offered",
    "bundle",
    "receipts",
    "tenfold",
    "shred",
    "workers",
    "ledger",
    "consent",
    "export",
)
LIBRARIES = ("cryptography", "httptools", "lmdb", "msgspec", "pynacl", "uvicorn", "uvloop", "zstandard")
COMPARED = ("create", "create_patient", "read", "search", "name", "everything", "update")


class Run:
    """One run: what was asked for and what came out."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.data = patients.read(arguments.data)
        self.counts = QUICK if arguments.quick else Counts()
        self.quick: bool = arguments.quick
        self.parts: frozenset[str] = arguments.parts
        self.workers: int | None = arguments.workers
        self.other_workers: list[int] = arguments.compare
        self.measured: dict[str, float] = {}
        self.cpu_ms: dict[str, float] = {}
        self.raw: dict[str, Any] = {}

    async def main(self) -> None:
        """Everything, in the order of the module's text."""
        if self.parts - {"workers", "ledger", "consent", "export"}:
            await self._whole()
        if "workers" in self.parts:
            table = []
            for workers in self.other_workers:
                table.append(await self._compare(workers))
            self.raw["workers"] = table
            columns = ("workers", "load", *COMPARED, "memory")
            print("\nworkers: requests/s; server CPU ms; p99 ms", flush=True)
            print(compute_table([_texts(row) for row in table], columns), flush=True)
        if "ledger" in self.parts:
            self._ledger()
        if "consent" in self.parts:
            await self._consent()
        if "export" in self.parts:
            await self._export()

    async def _whole(self) -> None:
        node = Node(self.workers)
        try:
            self.raw["sync_ms"] = sync_latency_ms(node.home)
            say(
                f"disk of the home: {self.raw['sync_ms']['p50']} ms p50, {self.raw['sync_ms']['p99']} ms p99 a sync"
            )
            self.raw["first_start_s"] = round(node.start(), 3)
            await self._on(node)
        except ConnectionError:
            say(node.log_tail())
            raise
        finally:
            node.remove()

    async def _on(self, node: Node) -> None:
        client = connect(node)
        loaded = Loaded()
        await self._load(node, client, loaded)
        phases = Phases(client, loaded, patients.names(self.data), self.counts)
        if "requests" in self.parts:
            await self._requests(phases)
        if "start" in self.parts:
            client.close()
            await self._start(node, client, loaded)
            client = connect(node)
            phases = Phases(client, loaded, patients.names(self.data), self.counts)
        if "offered" in self.parts:
            few = {name: one.report() for name, one in (await phases.offered()).items()}
            self.raw["offered"] = few
        if "bundle" in self.parts:
            size = 1000 if self.quick else LARGE_BUNDLE_RESOURCES
            say(f"a Bundle of {size} resources beside small reads")
            self.raw["large_bundle"] = await phases.beside_a_large_bundle(size)
        if "receipts" in self.parts:
            self._receipts(node, await _create(client, phases))
        if "tenfold" in self.parts and not self.quick:
            await self._tenfold(node, client, loaded, phases)
        client.close()
        if "shred" in self.parts:
            self._shred(node, loaded)

    async def _load(self, node: Node, client: Client, loaded: Loaded) -> None:
        say(f"load of {len(self.data.patients)} patients, {self.data.source}")
        outcome = await load(client, self.data, loaded)
        await asyncio.sleep(1.5)  # the last access entries are anchored and indexed within a second
        disk = node.disk_bytes()
        rate = loaded.resources / outcome.wall_s
        self.measured["load"] = rate
        self.cpu_ms["load"] = 1000 * outcome.server_cpu_s / max(1, loaded.resources)
        self.measured["memory"] = node.memory_mb()
        self.measured["disk"] = sum(disk.values()) / max(1, loaded.resources) / 1000
        self.raw["load"] = {
            **outcome.report(),
            "resources": loaded.resources,
            "resources_s": round(rate, 1),
            "refusals": loaded.refusals[:3],
            "memory_mb": round(self.measured["memory"], 1),
            "disk_bytes": disk,
        }
        say(f"  {loaded.resources} resources, {rate:,.0f}/s, {self.cpu_ms['load']:.3f} ms of server CPU each")

    async def _requests(self, phases: Phases) -> None:
        outcomes = await phases.closed(say)
        for name, outcome in outcomes.items():
            if outcome.refused:
                say(f"  {name}: {outcome.refused} REFUSED, first: {outcome.refusals[0]}")
            self.measured[name] = outcome.rate
            self.cpu_ms[name] = outcome.server_cpu_ms
        self.measured["update_ratio"] = outcomes["update"].quantile_ms(0.5) / outcomes["create"].quantile_ms(
            0.5
        )
        self.cpu_ms["update_ratio"] = outcomes["update"].server_cpu_ms
        self.raw["requests"] = {name: outcome.report() for name, outcome in outcomes.items()}

    async def _start(self, node: Node, client: Client, loaded: Loaded) -> None:
        """Three clean starts with at least 30,000 resources, then one after kill -9."""
        missing = 0 if self.quick else RESOURCES_AT_START - loaded.resources
        if missing > 0:
            new = (
                client.request("POST", "/Observation", patients.observation(loaded.patients[0], at))
                for at in range(missing)
            )
            await client.closed_loop(new, CONNECTIONS)
            client.close()
        times = []
        for _ in range(3):
            node.stop()
            times.append(node.start())
        self.measured["start"] = sorted(times)[1]
        node.stop(signal.SIGKILL)
        self.raw["start"] = {
            "clean_s": [round(seconds, 3) for seconds in times],
            "after_kill_s": round(node.start(), 3),
            "resources_at_least": RESOURCES_AT_START if missing <= 0 or not self.quick else loaded.resources,
        }

    def _receipts(self, node: Node, reference: str) -> None:
        found = receipts.measure(node, reference)
        self.measured["receipt_ms"] = found["verify_ms"]
        say(
            f"  receipt verified by a process of its own: {found['verify_ms']} ms, besides {found['interpreter_ms']} ms"
            f" of interpreter; in one process: first call {found['call_first_ms']} ms, later"
            f" calls {found['call_later_ms']} ms"
        )
        self.measured["receipt_kb"] = found["bytes_without_signed_part"] / 1000
        self.raw["receipt"] = found

    def _shred(self, node: Node, loaded: Loaded) -> None:
        """One version of the first patient erased, then her chart shredded, while the node serves."""
        found: dict[str, Any] = {"resources": loaded.resources, "charts": len(loaded.patients)}
        patient, journal = loaded.patients[0], node.disk_bytes()
        for name, what in (("erase", f"Patient/{patient}/_history/1"), ("shred", patient)):
            begin = time.perf_counter()
            node.run(name, what, "--reason", "bench", "--yes")
            found[f"{name}_s"] = round(time.perf_counter() - begin, 3)
        found["disk_bytes"] = {name: size - journal.get(name, 0) for name, size in node.disk_bytes().items()}
        self.measured["shred"] = found["shred_s"]
        self.raw["shred"] = found
        say(f"  a version erased in {found['erase_s']} s, a chart shredded in {found['shred_s']} s")

    async def _tenfold(self, node: Node, client: Client, loaded: Loaded, phases: Phases) -> None:
        say(f"{TIMES_MORE_PATIENTS} times the patients")
        before = loaded.resources
        more = (
            client.request("POST", "", bundle)
            for bundle in patients.copies(self.data, TIMES_MORE_PATIENTS - 1)
        )
        outcome = await client.closed_loop(more, CONNECTIONS, loaded.see)
        say(f"  {loaded.resources} resources, {(loaded.resources - before) / outcome.wall_s:,.0f}/s")
        many = {name: one.report() for name, one in (await phases.offered()).items()}
        closed = await phases.closed(say) if "requests" in self.parts else {}
        few = self.raw.get("offered", {})
        for name, report in many.items():
            if name in few:
                self.measured[f"p99_{name}"] = report["p99_ms"] / few[name]["p99_ms"]
        closed_few = self.raw.get("requests", {})
        self.raw["tenfold"] = {
            "patients": len(loaded.patients),
            "resources": loaded.resources,
            "memory_mb": round(node.memory_mb(), 1),
            "disk_bytes": node.disk_bytes(),
            "refusals": loaded.refusals[:3],
            "offered": many,
            "requests": {name: one.report() for name, one in closed.items()},
            "closed_p99_ratio": {
                name: round(one.quantile_ms(0.99) / closed_few[name]["p99_ms"], 2)
                for name, one in closed.items()
                if name in closed_few
            },
        }

    async def _compare(self, workers: int) -> dict[str, Any]:
        """Load and requests with this number of workers, on a home of its own."""
        say(f"with {workers} workers")
        node = Node(workers)
        try:
            sync = sync_latency_ms(node.home)
            node.start()
            client = connect(node)
            loaded = Loaded()
            outcome = await load(client, self.data, loaded)
            outcomes = await Phases(client, loaded, patients.names(self.data), self.counts).closed(
                lambda _: None
            )
            memory = node.memory_mb()
            client.close()
        finally:
            node.remove()
        return {
            "workers": workers,
            "sync_ms": sync,
            "load": {
                "requests_s": round(loaded.resources / outcome.wall_s, 1),
                "server_cpu_ms": round(1000 * outcome.server_cpu_s / max(1, loaded.resources), 4),
                "p99_ms": round(outcome.quantile_ms(0.99), 1),
                "refusals": loaded.refusals[:3],
            },
            "memory_mb": round(memory, 1),
            **{name: one.report() for name, one in outcomes.items()},
        }

    def _ledger(self) -> None:
        say("the ledger alone")
        self.measured["apply_block"] = ledger_bench.bench_apply_block()
        self.measured["state_tree"] = ledger_bench.bench_state_tree(50_000 if self.quick else 500_000)
        self.measured["anchoring"] = ledger_bench.bench_anchoring()

    async def _export(self) -> None:
        say("a large chart in a home of its own, exported and verified")
        found = await export_bench.measure(2_000 if self.quick else export_bench.VERSIONS)
        self.measured["export"] = found["export_rate"]
        self.measured["export_verify"] = found["verify_rate"]
        say(
            f"  {found['bytes'] / 1e6:.1f} MB; the stand-alone verifier: {found['standalone_rate']:,.0f} versions/s,"
            f" {found['standalone_mb']:.0f} MB; the package: {found['verify_mb']:.0f} MB"
        )
        self.raw["export"] = found

    async def _consent(self) -> None:
        charts = consent_bench.CHARTS // 20 if self.quick else consent_bench.CHARTS
        say(f"{charts * consent_bench.IN_CHART} directives in a home of their own")
        found = await consent_bench.measure(charts)
        self.measured["decision"] = found["p99_ms"]
        self.raw["consent"] = found
        say("searches of which directives withhold a part")
        withheld = await withheld_bench.measure()
        self.measured["withheld"] = withheld["ratio"]
        self.raw["withheld"] = withheld


async def _create(client: Client, phases: Phases) -> str:
    """`Observation/ID` of one that was made this moment."""
    answer = await client.ask_json("POST", "/Observation", phases._new_observation())
    return f"Observation/{answer['id']}"


def connect(node: Node) -> Client:
    """A client of the node, with a fresh token."""
    return Client("127.0.0.1", node.port, node.token(), node.cpu_s)


def _texts(row: dict[str, Any]) -> dict[str, str]:
    texts = {"workers": str(row["workers"]), "memory": f"{row['memory_mb']:.0f} MB"}
    for name in ("load", *COMPARED):
        one = row[name]
        texts[name] = f"{one['requests_s']:,.0f}; {one['server_cpu_ms']:.3f}; {one['p99_ms']:.1f}"
    return texts


def say(text: str) -> None:
    """A line of progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def describe_machine() -> dict[str, Any]:
    """What the numbers depend on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "commit": commit.stdout.strip(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "-o", "--output", type=Path, help="also write everything that was measured here, as JSON"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the requests, for a first look; says so"
    )
    parser.add_argument(
        "--data", type=Path, help="folder of transaction Bundles (default: ../shared/data/synthea)"
    )
    parser.add_argument(
        "--workers", type=int, help="workers of the main run (default: the node's own default)"
    )
    parser.add_argument("--compare", default="1,2,3", help="numbers of workers to compare")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts of: {','.join(PARTS)}")
    parser.add_argument("--json", action="store_true", help="print the JSON in place of the table")
    found = parser.parse_args(arguments)
    found.compare = [int(number) for number in found.compare.split(",") if number]
    found.parts = frozenset(found.only.split(","))
    if found.parts - set(PARTS):
        parser.error(f"parts are: {','.join(PARTS)}")
    return found


def main(arguments: list[str]) -> int:
    """Run, print, write. 0 if everything that was asked for could be measured, whatever the figures are."""
    options = parse(arguments)
    run = Run(options)
    warnings = []
    if options.quick:
        warnings.append(
            "QUICK: fewer requests, no ten times the patients; the figures are a first look, no evidence."
        )
    if not run.data.is_synthea:
        warnings.append(f"NO SYNTHEA DATA: measured with {run.data.source}; not comparable with the figures.")
    for warning in warnings:
        say(f"*** {warning}")
    begin = time.perf_counter()
    machine = describe_machine()
    uvloop.run(run.main())
    rows = compute_rows(run.measured, run.cpu_ms)
    result = {
        "warnings": warnings,
        "machine": machine,
        "started": time.strftime(
            "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - time.perf_counter() + begin)
        ),
        "seconds": round(time.perf_counter() - begin, 1),
        "data": run.data.source,
        "figures": rows,
        "raw": run.raw,
    }
    text = json.dumps(result, indent=1, ensure_ascii=False)
    if options.output is not None:
        options.output.write_text(text + "\n")
    print(text if options.json else "\n" + _report(rows, run, warnings))
    return 0


def _report(rows: list[dict[str, Any]], run: Run, warnings: list[str]) -> str:
    lines = [compute_table(rows, COLUMNS), ""]
    sync = run.raw.get("sync_ms")
    if sync:
        lines.append(f"sync of the home's disk: {sync['p50']} ms p50, {sync['p99']} ms p99")
    for name, one in run.raw.get("requests", {}).items():
        lines.append(
            f"{name:15} p50 {one['p50_ms']:7.2f}  p99 {one['p99_ms']:7.2f} ms  server CPU {one['server_cpu_ms']:.3f}"
            f"  client CPU {one['client_cpu_ms']:.3f} ms  {one['statuses']}"
        )
    bundle = run.raw.get("large_bundle")
    if bundle:
        lines.append(
            f"a Bundle of {bundle['resources']} ({bundle['request_mb']} MB) took {bundle['bundle_s']} s"
            f" {bundle['bundle_statuses']}; reads at a fixed rate: p99 {bundle['reads_alone']['p99_ms']} ms alone,"
            f" {bundle['reads_beside']['p99_ms']} ms beside it (max {bundle['reads_beside']['max_ms']})"
        )
    consent = run.raw.get("consent")
    if consent:
        lines.append(
            f"decisions among {consent['directives']} directives, {consent['in_chart']} in the chart: p50"
            f" {consent['p50_ms']} ms after a block, {consent['same_height_ms']} ms otherwise,"
            f" {consent['first_of_the_process_ms']} ms where the chart is opened first; a chart without any:"
            f" {consent['chart_without_us']} us"
        )
    withheld = run.raw.get("withheld")
    if withheld:
        lines.append(
            f"a search of which {withheld['withheld']} of {withheld['observations']} matches are withheld:"
            f" {withheld['narrowed_ms']} ms, without {withheld['free_ms']} ms"
        )
    if "start" in run.raw:
        lines.append(
            f"starts: clean {run.raw['start']['clean_s']} s, after kill -9 {run.raw['start']['after_kill_s']} s"
        )
    if "tenfold" in run.raw:
        lines.append(
            f"with {run.raw['tenfold']['patients']} patients, {run.raw['tenfold']['resources']} resources:"
            f" closed-loop p99 ratios {run.raw['tenfold']['closed_p99_ratio']}, {run.raw['tenfold']['memory_mb']} MB"
        )
    return "\n".join([*lines, *(f"*** {warning}" for warning in warnings)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
