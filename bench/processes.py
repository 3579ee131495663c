"""What a server and everything below it use: CPU and memory, read from `/proc`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """This process and all below it, children after their parents."""
    found, pending = [], [root]
    while pending:
        pid = pending.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            pending += [int(child) for child in read(task).split()]
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of these so far, user and system; who has ended counts for nothing."""
    ticks = 0
    for pid in pids:
        fields = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        if fields:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def memory_mb(pids: Iterable[int]) -> float:
    """Proportional set size of these: what they share counts once."""
    kilobytes = 0
    for pid in pids:
        for line in read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def read(path: Path) -> str:
    """The file, "" if it is not there (any more)."""
    try:
        return path.read_text()
    except OSError:
        return ""
