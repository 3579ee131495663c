"""fsck: everything against everything. The index is rebuilt from the journal in a scratch folder, which opens every
body, checks every leaf, log and block; then the index in use must say the same, entry by entry.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb

from careledger.ledger.checkpoint import parse_note
from careledger.ledger.consensus.embedded import EmbeddedLedger
from careledger.ledger.light_files import NetworkTrust
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.verification import read_any_trust
from careledger.node import former
from careledger.node.home import OpenHome
from careledger.node.recovery import catch_up
from careledger.primitives.errors import CareLedgerError, Corrupt
from careledger.vault import journal as frames
from careledger.vault import records
from careledger.vault.envelope import check_version, open_access, open_body, open_meta
from careledger.vault.index import open_segment
from careledger.vault.journal import FRAME_HEADER, Position, Record, TornTail
from careledger.vault.registry import StoredRegistry
from careledger.vault.rows import rows_of
from careledger.vault.tables import CHART_KEY, LEAF, LEAF_KEY, NODE_KEY, RESOURCE, ROW_KEY, Tables

Progress = Callable[[dict[str, Any]], None]
PROBLEMS_MAX = 100
SETS = ("find", "visit")
_LOGS = ("leaf", "access entry")
COMPARED = {
    "resource": "resources",
    "version": "superseded versions",
    "patient": "patients",
    "chart": "charts",
    "access": "access logs",
    "wrap": "wrapped keys",
    "leaf": "log leaves",
    "node": "log nodes",
    "find": "row terms",
    "visit": "chart terms",
    "reseal": "re-sealed secrets",
    "revoked": "revoked tokens",
    "ledger": "ledger entries",
    "heads": "buckets of heads",
    "past": "old heads",
    "former": "entries of the embedded ledger",
}
"""Table of the index -> what its entries are called in a report."""


@dataclass(frozen=True, slots=True)
class View:
    """What is checked: the index as of one moment, and the journal up to it."""

    txn: lmdb.Transaction
    position: Position


def take_view(home: OpenHome) -> View:
    """Fix the moment. Call while no group is in progress; the node goes on while `run` works."""
    return View(home.tables.env.begin(), home.journal.position)


def run(
    home: OpenHome,
    view: View,
    progress: Progress,
    trusted: bytes = b"",
    registry: StoredRegistry | None = None,
) -> dict[str, Any]:
    """Check the view. `ok` only if nothing is wrong; `problems` says what, without patient data.

    `trusted` is a checkpoint file kept elsewhere: the home's history must continue it, else an older copy of the home
    was put back, or its history was written anew. Raises VerificationFailed if it is no checkpoint.
    """
    problems: list[str] = []
    counts: dict[str, int] = {}
    scratch = Path(tempfile.mkdtemp(prefix="fsck-", dir=home.layout.path))
    try:
        if trusted:
            problems += _rolled_back(home, view, trusted)
        _check(home, view, scratch, progress, problems, counts)
        if registry is not None:
            _check_registry(registry, problems, counts)
    finally:
        view.txn.abort()
        shutil.rmtree(scratch, ignore_errors=True)
    return {"ok": not problems, "checked": counts, "problems": problems}


def _check_registry(registry: StoredRegistry, problems: list[str], counts: dict[str, int]) -> None:
    """Open every entry."""
    try:
        counts["entries of the registry"] = registry.check()
    except Corrupt as error:
        problems.append(error.message)


def _newest(view: View, home: OpenHome) -> bytes:
    """Height of the ledger's newest block in the view."""
    kept = view.txn.get(b"block", db=home.tables.meta)
    return view.txn.get(b"height", b"", db=home.tables.meta)[:8] if kept is None else kept


