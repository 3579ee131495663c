"""What belongs to one owner, found without reading everybody's: a list of keys, changed together with what it names.

A key whose entry has gone stays in the list until the next change of it, and is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from careledger.smart.tables import Found, Table
from careledger.vault.registry import Change, Registry

KEYS_MAX: Final = 1000
LISTS: Final = b"of:"
BUILT: Final = b"\0built"
"""No owner's key: it says that the lists are whole."""
T = TypeVar("T", bound=msgspec.Struct)


class Keys(msgspec.Struct, frozen=True):
    """The keys of an owner's entries, oldest first."""

    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Index(Generic[T]):
    """The entries of `table` by owner; the lists stand in the same table of the registry under `prefix`."""

    table: Table[T]
    lists: Table[Keys]

    def of(self, registry: Registry, owner: str) -> list[Found[T]]:
        """What the owner has now."""
        found = self.lists.get(registry, _key(owner))
        entries = [self.table.get(registry, key) for key in (found.value.keys if found is not None else ())]
        return [one for one in entries if one is not None]

    def change(
        self,
        registry: Registry,
        owner: str,
        *,
        add: Iterable[bytes] = (),
        drop: Iterable[bytes] = (),
        expires_ms: int = 0,
    ) -> Change:
        """The change of the list that goes with a change of its entries: RegistryMoved if another was first."""
        found = self.lists.get(registry, _key(owner))
        gone = set(drop)
        standing = [one.key for one in self.of(registry, owner) if one.key not in gone]
        keys = tuple(dict.fromkeys((*standing, *add)))[-KEYS_MAX:]
        expected = found.version if found is not None else 0
        return self.lists.put(_key(owner), Keys(keys), expected=expected, expires_ms=expires_ms)

    def forget(self, owner: str) -> Change:
        """The change that drops the owner's list; its entries stand."""
        return Change(self.lists.name, self.lists.prefix + _key(owner), None)


async def build(registry: Registry, index: Index[T], owner_of: Callable[[T], str]) -> bool:
    """Make the lists of entries that came before the index, once; whether there was anything to do. For the writer
    alone, before anybody else writes."""
    if index.lists.get(registry, BUILT) is not None:
        return False
    owned: dict[str, list[bytes]] = {}
    for one in index.table.list(registry):
        owned.setdefault(owner_of(one.value), []).append(one.key)
    for owner, keys in owned.items():
        await registry.change(index.change(registry, owner, add=keys))
    await registry.change(index.lists.put(BUILT, Keys(())))
    return True


def make_index(table: Table[T]) -> Index[T]:
    """The index of a table by owner. The table has a prefix of its own, or is without `LISTS`."""
    return Index(table, Table(table.name, Keys, LISTS + table.prefix))


def _key(owner: str) -> bytes:
    return owner[:128].encode("utf-8", "replace")
