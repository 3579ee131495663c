"""One flipped bit anywhere: detected before anything of it is served."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest

from tests.faults.flipping import PLACES, Source, flip_once, make_source

FLIPS_A_PLACE = dict.fromkeys(PLACES, 40) | {"index sum": 10, "index of a stopped home": 25}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("flips") / "source")


@pytest.mark.parametrize("place", PLACES)
def test_a_flipped_bit_is_noticed(place: str, source: Source, tmp_path: Path) -> None:
    outcomes = [
        flip_once(source, tmp_path / "flipped", number * len(PLACES) + PLACES.index(place))
        for number in range(FLIPS_A_PLACE[place])
    ]
    assert [one for one in outcomes if one.verdict == "UNNOTICED"] == []
    print(place, collections.Counter(one.verdict for one in outcomes))
