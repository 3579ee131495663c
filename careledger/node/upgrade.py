"""A home of an older format is brought up to date on a copy; the old one stays until the new one passed fsck, and after.

`STEPS` is the literal table: from format n, what makes a home of format n + 1 out of the copy. There is one format so
far, so the table is empty and `upgrade` says that there is nothing to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from careledger.node import fsck, layout
from careledger.node.home import LockedHome, open_keys
from careledger.node.layout import HomeLock, Layout
from careledger.primitives.errors import CareLedgerError, Corrupt, Misconfigured, Unavailable
from careledger.primitives.files import sync_path

Step = Callable[[Path, str], None]
"""Changes a copied home in place; gets its folder and the passphrase. `home.json` must say the next format then."""

STEPS: Mapping[int, Step] = MappingProxyType({})
LEFT_OUT = ("index", "running", "lock", "node.sock", "fsck-*")
"""Derived from the rest, or of the running process: a copy has its own."""


def upgrade(home: Path, passphrase: str, steps: Mapping[int, Step] = STEPS) -> dict[str, Any]:
    """Bring the stopped home up to this program's format. `upgraded` says whether there was anything to do.

    Raises Misconfigured (newer format, no step, in use), Corrupt (the new home does not pass fsck), Unavailable (no
    room); then the home is as it was. The home as it was stays beside it in the folder that `kept` names.
    """
    where = Layout(home)
    found = _format_of(where)
    wanted = layout.FORMAT
    if found == wanted:
        return {
            "upgraded": False,
            "format": found,
            "message": "nothing to do: the home has the newest format",
        }
    missing = [number for number in range(found, wanted) if number not in steps]
    if found > wanted or missing:
        raise Misconfigured(
            f"this program cannot make format {wanted} out of format {found}",
            hint="use the version of careledger that made the home, and upgrade from there",
            code="home-version",
        )
    lock = HomeLock(where)
    try:
        copy = copy_home(home, f"upgrading-{wanted}")
        try:
            for number in range(found, wanted):
                steps[number](copy, passphrase)
            prove_home(copy, passphrase)
            kept = swap_homes(home, copy, f"format-{found}")
        except BaseException:
            shutil.rmtree(copy, ignore_errors=True)
            raise
    except OSError as error:
        raise Unavailable(
            f"the home cannot be upgraded: {error.strerror}; it is as it was",
            hint="make room for a second copy of it",
        ) from error
    finally:
        lock.release()
    return {
        "upgraded": True,
        "format": wanted,
        "kept": str(kept),
        "message": f"delete {kept} when you are content",
    }


def _format_of(where: Layout) -> int:
    try:
        return layout.read_format(where.file.read_bytes())
    except OSError:
        where.read()  # says what is wrong
        raise


def copy_home(home: Path, suffix: str) -> Path:
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


def prove_home(copy: Path, passphrase: str) -> None:
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
        f"the upgraded copy is not sound, so the home was left as it is: {why}",
        hint="run fsck with the version of careledger that made the home",
        code="upgrade-refused",
    )


def swap_homes(home: Path, copy: Path, suffix: str) -> Path:
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
