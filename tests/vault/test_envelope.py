"""Sealed things open for their chart alone, say nothing when closed, and never open to an altered byte."""

from __future__ import annotations

import hmac
import os
from hashlib import sha256
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.primitives.errors import Corrupt, Invalid
from careledger.vault import envelope
from careledger.vault.access_entries import encode_entry
from careledger.vault.commitments import (
    Kind,
    body_hash,
    body_key,
    commit,
    derive,
    first_six,
    header,
    mac,
    place,
)
from careledger.vault.envelope import (
    ChartKeys,
    Opened,
    blind,
    check_version,
    header_of,
    open_access,
    open_body,
    open_columns,
    open_meta,
    open_rows,
    reseal_meta,
    seal_access,
    seal_link,
    seal_rows,
    seal_version,
)
from careledger.vault.model import AccessEntry, Row

ORGANISATION = bytes(range(32))
CHART = ChartKeys(ORGANISATION, b"h" * 32, 0, b"r" * 32, b"a" * 32)
OTHER = ChartKeys(ORGANISATION, b"i" * 32, 0, b"r" * 32, b"a" * 32)  # the same keys: only the place differs
BODY = b'{"resourceType":"Patient","id":"p1","name":[{"family":"M\xc3\xbcller"}],"x":' + b"72.50," * 60 + b"}"
TEXT = st.text(max_size=16)  # at most 64 bytes


def seal(chart=CHART, body=BODY, id="p1", version=1, author="demo"):
    return seal_version(chart, Kind.VERSION, "Patient", id, version, 1_700_000_000_000, author, body)


def flips(data: bytes, count: int = 60):
    """Copies of `data` with one bit turned: the ends and places between."""
    places = sorted(
        {0, len(data) * 8 - 1, *Random(1).sample(range(len(data) * 8), min(count, len(data) * 8))}
    )
    for bit in places:
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        yield bytes(altered)


# Versions


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(list(Kind)),
    TEXT,
    TEXT,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**53),
    TEXT,
    st.binary(max_size=600),
)
def test_a_version_comes_back(kind, type, id, version, time_ms, author, body):
    sealed = seal_version(CHART, kind, type, id, version, time_ms, author, body)
    opened = open_meta(CHART, sealed.leaf, sealed.meta)
    assert (opened.kind, opened.type, opened.id, opened.version) == (kind, type, id, version)
    assert (opened.time_ms, opened.author, opened.length) == (time_ms, author, len(body))
    assert open_body(CHART, opened, sealed.body) == body
    check_version(CHART, sealed.leaf, opened, body)


def test_a_deletion_has_no_body():
    sealed = seal(body=None)
    opened = open_meta(CHART, sealed.leaf, sealed.meta)
    assert sealed.body == b"" == open_body(CHART, opened, sealed.body)
    check_version(CHART, sealed.leaf, opened, b"")


def test_every_flipped_bit_is_refused():
    sealed = seal()
    opened = open_meta(CHART, sealed.leaf, sealed.meta)
    for leaf in flips(sealed.leaf):
        with pytest.raises(Corrupt):
            open_meta(CHART, leaf, sealed.meta)
        with pytest.raises(Corrupt):
            check_version(CHART, leaf, opened, BODY)
    for meta in flips(sealed.meta, 300):
        with pytest.raises(Corrupt):
            open_meta(CHART, sealed.leaf, meta)
    for body in flips(sealed.body, 300):
        with pytest.raises(Corrupt):
            open_body(CHART, opened, body)
    for size in (0, 1, 11, 12, 20, len(sealed.meta) - 1):
        with pytest.raises(Corrupt):
            open_meta(CHART, sealed.leaf, sealed.meta[:size])
        with pytest.raises(Corrupt):
            open_body(CHART, opened, sealed.body[:size])


