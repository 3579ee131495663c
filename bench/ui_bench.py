"""`make bench-ui`: what the web application costs whoever uses it, as a table and `bench-ui.json`.

A node as `careledger serve` starts it, with one patient of 2,076 resources (Synthea's, else one of our own making), Debian's
Chromium beside it on the same machine, its CPU throttled to a mid-range phone (four times slower). Bytes are what came over
the wire, brotli where the file is packed, every file until the page was usable. Lighthouse comes from npm into
.cache/lighthouse (tools/lighthouse), and runs as it does for everybody: its own mobile throttling, a browser for each run.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import BrowserContext, CDPSession, Page, sync_playwright

from bench.figures import Figure, compute_row, compute_table
from bench.node import Node
from careledger.node import client
from careledger.synthetic.hospital import encode, hospital

ROOT = Path(__file__).resolve().parent.parent
SYNTHEA = ROOT.parent / "shared" / "data" / "synthea"
LARGE = "Jasper743"
HOUSE = ("hospital*.json.gz", "practitioner*.json.gz")
PHONE_SLOWER = 4
RUNS = 3
USABLE_MS_MAX = 30_000
QUIET_MS = 700
"""Long enough for what a page fetches after it is usable; it never falls silent: it waits for news."""
SCREENS = {
    "welcome": ("", "/"),
    "patient": ("A patient", "/app/record"),
    "health": ("A patient", "/app/health"),
    "looked": ("A patient", "/app/looked"),
    "clinician": ("A clinician", "/app/patients"),
    "explorer": ("", "/explorer"),
}
"""Lighthouse's: name -> whose, and where."""
LIGHTHOUSE_RUNS = 3

FIGURES = (
    Figure("first_patient", "first route of a patient, every file until usable", "kB", 150, 125, False),
    Figure("first_clinician", "first route of a clinician, the same", "kB", 150, 125, False),
    Figure("first_welcome", "first route of a stranger, the same", "kB", 150, 125, False),
    Figure("chart_ms", "chart of 2,000 resources usable, phone", "ms", 1000, 700, False),
    Figure("chart_requests", "requests for it", "", 20, 10, False),
    Figure("chart_kb", "and bytes", "kB", 300, 150, False),
    Figure("paint_ms", "interaction to next paint, the slowest of the stories, phone", "ms", 200, 100, False),
    Figure("receipt_ms", "receipt verified in the browser, phone", "ms", 50, 25, False),
    Figure("complete_ms", "completeness of 2,000 resources verified, phone", "ms", 1000, 500, False),
    Figure(
        "lighthouse_performance", "Lighthouse, performance, the lowest of the main screens", "", 90, 95, True
    ),
    Figure("lighthouse_accessibility", "Lighthouse, accessibility, the lowest", "", 100, 100, True),
    Figure("lighthouse_practices", "Lighthouse, best practices, the lowest", "", 100, 100, True),
)
COLUMNS = ("what", "measured", "at least", "aim", "verdict")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write. Exit code 0 also when a figure is missed: it is no test."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("bench-ui.json"))
    parser.add_argument("--without-lighthouse", action="store_true", help="leave out what needs npm")
    options = parser.parse_args(arguments)
    values: dict[str, Any] = {}
    with clinic() as (node, patient):
        with browser() as (context, _):
            values |= measure(node, patient, context)
        if not options.without_lighthouse:
            values |= run_lighthouse(node)
    rows = [compute_row(figure, values.get(figure.key), None) for figure in FIGURES]
    print(compute_table(rows, COLUMNS))
    options.output.write_text(json.dumps(values, indent=2) + "\n")
    return 0


@contextmanager
def clinic() -> Iterator[tuple[Node, str]]:
    """A served node with the large patient and somebody who treats them; the patient's id."""
    node = Node(None, host="localhost")
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_bundles(Path(folder))
            node.run("import", folder)
        node.start()
        patient, practitioner = find_first(node, "Patient"), find_first(node, "Practitioner")
        people = [
            {"kind": "patient", "name": "A patient", "fhir_user": f"Patient/{patient}"},
            {"kind": "clinician", "name": "A clinician", "fhir_user": f"Practitioner/{practitioner}"},
        ]
        client.call(node.home, "account.personas", {"personas": people}, node.passphrase)
        node.stop()
        node.start()
        yield node, patient
    finally:
        node.remove()


def write_bundles(folder: Path) -> None:
    """The house, its people and the large patient, as files."""
    large = next(iter(SYNTHEA.glob(f"{LARGE}*.json.gz")), None)
    if large is None:
        print(f"{SYNTHEA} is absent: the patient is of our own making, and smaller", file=sys.stderr)
        bundles = [encode(bundle) for bundle in hospital(11, 2)]
    else:
        house = [path for pattern in HOUSE for path in sorted(SYNTHEA.glob(pattern))]
        bundles = [gzip.decompress(path.read_bytes()) for path in (*house, large)]
    for number, bundle in enumerate(bundles):
        (folder / f"{number}.json").write_bytes(bundle)


