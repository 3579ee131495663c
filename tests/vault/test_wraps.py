"""Wrapped chart keys open for their home, chart and epoch alone; a destroyed epoch shreds; a batch gives nothing away."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from careledger.primitives.errors import Corrupt
from careledger.vault import wraps
from careledger.vault.keystore import Cost, KeyStore
from careledger.vault.wraps import EpochDestroyed, Wrapper, rewrap, unwrap_chart_keys

CHEAP = Cost(passes=1, memory_kib=64, lanes=1)
PHRASE = "correct horse battery"
HANDLE, OTHER = bytes(range(32)), bytes(range(1, 33))
RECORD, ACCESS = b"r" * 32, b"a" * 32


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "keys"


@pytest.fixture
def keys(folder):
    return KeyStore.create(folder, PHRASE, CHEAP)


def wrapped_alone(keys) -> bytes:
    """Chart keys as they were wrapped before there were batches."""
    info = wraps._wrap_info(keys, HANDLE, 3)
    inner = wraps._SUITE.encrypt(RECORD + ACCESS, wraps._custodian(keys.custodian)[1], info)
    return wraps._outer_seal(keys, info, inner)


def wrapped_in_a_batch(keys) -> bytes:
    """The second of its batch: the batch key is not new."""
    wrapper = Wrapper()
    wrapper.wrap(keys, OTHER, ACCESS, RECORD, 0)
    return wrapper.wrap(keys, HANDLE, RECORD, ACCESS, 3)


@pytest.fixture(params=[wrapped_in_a_batch, wrapped_alone])
def wrapped(request, keys):
    return request.param(keys)


def test_chart_keys_come_back(keys, wrapped):
    assert unwrap_chart_keys(keys, HANDLE, 3, wrapped) == (RECORD, ACCESS)


def test_equal_keys_of_one_batch_look_unrelated(keys):
    wrapper = Wrapper()
    first, second = (wrapper.wrap(keys, HANDLE, RECORD, ACCESS, 3) for _ in range(2))
    common = sum(a == b for a, b in zip(first[4:], second[4:], strict=True))
    assert common < len(first) / 32, "bytes that two wraps of a batch share at their places"


def test_a_batch_key_seals_so_many_charts_and_no_more(keys, monkeypatch):
    monkeypatch.setattr(wraps, "BATCH_CHARTS", 2)
    wrapper = Wrapper()

    def sealed_batch_key() -> bytes:
        wrapped = wrapper.wrap(keys, HANDLE, RECORD, ACCESS, 0)
        inner = wraps._outer_open(keys, wraps._wrap_info(keys, HANDLE, 0), wrapped)
        return inner[: wraps._BATCH_BYTES]

    first, second, third = (sealed_batch_key() for _ in range(3))
    assert first == second != third
    wrapper.forget()
    assert sealed_batch_key() != third


def test_a_wrap_opens_for_its_chart_epoch_and_home_only(keys, wrapped):
    strangers = (
        (keys, OTHER, 3),
        (keys, HANDLE, 4),
        (replace(keys, home_id=os.urandom(16)), HANDLE, 3),
        (replace(keys, wrap_masters={1: os.urandom(32)}), HANDLE, 3),
        (replace(keys, custodian=os.urandom(96)), HANDLE, 3),
    )
    unwrap_chart_keys(keys, HANDLE, 3, wrapped)  # what is remembered of it helps no stranger
    for opener, handle, epoch in strangers:
        with pytest.raises(Corrupt):
            unwrap_chart_keys(opener, handle, epoch, wrapped)


def test_keys_of_one_chart_are_not_put_in_the_place_of_another(keys):
    """Whoever has the wrap master and one chart's wrap cannot pass its keys off as those of another of its batch."""
    wrapper = Wrapper()
    wrapped = wrapper.wrap(keys, HANDLE, RECORD, ACCESS, 0)
    inner = wraps._outer_open(keys, wraps._wrap_info(keys, HANDLE, 0), wrapped)
    moved = wraps._outer_seal(keys, wraps._wrap_info(keys, OTHER, 0), inner)
    with pytest.raises(Corrupt):
        unwrap_chart_keys(keys, OTHER, 0, moved)


def test_an_altered_wrap_is_refused(keys, wrapped):
    for at in [*range(20), 200, 1180, len(wrapped) - 1]:
        altered = wrapped[:at] + bytes([wrapped[at] ^ 4]) + wrapped[at + 1 :]
        with pytest.raises(Corrupt):
            unwrap_chart_keys(keys, HANDLE, 3, altered)
    for size in (0, 3, 15, 30, len(wrapped) - 1):
        with pytest.raises(Corrupt):
            unwrap_chart_keys(keys, HANDLE, 3, wrapped[:size])


def test_destroyed_epoch_shreds_what_was_not_sealed_again(folder, keys):
    """Crypto-shredding: the survivor is sealed again, the other of its batch is gone, for a reopened store too."""
    wrapper = Wrapper()
    shredded = wrapper.wrap(keys, HANDLE, RECORD, ACCESS, 0)
    survivor = wrapper.wrap(keys, OTHER, ACCESS, RECORD, 0)
    grown = KeyStore.add_epoch(folder, keys)
    survivor = rewrap(grown, OTHER, 0, survivor)
    assert KeyStore.destroy_epoch(folder, grown, 1).epoch == 2
    reopened = KeyStore.open(folder, PHRASE)
    assert set(reopened.wrap_masters) == {2}
    assert unwrap_chart_keys(reopened, OTHER, 0, survivor) == (ACCESS, RECORD)
    with pytest.raises(EpochDestroyed):
        unwrap_chart_keys(reopened, HANDLE, 0, shredded)
