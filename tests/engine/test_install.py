"""The engine is built from the pinned module or not at all, once a user; shown with a Go that plays along, or lies."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import threading
import time
from pathlib import Path

import pytest

from careledger.cli import run as cli_run
from careledger.engine import toolchain
from careledger.engine.buildinfo import BuildInfo, read_build_info
from careledger.engine.install import PIN, compute_file_digest, find_engine, install
from careledger.primitives.errors import Corrupt, Invalid, NotFound, Unavailable, VerificationFailed
from tests.engine.real import REAL_ENGINE

ROOT = Path(__file__).resolve().parents[2]
OTHER_SUM = "h1:" + "A" * 43 + "="


def make_binary(package=PIN.package, module=PIN.module, version=PIN.version, sum=PIN.sum) -> bytes:
    """A file that says what it was built from as Go's linker writes it."""
    text = f"path\t{package}\nmod\t{module}\t{version}\t{sum}\ndep\texample.org/other\tv1.0.0\th1:x\nbuild\tCGO_ENABLED=0\n"
    strings = b""
    for part in (b"go1.27.3", b"<" * 16 + text.encode() + b">" * 16):
        length = len(part)
        strings += (bytes([length & 0x7F | 0x80, length >> 7]) if length > 127 else bytes([length])) + part
    by_chance = b"\xff Go buildinf:" + bytes(18)  # the text alone, as a debugger's data has it
    return by_chance + b"\xff Go buildinf:\x08\x02" + bytes(16) + strings + b"the rest"


@dataclasses.dataclass
class FakeGo:
    """A `go` on a PATH of its own. It writes down how it was called."""

    folder: Path
    go: str = "go1.27.3"
    sum: str = PIN.sum
    binary: bytes = dataclasses.field(default_factory=make_binary)
    before_build: str = ""

    def write(self) -> dict[str, str]:
        """Write the program; returns the environment in which it is the only Go."""
        source = self.folder / "source"
        source.mkdir(parents=True, exist_ok=True)
        (source / "go.mod").write_text(f"module {PIN.module}\n\ngo 1.25.0\n")
        (source / "go.sum").write_text("example.org/other v1.0.0 h1:x\n")
        (self.folder / "binary").write_bytes(self.binary)
        said = {"Dir": str(source), "Sum": self.sum, "GoModSum": PIN.go_mod_sum}
        calls = shlex.quote(str(self.folder / "calls"))
        script = f"""#!/bin/sh
echo "$* GOFLAGS=$GOFLAGS GOENV=$GOENV GOWORK=$GOWORK GOTOOLCHAIN=$GOTOOLCHAIN" >> {calls}
case $1 in
  env) echo {self.go} ;;
  mod) cp go.sum {calls}.sum; printf '%s' {shlex.quote(json.dumps(said))} ;;
  list) echo 'go: downloading example.org/other v1.0.0' >&2; echo a; echo b ;;
  build) cp go.mod {calls}.mod; cat go.sum > {calls}.build.sum; echo a >&2; {self.before_build or ":"}
    while [ $# -gt 0 ]; do [ "$1" = -o ] && cp {shlex.quote(str(self.folder / "binary"))} "$2"; shift; done ;;
esac
"""
        program = self.folder / "bin" / "go"
        program.parent.mkdir(exist_ok=True)
        program.write_text(script)
        program.chmod(0o755)
        return {
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "CARELEDGER_ENGINE_CACHE": str(self.folder / "cache"),
        }

    def calls(self) -> list[str]:
        """The subcommands of so far, without the questions for its version."""
        text = (self.folder / "calls").read_text() if (self.folder / "calls").exists() else ""
        return [line.split()[0] for line in text.splitlines() if not line.startswith("env ")]


def ignore(_event):
    pass


def test_the_engine_is_built_once_and_found_again(tmp_path):
    fake = FakeGo(tmp_path)
    environ = fake.write()
    events = []
    engine, is_new = install(environ, events.append)
    assert (
        is_new
        and engine.path.read_bytes() == fake.binary
        and engine.sha256 == compute_file_digest(engine.path)
    )
    assert (engine.version, engine.sum, engine.go) == (PIN.version, PIN.sum, "go1.27.3")
    assert {"what": "building the engine", "done": 1, "total": 2} in events
    assert fake.calls() == ["mod", "list", "build"]
    assert install(environ, ignore) == (engine, False) and find_engine(environ) == engine
    assert fake.calls() == ["mod", "list", "build"] and not (tmp_path / "cache" / "work").exists()


def test_nothing_but_what_is_pinned_can_be_built(tmp_path):
    """Go gets the pinned hashes before it fetches anything, refuses what has none, and heeds no setting of the caller."""
    fake = FakeGo(tmp_path)
    hostile = {
        "GOFLAGS": "-mod=mod",
        "GOENV": "/tmp/x",
        "GOWORK": "/tmp/y",
        "GOTOOLCHAIN": "go1.9",
        "GONOSUMDB": "*",
    }
    install({**fake.write(), **hostile}, ignore)
    pinned = f"{PIN.module} {PIN.version} {PIN.sum}\n{PIN.module} {PIN.version}/go.mod {PIN.go_mod_sum}\n"
    assert (tmp_path / "calls.sum").read_text() == pinned
    assert (tmp_path / "calls.build.sum").read_text() == "example.org/other v1.0.0 h1:x\n" + pinned
    assert f"require {PIN.module} {PIN.version}\n" in (tmp_path / "calls.mod").read_text()
    flags = (
        "GOFLAGS=-mod=readonly -trimpath -buildvcs=false -modcacherw GOENV=off GOWORK=off GOTOOLCHAIN=local"
    )
    for line in (tmp_path / "calls").read_text().splitlines():
        assert line.startswith("env ") or line.endswith(flags)


