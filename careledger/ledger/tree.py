"""The sparse Merkle map of protocol.md, kept in a store (`map_proof` says what its root is): one writer, many readers.

The tree is cut into buckets of at most `BUCKET_LIMIT` keys, each one value in the store under its place
(depth and path); a bucket that grows over the limit is split in two. What lies above the buckets is held in memory
and rebuilt from the store by `open`. Buckets never change a root (tests compare with `compute_root`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from careledger.ledger.map_proof import (
    EMPTY,
    VALUE_PREFIX,
    MapProof,
    hash_leaf,
    hash_node,
    hash_value,
    key_bit,
)
from careledger.ledger.store.kv import KV
from careledger.primitives.errors import Corrupt, Invalid
from careledger.primitives.hashing import new_sha256

BUCKET_LIMIT = 6
DEPTH_LIMIT = 62
"""Buckets at this depth are never split: keys are digests, so nobody fills one."""

_ROOT_PLACE = 1
"""Places are heap indexes: 1 is the root, 2·p and 2·p+1 are the halves of p."""


class _Bucket:
    """The keys below one place, ascending, with their leaf hashes and values.

    Stored: root 32 | u16 count | keys | leaf hashes | u32 lengths of the values | values.
    """

    __slots__ = ("keys", "leaves", "values")

    def __init__(self, keys: list[bytes], leaves: list[bytes], values: list[bytes]) -> None:
        self.keys = keys
        self.leaves = leaves
        self.values = values

    @classmethod
    def from_bytes(cls, data: bytes) -> _Bucket:
        count = data[32] << 8 | data[33]
        middle = 34 + 32 * count
        end = middle + 32 * count
        at = end + 4 * count
        values = []
        for size in struct.unpack_from(f">{count}I", data, end):
            values.append(data[at : at + size])
            at += size
        return cls(
            [data[i : i + 32] for i in range(34, middle, 32)],
            [data[i : i + 32] for i in range(middle, end, 32)],
            values,
        )

    def to_bytes(self, root: bytes) -> bytes:
        count = len(self.keys)
        sizes = struct.pack(f">H{count}I", count, *map(len, self.values))
        return b"".join((root, sizes[:2], *self.keys, *self.leaves, sizes[2:], *self.values))

    def apply(self, changes: Iterable[tuple[bytes, bytes | None]]) -> int:
        """Sets and removes keys; by how many the bucket grew."""
        keys = self.keys
        before = len(keys)
        for key, value in changes:
            at = 0
            end = len(keys)
            while at < end and keys[at] < key:
                at += 1
            present = at < end and keys[at] == key
            if value is None:
                if present:
                    del keys[at], self.leaves[at], self.values[at]
                continue
            leaf = new_sha256(b"\x02" + key + new_sha256(VALUE_PREFIX + value).digest()).digest()
            if present:
                self.leaves[at] = leaf
                self.values[at] = value
            else:
                keys.insert(at, key)
                self.leaves.insert(at, leaf)
                self.values.insert(at, value)
        return len(keys) - before

    def half(self, depth: int) -> tuple[_Bucket, _Bucket]:
        """The two buckets below this one, which lies at `depth`."""
        at = sum(1 for key in self.keys if not key_bit(key, depth))
        return (
            _Bucket(self.keys[:at], self.leaves[:at], self.values[:at]),
            _Bucket(self.keys[at:], self.leaves[at:], self.values[at:]),
        )


def _subtree_root(keys: list[bytes], leaves: list[bytes], low: int, high: int, depth: int) -> bytes:
    """Root over leaves low … high − 1 (at least one), whose keys ascend and share their first `depth` bits."""
    if high - low == 1:
        return leaves[low]
    byte, mask = depth >> 3, 128 >> (depth & 7)
    if not keys[high - 1][byte] & mask:
        return new_sha256(b"\x03" + _subtree_root(keys, leaves, low, high, depth + 1) + EMPTY).digest()
    if keys[low][byte] & mask:
        return new_sha256(b"\x03" + EMPTY + _subtree_root(keys, leaves, low, high, depth + 1)).digest()
    middle = low + 1
    while not keys[middle][byte] & mask:
        middle += 1
    left = leaves[low] if middle - low == 1 else _subtree_root(keys, leaves, low, middle, depth + 1)
    right = leaves[middle] if high - middle == 1 else _subtree_root(keys, leaves, middle, high, depth + 1)
    return new_sha256(b"\x03" + left + right).digest()


def compute_root(items: Mapping[bytes, bytes]) -> bytes:
    """The root of a map, straight from the definition: the plain twin of `MapTree`."""

    def root(keys: list[bytes], depth: int) -> bytes:
        if not keys:
            return EMPTY
        if len(keys) == 1:
            return hash_leaf(keys[0], hash_value(items[keys[0]]))
        halves: tuple[list[bytes], list[bytes]] = ([], [])
        for key in keys:
            halves[key_bit(key, depth)].append(key)
        return hash_node(root(halves[0], depth + 1), root(halves[1], depth + 1))

    return root(sorted(items), 0)


def _place_key(place: int) -> bytes:
    return place.to_bytes(8, "big")


class ValueReader:
    """Reads values by the store alone, for processes that do not hold the tree. Remembers how deep buckets lie."""

    __slots__ = ("_depth",)

    def __init__(self) -> None:
        self._depth = 0

    def read(self, kv: KV, key: bytes) -> bytes | None:
        """The value of the key, or None. Raises Corrupt rather than return a value that was not set."""
        path = int.from_bytes(key[:8], "big") | 1 << 64
        data = kv.get(_place_key(path >> (64 - self._depth)))
        if data is None:
            data = self._search(kv, path)
        return None if data is None else _value_in(data, key)

    def _search(self, kv: KV, path: int) -> bytes | None:
        """The bucket on the path, nearest depths first: none other lies above or below it."""
        last = self._depth
        for away in range(1, DEPTH_LIMIT + 1):
            for depth in (last + away, last - away):
                if 0 <= depth <= DEPTH_LIMIT:
                    data = kv.get(_place_key(path >> (64 - depth)))
                    if data is not None:
                        self._depth = depth
                        return data
        return None


def _value_in(bucket: bytes, key: bytes) -> bytes | None:
    """The key's value in a stored bucket, opened no further than needed, and checked against its leaf."""
    try:
        count = bucket[32] << 8 | bucket[33]
        end = 34 + 64 * count
        sizes = struct.unpack_from(f">{count}I", bucket, end)
    except (IndexError, struct.error):
        raise Corrupt("a bucket of a ledger map is cut short", hint="run `careledger fsck`") from None
    for at in range(count):
        if bucket.startswith(key, 34 + 32 * at):
            start = end + 4 * count + sum(sizes[:at])
            value = bucket[start : start + sizes[at]]
            if not bucket.startswith(hash_leaf(key, hash_value(value)), end - 32 * (count - at)):
                raise Corrupt("a value of a ledger map was altered", hint="run `careledger fsck`")
            return value
    return None


