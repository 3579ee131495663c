"""One value per byte string: what decodes encodes to the same bytes, and everything else is refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from careledger.primitives.encoding import (
    DIGEST,
    FLAG,
    U8,
    U16,
    U32,
    U64,
    Bytes,
    Fixed,
    List,
    Option,
    Pair,
    Schema,
    Set,
    Text,
)
from careledger.primitives.errors import Invalid


@dataclass(frozen=True, slots=True)
class Sample:
    small: int
    medium: int
    digest: bytes
    data: bytes
    text: str
    flag: bool
    large: int
    items: tuple[bytes, ...]
    names: tuple[str, ...]
    maybe: tuple[int, bytes] | None


SAMPLE: Schema[Sample] = Schema(
    Sample,
    small=U8,
    medium=U16,
    digest=DIGEST,
    data=Bytes(12, least=1),
    text=Text(12),
    flag=FLAG,
    large=U64,
    items=List(Bytes(4), 3),
    names=Set(Text(4), 3),
    maybe=Option(Pair(U8, Fixed(2))),
)
SAMPLES = st.builds(
    Sample,
    st.integers(0, 255),
    st.integers(0, 65535),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=1, max_size=12),
    st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=4),
    st.booleans(),
    st.integers(0, 2**64 - 1),
    st.lists(st.binary(max_size=4), max_size=3).map(tuple),
    st.sets(st.text("ab", max_size=4), max_size=3).map(lambda s: SAMPLE.fields["names"].sorted(tuple(s))),
    st.none() | st.tuples(st.integers(0, 255), st.binary(min_size=2, max_size=2)),
)
ONE = Sample(1, 2, bytes(32), b"data", "text", True, 3, (b"", b"x"), ("a", "b"), (7, b"zz"))


@given(SAMPLES)
@settings(max_examples=100)
def test_values_come_back(sample):
    assert SAMPLE.decode(SAMPLE.encode(sample)) == sample


@given(SAMPLES, st.data())
@settings(max_examples=200)
@example(ONE, None)
def test_mutated_bytes_are_refused_or_mean_themselves(sample, data):
    raw = bytearray(SAMPLE.encode(sample))
    if data is not None:
        at = data.draw(st.integers(0, len(raw)))
        cut = data.draw(st.integers(0, 3))
        raw[at : at + cut] = data.draw(st.binary(max_size=3))
    try:
        value = SAMPLE.decode(bytes(raw))
    except Invalid:
        return
    assert SAMPLE.encode(value) == bytes(raw)


@given(st.sets(st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1)), max_size=5))
def test_numbers_read_and_written_together_are_what_each_is_alone(numbers):
    items = tuple(sorted(numbers))
    raw = U32.encode(len(items)) + b"".join(U8.encode(one) + U64.encode(two) for one, two in items)
    codec = Set(Pair(U8, U64), 5)
    assert codec.encode(items) == raw
    assert codec.decode(raw) == items


@pytest.mark.parametrize(
    "codec, raw, code",
    [
        (U16, b"\x01", "truncated"),
        (U16, b"\x01\x02\x03", "trailing-bytes"),
        (FLAG, b"\x02", "non-canonical"),
        (Option(U8), b"\x02\x01", "non-canonical"),
        (Bytes(2), b"\x00\x00\x00\x03abc", "too-large"),
        (Bytes(2, least=1), b"\x00\x00\x00\x00", "too-short"),
        (Bytes(9), b"\x00\x00\x00\x03ab", "truncated"),
        (Text(9), b"\x00\x00\x00\x02\xed\xa0", "invalid-text"),
        (Text(9), b"\x00\x00\x00\x03\xed\xa0\x80", "invalid-text"),
        (List(U8, 1), b"\x00\x00\x00\x02ab", "too-large"),
        (List(U8, 9), b"\xff\xff\xff\xff", "too-large"),
        (Set(U8, 9), b"\x00\x00\x00\x02ba", "non-canonical"),
        (Set(U8, 9), b"\x00\x00\x00\x02aa", "non-canonical"),
        (Set(Pair(U8, U16), 9), b"\x00\x00\x00\x02\x01\x01\x00\x01\x00\x02", "non-canonical"),
        (Set(Pair(U8, U16), 9), b"\x00\x00\x00\x02\x01\x01\x00\x01\x01\x00", "non-canonical"),
        (Set(Pair(U8, U16), 9), b"\x00\x00\x00\x02\x01\x01\x00\x02\x01", "truncated"),
        (Set(Pair(U8, U16), 1), b"\x00\x00\x00\x02\x01\x01\x00\x02\x01\x00", "too-large"),
        (Set(Pair(U8, U16), 9), b"\x00\x00\x00", "truncated"),
        (Pair(U8, U16), b"\x01\x01", "truncated"),
    ],
)
def test_what_encode_would_not_write_is_refused(codec, raw, code):
    with pytest.raises(Invalid) as refused:
        codec.decode(raw)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "codec, value",
    [
        (U8, 256),
        (U8, -1),
        (U8, True),
        (U8, "1"),
        (DIGEST, bytes(31)),
        (DIGEST, bytearray(32)),
        (FLAG, 1),
        (Bytes(2), b"abc"),
        (Bytes(2, least=1), b""),
        (Text(9), "\ud800"),
        (Text(2), "äö"),
        (List(U8, 1), (1, 2)),
        (Set(U8, 2), (2, 1)),
        (Pair(U8, U8), (1,)),
        (Set(Pair(U8, U16), 2), ((1, 256), (1, 255))),
        (Set(Pair(U8, U16), 2), ((1, 65536),)),
        (Set(Pair(U8, U16), 2), ((True, 1),)),
        (Set(Pair(U8, U16), 3), ((1, 2, 3), (4,))),
        (Set(Pair(U8, U16), 1), ((1, 2), (3, 4))),
    ],
)
def test_what_decode_would_refuse_is_not_written(codec, value):
    with pytest.raises(Invalid):
        codec.encode(value)


@pytest.mark.vectors
def test_encoding_vectors(vector):
    cases = [(ONE, "every field"), (Sample(0, 0, bytes(32), b"x", "", False, 0, (), (), None), "the least")]
    refused = [b"", SAMPLE.encode(ONE) + b"\x00", SAMPLE.encode(ONE)[:-1]]
    vector(
        "encoding.json",
        {
            "fields": {name: codec.name for name, codec in SAMPLE.fields.items()},
            "valid": [
                {
                    "why": why,
                    "enc": SAMPLE.encode(one).hex(),
                    "small": one.small,
                    "medium": one.medium,
                    "digest": one.digest.hex(),
                    "data": one.data.hex(),
                    "text": one.text,
                    "flag": one.flag,
                    "large": str(one.large),
                    "items": [item.hex() for item in one.items],
                    "names": list(one.names),
                    "maybe": None if one.maybe is None else [one.maybe[0], one.maybe[1].hex()],
                }
                for one, why in cases
            ],
            "refused": [raw.hex() for raw in refused],
        },
    )
