"""The code checks itself: sizes, banned calls (each naming its replacement), words, places."""

from __future__ import annotations

import ast
import fnmatch
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
CORE_ROOMS = ("primitives", "ledger", "contracts", "vault", "access", "fhir")
MAY_PRINT = ("careledger/cli/", "tools/", "tests/", "verifier/", "bench/")

# Text that has no place in the repository, and what to write instead.
BANNED_TEXT: tuple[tuple[str, str], ...] = (
    (r"(?-i:\bTODO\b|\bFIXME\b|\bXXX\b)", "do it, or write an issue"),
    (r"\bworld state\b", "state root, or app hash (GLOSSARY.md)"),
    (r"\bledger hash\b", "app hash (GLOSSARY.md)"),
    (r"\btxn data\b", "message, or transaction (GLOSSARY.md)"),
    (r"\bsmart contract call\b", "message (GLOSSARY.md)"),
    (r"\btamper-proof\b", "tamper-evident through its witnesses"),
    (r"\bencrypted hash\b", "commitment"),
    (r"\bdelete from (the )?blockchain\b", "crypto-shredding"),
    (r"\b(?:in|during|from) this session\b", "describe the program, not how it was written"),
    (r"pypi\.org|pythonhosted\.org|registry\.npmjs|crates\.io|proxy\.golang", "no registry's host is named"),
    (r"(?<![\w.*])/(work|root|home/\w+)/", "no machine's path is named"),
)
MAY_NAME_BANNED_TEXT = ("tests/test_tidy.py", "GLOSSARY.md", "pyproject.toml", "LICENSE")

BANNED_CALLS: dict[str, str] = {
    "eval": "a table",
    "exec": "a table",
    "breakpoint": "a test",
    "os.system": "subprocess.run with a list",
    "os.popen": "subprocess.run with a list",
    "datetime.utcnow": "time in ms, passed in as an argument",
    "datetime.datetime.utcnow": "time in ms, passed in as an argument",
    "tempfile.mktemp": "tempfile.mkstemp",
}


@cache
def list_files() -> tuple[str, ...]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()}))


def list_python(*folders: str) -> list[tuple[str, ast.Module, str]]:
    found = []
    for name in list_files():
        if name.endswith(".py") and (not folders or name.startswith(folders)):
            text = (ROOT / name).read_text("utf-8")
            found.append((name, ast.parse(text), text))
    return found


def report(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


def test_functions_and_files_are_small():
    problems = []
    for name, tree, text in list_python("careledger/", "tools/", "verifier/", "bench/"):
        if (lines := text.count("\n")) > FILE_LINES_MAX:
            problems.append(f"{name}: {lines} lines; split it before {FILE_LINES_MAX}")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    problems.append(f"{name}:{node.lineno}: {node.name} has {lines} lines; split it")
    report(problems)


def test_every_module_says_what_it_is():
    named = list_python("careledger/", "tools/", "verifier/", "tests/", "bench/")
    report(
        [
            f"{name}: no docstring"
            for name, tree, text in named
            if text.strip() and not ast.get_docstring(tree)
        ]
    )


def test_no_empty_modules_in_the_package():
    report(
        [
            f"{name}: say in a docstring what the room is"
            for name, _, text in list_python("careledger/")
            if not text
        ]
    )


def find_broad_handlers(tree: ast.AST, *, core: bool) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is None:
            found.append((node.lineno, "bare except; name the error"))
        elif core and any(
            isinstance(part, ast.Name) and part.id == "Exception" for part in ast.walk(node.type)
        ):
            found.append((node.lineno, "except Exception in a core room; name the error, let a defect crash"))
    return found


def test_errors_are_caught_by_name():
    problems = []
    for name, tree, _ in list_python("careledger/", "verifier/"):
        parts = name.split("/")
        core = parts[0] == "careledger" and parts[1] in CORE_ROOMS
        problems += [f"{name}:{line}: {what}" for line, what in find_broad_handlers(tree, core=core)]
    report(problems)


def compute_called_name(called: ast.expr) -> str:
    """`name` or `module.name`, as the table has it; empty for what is no such name."""
    if isinstance(called, ast.Name):
        return called.id
    owner = compute_called_name(called.value) if isinstance(called, ast.Attribute) else ""
    return f"{owner}.{called.attr}" if owner and isinstance(called, ast.Attribute) else ""


def test_banned_calls():
    problems = []
    for name, tree, _ in list_python():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = compute_called_name(node.func)
            if called == "print" and not name.startswith(MAY_PRINT):
                problems.append(f"{name}:{node.lineno}: print; use careledger.cli.output or the node's log")
            if called in BANNED_CALLS:
                problems.append(f"{name}:{node.lineno}: {called}; use {BANNED_CALLS[called]}")
            if any(
                word.arg == "shell" and getattr(word.value, "value", None) is True for word in node.keywords
            ):
                problems.append(f"{name}:{node.lineno}: shell=True; give a list of words")
    report(problems)


def test_banned_words():
    problems = []
    patterns = [(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in BANNED_TEXT]
    for name in list_files():
        if name in MAY_NAME_BANNED_TEXT or name.startswith("tests/mutants/"):
            continue
        content = (ROOT / name).read_bytes()
        if b"\0" in content[:8192] or len(content) > 4_000_000:
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            for pattern, instead in patterns:
                if match := pattern.search(line):
                    problems.append(f"{name}:{number}: {match[0]!r}: {instead}")
    report(problems)


def read_places() -> list[str]:
    """The first column of the table under `## Every file has a place` in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## Every file has a place")[2]
    return [
        place
        for row in text.splitlines()
        if row.startswith("| `")
        for place in re.findall("`([^`]+)`", row.split("|")[1])
    ]


def has_place(name: str, places: list[str]) -> bool:
    return any(
        name.startswith(place) if place.endswith("/") else fnmatch.fnmatch(name, place) for place in places
    )


def test_every_file_has_a_place_in_the_architecture():
    places = read_places()
    assert places, "ARCHITECTURE.md has no table of places"
    report(
        [
            f"{name}: add a row for it to ARCHITECTURE.md"
            for name in list_files()
            if not has_place(name, places)
        ]
    )


def test_every_place_in_the_architecture_holds_something():
    report(
        [
            f"{place}: nothing is there"
            for place in read_places()
            if not any(has_place(n, [place]) for n in list_files())
        ]
    )


def test_data_files_are_small():
    big = [(name, (ROOT / name).stat().st_size) for name in list_files()]
    report([f"{name}: {size} bytes; make it at build or test time" for name, size in big if size > 2_000_000])


@pytest.mark.parametrize(
    "source, core",
    [("try:\n  x\nexcept:\n  pass", False), ("try:\n  x\nexcept Exception:\n  pass", True),
     ("try:\n  x\nexcept (KeyError, Exception):\n  pass", True)],
)  # fmt: skip
def test_the_handler_check_sees(source, core):
    assert find_broad_handlers(ast.parse(source), core=core)
