#!/usr/bin/env python3
"""Apply every planted defect to a copy of the repository and demand that its test turns red.

Each `tests/mutants/<room>.toml` lists defects: `name`, `file`, `find` (a text that occurs exactly once), `replace`,
`test` (a pytest node id) and optionally `limit_s`. A defect fails if its text is absent or not unique, if its test is
red without it, if the test stays green with it, does not run at all, or takes longer than its limit. The repository
itself is never changed. Usage: python tools/mutants.py [--only WORD] [--jobs N]; exit code 0 if every test turned red.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "tests" / "mutants"
LIMIT_S = 120
BASELINE_LIMIT_S = 1200
PYTEST_GREEN, PYTEST_RED = 0, 1
BUILT = (
    "careledger/fhir/_definitions",
    "careledger/web/_ui",
)  # made by setup, so not in the list of tracked files
KEYS = {"name", "file", "find", "replace", "test", "limit_s"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted defect, and the test that must notice it."""

    room: str
    name: str
    file: str
    find: str
    replace: str
    test: str
    limit_s: int = LIMIT_S

    @property
    def full_name(self) -> str:
        """`room/name`: how docs/assurance.md names it."""
        return f"{self.room}/{self.name}"


class Unusable(Exception):
    """A defect that cannot be applied as written."""


def main(arguments: list[str]) -> int:
    """Run the defects; prints a line for each and a closing line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="only defects whose room/name contains this")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    try:
        mutants = [mutant for mutant in load_mutants() if options.only in mutant.full_name]
        for mutant in mutants:
            apply_defect(ROOT, mutant, write=False)
    except Unusable as error:
        print(f"FAILED  {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="careledger-mutants-") as folder:
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(max(1, min(options.jobs, len(mutants)))):
            copies.put(copy_repository(Path(folder) / str(number)))
        failures = check_baseline(mutants, copies)
        if not failures:
            with ThreadPoolExecutor(copies.qsize()) as pool:
                verdicts = pool.map(lambda mutant: check_mutant(mutant, copies), mutants)
                failures = [verdict for verdict in verdicts if verdict]
    for failure in failures:
        print(f"FAILED  {failure}", file=sys.stderr)
    print(f"{len(mutants) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


def load_mutants() -> list[Mutant]:
    """Every defect, in order of file and place. Raises `Unusable` for a row that is not as the docstring says."""
    mutants = []
    for path in sorted(MUTANTS.glob("*.toml")):
        for row in tomllib.loads(path.read_text("utf-8")).get("mutant", []):
            if set(row) - KEYS or KEYS - set(row) - {"limit_s"}:
                raise Unusable(f"{path.name}: a defect has {sorted(KEYS)}, this one {sorted(row)}")
            mutants.append(Mutant(room=path.stem, **row))
    names = [mutant.full_name for mutant in mutants]
    if len(set(names)) != len(names):
        raise Unusable(f"named twice: {sorted({name for name in names if names.count(name) > 1})}")
    return mutants


def apply_defect(root: Path, mutant: Mutant, *, write: bool = True) -> str:
    """Plant the defect below `root`; returns the file's text before. Raises `Unusable` if its place is unclear."""
    path = root / mutant.file
    if not path.is_file():
        raise Unusable(f"{mutant.full_name}: there is no {mutant.file}")
    before = path.read_text("utf-8")
    count = before.count(mutant.find)
    if count != 1:
        raise Unusable(f"{mutant.full_name}: its text occurs {count} times in {mutant.file}, not once")
    if mutant.find == mutant.replace:
        raise Unusable(f"{mutant.full_name}: the defect changes nothing")
    if write:
        path.write_text(before.replace(mutant.find, mutant.replace), "utf-8")
    return before


def list_files() -> list[str]:
    """The repository's files: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def copy_repository(target: Path) -> Path:
    """A copy that runs by itself: own sources, the same environment."""
    for name in list_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    for name in BUILT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, dirs_exist_ok=True)
    (target / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run(["git", "init", "-q"], cwd=target, check=True)  # for tests that list the files
    return target


def run_tests(root: Path, tests: list[str], limit_s: int) -> tuple[int | None, str]:
    """Exit code of pytest (none if it ran out of time) and the end of what it printed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(root / ".hypothesis"),
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, "\n".join(done.stdout.splitlines()[-15:])


def check_baseline(mutants: list[Mutant], copies: queue.Queue[Path]) -> list[str]:
    """Without defects every test must be green; otherwise red would mean nothing."""
    tests = sorted({mutant.test for mutant in mutants})
    if not tests:
        return []
    root = copies.get()
    code, tail = run_tests(root, tests, BASELINE_LIMIT_S)
    copies.put(root)
    return [] if code == PYTEST_GREEN else [f"without any defect the tests are not green:\n{tail}"]


def check_mutant(mutant: Mutant, copies: queue.Queue[Path]) -> str:
    """Plant one defect, run its test, put the file back; empty if all is well."""
    root = copies.get()
    before = apply_defect(root, mutant)
    try:
        code, tail = run_tests(root, [mutant.test], mutant.limit_s)
    finally:
        (root / mutant.file).write_text(before, "utf-8")
        copies.put(root)
    if code == PYTEST_RED:
        print(f"red     {mutant.full_name}", flush=True)
        return ""
    if code is None:
        return f"{mutant.full_name}: {mutant.test} took longer than {mutant.limit_s} s"
    if code == PYTEST_GREEN:
        return f"{mutant.full_name}: {mutant.test} stays green"
    return f"{mutant.full_name}: {mutant.test} did not run (pytest exit code {code})\n{tail}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
