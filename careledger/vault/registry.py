"""The registry: who may sign in, with which programs, and what was promised to them; never a record of a patient.

Small entries under keys, in an LMDB of its own (`HOME/registry`) that syncs every change: durable when `change`
returns, seen by every process of the node, all or none. It is no part of the journal: nothing in it is evidence, and
most of it ends within hours. Two processes may write at the same time; LMDB lets one after the other.

At rest keys are blind and values sealed (AES-256-GCM; the associated data binds table, key, version and expiry), so a
stolen copy shows how many entries there are and when they end, nothing else. Somebody who can write the file can
put back a whole older copy of it: then what was used once may be used again (SECURITY.md).

| table | key | value |
|---|---|---|
| entry | u8 table, blind key 16 | version u64, expiry ms u64, nonce 12, sealed (u32 length of the key, key, value) |
| expiry | expiry ms u64, u8 table, blind key 16 | nothing |
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import lmdb
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careledger.primitives.errors import Conflict, Corrupt, Invalid, Misconfigured, Unavailable
from careledger.primitives.hashing import hmac_sha256, keyed_digest

TABLES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "client": 1,
        "account": 2,
        "passkey": 3,
        "invitation": 4,
        "session": 5,
        "request": 6,
        "code": 7,
        "grant": 8,
        "replay": 9,
        "signing-key": 10,
        "recovery": 11,
        "counter": 12,
        "persona": 13,
        "link": 14,
        "remembered": 15,
        "copy": 16,
    }
)
KEPT: Final = frozenset(
    ("client", "account", "passkey", "signing-key", "recovery", "persona", "link", "remembered", "copy")
)
"""Tables that a backup holds. What is of today ends with a restore: everybody signs in anew, and nothing that was used
or withdrawn since the backup comes back."""

KEY_BYTES_MAX: Final = 512
VALUE_BYTES_MAX: Final = 65_536
CHANGES_MAX: Final = 64
SWEPT_MAX: Final = 64
MAP_BYTES: Final = 1 << 32
READERS_MAX: Final = 512
NONCE_BYTES: Final = 12
_HEAD = struct.Struct(">QQ")
_LENGTH = struct.Struct(">I")
_TIME = struct.Struct(">Q")
_DUMPED = struct.Struct(">HI")

Found = list[tuple[bytes, "Entry"]]
Outcome = list[Exception | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands under a key. `version` counts its changes from 1; `expires_ms` 0 is never."""

    value: bytes
    version: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """One entry becomes `value`, or goes (None). `expected` is the version that must stand now, 0 for absent, None for any."""

    table: str
    key: bytes
    value: bytes | None
    expected: int | None = None
    expires_ms: int = 0


Waiting = tuple[tuple[Change, ...], "asyncio.Future[None]"]
Queue = list[Waiting]


class RegistryMoved(Conflict):
    """An entry is not what the change expected: somebody else was first. Nothing was changed."""

    code = "registry-moved"


class Registry(Protocol):
    """What the rooms above need of it."""

    def get(self, table: str, key: bytes) -> Entry | None:
        """The newest durable entry; None if there is none or it has expired."""
        ...

    def list(self, table: str) -> Found:
        """Every entry of a table that has not expired, with its key, in no order that says anything."""
        ...

    async def change(self, *changes: Change) -> None:
        """All of them, durable and seen by every worker when it returns, or none.

        Raises RegistryMoved (something is not as expected), Unavailable (nothing was changed; or `outcome-unknown`).
        """
        ...


