"""Logical snapshots: a replica that begins with one goes on as the others do, and a false one changes nothing."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.ledger.consensus import index, snapshots
from careledger.ledger.consensus.replica import Decided, Replica
from careledger.ledger.log import Frontier
from careledger.ledger.store.kv import PrefixKV
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.tree import MapTree, compute_root
from careledger.primitives.errors import CareLedgerError, Corrupt, VerificationFailed
from careledger.primitives.hashing import sha256
from tests.contracts.network import (
    CLINIC,
    HOSPITAL,
    LABORATORY,
    PHARMACY,
    RULES,
    NetworkPlay,
    change_parameter,
    make_genesis,
)

FOUNDERS = [org.founder() for org in (HOSPITAL, CLINIC, LABORATORY, PHARMACY)]
SECONDS_MAX = 30.0


def make_play(blocks: int = 5, keys: int = 0) -> NetworkPlay:
    """A network after so many blocks, some with a vote, its state filled up with `keys` more entries."""
    play = NetworkPlay(FOUNDERS)
    tree, state = play.replica._tree, PrefixKV(play.kv, index.STATE_PREFIX)
    filling = {sha256(number.to_bytes(4, "big")): b"\x01" * (60 + number % 120) for number in range(keys)}
    snapshots.fill_map(tree, state, sorted(filling.items()))
    for at in range(blocks):
        if at == 1:
            play.propose(HOSPITAL, change_parameter())
        else:
            play.run()
    return play


def chunks_of(play: NetworkPlay) -> list[bytes]:
    return list(snapshots.make_chunks(play.kv, play.replica.genesis_hash))


def fresh() -> tuple[MemoryKV, Replica]:
    kv = MemoryKV()
    return kv, Replica.create(kv, make_genesis(FOUNDERS), RULES)


def refused(chunks: list[bytes]) -> CareLedgerError:
    """Why a fresh replica does not take these chunks; its store, aborted, is as before."""
    kv, replica = fresh()
    tried = kv.copy()
    with pytest.raises(VerificationFailed) as caught:
        replica.restore(tried, snapshots.read_chunks(chunks))
    replica.reset(kv)
    assert replica.height == 0
    return caught.value


def test_a_restored_replica_is_the_one_it_was_taken_of_and_goes_on_alike() -> None:
    play = make_play(blocks=7, keys=500)
    kv, replica = fresh()
    replica.restore(kv, snapshots.read_chunks(chunks_of(play)))
    assert (replica.height, replica.time_ms, replica.app_hash) == (7, play.now_ms, play.replica.app_hash)
    assert replica.frontier().to_bytes() == play.replica.frontier().to_bytes()
    assert chunks_of(play) == list(snapshots.make_chunks(kv, replica.genesis_hash))
    for height in range(8, 40):
        decided = Decided(height, play.now_ms + 1000 * height, ())
        ours, theirs = replica.finalise(kv, decided), play.replica.finalise(play.kv, decided)
        assert (ours.app_hash, ours.block) == (theirs.app_hash, theirs.block)
    again = Replica.open(kv, RULES)
    assert (again.height, again.app_hash) == (39, play.replica.app_hash)
    for height in range(7, 40):  # from its first block on, it proves what the others prove
        assert replica.history_path(kv, height, 40) == play.replica.history_path(play.kv, height, 40)
        assert replica.block(kv, height) == play.replica.block(play.kv, height)
    assert replica.history_subtrees(kv, [8, 21, 40]) == play.replica.history_subtrees(play.kv, [8, 21, 40])
    with pytest.raises(Corrupt):
        replica.history_path(kv, 3, 40)  # and nothing of before


def test_what_stood_there_before_is_gone() -> None:
    full, play = make_play(blocks=3, keys=500), make_play(blocks=7)
    full.replica.restore(full.kv, snapshots.read_chunks(chunks_of(play)))
    assert chunks_of(full) == chunks_of(play)
    assert Replica.open(full.kv, RULES).app_hash == play.replica.app_hash


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.binary(min_size=32, max_size=32), st.binary(max_size=90), max_size=120),
    st.sets(st.integers(0, 119), max_size=60),
)
def test_every_map_comes_back_in_key_order(items: dict[bytes, bytes], removed: set[int]) -> None:
    kv = MemoryKV()
    tree = MapTree.open(kv)
    for key, value in items.items():
        tree.update(kv, {key: value})
    gone = {key: None for at, key in enumerate(items) if at in removed}
    tree.update(kv, gone)
    kept = sorted((key, value) for key, value in items.items() if key not in gone)
    assert list(snapshots.scan_entries(kv)) == kept
    copy = MapTree()
    assert snapshots.fill_map(copy, MemoryKV(), kept) == tree.root == compute_root(dict(kept))


def test_what_was_altered_in_the_store_makes_no_snapshot() -> None:
    play = make_play(keys=50)
    state = PrefixKV(play.kv, index.STATE_PREFIX)
    key, bucket = next(iter(state.scan(b"\x00", b"\xff")))
    state.put(key, bucket[:-1] + bytes([bucket[-1] ^ 1]))
    with pytest.raises(Corrupt):
        chunks_of(play)


def test_metadata_and_chunks_are_compared_with_the_snapshots_hash() -> None:
    chunks = chunks_of(make_play())
    metadata = snapshots.compute_metadata(map(sha256, chunks))
    name = snapshots.compute_hash(metadata)
    hashes = snapshots.read_metadata(metadata, len(chunks), name)
    for chunk, chunk_hash in zip(chunks, hashes, strict=True):
        snapshots.check_chunk(chunk, chunk_hash)
    for wrong in (chunks[1][:-1], chunks[1] + b"\x00", chunks[0]):
        with pytest.raises(VerificationFailed):
            snapshots.check_chunk(wrong, hashes[1])
    swapped = snapshots.compute_metadata(hashes[::-1])
    for told, count in ((swapped, 2), (metadata[:-1], 2), (metadata, 3), (metadata[:32], 1), (b"", 0)):
        with pytest.raises(VerificationFailed):
            snapshots.read_metadata(told, count, name)
    many = bytes(32 * (snapshots.CHUNKS_MAX + 1))
    with pytest.raises(VerificationFailed):
        snapshots.read_metadata(many, snapshots.CHUNKS_MAX + 1, snapshots.compute_hash(many))


def test_a_false_snapshot_changes_nothing() -> None:
    play = make_play(keys=40)
    head_chunk, entries_chunk = chunks_of(play)
    head, entries = snapshots.HEAD.decode(head_chunk), snapshots.ENTRIES.decode(entries_chunk)

    def with_head(**changes: object) -> list[bytes]:
        return [snapshots.HEAD.encode(replace(head, **changes)), entries_chunk]  # type: ignore[arg-type]

    def with_entries(changed: list[tuple[bytes, bytes]]) -> list[bytes]:
        return [head_chunk, snapshots.ENTRIES.encode(tuple(changed))]

    listed = list(entries)
    key, value = listed[20]
    other = Frontier.from_bytes(head.history)
    other.peaks[0] = sha256(b"another history")
    longer = Frontier.from_bytes(head.history)
    longer.append(sha256(b"one more"))
    assert "app hash" in refused(with_entries([*listed[:20], (key, value + b"\x00"), *listed[21:]])).message
    assert "app hash" in refused(with_entries(listed[:-1])).message
    assert "app hash" in refused(with_entries([*listed, (b"\xff" * 32, b"more")])).message
    assert "app hash" in refused(with_head(app_hash=sha256(b"another"))).message
    assert "ascend" in refused(with_entries([listed[1], listed[0], *listed[2:]])).message
    assert "ascend" in refused(with_entries([listed[0], *listed])).message
    assert "history" in refused(with_head(history=other.to_bytes())).message
    assert "history" in refused(with_head(height=head.height + 1)).message
    assert "history" in refused(with_head(height=head.height + 1, history=longer.to_bytes())).message
    assert "another ledger" in refused(with_head(genesis_hash=sha256(b"another"))).message
    assert "cannot be read" in refused([head_chunk, entries_chunk[:-1]]).message
    assert "cannot be read" in refused([head_chunk + b"\x00", entries_chunk]).message
    assert "cannot be read" in refused([]).message


def test_the_head_is_compared_with_what_trusted_headers_say() -> None:
    play = make_play()
    head = snapshots.HEAD.decode(chunks_of(play)[0])
    expected = snapshots.Expected(play.replica.genesis_hash, 5, play.now_ms, play.replica.app_hash)
    snapshots.check_head(head, expected)
    changes: list[dict[str, object]] = [
        {"genesis_hash": sha256(b"other")}, {"height": 6}, {"time_ms": 1}, {"app_hash": sha256(b"other")},
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(VerificationFailed):
            snapshots.check_head(replace(head, **change), expected)  # type: ignore[arg-type]


def test_100_000_keys_are_taken_and_restored_in_seconds() -> None:
    play = make_play(blocks=3, keys=100_000)
    began = time.perf_counter()
    chunks = chunks_of(play)
    made = time.perf_counter()
    assert len(chunks) > 10
    assert all(len(chunk) <= snapshots.CHUNK_BYTES + 1024 for chunk in chunks)
    kv, replica = fresh()
    replica.restore(kv, snapshots.read_chunks(chunks))
    done = time.perf_counter()
    assert replica.app_hash == play.replica.app_hash
    size = sum(map(len, chunks)) / 1e6
    print(f"\n100,000 keys, {size:.1f} MB: made in {made - began:.2f} s, restored in {done - made:.2f} s")
    assert done - began < SECONDS_MAX
