"""How fast a large chart is exported and verified: one chart of 20,000 versions in a home of its own.

The export goes through the node's command, file and fsync included; both verifiers read what it wrote, each in a
process of its own, whose peak of memory is kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import patients
from careledger.access.actor import Actor
from careledger.access.scopes import parse_scopes
from careledger.fhir.messages import FhirRequest
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.making import init
from careledger.node.service import NodeService

VERSIONS = 20_000
PASSPHRASE = "a bench has nothing to hide"
VERIFIER = Path(__file__).resolve().parent.parent / "verifier"

_PACKAGE = """
import resource, sys, time
from careledger.ledger.export_verification import verify_export
export, trust = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
start = time.thread_time()
verify_export(export, trust, now_ms=0)
print(time.thread_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""
_STANDALONE = """
import resource, sys, time
sys.dont_write_bytecode = True
sys.path.append(sys.argv[3])
import verify
exports = verify.load("exports")
export, trust = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
start = time.thread_time()
exports.verify_export(export, trust, None, 0)
print(time.thread_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""


async def measure(versions: int = VERSIONS) -> dict[str, Any]:
    """Versions a second of export and verification; the middle of three."""
    folder = Path(tempfile.mkdtemp(prefix="careledger-bench-"))
    try:
        return await _measure(folder, versions)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(folder: Path, versions: int) -> dict[str, Any]:
    init(folder / "home", "Bench", PASSPHRASE)
    file, keys = open_keys(Layout(folder / "home"), PASSPHRASE)
    service = NodeService(folder / "home", file, keys, served=False)
    await service.start()
    try:
        patient = await _fill(service, versions)
        export, trust = folder / "export", folder / "trust"
        trust.write_text((await _ask(service, "checkpoint"))["file"])
        times = []
        for _ in range(3):
            start = time.perf_counter()
            result = await _ask(service, "chart.export", patient=patient, path=str(export))
            times.append(time.perf_counter() - start)
    finally:
        await service.stop()
    package = [_run(_PACKAGE, export, trust) for _ in range(3)]
    standalone = [_run(_STANDALONE, export, trust, VERIFIER) for _ in range(3)]
    return {
        "entries": result["entries"],
        "bytes": result["bytes"],
        "export_s": round(sorted(times)[1], 3),
        "verify_s": round(sorted(package)[1][0], 3),
        "verify_mb": round(package[0][1], 1),
        "standalone_s": round(sorted(standalone)[1][0], 3),
        "standalone_mb": round(standalone[0][1], 1),
        "export_rate": result["entries"] / sorted(times)[1],
        "verify_rate": result["entries"] / sorted(package)[1][0],
        "standalone_rate": result["entries"] / sorted(standalone)[1][0],
    }


async def _fill(service: NodeService, versions: int) -> str:
    """The logical id of a patient whose chart gets that many versions."""
    context = service.context
    actor = Actor("bench", "bench", context.home.did, parse_scopes("system/*.cruds"))
    headers = {b"content-type": b"application/fhir+json"}
    body = patients.large_bundle(versions - 1)
    answer = await context.fhir.handle(FhirRequest("POST", (), [], headers, body, actor, os.urandom(16)))
    first = json.loads(answer.body)["entry"][0]["response"]["location"]
    return str(first.split("Patient/")[1].split("/")[0])


async def _ask(service: NodeService, method: str, **params: Any) -> dict[str, Any]:
    return await service.command(method, params, lambda _: None)


def _run(program: str, *files: Path) -> tuple[float, float]:
    """Seconds and megabytes. Raises if the verifier does not accept the export."""
    words = [sys.executable, "-c", program, *map(str, files)]
    seconds, megabytes = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(megabytes)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=1))
