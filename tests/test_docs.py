"""Documents say what is: links lead somewhere, commands and targets exist, the tour runs."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from careledger.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "verifier").glob("*.md")])
READY_S = 60
TOUR_S = 120


def read_links(text: str) -> list[str]:
    without_code = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", without_code)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(document):
    links = [link.partition("#")[0] for link in read_links(document.read_text("utf-8")) if "://" not in link]
    assert not [link for link in links if link and not (document.parent / link).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_targets_exist(document):
    text = document.read_text("utf-8")
    code = "\n".join(re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    targets = set(re.findall(r"^([a-z][a-z%-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    targets |= {f"campaign-{path.stem}" for path in (ROOT / "tests" / "campaigns").glob("*.py")}
    named = set(re.findall(r"(?:^|[`(\s])make ([a-z][a-z-]+)", code))
    assert named <= targets, named - targets
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


# --- the tour -----------------------------------------------------------------------------------------------------
def read_tour() -> str:
    """The bash blocks of README's five minutes, as one script."""
    part = (ROOT / "README.md").read_text("utf-8").partition("## Five minutes")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```bash\n(.*?)```", part, re.DOTALL))


def is_node_written() -> bool:
    return all(importlib.util.find_spec(f"careledger.node.{name}") for name in ("client", "home", "serve"))


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def demo(tmp_path):
    """A demo hospital as `make run` starts it, small, in a folder that looks like the repository's."""
    for name in (".venv", "verifier"):
        (tmp_path / name).symlink_to(ROOT / name)
    port = find_free_port()
    command = [sys.executable, "-m", "careledger", "demo", "--port", str(port), "--patients", "2"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARELEDGER_")}
    environment["PYTHONPATH"] = str(ROOT)
    log = (tmp_path / "demo.log").open("w")
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        wait_until_ready(process, port, tmp_path)
        yield tmp_path, port, environment
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        log.close()
    assert code in (0, 130), (tmp_path / "demo.log").read_text("utf-8")


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


@pytest.mark.skipif(not is_node_written(), reason="needs careledger.node.client, home and serve")
def test_the_tour_runs(demo):
    folder, port, environment = demo
    script = "set -euo pipefail\n" + read_tour().replace("localhost:8080", f"localhost:{port}")
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
    for line in ('"value":72.50', "level: anchored", "refused with exit code 6", "Patient/tour"):
        assert line in done.stdout, (line, done.stdout[-3000:], done.stderr[-1000:])


@pytest.mark.skipif(not is_node_written(), reason="needs careledger.node.client, home and serve")
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
