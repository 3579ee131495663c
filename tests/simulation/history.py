"""What clients saw, and whether one history explains it: Wing and Gong's search, key by key.

Keys are independent, so each is searched alone. An operation whose outcome nobody knows may have happened at any time
after it was asked for, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.simulation.world import Violation

NEVER: Final = float("inf")
UNKNOWN: Final = "unknown"

ABSENT, ACTIVE, REVOKED, WITHDRAWN = "absent", "active", "revoked", "withdrawn"


@dataclass(frozen=True, slots=True)
class Operation:
    """`outcome` is "ok", "refused", a value read, or UNKNOWN."""

    key: str
    kind: str
    argument: int
    outcome: str | int
    asked_s: float
    answered_s: float
    who: str


Step = Callable[[str | int, Operation], "str | int | None"]
"""The state after an operation, or None if the state before it does not explain its outcome."""


def step_directive(state: str | int, one: Operation) -> str | int | None:
    """A directive: granted once, revoked for ever; a revocation may come first."""
    if one.kind == "read":
        seen = ABSENT if state == WITHDRAWN else state
        return state if seen == one.outcome else None
    if one.kind == "grant":
        works, after = state == ABSENT, ACTIVE
    else:
        works, after = state in (ABSENT, ACTIVE), REVOKED if state == ACTIVE else WITHDRAWN
    if one.outcome == "refused":
        return None if works else state
    return after if works else state if one.outcome == UNKNOWN else None


def step_resource(state: str | int, one: Operation) -> str | int | None:
    """A resource: version n+1 is written on version n."""
    if one.kind == "read":
        return state if state == one.outcome else None
    works = state == one.argument
    if one.outcome == "refused":
        return None if works else state
    return one.argument + 1 if works else state if one.outcome == UNKNOWN else None


def check_history(operations: Sequence[Operation], first: str | int, step: Step) -> None:
    """Raises Violation unless some order, which keeps to who was answered before whom, explains every outcome."""
    ordered = sorted(operations, key=lambda one: (one.asked_s, one.answered_s))
    tried: set[tuple[int, str | int]] = set()
    stack: list[tuple[int, str | int]] = [((1 << len(ordered)) - 1, first)]
    optional = sum(1 << at for at, one in enumerate(ordered) if one.outcome == UNKNOWN)
    while stack:
        left, state = stack.pop()
        if left & ~optional == 0:
            return
        if (left, state) in tried:
            continue
        tried.add((left, state))
        waiting = [at for at in range(len(ordered)) if left >> at & 1]
        first_answer = min(ordered[at].answered_s for at in waiting)
        for at in waiting:
            if ordered[at].asked_s > first_answer:
                break
            after = step(state, ordered[at])
            if after is not None:
                stack.append((left & ~(1 << at), after))
    lines = "\n".join(f"  {one}" for one in ordered)
    raise Violation(f"no one history explains what clients saw of {ordered[0].key}:\n{lines}")
