"""Strict JSON: what is refused and how fast, and that numbers and everything else survive the way in and out."""

from __future__ import annotations

import contextlib
import json as plain_json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.fhir import json
from careledger.primitives.errors import Invalid

MANY = 10**6

BOMBS: dict[str, tuple[bytes, str]] = {
    "arrays 10^6 deep": (b"[" * MANY, "nested-too-deep"),
    "objects 10^6 deep": (b'{"a":' * MANY, "nested-too-deep"),
    "closed, 10^6 deep": (b'{"a":' + b"[" * MANY + b"]" * MANY + b"}", "nested-too-deep"),
    "101 deep": (b'{"a":' * 101 + b"1" + b"}" * 101, "nested-too-deep"),
    "10^6 keys": (b"{" + b",".join(b'"k%d":1' % i for i in range(MANY)) + b"}", "too-many-properties"),
    "10^6 equal keys": (b"{" + b'"k":1,' * MANY + b'"k":1}', "too-many-properties"),
    "5,000-digit integer": (b'{"a":' + b"7" * 5000 + b"}", "number-too-long"),
    "5,000-digit decimal": (b'{"a":0.' + b"7" * 5000 + b"}", "number-too-long"),
    "41 digits": (b'{"a":' + b"7" * 41 + b"}", "number-too-long"),
    "decimal of 41 digits": (b'{"a":1.' + b"7" * 40 + b"}", "number-too-long"),
    "many integers of 4,000 digits": (b'{"a":[' + (b"9" * 4000 + b",") * 2000 + b"1]}", "number-too-long"),
    "1e400": (b'{"a":1e400}', "number-too-long"),
    "1e-400": (b'{"a":1e-400}', "number-too-long"),
    "0e99999999999": (b'{"a":0e99999999999}', "number-too-long"),
    "NaN": (b'{"a":NaN}', "malformed-json"),
    "Infinity": (b'{"a":-Infinity}', "malformed-json"),
    "leading zero": (b'{"a":01}', "malformed-json"),
    "plus": (b'{"a":+1}', "malformed-json"),
    "bare point": (b'{"a":1.}', "malformed-json"),
    "byte order mark": (b"\xef\xbb\xbf{}", "malformed-json"),
    "UTF-16": ("{}".encode("utf-16"), "malformed-json"),
    "lone high surrogate": (b'{"a":"\\ud800"}', "malformed-json"),
    "lone low surrogate": (b'{"a":"\\udc00x"}', "malformed-json"),
    "surrogate in a key": (b'{"\\ud800":1}', "malformed-json"),
    "surrogate as bytes": (b'{"a":"\xed\xa0\x80"}', "not-utf8"),
    "Latin-1": (b'{"a":"\xe9"}', "not-utf8"),
    "control character": (b'{"a":"\x01"}', "malformed-json"),
    "single quotes": (b"{'a':1}", "malformed-json"),
    "comment": (b'{/**/"a":1}', "malformed-json"),
    "trailing comma": (b'{"a":1,}', "malformed-json"),
    "trailing bytes": (b"{} {}", "malformed-json"),
    "nothing": (b"", "malformed-json"),
    "cut": (b'{"a":"', "malformed-json"),
    "array": (b"[]", "not-an-object"),
    "string": (b'"x"', "not-an-object"),
    "null": (b'{"a":null}', "null-value"),
    "array of null": (b'{"a":[null,null]}', "null-value"),
    "twice": (b'{"a":1,"a":1}', "duplicate-property"),
    "twice, below": (b'{"x":[{"a":1,"b":[],"a":2}]}', "duplicate-property"),
    "twice, one escaped": (b'{"a":"x","\\u0061":"x"}', "duplicate-property"),
    "twice, quotes made up by escapes": (b'{"a":1,"a":1,"b":"\\u0022\\u0022"}', "duplicate-property"),
    "twice, pretty": (b'{\n  "a": 1,\n  "a": 1\n}', "duplicate-property"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_refused_quickly_and_without_an_echo(name):
    data, code = BOMBS[name]
    started = time.process_time()
    with pytest.raises(Invalid) as caught:
        json.loads(data)
    assert time.process_time() - started < 0.25
    assert caught.value.code == code
    assert caught.value.hint
    assert len(caught.value.message) < 120


def test_an_error_names_its_place_and_no_content():
    with pytest.raises(Invalid) as caught:
        json.loads(b'{\n "family": "Brontesque",\n "given": Arthurine\n}')
    assert "line 3, column 11" in caught.value.message
    assert "Arthurine" not in repr(vars(caught.value))
    assert "Brontesque" not in repr(vars(caught.value))


NUMBERS = (
    "72.50",
    "0.0000001",
    "1e3",
    "1E+3",
    "-0",
    "-0.0",
    "0",
    "100",
    "1.0E-5",
    "2147483648",
    "1" * 40,
    "0." + "0" * 39 + "1",
)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("form", ['{"a":%s}', '{"a":[%s,1]}', '{ "a" : %s }'])
def test_numbers_leave_as_they_came(number, form):
    value = json.loads((form % number).encode())
    assert json.dumps(value) == (form % number).replace(" ", "").encode()
    found = value["a"][0] if isinstance(value["a"], list) else value["a"]
    assert found == Decimal(number)


def test_escapes_and_white_space_change_nothing():
    data = b' { "a" : "\\u00e9\\/\\u0022\\n", "b":"\\ud83d\\ude00" } \n'
    assert json.loads(data) == {"a": 'é/"\n', "b": "😀"}


@st.composite
def renderings(draw: Any, value: Any) -> str:
    """`value` (objects as lists of pairs in a tuple) as JSON text with white space and escapes of any kind."""
    space = draw(st.sampled_from(["", "", " ", "\n\t"]))
    if isinstance(value, tuple):
        pairs = [f"{draw(renderings(k))}{space}:{draw(renderings(v))}" for k, v in value]
        return "{" + space + ",".join(pairs) + "}" + space
    if isinstance(value, list):
        return "[" + (space + ",").join(draw(renderings(v)) for v in value) + "]"
    if isinstance(value, str):
        style = draw(st.sampled_from(["plain", "ascii", "all"]))
        if style == "all":
            return '"' + "".join(f"\\u{unit:04x}" for unit in utf16_units(value)) + '"'
        return plain_json.dumps(value, ensure_ascii=style == "ascii")
    return value.text if isinstance(value, Text) else plain_json.dumps(value)


def utf16_units(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


class Text:
    """A number by its text."""

    def __init__(self, text: str) -> None:
        self.text = text


SHORT = st.text(st.sampled_from('ab"\\u0é😀 -,:{}[]'), max_size=4)
LEAVES = SHORT | st.booleans() | st.sampled_from([Text(n) for n in NUMBERS])
TREES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.lists(st.tuples(SHORT, below), max_size=4).map(tuple),
    max_leaves=12,
)


def repeats(value: Any) -> bool:
    """Whether an object in the tree has a name twice."""
    if isinstance(value, tuple):
        names = [name for name, _ in value]
        return len(names) != len(set(names)) or any(repeats(item) for _, item in value)
    return isinstance(value, list) and any(map(repeats, value))


def compact(value: Any) -> str:
    """The tree in the form that `dumps` gives."""
    if isinstance(value, tuple):
        return "{" + ",".join(f"{compact(k)}:{compact(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return value.text if isinstance(value, Text) else plain_json.dumps(value, ensure_ascii=False)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(st.tuples(SHORT, TREES), max_size=4).map(tuple))
def test_every_repeated_property_is_seen_and_all_else_survives(data, tree):
    text = data.draw(renderings(tree)).encode()
    if repeats(tree):
        with pytest.raises(Invalid):
            json.loads(text)
    else:
        assert json.dumps(json.loads(text)).decode() == compact(tree)


def test_a_hundred_levels_are_read_whatever_the_strings_hold():
    inner = b'"]]}}\\"{[\\\\","}",""'
    assert json.loads(b'{"a":' + b"[" * 99 + inner + b"]" * 99 + b"}")
    with pytest.raises(Invalid):
        json.loads(b'{"a":' + b"[" * 100 + inner + b"]" * 100 + b"}")


@settings(max_examples=200, deadline=None)
@given(st.data(), TREES.map(lambda tree: (("a", tree),)), st.integers(1, 6))
def test_depth_is_counted_exactly(data, tree, limit):
    text = data.draw(renderings(tree)).encode()
    before, json.DEPTH_MAX = json.DEPTH_MAX, limit
    try:
        assert json._is_too_deep(text) == (depth(tree) > limit)
    finally:
        json.DEPTH_MAX = before


def depth(value: Any) -> int:
    if isinstance(value, tuple):
        return 1 + max((depth(item) for _, item in value), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def test_canonical_form():
    received = json.loads(
        b'{"meta":{"tag":[{"code":"x"}],"versionId":"9","lastUpdated":"2000-01-01T00:00:00Z"},"id":"other",'
        b'"status":"final","resourceType":"Observation","valueQuantity":{"value":72.50}}'
    )
    assert json.canonical(received, "a.1", 3, 1_767_323_045_678) == (
        b'{"resourceType":"Observation","id":"a.1","meta":{"versionId":"3","lastUpdated":"2026-01-02T03:04:05.678Z",'
        b'"tag":[{"code":"x"}]},"status":"final","valueQuantity":{"value":72.50}}'
    )
    assert json.canonical({"resourceType": "Patient"}, "b", 1, 0) == (
        b'{"resourceType":"Patient","id":"b","meta":{"versionId":"1","lastUpdated":"1970-01-01T00:00:00.000Z"}}'
    )


@pytest.mark.parametrize("before", range(16))
def test_a_long_integer_is_seen_wherever_it_stands(before: int) -> None:
    for digits, refused in ((40, False), (41, True)):
        data = b'{"' + b"x" * before + b'":' + b"7" * digits + b"}"
        with pytest.raises(Invalid) if refused else contextlib.nullcontext():
            json.loads(data)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'{"resourceType":"Patient",\n "id":"a","id":"b"}', "line 2, column 11"),
        (b'{"a":1,"\\u0061":2}', "line 1, column 8"),
        (b'{"a":[null,1],"x":{"b":null}}', "line 1, column 24"),
        (b'{"a":' + b"1" * 5000 + b"}", "line 1, column 6"),
        (b'{"text":"null: \\" 1' + b"1" * 50 + b'","a":0.' + b"1" * 60 + b"}", "line 1, column 76"),
        (b'{"a":' + b"[" * 1_000_000, "line 1, column 105"),
        (b"{" + b",".join(b'"k%d":1' % at for at in range(100_000)) + b"}", "line 1, column 8892"),
    ],
    ids=["twice", "twice by an escape", "null", "digits", "digits behind text", "deep", "properties"],
)
def test_a_refusal_names_the_place(data, place):
    with pytest.raises(Invalid) as refused:
        json.loads(data)
    assert refused.value.message.endswith(place)
