"""The node as the FHIR room sees it: a view of what is committed, and one door for what shall be.

`node` implements this Protocol; nothing in this room knows of journals, sockets or keys.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from careledger.vault.model import AccessEntry, Commit, CommitResult, Snapshot


class Backend(Protocol):
    """What interactions need of a node."""

    @property
    def base_url(self) -> str:
        """The FHIR base as clients write it, without a trailing slash: `http://host:port/fhir`."""

    @property
    def organisation(self) -> str:
        """The DID of the organisation that keeps these charts."""

    @property
    def cursor_key(self) -> bytes:
        """32 bytes that sign paging cursors; equal in every worker of one node."""

    def snapshot(self) -> Snapshot:
        """A consistent view (a context manager). Close it before awaiting anything."""

    async def commit(self, commit: Commit) -> CommitResult:
        """Make the commit durable, all or nothing.

        Raises Conflict if an expected version moved, Unavailable if the journal cannot be written; then nothing
        was changed.
        """

    async def log_access(self, entries: tuple[AccessEntry, ...]) -> None:
        """Return once the entries are durable. Raises Unavailable; then no byte of a body may leave."""

    def conditional_lock(self, type: str) -> AbstractAsyncContextManager[None]:
        """Hold off every other conditional write of this resource type, in all workers."""

    def is_revoked(self, token_id: str) -> bool:
        """Whether a bearer token was revoked, by any worker. Some microseconds: not to be asked for each entry."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""

    def monotonic_ms(self) -> int:
        """Milliseconds of the machine's monotonic clock, as `BlockMark` has them."""
