"""Sealed copies: what was sealed comes out whole, by each of her secrets, and nothing that was altered comes out at all.

`vectors/copies.json` holds them for any other implementation; the browser's own tests read it (tests/web_ui).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.access import copies
from careledger.access.copies import CHUNK_BYTES, HEADER, TAG_BYTES, CopyRefused, Header, Kind, Wrap
from careledger.primitives.encoding import U8
from careledger.primitives.errors import CareLedgerError, Invalid
from careledger.vault.copies import copy_key, open_kept, seal_kept
from careledger.vault.envelope import ChartKeys

KEY, OTHER_KEY = b"\x0c" * 32, b"\x0d" * 32
CREDENTIAL = b"credential-of-16"
SECRETS = {Kind.PASSKEY: b"\x01" * 32, Kind.KIT: b"\x02" * 32, Kind.KEY_FILE: b"\x03" * 32}


def wrap(kind: Kind, key: bytes = KEY) -> Wrap:
    return copies.wrap_key(
        key, kind, SECRETS[kind], bytes([0xA0 + kind]) * 32, CREDENTIAL if kind is Kind.PASSKEY else b""
    )


def header(key: bytes = KEY, id: bytes = b"\x1d" * 32) -> Header:
    return copies.make_header([wrap(kind, key) for kind in Kind], id)


def sealed(chart: bytes, log: bytes, head: Header | None = None, key: bytes = KEY) -> bytes:
    """The file, its parts given in pieces of odd sizes."""

    def pieces(data: bytes) -> Iterable[bytes]:
        yield from (data[at : at + 40_001] for at in range(0, len(data), 40_001))

    head = head or header(key)
    data = b"".join(copies.seal_copy(head, key, [(len(one), pieces(one)) for one in (chart, log)]))
    assert len(data) == copies.compute_size(head, [len(chart), len(log)])
    return data


def opened(data: bytes, kind: Kind = Kind.KIT, secret: bytes | None = None) -> tuple[bytes, bytes]:
    file, parts = io.BytesIO(data), (io.BytesIO(), io.BytesIO())
    head = copies.read_header(file)
    copies.open_copy(file, head, copies.open_wraps(head, kind, secret or SECRETS[kind]), parts)
    return parts[0].getvalue(), parts[1].getvalue()


def body_at(data: bytes) -> int:
    return 4 + int.from_bytes(data[:4], "big")


EDGE = CHUNK_BYTES - 2 * 8
"""Content that fills one chunk exactly."""


@pytest.mark.parametrize("size", [0, 1, EDGE - 1, EDGE, EDGE + 1, EDGE + CHUNK_BYTES, 3 * CHUNK_BYTES + 7])
@pytest.mark.parametrize("split", [0, 1, 2])
def test_what_was_sealed_comes_out_by_each_of_her_secrets(size: int, split: int) -> None:
    chart, log = bytes(size * split // 2), b"\x07" * (size - size * split // 2)
    data = sealed(chart, log)
    for kind in Kind:
        assert opened(data, kind) == (chart, log)


SMALL = sealed(b"chart" * 9, b"log" * 5)
LARGE = sealed(b"c" * (2 * CHUNK_BYTES), b"l" * 99)


@given(st.data())
def test_no_flipped_bit_and_no_cut_comes_out(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([SMALL, LARGE]))
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        altered = whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
    else:
        altered = whole[:at]
    with pytest.raises(CareLedgerError):
        opened(altered)


def test_every_byte_of_a_small_copy_counts() -> None:
    """The kit's own wrap, too: without the other kinds' wraps, which the header binds."""
    for at in range(len(SMALL)):
        with pytest.raises(CareLedgerError):
            opened(SMALL[:at] + bytes([SMALL[at] ^ 0xFF]) + SMALL[at + 1 :])
        with pytest.raises(CareLedgerError):
            opened(SMALL[:at])


def test_chunks_have_their_places() -> None:
    """Whatever the lengths within say: no order but that in which they were sealed, and the last is known as the last."""
    whole = sealed(b"".join(bytes([number]) * CHUNK_BYTES for number in range(4)), b"l" * 99)
    start, size = body_at(whole), CHUNK_BYTES + TAG_BYTES
    head, chunks = whole[:start], [whole[at : at + size] for at in range(start, len(whole), size)]
    first, second, third, fourth, last = chunks
    for order in (
        [first, third, second, fourth, last],
        [first, second, second, fourth, last],
        [first, third, fourth, last],
        [first, second, third, fourth],
        [first, second, third, fourth, last, last],
        [first, second, third, fourth, last, bytes(TAG_BYTES)],
        [last],
        [],
    ):
        file = io.BytesIO(head + b"".join(order))
        copied = copies.read_header(file)
        with pytest.raises(CopyRefused):
            list(copies._chunks(file, copied, KEY))
        with pytest.raises(CopyRefused):
            opened(head + b"".join(order))


def test_what_belongs_to_another_copy_opens_nothing() -> None:
    """Another chart's wraps, another file's chunks, a header with a wrap less: each is refused."""
    mine, start = sealed(b"a" * 99, b"b"), body_at(SMALL)
    foreign = HEADER.encode(header(OTHER_KEY))
    with pytest.raises(CopyRefused):
        opened(len(foreign).to_bytes(4, "big") + foreign + mine[body_at(mine) :])
    other_id = HEADER.encode(header(id=b"\x2d" * 32))
    with pytest.raises(CopyRefused):
        opened(len(other_id).to_bytes(4, "big") + other_id + SMALL[start:])
    fewer = HEADER.encode(copies.make_header([wrap(Kind.KIT)], b"\x1d" * 32))
    with pytest.raises(CopyRefused):
        opened(len(fewer).to_bytes(4, "big") + fewer + SMALL[start:])
    for kind in Kind:
        for secret in {b"\x04" * 32, *SECRETS.values()} - {SECRETS[kind]}:
            with pytest.raises(copies.NotAmongWraps):
                opened(SMALL, kind, secret)


def test_content_has_one_form() -> None:
    """Sealed by whoever has the key, but not as `seal_copy` does: a length that is not so, bytes behind the last part."""
    head = header()
    encoded = HEADER.encode(head)
    cipher, bound = copies._sealing(KEY, head, encoded)
    for content in (
        b"",
        b"\0" * 7,
        b"\0" * 8,
        b"\0" * 17,
        (9).to_bytes(8, "big") + b"abc" + b"\0" * 8,
        (1 << 63).to_bytes(8, "big") + b"abc",
    ):
        chunk = cipher.encrypt(copies._nonce(0, is_last=True), content, bound)
        with pytest.raises(CopyRefused):
            opened(len(encoded).to_bytes(4, "big") + encoded + chunk)


def test_headers_of_unknown_forms_are_refused() -> None:
    good = header()
    kit, passkey = wrap(Kind.KIT), wrap(Kind.PASSKEY)
    broken: list[Header] = [
        Header("careledger/copy/2", 1, good.id, good.wraps),
        Header(good.format, 2, good.id, good.wraps),
        Header(good.format, 1, good.id, ()),
        Header(good.format, 1, good.id, (Wrap(9, b"", kit.salt, kit.key),)),
        Header(good.format, 1, good.id, (Wrap(1, b"", passkey.salt, passkey.key),)),
        Header(good.format, 1, good.id, (Wrap(2, b"x", kit.salt, kit.key),)),
    ]
    for one in broken:
        encoded = HEADER.encode(one)
        with pytest.raises(CopyRefused):
            copies.read_header(io.BytesIO(len(encoded).to_bytes(4, "big") + encoded))
    for raw in (
        b"\xff\xff\xff\xff",
        (20_000).to_bytes(4, "big") + bytes(20_000),
        b"\0\0\0\2" + U8.encode(1),
        b"",
    ):
        with pytest.raises(CopyRefused):
            copies.read_header(io.BytesIO(raw))


def test_a_passkey_needs_a_second_way_in() -> None:
    for wraps in ((), (wrap(Kind.PASSKEY),), (wrap(Kind.PASSKEY), copies.wrap_key(KEY, Kind.PASSKEY, b"\x09" * 32, b"s" * 32, b"x"))):  # fmt: skip
        with pytest.raises(Invalid):
            copies.check_enough(wraps)
    copies.check_enough([wrap(Kind.PASSKEY), wrap(Kind.KIT)])
    copies.check_enough([wrap(Kind.KEY_FILE)])
    with pytest.raises(Invalid):
        copies.wrap_key(KEY, Kind.KIT, b"short", b"s" * 32)


def test_the_copy_key_is_a_charts_of_one_epoch_and_no_key_at_rest() -> None:
    keys = ChartKeys(b"\x11" * 32, b"\x22" * 32, 0, b"\x33" * 32, b"\x44" * 32)
    later, other = keys.next_epoch(), ChartKeys.generate(b"\x11" * 32)
    found = [copy_key(one) for one in (keys, later, other)]
    assert len({*found, keys.record_key, keys.access_key, keys.handle}) == 6
    kept = seal_kept(keys, b"wraps")
    assert open_kept(keys, kept) == b"wraps"
    assert [open_kept(one, kept) for one in (later, other)] == [None, None]
    assert open_kept(keys, kept[:-1]) is open_kept(keys, b"") is None


def make_vectors() -> dict[str, Any]:
    keys = ChartKeys(b"\x11" * 32, b"\x22" * 32, 3, b"\x33" * 32, b"\x44" * 32)
    key = copy_key(keys)
    chart, log = b'{"a":1}', b'{"b":[2,3]}'
    data = sealed(chart, log, header(key), key)
    flipped = bytearray(data)
    flipped[-1] ^= 1
    head = header(key)
    unknown = Wrap(4, b"", bytes(32), bytes(48))
    refused = {
        "its last byte altered": bytes(flipped),
        "cut": data[:-1],
        "another chart's wraps": _with_header(data, HEADER.encode(header(OTHER_KEY))),
        "a wrap less": _with_header(data, HEADER.encode(copies.make_header([wrap(Kind.KIT, key)], head.id))),
        "another format": _holding(key, HEADER.encode(Header("careledger/copy/2", 1, head.id, head.wraps))),
        "another suite": _holding(key, HEADER.encode(Header(copies.FORMAT, 2, head.id, head.wraps))),
        "bytes behind the header": _holding(key, HEADER.encode(head) + b"\0"),
        "wraps out of order": _holding(key, _backwards(head)),
        "a wrap of an unknown kind": _holding(
            key, HEADER.encode(Header(copies.FORMAT, 1, head.id, (*head.wraps, unknown)))
        ),
        "bytes behind the content": _holding(key, HEADER.encode(head), bytes(17)),
        "a length that is not so": _holding(
            key, HEADER.encode(head), (9).to_bytes(8, "big") + b"abc" + bytes(8)
        ),
        "nothing": b"",
    }
    return {
        "format": "careledger/vectors/copies/1",
        "key": {
            "record_key": keys.record_key.hex(), "organisation": keys.organisation.hex(), "handle": keys.handle.hex(),
            "epoch": keys.epoch, "copy_key": key.hex(),
        },
        "secrets": {kind.name.lower().replace("_", "-"): secret.hex() for kind, secret in SECRETS.items()},
        "prf_input": copies.prf_input(wrap(Kind.PASSKEY, key).salt).hex(),
        "wraps": copies.WRAPS.encode(header(key).wraps).hex(),
        "credential": CREDENTIAL.hex(),
        "salts": {kind.name.lower().replace("_", "-"): wrap(kind, key).salt.hex() for kind in Kind},
        "copy": {"file": data.hex(), "chart": chart.decode(), "access_log": log.decode()},
        "refused": {why: one.hex() for why, one in refused.items()},
    }  # fmt: skip


def _backwards(head: Header) -> bytes:
    """The header with its wraps in another order, under everything else as it must be."""
    encoded = HEADER.encode(head)
    parts = [copies.WRAP.encode(one) for one in head.wraps]
    return encoded.replace(b"".join(parts), b"".join(reversed(parts)))


def _holding(key: bytes, encoded: bytes, content: bytes = bytes(16)) -> bytes:
    """A copy whose one chunk is well sealed under these bytes of a header, and holds this: two empty parts, if not said."""
    cipher, bound = copies._sealing(key, header(key), encoded)
    chunk = cipher.encrypt(copies._nonce(0, is_last=True), content, bound)
    return len(encoded).to_bytes(4, "big") + encoded + chunk


def _with_header(data: bytes, encoded: bytes) -> bytes:
    return len(encoded).to_bytes(4, "big") + encoded + data[body_at(data) :]


@pytest.mark.vectors
def test_vectors_have_not_drifted(vector: Callable[[str, object], None]) -> None:
    found = make_vectors()
    for data in found["refused"].values():
        with pytest.raises(CopyRefused):
            opened(bytes.fromhex(data))
    vector("copies.json", found)
