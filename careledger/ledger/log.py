"""RFC 6962 logs with SHA-256: chart logs, access logs, the history of the ledger.

A log of `size` leaves is kept as its frontier (the roots of its complete subtrees, largest first) plus the interior
nodes of complete subtrees, which the caller stores under (level, index) as `append` names them: level 0 are leaf
hashes, node (l, i) covers leaves i·2^l … (i+1)·2^l − 1. Stored nodes never change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.hashing import DIGEST_SIZE, new_sha256

Node = tuple[int, int, bytes]
"""level, index, hash."""

GetNode = Callable[[int, int], bytes]
"""The stored hash of (level, index); raises Corrupt if it is missing."""

EMPTY_ROOT = new_sha256(b"").digest()
"""Root of a log without leaves."""

SIZE_LIMIT = 2**63


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(00 | data)."""
    return new_sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(01 | left | right)."""
    return new_sha256(b"\x01" + left + right).digest()


class Frontier:
    """Size and peaks of a log: all that appending and the root need. About 40 + 32·log2(size) bytes."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)

    def append(self, leaf: bytes) -> list[Node]:
        """Adds a leaf hash; the nodes this completes, the leaf first, for the caller to store."""
        index = self.size
        self.size = index + 1
        nodes: list[Node] = [(0, index, leaf)]
        level = 0
        peaks = self.peaks
        while index & 1:
            leaf = new_sha256(b"\x01" + peaks.pop() + leaf).digest()
            index >>= 1
            level += 1
            nodes.append((level, index, leaf))
        peaks.append(leaf)
        return nodes

    def root(self) -> bytes:
        """Root over the leaves appended so far."""
        peaks = self.peaks
        if not peaks:
            return EMPTY_ROOT
        root = peaks[-1]
        for peak in peaks[-2::-1]:
            root = new_sha256(b"\x01" + peak + root).digest()
        return root

    def copy(self) -> Frontier:
        """An independent frontier with the same leaves."""
        return Frontier(self.size, self.peaks)

    def to_bytes(self) -> bytes:
        """u64 size | peaks."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """The frontier that `to_bytes` wrote. Raises Invalid."""
        size = int.from_bytes(data[:8], "big")
        if len(data) < 8 or size >= SIZE_LIMIT or len(data) != 8 + DIGEST_SIZE * size.bit_count():
            raise Invalid("not a log frontier")
        return cls(size, [data[at : at + DIGEST_SIZE] for at in range(8, len(data), DIGEST_SIZE)])

    @classmethod
    def at(cls, size: int, get_node: GetNode) -> Frontier:
        """The frontier as it was at `size`, from stored nodes."""
        return cls(size, [get_node(level, index) for level, index in _complete_subtrees(0, size)])


def _complete_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """(level, index) of the complete subtrees that cover leaves start … end − 1 from left to right.

    `start` is a multiple of the largest power of two below `end - start`, as in every RFC 6962 split.
    """
    cover = []
    while start < end:
        level = (end - start).bit_length() - 1
        cover.append((level, start >> level))
        start += 1 << level
    return cover


def _subtree_root(start: int, end: int, get_node: GetNode) -> bytes:
    cover = _complete_subtrees(start, end)
    root = get_node(*cover[-1])
    for level, index in cover[-2::-1]:
        root = node_hash(get_node(level, index), root)
    return root


def root_at(size: int, get_node: GetNode) -> bytes:
    """Root of the first `size` leaves."""
    return _subtree_root(0, size, get_node) if size else EMPTY_ROOT


def _split(size: int) -> int:
    """The largest power of two below `size` (RFC 6962, 2.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_path(index: int, size: int, get_node: GetNode) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the first `size` leaves, lowest first (RFC 6962, 2.1.1)."""
    if not 0 <= index < size:
        raise Invalid(f"leaf {index} is not among the first {size}", code="out-of-range")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree_root(middle, end, get_node))
            end = middle
        else:
            path.append(_subtree_root(start, middle, get_node))
            start = middle
    path.reverse()
    return path


def consistency_path(old: int, new: int, get_node: GetNode) -> list[bytes]:
    """The hashes that show the first `old` leaves are a prefix of the first `new` (RFC 6962, 2.1.2)."""
    if not 0 < old <= new:
        raise Invalid(f"no consistency proof from {old} to {new} leaves", code="out-of-range")
    path = []
    start, end = 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_subtree_root(middle, end, get_node))
            end = middle
        else:
            path.append(_subtree_root(start, middle, get_node))
            start = middle
    if start:
        path.append(_subtree_root(start, end, get_node))
    path.reverse()
    return path


def subtrees_between(sizes: Sequence[int], get_node: GetNode) -> list[bytes]:
    """Hashes of the largest complete subtrees that tile the log from 0 to the last size and begin anew at each one.

    With them the root at each of these ascending sizes can be computed: each log is shown to begin with the one before.
    """
    found = []
    start = 0
    for size in sizes:
        while start < size:
            level = (size - start).bit_length() - 1
            if start:
                level = min(level, (start & -start).bit_length() - 1)
            found.append(get_node(level, start >> level))
            start += 1 << level
    return found


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that this path leads to (RFC 9162, 2.1.3.2). Raises VerificationFailed if no path has this shape."""
    if not 0 <= index < size:
        raise VerificationFailed(f"leaf {index} is not among the first {size}")
    position, last, root = index, size - 1, leaf
    for sibling in path:
        if not last:
            raise VerificationFailed("the inclusion path is too long")
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise VerificationFailed("the inclusion path is too short")
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Returns only if `leaf` is leaf hash number `index` under `root` of `size` leaves."""
    if root_from_inclusion(leaf, index, size, path) != root:
        raise VerificationFailed("the inclusion path does not lead to the root")


def verify_consistency(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Returns only if the log under `new_root` begins with the log under `old_root` (RFC 9162, 2.1.4.2).

    An empty old log is a prefix of every log; its path is empty.
    """
    if not 0 <= old <= new:
        raise VerificationFailed(f"a log of {new} leaves cannot continue one of {old}")
    if old in (0, new):
        if path or (old == new and old_root != new_root) or (old == 0 and old_root != EMPTY_ROOT):
            raise VerificationFailed("the consistency path does not hold")
        return
    hashes = list(path)
    if not old & (old - 1):
        hashes.insert(0, old_root)
    from_old, from_new = roots_from_consistency(old, new, hashes)
    if from_old != old_root or from_new != new_root:
        raise VerificationFailed("the consistency path does not hold")


def roots_from_consistency(old: int, new: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The two roots that a consistency path leads to, 0 < old < new; `hashes` begins with the old log's last peak.

    If the second is the root of the new log, the first is the root of that log's first `old` leaves.
    Raises VerificationFailed if no path has this shape.
    """
    if not hashes:
        raise VerificationFailed("the consistency path is too short")
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    from_old = from_new = hashes[0]
    for sibling in hashes[1:]:
        if not last:
            raise VerificationFailed("the consistency path is too long")
        if position & 1 or position == last:
            from_old = node_hash(sibling, from_old)
            from_new = node_hash(sibling, from_new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            from_new = node_hash(from_new, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise VerificationFailed("the consistency path is too short")
    return from_old, from_new
