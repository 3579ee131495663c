"""A worker's side of the node: reads by itself, seals by itself, and asks the sequencer for order and durability."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from careledger.node.group import ChartExists
from careledger.primitives.errors import Unavailable
from careledger.vault.keystore import Keys
from careledger.vault.messages import SealedCommit
from careledger.vault.model import AccessEntry, Commit, CommitResult
from careledger.vault.sealer import Sealer
from careledger.vault.snapshot import VaultReader, VaultSnapshot

SEAL_BATCH = 64
SEAL_ATTEMPTS = 8


class Order(Protocol):
    """The sequencer, in this process or behind its socket."""

    async def commit(self, commit: SealedCommit) -> CommitResult: ...
    async def log_access(self, entries: tuple[AccessEntry, ...]) -> None: ...
    def conditional_lock(self, type: str) -> AbstractAsyncContextManager[None]: ...
    def check_health(self) -> None: ...


class NodeBackend:
    """`careledger.fhir.backend.Backend` over the real node. One a process."""

    def __init__(
        self, keys: Keys, reader: VaultReader, order: Order, base_url: str, organisation: str
    ) -> None:
        self._reader = reader
        self._order = order
        self.base_url = base_url
        self.organisation = organisation
        self.cursor_key = keys.cursor_key

    def snapshot(self) -> VaultSnapshot:
        return self._reader.snapshot()

    async def commit(self, commit: Commit) -> CommitResult:
        for _ in range(SEAL_ATTEMPTS):
            sealed = await self._seal(commit)
            try:
                return await self._order.commit(sealed)
            except ChartExists:
                continue
        raise Unavailable("other commits kept beginning the same charts", hint="repeat the request")

    async def _seal(self, commit: Commit) -> SealedCommit:
        # A chart begins no later than what is first recorded in it.
        began_ms = min((write.time_ms for write in commit.writes), default=self.now_ms())
        sealer = Sealer(self._reader, began_ms)
        for done, _ in enumerate(sealer.steps(commit, SEAL_BATCH), 1):
            if done * SEAL_BATCH < len(commit.writes):
                await asyncio.sleep(0)
        return sealer.result(commit)

    async def log_access(self, entries: tuple[AccessEntry, ...]) -> None:
        await self._order.log_access(entries)

    def conditional_lock(self, type: str) -> AbstractAsyncContextManager[None]:
        return self._order.conditional_lock(type)

    def now_ms(self) -> int:
        """The clock's word, but never before the newest block: a clock that was set back would date records before
        what others have seen, and verifiers refuse the whole chart for it."""
        return max(time.time_ns() // 1_000_000, self._reader.newest_ms())

    def monotonic_ms(self) -> int:
        """The machine's monotonic clock, the same in every process."""
        return time.monotonic_ns() // 1_000_000

    def problems(self) -> tuple[str, ...]:
        """Why the node cannot serve now, in fixed phrases; empty when it can."""
        try:
            self._order.check_health()
        except Unavailable as error:
            return (error.message,)
        return ()

    def is_revoked(self, token_id: str) -> bool:
        """Whether a bearer token was revoked; seen by every worker from the commit on."""
        with self._reader.snapshot() as snapshot:
            return snapshot.is_revoked(token_id.encode())
