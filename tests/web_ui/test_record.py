"""The patient's record, FHIR's values in words, the following of a chart, the shell: their component tests, run as they stand."""

from __future__ import annotations

import pytest

from tests.web_ui.running import run_components

COUNTS = {
    "features/proof": 11,
    "features/record": 21,
    "lib/words": 16,
    "lib/live": 5,
    "app/leaving": 1,
    "app/idle": 5,
    "app/commands": 1,
    "app/queries": 2,
    "components/states": 2,
}


@pytest.mark.parametrize("part", COUNTS)
def test_the_record(part: str) -> None:
    said = run_components(part)
    assert f"Tests  {COUNTS[part]} passed ({COUNTS[part]})" in said, said
