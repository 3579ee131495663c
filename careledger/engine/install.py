"""Building the engine once for a user, from exactly one module, and finding it again.

The engine is `github.com/cometbft/cometbft` v0.40.0. Its own `version` command prints 0.39.0, so nothing here asks it:
the module's hash is pinned, and with it every file of it, its list of dependencies and their hashes. The build is of
a small module of our own whose sums file is the engine's plus the pinned lines, under `-mod=readonly`: Go refuses any
module, from whatever proxy, whose hash does not stand there. What was built must name module, version and hash.

CACHE/lock                  held while building
CACHE/v0.40.0/cometbft      the engine
CACHE/v0.40.0/built.json    its SHA-256 and what built it (`Built`)
CACHE/work/                 what a build fetched and compiled so far; gone when it is done
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from careledger.engine.buildinfo import BuildInfo, read_build_info
from careledger.engine.toolchain import Go, compute_environment, fetch_go, find_go, run_step
from careledger.primitives.errors import (
    CareLedgerError,
    Corrupt,
    Misconfigured,
    NotFound,
    VerificationFailed,
)
from careledger.primitives.files import sync_path
from careledger.primitives.hashing import new_sha256


@dataclass(frozen=True, slots=True)
class Pin:
    """The one module that is built: hashes as in a go.sum file, of its files and of its go.mod."""

    module: str
    version: str
    sum: str
    go_mod_sum: str

    @property
    def package(self) -> str:
        """The command's package."""
        return f"{self.module}/cmd/cometbft"


PIN: Final = Pin(
    module="github.com/cometbft/cometbft",
    version="v0.40.0",
    sum="h1:0+zc7FlcnonFfMwzhyDCd5vK/fHZqz0RfRyTCxZsFPU=",
    go_mod_sum="h1:3z+Aq3BSkwNKw+Z40yPUTxtSRIpQa0w2PyCwyaxxHeU=",
)
OUR_MODULE: Final = "careledger.engine"
FREE_BYTES_MIN: Final = 2 << 30
"""A build takes about 1.2 GB for a while, and leaves 45 MB."""
_RECORD_BYTES_MAX: Final = 4096
_COPY_BYTES: Final = 1 << 20

Progress = Callable[[dict[str, Any]], None]
"""Called with {"what": text, "done": count, "total": count or None}."""


class Built(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`built.json`."""

    version: str
    sum: str
    go: str
    sha256: str


class _Downloaded(msgspec.Struct, frozen=True):
    """What `go mod download -json` says of a module (some of it)."""

    dir: str = msgspec.field(name="Dir", default="")
    sum: str = msgspec.field(name="Sum", default="")
    go_mod_sum: str = msgspec.field(name="GoModSum", default="")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that was checked: where it is and what it was built from."""

    path: Path
    version: str
    sum: str
    go: str
    sha256: str


def get_cache(environ: Mapping[str, str]) -> Path:
    """The folder of built engines: CARELEDGER_ENGINE_CACHE, or one in the user's cache."""
    if named := environ.get("CARELEDGER_ENGINE_CACHE"):
        return Path(named).absolute()
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base).absolute() / "careledger" / "engine"
    if home := environ.get("HOME"):
        return Path(home).absolute() / ".cache" / "careledger" / "engine"
    raise Misconfigured(
        "there is no HOME to keep the engine in",
        hint="set CARELEDGER_ENGINE_CACHE to a folder",
        code="engine-cache",
    )


def find_engine(environ: Mapping[str, str], pin: Pin = PIN) -> Engine:
    """The engine to run: the one CARELEDGER_ENGINE names, or the one in the cache; checked by what it was built from.

    Raises NotFound if none is there, VerificationFailed if it is another one, Corrupt if its bytes have changed.
    """
    if named := environ.get("CARELEDGER_ENGINE"):
        return check_engine(Path(named).absolute(), pin)
    folder = get_cache(environ) / pin.version
    path = folder / "cometbft"
    if not path.is_file():
        raise NotFound("the engine is not built", hint="careledger engine install", code="engine-absent")
    engine = check_engine(path, pin)
    if _read_record(folder / "built.json").sha256 != engine.sha256:
        raise Corrupt(
            f"{path} is not what was built",
            hint=f"delete {folder}, then: careledger engine install",
            code="engine-altered",
        )
    return engine


