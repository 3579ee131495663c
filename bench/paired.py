"""Two checkouts in one sitting: a node of each, the same load, and every phase by turns.

    python -m bench.paired OTHER [--rounds 4] [--phases create,create_patient,read,search,name,everything]

The speed of a shared machine changes by a factor of up to two within an hour; runs of some minutes one after the other
compare the hours, not the programs. Here each phase of a round runs on one node and at once on the other; the least CPU
and the best rate of all rounds are compared. Both nodes are started as users start them; OTHER is a checkout of this
repository after `make setup`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from bench import node as node_module
from bench import patients
from bench.__main__ import connect
from bench.client import Outcome
from bench.figures import compute_table
from bench.node import Node
from bench.phases import Counts, Loaded, Phases, load

HERE = Path(__file__).resolve().parent.parent
PHASES = ("create", "create_patient", "read", "search", "name", "everything")
A_ROUND = Counts(1200, 1000, 2500, 1500, 2000, 600, 0, 0.0)
COLUMNS = ("phase", "requests/s", "other's", "ratio", "CPU ms", "other's CPU", "CPU ratio")


async def main(other: Path, rounds: int, phases: tuple[str, ...], data: Path) -> None:
    """Prints a line a phase; a ratio over 1 is this checkout's gain in rate, one below 1 its gain in CPU."""
    source = patients.read(data)
    nodes: list[Node] = []
    try:
        sides = [await _begin(checkout, source, nodes) for checkout in (HERE, other)]
        seen: dict[str, tuple[list[Outcome], list[Outcome]]] = {name: ([], []) for name in phases}
        for _ in range(rounds):
            for name in phases:
                for kept, side in zip(seen[name], sides, strict=True):
                    kept.append(await side.closed_once(name))
        print(compute_table([_row(name, *both) for name, both in seen.items()], COLUMNS))
    finally:
        for one in nodes:
            one.remove()


async def _begin(checkout: Path, source: patients.Data, nodes: list[Node]) -> Phases:
    node_module.COMMAND = checkout / ".venv" / "bin" / "careledger"
    node = Node(None)
    nodes.append(node)
    node.start()
    client, loaded = connect(node), Loaded()
    outcome = await load(client, source, loaded)
    print(
        f"{checkout}: {loaded.resources} resources, {loaded.resources / outcome.wall_s:,.0f}/s",
        file=sys.stderr,
    )
    return Phases(client, loaded, patients.names(source), A_ROUND)


def _row(name: str, here: list[Outcome], there: list[Outcome]) -> dict[str, str]:
    rates = [max(one.rate for one in side) for side in (here, there)]
    cpu = [min(one.server_cpu_ms for one in side) for side in (here, there)]
    texts = [name, f"{rates[0]:,.0f}", f"{rates[1]:,.0f}", f"{rates[0] / rates[1]:.2f}"]
    texts += [f"{cpu[0]:.3f}", f"{cpu[1]:.3f}", f"{cpu[0] / cpu[1]:.2f}"]
    return dict(zip(COLUMNS, texts, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, help="the other checkout, set up")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--phases", type=lambda text: tuple(text.split(",")), default=PHASES)
    parser.add_argument("--data", type=Path, default=HERE.parent / "shared" / "data" / "synthea")
    given = parser.parse_args()
    asyncio.run(main(given.other.resolve(), given.rounds, given.phases, given.data))
