"""One test-suite for every store."""

from __future__ import annotations

import lmdb
import pytest

from careledger.ledger.store.kv import PrefixKV
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.tree import MapTree, compute_root
from careledger.primitives.errors import Unavailable
from careledger.primitives.hashing import sha256


@pytest.fixture(params=["memory", "lmdb", "prefix"])
def kv(request, tmp_path):
    if request.param == "memory":
        yield MemoryKV()
    elif request.param == "prefix":
        outer = MemoryKV()
        outer.put(b"o", b"outside")
        outer.put(b"q", b"outside")
        yield PrefixKV(outer, b"p")
    else:
        with lmdb.open(str(tmp_path), max_dbs=1, map_size=1 << 24, sync=False) as env:
            database = env.open_db(b"ledger")
            with env.begin(write=True) as txn:
                yield LmdbKV(txn, database)


def test_puts_are_read_back_and_replaced(kv):
    assert kv.get(b"k") is None
    kv.put(b"k", b"one")
    kv.put(b"k", b"")
    assert kv.get(b"k") == b""
    kv.put(b"long" * 100, b"x" * 100_000)
    assert kv.get(b"long" * 100) == b"x" * 100_000


def test_deletes_are_final_and_absent_keys_are_no_error(kv):
    kv.put(b"k", b"v")
    kv.delete(b"k")
    kv.delete(b"k")
    assert kv.get(b"k") is None


def test_scans_are_ordered_and_half_open(kv):
    for key in (b"b", b"a\x00", b"a", b"\xff", b"c", b"a\xff"):
        kv.put(key, key)
    assert [key for key, _ in kv.scan(b"a", b"c")] == [b"a", b"a\x00", b"a\xff", b"b"]
    assert list(kv.scan(b"d", b"e")) == []
    kv.delete(b"b")
    assert list(kv.scan(b"b", b"\xff")) == [(b"c", b"c")]


def test_a_map_lives_in_it(kv):
    tree = MapTree.open(kv)
    items = {sha256(b"%d" % at): b"%d" % at for at in range(100)}
    assert tree.update(kv, items) == compute_root(items) == MapTree.open(kv).root


def test_a_full_store_says_so(tmp_path):
    with lmdb.open(str(tmp_path), map_size=1 << 16) as env:
        txn = env.begin(write=True)
        kv = LmdbKV(txn)
        with pytest.raises(Unavailable) as refused:
            for at in range(100):
                kv.put(b"%d" % at, bytes(4000))
        txn.abort()
        assert isinstance(refused.value.__cause__, lmdb.MapFullError)
