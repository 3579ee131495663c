"""GET of a client's key set over TLS: `Fetcher` of `smart.remote_keys`, for hosts that the operator listed.

One request of five seconds in all, whatever the other side does: certificate checked, no redirects, no proxies, no
cookies, nothing of ours sent; an answer of at most 32 KiB.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from careledger.primitives.errors import Unavailable
from careledger.smart.jwk import KEY_SET_BYTES_MAX
from careledger.smart.remote_keys import Fetched

TIMEOUT_S: Final = 5.0
AT_ONCE: Final = 4
UNSAID_S: Final = 60
"""How long a set is kept whose publisher does not say."""

_MAX_AGE = re.compile(r"max-age=\"?([0-9]{1,9})\"?")
_AGE = re.compile(r"[0-9]{1,9}", re.ASCII)


class KeyFetcher:
    """Fetches, four at once. `context` is the TLS that is demanded: by default that of the system's certificates."""

    def __init__(self, context: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._context = context or ssl.create_default_context()
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, address: str) -> Fetched:
        """The answer. Raises Unavailable: no connection, no valid certificate, not 200, too large, too slow."""
        async with self._free:
            try:
                return await asyncio.to_thread(self._get, address)
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise Unavailable(
                    f"a client's key set cannot be fetched ({type(error).__name__})",
                    hint="its address must answer GET with 200 and a JWK set within five seconds",
                    code="key-set-unavailable",
                ) from error

    def _get(self, address: str) -> Fetched:
        until = time.monotonic() + self._timeout_s
        parts = urlsplit(address)
        if parts.scheme != "https":
            raise ValueError("a key set is fetched over https")
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=self._timeout_s, context=self._context
        )
        try:
            connection.connect()
            with ending(connection.sock, until):
                connection.request("GET", parts.path, headers={"Accept": "application/json"})
                response = connection.getresponse()
                if response.status != 200:
                    raise ValueError("the answer is not 200")
                body = response.read(KEY_SET_BYTES_MAX + 1)
            if len(body) > KEY_SET_BYTES_MAX:
                raise ValueError("the answer is too large")
            return Fetched(
                body, compute_max_age(response.getheader("Cache-Control"), response.getheader("Age"))
            )
        finally:
            connection.close()


def compute_max_age(control: str | None, age: str | None) -> int:
    """How many seconds more an answer may be kept (RFC 9111, 4.2)."""
    if control is None:
        return UNSAID_S
    said = control.lower()
    if "no-store" in said or "no-cache" in said:
        return 0
    found = _MAX_AGE.findall(said)
    if not found:
        return UNSAID_S
    spent = int(age) if age is not None and _AGE.fullmatch(age) else 0
    return max(min(map(int, found)) - spent, 0)


@contextmanager
def ending(connected: socket.socket, until: float) -> Iterator[None]:
    """Whoever answers a byte at a time is cut off: time-outs of a socket count from byte to byte."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("too slow")
    timer = threading.Timer(left, _shut, (connected,))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if time.monotonic() >= until:
        raise TimeoutError("too slow")


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
