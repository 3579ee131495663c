"""Logical snapshots: all that a replica needs to go on from a height, as chunks that anybody can check.

Never a file of a store: entries of the state, in key order, and what cannot be read off them. Equal ledgers give equal
chunks at equal heights, so a chunk can come from whoever has it. Format 1:

    chunk 0          head: genesis, height, time, app hash, history log before this block
    chunk 1, 2, …    entries of the state, keys strictly ascending over all chunks; about 1 MiB each
    metadata         SHA-256 of each chunk, in order; the snapshot's hash is H(`cl1.snapshot`, metadata)

What is not in it: older blocks, receipts and events, interior nodes of the history log and of contracts' logs. A
replica that began with a snapshot proves everything from that height on, and nothing of before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from careledger.ledger.consensus import index
from careledger.ledger.consensus.chain import HISTORY_PREFIX
from careledger.ledger.execution import HISTORY
from careledger.ledger.log import SIZE_LIMIT, Frontier, Node
from careledger.ledger.map_proof import EMPTY, hash_leaf, hash_value
from careledger.ledger.store.kv import KV, PrefixKV
from careledger.ledger.tree import MapTree
from careledger.primitives.encoding import DIGEST, U64, Bytes, List, Pair, Schema
from careledger.primitives.errors import Corrupt, Invalid, VerificationFailed
from careledger.primitives.hashing import DIGEST_SIZE, sha256, tagged

FORMAT: Final = 1
CHUNK_BYTES: Final = 1 << 20
"""A chunk of entries ends before it would be larger, unless one entry alone is."""
CHUNK_BYTES_MAX: Final = 8 << 20
CHUNKS_MAX: Final = 1_024
SIZE_MAX: Final = CHUNKS_MAX * CHUNK_BYTES
"""Of all chunks together: they are held in memory until all are there."""
VALUE_BYTES_MAX: Final = 4 << 20
ENTRIES_MAX: Final = 1 << 20
"""Of one chunk."""
_FRONTIER_BYTES_MAX: Final = 8 + DIGEST_SIZE * (SIZE_LIMIT.bit_length() - 1)
_ENTRY_BYTES: Final = DIGEST_SIZE + 4

Entry = tuple[bytes, bytes]
"""A hashed state key and its value."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a snapshot is of. `history` is the history log's frontier before the leaf of this block."""

    genesis_hash: bytes
    height: int
    time_ms: int
    app_hash: bytes
    history: bytes


HEAD: Schema[Head] = Schema(
    Head,
    genesis_hash=DIGEST,
    height=U64,
    time_ms=U64,
    app_hash=DIGEST,
    history=Bytes(_FRONTIER_BYTES_MAX, least=8),
)
ENTRIES: List[Entry] = List(Pair(DIGEST, Bytes(VALUE_BYTES_MAX)), ENTRIES_MAX)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a snapshot must be of, from headers that are trusted."""

    genesis_hash: bytes
    height: int
    time_ms: int
    app_hash: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """A snapshot, read. That the entries have the head's app hash is checked when they are put in place."""

    head: Head
    history: Frontier
    entries: tuple[Entry, ...]


# Making one


def make_chunks(kv: KV, genesis_hash: bytes) -> Iterator[bytes]:
    """The chunks of the newest state that `kv` shows. Raises Corrupt rather than give what was not set.

    Take your time between them: nothing is held but a list of the tree's places.
    """
    meta = kv.get(index.META_KEY)
    if meta is None or len(meta) < 56:
        raise Corrupt("the ledger's head is missing", hint="run `careledger fsck`")
    height = int.from_bytes(meta[:8], "big")
    history = Frontier.at(height, index.node_getter(kv, HISTORY_PREFIX))
    time_ms, app_hash = int.from_bytes(meta[8:16], "big"), meta[16:48]
    yield HEAD.encode(Head(genesis_hash, height, time_ms, app_hash, history.to_bytes()))
    part: list[Entry] = []
    size = 0
    for key, value in scan_entries(PrefixKV(kv, index.STATE_PREFIX)):
        if part and size + _ENTRY_BYTES + len(value) > CHUNK_BYTES:
            yield ENTRIES.encode(tuple(part))
            part, size = [], 0
        part.append((key, value))
        size += _ENTRY_BYTES + len(value)
    if part:
        yield ENTRIES.encode(tuple(part))


def scan_entries(kv: KV) -> Iterator[Entry]:
    """Every entry of a stored map (`ledger.tree`) in key order. Raises Corrupt at one that was altered."""
    reader = MapTree()
    places = [int.from_bytes(key, "big") for key, _ in kv.scan(b"\x00", b"\xff")]
    places.sort(key=_first_key)
    for place in places:
        bucket = reader.load(kv, place)
        for key, leaf, value in zip(bucket.keys, bucket.leaves, bucket.values, strict=True):
            if hash_leaf(key, hash_value(value)) != leaf:
                raise Corrupt("a value of a ledger map was altered", hint="run `careledger fsck`")
            yield key, value


