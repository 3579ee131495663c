"""What a map was at marked heights: old nodes and buckets, kept when they first change after a mark.

A mark costs nothing when it is made. The first change of a bucket after it keeps the bucket's old bytes and the old
hashes of the places above it under (place, mark); what has not changed since is read from the map itself. So the past
map of a mark is known by what was kept at it or at any later mark, place by place. docs/decisions/0017-pins.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from careledger.ledger.map_proof import EMPTY, MapProof, hash_leaf, hash_value, key_bit
from careledger.ledger.store.kv import KV
from careledger.ledger.tree import MapTree
from careledger.ledger.tree import _Bucket as Bucket
from careledger.primitives.errors import Corrupt

ROOT_PLACE = 1
NODE, SINGLE, BUCKET = b"N", b"S", b"B"
"""What is kept: the hash of a subtree, one that is exactly one leaf, or a whole bucket (empty: no keys)."""

Later = Callable[[int, int], bytes | None]
"""What was kept of a place at the first mark from this one on; None if nothing was."""


def past_key(place: int, mark: int) -> bytes:
    """Where it is kept: marks of one place follow each other."""
    return place.to_bytes(8, "big") + mark.to_bytes(8, "big")


class Keeper:
    """Keeps old places of one map at the newest mark. After an aborted transaction, `reset`."""

    def __init__(self) -> None:
        self.mark: int | None = None
        self._kept: dict[int, bytes] = {}

    def reset(self, mark: int | None) -> None:
        """The newest mark is this one; what was kept at it is in the store."""
        self.mark = mark
        self._kept = {}

    def keep(self, tree: MapTree, kv: KV, past: KV, keys: Iterable[bytes]) -> None:
        """Call before these keys change: what they lie under is kept as it is, unless it is already."""
        mark = self.mark
        if mark is None:
            return
        for key in keys:
            path: list[int] = []
            place = tree.place_of(key)
            bucket = place
            while place:
                kind = self._kind(past, place, mark)
                if kind:
                    if kind == BUCKET and place != bucket:
                        path = []  # split since the mark: what lies below is new
                    break
                path.append(place)
                place >>= 1
            for place in path:
                data = self._data(tree, kv, place)
                past.put(past_key(place, mark), data)
                self._kept[place] = data[:1]

    def _kind(self, past: KV, place: int, mark: int) -> bytes:
        found = self._kept.get(place)
        if found is None:
            found = (past.get(past_key(place, mark)) or b"")[:1]
            if found:
                self._kept[place] = found
        return found

    @staticmethod
    def _data(tree: MapTree, kv: KV, place: int) -> bytes:
        if tree.is_bucket(place):
            return BUCKET + (kv.get(place.to_bytes(8, "big")) or b"")
        return (SINGLE if tree.is_single(place) else NODE) + tree.node(place)


class PastMap:
    """The map as it was at a mark. Only while nobody changes the map."""

    def __init__(self, tree: MapTree, kv: KV, later: Later, mark: int) -> None:
        self._tree = tree
        self._kv = kv
        self._later = later
        self._mark = mark
        self._read: dict[int, bytes | None] = {}

    @property
    def root(self) -> bytes:
        """Root at the mark."""
        return self._node(ROOT_PLACE)

    def prove(self, key: bytes) -> tuple[bytes | None, MapProof]:
        """The value at the mark (None: absent), and its proof."""
        depth, place = 0, ROOT_PLACE
        siblings: list[bytes] = []
        while not (self._is_bucket(place) or self._is_single(place)) and self._node(place) != EMPTY:
            bit = key_bit(key, depth)
            siblings.append(self._node(2 * place + 1 - bit))
            place = 2 * place + bit
            depth += 1
        while not self._is_bucket(place):  # one leaf or none below: the walk does not ask which half
            place = 2 * place + (self._node(2 * place) == EMPTY)
        bucket = self._bucket(place)
        proof = MapTree._prove_within(bucket, key, depth, siblings)
        if key not in bucket.keys:
            return None, proof
        at = bucket.keys.index(key)
        value = bucket.values[at]
        if hash_leaf(key, hash_value(value)) != bucket.leaves[at]:
            raise _lost()
        return value, proof

    def _old(self, place: int) -> bytes | None:
        if place not in self._read:
            self._read[place] = self._later(place, self._mark)
        return self._read[place]

    def _node(self, place: int) -> bytes:
        old = self._old(place)
        if old is None:
            return self._tree.node(place)
        return (old[1:33] or EMPTY) if old[:1] == BUCKET else old[1:]

    def _is_bucket(self, place: int) -> bool:
        old = self._old(place)
        return self._tree.is_bucket(place) if old is None else old[:1] == BUCKET

    def _is_single(self, place: int) -> bool:
        old = self._old(place)
        return self._tree.is_single(place) if old is None else old[:1] == SINGLE

    def _bucket(self, place: int) -> Bucket:
        old = self._old(place)
        if old is None:
            return self._tree.load(self._kv, place)
        try:
            return Bucket.from_bytes(old[1:]) if len(old) > 1 else Bucket([], [], [])
        except (IndexError, ValueError):
            raise _lost() from None


def _lost() -> Corrupt:
    return Corrupt("what a map once was is damaged", hint="remove the folder `index` of the home and restart")
