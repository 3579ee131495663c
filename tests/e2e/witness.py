"""A real witness beside a real node: its own process, folder and key; killed, stopped and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.node import ROOT, Node, free_port

PASSPHRASE = "witness-passphrase-1"


def run_program(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line, as a person types it."""
    return subprocess.run(
        [sys.executable, "-m", "careledger", *words],
        cwd=folder or ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@dataclass(slots=True)
class WitnessProcess:
    """`careledger witness run` on a free port."""

    path: Path
    name: str = "witness.test"
    port: int = 0
    key: str = ""
    process: subprocess.Popen[str] | None = None
    passphrase: Path = field(init=False)

    def __post_init__(self) -> None:
        self.passphrase = self.path.with_name(self.path.name + ".passphrase")

    def init(self) -> WitnessProcess:
        self.passphrase.write_text(PASSPHRASE)
        made = run_program(
            "witness",
            "init",
            str(self.path),
            "--name",
            self.name,
            "--passphrase-file",
            str(self.passphrase),
            "--json",
        )
        assert made.returncode == 0, made.stderr
        self.key = json.loads(made.stdout)["key"]
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *trust: Path) -> WitnessProcess:
        self.port = self.port or free_port()
        words = [word for file in trust for word in ("--trust", str(file))]
        with self.path.with_name(self.path.name + ".stderr").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "careledger", "witness", "run", str(self.path), "--listen",
                 f"127.0.0.1:{self.port}", "--passphrase-file", str(self.passphrase), *words],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("witness ready: ") and self.key in line, line
        return self

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(kind)
            self.process.wait(30)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def show(self) -> tuple[int, dict[str, Any]]:
        """Exit code and what `witness show --json` says."""
        done = run_program("witness", "show", str(self.path), "--json")
        return done.returncode, json.loads(done.stdout)

    def head(self) -> tuple[int, str]:
        (log,) = self.show()[1]["logs"]
        return log["size"], log["root"]


def use(node: Node, *witnesses: WitnessProcess, k: int = 1) -> None:
    """Have the (stopped) node ask these."""
    entries = ", ".join(f'"{one.url} {one.key}"' for one in witnesses)
    (node.home / "config.toml").write_text(f"[witness]\nurls = [{entries}]\nk = {k}\nseconds = 1\n")


def write_checkpoint(node: Node, path: Path) -> Path:
    path.write_text(node.command("checkpoint")["file"])
    return path


def wait_for(what: Any, seconds: float = 20.0) -> Any:
    """What it gives once that is true."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ConnectionError):
            found = what()
            if found:
                return found
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)
