"""Answers that leave piece by piece: a file that is too long to be held."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from careledger.fhir.messages import Chunks
from careledger.primitives.errors import CareLedgerError
from careledger.web.body import Disconnected

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def send_pieces(
    send: Send,
    headers: Sequence[tuple[bytes, bytes]],
    chunks: Chunks,
    *,
    with_body: bool,
) -> None:
    """Send a file whose length the headers tell, then close it. If it cannot be read to its end the connection is cut."""
    async with contextlib.aclosing(chunks):
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if with_body:
            try:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except CareLedgerError as error:
                raise Disconnected from error
        await send({"type": "http.response.body", "body": b""})
