"""The witness's folder: what it signed last of each log, and what it refused; whole and durable, or not there.

witness.json             format, name, public key
key                      its seed, sealed by a passphrase (the caller's business: opaque here)
lock                     held by the one process that may sign
logs/CHAIN/trust         the checkpoint file by which the log was made known: its keys
logs/CHAIN/latest        the newest checkpoint that was signed, with this witness's own line
logs/CHAIN/refused/*     evidence: what was known, what was offered instead (`Evidence`)
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from careledger.ledger.checkpoint import NOTE_SIZE_MAX
from careledger.ledger.proof_files import FILE_BYTES_MAX
from careledger.ledger.verification import CHAIN
from careledger.ledger.witnessing import WitnessKey, check_witness_name
from careledger.primitives.errors import Conflict, Corrupt, Misconfigured, NotFound
from careledger.primitives.files import sync_path, take_lock, write_durably
from careledger.primitives.signing import ED25519_PUBLIC_SIZE

FORMAT: Final = "careledger/witness/1"
KEY_BYTES_MAX: Final = 4096
EVIDENCE_MAX: Final = 64
"""Kept of a log; more is refused all the same, and no longer kept."""
EVIDENCE_BYTES_MAX: Final = 1 << 20
LOGS_MAX: Final = 10_000
_EVIDENCE_NAME: Final = re.compile(r"[0-9]{1,19}-[0-9a-f]{16}\.json")


class WitnessFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`witness.json`."""

    format: Literal["careledger/witness/1"]
    name: str
    public: str


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two checkpoints that the log's keys signed, and that do not go together as far as the witness was shown.

    `proven`: the two notes alone, or with `path`, convict whoever holds the log's keys.
    """

    known: str
    offered: str
    old: int
    path: list[str]
    proven: bool
    reason: str
    time_s: int


@dataclass(frozen=True, slots=True)
class StoredLog:
    """What the folder holds of one log."""

    chain: str
    trust: bytes
    latest: str
    evidence: tuple[Evidence, ...]


class WitnessFolder:
    """One witness's folder. Every write is durable when it returns; raises OSError where the disk does."""

    def __init__(self, path: Path, key: WitnessKey) -> None:
        self.path = path
        self.key = key
        self._lock: int | None = None

    @classmethod
    def create(cls, path: Path, key: WitnessKey, sealed_key: bytes) -> WitnessFolder:
        """A new folder. Raises Misconfigured if there is anything in it already."""
        check_witness_name(key.name)
        if path.exists() and any(path.iterdir()):
            raise Misconfigured(
                f"{path} is not empty", hint="choose an empty folder", code="folder-not-empty"
            )
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        (path / "logs").mkdir(mode=0o700)
        write_durably(path / "key", sealed_key)
        content = msgspec.json.encode(WitnessFile(FORMAT, key.name, key.public.hex()))
        write_durably(path / "witness.json", content)  # last: a folder without it is none
        return cls(path, key)

    @classmethod
    def open(cls, path: Path) -> WitnessFolder:
        """The folder of a witness. Raises NotFound or Misconfigured."""
        try:
            data = (path / "witness.json").read_bytes()
        except OSError as error:
            raise NotFound(
                f"there is no witness at {path}", hint=f"make one: careledger witness init {path} --name NAME"
            ) from error
        try:
            file = msgspec.json.decode(data, type=WitnessFile)
            key = WitnessKey(file.name, bytes.fromhex(file.public))
        except (msgspec.DecodeError, ValueError):
            raise _damaged(path / "witness.json") from None
        if len(key.public) != ED25519_PUBLIC_SIZE:
            raise _damaged(path / "witness.json")
        return cls(path, key)

    def read_key(self) -> bytes:
        """The sealed seed."""
        return _read(self.path / "key", KEY_BYTES_MAX)

    def hold(self) -> None:
        """Be the one process that signs. Raises Conflict: two could contradict each other."""
        descriptor = take_lock(self.path / "lock")
        if descriptor is None:
            raise Conflict("another process runs this witness", hint="stop it first", code="witness-in-use")
        self._lock = descriptor

    def release(self) -> None:
        """Let another process sign."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # Logs

    def chains(self) -> list[str]:
        """The chain ids of the logs that are known."""
        return sorted(entry.name for entry in (self.path / "logs").iterdir() if CHAIN.fullmatch(entry.name))

    def read_log(self, chain: str) -> StoredLog | None:
        """What is held of a log; None if it is not known. Raises Corrupt: a witness that lost its word says so."""
        folder = self._log(chain)
        if not folder.is_dir():
            return None
        trust = _read(folder / "trust", FILE_BYTES_MAX)
        latest = _read(folder / "latest", NOTE_SIZE_MAX)
        try:
            return StoredLog(chain, trust, latest.decode("utf-8"), tuple(self._evidence(folder)))
        except UnicodeDecodeError:
            raise _damaged(folder / "latest") from None

    def _evidence(self, folder: Path) -> Iterator[Evidence]:
        for path in sorted((folder / "refused").iterdir()):
            if _EVIDENCE_NAME.fullmatch(path.name):
                try:
                    yield msgspec.json.decode(_read(path, EVIDENCE_BYTES_MAX), type=Evidence)
                except msgspec.DecodeError:
                    raise _damaged(path) from None

    def add_log(self, chain: str, trust: bytes, latest: str) -> None:
        """Make a log known, whole or not at all. Raises Conflict if it is known."""
        folder = self._log(chain)
        if folder.exists():
            raise Conflict("this ledger is known already", hint="careledger witness show DIR")
        if len(self.chains()) >= LOGS_MAX:
            raise Conflict(f"a witness follows at most {LOGS_MAX} ledgers", code="too-many-logs")
        made = folder.with_name(f"new-{chain}")
        shutil.rmtree(made, ignore_errors=True)
        (made / "refused").mkdir(mode=0o700, parents=True)
        write_durably(made / "trust", trust)
        write_durably(made / "latest", latest.encode())
        made.rename(folder)
        sync_path(folder.parent)

    def write_latest(self, chain: str, note: str) -> None:
        """The newest signed checkpoint; only when this returned may the signature leave."""
        write_durably(self._log(chain) / "latest", note.encode())

    def write_evidence(self, chain: str, name: str, evidence: Evidence) -> bool:
        """Keep what was refused; False if there is enough of it, or it is kept already."""
        folder = self._log(chain) / "refused"
        path = folder / f"{name}.json"
        if path.exists() or sum(1 for _ in folder.iterdir()) >= EVIDENCE_MAX:
            return False
        write_durably(path, msgspec.json.encode(evidence))
        return True

    def _log(self, chain: str) -> Path:
        if CHAIN.fullmatch(chain) is None:  # a name from outside never becomes another path
            raise NotFound("this is no chain id")
        return self.path / "logs" / chain


def _read(path: Path, largest: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise _damaged(path) from error
    if len(data) > largest:
        raise _damaged(path)
    return data


def _damaged(path: Path) -> Corrupt:
    return Corrupt(
        f"the witness's folder is damaged: {path.name}",
        hint="a witness that lost what it signed must be retired: make a new one, with a new key and name",
        code="witness-damaged",
    )
