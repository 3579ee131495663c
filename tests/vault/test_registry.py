"""The registry: all or none, durable, seen by every process, blind and sealed at rest."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from pathlib import Path
from typing import Any

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.primitives.errors import Corrupt, Invalid
from careledger.vault.registry import SWEPT_MAX, Change, RegistryMoved, StoredRegistry

KEY = bytes(range(32))


class Clock:
    """Milliseconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Any:
    opened = StoredRegistry(tmp_path / "registry", KEY, clock)
    yield opened
    opened.close()


def change(registry: StoredRegistry, *changes: Change) -> None:
    asyncio.run(registry.change(*changes))


def test_changes_are_all_or_none(registry: StoredRegistry) -> None:
    change(registry, Change("grant", b"a", b"1"))
    with pytest.raises(RegistryMoved):
        change(registry, Change("grant", b"b", b"2", expected=0), Change("grant", b"a", b"9", expected=7))
    assert registry.get("grant", b"b") is None
    found = registry.get("grant", b"a")
    assert found is not None and (found.value, found.version) == (b"1", 1)


def test_of_many_at_once_one_is_first(registry: StoredRegistry) -> None:
    """The rule by which a code is used once and a refresh token rotates once."""

    async def race() -> list[object]:
        tries = (registry.change(Change("code", b"c", None, expected=1)) for _ in range(100))
        await registry.change(Change("code", b"c", b"x"))
        return await asyncio.gather(*tries, return_exceptions=True)

    outcome = asyncio.run(race())
    assert outcome.count(None) == 1
    assert sum(isinstance(one, RegistryMoved) for one in outcome) == 99


def test_what_has_expired_is_absent_and_swept(registry: StoredRegistry, clock: Clock) -> None:
    change(registry, *(Change("replay", b"%d" % n, b"", 0, clock.now + 100) for n in range(50)))
    with pytest.raises(RegistryMoved):
        change(registry, Change("replay", b"7", b"", expected=0))
    clock.now += 100
    assert registry.get("replay", b"7") is None and registry.list("replay") == []
    assert registry.check() == 50
    change(registry, Change("replay", b"7", b"again", expected=0, expires_ms=clock.now + 1))
    assert registry.check() == 1 < SWEPT_MAX
    found = registry.get("replay", b"7")
    assert found is not None and found.value == b"again"


def test_nothing_readable_at_rest(registry: StoredRegistry, tmp_path: Path) -> None:
    change(registry, Change("account", b"somebody@example", b"Ana Torres, Practitioner/17"))
    kept = (tmp_path / "registry" / "data.mdb").read_bytes()
    assert all(text not in kept for text in (b"somebody", b"Torres", b"Practitioner"))


@pytest.mark.parametrize("at", ["head", "nonce", "sealed", "place"])
def test_an_altered_entry_is_found_before_it_is_used(registry: StoredRegistry, at: str) -> None:
    change(registry, Change("client", b"one", b"value"), Change("client", b"two", b"other"))
    with registry._env.begin(write=True) as txn:
        rows = list(txn.cursor(registry._entries).iternext())
        if at == "place":  # another entry's value
            txn.put(rows[0][0], rows[1][1], db=registry._entries)
        else:
            flipped = bytearray(rows[0][1])
            flipped[{"head": 3, "nonce": 17, "sealed": -1}[at]] ^= 1
            txn.put(rows[0][0], bytes(flipped), db=registry._entries)
    with pytest.raises(Corrupt):
        registry.list("client")
    with pytest.raises(Corrupt):
        registry.check()


