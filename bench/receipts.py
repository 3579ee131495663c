"""How large a receipt is and how long the stand-alone verifier takes for it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.node import Node

VERIFIER = Path(__file__).resolve().parent.parent / "verifier" / "verify.py"
ROUNDS = 41
"""Of the whole process and the bare interpreter in turn: an odd number, for the median."""

_TIMED = """
import sys, time
sys.dont_write_bytecode = True
sys.path.append(sys.argv[1])
import verify
receipt, trust = open(sys.argv[2], "rb").read(), open(sys.argv[3], "rb").read()
times = []
for _ in range(30):
    start = time.perf_counter()
    verify.verify(receipt, trust)
    times.append(1000 * (time.perf_counter() - start))
print(times[0], sorted(times)[len(times) // 2])
"""


def measure(node: Node, reference: str) -> dict[str, Any]:
    """Fetch a receipt of what was just created, and verify it elsewhere. Raises if it does not verify.

    `verify_ms` is what a user waits for: the whole process, from its start to its end, less that of an interpreter
    that does nothing. `call_first_ms` and `call_later_ms` are calls in a process that has loaded the file; the first
    loads what `cryptography` leaves to its first ML-DSA key.
    """
    receipt, checkpoint = node.folder / "receipt.json", node.folder / "checkpoint.json"
    node.run("receipt", reference, "-o", str(receipt))
    node.run("checkpoint", "-o", str(checkpoint))
    verify = ["-I", str(VERIFIER), str(receipt), "--trust", str(checkpoint)]
    rounds = [(_process_ms(["-I", "-c", "pass"]), _process_ms(verify)) for _ in range(ROUNDS)]
    bare, whole = (statistics.median(column) for column in zip(*rounds, strict=True))
    timed = [sys.executable, "-I", "-c", _TIMED, str(VERIFIER.parent), str(receipt), str(checkpoint)]
    calls = [
        subprocess.run(timed, capture_output=True, text=True, check=True).stdout.split() for _ in range(5)
    ]
    content = receipt.read_bytes()
    return {
        "bytes": len(content),
        "bytes_without_signed_part": len(content) - _signed_bytes(json.loads(content)),
        "verify_ms": round(whole - bare, 3),
        "interpreter_ms": round(bare, 3),
        "call_first_ms": round(statistics.median(float(one[0]) for one in calls), 3),
        "call_later_ms": round(statistics.median(float(one[1]) for one in calls), 3),
    }


def _process_ms(arguments: list[str]) -> float:
    """From the start of a Python process to its end. Raises if it does not exit with 0."""
    # Not `subprocess`, which adds milliseconds of its own that vary.
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    start = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ, file_actions=quiet)
    _, status = os.waitpid(child, 0)
    elapsed = 1000 * (time.perf_counter() - start)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"the verifier refused a receipt: exit code {os.waitstatus_to_exitcode(status)}")
    return elapsed


def _signed_bytes(receipt: dict[str, Any]) -> int:
    """The encoded length of the checkpoint with its signatures inside the receipt."""
    signed = receipt.get("signed", "")
    return len(json.dumps(signed, separators=(",", ":")).encode())
