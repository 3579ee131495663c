"""Mutations of receipts and exports against both verifiers: every one must be refused by both (fault catalogue G12, S8).

    make campaign-verifier, or: python tests/campaigns/verifier.py [--mutations 1000000] [--seed 1]

First every position of a file takes every other byte value as far as the number allows, in random order; then
random cuts, insertions, exchanges and copies of ranges. A mutation that leaves the bytes as they were is not counted.
Prints one line and exits with 1 if anything was accepted or a verifier failed otherwise than by refusing.
"""

from __future__ import annotations

import argparse
import functools
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from careledger.ledger import export_verification, verification
from tests.verifier.synthetic_chart import SyntheticChart
from tests.verifier.synthetic_ledger import SyntheticLedger
from tests.verifier.synthetic_network import SyntheticNetwork
from tests.verifier.test_exports import chart_with_consent
from tests.verifier.twins import EXPORTS, STANDALONE, export_verdict, verdict

Verdict = Callable[[bytes, bytes], str]
Original = tuple[bytes, bytes, Verdict]
"""A file that holds, the checkpoint against which it does, and both verifiers."""


def every_byte(file: bytes, draw: random.Random) -> Iterator[bytes]:
    """Each position with each other value, up to a million of these 255 × length mutations, in random order."""
    count = 255 * len(file)
    for one in draw.sample(range(count), min(count, 1_000_000)):
        at, other = divmod(one, 255)
        yield file[:at] + bytes([file[at] ^ 1 + other]) + file[at + 1 :]


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


def originals() -> list[Original]:
    """Receipts of an embedded ledger and of a network; a chart, its access log, and a chart with a directive."""
    ledger, chart, (consented, _) = SyntheticLedger(), SyntheticChart(), chart_with_consent()
    network = SyntheticNetwork()
    trust, kept = ledger.checkpoint(ledger.block.height + 20), chart.checkpoint()
    return [
        (ledger.receipt(617), trust, verdict),
        (ledger.receipt(3, batch=True), trust, verdict),
        (chart.export(), kept, export_verdict),
        (chart.export("access-log"), kept, export_verdict),
        (consented.export(), kept, export_verdict),
        (network.network_receipt(11, (5, 8)), network.blocks.trust(1), network_verdict),
        (network.network_receipt(), network.blocks.trust(6), network_verdict),
    ]


def network_verdict(file: bytes, trust: bytes) -> str:
    """As both verifiers see it a second after the network's last block."""
    return verdict(file, trust, now_ms=SyntheticNetwork.time_ms(13))


def mutations(files: list[Original], draw: random.Random) -> Iterator[tuple[Original, bytes]]:
    """(original, mutated), half of each sort, of each file in turn."""
    bytewise = [every_byte(one[0], draw) for one in files]
    rangewise = [ranges(one[0], draw) for one in files]
    while True:
        for original, byte, span in zip(files, bytewise, rangewise, strict=True):
            one = next(byte, None)
            if one is not None:
                yield original, one
            yield original, next(span)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    # The trust files do not change: each is read once.
    STANDALONE.read_trust = EXPORTS.read_trust = functools.cache(STANDALONE.read_trust)
    verification.read_any_trust = functools.cache(verification.read_any_trust)
    export_verification.read_any_trust = verification.read_any_trust
    files = originals()
    if any(check(file, trust) not in ("anchored", "final") for file, trust, check in files):
        raise SystemExit("a file that was not altered does not hold")
    started, count, failures = time.perf_counter(), 0, 0
    for (original, trust, check), mutated in mutations(files, draw):
        if mutated == original:
            continue
        try:
            accepted = check(mutated, trust) != "refused"
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