def check_engine(path: Path, pin: Pin = PIN) -> Engine:
    """A binary that says it was built from the pinned module. Raises NotFound, Invalid or VerificationFailed."""
    try:
        built = read_build_info(path)
        digest = compute_file_digest(path)
    except OSError as error:
        raise NotFound(
            f"cannot read the engine {path}: {error.strerror}",
            hint="careledger engine install, without CARELEDGER_ENGINE",
            code="engine-absent",
        ) from None
    _check_module(built, pin)
    return Engine(path, built.version, built.sum, built.go, digest)


def _check_module(built: BuildInfo, pin: Pin) -> None:
    found = (built.package, built.module, built.version, built.sum)
    if found != (pin.package, pin.module, pin.version, pin.sum):
        raise VerificationFailed(
            f"this engine was built from {built.module or 'an unnamed module'} {built.version} {built.sum}",
            hint=f"it must be {pin.module} {pin.version} {pin.sum}: careledger engine install",
            code="engine-other",
        )


def compute_file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    running = new_sha256()
    with path.open("rb") as file:
        while part := file.read(_COPY_BYTES):
            running.update(part)
    return running.hexdigest()


def install(environ: Mapping[str, str], report: Progress, pin: Pin = PIN) -> tuple[Engine, bool]:
    """The engine, built if it was not there yet (the second value says so): one build at a time, resumed after a stop.

    Raises Unavailable if something cannot be fetched or built, VerificationFailed if it is not what is pinned. Where
    CARELEDGER_ENGINE names an engine, that one is checked and nothing is built.
    """
    if environ.get("CARELEDGER_ENGINE"):
        return find_engine(environ, pin), False
    cache = get_cache(environ)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / "lock", report):
            with contextlib.suppress(NotFound, Corrupt, VerificationFailed):
                return find_engine({"CARELEDGER_ENGINE_CACHE": str(cache)}, pin), False
            return _build(cache, environ, report, pin), True
    except OSError as error:
        raise Misconfigured(
            f"cannot build the engine in {cache}: {error.strerror}",
            hint="name another folder: CARELEDGER_ENGINE_CACHE",
            code="engine-cache",
        ) from None


@contextlib.contextmanager
def _lock(path: Path, report: Progress) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report({"what": "waiting for another build of the engine", "done": 0, "total": None})
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(cache: Path, environ: Mapping[str, str], report: Progress, pin: Pin) -> Engine:
    work = cache / "work"
    made = work / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    settings = compute_environment(environ, work)
    go = find_go(environ) or _fetch_go(work, settings, report)
    module = _write_module(work / "module", go, settings, report, pin)
    _compile(go, module, made / "cometbft", settings, report, pin)
    engine = check_engine(made / "cometbft", pin)
    record = Built(engine.version, engine.sum, engine.go, engine.sha256)
    (made / "built.json").write_bytes(msgspec.json.encode(record))
    for path in (made / "cometbft", made / "built.json", made):
        sync_path(path)
    target = cache / pin.version
    shutil.rmtree(target, ignore_errors=True)  # absent, or refused by find_engine
    os.rename(made, target)
    sync_path(cache)
    shutil.rmtree(work, ignore_errors=True)
    return find_engine({"CARELEDGER_ENGINE_CACHE": str(cache)}, pin)


def _fetch_go(work: Path, settings: Mapping[str, str], report: Progress) -> Go:
    report({"what": "fetching Go", "done": 0, "total": None})
    return fetch_go(work / "go", settings, lambda _line: None)


