"""A million commitments of one value, and a dictionary against them (fault catalogue G7).

    make campaign-commitments, or: python tests/campaigns/commitments.py [--count 1000000] [--guesses 200000]

The same version of the same record is sealed over and over: all commitments, salts, secrets and nonces must be
distinct, 32 bytes and uniform, and all sealed forms of one length. Then somebody who knows the whole record, and the
salts of every second version, guesses the others: with each of those salts, and with salts as careless programs make
them. Prints a line each and exits with 1 unless all differ and nothing was guessed. Needs some 0.8 kB for each.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.vault.guessing import new_commitments


def main() -> int:
    """Seal, compare, guess."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument(
        "--guesses", type=int, default=200_000, help="salts besides those that were disclosed"
    )
    options = parser.parse_args()
    started = time.monotonic()
    commitments = new_commitments()
    commitments.seal(options.count)
    wrong = commitments.find_problems(options.count)
    print(
        f"{options.count} commitments of one value in {time.monotonic() - started:.0f} s, {len(wrong)} wrong"
    )
    started = time.monotonic()
    made, hits = commitments.guess(options.guesses)
    print(f"{made} guesses with the whole record in {time.monotonic() - started:.0f} s, {hits} right")
    print("\n".join(wrong))
    return 1 if wrong or hits else 0


if __name__ == "__main__":
    sys.exit(main())