class StoredRegistry:
    """`Registry` on disk. `key` is 32 bytes that nothing else uses; `clock_ms` milliseconds since 1970."""

    def __init__(self, folder: Path, key: bytes, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._blind = hmac_sha256(key, b"cl1.registry.blind")
        self._cipher = AESGCM(hmac_sha256(key, b"cl1.registry.seal"))
        self._waiting: Queue = []
        self._task: asyncio.Task[None] | None = None
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._env = lmdb.open(
                str(folder), map_size=MAP_BYTES, max_dbs=2, max_readers=READERS_MAX, mode=0o600,
                readahead=False, meminit=True, max_spare_txns=8,
            )  # fmt: skip
            self._entries = self._env.open_db(b"entry")
            self._expiries = self._env.open_db(b"expiry")
        except (lmdb.Error, OSError) as error:
            raise Misconfigured(
                "the registry cannot be opened",
                hint="check who owns the folder `registry` of the home, and the room on its disk",
                code="registry-unreadable",
            ) from error

    # Reading

    def get(self, table: str, key: bytes) -> Entry | None:
        place = self._place(table, key)
        with self._env.begin() as txn:
            data = txn.get(place, db=self._entries)
        if data is None:
            return None
        found, entry = self._opened(place, data)
        if found != key:
            raise _altered()
        return entry if self._is_current(entry.expires_ms) else None

    def list(self, table: str) -> Found:
        found: Found = []
        with self._env.begin() as txn:
            for place, data in self._of(txn, table):
                key, entry = self._opened(place, data)
                if self._is_current(entry.expires_ms):
                    found.append((key, entry))
        return found

    def check(self) -> int:
        """How many entries there are; raises Corrupt unless each opens in its place."""
        count = 0
        with self._env.begin() as txn:
            for table in TABLES:
                for place, data in self._of(txn, table):
                    key, _ = self._opened(place, data)
                    if self._place(table, key) != place:
                        raise _altered()
                    count += 1
        return count

    # Changing

    async def change(self, *changes: Change) -> None:
        for one in changes:
            _check(one)
        if not 0 < len(changes) <= CHANGES_MAX:
            raise Invalid(f"a change of the registry holds 1 to {CHANGES_MAX} entries")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, done))
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        await asyncio.shield(done)

    async def _run(self) -> None:
        """Everything that waits in one transaction and one sync, until nothing waits."""
        await asyncio.sleep(0)
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write_batch(batch)
        finally:
            self._task = None

    async def _write_batch(self, batch: Queue) -> None:
        failures: Outcome = [_outcome_unknown() for _ in batch]
        try:
            changes = [changes for changes, _ in batch]
            failures = await asyncio.get_running_loop().run_in_executor(None, self._write, changes)
        except Unavailable as error:
            failures = [error] * len(batch)
        finally:  # after a defect, too: nobody may wait for ever
            for (_, done), failure in zip(batch, failures, strict=True):
                _tell(done, failure)

    def _write(self, batch: Sequence[tuple[Change, ...]]) -> Outcome:
        """Each of the batch all or none; durable when it returns. Raises Unavailable with nothing changed."""
        outcome: Outcome = []
        try:
            with self._env.begin(write=True) as txn:
                for changes in batch:
                    moved = self._find_moved(txn, changes)
                    outcome.append(moved)
                    if moved is None:
                        for one in changes:
                            self._put(txn, one)
                self._sweep(txn)
        except (lmdb.Error, OSError) as error:
            raise Unavailable(
                f"the registry cannot be written ({type(error).__name__})",
                hint="free space on the home's disk, then repeat",
                code="registry-unwritable",
            ) from error
        return outcome

    def _find_moved(self, txn: lmdb.Transaction, changes: tuple[Change, ...]) -> RegistryMoved | None:
        for one in changes:
            if (
                one.expected is not None
                and self._standing(txn, self._place(one.table, one.key)) != one.expected
            ):
                return RegistryMoved("somebody else was first", hint="read it again and repeat")
        return None

    def _standing(self, txn: lmdb.Transaction, place: bytes) -> int:
        """The version that counts: 0 for what is absent or has expired."""
        data = txn.get(place, db=self._entries)
        if data is None:
            return 0
        version, expires_ms = _HEAD.unpack_from(data)
        return int(version) if self._is_current(expires_ms) else 0

    def _put(self, txn: lmdb.Transaction, change: Change) -> None:
        place = self._place(change.table, change.key)
        old = txn.get(place, db=self._entries)
        version = 1
        if old is not None:
            version = _HEAD.unpack_from(old)[0] + 1
            self._forget(txn, place, old)
        if change.value is None:
            return
        txn.put(place, self._sealed(place, change, version), db=self._entries)
        if change.expires_ms:
            txn.put(_TIME.pack(change.expires_ms) + place, b"", db=self._expiries)

    def _forget(self, txn: lmdb.Transaction, place: bytes, data: bytes) -> None:
        expires_ms = _HEAD.unpack_from(data)[1]
        txn.delete(place, db=self._entries)
        if expires_ms:
            txn.delete(_TIME.pack(expires_ms) + place, db=self._expiries)

    def _sweep(self, txn: lmdb.Transaction) -> None:
        """A few of those that have expired go with every change."""
        now = self._clock_ms()
        with txn.cursor(self._expiries) as cursor:
            due = takewhile(lambda row: _TIME.unpack_from(row[0])[0] <= now, cursor.iternext())
            expired = [key for key, _ in islice(due, SWEPT_MAX)]
        for key in expired:
            txn.delete(key, db=self._expiries)
            txn.delete(key[_TIME.size :], db=self._entries)

    # At rest

    def _is_current(self, expires_ms: int) -> bool:
        return not expires_ms or self._clock_ms() < expires_ms

    def _place(self, table: str, key: bytes) -> bytes:
        number = bytes([TABLES[table]])
        return number + keyed_digest(self._blind, number + key)

    def _of(self, txn: lmdb.Transaction, table: str) -> Iterator[tuple[bytes, bytes]]:
        number = bytes([TABLES[table]])
        with txn.cursor(self._entries) as cursor:
            if not cursor.set_range(number):
                return
            for place, data in cursor.iternext():
                if place[:1] != number:
                    return
                yield place, data

    def _sealed(self, place: bytes, change: Change, version: int) -> bytes:
        head = _HEAD.pack(version, change.expires_ms)
        nonce = os.urandom(NONCE_BYTES)
        plain = _LENGTH.pack(len(change.key)) + change.key + (change.value or b"")
        return head + nonce + self._cipher.encrypt(nonce, plain, _binding(place, head))

    def _opened(self, place: bytes, data: bytes) -> tuple[bytes, Entry]:
        """Key and entry. Raises Corrupt for what was not sealed for exactly this place."""
        if len(data) < _HEAD.size + NONCE_BYTES:
            raise _altered()
        head, nonce = data[: _HEAD.size], data[_HEAD.size : _HEAD.size + NONCE_BYTES]
        try:
            plain = self._cipher.decrypt(nonce, data[_HEAD.size + NONCE_BYTES :], _binding(place, head))
        except InvalidTag as error:
            raise _altered() from error
        (length,) = _LENGTH.unpack_from(plain)
        version, expires_ms = _HEAD.unpack(head)
        start = _LENGTH.size + length
        return plain[_LENGTH.size : start], Entry(plain[start:], version, expires_ms)

    # Elsewhere

    def dump(self) -> bytes:
        """The tables that a backup holds, sealed as they are at rest."""
        rows = []
        with self._env.begin() as txn:
            for table in sorted(KEPT):
                for place, data in self._of(txn, table):
                    rows.append(_DUMPED.pack(len(place), len(data)) + place + data)
        return b"".join(rows)

    def load(self, dumped: bytes) -> None:
        """What `dump` gave, into an empty registry. Raises Corrupt for anything else."""
        with self._env.begin(write=True) as txn:
            for place, data in _rows(dumped):
                key, entry = self._opened(place, data)
                table = next((name for name in KEPT if TABLES[name] == place[0]), None)
                if table is None or self._place(table, key) != place:
                    raise _altered()
                txn.put(place, data, db=self._entries)
                if entry.expires_ms:
                    txn.put(_TIME.pack(entry.expires_ms) + place, b"", db=self._expiries)

    def close(self) -> None:
        """Give it back. Changes that wait must have been awaited."""
        self._env.close()