def _write_module(folder: Path, go: Go, settings: Mapping[str, str], report: Progress, pin: Pin) -> Path:
    """A module of our own that needs exactly what the engine's own module needs, by its own hashes."""
    report({"what": "fetching the engine", "done": 0, "total": None})
    folder.mkdir(exist_ok=True)
    pinned = f"{pin.module} {pin.version} {pin.sum}\n{pin.module} {pin.version}/go.mod {pin.go_mod_sum}\n"
    require = f"require {pin.module} {pin.version}\n"
    (folder / "go.mod").write_text(f"module {OUR_MODULE}\n\n{require}", "utf-8")
    (folder / "go.sum").write_text(pinned, "utf-8")  # Go itself refuses any other content
    words = [str(go.path), "mod", "download", "-json", f"{pin.module}@{pin.version}"]
    said = msgspec.json.decode(run_step(words, settings, folder, lambda _line: None), type=_Downloaded)
    if (said.sum, said.go_mod_sum) != (pin.sum, pin.go_mod_sum):
        raise VerificationFailed(
            f"{pin.module} {pin.version} has the hash {said.sum or '(none)'}",
            hint=f"it must be {pin.sum}: the module proxy serves something else; name another in GOPROXY",
            code="engine-other",
        )
    source = Path(said.dir)
    head, _, rest = (source / "go.mod").read_text("utf-8").partition("\n")
    if head != f"module {pin.module}":
        raise VerificationFailed("the engine's go.mod names another module", code="engine-other")
    (folder / "go.mod").write_text(f"module {OUR_MODULE}\n{rest}\n{require}", "utf-8")
    (folder / "go.sum").write_text((source / "go.sum").read_text("utf-8") + pinned, "utf-8")
    return folder


def _compile(
    go: Go, module: Path, target: Path, settings: Mapping[str, str], report: Progress, pin: Pin
) -> None:
    """Build the command; packages compiled before an interruption are not compiled again."""
    fetched = _Counter("fetching modules", None, report)
    listed = run_step([str(go.path), "list", "-deps", pin.package], settings, module, fetched.count)
    compiled = _Counter("building the engine", len(listed.split()), report)
    # Without symbol tables: nobody debugs it here, and it is a quarter smaller. Build information stays.
    words = [str(go.path), "build", "-v", "-ldflags=-s -w", "-o", str(target), pin.package]
    run_step(words, settings, module, compiled.count)


@dataclass(slots=True)
class _Counter:
    """Progress by lines that a step prints."""

    what: str
    total: int | None
    report: Progress
    done: int = 0

    def count(self, _line: str) -> None:
        self.done += 1
        self.report({"what": self.what, "done": self.done, "total": self.total})


def _read_record(path: Path) -> Built:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_RECORD_BYTES_MAX), type=Built)
    except (OSError, msgspec.DecodeError):
        raise Corrupt(
            f"{path} is missing or damaged",
            hint="careledger engine install builds again",
            code="engine-altered",
        ) from None


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def examine(environ: Mapping[str, str], pin: Pin = PIN) -> list[Check]:
    """What is there, what is missing, and the command for it. Changes nothing."""
    checks = [_examine_engine(environ, pin)]
    if checks[0].ok:
        return checks
    go = find_go(environ)
    there = (
        f"Go {go.version} at {go.path}" if go else "no Go of 1.25 or newer: a pinned wheel is fetched instead"
    )
    checks.append(Check("toolchain", True, there))
    cache = get_cache(environ)
    below = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(below).free
    hint = "" if free >= FREE_BYTES_MIN else "make room, or name another folder: CARELEDGER_ENGINE_CACHE"
    checks.append(Check("disk", not hint, f"{free >> 20} MB free for {cache}", hint))
    return checks


def _examine_engine(environ: Mapping[str, str], pin: Pin) -> Check:
    try:
        engine = find_engine(environ, pin)
    except CareLedgerError as error:
        return Check("engine", False, error.message, error.hint)
    detail = f"{pin.module} {engine.version} ({engine.sum}) at {engine.path}, built by {engine.go}, SHA-256 {engine.sha256}"
    return Check("engine", True, detail)