def _rolled_back(home: OpenHome, view: View, trusted: bytes) -> list[str]:
    """Why this history, or that of the embedded ledger before it, does not continue the checkpoint; empty if it does."""
    trust, ledger = read_any_trust(trusted), home.the_ledger
    kv, height = LmdbKV(view.txn, home.tables.ledger), int.from_bytes(_newest(view, home), "big")
    if trust.chain != ledger.chain_id and home.migrated_view is not None:
        before = former.open_former(home, view.txn)
        ledger, kv, height = before.ledger, before.kv, before.ledger.height
    if trust.chain != ledger.chain_id:
        return ["the checkpoint is of another ledger"]
    if trust.size > height + 1:
        ahead = trust.size - 1 - height
        return [f"the home was rolled back: the checkpoint is {ahead} blocks ahead of its block {height}"]
    if isinstance(trust, NetworkTrust):
        same = ledger.block(kv, trust.size - 1).app_hash == trust.point.app_hash
    elif isinstance(ledger, EmbeddedLedger):
        same = parse_note(ledger.checkpoint(kv, trust.size - 1)).checkpoint.root == trust.root
    else:
        return ["the checkpoint is of another kind of ledger"]
    return [] if same else [f"the history up to block {trust.size - 1} was written anew"]


def _check(
    home: OpenHome, view: View, scratch: Path, progress: Progress, problems: list[str], counts: dict[str, int]
) -> None:
    rebuilt = OpenHome(home.layout, home.keys, home.file, scratch, write=False)
    try:
        report = lambda done, total: progress({"what": "checking", "done": done, "total": total})  # noqa: E731
        try:
            counts["journal frames"] = catch_up(rebuilt, report, stop=view.position)
        except CareLedgerError as error:
            problems.append(error.message)
            problems += _damaged_records(home, rebuilt, error)
            return
        _check_accesses(rebuilt, problems, counts)
        with rebuilt.tables.env.begin() as txn:
            for name, called in COMPARED.items():
                counts[called] = _compare(name, home.tables, view.txn, rebuilt.tables, txn, problems)
            try:
                counts["index rows"] = _compare_rows(home, view.txn, rebuilt, txn, problems)
            except lmdb.Error as error:
                problems.append(f"the index rows cannot be read: {type(error).__name__}")
    finally:
        rebuilt.close()


def _check_accesses(rebuilt: OpenHome, problems: list[str], counts: dict[str, int]) -> None:
    """Open every access entry."""
    counts["access entries"] = 0
    for frame in rebuilt.journal.frames(
        frames.start_position(rebuilt.keys.home_id), rebuilt.journal.position.end
    ):
        for record in frame.records():
            if record.kind == records.ACCESS:
                counts["access entries"] += 1
                problem = _try(rebuilt, record)
                if problem and len(problems) < PROBLEMS_MAX:
                    problems.append(problem)


def _damaged_records(home: OpenHome, rebuilt: OpenHome, error: CareLedgerError) -> list[str]:
    """Where a frame is damaged, say which of its records are."""
    if not isinstance(error, TornTail):
        return []
    found = []
    try:
        head = home.journal.read(error.offset, FRAME_HEADER.size)
        length = FRAME_HEADER.unpack(head)[2]
        payload = home.journal.read(error.offset + FRAME_HEADER.size, length)
        frame = frames.Frame(0, 0, error.offset, 0, b"", payload)
        for record in frame.records():
            problem = _try(rebuilt, record)
            if problem:
                found.append(problem)
    except Corrupt:
        found.append(f"the frame at byte {error.offset} cannot be taken apart")
    return found[:PROBLEMS_MAX]


