#!/usr/bin/env python3
"""Build `careledger/web/_ui/`: the web application and the pages' scripts, from the TypeScript in `careledger/web/ui/`.

Vite, TypeScript, React and what else package.json names come from npm, pinned with their hashes in the lock file, into
.cache/ui; npm runs on the Node of the wheel pinned in requirements/build.txt. Types are checked, then it is bundled and
packed by brotli. An output whose inputs have not changed is left alone (milliseconds), and it is the same byte for byte
on every machine. Usage: python tools/build_ui.py [--force | --extract | --test [FILTER…]]

--extract writes the words of the sources into the catalogs (`locales/*.po`); --test runs the component tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_definitions import ROOT, BuildFailed, find_node, run, write

SOURCE = ROOT / "careledger" / "web" / "ui"
CACHE = ROOT / ".cache" / "ui"
OUTPUT = ROOT / "careledger" / "web" / "_ui"
TOP = (
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "lingui.config.ts",
    "index.html",
)
PAGES = ("people.ts", "deciding.ts", "people.css", "icon.svg")
TARGET = "es2022"
EXTRACT_SECONDS = 300


def main(arguments: list[str]) -> int:
    """Build what changed, or do what the option says. Exit code 0, or 1 with a message that says what to do."""
    try:
        with only_one():
            if "--extract" in arguments:
                extract()
            elif "--test" in arguments:
                return test([one for one in arguments if not one.startswith("--")])
            else:
                build_if_changed(is_forced="--force" in arguments)
    except BuildFailed as error:
        print(f"build_ui: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def only_one() -> Iterator[None]:
    """Nobody else builds in this tree meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def list_sources() -> list[Path]:
    """Everything that the output is made from, in a fixed order."""
    folders = (SOURCE / "src", SOURCE / "public")
    below = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [*(SOURCE / name for name in TOP), *below]


def compute_stamp() -> str:
    """One hash of everything the output is made from."""
    digest = hashlib.sha256()
    for path in (*list_sources(), Path(__file__)):
        data = path.read_bytes()
        name = path.relative_to(ROOT).as_posix().encode()
        digest.update(name + b"\0" + len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def is_current(stamp: str) -> bool:
    """Whether the output on disk was made from these inputs."""
    try:
        return (OUTPUT / "stamp").read_text() == stamp and (OUTPUT / "app" / "index.html").stat().st_size > 0
    except OSError:
        return False


def build_if_changed(*, is_forced: bool) -> None:
    """Leave a current output alone; else make it anew, whole, and only then say so. Raises BuildFailed."""
    stamp = compute_stamp()
    if is_forced or not is_current(stamp):
        build()
        write(OUTPUT / "stamp", stamp.encode())


def prepare() -> Path:
    """The sources beside their node_modules, in .cache/ui. Returns node. Raises BuildFailed."""
    node, npm = find_node()
    fetch(node, npm)
    shutil.rmtree(CACHE / "src", ignore_errors=True)
    for path in list_sources():
        place = CACHE / path.relative_to(SOURCE)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return node


def tool(node: Path, package: str, command: str, *arguments: str) -> list[str]:
    """The command line of an npm package's tool."""
    folder = CACHE / "node_modules" / package
    named = json.loads((folder / "package.json").read_text())["bin"]
    path = named if isinstance(named, str) else named[command]
    return [str(node), str(folder / path), *arguments]


def build() -> None:
    """Check the types, bundle, and put the files in place. Raises BuildFailed."""
    node = prepare()
    run(tool(node, "typescript", "tsc", "--project", "."), cwd=CACHE, hint="repair the types")
    drafts = CACHE / "out"
    shutil.rmtree(drafts, ignore_errors=True)
    bundle_pages(node, drafts / "pages")
    run(tool(node, "vite", "vite", "build", "--logLevel", "warn"), cwd=CACHE, hint="repair what Vite names")
    files = [(path, "") for path in sorted((drafts / "pages").iterdir())]
    files += [(path, "app") for path in sorted((drafts / "app").rglob("*")) if path.is_file()]
    for folder in (OUTPUT / "app",):
        shutil.rmtree(folder, ignore_errors=True)
    for path, below in files:
        place = OUTPUT / (path.name if not below else Path(below) / path.relative_to(drafts / "app"))
        place.parent.mkdir(parents=True, exist_ok=True)
        write(place, path.read_bytes())
    print(f"web application: {len(files)} files in {OUTPUT.relative_to(ROOT)}", file=sys.stderr)


def bundle_pages(node: Path, folder: Path) -> None:
    """Script and style of the pages for people who are signing in: no framework."""
    options = [
        "--bundle", "--minify", "--charset=utf8", "--format=esm", "--loader:.svg=copy",
        f"--target={TARGET}", f"--outdir={folder}",
    ]  # fmt: skip
    sources = [f"src/pages/{name}" for name in PAGES]
    run(tool(node, "esbuild", "esbuild", *sources, *options), cwd=CACHE, hint="repair what esbuild names")


def extract() -> None:
    """The words of the sources, in the catalogs beside them; what nobody says any more leaves. Raises BuildFailed."""
    node = prepare()
    run(tool(node, "@lingui/cli", "lingui", "extract", "--clean"), cwd=CACHE, hint="repair what Lingui names")
    for path in sorted((CACHE / "src").rglob("*.po")):
        write(SOURCE / path.relative_to(CACHE), path.read_bytes())


def test(filters: Sequence[str]) -> int:
    """Run the component tests; their exit code."""
    node = prepare()
    command = tool(node, "vitest", "vitest", "run", *filters)
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(
        command, cwd=CACHE, env=environment, timeout=EXTRACT_SECONDS, check=False
    ).returncode


def fetch(node: Path, npm: Path) -> None:
    """The pinned packages in .cache/ui, unless they are there already. Raises BuildFailed."""
    digest = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
    marker = CACHE / "fetched"
    if marker.exists() and marker.read_text() == digest and (CACHE / "node_modules").is_dir():
        return
    marker.unlink(missing_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(SOURCE / name, CACHE / name)
    print("web application: fetching its packages from npm (60 MB, build only)", file=sys.stderr)
    run(
        [
            str(node), str(npm), "ci", "--ignore-scripts", "--include=dev", "--include=optional",
            "--no-audit", "--no-fund", "--no-progress",
        ],
        cwd=CACHE,
        hint="the npm registry was not reached, or a package has another hash than the lock file. Check the network and"
        " `npm config get registry`; behind a proxy set HTTPS_PROXY, with an own certificate NODE_EXTRA_CA_CERTS",
    )  # fmt: skip
    write(marker, digest.encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
