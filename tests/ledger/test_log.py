"""Logs agree with RFC 6962 as written, and no altered proof passes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.ledger.log import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from careledger.primitives.errors import Invalid, VerificationFailed

SIZE = 33
LEAVES = [leaf_hash(b"entry %d" % at) for at in range(SIZE)]


def plain_root(leaves):
    """MTH of RFC 6962, 2.1, by recursion."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return node_hash(plain_root(leaves[:split]), plain_root(leaves[split:]))


def build(leaves):
    frontier, nodes = Frontier(), {}
    for leaf in leaves:
        nodes.update(((level, index), digest) for level, index, digest in frontier.append(leaf))
    return frontier, lambda level, index: nodes[level, index]


ROOTS = [plain_root(LEAVES[:size]) for size in range(SIZE + 1)]
FRONTIER, GET = build(LEAVES)


def test_roots_are_those_of_the_rfc():
    for size in range(SIZE + 1):
        frontier, _ = build(LEAVES[:size])
        assert frontier.root() == root_at(size, GET) == Frontier.at(size, GET).root() == ROOTS[size]
        assert Frontier.from_bytes(frontier.to_bytes()).root() == ROOTS[size]
    with pytest.raises(Invalid):
        Frontier.from_bytes(FRONTIER.to_bytes() + bytes(32))


def test_every_path_verifies():
    for size in range(1, SIZE + 1):
        for index in range(size):
            verify_inclusion(LEAVES[index], index, size, inclusion_path(index, size, GET), ROOTS[size])
        for old in range(1, size + 1):
            verify_consistency(old, size, consistency_path(old, size, GET), ROOTS[old], ROOTS[size])
        verify_consistency(0, size, [], EMPTY_ROOT, ROOTS[size])


@given(st.integers(1, SIZE), st.data())
@settings(max_examples=150)
def test_altered_inclusion_is_refused(size, data):
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(index, size, GET)
    wrong = data.draw(st.sampled_from(["leaf", "index", "longer", "shorter", "sibling"]))
    leaf, at = LEAVES[index], index
    if wrong == "leaf":
        leaf = leaf_hash(b"another")
    elif wrong == "index":
        at = data.draw(st.integers(-1, SIZE).filter(lambda other: other != index))
    elif wrong == "longer":
        path = [*path, ROOTS[size]]
    elif not path:
        return
    elif wrong == "shorter":
        path = path[:-1]
    else:
        path[data.draw(st.integers(0, len(path) - 1))] = leaf_hash(b"another")
    with pytest.raises(VerificationFailed):
        verify_inclusion(leaf, at, size, path, ROOTS[size])


def test_a_rewritten_prefix_is_not_consistent():
    other = [leaf_hash(b"rewritten"), *LEAVES[1:]]
    _, get = build(other)
    for old in range(1, SIZE):
        path = consistency_path(old, SIZE, get)
        with pytest.raises(VerificationFailed):
            verify_consistency(old, SIZE, path, ROOTS[old], plain_root(other))
        for bad in (path[:-1], [*path, EMPTY_ROOT]):
            with pytest.raises(VerificationFailed):
                verify_consistency(old, SIZE, bad, plain_root(other[:old]), plain_root(other))


@pytest.mark.vectors
def test_log_vectors(vector):
    vector(
        "log.json",
        {
            "entries": [(b"entry %d" % at).hex() for at in range(SIZE)],
            "roots": [root.hex() for root in ROOTS],
            "inclusion": [
                {"index": i, "size": n, "path": [one.hex() for one in inclusion_path(i, n, GET)]}
                for i, n in ((0, 1), (0, 2), (5, 7), (6, 7), (12, 33), (32, 33))
            ],
            "consistency": [
                {"old": m, "new": n, "path": [one.hex() for one in consistency_path(m, n, GET)]}
                for m, n in ((1, 2), (3, 7), (4, 7), (6, 8), (7, 7), (17, 33), (32, 33))
            ],
        },
    )
