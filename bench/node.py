"""A node for the bench, started as a user starts it: the installed command, its own home, no setting of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from bench import processes

READY_SECONDS_MAX = 120
COMMAND = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "careledger"


class Node:
    """A served home. `start`, then `stop`; `remove` at the end."""

    def __init__(self, workers: int | None, folder: Path | None = None, *, host: str = "127.0.0.1") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="careledger-bench-", dir=folder))
        self.home = self.folder / "home"
        self.workers = workers
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._passphrase = self.folder / "passphrase"
        self.passphrase = os.urandom(16).hex()
        self._passphrase.write_text(self.passphrase + "\n")
        self.host = host
        self.made = self.run("init", str(self.home), "--name", "Bench", home=False)

    def run(self, *arguments: str, home: bool = True) -> str:
        """A command about this node; its stdout. Raises if it fails."""
        place = ("--home", str(self.home)) if home else ()
        command = [str(COMMAND), *arguments, *place, "--passphrase-file", str(self._passphrase)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"careledger {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def start(self) -> float:
        """Serve; returns the seconds until the line that says it is ready."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [str(COMMAND), "serve", "--listen", f"{self.host}:{self.port}", "--home", str(self.home)]
        command += ["--passphrase-file", str(self._passphrase)]
        if self.workers is not None:
            command += ["--workers", str(self.workers)]
        begin = time.perf_counter()
        log = open(self.folder / "serve.log", "ab")  # noqa: SIM115 - the child keeps it
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if "ready" not in line:
            raise RuntimeError(f"serve did not start: {self.log_tail()}")
        return time.perf_counter() - begin

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """End it; returns the seconds until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return 0.0
        begin = time.perf_counter()
        process.send_signal(how)
        process.wait(timeout=READY_SECONDS_MAX)
        if process.stdout is not None:
            process.stdout.close()
        return time.perf_counter() - begin

    def log_tail(self) -> str:
        """The end of the server's log."""
        return processes.read(self.folder / "serve.log")[-3000:]

    def remove(self) -> None:
        """Stop and delete everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def token(self) -> str:
        """A bearer token with every right."""
        return self.run("token", "--client", "bench", "--scope", "system/*.cruds", "--expires", "1d").split()[
            0
        ]

    def processes(self) -> list[int]:
        """The server and all below it."""
        if self._process is None:
            return []
        return processes.tree(self._process.pid)

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        return processes.cpu_s(self.processes())

    def memory_mb(self) -> float:
        """Proportional set size of all its processes: what is shared counts once."""
        return processes.memory_mb(self.processes())

    def disk_bytes(self) -> dict[str, int]:
        """Allocated bytes below the home, by its first folder."""
        sizes: dict[str, int] = {}
        for path in self.home.rglob("*"):
            if path.is_file():
                name = path.relative_to(self.home).parts[0]
                sizes[name] = sizes.get(name, 0) + path.stat().st_blocks * 512
        return sizes


def sync_latency_ms(folder: Path, count: int = 300) -> dict[str, float]:
    """Quantiles of write + fdatasync of 700 bytes in the folder: the disk's part of every durable answer."""
    path = folder / "sync-probe"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    times = []
    try:
        for _ in range(count):
            os.write(descriptor, bytes(700))
            begin = time.perf_counter()
            os.fdatasync(descriptor)
            times.append(1000 * (time.perf_counter() - begin))
    finally:
        os.close(descriptor)
        path.unlink()
    times.sort()
    return {"p50": round(times[count // 2], 3), "p99": round(times[count * 99 // 100], 3)}
