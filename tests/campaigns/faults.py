#!/usr/bin/env python3
"""Kills, flipped bits and failing system calls by the thousand; `make campaign-faults`, about an hour on two cores.

Usage: python tests/campaigns/faults.py [kills N] [flips N] [syscalls N] [erasures N]. Prints a line a round and a closing table;
exit code 0 if nothing was lost, altered or left unnoticed. Each round's seed is its number.
"""

from __future__ import annotations

import collections
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults import flipping, killed_erasing, killing, rig
from tests.faults.rig import copy_home, new_home

rig.WAIT_SECONDS = 300.0  # hours beside other work: a slow check is no finding
ROUNDS_A_HOME = 10
KILLS, FLIPS, SYSCALLS, ERASURES = 200, 10_000, 150, 260
COUNTS = {"pwrite64": 400, "fdatasync": 100, "write": 40, "openat": 40}
"""How many of a call a few seconds of load make, in one thread."""
CALLS = "pwrite64,fdatasync,pwrite64,write,pwritev,fdatasync,fsync,openat"


def run_kills(folder: Path, rounds: int) -> list[str]:
    """SIGKILL at a random moment of a load, over and over on one home; one worker or two by turns."""
    wrong: list[str] = []
    writes = reads = 0
    for number in range(rounds):
        path = folder / f"kill-{number // ROUNDS_A_HOME}"
        if number % ROUNDS_A_HOME == 0:
            new_home(path)
            token, told = killing.prepare(path), killing.Told()
        seconds = random.Random(number).uniform(0.05, 1.0)
        killing.load_and_kill(path, token, told, number, workers=1 + number % 2, seconds=seconds)
        found = killing.find_losses(path, told)
        wrong += [f"kill {number}: {one}" for one in found]
        print(
            f"kill {number}: {seconds:.2f} s, {len(told.values)} written, {len(told.reads)} read, {found}",
            flush=True,
        )
        if number % ROUNDS_A_HOME == ROUNDS_A_HOME - 1:
            writes, reads = writes + len(told.values) + len(told.bundles), reads + len(told.reads)
            shutil.rmtree(path)
    print(
        f"kills: {rounds} rounds, {writes} writes and {reads} reads acknowledged, {len(wrong)} wrong",
        flush=True,
    )
    return wrong


def run_syscalls(folder: Path, rounds: int) -> list[str]:
    """SIGKILL at the n-th system call that changes something, for n = 1, 2, 3, … of the writer's run."""
    if shutil.which("strace") is None:
        print(
            "SKIPPED: strace is absent, so no kill was placed at a system call (apt-get install strace)",
            flush=True,
        )
        return []
    wrong: list[str] = []
    calls = CALLS.split(",")
    reached: collections.Counter[str] = collections.Counter()
    for number in range(rounds):
        call = calls[number % len(calls)]
        when = 1 + random.Random(number).randrange(COUNTS.get(call, 8))
        path = new_home(folder / f"call-{number}")
        token, told = killing.prepare(path), killing.Told()
        wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
        wrapper += ["-e", f"inject={call}:signal=KILL:when={when}"]
        try:
            with killing.serving(path, 1, wrapper=wrapper) as (_process, port):
                loader = killing.Loader(port, token, told, "s", number)
                loader.start()
                loader.join(4)
                reached[call] += not loader.is_alive()
        except RuntimeError:
            reached[call] += 1  # killed before it was ready
        except subprocess.TimeoutExpired:
            wrong.append(f"{call} {when}: the node hangs")
        killing.wait_until_free(path)
        found = killing.find_losses(path, told)
        wrong += [f"{call} {when}: {one}" for one in found]
        print(f"syscall {call} {when}: {len(told.values)} written, {found}", flush=True)
        shutil.rmtree(path)
    print(f"syscalls: {rounds} rounds, killed at {dict(reached)}, {len(wrong)} wrong", flush=True)
    return wrong


def run_erasures(folder: Path, rounds: int) -> list[str]:
    """SIGKILL in the middle of an erasure or a shred: at a call that changes a file, or at any moment, by turns."""
    wrong: list[str] = []
    states: collections.Counter[str] = collections.Counter()
    ground = killed_erasing.make_ground(folder / "ground")
    points: dict[str, list[tuple[str, int]]] = {}
    for work in killed_erasing.WORKS if shutil.which("strace") else ():
        points[work.method] = killed_erasing.find_points(ground, work, folder)
        random.Random(work.method).shuffle(points[work.method])
    for number in range(rounds):
        work = killed_erasing.WORKS[number % 2]
        places = points.get(work.method) if number % 8 < 6 else None
        point = places[number // 2 % len(places)] if places else None
        home = copy_home(ground.path, folder / f"erasure-{number}", index=True)
        asked = killed_erasing.erase_and_kill(home, work, number, point)
        state, found = killed_erasing.find_wrong(home, ground, work, asked)
        states[f"{work.method}: {state}"] += 1
        wrong += [f"erasure {number}, {work.method} {point}: {one}" for one in found]
        print(f"erasure {number}: {work.method} {point or 'any moment'}: {state}, {found}", flush=True)
        shutil.rmtree(home)
    if not points:
        print("strace is absent: no kill was placed at a system call (apt-get install strace)", flush=True)
    print(f"erasures: {rounds} rounds, {dict(states)}, {len(wrong)} wrong", flush=True)
    return wrong


def run_flips(folder: Path, rounds: int) -> list[str]:
    """One bit of one file flipped; everything read; nothing altered may leave."""
    wrong: list[str] = []
    outcomes: collections.Counter[str] = collections.Counter()
    source = flipping.make_source(folder / "source")
    for number in range(rounds):
        outcome = flipping.flip_once(source, folder / "flipped", number)
        outcomes[f"{outcome.place}: {outcome.verdict}"] += 1
        if outcome.verdict == "UNNOTICED":
            wrong.append(f"flip {number}: {outcome}")
            print(wrong[-1], flush=True)
        if number % 500 == 499:
            print(f"flip {number + 1}: {dict(outcomes)}", flush=True)
    for name, count in sorted(outcomes.items()):
        print(f"  {count:6d}  {name}")
    print(f"flips: {rounds} bits, {len(wrong)} unnoticed", flush=True)
    return wrong


def main(arguments: list[str]) -> int:
    wanted = dict(zip(arguments[::2], map(int, arguments[1::2]), strict=True))
    wanted = wanted or {"kills": KILLS, "flips": FLIPS, "syscalls": SYSCALLS, "erasures": ERASURES}
    runs = {"kills": run_kills, "flips": run_flips, "syscalls": run_syscalls, "erasures": run_erasures}
    wrong: list[str] = []
    for name, rounds in wanted.items():
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="careledger-faults-") as folder:
            wrong += runs[name](Path(folder), rounds)
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    for one in wrong:
        print(f"WRONG  {one}", file=sys.stderr)
    print(f"{len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
