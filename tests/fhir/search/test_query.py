"""What a search request may say, and every way it is refused."""

from __future__ import annotations

import pytest

from careledger.fhir.search.cursor import Cursor
from careledger.fhir.search.query import PARAMETERS_MAX, parse
from careledger.primitives.errors import Invalid

SECRET = "Adell482"


@pytest.mark.parametrize(
    ("type", "name", "value", "code"),
    [
        ("Patient", "birthdate", SECRET, "value"),
        ("Patient", "birthdate", "xx1970", "value"),
        ("Patient", "birthdate", "1970-02-30", "value"),
        ("Patient", "name:missing", SECRET, "value"),
        ("Patient", "_id", SECRET + "!", "value"),
        ("Patient", "_id", "a" * 65, "value"),
        ("Patient", "identifier", f"a|b|{SECRET}", "value"),
        ("Patient", "identifier", "|", "value"),
        ("Patient", "name", ",", "value"),
        ("Patient", "name", " ", "value"),
        ("Patient", "name", "\u0301", "value"),
        ("Patient", "name", SECRET * 200, "value"),
        ("Patient", "name:below", SECRET, "not-supported"),
        ("Observation", "_profile:below", SECRET, "not-supported"),
        ("Patient", "gender:text", SECRET, "not-supported"),
        ("Patient", "_has:Observation:patient:code", SECRET, "not-supported"),
        ("Observation", "subject.name", SECRET, "not-supported"),
        ("Observation", "subject:Patient.name", SECRET, "not-supported"),
        ("Observation", "value-quantity", SECRET, "value"),
        ("Observation", "value-quantity", "1|2", "value"),
        ("Observation", "value-quantity", "9" * 41, "value"),
        ("Observation", "value-quantity", "1e999", "value"),
        ("Observation", "subject", SECRET + "/!", "value"),
        ("Observation", "subject", f"Nonsense/{SECRET}", "value"),
        ("Observation", "subject:Patient", f"Group/{SECRET}", "value"),
        ("Observation", "code", ",".join(["x"] * 1001), "too-costly"),
        ("Observation", "code", "x" * 70_000, "too-costly"),
        ("Observation", "_count", "-1", "value"),
        ("Observation", "_count", "ten", "value"),
        ("Observation", "_sort", "code", "not-supported"),
        ("Observation", "_sort", "date,date,date,date,date", "too-costly"),
        ("Observation", "_summary", SECRET, "value"),
        ("Observation", "_total", SECRET, "value"),
        ("Observation", "_elements", "a b", "value"),
        ("Observation", "_include:iterate", "Observation:subject", "not-supported"),
        ("Observation", "_include", "Observation:code", "value"),
        ("Observation", "_include", "Nonsense:subject", "value"),
        ("Observation", "_include", "Encounter:subject", "not-supported"),
        ("Observation", "_lastUpdated", SECRET, "value"),
    ],
)
def test_refused_always_without_echo(type: str, name: str, value: str, code: str) -> None:
    for strict in (False, True):
        with pytest.raises(Invalid) as caught:
            parse(type, [(name, value)], strict=strict)
        assert caught.value.code == code
        assert SECRET not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("name", ["nonsense", "code-value-quantity", "_text", "_content", "Adell482"])
def test_unknown_parameters_are_refused_strictly_and_else_left_out(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse("Observation", [(name, "x$1"), ("code", "y")], strict=True)
    assert caught.value.code == "not-supported" and SECRET not in caught.value.message
    assert parse("Observation", [(name, "x$1"), ("code", "y")]).applied == (("code", "y"),)


def test_the_cap_of_count_shows() -> None:
    query = parse("Observation", [("_count", "1000000000")])
    assert query.count == 1_000 and query.applied == (("_count", "1000"),)
    assert parse("Observation", [("_count", "0")]).count_only
    assert parse("Observation", [("_count", "9" * 50)]).count == 1_000


def test_too_many_parameters() -> None:
    with pytest.raises(Invalid):
        parse("Observation", [("code", "x")] * (PARAMETERS_MAX + 1))


def test_altered_and_borrowed_cursors_are_refused() -> None:
    key = bytes(range(32))
    query = parse("Observation", [("code", "x"), ("_count", "5")])
    cursor = Cursor(7, 3, 11)
    text = cursor.encode(key, query)
    assert Cursor.decode(text, key, query) == cursor
    assert Cursor.decode(text, key, parse("Observation", [("code", "x"), ("_count", "9")])) == cursor
    for place in range(len(text)):
        other = "A" if text[place] != "A" else "B"
        altered = text[:place] + other + text[place + 1 :]
        with pytest.raises(Invalid):
            Cursor.decode(altered, key, query)
    for bad in ("", "x", "é", text[:-4], text + "AAAA", "A" * 5000):
        with pytest.raises(Invalid):
            Cursor.decode(bad, key, query)
    with pytest.raises(Invalid):
        Cursor.decode(text, bytes(32), query)
    with pytest.raises(Invalid):
        Cursor.decode(text, key, parse("Observation", [("code", "y")]))
    with pytest.raises(Invalid):
        Cursor.decode(text, key, parse("Condition", [("code", "x")]))
