"""A search request, parsed: name and value pairs of a URL or form to one typed Query, or a refusal.

Unknown parameters are refused under strict handling, else left out, of the `self` link too. Modifiers, chains and
`_has` that are not there yet are refused always: to leave a filter out would show more than was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from careledger.fhir.definitions import definitions
from careledger.fhir.search.compile import Parameter, TypeSearch, search_of
from careledger.fhir.search.conditions import Condition, SortKey, Value
from careledger.fhir.search.ordering import SORTABLE
from careledger.fhir.search.parsing import bad_value, date_value, is_id, split, unescape, value_of
from careledger.fhir.search.values import DATE, REFERENCE, STRING, TOKEN
from careledger.primitives.errors import Invalid

PAGE: Final = 50
PAGE_MAX: Final = 1_000
PARAMETERS_MAX: Final = 64
ALTERNATIVES_MAX: Final = 1_000
VALUE_MAX: Final = 65_536
"""Characters of one value, all alternatives together."""
SORT_MAX: Final = 4
INCLUDES_MAX: Final = 16

CURSOR: Final = "_cursor"
SUMMARIES: Final = frozenset({"true", "text", "data", "count", "false"})
TOTALS: Final = frozenset({"none", "estimate", "accurate"})
_IGNORED: Final = frozenset({"_format", "_pretty"})
_MODIFIERS: Final[dict[int, frozenset[str]]] = {
    TOKEN: frozenset({"not"}),
    STRING: frozenset({"exact", "contains"}),
    REFERENCE: frozenset({"identifier"}),
}


@dataclass(frozen=True, slots=True)
class Include:
    """`_include` or `_revinclude`: `source` resources refer by `parameters` to `target` ("" is any type)."""

    source: str
    parameters: tuple[Parameter, ...]
    target: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked. `applied` are the pairs that counted, for the `self` link, without the cursor."""

    type: str
    conditions: tuple[Condition, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int = PAGE
    count_only: bool = False
    summary: str = ""
    total: str = ""
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    revincludes: tuple[Include, ...] = ()
    cursor: str = ""
    applied: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Draft:
    type: str
    search: TypeSearch
    strict: bool
    now_ms: int
    base: str
    count: int
    count_max: int
    conditions: list[Condition] = field(default_factory=list)
    sort: tuple[SortKey, ...] = ()
    count_only: bool = False
    summary: str = ""
    total: str = ""
    elements: tuple[str, ...] = ()
    includes: list[Include] = field(default_factory=list)
    revincludes: list[Include] = field(default_factory=list)
    cursor: str = ""
    applied: list[tuple[str, str]] = field(default_factory=list)


def parse(
    type: str,
    pairs: Sequence[tuple[str, str]],
    *,
    strict: bool = False,
    now_ms: int = 0,
    base: str = "",
    count: int = PAGE,
    count_max: int = PAGE_MAX,
) -> Query:
    """The query. `now_ms` is for `ap` on dates, `base` the own FHIR base without a trailing slash.

    Raises Invalid (400) for what cannot be read or is not supported or over the limits, NotFound for a type
    that R4 does not define. No message repeats a value.
    """
    if len(pairs) > PARAMETERS_MAX:
        raise _too_costly(f"A search has at most {PARAMETERS_MAX} parameters.", "Send several searches.")
    draft = _Draft(type, search_of(type), strict, now_ms, base, count, count_max)
    for place, (name, value) in enumerate(pairs, 1):
        if len(value) > VALUE_MAX:
            raise _too_costly("A search value is too long.", f"Send at most {VALUE_MAX} characters.")
        _take(draft, place, name, value)
    return Query(
        type,
        tuple(draft.conditions),
        draft.sort,
        draft.count,
        draft.count_only or draft.summary == "count" or draft.count == 0,
        draft.summary,
        draft.total,
        draft.elements,
        tuple(draft.includes),
        tuple(draft.revincludes),
        draft.cursor,
        tuple(draft.applied),
    )


def _take(draft: _Draft, place: int, name: str, value: str) -> None:
    if name in _IGNORED:
        draft.applied.append((name, value))
        return
    if not value:
        if draft.strict:
            raise Invalid(
                f"Parameter {place} of the search has no value.", hint="Leave it out.", code="value"
            )
        return
    if name[:1] == "_":
        control = _CONTROLS.get(name.partition(":")[0])
        if control is not None:
            control(draft, name.partition(":")[2], value)
            return
    code, _, modifier = name.partition(":")
    if "." in name or code == "_has":
        raise _unsupported("Chained parameters and _has are not supported.", "Search in two steps.")
    if code in ("_id", "_lastUpdated"):
        condition: Condition | None = _row_condition(draft, code, modifier, value)
    else:
        condition = _condition(draft, place, code, modifier, value)
    if condition is not None:
        draft.conditions.append(condition)
        draft.applied.append((name, value))


def _condition(draft: _Draft, place: int, code: str, modifier: str, value: str) -> Condition | None:
    parameter = draft.search.parameters.get(code)
    if parameter is None:
        if draft.strict:
            known = code in draft.search.unsupported
            text = f"The parameter {code}" if known else f"Parameter {place} of the search"
            raise _unsupported(f"{text} is not supported for {draft.type}.", "See metadata.")
        return None
    if modifier == "missing":
        return Condition(code, parameter.kind, (), modifier, parameter, _boolean(code, value))
    if modifier and modifier not in _MODIFIERS.get(parameter.kind, ()):
        if parameter.kind != REFERENCE or not definitions().is_resource_type(modifier):
            raise _unsupported(f"That modifier is not supported for the parameter {code}.", "See metadata.")
    values: list[Value] = []
    for text in _alternatives(code, value):
        values.append(value_of(parameter, modifier, text, draft.now_ms, draft.base))
    return Condition(code, parameter.kind, tuple(values), modifier, parameter)


def _row_condition(draft: _Draft, code: str, modifier: str, value: str) -> Condition:
    if modifier == "missing":
        return Condition(code, TOKEN, (), modifier, None, _boolean(code, value))
    if modifier and not (code == "_id" and modifier == "not"):
        raise _unsupported(f"That modifier is not supported for the parameter {code}.", "See metadata.")
    texts = _alternatives(code, value)
    if code == "_lastUpdated":
        return Condition(code, DATE, tuple(date_value(code, text, draft.now_ms) for text in texts))
    ids = tuple(dict.fromkeys(unescape(text) for text in texts))
    if not all(is_id(id) for id in ids):
        raise bad_value(code, "an id", "Ids have 1 to 64 letters, digits, - and .")
    return Condition(code, TOKEN, ids, modifier)


def _alternatives(code: str, value: str) -> list[str]:
    texts = split(value, ",")
    if len(texts) > ALTERNATIVES_MAX:
        raise _too_costly(f"The parameter {code} has more than {ALTERNATIVES_MAX} alternatives.")
    found = [text for text in texts if text]
    if not found:
        raise bad_value(code, "there")
    return found


def _boolean(code: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise bad_value(code + ":missing", "true or false")
    return value == "true"


def _unsupported(message: str, hint: str) -> Invalid:
    return Invalid(message, hint=hint, code="not-supported")


def _too_costly(message: str, hint: str = "Ask for less at a time.") -> Invalid:
    return Invalid(message, hint=hint, code="too-costly")


# what shapes the answer


def _plain(name: str, modifier: str) -> None:
    if modifier:
        raise _unsupported(f"{name} has no such modifier.", "See metadata.")


def _take_count(draft: _Draft, modifier: str, value: str) -> None:
    _plain("_count", modifier)
    if not (value.isascii() and value.isdigit()):
        raise bad_value("_count", "a whole number", "Write 50.")
    digits = value.lstrip("0")
    draft.count = min(int(digits or "0"), draft.count_max) if len(digits) < 10 else draft.count_max
    draft.applied.append(("_count", str(draft.count)))


def _take_sort(draft: _Draft, modifier: str, value: str) -> None:
    _plain("_sort", modifier)
    keys = []
    for text in value.split(","):
        descending = text.startswith("-")
        code = text[1:] if descending else text
        parameter = draft.search.parameters.get(code)
        if code in ("_id", "_lastUpdated"):
            keys.append(SortKey(code, descending))
        elif parameter is not None and parameter.kind in SORTABLE:
            keys.append(SortKey(code, descending, parameter))
        elif draft.strict or parameter is not None:
            raise _unsupported(
                "_sort takes string, date, number and quantity parameters.", "Sort by another."
            )
    if len(keys) > SORT_MAX:
        raise _too_costly(f"_sort takes at most {SORT_MAX} parameters.")
    if keys:
        draft.sort = tuple(keys)
        written = ",".join(("-" if key.descending else "") + key.code for key in keys)
        draft.applied.append(("_sort", written))


def _take_summary(draft: _Draft, modifier: str, value: str) -> None:
    _plain("_summary", modifier)
    if value not in SUMMARIES:
        raise bad_value("_summary", "one of " + ", ".join(sorted(SUMMARIES)))
    draft.summary = value
    draft.applied.append(("_summary", value))


def _take_total(draft: _Draft, modifier: str, value: str) -> None:
    _plain("_total", modifier)
    if value not in TOTALS:
        raise bad_value("_total", "one of " + ", ".join(sorted(TOTALS)))
    draft.total = value
    draft.applied.append(("_total", value))


def _take_elements(draft: _Draft, modifier: str, value: str) -> None:
    _plain("_elements", modifier)
    names = tuple(dict.fromkeys(name for name in value.split(",") if name))
    if len(names) > 200 or not all(name.replace("_", "").isalnum() and name.isascii() for name in names):
        raise bad_value("_elements", "a list of element names")
    draft.elements = names
    draft.applied.append(("_elements", value))


def _take_cursor(draft: _Draft, modifier: str, value: str) -> None:
    _plain(CURSOR, modifier)
    draft.cursor = value


def _take_include(draft: _Draft, modifier: str, value: str) -> None:
    source = value.split(":")[0]
    draft.includes.append(_include("_include", modifier, value, draft.type))
    if source not in ("*", draft.type):
        raise _unsupported(
            "_include starts from the type that is searched.", f"Write {draft.type}:parameter."
        )
    _included(draft, "_include", value)


def _take_revinclude(draft: _Draft, modifier: str, value: str) -> None:
    include = _include("_revinclude", modifier, value, "")
    if include.target not in ("", draft.type):
        raise _unsupported("_revinclude ends at the type that is searched.", "Leave the target out.")
    draft.revincludes.append(include)
    _included(draft, "_revinclude", value)


def _included(draft: _Draft, name: str, value: str) -> None:
    if len(draft.includes) + len(draft.revincludes) > INCLUDES_MAX:
        raise _too_costly(f"A search has at most {INCLUDES_MAX} includes.")
    draft.applied.append((name, value))


def _include(name: str, modifier: str, value: str, type: str) -> Include:
    """`Type:parameter[:Target]`; `*` and `Type:*` mean every reference parameter."""
    if modifier:
        raise _unsupported(f"{name}:iterate is not supported.", "Follow the references in a second search.")
    if value == "*" and type:
        return Include(type, _reference_parameters(type))
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    known = definitions().is_resource_type
    if not known(source) or not code or (target and not known(target)):
        raise bad_value(
            name, "of the form Type:parameter or Type:parameter:Target", "See searchInclude in metadata."
        )
    if code == "*":
        return Include(source, _reference_parameters(source), target)
    parameter = search_of(source).parameters.get(code)
    if parameter is None or parameter.kind != REFERENCE:
        raise bad_value(name, "a reference parameter of its type", "See searchInclude in metadata.")
    return Include(source, (parameter,), target)


def _reference_parameters(type: str) -> tuple[Parameter, ...]:
    return tuple(found for found in search_of(type).parameters.values() if found.kind == REFERENCE)


_CONTROLS: Final = {
    "_count": _take_count,
    "_sort": _take_sort,
    "_summary": _take_summary,
    "_total": _take_total,
    "_elements": _take_elements,
    "_include": _take_include,
    "_revinclude": _take_revinclude,
    CURSOR: _take_cursor,
}
