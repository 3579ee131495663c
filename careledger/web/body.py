"""Bodies: read within a limit of bytes and of time, unpacked within a limit of output and of ratio."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from careledger.primitives.errors import Invalid, TooLarge

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

RATE_MIN_BYTES_PER_SECOND = 16_384
RATIO_FREE_BYTES = 1 << 20
DISCARD_MAX_BYTES = 65_536
DISCARD_SECONDS = 1.0
DISCARD_BODIES = 4
"""How much of a refused body is taken in, unparsed, so that the client gets to read the refusal: of a stranger's a little,
of a caller's with a token up to so many greatest bodies, as long as it keeps coming."""
_STEP_BYTES = 1 << 20


class Disconnected(Exception):
    """The client has gone; there is nobody to answer."""


def declared_length(headers: dict[bytes, bytes]) -> int | None:
    """Content-Length, 0 if there is no body, None if chunked. Raises Invalid for what is neither."""
    length = headers.get(b"content-length")
    if b"transfer-encoding" in headers:
        if length is not None:
            raise Invalid("Content-Length and Transfer-Encoding exclude each other", code="length-invalid")
        return None
    if length is None:
        return 0
    if not length.isdigit() or len(length) > 15:
        raise Invalid("Content-Length is not a number", code="length-invalid")
    return int(length)


async def read_body(
    receive: Receive, expected: int | None, max_bytes: int, deadline: asyncio.Timeout
) -> bytes:
    """The whole body as it was sent. `deadline` is moved on by what has arrived, at 16 kB/s.

    Raises TooLarge before more than `max_bytes` are held, Invalid if the length is not the declared one,
    Disconnected if the client leaves.
    """
    if expected is not None and expected > max_bytes:
        raise too_large(max_bytes)
    first = 0.0
    parts: list[bytes] = []
    received = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        part: bytes = message.get("body", b"")
        received += len(part)
        if received > max_bytes:
            raise too_large(max_bytes)
        parts.append(part)
        if not message.get("more_body", False):
            break
        first = first or deadline.when() or 0.0
        deadline.reschedule(first + received / RATE_MIN_BYTES_PER_SECOND)
    if expected is not None and received != expected:
        raise Invalid("the body has not the length that was declared", code="length-invalid")
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def discard(receive: Receive, bytes_max: int, seconds: float) -> None:
    """Take in a refused body without looking at it, until nothing has come for a second, and no longer than `seconds`."""
    loop = asyncio.get_running_loop()
    end, taken = loop.time() + seconds, 0
    try:
        async with asyncio.timeout(DISCARD_SECONDS) as deadline:
            while taken <= bytes_max:
                message = await receive()
                taken += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                deadline.reschedule(min(end, loop.time() + DISCARD_SECONDS))
    except TimeoutError:
        return


def unpack_gzip(packed: bytes, max_bytes: int, max_ratio: int) -> bytes:
    """The content of one gzip member. Raises TooLarge above `max_bytes`, or above `max_ratio` beyond 1 MiB."""
    unpacker = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    total = 0
    limit = min(max_bytes, max(RATIO_FREE_BYTES, len(packed) * max_ratio))
    pending = packed
    try:
        while not unpacker.eof:
            part = unpacker.decompress(pending, min(_STEP_BYTES, limit + 1 - total))
            pending = unpacker.unconsumed_tail
            total += len(part)
            if total > limit:
                raise too_large(limit)
            parts.append(part)
            if not part and not pending and not unpacker.eof:
                raise Invalid("the gzip body ends too early", code="gzip-invalid")
    except zlib.error as error:
        raise Invalid("the body is not gzip", code="gzip-invalid") from error
    if unpacker.unused_data:
        raise Invalid("something follows the gzip body", code="gzip-invalid", hint="send one gzip member")
    return b"".join(parts)


def too_large(max_bytes: int) -> TooLarge:
    """The refusal of a body over the limit."""
    return TooLarge(
        f"the body is over the limit of {max_bytes} bytes",
        hint="send it in parts; limits.max_body_bytes sets the limit",
    )
