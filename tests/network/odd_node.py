"""A node as `careledger serve` runs it, with a fault from its first moment; a program of the tests alone.

    python tests/network/odd_node.py HOME PASSPHRASE_FILE [--fail-index N] [--clock-s SECONDS]

--fail-index: its engine ends itself at the N-th of its ten fail points, at its first start.
--clock-s: the node's clock is so far ahead (or behind); the engine's is the machine's.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def main(words: list[str]) -> None:
    """Until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("passphrase_file", type=Path)
    parser.add_argument("--fail-index", type=int)
    parser.add_argument("--clock-s", type=int, default=0)
    given = parser.parse_args(words)
    if given.clock_s:
        set_clock(given.clock_s)
    from careledger.engine.process import EngineProcess
    from careledger.web.serving import serve

    with mock.patch.dict(EngineProcess.__init__.__kwdefaults__, fail_index=given.fail_index):
        serve(given.home, {}, given.passphrase_file.read_text().strip())


def set_clock(ahead_s: int) -> None:
    """For everything that asks `time`, before it is imported elsewhere."""
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + ahead_s
    time.time_ns = lambda: nanoseconds() + ahead_s * 1_000_000_000


if __name__ == "__main__":
    main(sys.argv[1:])
