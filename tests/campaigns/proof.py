"""The browser's verifier against verifier/verify.py: mutations, and whatever other tests have verified.

    make campaign-proof, or: python tests/campaigns/proof.py [--mutations 100000] [--seed 1] [--no-tests]

Prints a line for each part, and exits with 1 if the two verifiers did not say the same of every file.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.web_ui.browser import Browser, Case, compare
from tests.web_ui.recording import record
from tests.web_ui.test_proof import altered, holding

AT_ONCE = 5_000
LIMIT_S = 600
ASKING = (
    "tests/verifier", "tests/attack/test_custodian.py", "tests/attack/test_rewriting.py", "tests/attack/test_twins.py",
    "tests/faults/test_erasing.py", "tests/node/test_exports.py", "tests/node/test_honest.py",
    "tests/node/test_passkey_consents.py",
)  # fmt: skip
"""Tests that have files verified by both verifiers, with nothing put in their place."""


def mutate(browser: Browser, count: int, seed: int) -> str:
    """Mutations of the vectors and of a network's files, so many at once."""
    started, held = time.perf_counter(), 0
    cases: Iterator[Case] = altered(holding(), count, seed)
    while some := list(itertools.islice(cases, AT_ONCE)):
        held += sum(one.level != "refused" for one, _ in compare(browser, some, limit_s=LIMIT_S))
    return f"{count} mutations, {held} hold all the same, {time.perf_counter() - started:.0f} s, seed {seed}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-tests", action="store_true", help="mutations only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="careledger-browser-") as folder:
        browser = Browser(Path(folder) / "proof")
        try:
            if not options.no_tests:
                kept = record(list(ASKING), Path(folder) / "kept")
                compare(browser, [case for case, _ in kept], [said for _, said in kept], limit_s=LIMIT_S)
                print(f"{len(kept)} files of other tests, the same verdict")
            print(mutate(browser, options.mutations, options.seed))
        except AssertionError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
