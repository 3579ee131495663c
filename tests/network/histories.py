"""Does one history explain what clients saw? Of a chart's versions, and of a directive.

Versions are numbered one after the other and each is written on the one before it, so the order of the writes is
known and only their moments are sought: the earliest that everything before allows. That takes no search. An
operation whose outcome nobody knows may have happened at any time after it was asked for, or never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NEVER: Final = float("inf")


class NotOneHistory(AssertionError):
    """What clients saw contradicts itself."""


@dataclass(frozen=True, slots=True)
class Write:
    """Of version `version` on the one before it. `outcome`: True, False (refused: another was there), or not known."""

    key: str
    version: int
    asked: float
    answered: float
    outcome: bool | None


@dataclass(frozen=True, slots=True)
class Read:
    """`version` was there; 0 is: nothing."""

    key: str
    version: int
    asked: float
    answered: float


Operation = Write | Read


def check_versions(operations: Sequence[Operation]) -> None:
    """Of one chart, which did not exist at first. Raises NotOneHistory with the operations that contradict."""
    reads = [one for one in operations if isinstance(one, Read)]
    writes = [one for one in operations if isinstance(one, Write)]
    done = [one for one in writes if one.outcome]
    highest = max([one.version for one in (*reads, *done)], default=0)
    moments = {0: -NEVER}
    for version in range(1, highest + 1):
        write = _find_write(version, writes)
        before = [one.asked for one in reads if one.version == version - 1]
        moments[version] = max([write.asked, moments[version - 1], *before])
        late = [one for one in reads if one.version == version and one.answered < moments[version]]
        if late or moments[version] > write.answered:
            raise NotOneHistory(
                f"version {version} of {write.key} came too early or too late: {write} {late}"
            )
    moments[highest + 1] = NEVER
    for one in writes:
        if one.outcome is False and one.version <= highest + 1:
            _check_refused(one, moments, writes)


def _find_write(version: int, writes: Sequence[Write]) -> Write:
    """That made this version: the one that was told so, or the first of unknown outcome that may have."""
    mine = [one for one in writes if one.version == version]
    told = [one for one in mine if one.outcome]
    if len(told) > 1:
        raise NotOneHistory(f"two clients were told that they wrote version {version}: {told}")
    unknown = sorted((one for one in mine if one.outcome is None), key=lambda one: one.asked)
    if not told and not unknown:
        raise NotOneHistory(f"version {version} was written by nobody")
    return (told or unknown)[0]


def _check_refused(one: Write, moments: dict[int, float], writes: Sequence[Write]) -> None:
    """It was not on the version that was there. False alarms are worse than one that is missed: bounds are wide."""
    if one.version == 1:
        came_after = False
    else:
        came_after = _find_write(one.version - 1, writes).answered >= one.asked
    if not came_after and moments.get(one.version, NEVER) > one.answered:
        raise NotOneHistory(f"refused though the version before it was there all the time: {one}")


@dataclass(frozen=True, slots=True)
class Look:
    """Whether somebody who needs a directive was answered."""

    asked: float
    answered: float
    permitted: bool


@dataclass(frozen=True, slots=True)
class Directive:
    """When it was granted and revoked: asked for, and answered. What was never answered has NEVER."""

    granted: tuple[float, float]
    revoked: tuple[float, float] = (NEVER, NEVER)


def check_directive(directive: Directive, looks: Sequence[Look]) -> None:
    """Nobody was answered before it was granted or after it was revoked; and looks do not go back and forth."""
    for look in looks:
        if look.permitted and (look.answered < directive.granted[0] or look.asked > directive.revoked[1]):
            raise NotOneHistory(f"answered without a directive: {look} {directive}")
    ordered = sorted(looks, key=lambda look: look.asked)
    revoked = [look for look in ordered if not look.permitted and look.asked > directive.granted[1]]
    for refused in revoked:
        again = [look for look in ordered if look.permitted and look.asked > refused.answered]
        if again and refused.answered > directive.revoked[0]:
            raise NotOneHistory(f"refused, then answered again: {refused} {again[0]} {directive}")
