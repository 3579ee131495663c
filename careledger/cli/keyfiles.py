"""Key files of people: written once, read to sign. They are theirs; no home and no node ever holds what is in them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

import msgspec

from careledger.access.directives import from_base64, to_base64
from careledger.access.patient_keys import KEY_FORMAT, KeyFile, PatientKey
from careledger.cli.errors import UsageError
from careledger.cli.output import note
from careledger.primitives.errors import CareLedgerError, Invalid, Misconfigured
from careledger.primitives.types import Did, did_text

KEY_FILE_BYTES_MAX = 4096


def write_key(path: Path, seed: bytes, *, chain: str, organisation: bytes, home: Path) -> None:
    """A patient's new key file, as `write_new` writes it."""
    content = msgspec.json.encode(
        KeyFile(
            chain=chain, format=KEY_FORMAT, organisation=did_text(Did(organisation)), seed=to_base64(seed)
        )
    )
    write_new(path, content, home=home)


def write_new(path: Path, content: bytes, *, home: Path) -> None:
    """A new file that its owner alone may read. Raises where something is there, or where the home is."""
    if path.resolve().is_relative_to(home.resolve()):
        raise UsageError(
            "a key of somebody's own does not belong into the home",
            hint="name a file elsewhere: her own device",
        )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{path} is there already; a key is never overwritten", hint="name another file: --key-out FILE"
        ) from None
    except OSError as error:
        raise Misconfigured(
            f"cannot write {path}: {error.strerror}", hint="name a file in a folder that you may write to"
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(content + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_key(path: Path) -> tuple[KeyFile, PatientKey]:
    """The file and the key in it. Raises without a word of what it holds."""
    found = read_file(path, KeyFile, "patient's", "patient enrol")
    try:
        return found, PatientKey(from_base64(found.seed))
    except CareLedgerError:
        raise _unreadable(path, "patient's", "patient enrol") from None


def read_kit(path: Path) -> PatientKey:
    """The key of a printed kit, whose code the file holds. Raises without a word of it."""
    try:
        with path.open("rb") as file:
            code = file.read(KEY_FILE_BYTES_MAX).decode("ascii")
        digits = code.replace("-", "").replace(" ", "").strip().lower()
        if re.fullmatch("[0-9a-f]{64}", digits) is None:
            raise ValueError
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="--kit names a file") from None
    except ValueError:
        raise UsageError(
            f"{path} holds no code of a kit", hint="64 digits, as the page showed them"
        ) from None
    return PatientKey(bytes.fromhex(digits))


K = TypeVar("K")


def read_file(path: Path, kind: type[K], whose: str, written_by: str) -> K:
    """A key file of this kind; says so if others may read it. Raises without a word of what it holds."""
    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_BYTES_MAX + 1)
            is_open_to_others = os.fstat(file.fileno()).st_mode & 0o077
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint=f"--key names the file that `{written_by}` wrote"
        ) from None
    try:
        if len(content) > KEY_FILE_BYTES_MAX:
            raise Invalid("too long")
        found = msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, CareLedgerError):
        raise _unreadable(path, whose, written_by) from None
    if is_open_to_others:
        note(f"warning: others may read {path}; type: chmod 600 {path}")
    return found


def _unreadable(path: Path, whose: str, written_by: str) -> UsageError:
    return UsageError(
        f"{path} is no {whose} key file", hint=f"--key names the file that `{written_by}` wrote"
    )


def check_ledger(file: KeyFile, chain: str) -> None:
    """Raises UsageError for the key of another node's chart."""
    if file.chain != chain:
        raise UsageError(
            "this key was enrolled at another node", hint="use the key file that was written for this home"
        )
