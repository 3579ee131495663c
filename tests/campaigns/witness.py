"""Rewriting and split views, at length (fault catalogue H1).

    make campaign-witness, or: python tests/campaigns/witness.py [--tampers 10000] [--histories 2000] [--seed 1]

Tampers: a custodian with every key removes, changes, exchanges, inserts or cuts entries of either log after somebody
took a checkpoint, or writes the history anew; both verifiers, given that checkpoint alone, must refuse every one.
Histories: branches of one ledger grow, fork and go back, and are offered to a witness that is killed in between; what
it signed must be one history. Prints one line each and exits with 1 if anything was accepted.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from careledger.ledger.witnessing import WitnessKey
from careledger.primitives.signing import ed25519_public_key
from careledger.witness.folder import WitnessFolder
from careledger.witness.witness import Witness
from tests.verifier.rewriting import Rewritten
from tests.verifier.twins import export_verdict
from tests.witness.logs import OperatorLog

SEED = bytes(range(32))
A_CHART = 40
"""Tampers of one chart, before another one is made."""


def run_tampers(count: int, seed: int) -> list[str]:
    """What was accepted, or refused though honest."""
    found: list[str] = []
    for number in range(0, count, A_CHART):
        chart = Rewritten(seed + number)
        if export_verdict(chart.honest(), chart.trust) != "anchored":
            found.append(f"seed {seed + number}: the honest export is refused")
        for _ in range(min(A_CHART, count - number)):
            how, file = chart.tamper()
            if export_verdict(file, chart.trust) != "refused":
                found.append(f"seed {seed + number}: {how} is accepted")
    return found


def run_history(folder: Path, seed: int) -> list[str]:
    """Branches of one ledger, in any order, before one witness."""
    draw = random.Random(seed)
    trunk = OperatorLog().grow(draw.randint(1, 9))
    key = WitnessKey("campaign", ed25519_public_key(SEED))
    WitnessFolder.create(folder, key, b"sealed")
    witness = Witness(WitnessFolder.open(folder), SEED, lambda: 1)
    witness.follow(trunk.file())
    branches, signed = [trunk], {len(trunk.leaves): trunk.checkpoint().root}
    for _ in range(draw.randint(5, 25)):
        log = draw.choice(branches)
        step = draw.random()
        if step < 0.25:
            log.grow(draw.randint(1, 9))
        elif step < 0.4:
            branches.append(log.fork(draw.randint(1, len(log.leaves)), draw.randint(1, 9)))
        elif step < 0.5:
            witness.close()
            witness = Witness(WitnessFolder.open(folder), SEED, lambda: 1)
        else:
            size = draw.randint(1, len(log.leaves))
            if witness.add_checkpoint(log.offer(min(max(signed), size), size)).status != 200:
                continue
            signed[size] = log.checkpoint(size).root
            if any(log.checkpoint(at).root != root for at, root in signed.items()):
                return [f"seed {seed}: two histories are signed"]
    witness.close()
    return []


def main() -> int:
    """Run both; 1 if anything was accepted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tampers", type=int, default=10_000)
    parser.add_argument("--histories", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    bad = run_tampers(options.tampers, options.seed)
    print(f"{options.tampers} tampers in {time.monotonic() - started:.0f} s, {len(bad)} wrong")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="careledger-witness-") as folder:
        for number in range(options.histories):
            bad += run_history(Path(folder) / str(number), options.seed + number)
    print(f"{options.histories} histories in {time.monotonic() - started:.0f} s; {len(bad)} wrong in all")
    print("\n".join(bad[:20]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
