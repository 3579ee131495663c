"""The past of a map: at every mark its root, values and proofs are those that it had, however it changed since."""

from __future__ import annotations

import hashlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from careledger.ledger.map_proof import verify_map_proof
from careledger.ledger.past import Keeper, PastMap, past_key
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.tree import MapTree, compute_root

KEYS = [hashlib.sha256(bytes([i])).digest() for i in range(40)]
# Some keys that share long beginnings: splits, single leaves, deep walks.
KEYS += [bytes(20) + bytes([i]) * 12 for i in range(1, 12)] + [
    bytes([128] + [0] * 30 + [i]) for i in range(9)
]


def later_in(store: MemoryKV):
    def later(place: int, mark: int) -> bytes | None:
        for _, data in store.scan(past_key(place, mark), past_key(place + 1, 0)):
            return data
        return None

    return later


steps = st.lists(
    st.one_of(
        st.just("mark"),
        st.just("restart"),
        st.dictionaries(st.sampled_from(KEYS), st.binary(min_size=1, max_size=3), min_size=1, max_size=12),
        st.lists(st.sampled_from(KEYS), max_size=30).map(lambda keys: dict.fromkeys(keys)),
    ),
    max_size=24,
)


LONELY = dict.fromkeys(
    KEYS[40:51], b"x"
)  # split far down, then all but one removed: inner places of one leaf


@settings(max_examples=120, deadline=None)
@example([LONELY, dict.fromkeys(KEYS[41:51]), "mark", {KEYS[42]: b"y"}])
@example([LONELY, "mark", dict.fromkeys(KEYS[41:51]), "mark", {KEYS[42]: b"y"}, "restart", LONELY])
@given(steps)
def test_the_past_is_as_it_was(history):
    kv, past = MemoryKV(), MemoryKV()
    tree, keeper = MapTree.open(kv), Keeper()
    items: dict[bytes, bytes] = {}
    marks: dict[int, dict[bytes, bytes]] = {}
    for step in history:
        if step == "mark":
            marks[len(marks)] = dict(items)
            keeper.reset(len(marks) - 1)
        elif step == "restart":
            tree = MapTree.open(kv)
            keeper.reset(keeper.mark)
        else:
            keeper.keep(tree, kv, past, step)
            tree.update(kv, step)
            items = {key: value for key, value in (items | step).items() if value is not None}
    for mark, then in marks.items():
        view = PastMap(tree, kv, later_in(past), mark)
        assert view.root == compute_root(then)
        for key in KEYS:
            value, proof = view.prove(key)
            assert value == then.get(key)
            verify_map_proof(view.root, key, value, proof)


def test_what_is_kept_does_not_depend_on_how_changes_are_cut(tmp_path):
    """A group is written in slices, a replay at once: both keep the same."""
    found = []
    for slice_size in (1, 3, 60):
        kv, past, tree, keeper = MemoryKV(), MemoryKV(), MapTree(), Keeper()
        for mark in range(4):
            keys = KEYS[mark * 10 : mark * 10 + 30]
            for at in range(0, len(keys), slice_size):
                changes = {key: bytes([mark]) for key in keys[at : at + slice_size]}
                keeper.keep(tree, kv, past, changes)
                tree.update(kv, changes)
            keeper.reset(mark)
        found.append(list(past.scan(b"", b"\xff" * 16)))
    assert found[0] == found[1] == found[2]
    assert found[0]
