#!/usr/bin/env python3
"""Build `careledger/web/_ui/`: the script and style of the pages for people, from the TypeScript in `careledger/web/ui/`.

esbuild and the TypeScript compiler come from npm, pinned with their hashes in careledger/web/ui/package-lock.json, into
.cache/ui; npm runs on the Node of the wheel pinned in requirements/build.txt. Types are checked, then it is bundled.
An output whose inputs have not changed is left alone (milliseconds), and it is the same byte for byte on every machine.
Usage: python tools/build_ui.py [--force]
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_definitions import ROOT, BuildFailed, find_node, run, write

SOURCE = ROOT / "careledger" / "web" / "ui"
CACHE = ROOT / ".cache" / "ui"
OUTPUT = ROOT / "careledger" / "web" / "_ui"
SETTINGS = ("package.json", "package-lock.json", "tsconfig.json")
ENTRIES = ("people.ts", "people.css", "icon.svg")
TARGET = "es2022"


def main(arguments: list[str]) -> int:
    """Build the pages' files if their inputs changed. Exit code 0, or 1 with a message that says what to do."""
    stamp = compute_stamp()
    if "--force" not in arguments and is_current(stamp):
        return 0
    try:
        build()
    except BuildFailed as error:
        print(f"build_ui: {error}", file=sys.stderr)
        return 1
    write(OUTPUT / "stamp", stamp.encode())
    return 0


def compute_stamp() -> str:
    """One hash of everything the output is made from."""
    digest = hashlib.sha256()
    inputs = [*(SOURCE / name for name in SETTINGS), *sorted((SOURCE / "src").iterdir()), Path(__file__)]
    for path in inputs:
        data = path.read_bytes()
        digest.update(path.name.encode() + b"\0" + len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def is_current(stamp: str) -> bool:
    """Whether the output on disk was made from these inputs."""
    names = [name.replace(".ts", ".js") for name in ENTRIES]
    try:
        return (OUTPUT / "stamp").read_text() == stamp and all(
            (OUTPUT / name).stat().st_size for name in names
        )
    except OSError:
        return False


def build() -> None:
    """Check the types, bundle, and put the files in place."""
    node, npm = find_node()
    fetch(node, npm)
    shutil.rmtree(CACHE / "src", ignore_errors=True)
    shutil.copytree(SOURCE / "src", CACHE / "src")
    shutil.copyfile(SOURCE / "tsconfig.json", CACHE / "tsconfig.json")
    modules = CACHE / "node_modules"
    run(
        [str(node), str(modules / "typescript" / "bin" / "tsc"), "--project", "."],
        cwd=CACHE,
        hint="repair the types",
    )
    drafts = CACHE / "out"
    shutil.rmtree(drafts, ignore_errors=True)
    command = [str(node), str(modules / "esbuild" / "bin" / "esbuild"), *(f"src/{name}" for name in ENTRIES)]
    options = [
        "--bundle",
        "--minify",
        "--charset=utf8",
        "--format=esm",
        "--loader:.svg=copy",
        f"--target={TARGET}",
        f"--outdir={drafts}",
    ]
    run([*command, *options], cwd=CACHE, hint="repair what esbuild names")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for path in sorted(drafts.iterdir()):
        write(OUTPUT / path.name, path.read_bytes())
    print(f"pages: {len(list(drafts.iterdir()))} files in {OUTPUT.relative_to(ROOT)}", file=sys.stderr)


def fetch(node: Path, npm: Path) -> None:
    """The pinned tools in .cache/ui, unless they are there already."""
    digest = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
    marker = CACHE / "fetched"
    if marker.exists() and marker.read_text() == digest and (CACHE / "node_modules").is_dir():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    marker.unlink(missing_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(SOURCE / name, CACHE / name)
    print("pages: fetching TypeScript and esbuild from npm (15 MB, build only)", file=sys.stderr)
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
