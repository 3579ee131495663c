"""What is wrong with this machine, home or node, in words that say what to do."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from careledger.node.config import Config
from careledger.node.home import OpenHome
from careledger.primitives.errors import CareLedgerError

FREE_BYTES_MIN = 1 << 30
FILES_MIN = 1024
SYNC_MS_MAX = 20.0
CLOCK_SKEW_MS_MAX = 60_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do if it is not well."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def run(
    home: OpenHome, config: Config, sync_ms: float, witnesses: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Every check. `ok` only if all are. `witnesses` are as `Witnesses.standing` gives them."""
    checks: list[Callable[[], Finding]] = [
        _python,
        lambda: _permissions(home),
        lambda: _disk(home),
        lambda: _sync(sync_ms),
        lambda: _clock(home),
        _files,
        lambda: _heads(home),
        lambda: _exposure(config),
    ]
    found = [check() for check in checks]
    found += [_witness(one) for one in witnesses]
    return {
        "ok": all(one.ok for one in found),
        "checks": [{"name": f.name, "ok": f.ok, "detail": f.detail, "hint": f.hint} for f in found],
    }


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        "python",
        (3, 11) <= sys.version_info[:2] <= (3, 13),
        f"Python {version}",
        "use Python 3.11, 3.12 or 3.13",
    )


def _permissions(home: OpenHome) -> Finding:
    open_to_others = [
        str(path.relative_to(home.layout.path.parent))
        for path in (home.layout.path, home.layout.keys)
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    detail = (
        "only this user can read the home"
        if not open_to_others
        else "open to others: " + ", ".join(open_to_others)
    )
    return Finding(
        "permissions", not open_to_others, detail, f"chmod 700 {home.layout.path} {home.layout.keys}"
    )


def _disk(home: OpenHome) -> Finding:
    free = shutil.disk_usage(home.layout.path).free
    return Finding(
        "disk", free >= FREE_BYTES_MIN, f"{free >> 20} MiB free", "free space: a full disk stops all reads"
    )


def _sync(sync_ms: float) -> Finding:
    return Finding(
        "sync",
        sync_ms <= SYNC_MS_MAX,
        f"{sync_ms:.2f} ms to make a commit durable",
        "put the home on a faster disk",
    )


def _clock(home: OpenHome) -> Finding:
    behind = home.the_ledger.time_ms - time.time_ns() // 1_000_000
    return Finding(
        "clock",
        behind <= CLOCK_SKEW_MS_MAX,
        f"{max(0, behind)} ms behind the ledger",
        "set the machine's clock",
    )


def _files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding("open files", soft >= FILES_MIN, f"limit {soft}", f"ulimit -n {FILES_MIN}")


def _heads(home: OpenHome) -> Finding:
    try:
        home.journal.sync()
    except (OSError, CareLedgerError):
        return Finding("journal", False, "cannot be synced", "check the disk, then restart the node")
    return Finding(
        "journal", True, f"{home.journal.position.end >> 10} KiB, height {home.height}, pid {os.getpid()}"
    )


def _witness(standing: dict[str, Any]) -> Finding:
    """How far what a witness signed is behind, and whether it refuses."""
    far = (
        f"signed size {standing['size']}, {standing['behind']} blocks behind"
        if standing["size"]
        else "no signature"
    )
    trouble = standing["trouble"]
    detail = f"{standing['name']}: {trouble}; {far}" if trouble else f"{standing['name']}: {far}"
    return Finding("witness", standing["ok"], detail, standing["hint"])


def _exposure(config: Config) -> Finding:
    safe = (
        bool(config.server.tls_cert)
        or config.server.behind_proxy
        or config.server.listen.startswith(("127.", "localhost", "[::1]"))
    )
    return Finding("listener", safe, config.server.listen, "set server.tls_cert and server.tls_key")
