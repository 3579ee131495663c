"""Parcels: whatever the pool hands out comes out of them again, in its order; what is none is refused or one transaction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.ledger.consensus.parcels import BYTES_MAX, COUNT_MAX, MARK, pack, unpack
from careledger.ledger.transaction import TRANSACTION_SIZE_MAX
from careledger.primitives.errors import Invalid, TooLarge

SIZES = st.one_of(st.integers(1, 300), st.sampled_from([BYTES_MAX // 2, BYTES_MAX, TRANSACTION_SIZE_MAX]))


@given(st.lists(SIZES, max_size=12), st.integers(0, 3))
def test_all_come_out_again_in_few_messages_that_the_engine_takes(sizes, rounds):
    transactions = [bytes(size) for size in sizes] + [bytes([0, at % 256]) for at in range(rounds * 100)]
    parcels = pack(transactions)
    assert [one for parcel in parcels for one in unpack(parcel)] == transactions
    assert all(len(parcel) <= TRANSACTION_SIZE_MAX for parcel in parcels)
    held = [len(unpack(parcel)) for parcel in parcels]
    assert all(count <= COUNT_MAX for count in held)
    if all(size <= 300 for size in sizes):
        assert len(parcels) == -(-len(transactions) // COUNT_MAX)


def test_one_alone_travels_as_it_is():
    assert pack([b"\x00one"]) == [b"\x00one"]
    assert unpack(b"\x00one") == (b"\x00one",)
    assert pack([]) == []


@pytest.mark.parametrize("cut", [0, 1, 3, -1])
def test_a_broken_parcel_is_refused(cut):
    (parcel,) = pack([b"\x00one", b"\x00two"])
    with pytest.raises(Invalid):
        unpack(parcel[: len(MARK) + cut] if cut >= 0 else parcel[:cut])
    with pytest.raises(Invalid):
        unpack(parcel + b"\x00")


def test_a_parcel_of_too_many_is_refused_before_it_is_read():
    with pytest.raises(TooLarge):
        unpack(MARK + (COUNT_MAX + 1).to_bytes(4, "big"))
