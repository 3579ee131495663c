"""Documents say what is: links lead somewhere, commands and targets exist, the tour runs."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from careledger.cli.commands import COMMANDS
from careledger.witness.folder import WitnessFolder
from careledger.witness.overview import describe
from tests.e2e.node import free_port

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "verifier").glob("*.md")])
READY_S = 60
TOUR_S = 120
MEASURES = sorted([*(ROOT / "bench").glob("*.py"), *(ROOT / "tests" / "campaigns").glob("*.py")])
DEMO = [sys.executable, "-m", "careledger", "demo", "--patients", "2"]


def read_links(text: str) -> list[str]:
    without_code = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", without_code)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(document):
    links = [link.partition("#")[0] for link in read_links(document.read_text("utf-8")) if "://" not in link]
    assert not [link for link in links if link and not (document.parent / link).exists()]


def find_unknown_targets(code: str) -> set[str]:
    """What `code` calls by `make` and the Makefile has not."""
    targets = set(re.findall(r"^([a-z][a-z%-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    targets |= {f"campaign-{path.stem}" for path in (ROOT / "tests" / "campaigns").glob("*.py")}
    return set(re.findall(r"(?:^|[`(\s])make ([a-z][a-z-]+)", code)) - targets


@pytest.mark.parametrize("measure", MEASURES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_benches_and_campaigns_name_targets_that_exist(measure):
    text = measure.read_text("utf-8")
    called = re.findall(r"`([^`\n]+)`|^ *(make [a-z-]+)", text, re.MULTILINE)
    assert find_unknown_targets("\n".join(quoted or alone for quoted, alone in called)) == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_targets_exist(document):
    text = document.read_text("utf-8")
    code = "\n".join(re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    assert find_unknown_targets(code) == set()
    commands = {command.name for command in COMMANDS}
    named = set(re.findall(r"(?:^|[\s(/])careledger ([a-z][a-z-]+)", code))
    assert named <= commands, named - commands


def test_the_command_reference_is_current():
    done = subprocess.run([sys.executable, "tools/build_cli_reference.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "docs/cli.md differs from the program's help; run: make docs"


def test_every_target_is_in_the_help_of_make():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = set(re.findall(r"^\.PHONY: (\S+)", makefile, re.MULTILINE)) - {"dev"}
    assert phony <= set(re.findall(r"^([a-z][a-z%-]*):.*## ", makefile, re.MULTILINE))


def test_the_vault_spec_names_every_layout_and_number():
    """docs/spec/vault.md is written by hand: each `struct` layout and fixed number of the vault must stand in it."""
    text = (ROOT / "docs" / "spec" / "vault.md").read_text("utf-8")
    absent = []
    for name in (
        "commitments",
        "compression",
        "access_entries",
        "envelope",
        "journal",
        "keystore",
        "records",
        "registry",
        "tables",
    ):
        module = importlib.import_module(f"careledger.vault.{name}")
        layouts = {key: value for key, value in vars(module).items() if isinstance(value, struct.Struct)}
        absent += [
            f"{name}.{key}: {one.format}" for key, one in layouts.items() if f"`{one.format}`" not in text
        ]
    from careledger.vault import compression
    from careledger.vault.commitments import Kind

    dictionary = compression.dictionary_bytes()
    for word in (
        hashlib.sha256(dictionary).hexdigest(),
        f"{len(dictionary):,} bytes",
        f"{Kind.ACCESS} access",
    ):
        absent += [] if word in text else [word]
    assert not absent, absent


def test_ci_runs_what_a_reviewer_runs():
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert lines[-1].startswith("exec make test")


# --- the tour -----------------------------------------------------------------------------------------------------
def read_tour() -> str:
    """The bash blocks of README's five minutes, as one script."""
    part = (ROOT / "README.md").read_text("utf-8").partition("## Five minutes")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```bash\n(.*?)```", part, re.DOTALL))


@contextmanager
def serve_demo(folder: Path, port: int) -> Iterator[dict[str, str]]:
    """A demo hospital as `make run` starts it, small, until SIGINT; what it prints is in `folder/demo.log`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARELEDGER_")}
    environment |= {"PYTHONPATH": str(ROOT), "NO_PROXY": "localhost", "no_proxy": "localhost"}
    with (folder / "demo.log").open("w") as log:
        process = subprocess.Popen(
            [*DEMO, "--port", str(port)], cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            wait_until_ready(process, port, folder)
            yield environment
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(30)
    assert code in (0, 130), (folder / "demo.log").read_text("utf-8")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A served demo hospital in a folder that looks like the repository's."""
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    for name in (".venv", "verifier"):
        (folder / name).symlink_to(ROOT / name)
    with serve_demo(folder, port) as environment:
        yield folder, port, environment


