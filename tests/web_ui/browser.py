"""The browser's verifier, run by Node: the same questions to it as to verifier/verify.py, and both answers."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.verifier.twins import EXPORTS, STANDALONE
from tests.web_ui.running import LIB, find_packages

TESTS = Path(__file__).parent / "proof"
LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class Case:
    """A file and what it is held against. `kind` is receipt, export, or light (for `advanceLight`)."""

    kind: str
    file: bytes
    trust: bytes
    body: bytes | None = None
    earlier: bytes | None = None
    key: str | None = None
    now_ms: int | None = None
    original: bytes | None = None
    """What the file was made of by an alteration: handed over once."""


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict: the level, or "refused"; of the browser's also the code and all that it shows."""

    level: str
    reason: str = ""
    code: str = ""
    shown: dict[str, Any] = field(default_factory=dict)


class Browser:
    """The sources in a folder of their own, beside the packages that they need."""

    def __init__(self, folder: Path) -> None:
        self.node, self.modules = find_packages()
        self.folder = folder
        shutil.copytree(LIB / "proof", folder / "lib" / "proof")
        shutil.copytree(TESTS, folder / "tests")
        (folder / "package.json").write_text('{"type":"module"}')
        (folder / "node_modules").symlink_to(self.modules)

    def run(self, *arguments: str, limit_s: int = LIMIT_S, **environment: str) -> str:
        """What Node prints; fails if it does."""
        command = [str(self.node), "--disable-warning=ExperimentalWarning", *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {(done.stdout + done.stderr)[-4000:]}"
        return done.stdout

    def judge(self, cases: Sequence[Case], limit_s: int = LIMIT_S) -> list[Said]:
        """What the browser's verifier says of each."""
        folder = self.folder / f"cases-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        blobs: dict[bytes, int] = {}

        def keep(data: bytes) -> int:
            if data not in blobs:
                (folder / str(len(blobs))).write_bytes(data)
            return blobs.setdefault(data, len(blobs))

        with (folder / "cases").open("w") as lines:
            for case in cases:
                lines.write(json.dumps(describe(case, keep)) + "\n")
        out = self.run("tests/judge.ts", str(folder), limit_s=limit_s)
        shutil.rmtree(folder)
        said = [json.loads(line) for line in out.splitlines()]
        assert len(said) == len(cases)
        return [
            Said(one["level"], shown=one) if one["ok"] else Said("refused", one["sentence"], one["code"], one)
            for one in said
        ]


def trust_of(moved: Said) -> bytes:
    """The trust file to which `advanceLight` came."""
    return base64.b64decode(moved.shown["trust"])


def describe(case: Case, keep: Any) -> dict[str, Any]:
    """A case as judge.ts reads it: an altered file is its original, and where it differs."""
    line: dict[str, Any] = {"kind": case.kind, "trust": keep(case.trust)}
    line |= {name: keep(data) for name in ("body", "earlier") if (data := getattr(case, name)) is not None}
    line |= {name: value for name in ("key", "now_ms") if (value := getattr(case, name)) is not None}
    if case.original is None:
        return line | {"file": keep(case.file)}
    start = count_common(case.original, case.file)
    left, right = case.original[start:], case.file[start:]
    end = count_common(left[::-1], right[::-1])
    put = right[: len(right) - end]
    return line | {"file": keep(case.original), "splice": [start, len(case.original) - end, put.hex()]}


def count_common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def stand_alone(case: Case) -> Said:
    """What verifier/verify.py says."""
    now = None if case.now_ms is None else case.now_ms / 1000
    try:
        if case.kind == "receipt":
            return Said(str(STANDALONE.verify(case.file, case.trust, case.body, now)[0]))
        found = EXPORTS.verify_export(case.file, case.trust, case.earlier, now, case.key)
        return Said(str(found[0]))
    except STANDALONE.Refused as refused:
        return Said("refused", str(refused))


def compare(
    browser: Browser, cases: Sequence[Case], said: Sequence[Said] = (), limit_s: int = LIMIT_S
) -> list[tuple[Said, Said]]:
    """The browser's verdict of each case and verify.py's (what it `said` already); fails if any differ."""
    pairs = list(zip(browser.judge(cases, limit_s), said or map(stand_alone, cases), strict=True))
    apart = [
        f"case {number}: the browser says {one.level} ({one.reason}), verify.py {other.level} ({other.reason})"
        for number, (one, other) in enumerate(pairs)
        if one.level != other.level
    ]
    assert not apart, "\n".join(apart[:20])
    return pairs
