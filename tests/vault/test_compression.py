"""What is packed comes back, lengths say little, and nothing else is accepted."""

from __future__ import annotations

import hashlib
import threading
from random import Random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.primitives.errors import Corrupt, TooLarge
from careledger.synthetic import hospital
from careledger.vault import compression
from careledger.vault.compression import BUCKET_BYTES_MIN, bucket, pack, squeeze, unpack, unsqueeze
from tools.train_dictionary import stored_bodies

DICTIONARY_SHA256 = "a5269764adf21cd025bb2cbf732e75a6284d2eb14c55cc46b2f113508e507a9e"


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    random = Random(7)
    return [body for bundle in hospital(seed=7, patients=4) for body in stored_bodies(bundle, random)]


def test_the_shipped_dictionary_is_the_one_bodies_were_sealed_with():
    """Another dictionary under the same format number would make every stored body unreadable."""
    data = compression.dictionary_bytes()
    assert hashlib.sha256(data).hexdigest() == DICTIONARY_SHA256
    assert 64_000 <= len(data) <= 110_000


def test_bodies_come_back_and_are_small(bodies):
    observations = []
    for body in bodies:
        form, packed = pack(body)
        assert unpack(form, packed, len(body)) == body
        if b'"Observation"' in body[:40]:
            observations.append(len(packed))
    assert sum(observations) / len(observations) < 240


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_come_back(content):
    form, packed = pack(content)
    assert unpack(form, packed, len(content)) == content == unpack(form, packed, None, 4000)
    assert len(packed) == bucket(len(packed)) >= BUCKET_BYTES_MIN
    assert unsqueeze(squeeze(content), len(content)) == content


def test_lengths_fall_into_few_buckets():
    """The bound of the module's docstring: sizes, cost, and that buckets are fixed points."""
    sizes = [bucket(length) for length in range(1, 1_000_001, 7)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) < 270
    for length in (1, 127, 128, 129, 200, 999, 4096, 4097, 65_000, 999_999):
        size = bucket(length)
        assert length <= size <= max(BUCKET_BYTES_MIN, length * 1.13)
        assert bucket(size) == size


BODY = b'{"resourceType":"Basic","id":"1","code":{"text":"' + b"padding and more " * 30 + b'"}}'
FORM, PACKED = pack(BODY)
REFUSED = {
    "marker missing": (FORM, PACKED.rstrip(b"\x00")[:-1].ljust(len(PACKED), b"\x00"), len(BODY)),
    "padding not zero": (FORM, PACKED[:-1] + b"\x01", len(BODY)),
    "bucket too large": (FORM, PACKED + bytes(128), len(BODY)),
    "bucket too small": (FORM, PACKED.rstrip(b"\x00"), len(BODY)),
    "all zero": (FORM, bytes(len(PACKED)), len(BODY)),
    "empty": (FORM, b"", 0),
    "another format": (7, PACKED, len(BODY)),
    "stored as compressed": (0, PACKED, len(BODY)),
    "length short": (FORM, PACKED, len(BODY) - 1),
    "length long": (FORM, PACKED, len(BODY) + 1),
    "length over the limit": (FORM, PACKED, 1 << 40),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unpack_is_strict(case):
    with pytest.raises(Corrupt):
        unpack(*REFUSED[case])


def test_a_bomb_costs_its_recorded_length_only():
    form, packed = pack(bytes(8_000_000))
    assert len(packed) < 2_000
    with pytest.raises(Corrupt):
        unpack(form, packed, 1000)
    with pytest.raises(Corrupt):
        unpack(form, packed, None, 1000)


def test_trailing_bytes_are_refused():
    squeezed = squeeze(BODY)
    with pytest.raises(Corrupt):
        unsqueeze(squeezed + zstandard.ZstdCompressor().compress(b"more"), len(BODY))


def test_content_over_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(compression, "CONTENT_BYTES_MAX", 1000)
    with pytest.raises(TooLarge):
        pack(bytes(1001))


def test_threads_have_contexts_of_their_own(bodies):
    """zstd contexts must not be shared: bodies packed side by side still come back."""
    wrong: list[bytes] = []

    def work() -> None:
        for body in bodies[:300]:
            if unpack(*pack(body), len(body)) != body:
                wrong.append(body)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