def _tell(done: asyncio.Future[None], failure: Exception | None) -> None:
    if done.done():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)


def _outcome_unknown() -> Unavailable:
    return Unavailable(
        "the registry failed: a defect",
        hint="see the node's log; read before you repeat",
        code="outcome-unknown",
    )


def _binding(place: bytes, head: bytes) -> bytes:
    """What a value is sealed for."""
    return place + head


def _rows(dumped: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(dumped):
        if len(dumped) - at < _DUMPED.size:
            raise _altered()
        place, data = _DUMPED.unpack_from(dumped, at)
        at += _DUMPED.size
        if len(dumped) - at < place + data:
            raise _altered()
        yield dumped[at : at + place], dumped[at + place : at + place + data]
        at += place + data


def _check(change: Change) -> None:
    """Raises Invalid: a limit of the registry, not of whoever asked."""
    if change.table not in TABLES:
        raise Invalid("the registry has no such table")
    if not 0 < len(change.key) <= KEY_BYTES_MAX or len(change.value or b"") > VALUE_BYTES_MAX:
        raise Invalid("a key or a value of the registry is too long", code="registry-entry-size")


def _altered() -> Corrupt:
    return Corrupt(
        "an entry of the registry was altered",
        hint="run `careledger fsck`; restore the newest backup, or remove the folder `registry` and sign in anew",
        code="registry-altered",
    )
