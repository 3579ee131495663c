"""What a check hands upwards: where, which kind, words, hint. Paths are put together on the way up, only if needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

PROBLEMS_MAX = 100
"""Problems reported of one resource; a hostile one could have millions."""


class Problem(NamedTuple):
    """`path` continues the path of the value that was checked: `` or `[2].code` or `.coding[0].code`."""

    path: str
    code: str  # FHIR issue type: structure | required | value | code-invalid | invariant | too-long | …
    text: str
    hint: str = ""


Scope = dict[str, str] | None
"""id -> type of the contained resources in reach, '' -> type of their container; None: nothing is contained."""

Check = Callable[[Any, Scope], "list[Problem] | None"]
"""None if the value is well. Called for every element of every write: the good case allocates nothing."""


def one(code: str, text: str, hint: str = "", path: str = "") -> list[Problem]:
    """A single problem at the value itself, or at `path` below it."""
    return [Problem(path, code, text, hint)]


def added(problems: list[Problem] | None, step: str, found: list[Problem]) -> list[Problem]:
    """`problems` and what was `found` one step down."""
    if problems is None:
        problems = []
    room = PROBLEMS_MAX - len(problems)
    problems += [Problem(step + p.path, p.code, p.text, p.hint) for p in found[:room]]
    return problems
