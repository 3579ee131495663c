"""How far a network reaches: docs/scale.md's tables, computed from measured constants.

python -m bench.scale [--check]      writes them into docs/scale.md, or says whether they are current
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
BEGIN, END = "<!-- computed by bench/scale.py: begin -->", "<!-- computed by bench/scale.py: end -->"


class Constant(NamedTuple):
    """One row of the table of constants."""

    name: str
    value: float
    unit: str
    source: str


RUN = "four validators, ML-DSA-65, one machine"
CONSTANTS = (
    Constant("BLOCK_BYTES", 589, "B", f"a block without transactions less its signatures: 13,925 - 4 x 3,334 ({RUN})"),
    Constant("SIGNATURE_BYTES", 3_334, "B", "of a validator in a block: 13,925 with four, 10,591 with three of four signing"),
    Constant("ED25519_SIGNATURE_BYTES", 89, "B", "the same with Ed25519 keys: 3,334 - 3,309 + 64"),
    Constant("ANCHOR_BYTES", 312, "B", f"a block with one `records.anchor` less one without ({RUN})"),
    Constant("GRANT_BYTES", 7_499, "B", "a grant as it is built: directive's key twice 1,952, its signature 3,309, the sponsor's"),
    Constant("BLOCK_SECONDS", 1.5, "s", "idle: 8 blocks in 12 s on a busy machine; under load 0.4"),
    Constant("STORE_RATIO", 2.75, "", "growth of the engine's block store a block, by the block's bytes: 38,265 / 13,925"),
    Constant("JOURNAL_BYTES", 102, "B", "of the home's journal an idle block"),
    Constant("GOSSIP_RATIO", 1.53, "", "received a block and node, 58 kB, by block, proposal and the others' votes, 37.9 kB (3 peers)"),
    Constant("APPLY_SECOND", 8_000, "1/s", "transactions applied a core, Ed25519 checked (`make bench`: 8,400)"),
    Constant("VERIFY_US", 142, "us", "an ML-DSA-65 signature, `cryptography` 50"),
    Constant("HEAD_BYTES", 231, "B", "of the index an entry of the heads map (200,000 keys, values of 40 B)"),
    Constant("ENTRY_BYTES", 308, "B", "of the index a directive in the state (200,000 keys, values of 77 B)"),
    Constant("TREE_BYTES", 82, "B", "of memory an entry of either map: its top is held, 0.48 nodes a key"),
    Constant("RESOURCE_BYTES", 1_190, "B", "of disk a resource, everything included (`make bench`)"),
)  # fmt: skip
_OF = {one.name: one.value for one in CONSTANTS}

ORGANISATIONS = (10, 100, 1_000)
VALIDATING_MAX = 128
"""Organisations that may have weight (docs/spec/governance.md)."""
CHARTS = 10**9
DAY = 86_400
RETAINED_DAYS = 14
SNAPSHOT_BYTES_MAX = 1024 << 20
"""1,024 chunks of 1 MiB (`ledger/consensus/snapshots.py`)."""
SNAPSHOT_ENTRY_BYTES = 32 + 4 + 77
"""A directive in a snapshot: key, length, value."""
GRANTS_CHART_YEAR = 1
RESOURCES_CHART = 100


def compute_block_bytes(
    validators: int, transactions_bytes: float = 0.0, signature: str = "SIGNATURE_BYTES"
) -> float:
    """A block that all of them signed."""
    return _OF["BLOCK_BYTES"] + validators * _OF[signature] + transactions_bytes


def compute_gossip_bytes(validators: int, block_bytes: float) -> float:
    """What a node receives for a block: its parts, its proposal, two votes of each other validator, and repetitions."""
    votes = (1 + 2 * (validators - 1)) * _OF["SIGNATURE_BYTES"]
    return _OF["GOSSIP_RATIO"] * (block_bytes + votes)


def compute_store_day(block_bytes: float, seconds: float | None = None) -> float:
    """Bytes that the engine's block store grows by in a day."""
    return DAY / (seconds or _OF["BLOCK_SECONDS"]) * block_bytes * _OF["STORE_RATIO"]


def compute_verify_share(validators: int) -> float:
    """Share of a core that signatures of votes and of the commit take: each vote once, each commit once."""
    return 3 * validators * _OF["VERIFY_US"] / 1e6 / _OF["BLOCK_SECONDS"]


