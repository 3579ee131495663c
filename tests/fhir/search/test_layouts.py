"""A chart's rows as its segments give them, read late; values blobs cut by layout: both give what each row says."""

import random

import pytest

from careledger.fhir.search import layouts
from careledger.fhir.search.chartrows import PART_ROWS, ChartRows
from careledger.fhir.search.compile import pack, slot_values
from careledger.fhir.search.layouts import Layouts
from careledger.vault.envelope import ChartKeys, open_columns, seal_rows
from careledger.vault.model import Row
from careledger.vault.rows import rows_of


@pytest.mark.parametrize("kept", [0, 3, 1000])
def test_a_slot_cut_by_layout_is_what_each_blob_says(kept, monkeypatch):
    """Few layouts and many, more of them than are kept, wide and empty ones; taken in at once and in two steps."""
    monkeypatch.setattr(layouts, "LAYOUTS_MAX", kept)
    monkeypatch.setattr(layouts, "STRIDED_MIN", 2)
    chance = random.Random(5)
    blobs = [b""] * 3
    for number in range(300):
        lengths = {chance.randrange(12): chance.choice((1, 16, 16, 32, 250)) for _ in range(number % 6)}
        blobs.append(pack({slot: chance.randbytes(length) for slot, length in sorted(lengths.items())}))
    blobs.append(pack({1: b"a" * 70_000, 2: b"b"}))
    chance.shuffle(blobs)
    for cut in (0, 90):
        held = Layouts()
        held.add(blobs[:cut])
        held.add(blobs[cut:])
        assert held.count == len(blobs)
        for slot in range(13):
            for start in (0, 41, cut, len(blobs)):
                found = {}
                for ordinals, length, values in held.values(slot, start):
                    assert list(ordinals) == sorted(ordinals) and len(values) == length * len(ordinals)
                    for at, ordinal in enumerate(ordinals):
                        found[ordinal] = values[at * length : (at + 1) * length]
                assert found == {
                    at: slot_values(blob, slot)
                    for at, blob in enumerate(blobs)
                    if at >= start and slot_values(blob, slot)
                }


def test_rows_in_parts_of_every_size_are_the_rows_that_were_sealed():
    chance = random.Random(7)
    keys = ChartKeys.generate(bytes(32))
    rows = [
        Row(
            number,
            chance.choice(("Observation", "Condition", "Claim")),
            f"id-{number % 250}",
            1 + number // 250,
            number % 97 == 0,
            False,
            1_700_000_000_000 + number,
            number // 3,
            number,
            chance.randbytes(9),
        )
        for number in range(400)
    ]
    held, first = ChartRows(), 0
    while first < len(rows):
        size = min(chance.choice((1, 1, 1, 5, 32, PART_ROWS)), len(rows) - first)
        part = open_columns(keys, first, size, seal_rows(keys, rows[first : first + size]))
        assert not part.is_read
        assert (
            rows_of(open_columns(keys, first, size, seal_rows(keys, rows[first : first + size])))
            == (rows[first : first + size])
        )
        before = held.memory()
        held.add(part)
        assert held.memory() > before
        first += size
    for start in (0, 17, 399):
        for type in ("Observation", "Claim", "Patient"):
            wanted = [row for row in rows[start:] if row.type == type]
            found = [
                (number, bool(flags), blob)
                for part in held.of_type(type, start)
                for number, flags, blob in zip(*part[:3], strict=True)
            ]
            assert found == [(row.number, row.deleted, row.values) for row in wanted]
            numbers = [row.number for row in wanted]
            assert list(held.pick(numbers, lambda part: part.id)) == [row.id for row in wanted]
            assert list(held.pick(numbers, lambda part: part.leaf)) == [row.leaf for row in wanted]
    for number in range(400):
        part, at = held.place(number)
        assert (part.first + at, part.id[at], part.version[at]) == (
            number,
            rows[number].id,
            rows[number].version,
        )
    news = {first for *_, first in held.of_type("Observation", 260)}
    assert news == {False}
