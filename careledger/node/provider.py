"""The organisation's OpenID provider, as the configuration names it; and the one way on which requests go there.

A request takes five seconds in all, whatever the other side does, and runs beside the event loop: certificate checked,
no redirects, no proxies, no cookies; to the issuer's own origin and nowhere else; an answer of at most 64 KiB.
Plain http is for a provider on `localhost`, which is one for tests.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from careledger.node.config import SmartConfig
from careledger.node.key_fetcher import ending
from careledger.primitives.errors import Invalid, Misconfigured
from careledger.smart.provider import (
    DOCUMENT_BYTES_MAX,
    Got,
    Provider,
    Sent,
    check_client,
    check_issuer,
    origin_of,
    unavailable,
)

TIMEOUT_S: Final = 5.0
AT_ONCE: Final = 8
SECRET_BYTES_MAX: Final = 1024
ANSWER_PATH: Final = "/sign-in/provider/answer"


class ProviderFetcher:
    """`Fetch` for one origin. `context` is the TLS that is demanded: by default that of the system's certificates."""

    def __init__(
        self, origin: str, context: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._origin = origin
        self._context = context or ssl.create_default_context()
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, sent: Sent) -> Got:
        """The answer. Raises Unavailable: another origin, no valid certificate, a redirect, too large, too slow."""
        if origin_of(sent.url) != self._origin:
            raise unavailable("another origin")
        async with self._free:
            try:
                return await asyncio.to_thread(self._send, sent)
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise unavailable(type(error).__name__) from error

    def _send(self, sent: Sent) -> Got:
        until = time.monotonic() + self._timeout_s
        parts = urlsplit(sent.url)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            connection.connect()
            with ending(connection.sock, until):
                connection.request(sent.method, parts.path or "/", sent.body or None, dict(sent.headers))
                response = connection.getresponse()
                if 300 <= response.status < 400:
                    raise ValueError("a redirect")
                body = response.read(DOCUMENT_BYTES_MAX + 1)
            if len(body) > DOCUMENT_BYTES_MAX:
                raise ValueError("the answer is too large")
            return Got(response.status, body)
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._context)
        if host != "localhost":
            raise ValueError("a provider is asked over https")
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)


def open_provider(smart: SmartConfig, public_url: str) -> Provider | None:
    """The provider of the configuration, None where none is named. Raises Misconfigured. Nothing is fetched yet."""
    if not smart.provider_issuer:
        return None
    try:
        issuer = check_issuer(smart.provider_issuer)
        secret = _read_secret(Path(smart.provider_secret_file)) if smart.provider_secret_file else ""
        check_client(smart.provider_client_id, secret, smart.provider_acr)
    except Invalid as error:
        raise Misconfigured(error.message, hint=error.hint, code=error.code) from error
    return Provider(
        issuer=issuer,
        client_id=smart.provider_client_id,
        secret=secret,
        demanded=smart.provider_acr,
        redirect_uri=f"{public_url}{ANSWER_PATH}",
        fetch=ProviderFetcher(origin_of(issuer)),
    )


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(SECRET_BYTES_MAX + 1)
        if len(raw) <= SECRET_BYTES_MAX:
            return raw.decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        pass
    raise Misconfigured(
        "the secret of the organisation's provider cannot be read",
        hint="smart.provider_secret_file names a small text file that the node's user may read",
        code="provider-secret",
    )
