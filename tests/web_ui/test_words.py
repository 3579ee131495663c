"""The web application's words: every one that its sources say stands in every catalog, translated (English and Spanish)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.web_ui.running import LIB

SOURCES = LIB.parent
CATALOGS = sorted(SOURCES.rglob("locales/*.po"))
_ENTRY = re.compile(r'^msgid (".*"(?:\n".*")*)\nmsgstr (".*"(?:\n".*")*)$', re.MULTILINE)
_HOLE = re.compile(r"\{\w+(?=[,}])")  # not the words of a plural: `one {The only value}`


def read(path: Path) -> dict[str, str]:
    """msgid -> msgstr."""
    joined = [
        [re.sub(r'"\n"', "", part)[1:-1] for part in found] for found in _ENTRY.findall(path.read_text())
    ]
    return {key: value for key, value in joined if key}


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_every_word_is_translated_with_the_same_holes(path: Path) -> None:
    words = read(path)
    assert [key for key, value in words.items() if not value] == []
    uneven = [key for key, value in words.items() if set(_HOLE.findall(key)) != set(_HOLE.findall(value))]
    assert uneven == []


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in CATALOGS}), ids=lambda path: path.parent.name
)
def test_both_languages_have_the_same_words(folder: Path) -> None:
    assert set(read(folder / "en.po")) == set(read(folder / "es.po"))


def test_long_texts_are_not_left_in_english() -> None:
    left = [
        f"{path.parent.parent.name}: {key}"
        for path in CATALOGS
        if path.stem == "es"
        for key, value in read(path).items()
        if value == key and len(key.split()) > 3
    ]
    assert left == []


# Catalogs add up in one table, the latest over the others: a word that two of them say differently would change under the
# reader's eyes (the name of a page in the navigation, once another page was opened).
PERSONAS = {
    "patient": ("app", "record", "looked", "grants", "proof", "network", "explorer", "learning"),
    "clinician": ("app", "chart", "proof", "network", "explorer", "learning"),
}


@pytest.mark.parametrize("persona", PERSONAS)
def test_what_one_person_reads_is_called_one_thing(persona: str) -> None:
    said: dict[str, set[str]] = {}
    for path in CATALOGS:
        if path.stem == "es" and path.parent.parent.name in PERSONAS[persona]:
            for key, value in read(path).items():
                said.setdefault(key, set()).add(value)
    assert {key: values for key, values in said.items() if len(values) > 1} == {}
