"""Search parameters of a resource type, compiled from the definitions to closures over JSON; lazily, by type.

A *slot* is one path with one kind; parameters share slots (`code` and `combo-code`, `subject` and `patient`), so no
value is stored twice. A values blob holds the slots of one resource:

    version | n | n slot numbers | n ends (2 or 4 bytes, little-endian) | the slots' values

Slot numbers are part of the stored format: they follow the sorted expressions of R4, and a test pins them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any, Final

from careledger.fhir.definitions import definitions
from careledger.fhir.search.expressions import Alternative, Step, parse
from careledger.fhir.search.values import ENCODERS, KINDS, SYSTEMLESS, Encoder, nothing, truths
from careledger.primitives.errors import NotFound

NARROW: Final = 1
WIDE: Final = 0x81
_EMPTY: Final = bytes((NARROW, 0))
PATIENTS_SLOT: Final = 255
"""The patients' ids of a resource of several charts, joined by spaces."""

NOT_COMPILED: Final = frozenset({"_content", "_query", "_text", "near"})
"""Parameters without an expression, or `special`. Composites (type `composite`) are left out likewise."""

ERRATA: Final = frozenset({"http://hl7.org/fhir/SearchParameter/DeviceDefinition-classification"})
"""Published parameters whose expression names an element that R4 does not have: not supported."""

BY_ROW: Final = frozenset({"_id", "_lastUpdated"})
"""Answered from the row itself: no values are stored."""

Handler = tuple[int, str, Encoder]
"""A slot, the property below the first one where its path has just two ("" for others), and the encoder from there."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A compiled search parameter. `resolves` keeps references to that type only; `systemless` see values."""

    code: str
    kind: int
    slots: tuple[int, ...]
    url: str
    targets: tuple[str, ...] = ()
    resolves: str = ""
    systemless: bool = False


@dataclass(frozen=True, slots=True)
class _Path:
    """A way through JSON: properties, each with an optional filter (property = value) or index, to a data type."""

    properties: tuple[str, ...]
    filters: tuple[tuple[int, str, str], ...]  # (after how many properties, key, value)
    index: int  # first property only; -1: all
    leaf: str


@dataclass(frozen=True, slots=True)
class TypeSearch:
    """All that is compiled of one resource type."""

    type: str
    parameters: dict[str, Parameter]
    slots: tuple[str, ...]
    unsupported: frozenset[str]
    paths: tuple[tuple[_Path, ...], ...]
    _handlers: dict[str, tuple[Handler, ...]]
    _always: tuple[tuple[str, int], ...]

    def elements(self, resource: dict[str, Any], parameter: Parameter) -> list[Any]:
        """What the parameter finds in `resource`, as JSON: for includes, which need ids and not their hashes."""
        found: list[Any] = []
        for slot in parameter.slots:
            for path in self.paths[slot]:
                found += _elements(resource, path)
        return found

    def values(self, resource: dict[str, Any], base: str = "") -> dict[int, bytes]:
        """Slot -> values of everything in `resource` that a parameter finds, in the order in which it is found."""
        found: dict[int, bytes] = {}
        handlers = self._handlers
        for name, value in resource.items():
            for slot, inner, encode in handlers.get(name, ()):
                nodes = value
                if inner:
                    if value.__class__ is dict:
                        nodes = value.get(inner)
                        if nodes is None:
                            continue
                    else:
                        nodes = _children(value, inner) if value.__class__ is list else []
                data = encode(nodes if nodes.__class__ is list else (nodes,), base)
                if data:  # only a choice of types can fill a slot twice
                    found[slot] = found[slot] + data if slot in found else data
        for _, slot in self._always:
            if slot not in found:
                found[slot] = truths([False], base)
        return found


def pack(found: dict[int, bytes]) -> bytes:
    """The values blob of slot -> values."""
    if not found:
        return _EMPTY
    ends = list(accumulate(map(len, found.values())))
    count, form = len(ends), NARROW if ends[-1] < 65536 else WIDE
    return bytes((form, count, *found)) + _ends(form, count)(*ends) + b"".join(found.values())


@cache
def _ends(form: int, count: int) -> Callable[..., bytes]:
    """Writes the ends of `count` slots."""
    return struct.Struct(f"<{count}{'H' if form == NARROW else 'I'}").pack


def slot_values(blob: bytes, slot: int) -> bytes:
    """The values of one slot in a blob; empty if it has none."""
    return column_of((blob,), slot)[0]


