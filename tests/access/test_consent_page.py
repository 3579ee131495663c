"""docs/spec/consent.md says what the program does: its rules, its purposes, its example."""

from __future__ import annotations

import re
from pathlib import Path

from careledger.access.decision import RULES
from careledger.access.directives import (
    DAY_MAX,
    DIRECTIVE_BYTES_MAX,
    ITEMS_MAX,
    Text,
    compute_commitment,
    decode_text,
    from_base64,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "spec" / "consent.md").read_text("utf-8")


def part(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_page_has_the_rules_in_their_order_with_their_answers():
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| (\w+) \|$", part("Rules"), re.MULTILINE)
    assert rows == list(RULES.items())


def test_the_page_names_every_field_and_limit_of_a_text():
    named = re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", PAGE, re.MULTILINE)))
    assert set(Text.__struct_fields__) <= set(named)
    for limit in (DAY_MAX, DIRECTIVE_BYTES_MAX, ITEMS_MAX):
        assert f"{limit:,}" in PAGE


def test_the_example_has_the_id_that_the_page_gives():
    text = re.search(r"```json\n(.*)\n```", part("Example"))
    salt, id = re.search(r"salt `([\w-]+)` its id is `([0-9a-f]{64})`", part("Example")).groups()
    decode_text(text[1].encode())
    assert compute_commitment(from_base64(salt), text[1].encode()).hex() == id
