"""A stopped home is changed on a copy: it stays as it was until the copy passed fsck, and beside it afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from careledger.node import fsck
from careledger.node.home import LockedHome, open_keys
from careledger.node.layout import HomeLock, Layout
from careledger.primitives.errors import CareLedgerError, Corrupt, Misconfigured, Unavailable
from careledger.primitives.files import sync_path

LEFT_OUT: Final = ("index", "running", "lock", "node.sock", "fsck-*")
"""Derived from the rest, or of the running process: a copy has its own."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Replaced(Generic[T]):
    """What the change gave, and the folder in which the home as it was stays."""

    result: T
    kept: Path


@dataclass(frozen=True, slots=True)
class Names:
    """`copy` and `kept` end the names of the two folders beside the home; `done` is the verb of what failed."""

    copy: str
    kept: str
    done: str


def replace_home(home: Path, passphrase: str, names: Names, change: Callable[[Path], T]) -> Replaced[T]:
    """`change` gets the copy's folder; what it made of it takes the home's place once that passed fsck.

    Raises what `change` raises, Misconfigured (in use, a folder in the way), Corrupt (the copy does not pass fsck),
    Unavailable (no room); then the home is as it was.
    """
    lock = HomeLock(Layout(home))
    try:
        copy = _copy(home, names.copy)
        try:
            result = change(copy)
            _prove(copy, passphrase)
            return Replaced(result, _swap(home, copy, names.kept))
        except BaseException:
            shutil.rmtree(copy, ignore_errors=True)
            raise
    except OSError as error:
        raise Unavailable(
            f"the home cannot be {names.done}: {error.strerror}; it is as it was",
            hint="make room for a second copy of it",
        ) from error
    finally:
        lock.release()


def _copy(home: Path, suffix: str) -> Path:
    """A copy beside the home, without what each has for itself; durable. Raises OSError."""
    copy = home.with_name(f"{home.name}.{suffix}")
    shutil.rmtree(copy, ignore_errors=True)
    try:
        shutil.copytree(home, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    except shutil.Error as error:
        shutil.rmtree(copy, ignore_errors=True)
        raise OSError(0, "the copy failed") from error
    for path in copy.rglob("*"):
        sync_path(path)
    return copy


def _prove(copy: Path, passphrase: str) -> None:
    """The new home opens, which replays its journal, and passes fsck."""
    try:
        file, keys = open_keys(Layout(copy), passphrase)
        locked = LockedHome(copy, file, keys)
        try:
            report = fsck.run(locked.home, fsck.take_view(locked.home), lambda _step: None)
        finally:
            locked.close()
    except CareLedgerError as error:
        raise _refused(error.message) from error
    if not report["ok"]:
        raise _refused(report["problems"][0])


def _refused(why: str) -> Corrupt:
    return Corrupt(
        f"the changed copy is not sound, so the home was left as it is: {why}",
        hint="run fsck with the version of careledger that made the home",
        code="upgrade-refused",
    )


def _swap(home: Path, copy: Path, suffix: str) -> Path:
    """The copy takes the home's name; between the two renames a crash leaves both, under names that say what they are."""
    kept = home.with_name(f"{home.name}.{suffix}")
    if kept.exists():
        raise Misconfigured(
            f"{kept} is in the way", hint="move it elsewhere, then repeat", code="folder-not-empty"
        )
    home.rename(kept)
    try:
        copy.rename(home)
    except OSError:
        kept.rename(home)
        raise
    sync_path(home.parent)
    return kept
