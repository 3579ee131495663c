"""How large a receipt is and how long the stand-alone verifier takes for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.node import Node

VERIFIER = Path(__file__).resolve().parent.parent / "verifier" / "verify.py"

_TIMED = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("verifier", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
receipt, trust = open(sys.argv[2], "rb").read(), open(sys.argv[3], "rb").read()
times = []
for _ in range(30):
    start = time.perf_counter()
    module.verify(receipt, trust)
    times.append(1000 * (time.perf_counter() - start))
print(times[0], sorted(times)[len(times) // 2])
"""


def measure(node: Node, reference: str) -> dict[str, Any]:
    """Fetch a receipt of what was just created, and verify it elsewhere. Raises if it does not verify."""
    receipt, checkpoint = node.folder / "receipt.json", node.folder / "checkpoint.json"
    node.run("receipt", reference, "-o", str(receipt))
    node.run("checkpoint", "-o", str(checkpoint))
    command = [sys.executable, "-I", str(VERIFIER), str(receipt), "--trust", str(checkpoint)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the verifier refused a receipt: {done.stdout}{done.stderr}")
    timed = [sys.executable, "-I", "-c", _TIMED, str(VERIFIER), str(receipt), str(checkpoint)]
    runs = [
        subprocess.run(timed, capture_output=True, text=True, check=True).stdout.split() for _ in range(5)
    ]
    first = sorted(float(one[0]) for one in runs)[2]
    median = sorted(float(one[1]) for one in runs)[2]
    content = receipt.read_bytes()
    return {
        "bytes": len(content),
        "bytes_without_signed_part": len(content) - _signed_bytes(json.loads(content)),
        "verify_first_ms": round(first, 3),
        "verify_median_ms": round(median, 3),
    }


def _signed_bytes(receipt: dict[str, Any]) -> int:
    """The encoded length of the checkpoint with its signatures inside the receipt."""
    signed = receipt.get("signed", "")
    return len(json.dumps(signed, separators=(",", ":")).encode())
