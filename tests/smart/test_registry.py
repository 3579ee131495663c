"""The registry of these tests means what the one on disk means."""

from __future__ import annotations

import pytest

from careledger.vault.registry import Change, Entry, RegistryMoved, StoredRegistry
from tests.smart.forging import Clock, run
from tests.smart.registry import MemoryRegistry


@pytest.fixture(params=["memory", "stored"])
def registry(request, tmp_path):
    clock = Clock()
    if request.param == "memory":
        yield MemoryRegistry(clock), clock
    else:
        stored = StoredRegistry(tmp_path / "registry", bytes(range(32)), clock)
        yield stored, clock
        stored.close()


def test_one_contract(registry):
    kept, clock = registry

    async def scenario():
        await kept.change(Change("client", b"a", b"1", expected=0), Change("client", b"b", b"", expected=0))
        assert kept.get("client", b"a") == Entry(b"1", 1, 0)
        assert kept.get("account", b"a") is None
        await kept.change(Change("client", b"a", b"2", expected=1))
        assert kept.get("client", b"a") == Entry(b"2", 2, 0)
        for moved in (0, 1, 3):
            with pytest.raises(RegistryMoved):
                await kept.change(Change("client", b"b", b"9"), Change("client", b"a", b"9", expected=moved))
        assert {key: entry.value for key, entry in kept.list("client")} == {b"a": b"2", b"b": b""}
        await kept.change(Change("client", b"b", None, expected=1))
        assert kept.get("client", b"b") is None
        await kept.change(Change("replay", b"j", b"", expected=0, expires_ms=clock.now_ms + 10))
        with pytest.raises(RegistryMoved):
            await kept.change(Change("replay", b"j", b"", expected=0, expires_ms=clock.now_ms + 10))
        clock.now_ms += 10
        assert kept.get("replay", b"j") is None
        assert kept.list("replay") == []
        await kept.change(Change("replay", b"j", b"", expected=0, expires_ms=clock.now_ms + 10))

    run(scenario())