def test_a_module_with_another_hash_is_refused(tmp_path):
    fake = FakeGo(tmp_path, sum=OTHER_SUM)
    environ = fake.write()
    with pytest.raises(VerificationFailed, match=re.escape(OTHER_SUM)):
        install(environ, ignore)
    assert fake.calls() == ["mod"]
    with pytest.raises(NotFound):
        find_engine(environ)


@pytest.mark.parametrize(
    "built",
    [{"sum": OTHER_SUM}, {"sum": ""}, {"version": "v0.39.0"}, {"package": PIN.module + "/cmd/other"},
     {"module": "example.org/fork"}],
    ids=lambda built: next(iter(built)),
)  # fmt: skip
def test_a_binary_of_anything_else_is_refused(tmp_path, built):
    """After a build, and where the operator names a binary."""
    environ = FakeGo(tmp_path, binary=make_binary(**built)).write()
    with pytest.raises(VerificationFailed) as refused:
        install(environ, ignore)
    assert PIN.sum in refused.value.hint
    with pytest.raises(NotFound):
        find_engine(environ)
    with pytest.raises(VerificationFailed):
        find_engine({**environ, "CARELEDGER_ENGINE": str(tmp_path / "binary")})


def test_a_binary_that_says_nothing_is_refused(tmp_path):
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "cut").write_bytes(make_binary()[:60])
    (tmp_path / "empty").touch()
    for name in ("script", "cut", "empty"):
        with pytest.raises(Invalid):
            read_build_info(tmp_path / name)


def test_an_engine_whose_bytes_changed_is_not_run_and_built_again(tmp_path):
    environ = FakeGo(tmp_path).write()
    engine, _ = install(environ, ignore)
    engine.path.write_bytes(engine.path.read_bytes() + b"more")
    with pytest.raises(Corrupt):
        find_engine(environ)
    assert install(environ, ignore) == (engine, True)


def test_a_build_that_stopped_leaves_nothing_to_run_and_goes_on(tmp_path):
    fake = FakeGo(tmp_path, before_build='echo half > "$GOCACHE"; exit 1')
    with pytest.raises(Unavailable) as refused:
        install(fake.write(), ignore)
    assert "go on" in refused.value.hint or "goes on" in refused.value.hint
    with pytest.raises(NotFound):
        find_engine(fake.write())
    fake.before_build = 'grep -q half "$GOCACHE" || exit 1'  # what the first attempt compiled is still there
    assert install(fake.write(), ignore)[1]


def test_two_at_once_build_once(tmp_path):
    fake = FakeGo(tmp_path, before_build="sleep 0.2")
    environ = fake.write()
    results = []
    threads = [threading.Thread(target=lambda: results.append(install(environ, ignore))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fake.calls() == ["mod", "list", "build"] and len({engine for engine, _ in results}) == 1
    assert sorted(is_new for _, is_new in results) == [False, False, True]


def test_an_interrupted_step_leaves_no_process(tmp_path):
    words = ["/bin/sh", "-c", "sleep 600 & echo $! > child; echo started >&2; wait"]

    def interrupt(_line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toolchain.run_step(words, {"PATH": "/usr/bin:/bin"}, tmp_path, interrupt)
    child = int((tmp_path / "child").read_text())
    end = time.monotonic() + 10
    while is_running(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "said, version",
    [("go1.25", "1.25"), ("go1.26.8", "1.26.8"), ("go2.0", "2.0"), ("go1.24.13", None), ("go1.9", None),
     ("devel", None), ("''", None)],
)  # fmt: skip
def test_only_a_new_enough_go_is_used(tmp_path, said, version):
    found = toolchain.find_go(FakeGo(tmp_path, go=said).write())
    assert (found.version if found else None) == version


def test_the_wheel_is_pinned_by_hash_to_what_is_wanted():
    wanted = (ROOT / "requirements" / "engine.in").read_text().splitlines()[-1]
    pinned = (ROOT / "careledger" / "engine" / "toolchain.txt").read_text()
    assert f"\n{wanted} \\\n" in pinned and len(re.findall(r"--hash=sha256:[0-9a-f]{64}", pinned)) == 4


def test_the_doctor_names_what_is_missing_and_the_command(tmp_path, monkeypatch, capsys):
    for name, value in FakeGo(tmp_path).write().items():
        monkeypatch.setenv(name, value)
    assert cli_run.run(["engine", "doctor", "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert (
        checks["engine"]["hint"] == "careledger engine install"
        and "Go 1.27.3" in checks["toolchain"]["detail"]
    )
    assert cli_run.run(["engine", "install", "--json"]) == 0
    printed = capsys.readouterr()
    digest = compute_file_digest(tmp_path / "binary")
    assert json.loads(printed.out)["sha256"] == digest and "engine: building the engine" in printed.err
    assert cli_run.run(["engine", "doctor"]) == 0
    assert digest in capsys.readouterr().out
    assert cli_run.run(["engine", "install", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


@REAL_ENGINE
def test_the_engine_that_the_tests_run_is_the_pinned_one():
    engine = find_engine(os.environ)
    expected = BuildInfo(engine.go, PIN.package, PIN.module, PIN.version, PIN.sum)
    assert read_build_info(engine.path) == expected
