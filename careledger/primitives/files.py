"""Durability of what stands in a folder, and files that one process at a time holds."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def sync_path(path: Path) -> None:
    """Make a file's content durable, or a folder's entries (a new or renamed file in it)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """A file that only this user reads, whole or as it was, and durable when this returns. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)  # never write through a link that lies there
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_path(path.parent)


def take_lock(path: Path) -> int | None:
    """The descriptor that holds this file for one process; None while another one does. Raises OSError.

    It is held until the descriptor is closed, or the process ends, however it ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
