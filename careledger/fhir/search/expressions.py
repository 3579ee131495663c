"""The FHIRPath that R4 search parameters use, parsed: paths, casts, `where(k='v')`, `where(resolve() is T)`, `[n]`.

No FHIRPath library: all 1,772 published alternatives are of these forms, and a test says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from careledger.primitives.errors import Invalid


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path. `kind` is field, cast, where (name = value), resolves, index, or exists."""

    kind: str
    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the expressions joined by `|`: the type it starts from ("" if it is not said), and its steps."""

    type: str
    steps: tuple[Step, ...]


_TRUTHY = re.compile(r"(\w+(?:\.\w+)*)\.exists\(\) and \1 != false")
_STEP = re.compile(
    r"""\.?(?:
        (?P<cast>(?:ofType|as)\((?P<cast_type>\w+)\))
      | (?P<resolves>where\(\s*resolve\(\)\s+is\s+(?P<resolves_type>\w+)\s*\))
      | (?P<where>where\(\s*(?P<key>\w+)\s*=\s*'(?P<value>[^']*)'\s*\))
      | \[(?P<index>\d+)\]
      | (?P<field>\w+)
      | (?P<infix>\s+as\s+(?P<infix_type>\w+))
    )""",
    re.VERBOSE,
)


def parse(expression: str) -> tuple[Alternative, ...]:
    """The alternatives of `expression`. Raises Invalid for FHIRPath beyond the forms named above."""
    return tuple(_parse_alternative(text) for text in _split(expression))


def _split(expression: str) -> list[str]:
    parts, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(expression):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            parts.append(expression[start:position])
            start = position + 1
    parts.append(expression[start:])
    return [part.strip() for part in parts]


def _without_groups(text: str) -> str:
    """Drop parentheses that only group: those that do not follow a function's name."""
    kept: list[str] = []
    dropped: list[bool] = []
    for character in text:
        if character == "(":
            dropped.append(not kept or not (kept[-1].isalnum() or kept[-1] == "_"))
            if dropped[-1]:
                continue
        elif character == ")" and dropped and dropped.pop():
            continue
        kept.append(character)
    return "".join(kept).strip()


def _parse_alternative(text: str) -> Alternative:
    text = _without_groups(text)
    truthy = _TRUTHY.fullmatch(text)
    if truthy:
        text = truthy.group(1)
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None or match.end() == position:
            raise Invalid("A search parameter uses FHIRPath that is not supported.", hint=text)
        steps.append(_step(match))
        position = match.end()
    if not steps or steps[0].kind != "field":
        raise Invalid("A search parameter does not start from a type.", hint=text)
    tail = (Step("exists"),) if truthy else ()
    if steps[0].name[0].islower():  # InsurancePlan's `name | alias` leave their type out
        return Alternative("", (*steps, *tail))
    return Alternative(steps[0].name, (*steps[1:], *tail))


def _step(match: re.Match[str]) -> Step:
    if match["cast"] or match["infix"]:
        return Step("cast", match["cast_type"] or match["infix_type"])
    if match["resolves"]:
        return Step("resolves", match["resolves_type"])
    if match["where"]:
        return Step("where", match["key"], match["value"])
    if match["index"] is not None:
        return Step("index", match["index"])
    return Step("field", match["field"])
