"""The checker of histories explains what may be, and nothing else."""

from __future__ import annotations

import pytest

from tests.network.histories import (
    NEVER,
    Directive,
    Look,
    NotOneHistory,
    Operation,
    Read,
    Write,
    check_directive,
    check_versions,
)


def write(version: int, asked: float, answered: float = NEVER, outcome: bool | None = True) -> Write:
    return Write("a", version, asked, answered, outcome)


def read(version: int, asked: float, answered: float) -> Read:
    return Read("a", version, asked, answered)


EXPLAINED: tuple[tuple[Operation, ...], ...] = (
    (),
    (read(0, 0, 1), write(1, 0, 3), read(1, 2, 4), write(2, 3, 5), read(2, 6, 7)),
    (write(1, 0, 9), read(1, 1, 2), read(0, 0, 3)),
    (write(1, 0, 1), write(2, 2, outcome=None), read(1, 3, 4), read(2, 50, 51)),
    (write(1, 0, 1), write(2, 2, outcome=None), read(1, 50, 51)),
    (write(1, 0, 1), write(2, 2, 5), write(2, 3, 4, outcome=False)),
    (write(1, 0, 4), write(1, 1, 2, outcome=False)),
    (write(1, 0, 1), write(3, 2, 3, outcome=False), write(2, 4, 5)),
)
CONTRADICTIONS: dict[str, tuple[Operation, ...]] = {
    "an acknowledged write is lost": (write(1, 0, 1), read(0, 2, 3)),
    "a stale read": (write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)),
    "read before it was written": (read(1, 0, 1), write(1, 2, 3)),
    "back and forth": (write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)),
    "back and forth with an unknown write": (write(1, 0, 1), write(2, 0, outcome=None), read(2, 2, 3), read(1, 4, 5)),
    "two wrote the same version": (write(1, 0, 1), write(1, 0, 1)),
    "from nowhere": (write(1, 0, 1), read(2, 2, 3)),
    "refused without a reason": (write(1, 0, 1), write(2, 2, 3, outcome=False), write(2, 4, 5)),
}  # fmt: skip


@pytest.mark.parametrize("operations", EXPLAINED)
def test_what_may_be_is_explained(operations: tuple[Operation, ...]) -> None:
    check_versions(operations)


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_what_cannot_be_is_found(what: str) -> None:
    with pytest.raises(NotOneHistory):
        check_versions(CONTRADICTIONS[what])


def test_nobody_is_answered_without_a_directive() -> None:
    directive = Directive((2, 4), (8, 10))
    fine = [Look(0, 1, False), Look(1, 3, True), Look(5, 6, True), Look(9, 9.5, True), Look(11, 12, False)]
    check_directive(directive, fine)
    for wrong in (Look(0, 1, True), Look(11, 12, True)):
        with pytest.raises(NotOneHistory):
            check_directive(directive, [*fine, wrong])
    with pytest.raises(NotOneHistory):
        check_directive(directive, [Look(8.1, 8.2, False), Look(8.5, 8.6, True)])
