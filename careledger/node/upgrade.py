"""A home of an older format is brought up to date on a copy; the old one stays until the new one passed fsck, and after.

`STEPS` is the literal table: from format n, what makes a home of format n + 1 out of the copy. There is one format so
far, so the table is empty and `upgrade` says that there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from careledger.node import layout
from careledger.node.layout import Layout
from careledger.node.replacing import Names, replace_home
from careledger.primitives.errors import Misconfigured

Step = Callable[[Path, str], None]
"""Changes a copied home in place; gets its folder and the passphrase. `home.json` must say the next format then."""

STEPS: Mapping[int, Step] = MappingProxyType({})


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

    def step_up(copy: Path) -> None:
        for number in range(found, wanted):
            steps[number](copy, passphrase)

    kept = replace_home(
        home, passphrase, Names(f"upgrading-{wanted}", f"format-{found}", "upgraded"), step_up
    ).kept
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