def find_first(node: Node, type: str) -> str:
    """The id that the node gave to one of them."""
    url = f"http://localhost:{node.port}/fhir/{type}?_count=1"
    asked = urllib.request.Request(url, headers={"authorization": f"Bearer {node.token()}"})
    with urllib.request.urlopen(asked) as answer:
        return str(json.load(answer)["entry"][0]["resource"]["id"])


@contextmanager
def browser() -> Iterator[tuple[BrowserContext, int]]:
    """Chromium with an empty profile, and the port at which Lighthouse reaches it."""
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("there is no chromium: apt-get install chromium")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        arguments = ["--no-sandbox", f"--remote-debugging-port={port}"]
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, args=arguments, viewport={"width": 390, "height": 844}
        )
        yield context, port
        context.close()


@dataclass(slots=True)
class Wire:
    """What came over the wire since `clear`."""

    session: CDPSession
    requests: list[str] = field(default_factory=list)
    bytes: int = 0

    def __post_init__(self) -> None:
        self.session.send("Network.enable")
        self.session.on(
            "Network.requestWillBeSent", lambda event: self.requests.append(event["request"]["url"])
        )
        self.session.on("Network.loadingFinished", lambda event: self._finish(event))

    def _finish(self, event: dict[str, Any]) -> None:
        self.bytes += int(event["encodedDataLength"])

    def clear(self) -> None:
        """Count anew, with an empty cache and no service worker."""
        self.session.send("Network.clearBrowserCache")
        self.session.send("Network.setBypassServiceWorker", {"bypass": True})
        self.requests.clear()
        self.bytes = 0


def measure(node: Node, patient: str, context: BrowserContext) -> dict[str, Any]:
    """Bytes, times and paints of the stories."""
    page = context.new_page()
    wire = Wire(context.new_cdp_session(page))
    base = f"http://localhost:{node.port}"
    found: dict[str, Any] = {}
    found["first_welcome"] = first_route(page, wire, base + "/")
    sign_in(page, base, "A patient")
    found["first_patient"] = first_route(page, wire, base + "/app")
    slow(wire, PHONE_SLOWER)
    found |= prove(page, node, patient, base)
    paints = [*watch_paints(page, base, "patient")]
    slow(wire, 1)
    sign_in(page, base, "A clinician")
    found["first_clinician"] = first_route(page, wire, base + "/app")
    slow(wire, PHONE_SLOWER)
    found |= open_chart(page, wire, base)
    paints += watch_paints(page, base, "clinician")
    slow(wire, 1)
    found["paint_ms"] = max(paints, default=None)
    page.close()
    return found


def slow(wire: Wire, times: int) -> None:
    """The page's CPU is so many times slower."""
    wire.session.send("Emulation.setCPUThrottlingRate", {"rate": times})


def sign_in(page: Page, base: str, who: str) -> None:
    """As the demo's people do."""
    page.goto(base + "/demo")
    page.get_by_role("button", name=who, exact=True).click()
    page.wait_for_url("**/app/**")
    usable(page)


def usable(page: Page) -> None:
    """The page has its heading and nothing on its way."""
    page.locator("main h1").first.wait_for(timeout=USABLE_MS_MAX)
    page.get_by_text("One moment…").first.wait_for(state="detached", timeout=USABLE_MS_MAX)


def first_route(page: Page, wire: Wire, url: str) -> float:
    """kB of files (scripts, styles, the page itself) until it is usable, with an empty cache."""
    page.goto("about:blank")
    wire.clear()
    page.goto(url)
    usable(page)
    page.wait_for_timeout(QUIET_MS)
    files = page.evaluate("""() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
      .filter((one) => !/\\/(fhir|api|oauth|session)/.test(new URL(one.name).pathname))
      .reduce((sum, one) => sum + one.encodedBodySize, 0)""")
    return round(float(files) / 1000, 1)


def open_chart(page: Page, wire: Wire, base: str) -> dict[str, Any]:
    """From the click on the patient until their chart can be used; the middle of some runs."""
    times, requests, bytes = [], [], []
    for _ in range(RUNS):
        page.goto(base + "/app/patients")
        usable(page)
        page.get_by_role("searchbox").or_(page.get_by_role("combobox")).first.fill("Jasper")
        row = page.get_by_role("button", name="Jasper").or_(page.get_by_role("link", name="Jasper")).or_(
            page.get_by_role("option", name="Jasper")
        ).first  # fmt: skip
        row.wait_for()
        wire.clear()
        begin = time.perf_counter()
        row.click()
        page.wait_for_url("**/app/chart")
        page.get_by_role("heading", name="Medicines").first.wait_for()
        usable(page)
        times.append(1000 * (time.perf_counter() - begin))
        page.wait_for_timeout(QUIET_MS)
        requests.append(len(wire.requests))
        bytes.append(wire.bytes)
    return {"chart_ms": median(times), "chart_requests": max(requests), "chart_kb": max(bytes) / 1000}


