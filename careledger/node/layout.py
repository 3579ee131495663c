"""Where things lie in a home, who holds it, and whether it was left cleanly.

home.json        format, home id, name, genesis, and a check over these: no secret, no patient data
config.toml      configuration, if any
keys/            the key store, sealed by the passphrase
journal/log      the truth, sealed
index/           LMDB, derived from the journal; `sum` authenticates it while nobody serves the home
registry/        LMDB: who may sign in and with which programs, sealed; synced at each change, no part of the journal
lock             held by the one process that has the home open
running          exists while a process serves the home, or after one that was killed
node.sock        the served node's door for commands
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from careledger.primitives.errors import Misconfigured
from careledger.primitives.files import sync_path, take_lock, write_durably
from careledger.primitives.hashing import keyed_digest, new_sha256, sha256

FORMAT = 1
INDEX_FORMAT = 2
"""Of the derived index: one of another format is made again from the journal."""
NAME_BYTES_MAX = 200
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
CHUNK_BYTES = 1 << 20


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
    check: str = ""
    former: str | msgspec.UnsetType = msgspec.UNSET
    """The genesis of the embedded ledger that the home had before it joined its network."""

    def computed_check(self) -> str:
        """What `check` must say: SHA-256 over the other fields (against damage, it proves nothing)."""
        return sha256(msgspec.json.encode(msgspec.structs.replace(self, check=""))).hex()


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
    def index_data(self) -> Path:
        """LMDB's file."""
        return self.index / "data.mdb"

    @property
    def index_sum(self) -> Path:
        """Authenticates the index of a stopped home."""
        return self.index / "sum"

    @property
    def running(self) -> Path:
        """The mark of a home in use."""
        return self.path / "running"

    @property
    def registry(self) -> Path:
        """Who may sign in, and with which programs."""
        return self.path / "registry"

    @property
    def engine(self) -> Path:
        """What the engine of a network's home keeps."""
        return self.path / "engine"

    @property
    def socket(self) -> Path:
        """Where the served node takes commands."""
        return self.path / "node.sock"

    def is_older(self) -> bool:
        """Whether there is a home of an older format than this program's."""
        return self.file.exists() and read_format(self.file.read_bytes()) < FORMAT

    def read(self) -> HomeFile:
        """`home.json`. Raises Misconfigured if this is no home, or one of another version."""
        try:
            data = self.file.read_bytes()
        except PermissionError as error:
            raise Misconfigured(
                f"the home at {self.path} cannot be read",
                hint="run as the user who owns it",
                code="home-forbidden",
            ) from error
        except OSError as error:
            raise Misconfigured(
                f"there is no CareLedger home at {self.path}",
                hint=f"make one: careledger init {self.path} --name 'My clinic'",
            ) from error
        version = read_format(data)
        if version != FORMAT:
            hint = (
                "it was made by a newer careledger: use that one"
                if version > FORMAT
                else f"upgrade a copy of it: careledger upgrade --home {self.path}"
            )
            raise Misconfigured(
                f"the home has format {version}, this program knows {FORMAT}", hint=hint, code="home-version"
            )
        try:
            file = msgspec.json.decode(data, type=HomeFile)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _damaged() from error
        if file.check != file.computed_check():
            raise _damaged()
        return file

    def write(self, content: HomeFile) -> None:
        """Write `home.json` durably; the last step of making a home."""
        content = msgspec.structs.replace(content, check=content.computed_check())
        data = msgspec.json.format(msgspec.json.encode(content), indent=2)
        write_durably(self.file, data)


def read_format(data: bytes) -> int:
    """The format that a home.json names, whatever its other fields are. Raises Misconfigured."""
    try:
        version = msgspec.json.decode(data, type=dict).get("format")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged() from error
    if not isinstance(version, int) or not 0 < version < 1 << 16:
        raise _damaged()
    return version


def _damaged() -> Misconfigured:
    return Misconfigured(
        "home.json is damaged",
        hint="restore a backup into a new folder, or put the file back",
        code="home-damaged",
    )


class HomeLock:
    """One process a home, by `flock`: it ends with the process, however that ends."""

    def __init__(self, layout: Layout) -> None:
        try:
            descriptor = take_lock(layout.path / "lock")
        except OSError as error:
            raise Misconfigured(
                f"the home cannot be written: {error.strerror}",
                hint="give this user write access to the home",
            ) from error
        if descriptor is None:
            raise AlreadyRunning(
                "another process has this home open", hint="stop it first, or talk to it: it is being served"
            )
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._descriptor)


def index_is_trusted(layout: Layout, key: bytes) -> bool:
    """Whether the index may be used as it is found, apart from frames that it has not seen.

    A killed process leaves a sound index, because the machine kept its pages. After a crash of the machine, or
    in a copy of a running home, it may be torn; after a clean stop its sum must hold, so that neither a flipped
    bit nor somebody without the keys changes it unseen. Otherwise it is rebuilt.
    """
    if not layout.index_data.exists():
        return False
    try:
        return layout.running.read_text() == _mark(layout)
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError):
        return False
    try:
        return layout.index_sum.read_bytes() == _sum_of(layout, key)
    except OSError:
        return False


def mark_running(layout: Layout) -> None:
    """From here on the index is only trusted on this machine, until it stops."""
    with open(layout.running, "w") as out:
        out.write(_mark(layout))
        out.flush()
        os.fsync(out.fileno())
    sync_path(layout.path)


def mark_stopped(layout: Layout, key: bytes) -> None:
    """The index is synced and whole, and closed."""
    with open(layout.index_sum, "wb") as out:
        out.write(_sum_of(layout, key))
        out.flush()
        os.fsync(out.fileno())
    layout.running.unlink(missing_ok=True)
    sync_path(layout.path)


def _sum_of(layout: Layout, key: bytes) -> bytes:
    running = new_sha256()
    with open(layout.index_data, "rb") as data:
        while chunk := data.read(CHUNK_BYTES):
            running.update(chunk)
    return keyed_digest(key, b"cl1.index" + bytes([INDEX_FORMAT]) + running.digest())


def _mark(layout: Layout) -> str:
    status = layout.index_data.stat()
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        boot = "unknown"
    return f"{boot} {status.st_dev} {status.st_ino} {INDEX_FORMAT}"
