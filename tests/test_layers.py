"""Rooms import only downward, and each dangerous library has one place."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "careledger"

# Library -> the only places (files or folders below careledger/) that may import it, and what others use instead.
ONLY_IN: dict[str, tuple[tuple[str, ...], str]] = {
    "nacl": (("primitives/signing.py",), "careledger.primitives.signing"),
    "hashlib": (("primitives/hashing.py", "fhir/definitions.py"), "careledger.primitives.hashing"),
    "joserfc": (
        ("access/tokens.py", "smart/jwk.py", "smart/jose.py", "smart/keys.py", "smart/id_tokens.py"),
        "careledger.access.tokens or careledger.smart.jose",
    ),
    "authlib": (("smart/provider.py", "smart/id_tokens.py"), "careledger.smart.provider"),
    "webauthn": (("smart/",), "careledger.smart.passkeys"),
    "jinja2": (("web/smart/",), "careledger.web.smart.rendering"),
    "argon2": (("vault/", "node/"), "careledger.vault's key store"),
    "lmdb": (
        ("vault/", "ledger/store/", "ledger/consensus/", "node/"),
        "careledger.vault or careledger.ledger.store",
    ),
    "zstandard": (("vault/", "fhir/definitions.py", "web/"), "careledger.vault.compression"),
    "cryptography": (
        ("primitives/", "vault/", "access/", "node/", "smart/keys.py"),
        "careledger.primitives or careledger.vault",
    ),
    "uvicorn": (("web/",), "careledger.web.server"),
    "uvloop": (("web/",), "careledger.web.server"),
    "structlog": (("node/", "web/"), "the node's log"),
    "cyclopts": (("cli/",), "careledger.cli"),
    "rich": (("cli/",), "careledger.cli.output"),
    "random": (("synthetic/",), "secrets, or randomness passed in as an argument"),
    "google": (("ledger/consensus/abci/", "engine/"), "careledger.ledger.consensus.abci"),
    "pickle": ((), "careledger.primitives.encoding or msgspec"),
    "marshal": ((), "careledger.primitives.encoding or msgspec"),
    "logging": (("node/", "web/"), "the node's log"),
}

# What replicas must agree on: no clock, randomness, I/O or floats. Time and randomness arrive as arguments.
DETERMINISTIC = (
    "contracts/",
    "ledger/execution.py",
    "ledger/foreign.py",
    "ledger/kernel.py",
    "ledger/transaction.py",
    "primitives/webauthn.py",
)
NONDETERMINISTIC_MODULES = frozenset(
    {"asyncio", "datetime", "json", "locale", "math", "os", "pathlib", "random", "re", "secrets", "socket"}
    | {"subprocess", "sys", "threading", "time", "unicodedata", "uuid"}
)
CONTRACTS_MAY_IMPORT = (
    "careledger.ledger.kernel",
    "careledger.ledger.foreign",
    "careledger.primitives",
    "careledger.contracts",
)


def list_modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_definitions" not in path.parts)


def is_in(path: Path, places: tuple[str, ...]) -> bool:
    name = path.relative_to(PACKAGE).as_posix()
    return any(name == place or (place.endswith("/") and name.startswith(place)) for place in places)


def iter_imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every imported module, with `from a import b` as both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def test_rooms_import_only_downward():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_each_library_has_its_place():
    problems = []
    for path in list_modules():
        for line, module in iter_imports(ast.parse(path.read_text("utf-8"))):
            places, instead = ONLY_IN.get(module.split(".")[0], ((), ""))
            if instead and not is_in(path, places):
                problems.append(f"{path.relative_to(ROOT)}:{line}: imports {module}; use {instead}")
    assert not problems, "\n".join(sorted(set(problems)))


def test_contracts_import_only_the_kernel_and_primitives():
    problems = []
    for path in (PACKAGE / "contracts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            if isinstance(node, ast.ImportFrom) and node.module in ("careledger", "careledger.ledger"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                ours = name.split(".")[0] == "careledger"
                if ours and not any(
                    name == may or name.startswith(may + ".") for may in CONTRACTS_MAY_IMPORT
                ):
                    problems.append(f"{path.relative_to(ROOT)}:{node.lineno}: imports {name}")
    assert not problems, "\n".join(problems)


def find_nondeterminism(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield line, "a float; use integers in minor units"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield line, "`/` makes floats; use `//`"
        elif isinstance(node, ast.Assert):
            yield line, "assert is stripped by -O; raise a typed refusal"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("hash", "id", "float")
        ):
            yield line, f"{node.func.id}() differs between processes; use careledger.primitives.hashing"
        elif isinstance(node, ast.For | ast.comprehension) and is_set(node.iter):
            yield line, "iterates a set; use sorted(…)"


def is_set(node: ast.AST) -> bool:
    called = (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("set", "frozenset")
    )
    return isinstance(node, ast.Set | ast.SetComp) or called


def test_consensus_code_is_deterministic():
    problems = []
    for path in (module for module in list_modules() if is_in(module, DETERMINISTIC)):
        tree = ast.parse(path.read_text("utf-8"))
        for line, module in iter_imports(tree):
            if module.split(".")[0] in NONDETERMINISTIC_MODULES:
                problems.append(
                    f"{path.relative_to(ROOT)}:{line}: imports {module}; it arrives as an argument"
                )
        problems += [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in find_nondeterminism(tree)]
    assert not problems, "\n".join(sorted(set(problems)))


@pytest.mark.parametrize(
    "source",
    ["x = 1.5", "x = a / b", "x /= 2", "assert x", "hash(x)", "for x in {1, 2}: pass", "[x for x in set(y)]"],
)
def test_the_determinism_check_sees(source):
    assert list(find_nondeterminism(ast.parse(source)))