def prove(page: Page, node: Node, patient: str, base: str) -> dict[str, Any]:
    """The whole chart checked in the browser, then a receipt of it: as the page's own measures say."""
    page.goto(base + "/app/proof")
    usable(page)
    for turn in range(RUNS):
        page.get_by_role("button", name="Check my record").first.click()
        complete = wait_for_measures(page, "verify-export", turn + 1)
    receipt, trust = node.folder / "receipt.json", node.folder / "checkpoint.txt"
    node.run("receipt", f"Patient/{patient}", "-o", str(receipt))
    node.run("checkpoint", "-o", str(trust))
    receipts: list[float] = []
    for _ in range(RUNS):
        page.goto(base + "/app/proof")
        usable(page)
        page.get_by_label("Proof files and trust file").set_input_files([str(receipt), str(trust)])
        page.get_by_role("button", name="Check", exact=True).click()
        wait_for_measures(page, "verify-receipt", 1)
        page.get_by_role("button", name="Check", exact=True).click()
        receipts = wait_for_measures(page, "verify-receipt", 2)[
            1:
        ]  # the worker is there: the first one starts it
    return {"complete_ms": median(complete), "receipt_ms": median(receipts)}


def wait_for_measures(page: Page, name: str, count: int) -> list[float]:
    """The durations of that name, once there are so many; polled, because the page's policy runs no strings."""
    for _ in range(600):
        found = page.evaluate("(name) => performance.getEntriesByName(name).map((one) => one.duration)", name)
        if len(found) >= count:
            return [float(one) for one in found]
        page.wait_for_timeout(100)
    raise RuntimeError(
        f"{name}: nothing was measured; the page says {page.locator('main').inner_text()[:800]}"
    )


def watch_paints(page: Page, base: str, who: str) -> list[float]:
    """Durations of the interactions of a short story, from the touch to the next paint."""
    paths = {"patient": ("/app/record", "/app/health", "/app/results", "/app/looked")}.get(
        who, ("/app/patients", "/app/chart")
    )
    page.goto(base + paths[0])
    usable(page)
    page.evaluate("""() => { globalThis.__paints = [];
      new PerformanceObserver((list) => { for (const one of list.getEntries()) globalThis.__paints.push(one.duration); })
        .observe({type: 'event', durationThreshold: 16, buffered: true}); }""")
    for path in paths[1:]:
        link = page.locator(f"nav a[href='{path}']").first
        if not link.is_visible():
            page.locator("nav summary").first.click()
        link.click()
        usable(page)
        page.wait_for_timeout(300)
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Go to").fill("re")
    page.wait_for_timeout(400)
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    return [float(one) for one in page.evaluate("() => globalThis.__paints")]


def run_lighthouse(node: Node) -> dict[str, Any]:
    """The lowest score of the main screens in each category, of each screen the median of LIGHTHOUSE_RUNS.

    Each run has a browser of its own, as a run of Lighthouse from the command line has: it counts as blocking what the
    profiler does to every page that the browser's process ever held. Whoever is asked for signs in there first.
    """
    command = fetch_lighthouse()
    base = f"http://localhost:{node.port}"
    scores: dict[str, dict[str, float]] = {}
    for name, (who, path) in SCREENS.items():
        runs = [one for _ in range(LIGHTHOUSE_RUNS) if (one := score_alone(command, base, who, path))]
        scores[name] = {key: median(one[key] for one in runs) for key in runs[0]} if runs else {}
        performance = sorted(one["performance"] for one in runs)
        print(f"lighthouse {name}: {scores[name]}, performance of each run {performance}", file=sys.stderr)
    keys = {"performance": "performance", "accessibility": "accessibility", "best-practices": "practices"}
    lowest = {
        f"lighthouse_{key}": min((one[category] for one in scores.values() if one), default=None)
        for category, key in keys.items()
    }
    return {**lowest, "lighthouse": scores}


def score_alone(command: list[str], base: str, who: str, path: str) -> dict[str, float]:
    """One run in a browser of its own, tried again if it dies (one in eight does); {} if it did so three times."""
    for _ in range(3):
        with browser() as (context, port):
            page = context.new_page()
            if who:
                sign_in(page, base, who)
            page.goto("about:blank")
            if found := score(command, base + path, port):
                return found
    return {}


def score(command: list[str], url: str, port: int) -> dict[str, float]:
    """Scores of 100; {} if the run died."""
    options = [
        url, f"--port={port}", "--output=json", "--quiet", "--disable-storage-reset",
        "--only-categories=performance,accessibility,best-practices",
    ]  # fmt: skip
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        return {}
    told = json.loads(done.stdout)["categories"]
    return {name: round(100 * (one["score"] or 0)) for name, one in told.items()}


def fetch_lighthouse() -> list[str]:
    """Lighthouse on the wheel's Node, from npm, pinned by the lock in tools/lighthouse."""
    sys.path.insert(0, str(ROOT / "tools"))
    tools = importlib.import_module("build_definitions")
    node, npm = tools.find_node()
    folder, lock = ROOT / ".cache" / "lighthouse", ROOT / "tools" / "lighthouse"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / "lighthouse").is_dir():
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(lock / name, folder / name)
        tools.run(
            [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            hint="the npm registry was not reached",
        )
    return [str(node), str(folder / "node_modules" / "lighthouse" / "cli" / "index.js")]


if __name__ == "__main__":
    sys.exit(main())