def compute_grants_second() -> float:
    """Grants that a core applies a second: the directive's own ML-DSA-65 signature comes to the sponsor's."""
    return 1 / (1 / _OF["APPLY_SECOND"] + _OF["VERIFY_US"] / 1e6)


def show(value: float, unit: str = "B") -> str:
    """With three digits and a prefix."""
    prefixes = ["", "k", "M", "G", "T"]
    while abs(value) >= 999.5 and len(prefixes) > 1:
        value /= 1000
        del prefixes[0]
    digits = f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return f"{digits} {prefixes[0]}{unit}"


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _constants() -> Iterator[Sequence[str]]:
    for one in CONSTANTS:
        yield f"`{one.name}`", f"{one.value:,g} {one.unit}".strip(), one.source


def _validators() -> Iterator[Sequence[str]]:
    for validators in (4, 10, 21, 50, 100, VALIDATING_MAX):
        block = compute_block_bytes(validators)
        yield (
            str(validators),
            show(block),
            show(compute_block_bytes(validators, signature="ED25519_SIGNATURE_BYTES")),
            show(8 * compute_gossip_bytes(validators, block) / _OF["BLOCK_SECONDS"], "bit/s"),
            f"{100 * compute_verify_share(validators):.1f} %",
            show(compute_store_day(block)),
            show(RETAINED_DAYS * compute_store_day(block)),
        )


def _organisations() -> Iterator[Sequence[str]]:
    for organisations in ORGANISATIONS:
        validators = min(organisations, VALIDATING_MAX)
        anchors = organisations * _OF["ANCHOR_BYTES"]
        busy = compute_block_bytes(validators, anchors)
        charts = CHARTS // organisations
        grants = CHARTS * GRANTS_CHART_YEAR / (365 * DAY)
        yield (
            f"{organisations:,}",
            str(validators),
            show(anchors),
            f"{1000 * organisations / _OF['APPLY_SECOND']:.3g} ms",
            show(compute_store_day(busy)),
            f"{charts:,}",
            show(charts * _OF["TREE_BYTES"]),
            show(charts * _OF["HEAD_BYTES"]),
            show(charts * RESOURCES_CHART * _OF["RESOURCE_BYTES"]),
            f"{grants:.0f}/s",
        )


def _directives() -> Iterator[Sequence[str]]:
    for count in (10**6, 10**7, 10**8, 10**9):
        snapshot = count * SNAPSHOT_ENTRY_BYTES
        yield (
            f"{count:,}",
            show(count * _OF["TREE_BYTES"]),
            show(count * _OF["ENTRY_BYTES"]),
            show(count * _OF["GRANT_BYTES"]),
            f"{count / compute_grants_second() / 3600:.2g} h",
            show(snapshot) + ("" if snapshot <= SNAPSHOT_BYTES_MAX else " (over the limit)"),
        )


def compute_tables() -> str:
    """What stands between the marks of docs/scale.md."""
    parts = (
        ("### Constants", _table(("constant", "value", "measured"), _constants())),
        (
            "### Validators: what a block weighs",
            _table(
                ("validators", "idle block", "with Ed25519", "received, a node", "a core's time for votes", "block store a day", f"{RETAINED_DAYS} days"),
                _validators(),
            ),
        ),
        (
            f"### Organisations and {CHARTS:,} charts, each writing in every block",
            _table(
                ("organisations", "validators", "anchors a block", "applied in", "block store a day", "charts each", "heads in memory", "heads on disk", f"records ({RESOURCES_CHART} a chart)", "grants (1 a chart and year)"),
                _organisations(),
            ),
        ),
        (
            "### Directives: what every replica holds",
            _table(
                ("directives", "memory", "index", "in blocks, once", "replayed in", "snapshot"), _directives()
            ),
        ),
    )  # fmt: skip
    return "\n".join(f"{title}\n{table}" for title, table in parts)


def main() -> int:
    """Write the tables, or with --check say whether they are current."""
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        sys.stderr.write("docs/scale.md has no marks\n")
        return 1
    current = f"{before}{BEGIN}\n{compute_tables()}{END}{after}"
    if "--check" in sys.argv[1:]:
        return int(current != text)
    DOCUMENT.write_text(current, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
