"""docs/assurance.md names only tests, commands and planted defects that exist; every defect is named there."""

from __future__ import annotations

import ast
import fnmatch
import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| (?!-|promise)(.+) \|$")


def load_tool():
    spec = importlib.util.spec_from_file_location("mutants_tool", ROOT / "tools" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()


def read_rows() -> list[list[str]]:
    text = (ROOT / "docs" / "assurance.md").read_text("utf-8")
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", match[1])]
        for match in map(ROW.match, text.splitlines())
        if match
    ]


def read_targets() -> set[str]:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    return targets | {f"campaign-{path.stem}" for path in (ROOT / "tests" / "campaigns").glob("*.py")}


@cache
def list_tests(path: str) -> frozenset[str]:
    """The names of the tests of a file, `Class::test` for methods; empty if there is no such file."""
    if not (ROOT / path).is_file():
        return frozenset()
    names = set()
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
        elif isinstance(node, ast.Assign):  # TestModel = Machine.TestCase
            names |= {f"{target.id}::runTest" for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(names)


def is_shown(reference: str) -> bool:
    """Is this an existing test (`tests/…py::name`, with or without `[case]`), test file, or make target?"""
    if reference.startswith("make "):
        return reference.split()[1] in read_targets()
    path, _, name = reference.partition("::")
    if not path.startswith("tests/"):
        return False
    return name.split("[")[0] in list_tests(path) if name else (ROOT / path).exists()


def test_every_promise_names_what_shows_it():
    problems = []
    for row in read_rows():
        if len(row) != 3:
            problems.append(f"a row has three cells: {row}")
            continue
        references = re.findall("`([^`]+)`", row[1])
        problems += [
            f"{row[0]}: {reference} does not exist" for reference in references if not is_shown(reference)
        ]
        if not references:
            problems.append(f"{row[0]}: nothing shows it")
    assert not problems, "\n".join(problems)


def test_every_promise_names_its_planted_defects():
    known = {mutant.full_name for mutant in TOOL.load_mutants()}
    named, problems = set(), []
    for row in read_rows():
        defects = re.findall("`([^`]+)`", row[-1])
        for defect in defects:  # a name, or a pattern: `vault/torn-*`
            found = set(fnmatch.filter(known, defect))
            named |= found
            problems += [] if found else [f"{row[0]}: there is no defect {defect}"]
        if not defects and not row[-1].startswith("none:"):
            problems.append(f"{row[0]}: name a planted defect, or write `none: why`")
    problems += [
        f"{defect}: no row of docs/assurance.md says what it shows" for defect in sorted(known - named)
    ]
    assert not problems, "\n".join(problems)


def test_every_planted_defect_can_be_applied():
    problems = []
    for mutant in TOOL.load_mutants():
        try:
            TOOL.apply_defect(ROOT, mutant, write=False)
        except TOOL.Unusable as error:
            problems.append(str(error))
        if not is_shown(mutant.test):
            problems.append(f"{mutant.full_name}: there is no test {mutant.test}")
    assert not problems, "\n".join(problems)


def test_every_case_that_a_planted_defect_names_is_there():
    """A case that was renamed would be found by `make mutants` alone, which is long."""
    cases = sorted({mutant.test for mutant in TOOL.load_mutants() if "[" in mutant.test})
    assert cases
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-q",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run([*command, *cases], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
