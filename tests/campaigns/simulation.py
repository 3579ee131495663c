"""Whole networks under faults, in virtual time, at length (fault catalogue A18, R1).

    make campaign-simulation, or: python tests/campaigns/simulation.py [--seeds 1000] [--first 0] [--jobs 2]

Each seed is one run of four organisations; its number alone says what happens in it. Prints a line for each violation
with its seed, and at the end how many seeds, how much virtual time and how many operations there were; exits with 1
if anything was violated. One seed again, with everything that happened in it: --first SEED --seeds 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.simulation.simulation import Report, Simulation
from tests.simulation.world import Violation


def run_seed(seed: int) -> Report | str:
    """What the run did, or what it violated."""
    try:
        return Simulation(seed).run()
    except Violation as violation:
        return str(violation)


def main() -> int:
    """Run the seeds; 1 if anything was violated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    reports: list[Report] = []
    violations = 0
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for found in pool.imap_unordered(run_seed, seeds):
            if isinstance(found, Report):
                reports.append(found)
            else:
                violations += 1
                print(found if options.seeds == 1 else found.splitlines()[0], flush=True)
        pool.close()
        pool.join()
    seconds = time.monotonic() - started
    virtual_s = sum(report.virtual_s for report in reports)
    print(
        f"{len(seeds)} seeds, {violations} violations, {virtual_s / 3600:.2f} h simulated in {seconds:.0f} s "
        f"({len(seeds) / seconds:.1f} seeds/s, {virtual_s / seconds:.0f} times real time): "
        f"{sum(report.height for report in reports)} blocks, "
        f"{sum(report.transactions for report in reports)} transactions, "
        f"{sum(report.operations for report in reports)} clients' operations, "
        f"{sum(report.deaths for report in reports)} deaths, {sum(report.lies for report in reports)} lies, "
        f"{sum(report.convicted for report in reports)} convicted"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