def column_of(blobs: Sequence[bytes], slot: int) -> list[bytes]:
    """The values of one slot in each blob, empty where it has none. One loop: a chart has thousands."""
    found = []
    places: dict[bytes, _Place | None] = {}
    for blob in blobs:
        head = blob[: 2 + blob[1]] if blob else blob
        try:
            place = places[head]
        except KeyError:
            place = places[head] = _place(head, slot)
        if place is None:
            found.append(b"")
        else:
            bounds, at, data = place
            if at:
                start, end = bounds(blob, at)
                found.append(blob[data + start : data + end])
            else:
                found.append(blob[data : data + bounds(blob, len(head))[0]])
    return found


_Place = tuple[Callable[[bytes, int], tuple[int, ...]], int, int]
"""How the bounds of a slot are read: with what, from where (0: it is the first, and begins at 0), and counted from
which place."""


def _place(head: bytes, slot: int) -> _Place | None:
    """Where blobs that begin with `head` have their bounds of a slot; None if they do not have it."""
    at = head.find(slot, 2)
    if at < 0:
        return None
    width = 2 if head[0] == NARROW else 4
    data = len(head) + (len(head) - 2) * width
    if at == 2:
        return _BOUNDS[width][0], 0, data
    return _BOUNDS[width][1], len(head) + (at - 3) * width, data


def place_in(layout: bytes, slot: int) -> tuple[int, int] | None:
    """Where a blob that begins with this layout (its head and all its ends) holds a slot; None if it does not."""
    place = _place(layout[: 2 + layout[1]], slot) if layout else None
    if place is None:
        return None
    bounds, at, data = place
    start, end = bounds(layout, at) if at else (0, bounds(layout, 2 + layout[1])[0])
    return (data + start, data + end) if end > start else None


_BOUNDS: Final = {
    2: (struct.Struct("<H").unpack_from, struct.Struct("<HH").unpack_from),
    4: (struct.Struct("<I").unpack_from, struct.Struct("<II").unpack_from),
}
"""By the width of an end: what reads one, and what reads two."""


def is_shared(blob: bytes) -> bool:
    """Whether the resource stands in several charts: its last slot names their patients."""
    return len(blob) > 2 and PATIENTS_SLOT in blob[2 : 2 + blob[1]]


@cache
def search_of(type: str) -> TypeSearch:
    """The compiled search of a resource type. Raises NotFound for a type that R4 does not define."""
    slots: dict[str, tuple[int, list[Alternative]]] = {}
    wanted: list[tuple[str, int, str, tuple[str, ...], tuple[tuple[str, str], ...]]] = []
    unsupported = set()
    for code, definition in definitions().search_parameters(type).items():
        if definition.type not in KINDS or code in NOT_COMPILED or definition.url in ERRATA:
            unsupported.add(code)
            continue
        kind = KINDS[definition.type]
        uses = []
        for alternative in parse(definition.expression):
            if code in BY_ROW or alternative.type not in (type, "Resource", "DomainResource", ""):
                continue
            kept = tuple(step for step in alternative.steps if step.kind != "resolves")
            resolves = next((step.name for step in alternative.steps if step.kind == "resolves"), "")
            key = f"{kind} {_written(kept)}"
            slots.setdefault(key, (kind, []))[1].append(Alternative(type, kept))
            uses.append((key, resolves))
        wanted.append((code, kind, definition.url, tuple(definition.target), tuple(dict.fromkeys(uses))))
    order = tuple(sorted(slots))
    number = {key: position for position, key in enumerate(order)}
    paths = {key: _paths(type, slots[key][1][0]) for key in order}
    parameters = {
        code: Parameter(
            code,
            kind,
            tuple(number[key] for key, _ in uses),
            url,
            targets,
            next((resolves for _, resolves in uses if resolves), ""),
            bool(uses) and all(path.leaf in SYSTEMLESS for key, _ in uses for path in paths[key]),
        )
        for code, kind, url, targets, uses in wanted
    }
    handlers, always = _handlers(order, slots, paths)
    return TypeSearch(
        type, parameters, order, frozenset(unsupported), tuple(paths.values()), handlers, always
    )


def _written(steps: Sequence[Step]) -> str:
    return ".".join(
        f"{step.kind}:{step.name}={step.value}" if step.kind != "field" else step.name for step in steps
    )


