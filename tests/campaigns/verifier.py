"""Mutations of receipts against both verifiers: every one must be refused by both (fault catalogue G12, S8).

    make campaign-verifier, or: python tests/campaigns/verifier.py [--mutations 1000000] [--seed 1]

First every position of a receipt takes every other byte value as far as the number allows, in random order; then
random cuts, insertions, exchanges and copies of ranges. A mutation that leaves the bytes as they were is not counted.
Prints one line and exits with 1 if anything was accepted or a verifier failed otherwise than by refusing.
"""

from __future__ import annotations

import argparse
import functools
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from careledger.ledger import verification
from tests.verifier.synthetic_ledger import SyntheticLedger
from tests.verifier.twins import STANDALONE, verdict


def every_byte(receipt: bytes, draw: random.Random) -> Iterator[bytes]:
    """Each position with each other value: 255 × length mutations."""
    places = [(at, value) for at in range(len(receipt)) for value in range(256) if receipt[at] != value]
    draw.shuffle(places)
    for at, value in places:
        yield receipt[:at] + bytes([value]) + receipt[at + 1 :]


def ranges(receipt: bytes, draw: random.Random) -> Iterator[bytes]:
    """Cuts, repeats, insertions, exchanges, and bytes copied from elsewhere in the file; without end."""
    size = len(receipt)
    while True:
        a, b = sorted(draw.sample(range(size + 1), 2))
        length = min(b - a, draw.choice((1, 2, 4, 43, 86, 400)))
        part, other = receipt[a : a + length], receipt[b : b + length]
        yield draw.choice(
            (
                receipt[:a] + receipt[a + length :],
                receipt[:a] + part + receipt[a:],
                receipt[:b] + part + receipt[b:],
                receipt[:b] + part + receipt[b + length :],
                receipt[:a] + other + receipt[a + length : b] + part + receipt[b + length :],
                receipt[:a] + draw.randbytes(length) + receipt[a + length :],
            )
        )


def mutations(ledger: SyntheticLedger, draw: random.Random) -> Iterator[tuple[bytes, bytes]]:
    """(original, mutated), half of each sort."""
    plain = ledger.receipt(617)
    batched = ledger.receipt(3, batch=True)
    bytewise = [every_byte(plain, draw), every_byte(batched, draw)]
    rangewise = [ranges(plain, draw), ranges(batched, draw)]
    while True:
        for original, byte, span in zip((plain, batched), bytewise, rangewise, strict=True):
            one = next(byte, None)
            if one is not None:
                yield original, one
            yield original, next(span)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    ledger, draw = SyntheticLedger(), random.Random(options.seed)
    trust = ledger.checkpoint(ledger.block.height + 20)
    # The trust file does not change: it is read once.
    STANDALONE.read_trust = functools.cache(STANDALONE.read_trust)
    verification.read_trust = functools.cache(verification.read_trust)
    started, count, failures = time.perf_counter(), 0, 0
    for original, mutated in mutations(ledger, draw):
        if mutated == original:
            continue
        try:
            accepted = verdict(mutated, trust) != "refused"
        except Exception as error:  # whatever else a verifier does with bad input is a failure of its own
            print(f"mutation {count}: {type(error).__name__}", file=sys.stderr)
            accepted = True
        failures += accepted
        count += 1
        if count >= options.mutations:
            break
    seconds = time.perf_counter() - started
    print(f"{count} mutations, {failures} not refused by both, {seconds:.0f} s, seed {options.seed}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
