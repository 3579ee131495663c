"""A patient's key file: written once, read to decide. It is hers; no home and no node ever holds what is in it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from careledger.access.directives import from_base64, to_base64
from careledger.access.patient_keys import KEY_FORMAT, KeyFile, PatientKey
from careledger.cli.errors import UsageError
from careledger.cli.output import note
from careledger.primitives.errors import CareLedgerError, Invalid, Misconfigured
from careledger.primitives.types import Did, did_text

KEY_FILE_BYTES_MAX = 4096


def write_key(path: Path, seed: bytes, *, chain: str, organisation: bytes, home: Path) -> None:
    """A new file that its owner alone may read. Raises where something is there, or where the home is."""
    if path.resolve().is_relative_to(home.resolve()):
        raise UsageError(
            "a patient's key does not belong into the home", hint="name a file elsewhere: her own device"
        )
    content = msgspec.json.encode(
        KeyFile(
            chain=chain, format=KEY_FORMAT, organisation=did_text(Did(organisation)), seed=to_base64(seed)
        )
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
    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_BYTES_MAX + 1)
            is_open_to_others = os.fstat(file.fileno()).st_mode & 0o077
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="--key names the file that `patient enrol` wrote"
        ) from None
    try:
        if len(content) > KEY_FILE_BYTES_MAX:
            raise Invalid("too long")
        found = msgspec.json.decode(content, type=KeyFile)
        key = PatientKey(from_base64(found.seed))
    except (msgspec.DecodeError, UnicodeDecodeError, CareLedgerError):
        raise UsageError(
            f"{path} is no patient's key file", hint="--key names the file that `patient enrol` wrote"
        ) from None
    if is_open_to_others:
        note(f"warning: others may read {path}; type: chmod 600 {path}")
    return found, key


def check_ledger(file: KeyFile, chain: str) -> None:
    """Raises UsageError for the key of another node's chart."""
    if file.chain != chain:
        raise UsageError(
            "this key was enrolled at another node", hint="use the key file that was written for this home"
        )