def _paths(type: str, alternative: Alternative) -> tuple[_Path, ...]:
    """Every concrete JSON path of an alternative: a choice without a cast is several."""
    return tuple(_walk(type, alternative.steps, (), (), -1))


def _walk(
    type: str,
    steps: tuple[Step, ...],
    done: tuple[str, ...],
    filters: tuple[tuple[int, str, str], ...],
    index: int,
) -> Iterator[_Path]:
    if not steps:
        yield _Path(done, filters, index, type)
        return
    step, rest = steps[0], steps[1:]
    if step.kind == "where":
        yield from _walk(type, rest, done, (*filters, (len(done), step.name, step.value)), index)
    elif step.kind == "index":
        yield from _walk(type, rest, done, filters, int(step.name))
    elif step.kind == "exists":
        yield from _walk(type, rest, done, filters, index)
    elif step.kind == "cast":
        if type in (step.name, "Resource"):  # not a choice, or already narrowed
            yield from _walk(type, rest, done, filters, index)
    else:
        for element in definitions().type(type).properties(step.name):
            if rest and rest[0].kind == "cast" and element.choice and element.type != rest[0].name:
                continue
            yield from _walk(element.type, rest, (*done, element.property), filters, index)


def _handlers(
    order: tuple[str, ...],
    slots: dict[str, tuple[int, list[Alternative]]],
    paths: dict[str, tuple[_Path, ...]],
) -> tuple[dict[str, tuple[Handler, ...]], tuple[tuple[str, int], ...]]:
    by_property: dict[str, list[Handler]] = {}
    always = []
    for slot, key in enumerate(order):
        kind, alternatives = slots[key]
        truthy = alternatives[0].steps[-1].kind == "exists"
        if truthy:
            always.append((key, slot))
        if not paths[key]:
            raise NotFound(f"R4 has no element for a search parameter: {key}")
        for path in paths[key]:
            encode = truths if truthy else ENCODERS[kind].get(path.leaf)
            if encode is None:
                raise NotFound(f"No encoder of {path.leaf} for a search parameter: {key}")
            if encode is not nothing:
                by_property.setdefault(path.properties[0], []).append(_handler(slot, path, encode))
    return {name: tuple(listed) for name, listed in by_property.items()}, tuple(always)


def _handler(slot: int, path: _Path, encode: Encoder) -> Handler:
    """How the values of a slot are reached. Paths of one or two plain properties, nearly all, need no call."""
    plain = not path.filters and path.index < 0
    if plain and len(path.properties) == 1:
        return slot, "", encode
    if plain and len(path.properties) == 2:
        return slot, path.properties[1], encode
    return slot, "", _deep(path, encode)


def _deep(path: _Path, encode: Encoder) -> Encoder:
    """From the values of the path's first property, through filters and further properties, to those encoded."""
    by_depth: dict[int, tuple[str, str]] = {depth: (key, value) for depth, key, value in path.filters}
    index = path.index
    rest = path.properties[1:]

    def deep(nodes: Sequence[Any], base: str) -> bytes:
        if index >= 0:
            nodes = nodes[index : index + 1]
        nodes = _filtered(nodes, by_depth.get(1))
        for depth, name in enumerate(rest, 2):
            nodes = _filtered(_children(nodes, name), by_depth.get(depth))
            if not nodes:
                return b""
        return encode(nodes, base)

    return deep


def _elements(resource: dict[str, Any], path: _Path) -> Sequence[Any]:
    filters: dict[int, tuple[str, str]] = {depth: (key, value) for depth, key, value in path.filters}
    nodes: Sequence[Any] = [resource]
    for depth, name in enumerate(path.properties, 1):
        nodes = _children(nodes, name)
        if depth == 1 and path.index >= 0:
            nodes = nodes[path.index : path.index + 1]
        nodes = _filtered(nodes, filters.get(depth))
    return nodes


def _children(nodes: Sequence[Any], name: str) -> list[Any]:
    found: list[Any] = []
    for node in nodes:
        if node.__class__ is dict:
            value = node.get(name)
            if value.__class__ is list:
                found += value
            elif value is not None:
                found.append(value)
    return found


def _filtered(nodes: Sequence[Any], wanted: tuple[str, str] | None) -> Sequence[Any]:
    if wanted is None:
        return nodes
    key, value = wanted
    return [node for node in nodes if node.__class__ is dict and node.get(key) == value]