class MapTree:
    """A map in a KV of its own (give it a PrefixKV), its top in memory. One writer.

    The memory follows the last `update`: after the caller aborted the transaction that held it, call `reset`. Raises
    Corrupt if a stored bucket is missing.
    """

    __slots__ = ("_buckets", "_depth", "_nodes", "_singles")

    def __init__(self) -> None:
        self._nodes: dict[int, bytes] = {}  # place -> root of the subtree there
        self._buckets: set[int] = set()
        self._singles: set[int] = set()  # places whose subtree is exactly one leaf
        self._depth = 0  # where most buckets lie
        self._clear()

    @classmethod
    def open(cls, kv: KV) -> MapTree:
        """The map that `kv` holds; empty if it holds none."""
        tree = cls()
        tree.reset(kv)
        return tree

    @property
    def root(self) -> bytes:
        """Root after the last update."""
        return self._nodes[_ROOT_PLACE]

    def reset(self, kv: KV) -> None:
        """Forgets the memory and reads it again from the store."""
        self._clear()
        places = set()
        for key, data in kv.scan(b"\x00", b"\xff"):
            place = int.from_bytes(key, "big")
            self._nodes[place] = data[:32]
            places.add(place)
            if data[32:34] == b"\x00\x01":
                self._singles.add(place)
        if places:
            self._buckets = places
            self._depth = max(places).bit_length() - 1
            self._rise({place >> 1 for place in places} - {0})

    def _clear(self) -> None:
        self._nodes = {_ROOT_PLACE: EMPTY}
        self._buckets = {_ROOT_PLACE}
        self._singles = set()
        self._depth = 0

    def _locate(self, key: bytes) -> int:
        """The place of the bucket where the key belongs."""
        path = int.from_bytes(key[:8], "big") | 1 << 64
        buckets, depth = self._buckets, self._depth
        place = path >> (64 - depth)
        if place in buckets:
            return place
        if place in self._nodes:
            while place not in buckets:
                depth += 1
                place = path >> (64 - depth)
        else:
            while place not in buckets:
                place >>= 1
        return place

    def _load(self, kv: KV, place: int) -> _Bucket:
        data = kv.get(_place_key(place))
        if data is None:
            if place == _ROOT_PLACE and self._nodes[place] == EMPTY:
                return _Bucket([], [], [])
            raise Corrupt("a bucket of a ledger map is missing", hint="run `careledger fsck`")
        try:
            return _Bucket.from_bytes(data)
        except (IndexError, struct.error):
            raise Corrupt("a bucket of a ledger map is cut short", hint="run `careledger fsck`") from None

    def get(self, kv: KV, key: bytes) -> bytes | None:
        """The value of the key, or None. Raises Corrupt rather than return a value that was not set."""
        bucket = self._load(kv, self._locate(key))
        if key not in bucket.keys:
            return None
        at = bucket.keys.index(key)
        value = bucket.values[at]
        if hash_leaf(key, hash_value(value)) != bucket.leaves[at]:
            raise Corrupt("a value of a ledger map was altered", hint="run `careledger fsck`")
        return value

    def update(self, kv: KV, changes: Mapping[bytes, bytes | None]) -> bytes:
        """Sets every key to its value, removes those with None; the new root."""
        dirty: set[int] = set()
        for place, group in self._grouped(changes).items():
            bucket = self._load(kv, place)
            bucket.apply(group)
            self._store(kv, place, bucket, dirty)
        self._rise(dirty)
        return self._nodes[_ROOT_PLACE]

    def preview(self, kv: KV, changes: Mapping[bytes, bytes | None]) -> bytes:
        """The root that `update` would give; nothing is changed."""
        nodes: dict[int, bytes] = {}
        singles: dict[int, bool] = {}
        for place, group in self._grouped(changes).items():
            bucket = self._load(kv, place)
            bucket.apply(group)
            count = len(bucket.keys)
            depth = place.bit_length() - 1
            nodes[place] = _subtree_root(bucket.keys, bucket.leaves, 0, count, depth) if count else EMPTY
            singles[place] = count == 1
        for depth in range(max((place.bit_length() for place in nodes), default=1), 1, -1):
            for place in {one >> 1 for one in nodes if one.bit_length() == depth}:
                below = (2 * place, 2 * place + 1)
                left, right = (nodes.get(one) or self._nodes[one] for one in below)
                full = below[0] if right == EMPTY else below[1]
                is_single = singles.get(full, full in self._singles)
                if left != EMPTY and right != EMPTY:
                    nodes[place], singles[place] = hash_node(left, right), False
                elif left == right:
                    nodes[place], singles[place] = EMPTY, False
                else:
                    alone = left if right == EMPTY else right
                    nodes[place] = alone if is_single else hash_node(left, right)
                    singles[place] = is_single
        return nodes.get(_ROOT_PLACE, self.root)

    def _grouped(self, changes: Mapping[bytes, bytes | None]) -> dict[int, list[tuple[bytes, bytes | None]]]:
        """The changes by the bucket where they belong."""
        groups: dict[int, list[tuple[bytes, bytes | None]]] = {}
        for change in changes.items():
            if len(change[0]) != 32:
                raise Invalid("a map key has 32 bytes")
            place = self._locate(change[0])
            group = groups.get(place)
            if group is None:
                groups[place] = [change]
            else:
                group.append(change)
        return groups

    def _store(self, kv: KV, place: int, bucket: _Bucket, dirty: set[int]) -> None:
        """Writes a bucket, split as far as needed; `dirty` gains the places above that must be hashed again."""
        depth = place.bit_length() - 1
        count = len(bucket.keys)
        if count > BUCKET_LIMIT and depth < DEPTH_LIMIT:
            self._buckets.discard(place)
            self._singles.discard(place)
            kv.delete(_place_key(place))
            left, right = bucket.half(depth)
            self._nodes[place] = EMPTY
            self._store(kv, 2 * place, left, dirty)
            self._store(kv, 2 * place + 1, right, dirty)
            return
        root = _subtree_root(bucket.keys, bucket.leaves, 0, count, depth) if count else EMPTY
        if count == 1:
            self._singles.add(place)
        else:
            self._singles.discard(place)
        self._nodes[place] = root
        self._buckets.add(place)
        if depth > self._depth:
            self._depth = depth
        kv.put(_place_key(place), bucket.to_bytes(root))
        if place > 1:
            dirty.add(place >> 1)

    def _rise(self, dirty: set[int]) -> None:
        """Hashes the dirty places and everything above them, deepest first."""
        levels: dict[int, set[int]] = {}
        for place in dirty:
            levels.setdefault(place.bit_length(), set()).add(place)
        nodes, singles, sha256 = self._nodes, self._singles, new_sha256
        for depth in range(max(levels, default=0), 0, -1):
            level = levels.get(depth)
            if level is None:
                continue
            for place in sorted(level):  # neighbours lie close in memory
                left, right = nodes[2 * place], nodes[2 * place + 1]
                if left != EMPTY and right != EMPTY:
                    nodes[place] = sha256(b"\x03" + left + right).digest()
                    if place in singles:
                        singles.discard(place)
                else:
                    self._join(place, left, right)
            if depth > 1:
                levels.setdefault(depth - 1, set()).update([place >> 1 for place in level])

    def _join(self, place: int, left: bytes, right: bytes) -> None:
        """One half at least is empty: the other alone may be a single leaf, which then stands here too."""
        full = 2 * place if right == EMPTY else 2 * place + 1
        if left == right:
            self._nodes[place] = EMPTY
            self._singles.discard(place)
        elif full in self._singles:
            self._nodes[place] = self._nodes[full]
            self._singles.add(place)
        else:
            self._nodes[place] = hash_node(left, right)
            self._singles.discard(place)

    # For `past`: places, and what stands there

    def place_of(self, key: bytes) -> int:
        """The place of the bucket where the key belongs."""
        return self._locate(key)

    def node(self, place: int) -> bytes:
        """Root of the subtree at a place. Raises Corrupt if there is none."""
        found = self._nodes.get(place)
        if found is None:
            raise Corrupt("a place of a ledger map is missing", hint="run `careledger fsck`")
        return found

    def is_bucket(self, place: int) -> bool:
        """Whether a bucket stands there."""
        return place in self._buckets

    def is_single(self, place: int) -> bool:
        """Whether the subtree there is exactly one leaf."""
        return place in self._singles

    def load(self, kv: KV, place: int) -> _Bucket:
        """The bucket there."""
        return self._load(kv, place)

    def prove(self, kv: KV, key: bytes) -> MapProof:
        """The proof that the key has the value that `get` returns, or that it is absent."""
        nodes, depth = self._nodes, 0
        siblings: list[bytes] = []
        place = _ROOT_PLACE
        while place not in self._buckets and place not in self._singles and nodes[place] != EMPTY:
            bit = key_bit(key, depth)
            siblings.append(nodes[2 * place + 1 - bit])
            place = 2 * place + bit
            depth += 1
        while place not in self._buckets:  # one leaf or none below: the walk does not ask which half
            place = 2 * place + (nodes[2 * place] == EMPTY)
        bucket = self._load(kv, place)
        return self._prove_within(bucket, key, depth, siblings)

    @staticmethod
    def _prove_within(bucket: _Bucket, key: bytes, depth: int, siblings: list[bytes]) -> MapProof:
        keys, leaves = bucket.keys, bucket.leaves
        low, high = 0, len(keys)
        while high - low > 1:
            middle = low
            while middle < high and not key_bit(keys[middle], depth):
                middle += 1
            halves = (low, middle), (middle, high)
            bit = key_bit(key, depth)
            (low, high), (start, end) = halves[bit], halves[1 - bit]
            depth += 1
            siblings.append(_subtree_root(keys, leaves, start, end, depth) if end > start else EMPTY)
        other = None
        if high - low == 1 and keys[low] != key:
            other = (keys[low], hash_value(bucket.values[low]))
        return MapProof(tuple(None if sibling == EMPTY else sibling for sibling in siblings), other)
