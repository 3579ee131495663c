"""Tests of the browser's own modules, run by the pinned Node: it strips the types, and nothing is bundled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "careledger" / "web" / "ui" / "src" / "lib"
HOME = Path(sys.prefix).resolve().parent
"""Where the virtual environment really is."""
LIMIT_S = 60

sys.path.insert(0, str(ROOT / "tools"))


def find_packages() -> tuple[Path, Path]:
    """(node, node_modules). The packages are fetched if they are not there yet."""
    import build_definitions
    import build_ui

    # A copy of the repository, with a defect planted, uses what its original fetched.
    build_ui.CACHE = HOME / ".cache" / "ui"
    build_definitions.NODE_CACHE = HOME / ".cache" / "build"
    node, npm = build_definitions.find_node()
    with build_ui.only_one():
        build_ui.fetch(node, npm)
    return node, build_ui.CACHE / "node_modules"


def run_tests(name: str, **environment: str) -> str:
    """What `node --test` says of tests/web_ui/lib/NAME, in TAP."""
    node, modules = find_packages()
    with tempfile.TemporaryDirectory(prefix="careledger-lib-") as place:
        shutil.copytree(LIB, Path(place) / "lib")
        shutil.copyfile(Path(__file__).parent / "lib" / name, Path(place) / "lib" / name)
        (Path(place) / "node_modules").symlink_to(modules)
        (Path(place) / "package.json").write_text('{"type":"module"}')
        command = [str(node), "--test", "--test-reporter=tap", str(Path(place) / "lib" / name)]
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            cwd=place,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    return done.stdout + done.stderr


def run_components(*filters: str) -> str:
    """What Vitest says of the component tests in these folders of the web application's sources."""
    node, modules = find_packages()
    with tempfile.TemporaryDirectory(prefix="careledger-components-") as place:
        shutil.copytree(LIB.parents[1], place, dirs_exist_ok=True)
        (Path(place) / "node_modules").symlink_to(modules)
        command = [str(node), str(modules / "vitest" / "vitest.mjs"), "run", *filters]
        done = subprocess.run(
            command,
            env={**os.environ, "NO_COLOR": "1"},
            cwd=place,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    return done.stdout + done.stderr
