"""The worker processes of a served node, as its writer knows them: they can be told to forget what was erased."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from careledger.primitives.errors import Unavailable

FORGET_SECONDS: Final = 15.0

Tell = Callable[[], Awaitable[None]]


class Workers:
    """Those that are connected. A worker that goes away has forgotten everything."""

    def __init__(self) -> None:
        self._tell: set[Tell] = set()

    def add(self, tell: Tell) -> Callable[[], None]:
        """A worker; the call that is returned takes leave of it."""
        self._tell.add(tell)
        return lambda: self._tell.discard(tell)

    async def forget(self) -> None:
        """Return once every worker has dropped keys and caches. Raises Unavailable if one does not answer."""
        try:
            await asyncio.wait_for(asyncio.gather(*(tell() for tell in list(self._tell))), FORGET_SECONDS)
        except TimeoutError:
            raise Unavailable(
                "it is erased, but a worker did not confirm that it has forgotten it",
                hint="restart the node",
                code="worker-unconfirmed",
            ) from None
