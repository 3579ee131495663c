"""Files that know whether they are the very file that was written here, or an older copy that was put back.

A stamped file's content names its own inode and a time, which is also set as the file's time of modification. Whoever
puts back an older file, or copies a folder, makes another inode or leaves another time: `read_stamped` says so. Not
seen: the whole disk set back (a snapshot of a machine or of a volume), and a copy made by something that keeps inodes.
Changed owners and permissions do not matter.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from careledger.primitives.files import sync_path

STAMP_STEP_S: Final = 2
"""Times of modification are this coarse on the coarsest file system."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a file's content says of the file."""

    inode: int
    time_s: int


def write_stamped(path: Path, time_s: float, encode: Callable[[Stamp], bytes]) -> None:
    """The file is whole and durable when this returns, or as it was; only this user reads it. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    rounded = int(time_s) // STAMP_STEP_S * STAMP_STEP_S
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(encode(Stamp(os.fstat(descriptor).st_ino, rounded)))
        file.flush()
        os.utime(descriptor, (rounded, rounded))
        os.fsync(descriptor)
    temporary.replace(path)
    sync_path(path.parent)


def read_stamped(path: Path, bytes_max: int) -> tuple[bytes, Stamp]:
    """Content (at most one byte over `bytes_max`), and what the stamp in it must be. Raises OSError."""
    with path.open("rb") as file:
        data = file.read(bytes_max + 1)
        status = os.fstat(file.fileno())
    seconds, rest = divmod(status.st_mtime_ns, 1_000_000_000)
    return data, Stamp(status.st_ino, -1 if rest else seconds)
