"""The real node behind the face of FakeBackend, so that the same tests run against the sealed store."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

from careledger.node.authorisation import REVOKED_KEPT_MS
from careledger.node.group import Revoked, encode_event
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.making import init
from careledger.node.service import NodeService
from careledger.primitives.errors import Unavailable
from careledger.vault.keystore import Keys
from careledger.vault.model import AccessEntry, Commit, CommitResult, Snapshot, Version

T = TypeVar("T")
PASSPHRASE = "correct horse battery staple"


class Template:
    """One founded home, copied for each test: founding costs a password hash."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "template"
        init(self.path, "House", PASSPHRASE)
        self.file, self.keys = open_keys(Layout(self.path), PASSPHRASE)

    def copy(self, path: Path) -> StoredBackend:
        shutil.copytree(self.path, path)
        return StoredBackend(path, self.file, self.keys)


class StoredView:
    """What the tests ask about the store, answered from snapshots."""

    def __init__(self, backend: StoredBackend) -> None:
        self._backend = backend
        self.accesses: list[AccessEntry] = []
        self.charts, self.versions, self.bodies = _Charts(backend), _Versions(backend), _Bodies(backend)

    @property
    def fingerprint(self) -> tuple[int, ...]:
        with self._backend.snapshot() as snapshot:
            return tuple(snapshot.row_count(chart) for chart in snapshot.chart_numbers())


class _Charts:
    def __init__(self, backend: StoredBackend) -> None:
        self._backend = backend

    def __getitem__(self, patient: str) -> int | None:
        with self._backend.snapshot() as snapshot:
            return snapshot.chart_of(patient)


class _Versions:
    def __init__(self, backend: StoredBackend) -> None:
        self._backend = backend

    def __getitem__(self, key: tuple[str, str]) -> list[Version]:
        with self._backend.snapshot() as snapshot:
            return list(reversed(snapshot.versions(*key)))


class _Bodies:
    def __init__(self, backend: StoredBackend) -> None:
        self._backend = backend

    def __getitem__(self, key: tuple[str, str, int]) -> bytes:
        with self._backend.snapshot() as snapshot:
            version = snapshot.version(*key)
            assert version is not None
            return snapshot.body(version)


class StoredBackend:
    """A node in this process, in a loop of its own."""

    def __init__(self, path: Path, file: Any, keys: Keys) -> None:
        self._runner = asyncio.Runner()
        self._service = NodeService(path, file, keys, served=False)
        self.run(self._service.start())
        self._node = self._service.context.backend
        self.base_url, self.organisation = self._node.base_url, self._node.organisation
        self.cursor_key = self._node.cursor_key
        self.store = StoredView(self)
        self.log_broken = False
        self.before_commit: list[Commit] = []
        self.commits = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self.run(self._service.stop())
        self._runner.close()

    def snapshot(self) -> Snapshot:
        return self._node.snapshot()

    async def commit(self, commit: Commit) -> CommitResult:
        if self.log_broken:
            raise Unavailable("the journal cannot be written")
        if self.before_commit:
            await self._node.commit(self.before_commit.pop(0))
        result = await self._node.commit(commit)
        self.store.accesses += commit.accesses
        self.commits += 1
        return result

    async def log_access(self, entries: tuple[AccessEntry, ...]) -> None:
        if self.log_broken:
            raise Unavailable("the access log cannot be written")
        await self._node.log_access(entries)
        self.store.accesses += entries

    def conditional_lock(self, type: str) -> AbstractAsyncContextManager[None]:
        return self._node.conditional_lock(type)

    async def revoke(self, token_id: str) -> None:
        event = encode_event(Revoked(token_id.encode(), self.now_ms() + REVOKED_KEPT_MS))
        await self._node.commit(Commit(events=(event,)))

    def is_revoked(self, token_id: str) -> bool:
        return self._node.is_revoked(token_id)

    def now_ms(self) -> int:
        return self._node.now_ms()
