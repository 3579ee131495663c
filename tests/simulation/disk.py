"""The faked disk under the journals: what was synced stays; a failing sync, a full disk, a loss of power as the run wills.

Files lie in memory (`/dev/shm`) where there is any. The shipped journal goes through this module instead of `os`.
"""

from __future__ import annotations

import errno
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.simulation.world import Killed


class Disk:
    """Of one node. `kill` is called when the node is to die in the middle of a write."""

    def __init__(self, chance: random.Random, kill: Callable[[], None]) -> None:
        self._chance = chance
        self._kill = kill
        self.durable = 0
        """Bytes of the journal that a loss of power leaves."""
        self.is_full = False
        self.fails_sync = False
        self.dies_after = 0
        """If set: the node dies at that many writes or syncs from now."""
        self.was_faulty = False

    def write(self, descriptor: int, data: bytes, offset: int) -> int:
        if self._is_dying():
            os.pwrite(descriptor, data[: self._chance.randrange(len(data) + 1)], offset)
            self._die()
        return os.pwrite(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        if self.fails_sync:
            self.fails_sync = False
            self.was_faulty = True
            raise OSError(errno.EIO, "a sync failed")
        dies = self._is_dying()
        if not dies or self._chance.random() < 0.5:
            self.durable = os.fstat(descriptor).st_size
        if dies:
            self._die()

    def statvfs(self, descriptor: int) -> Any:
        if self.is_full:
            self.was_faulty = True
            return SimpleNamespace(f_bavail=0, f_frsize=4096)
        return os.fstatvfs(descriptor)

    def lose_power(self, path: Path) -> None:
        """What was not synced is gone, but for some bytes of it; the rest may read as zeros."""
        size = path.stat().st_size
        if size <= self.durable:
            return
        kept = self._chance.randrange(self.durable, size + 1)
        os.truncate(path, kept)
        if self._chance.random() < 0.3:
            os.truncate(path, size)

    def _is_dying(self) -> bool:
        if not self.dies_after:
            return False
        self.dies_after -= 1
        return self.dies_after == 0

    def _die(self) -> None:
        self._kill()
        raise Killed


class Disks:
    """Stands in for `os` in the shipped journal: finds the disk by the file."""

    def __init__(self) -> None:
        self._disks: dict[int, Disk] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def put(self, path: Path, disk: Disk) -> None:
        """The journal at `path` lies on this disk, all of it synced."""
        status = path.stat()
        disk.durable = status.st_size
        self._disks[status.st_ino] = disk

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        disk = self._find(descriptor)
        return os.pwrite(descriptor, data, offset) if disk is None else disk.write(descriptor, data, offset)

    def fdatasync(self, descriptor: int) -> None:
        disk = self._find(descriptor)
        if disk is not None:
            disk.sync(descriptor)

    def fstatvfs(self, descriptor: int) -> Any:
        disk = self._find(descriptor)
        return os.fstatvfs(descriptor) if disk is None else disk.statvfs(descriptor)

    def _find(self, descriptor: int) -> Disk | None:
        return self._disks.get(os.fstat(descriptor).st_ino)


def make_folder() -> Path:
    """An empty folder, in memory if the machine allows."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="careledger-simulation-", dir=place))
