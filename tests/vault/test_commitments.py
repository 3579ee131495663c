"""Equal versions have unlike commitments, and nobody guesses one without its salt (fault catalogue G7; sampled)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from careledger.vault.commitments import Kind, body_hash, commit, derive, first_six, header
from tests.vault.guessing import AUTHOR, BODY, TIME_MS, Commitments, new_commitments

COUNT = 2_000


def test_commitments_of_one_value_have_nothing_in_common() -> None:
    commitments = new_commitments()
    commitments.seal(COUNT)
    assert commitments.find_problems(COUNT) == []
    made, hits = commitments.guess(COUNT)
    assert (made, hits) == (2 * (COUNT // 2 + COUNT), 0)


CARELESS: dict[str, Callable[[Commitments, bytes], bytes]] = {
    "none": lambda c, six: b"",
    "short": lambda c, six: b"\x01\x02",
    "counted": lambda c, six: (70).to_bytes(32, "big"),
    "of the time": lambda c, six: (TIME_MS - 3).to_bytes(32, "big"),
    "derived from the record": lambda c, six: derive(body_hash(b"", BODY + bytes(8)))[1],
    "another version's": lambda c, six: c.disclosed[7],
}


@pytest.mark.parametrize("name", CARELESS)
def test_the_guesser_finds_careless_salts(name: str) -> None:
    commitments = new_commitments()
    commitments.seal(20)
    six = first_six(commitments.chart.place, Kind.VERSION, "Observation", "o", 1)
    salt = CARELESS[name](commitments, six)
    commitments.withheld.add(commit(salt, header(six, TIME_MS, AUTHOR, body_hash(salt, BODY))))
    assert commitments.guess(10_000)[1] >= 1
