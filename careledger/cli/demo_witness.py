"""The demo hospital's own witness: a second process with a key and a folder of its own, beside the home.

It shows the mechanism. As it runs on the same machine for the same operator, it convinces nobody else.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import selectors
import signal
import subprocess
import sys
from pathlib import Path

from careledger.cli import calls
from careledger.cli.options import NodeOptions, read_passphrase
from careledger.cli.output import note

NAME = "demo-witness"
READY = "witness ready: "
START_SECONDS = 20.0
STOP_SECONDS = 10.0
PR_SET_PDEATHSIG = 1

WORDS = """\
witness: {url} (a process of its own; its key and folder: {folder})
  It signs each new head of this ledger only if it continues the last one, and keeps that word across restarts: put an
  older copy of the demo home back, write on, and it refuses and shows both heads.
  It proves nothing to others: same machine, same operator. A witness that convinces is run by somebody else.
  {program} witness show {folder}
"""


class DemoWitness:
    """The process, from `start` to `stop`; `entry` is what the node's configuration wants, empty if it did not start."""

    def __init__(self, options: NodeOptions, home: Path) -> None:
        self.folder = home.parent / f"{home.name}.witness"
        self.entry = ""
        self._options = options
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make it on the first run, and let it follow the demo's ledger; returns before it is ready."""
        from careledger.node.layout import Layout
        from careledger.witness.folder import WitnessFolder

        passphrase_file = make_witness(self.folder)
        trust = self.folder / "demo-checkpoint"
        words: list[str] = []
        if Layout(self._home).read().chain_id not in WitnessFolder.open(self.folder).chains():
            trust.write_text(calls.call(self._options, "checkpoint")["file"], encoding="utf-8")
            words = ["--trust", str(trust)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "careledger", "witness", "run", str(self.folder), "--listen", "127.0.0.1:0",
             "--passphrase-file", str(passphrase_file), *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=die_with_parent,
        )  # fmt: skip

    def wait(self) -> None:
        """Until it is ready; if it does not come up, the demo goes on without it and says so."""
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline().decode() if selector.select(START_SECONDS) else ""
        if line.startswith(READY):
            self.entry = line.removeprefix(READY).strip()
        else:
            note(f"the demo's witness in {self.folder} did not start; the demo goes on without it")
            self.stop()

    def stop(self) -> None:
        """End it. Ctrl-C has reached it by itself."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def describe(self, program: str) -> str:
        """What to say about it; empty if it does not run."""
        if not self.entry:
            return ""
        return WORDS.format(url=self.entry.split()[0], folder=self.folder, program=program)


def make_witness(folder: Path) -> Path:
    """Folder, key and passphrase on the first run; the passphrase's file."""
    from careledger.cli.witness import make

    passphrase_file = folder.parent / f"{folder.name}.passphrase"
    if not (folder / "witness.json").exists():
        if not passphrase_file.exists():
            handle = os.open(passphrase_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
        make(folder, NAME, read_passphrase(passphrase_file))
    return passphrase_file


def die_with_parent() -> None:
    """In the child: end when the demo is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
