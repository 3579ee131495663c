"""The figures of the bench: what is promised at least, what is aimed at, what the peers did; and the verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BETTER_PEER_CPU_MS = {
    "create": 4.3,
    "create_patient": 4.3,
    "read": 2.2,
    "search": 8.0,
    "name": 2.9,
    "everything": 98.0,
}
"""Server CPU a request of the better of HAPI FHIR JPA and Medplum, on 2 cores of the same kind with the same client."""

CPU_AT_LEAST = 1 / 5
CPU_AIM = 1 / 10


@dataclass(frozen=True, slots=True)
class Figure:
    """One promise. `bound` and `aim` are limits from below if `higher`, else from above."""

    key: str
    what: str
    unit: str
    bound: float
    aim: float
    higher: bool


FIGURES = (
    Figure("load", "load of transaction Bundles", "resources/s", 4000, 8000, True),
    Figure("create", "create (Observation, durable at 201)", "/s", 1500, 2500, True),
    Figure("create_patient", "create (Patient: a chart begins)", "/s", 1500, 2500, True),
    Figure("read", "read (logged durably)", "/s", 1800, 3500, True),
    Figure("search", "search, 50 entries, newest first", "/s", 800, 2000, True),
    Figure("name", "Patient?name=", "/s", 1200, 3000, True),
    Figure("everything", "$everything, 200 a page", "/s", 200, 500, True),
    Figure("update_ratio", "update latency against create (p50)", "x", 1.5, 1.2, False),
    Figure("apply_block", "signed transactions through apply_block", "/s", 3000, 8000, True),
    Figure("state_tree", "state tree of 500,000 keys", "keys/s", 30_000, 80_000, True),
    Figure("anchoring", "records anchored, 1,000 charts", "/s", 20_000, 60_000, True),
    Figure("p99_read", "p99 of read, 10 x the patients (offered rate)", "x", 1.5, 1.1, False),
    Figure("p99_search", "p99 of search, 10 x the patients (offered rate)", "x", 1.5, 1.1, False),
    Figure("p99_create", "p99 of create, 10 x the patients (offered rate)", "x", 1.5, 1.1, False),
    Figure("decision", "p99 of a decision, 100,000 directives, 50 in the chart", "ms", 1, 0.5, False),
    Figure("withheld", "search with withheld data, against one without", "x", 1.2, 1.1, False),
    Figure("shred", "shred of a chart, the whole command, served", "s", 5, 2, False),
    Figure("start", "start with 30,000 resources", "s", 2, 1, False),
    Figure("memory", "memory of the whole node after the load", "MB", 500, 250, False),
    Figure("disk", "disk a resource, everything included", "kB", 1.5, 0.8, False),
    Figure("receipt_ms", "receipt verified, apart from interpreter start", "ms", 10, 10, False),
    Figure("receipt_kb", "receipt without its signed part", "kB", 2, 2, False),
    Figure("export", "chart of 20,000 versions exported, fsync included", "versions/s", 5000, 15_000, True),
    Figure("export_verify", "the same verified by the package", "versions/s", 20_000, 40_000, True),
)
"""In the order of the table. The aim of a figure that has none of its own is its bound."""

COLUMNS = ("what", "measured", "at least", "aim", "verdict", "server CPU ms", "peer CPU ms", "CPU verdict")


def compute_rows(measured: dict[str, float], cpu_ms: dict[str, float]) -> list[dict[str, Any]]:
    """The table: a row for each figure that was measured, and for those that were not, that they were not."""
    return [compute_row(figure, measured.get(figure.key), cpu_ms.get(figure.key)) for figure in FIGURES]


def compute_row(figure: Figure, value: float | None, cpu_ms: float | None) -> dict[str, Any]:
    """One line of a table."""
    peer = BETTER_PEER_CPU_MS.get(figure.key)
    sign = "" if figure.higher else "<= "
    return {
        "figure": figure.key,
        "what": figure.what,
        "value": value,
        "measured": "not measured" if value is None else f"{_text(value)} {figure.unit}",
        "at least": f"{sign}{_text(figure.bound)}",
        "aim": f"{sign}{_text(figure.aim)}",
        "verdict": "-" if value is None else compute_verdict(value, figure.bound, figure.aim, figure.higher),
        "server CPU ms": "" if cpu_ms is None else f"{cpu_ms:.3f}",
        "peer CPU ms": "" if peer is None else f"{peer:g}",
        "CPU verdict": ""
        if cpu_ms is None or peer is None
        else compute_verdict(cpu_ms / peer, CPU_AT_LEAST, CPU_AIM, False) + f" (1/{peer / cpu_ms:.0f})",
    }


def compute_verdict(value: float, bound: float, aim: float, higher: bool) -> str:
    """`aim` if the aim is reached, `ok` if the bound is, else by how much it is missed."""
    if (value >= aim) if higher else (value <= aim):
        return "aim"
    if (value >= bound) if higher else (value <= bound):
        return "ok"
    return f"MISSED by {abs(value - bound) / bound:.0%}"


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def compute_table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Rows as columns with a heading."""
    lines = [columns, *(tuple(str(row.get(column, "")) for column in columns) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