def _try(home: OpenHome, record: Record) -> str:
    """Why this record does not open; empty if it does."""
    where = f"record at byte {record.offset}"
    try:
        if record.kind == records.VERSION:
            version = records.unpack_version(record.content)
            where = f"version at leaf {version.index} of chart {version.chart} (byte {record.offset})"
            keys = home.keyring.get(version.chart)
            if version.epoch != keys.epoch:
                return ""  # its secret was sealed again since, or erased
            opened = open_meta(keys, version.leaf, version.meta)
            check_version(keys, version.leaf, opened, open_body(keys, opened, version.body))
        elif record.kind == records.LINK:
            link = records.unpack_link(record.content)
            where = f"link at leaf {link.index} of chart {link.chart} (byte {record.offset})"
            keys = home.keyring.get(link.chart)
            if link.epoch == keys.epoch:
                open_meta(keys, link.leaf, link.meta)
        elif record.kind == records.ACCESS:
            entry = records.unpack_access(record.content)
            where = f"access entry {entry.index} of chart {entry.chart} (byte {record.offset})"
            open_access(home.keyring.get(entry.chart), entry.chart, entry.index, entry.leaf, entry.sealed)
        return ""
    except Corrupt as error:
        return f"{where}: {error.message}"


def _items(tables: Tables, txn: lmdb.Transaction, name: str) -> Iterator[tuple[bytes, bytes]]:
    with txn.cursor(getattr(tables, name)) as cursor:
        yield from cursor.iternext(keys=True, values=True)


def _compare(
    name: str,
    mine: Tables,
    txn: lmdb.Transaction,
    rebuilt: Tables,
    fresh: lmdb.Transaction,
    problems: list[str],
) -> int:
    """Both tables must hold the same. Returns how many entries there are."""
    count = 0
    wanted, found = _items(rebuilt, fresh, name), _items(mine, txn, name)
    try:
        for expected in wanted:
            count += 1
            same = next(found, None) == expected
            if not (same and _is_found(mine, txn, name, *expected)):
                place = _place_of(name, *expected)
                problems.append(f"the index table `{name}` differs from the journal at entry {count}{place}")
                return count
        if next(found, None) is not None:
            problems.append(f"the index table `{name}` holds more than the journal")
    except lmdb.Error as error:
        problems.append(f"the index table `{name}` cannot be read: {type(error).__name__}")
    return count


def _is_found(tables: Tables, txn: lmdb.Transaction, name: str, key: bytes, value: bytes) -> bool:
    """Whether a look-up finds the entry, too: a damaged inner page leads astray whoever does not walk along."""
    with txn.cursor(getattr(tables, name)) as cursor:
        return bool(cursor.set_key_dup(key, value) if name in SETS else cursor.set_key(key))


def _place_of(name: str, key: bytes, value: bytes) -> str:
    """Which chart and leaf an entry is about, where it says so: never whose."""
    if name == "leaf":
        chart, log, index = LEAF_KEY.unpack(key)
        return f": {_LOGS[log]} {index} of chart {chart} (byte {LEAF.unpack(value)[0]})"
    if name == "node":
        chart, log, level, index = NODE_KEY.unpack(key)
        return f": node {level}/{index} over the {_LOGS[log]} entries of chart {chart}"
    if name in ("resource", "version"):
        chart, _, _, leaf = RESOURCE.unpack_from(value)[:4]
        return f": the version at leaf {leaf} of chart {chart}"
    if name in ("chart", "access", "wrap"):
        return f": chart {CHART_KEY.unpack(key)[0]}"
    return ""


def _compare_rows(
    home: OpenHome, txn: lmdb.Transaction, rebuilt: OpenHome, fresh: lmdb.Transaction, problems: list[str]
) -> int:
    """Sealed rows are compared opened: the same rows may lie in other segments."""
    count = 0
    wanted, found = _rows(rebuilt, rebuilt.tables, fresh), _rows(home, home.tables, txn)
    while True:
        try:
            expected, row = next(wanted, None), next(found, None)
        except Corrupt as error:
            problems.append(f"index rows: {error.message}")
            return count
        if expected != row:
            problems.append(f"the index rows differ from the journal at row {count}")
            return count
        if expected is None:
            return count
        count += 1


def _rows(home: OpenHome, tables: Tables, txn: lmdb.Transaction) -> Iterator[tuple[int, Any]]:
    for key, value in _items(tables, txn, "row"):
        chart, first = ROW_KEY.unpack(key)
        for row in rows_of(open_segment(home.keyring.get(chart), first, value)):
            yield chart, row