def _first_key(place: int) -> int:
    """The first 64 bits of the least key that belongs below a place."""
    depth = place.bit_length() - 1
    return (place ^ (1 << depth)) << (64 - depth)


def compute_metadata(hashes: Iterable[bytes]) -> bytes:
    """What tells a snapshot's chunks."""
    return b"".join(hashes)


def compute_hash(metadata: bytes) -> bytes:
    """The snapshot's name."""
    return tagged("cl1.snapshot", metadata)


# Taking one in


def read_metadata(metadata: bytes, chunks: int, snapshot_hash: bytes) -> tuple[bytes, ...]:
    """The hash of each chunk. Raises VerificationFailed if this is not the metadata of that snapshot."""
    if (
        not 1 < chunks <= CHUNKS_MAX
        or len(metadata) != chunks * DIGEST_SIZE
        or compute_hash(metadata) != snapshot_hash
    ):
        raise VerificationFailed("the snapshot's metadata are not its own", hint="another peer has another")
    return tuple([metadata[at : at + DIGEST_SIZE] for at in range(0, len(metadata), DIGEST_SIZE)])


def check_chunk(chunk: bytes, chunk_hash: bytes) -> None:
    """Raises VerificationFailed unless this is that chunk."""
    if len(chunk) > CHUNK_BYTES_MAX or sha256(chunk) != chunk_hash:
        raise VerificationFailed("a chunk of the snapshot is another", hint="fetch it from another peer")


def check_head(head: Head, expected: Expected) -> None:
    """Raises VerificationFailed unless the snapshot is of the block that trusted headers name."""
    if Expected(head.genesis_hash, head.height, head.time_ms, head.app_hash) != expected:
        raise VerificationFailed("the snapshot is not of the block that the headers name")


def read_chunks(chunks: Sequence[bytes]) -> Contents:
    """The snapshot of all its chunks, in order. Raises VerificationFailed if they are not of this form."""
    try:
        head = HEAD.decode(chunks[0])
        history = Frontier.from_bytes(head.history)
        entries = tuple([entry for chunk in chunks[1:] for entry in ENTRIES.decode(chunk)])
    except (Invalid, IndexError):
        raise VerificationFailed("a chunk of the snapshot cannot be read") from None
    if history.size != head.height or not head.height:
        raise VerificationFailed("the snapshot's history is not as long as its height says")
    if any(left[0] >= right[0] for left, right in zip(entries, entries[1:], strict=False)):
        raise VerificationFailed("the snapshot's keys do not ascend")
    return Contents(head, history, entries)


def fill_map(tree: MapTree, kv: KV, entries: Sequence[Entry]) -> bytes:
    """Put ascending entries into an empty map; its root.

    Every second, then every second of the rest, and so on: each round grows all buckets a little, where keys in
    order would grow one without end.
    """
    stride = 1 << max(len(entries).bit_length() - 6, 0)
    tree.update(kv, dict(entries[::stride]))
    while stride > 1:
        stride >>= 1
        tree.update(kv, dict(entries[stride :: 2 * stride]))
    return tree.root


def restore_state(kv: KV, contents: Contents) -> MapTree:
    """Put the snapshot's state in the place of what `kv` holds. Raises VerificationFailed; then abort the transaction."""
    state, head = PrefixKV(kv, index.STATE_PREFIX), contents.head
    for key in [key for key, _ in state.scan(b"\x00", b"\xff")]:
        state.delete(key)
    tree = MapTree()
    if fill_map(tree, state, contents.entries) != head.app_hash or head.app_hash == EMPTY:
        raise VerificationFailed("the snapshot's entries do not have its app hash")
    known = tree.get(state, HISTORY.state_key(b""))
    before = None if known is None else HISTORY.value.decode(known)
    if before is None or (before.size, before.root) != (head.height, contents.history.root()):
        raise VerificationFailed("the snapshot's history is not the one that its state names")
    index.put_nodes(kv, HISTORY_PREFIX, list_peaks(contents.history))
    return tree


def list_peaks(frontier: Frontier) -> list[Node]:
    """A log's peaks as nodes: with them, what is appended later can be proved, and nothing of before."""
    found: list[Node] = []
    start = 0
    for peak in frontier.peaks:
        level = (frontier.size - start).bit_length() - 1
        found.append((level, start >> level, peak))
        start += 1 << level
    return found