def test_a_backup_holds_who_may_sign_in_and_nothing_of_today(
    registry: StoredRegistry, tmp_path: Path, clock: Clock
) -> None:
    tables = ("account", "session", "grant", "client", "code", "replay")
    change(registry, *(Change(table, b"k", table.encode(), None, clock.now + 50) for table in tables))
    dumped = registry.dump()
    restored = StoredRegistry(tmp_path / "restored", KEY, clock)
    restored.load(dumped)
    for table in tables:
        found = restored.get(table, b"k")
        assert (found is not None) == (table in ("account", "client"))
    restored.close()
    for cut in (dumped[:-1], dumped[:1], b"\0" * 30, dumped[:20] + b"\1" + dumped[21:]):
        empty = StoredRegistry(tmp_path / os.urandom(4).hex(), KEY, clock)
        with pytest.raises(Corrupt):
            empty.load(cut)
        assert empty.check() == 0
        empty.close()


def test_limits(registry: StoredRegistry) -> None:
    for bad in (
        Change("nowhere", b"k", b""),
        Change("client", b"", b""),
        Change("client", b"k", b"x" * 65_537),
    ):
        with pytest.raises(Invalid):
            change(registry, bad)
    with pytest.raises(Invalid):
        change(registry)


def _compete(folder: str, start: Any, won: Any) -> None:
    registry = StoredRegistry(Path(folder), KEY, lambda: 5)
    start.wait()
    for number in range(20):
        try:
            asyncio.run(registry.change(Change("code", b"%d" % number, b"", expected=0)))
            won.put(number)
        except RegistryMoved:
            pass
    won.put(None)


def test_two_processes_agree_on_who_was_first(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, won = context.Event(), context.Queue()
    both = [context.Process(target=_compete, args=(str(tmp_path / "r"), start, won)) for _ in range(2)]
    StoredRegistry(tmp_path / "r", KEY, lambda: 5).close()
    for one in both:
        one.start()
    start.set()
    taken, ended = [], 0
    while ended < 2:
        number = won.get(timeout=60)
        ended += number is None
        taken += [] if number is None else [number]
    for one in both:
        one.join(30)
    assert sorted(taken) == list(range(20))


_KEYS = st.sampled_from([b"a", b"b", b"c"])
_STEPS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(_KEYS, st.none() | st.binary(max_size=3), st.none() | st.integers(0, 2), st.integers(0, 3)),
            min_size=1, max_size=3,
        ),
        st.integers(0, 2),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(_STEPS)
def test_it_is_what_a_dictionary_would_be(tmp_path_factory: pytest.TempPathFactory, steps: Any) -> None:
    clock = Clock()
    registry = StoredRegistry(tmp_path_factory.mktemp("model") / "r", KEY, clock)
    model: dict[bytes, tuple[bytes, int]] = {}

    def current(key: bytes) -> tuple[bytes, int] | None:
        found = model.get(key)
        return found if found and (not found[1] or clock.now < found[1]) else None

    for wanted, later in steps:
        changes = []
        fits = True
        for key, value, expected, until in wanted:
            there = registry.get("grant", key)
            exact = there.version if there else 0
            expected = None if expected is None else exact + expected  # 0: right, else wrong
            fits = fits and expected in (None, exact)
            changes.append(Change("grant", key, value, expected, clock.now + until if until else 0))
        try:
            change(registry, *changes)
            assert fits
            for one in changes:
                if one.value is None:
                    model.pop(one.key, None)
                else:
                    model[one.key] = (one.value, one.expires_ms)
        except RegistryMoved:
            assert not fits
        clock.now += later
        for key in (b"a", b"b", b"c"):
            found, known = registry.get("grant", key), current(key)
            assert (found.value if found else None) == (known[0] if known else None)
        listed = {key: entry.value for key, entry in registry.list("grant")}
        standing = {key: current(key) for key in model}
        assert listed == {key: value[0] for key, value in standing.items() if value}
    registry.close()


def test_a_full_disk_changes_nothing(registry: StoredRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    from careledger.primitives.errors import Unavailable

    change(registry, Change("client", b"one", b"1"))

    def full(*_: object, **__: object) -> None:
        raise lmdb.Error("no space")

    monkeypatch.setattr(registry, "_put", full)
    with pytest.raises(Unavailable):
        change(registry, Change("client", b"one", b"2"))
    monkeypatch.undo()
    found = registry.get("client", b"one")
    assert found is not None and found.value == b"1"