def test_one_record_in_the_place_of_another_is_refused():
    """Swaps within a chart, and between charts even under equal keys."""
    a, b = seal(id="p1"), seal(id="p2")
    opened_a, opened_b = open_meta(CHART, a.leaf, a.meta), open_meta(CHART, b.leaf, b.meta)
    swaps = (
        lambda: open_meta(CHART, a.leaf, b.meta),
        lambda: open_meta(OTHER, a.leaf, a.meta),
        lambda: open_body(CHART, opened_a, b.body),
        lambda: open_body(OTHER, opened_a, a.body),
        lambda: check_version(CHART, a.leaf, opened_b, BODY),
        lambda: check_version(OTHER, a.leaf, opened_a, BODY),
    )
    for swap in swaps:
        with pytest.raises(Corrupt):
            swap()


@pytest.mark.parametrize("field", ["kind", "type", "id", "version"])
def test_the_body_is_bound_to_its_header(field):
    """The first six fields are authenticated with the body: the same secret does not open it under another name."""

    sealed = seal()
    opened = open_meta(CHART, sealed.leaf, sealed.meta)
    other = {"kind": Kind.MOVE, "type": "Group", "id": "p9", "version": 9}[field]
    with pytest.raises(Corrupt):
        open_body(CHART, msgspec.structs.replace(opened, **{field: other}), sealed.body)


def test_equal_versions_look_unrelated():
    """No byte string of one appears in another; nothing of the text is readable; nonces and secrets are fresh."""
    versions = [seal(author="demo of the loader") for _ in range(40)]  # too long to be there by chance
    for part in range(3):
        assert len({version[part][:16] for version in versions}) == 40
    secrets = {open_meta(CHART, v.leaf, v.meta).secret for v in versions}
    assert len(secrets) == 40
    for version in versions:
        joined = b"".join(version)
        assert b"Patient" not in joined and b"demo of the loader" not in joined


def test_how_a_version_was_made_does_not_show():
    """Equally long either way; a meta that was sealed before this was kept says nothing of it."""
    arguments = (CHART, Kind.VERSION, "Patient", "p1", 1, 0, "demo", BODY)
    made = [seal_version(*arguments, put_created=put_created) for put_created in (False, True)]
    assert len({len(sealed.meta) for sealed in made}) == 1
    opened = [open_meta(CHART, sealed.leaf, sealed.meta) for sealed in made]
    assert [meta.put_created for meta in opened] == [False, True]
    older = msgspec.msgpack.encode(list(msgspec.structs.astuple(opened[1]))[:-2])
    assert msgspec.msgpack.decode(older, type=Opened) == msgspec.structs.replace(opened[1], put_created=False)


def test_sizes_hide_small_differences():
    sizes = {len(seal(body=b"x" * length).body) for length in range(128)}
    assert len(sizes) == 1


def test_fields_over_their_limits_are_refused():
    for type, id, author in (("T" * 65, "p", ""), ("T", "p" * 65, ""), ("T", "p", "a" * 513)):
        with pytest.raises(Invalid):
            seal_version(CHART, Kind.VERSION, type, id, 1, 0, author, BODY)


def test_keys_have_their_sizes():
    for sizes in ((31, 32, 32, 32), (32, 31, 32, 32), (32, 32, 31, 32), (32, 32, 32, 33)):
        with pytest.raises(Invalid):
            organisation, handle, record, access = map(os.urandom, sizes)
            ChartKeys(organisation, handle, 0, record, access)


def test_rotation_changes_neither_leaf_nor_body():
    """Erasure: survivors move to the next epoch; what was not moved opens no more with the new key."""
    sealed, lost, new = seal(), seal(), CHART.next_epoch()
    meta = reseal_meta(CHART, new, sealed.leaf, sealed.meta)
    opened = open_meta(new, sealed.leaf, meta)
    assert open_body(new, opened, sealed.body) == BODY
    check_version(new, sealed.leaf, opened, BODY)
    assert (new.epoch, new.handle, new.access_key) == (1, CHART.handle, CHART.access_key)
    for keys, leaf, closed in ((new, lost.leaf, lost.meta), (CHART, sealed.leaf, meta)):
        with pytest.raises(Corrupt):
            open_meta(keys, leaf, closed)
    with pytest.raises(Invalid):
        reseal_meta(CHART, OTHER, sealed.leaf, sealed.meta)


