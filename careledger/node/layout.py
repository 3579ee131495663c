"""Where things lie in a home, who holds it, and whether it was left cleanly.

    home.json        format, home id, name, genesis: no secret, no patient data
    config.toml      configuration, if any
    keys/            the key store, sealed by the passphrase
    journal/log      the truth, sealed
    index/           LMDB, derived from the journal
    running          exists while a process serves the home, or after one that was killed
    node.sock        the served node's door for commands
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from careledger.primitives.errors import Misconfigured
from careledger.vault.journal import sync_folder

FORMAT = 1
NAME_BYTES_MAX = 200
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class AlreadyRunning(Misconfigured):
    """Another process holds the home."""

    code = "home-in-use"


class HomeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`home.json`: what a home says of itself without a key."""

    format: int
    home_id: str
    name: str
    did: str
    chain_id: str
    genesis: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a home."""

    path: Path

    @property
    def file(self) -> Path:
        """What the home says of itself."""
        return self.path / "home.json"

    @property
    def keys(self) -> Path:
        """The key store."""
        return self.path / "keys"

    @property
    def journal(self) -> Path:
        """The truth."""
        return self.path / "journal" / "log"

    @property
    def index(self) -> Path:
        """The derived index."""
        return self.path / "index"

    @property
    def running(self) -> Path:
        """The mark of a home in use."""
        return self.path / "running"

    @property
    def socket(self) -> Path:
        """Where the served node takes commands."""
        return self.path / "node.sock"

    def read(self) -> HomeFile:
        """`home.json`. Raises Misconfigured if this is no home, or one of another version."""
        try:
            data = self.file.read_bytes()
        except OSError as error:
            raise Misconfigured(
                f"there is no CareLedger home at {self.path}",
                hint=f"make one: careledger init {self.path} --name 'My clinic'",
            ) from error
        try:
            version = msgspec.json.decode(data, type=dict).get("format")
        except msgspec.DecodeError as error:
            raise Misconfigured("home.json is damaged", hint="restore a backup into a new folder") from error
        if version != FORMAT:
            raise Misconfigured(
                f"the home has format {version}, this program knows {FORMAT}",
                hint="use the version of careledger that made it, or upgrade careledger",
                code="home-version",
            )
        try:
            return msgspec.json.decode(data, type=HomeFile)
        except msgspec.ValidationError as error:
            raise Misconfigured("home.json is damaged", hint="restore a backup into a new folder") from error

    def write(self, content: HomeFile) -> None:
        """Write `home.json` durably; the last step of making a home."""
        data = msgspec.json.format(msgspec.json.encode(content), indent=2)
        temporary = self.file.with_suffix(".new")
        with open(temporary, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        temporary.rename(self.file)
        sync_folder(self.path)


class HomeLock:
    """One process a home, by `flock`: it ends with the process, however that ends."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        try:
            self._descriptor = os.open(layout.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Misconfigured(
                f"the home cannot be written: {error.strerror}", hint="give this user write access to the home"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise AlreadyRunning(
                "another process has this home open", hint="stop it first, or talk to it: it is being served"
            ) from error

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._descriptor)


def index_is_trusted(layout: Layout) -> bool:
    """Whether the index may be used as it is found, apart from frames that it has not seen.

    A killed process leaves a sound index, because the machine kept its pages. After a crash of the machine, or
    in a copy of a running home, it may be torn: then it is rebuilt.
    """
    data = layout.index / "data.mdb"
    if not data.exists():
        return False
    try:
        mark = layout.running.read_text()
    except OSError:
        return True
    return mark == _mark(layout)


def mark_running(layout: Layout) -> None:
    """From here on the index is only trusted on this machine, until it stops."""
    with open(layout.running, "w") as out:
        out.write(_mark(layout))
        out.flush()
        os.fsync(out.fileno())
    sync_folder(layout.path)


def mark_stopped(layout: Layout) -> None:
    """The index is synced and whole."""
    layout.running.unlink(missing_ok=True)
    sync_folder(layout.path)


def _mark(layout: Layout) -> str:
    status = (layout.index / "data.mdb").stat()
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        boot = "unknown"
    return f"{boot} {status.st_dev} {status.st_ino}"