def wait_until_ready(process, port, folder):
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail((folder / "demo.log").read_text("utf-8"))


def test_the_tour_runs(demo):
    folder, port, environment = demo
    # No pipefail: `curl … | head -c 300` ends curl early, as it does for a reader.
    script = "set -eu\n" + read_tour().replace("localhost:8080", f"localhost:{port}")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TOUR_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for line in (
        '"value":72.50',
        "level: anchored",
        "refused with exit code 6",
        "Patient/tour",
        "rule: directive-permit",
        "rule: no-directive",
        "holds: the whole chart",
        "holds: the whole access log",
        "/enrol#",
        '"token_endpoint":"',
    ):
        assert line in done.stdout, (line, done.stdout[-3000:], done.stderr[-1000:])


def test_the_demo_prints_what_can_be_pasted(demo):
    folder, _, environment = demo
    printed = (folder / "demo.log").read_text("utf-8")
    token = re.search(r"^token: (\S+)$", printed, re.MULTILINE)
    assert token
    assert re.search(r"^expires: \S+", printed, re.MULTILINE)
    commands = [
        line.strip() for line in printed.partition("commands to try")[2].splitlines() if line.startswith("  ")
    ]
    assert len(commands) == 5
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", f"set -euo pipefail; {command}"],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (shlex.split(command)[:2], done.stdout[-500:], done.stderr[-500:])
        assert '"OperationOutcome"' not in done.stdout


def test_the_demo_prints_where_each_person_begins(demo):
    folder, port, _ = demo
    printed = (folder / "demo.log").read_text("utf-8")
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for name in ("patient", "clinician", "administrator", "explorer"):
        line = re.search(rf"^{name}: +http://localhost:{port}(/\w+)(.*)$", printed, re.MULTILINE)
        assert line, (name, printed[:600])
        with straight.open(f"http://localhost:{port}{line[1]}", timeout=10) as answer:
            page = answer.read().decode()
        button = re.search(r'\("(.+)"\)', line[2])
        assert answer.status == 200
        assert button is None or button[1] in page


def ask(folder: Path, port: int, method: str) -> int:
    """The status of reading or writing one Patient with the token that the demo printed."""
    printed = re.search(r"^token: (\S+)$", (folder / "demo.log").read_text("utf-8"), re.MULTILINE)
    assert printed
    request = urllib.request.Request(
        f"http://localhost:{port}/fhir/Patient/kept",
        b'{"resourceType":"Patient","id":"kept"}' if method == "PUT" else None,
        {"Authorization": f"Bearer {printed[1]}", "Content-Type": "application/fhir+json"},
        method=method,
    )
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with straight.open(request, timeout=30) as answer:
        return int(answer.status)


def reset(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "reset", f"HOME_DIR={folder / 'demo-home'}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_the_demo_keeps_its_data_until_it_is_reset(tmp_path):
    """Started again it has what was written; a port in use says what to type; a served home is not deleted."""
    port = free_port()
    with serve_demo(tmp_path, port) as environment:
        assert ask(tmp_path, port, "PUT") == 201
        second = subprocess.run(
            [*DEMO, "--home", "other", "--port", str(port)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert second.returncode == 7
        assert re.search(r"type: make run PORT=\d+", second.stderr)
        refused = reset(tmp_path)
        assert refused.returncode != 0
        assert "stop it with Ctrl-C" in refused.stderr
    size = read_witness(tmp_path)
    assert size > 1
    with serve_demo(tmp_path, port):
        assert ask(tmp_path, port, "GET") == 200
        printed = (tmp_path / "demo.log").read_text("utf-8")
        assert "It proves nothing to others: same machine, same operator." in printed
        end = time.monotonic() + 20
        while read_witness(tmp_path) <= size and time.monotonic() < end:
            time.sleep(0.2)
        assert read_witness(tmp_path) > size
    url = re.search(r"^witness: http://localhost:(\d+)", printed, re.MULTILINE)
    assert url
    with pytest.raises(OSError):  # it ended with the demo
        socket.create_connection(("127.0.0.1", int(url[1])), timeout=1)
    assert reset(tmp_path).returncode == 0
    assert not list(tmp_path.glob("demo-home*"))


def read_witness(folder: Path) -> int:
    """Up to which size the demo's witness has signed."""
    shown = describe(WitnessFolder.open(folder / "demo-home.witness"))
    assert not shown["forked"]
    return int(shown["logs"][0]["size"])