def test_a_version_of_several_patients_is_sealed_once():
    sealed = seal()
    opened = open_meta(CHART, sealed.leaf, sealed.meta)
    leaf, meta = seal_link(OTHER, CHART, opened, BODY)
    assert leaf != sealed.leaf
    linked = open_meta(OTHER, leaf, meta)
    assert linked.home == CHART.handle
    assert open_body(OTHER, linked, sealed.body) == BODY
    check_version(OTHER, leaf, linked, BODY)
    moved = reseal_meta(OTHER, OTHER.next_epoch(), leaf, meta)
    assert moved != meta
    with pytest.raises(Corrupt):
        open_meta(CHART, leaf, meta)


# Access entries

ENTRY = AccessEntry(
    chart=4, request_id=bytes(range(16)), actor="Practitioner/7", client="demo", organisation="did:x", purpose="TREAT",
    rule="scope:system/*.cruds", permitted=True, kind="search", what="Observation?category=vital-signs", height=77,
    time_ms=1_700_000_000_123, leaves=(3, 4, 900_000), directives=("d1", "d2"),
)  # fmt: skip


def test_an_access_entry_comes_back():
    for index, entry in enumerate(
        (ENTRY, AccessEntry(4, b"", "", "", "", "", "", False, "denied", "", 0, 0))
    ):
        leaf, sealed = seal_access(CHART, index, entry)
        assert open_access(CHART, 4, index, leaf, sealed) == entry


def test_an_access_entry_is_bound_to_its_place():
    leaf, sealed = seal_access(CHART, 5, ENTRY)
    again, sealed_again = seal_access(CHART, 5, ENTRY)
    rotated = CHART.next_epoch()
    assert open_access(rotated, 4, 5, leaf, sealed) == ENTRY  # the log keeps its own key
    wrong = [
        (OTHER, 5, leaf, sealed),
        (CHART, 6, leaf, sealed),
        (CHART, 5, again, sealed),
        (CHART, 5, leaf, sealed_again),
    ]
    wrong += [(CHART, 5, altered, sealed) for altered in flips(leaf, 20)]
    wrong += [(CHART, 5, leaf, altered) for altered in flips(sealed, 200)]
    wrong += [(CHART, 5, leaf, sealed[:size]) for size in (0, 15, 16, 17, 40)]
    for chart, index, named, closed in wrong:
        with pytest.raises(Corrupt):
            open_access(chart, 4, index, named, closed)


def test_an_index_used_again_gets_another_key():
    """After a torn frame or a restored backup the same place is sealed twice: never with one key and nonce."""
    (_, first), (_, second) = seal_access(CHART, 0, ENTRY), seal_access(CHART, 0, ENTRY)
    assert first[:16] != second[:16]
    assert not any(first[at : at + 8] == second[at : at + 8] for at in range(17, len(first) - 8))


def test_leaves_of_an_entry_are_a_set():
    from msgspec.structs import replace

    leaf, sealed = seal_access(CHART, 1, replace(ENTRY, leaves=(9, 2, 9, 5)))
    assert open_access(CHART, 4, 1, leaf, sealed).leaves == (2, 5, 9)


# Index rows

ROWS = [
    Row(
        100 + n, ("Observation", "Claim")[n % 2], f"identity-{n}", 1 + n % 3, n % 5 == 0, n % 7 == 0, 10**12 + n, 50 + n // 9,
        2 * n, b"v%d" % n,
    )
    for n in range(700)
]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 32, 700])
def test_rows_come_back(count):
    sealed = seal_rows(CHART, ROWS[:count])
    assert open_rows(CHART, 100, count, sealed) == ROWS[:count]
    assert b"Observation" not in sealed and b"identity-" not in sealed


def test_rows_are_bound_to_their_place():
    sealed = seal_rows(CHART, ROWS[:32])
    wrong = [(OTHER, 100, 32, sealed), (CHART, 132, 32, sealed), (CHART, 100, 31, sealed)]
    wrong += [(CHART.next_epoch(), 100, 32, sealed)]
    wrong += [(CHART, 100, 32, altered) for altered in flips(sealed, 200)]
    wrong += [(CHART, 100, 32, sealed[:size]) for size in (0, 12, 27)]
    for chart, first, count, closed in wrong:
        with pytest.raises(Corrupt):  # at once, not when a column is read late
            open_columns(chart, first, count, closed)


