"""What verifier/verify.py is asked while other tests run, and what it says: kept, so that the browser can be asked too.

As a plugin of pytest (`-p tests.web_ui.recording`) it writes to the file that RECORDED names.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.verifier.twins import EXPORTS, ROOT, STANDALONE
from tests.web_ui.browser import Case, Said

PER_TEST_MAX = 400
LIMIT_S = 600
KEPT: list[tuple[Case, Said]] = []
BY_TEST: Counter[str] = Counter()


def record(files: list[str], place: Path) -> list[tuple[Case, Said]]:
    """Run these tests; every file that they had verified, with the stand-alone verifier's verdict, once each."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.web_ui.recording", "-p", "no:cacheprovider"]
    environment = os.environ | {"RECORDED": str(place), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *files],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert place.is_file(), f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
    kept: list[tuple[Case, Said]] = pickle.loads(place.read_bytes())
    return list(dict(kept).items())


def pytest_configure() -> None:
    """From now on every question is kept, up to so many of one test."""
    receipts: Any = STANDALONE
    receipts.verify = listen("receipt", STANDALONE.verify, ("file", "trust", "body", "now"))
    EXPORTS.verify_export = listen(
        "export", EXPORTS.verify_export, ("file", "trust", "earlier", "now", "key")
    )


def pytest_sessionfinish() -> None:
    if place := os.environ.get("RECORDED"):
        Path(place).write_bytes(pickle.dumps(KEPT))


def listen(kind: str, verify: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """`verify` as it was; its arguments, by these names, and its verdict are kept."""

    def asked(*given: Any, **more: Any) -> Any:
        said = dict(zip(names, given, strict=False)) | {
            "file" if n == "data" else n: v for n, v in more.items()
        }
        now = said.pop("now", None)
        case = Case(kind, **said, now_ms=round((time.time() if now is None else now) * 1000))
        verdict = Said("refused")
        try:
            found = verify(*given, **more)
            verdict = Said(str(found[0]))
        except STANDALONE.Refused as refused:
            verdict = Said("refused", str(refused))
            raise
        finally:
            keep(case, verdict)
        return found

    return asked


def keep(case: Case, said: Said) -> None:
    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    BY_TEST[test] += 1
    if BY_TEST[test] <= PER_TEST_MAX:
        KEPT.append((case, said))
