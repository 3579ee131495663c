"""What a state map remembers depends on bytes alone, and nobody's copy changes another's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.ledger.execution import Overlay
from careledger.ledger.kernel import Context, Log, Map, compute_state_key
from careledger.primitives.encoding import U64, Bytes
from careledger.primitives.errors import Corrupt

NUMBERS: Map[bytes, int] = Map("test", "number", Bytes(8), U64)
LOGS: Log[bytes] = Log("test", "log", Bytes(8))


@given(st.lists(st.binary(max_size=8), max_size=8))
def test_a_key_lies_where_its_bytes_say(keys):
    for key in keys + keys:
        assert NUMBERS.state_key(key) == compute_state_key("test", "number", Bytes(8).encode(key))


def test_a_value_is_what_its_bytes_say_each_time():
    state = Overlay({NUMBERS.state_key(b"bad"): b"\x00"}.get)
    for value in (1, 2, 1):
        NUMBERS.set(state, b"one", value)
        assert NUMBERS.get(state, b"one") == value
        with pytest.raises(Corrupt):
            NUMBERS.get(state, b"bad")


def test_a_log_that_grows_in_one_state_does_not_grow_in_another():
    first = Overlay(lambda key: None)
    LOGS.append(Context(first, 1, 1, frozenset()), b"log", b"entry")
    second = Overlay(first.get)
    LOGS.append(Context(second, 2, 2, frozenset()), b"log", b"more")
    assert [LOGS.get(state, b"log").size for state in (first, second, first)] == [1, 2, 1]