def test_segments_have_limits():
    for rows in ([], ROWS[:1] * (envelope.SEGMENT_ROWS_MAX + 1), [ROWS[0], ROWS[2]], [ROWS[1], ROWS[0]]):
        with pytest.raises(Invalid):
            seal_rows(CHART, rows)


# Terms and commitments


def test_blind_terms_need_the_key():
    assert blind(b"k" * 32, b"term") == blind(b"k" * 32, b"term")
    assert len({blind(b"k" * 32, b"term"), blind(b"l" * 32, b"term"), blind(b"k" * 32, b"Term")}) == 3
    assert len(blind(b"k" * 32, b"term")) == 16


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_derivations_are_the_hmacs_of_the_protocol(secret, message):
    expected = tuple(hmac.digest(secret, name, "sha256") for name in (b"body", b"salt"))
    assert derive(secret) == expected
    assert body_key(secret) == expected[0]
    assert mac(secret, message) == hmac.digest(secret, message, "sha256")


def test_kinds_keep_their_numbers():
    """They are inside every commitment."""
    assert {kind.name: kind.value for kind in Kind} == {
        "ENROLMENT": 0, "VERSION": 1, "DELETION": 2, "GUARDIAN": 3, "DIRECTIVE": 4, "KEY_EVENT": 5, "MOVE": 6,
        "CLOSE": 7, "ACCESS": 32,
    }  # fmt: skip


def test_a_commitment_is_what_the_protocol_says():
    """Recomputed here from the text alone, with `struct`-free bytes."""
    sealed = seal()
    opened = open_meta(CHART, sealed.leaf, sealed.meta)
    salt = hmac.digest(opened.secret, b"salt", "sha256")
    digest = sha256(b"\x08cl1.body" + salt + BODY).digest()
    encoded = b"".join(
        [
            ORGANISATION, CHART.handle, b"\x01", b"\0\0\0\x07Patient", b"\0\0\0\x02p1", (1).to_bytes(8, "big"),
            (1_700_000_000_000).to_bytes(8, "big"), b"\0\0\0\x04demo", digest,
        ]
    )  # fmt: skip
    assert header_of(CHART, opened, BODY) == encoded
    assert sealed.leaf == sha256(b"\x0acl1.commit" + salt + encoded).digest()


# Vectors


def make_vectors() -> dict[str, object]:
    """Everything here is fixed bytes: no randomness, no compression (its bytes depend on the zstd release)."""
    secret, body = bytes(range(64, 96)), b'{"resourceType":"Basic","id":"b1","value":72.50}'
    cases = []
    for kind, type, id, version, author, content in (
        (Kind.ENROLMENT, "", "", 0, "", b""),
        (Kind.VERSION, "Basic", "b1", 1, "demo", body),
        (Kind.VERSION, "Basic", "zo\u00eb", 2**40, "M\u00fcller", body),
        (Kind.DELETION, "Basic", "b1", 2, "demo", b""),
    ):
        key, salt = derive(secret)
        six = first_six(place(ORGANISATION, CHART.handle), kind, type, id, version)
        encoded = header(six, 1_700_000_000_123, author, body_hash(salt, content))
        cases.append(
            {
                "organisation": ORGANISATION.hex(), "handle": CHART.handle.hex(), "kind": int(kind), "type": type,
                "id": id, "version": version, "time_ms": 1_700_000_000_123, "author": author, "body": content.hex(),
                "secret": secret.hex(), "body_key": key.hex(), "salt": salt.hex(), "header": encoded.hex(),
                "leaf": commit(salt, encoded).hex(),
                "sealed_body": envelope._seal_body(key, six, content).hex() if content else "",
            }
        )  # fmt: skip
    return {
        "commitments": cases,
        "access_entry": {"content": encode_entry(ENTRY).hex(), "leaves": list(ENTRY.leaves)},
        "blind": {"key": (b"k" * 32).hex(), "term": b"term".hex(), "token": blind(b"k" * 32, b"term").hex()},
    }


@pytest.mark.vectors
def test_vectors_have_not_drifted(vector):
    """`vectors/envelope.json` is what other programs test themselves with."""
    vector("envelope.json", make_vectors())
