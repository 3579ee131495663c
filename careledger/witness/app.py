"""The witness over HTTP: `POST /add-checkpoint`, and nothing else. A plain ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from careledger.ledger.witnessing import REQUEST_BYTES_MAX
from careledger.witness.witness import Answer, Witness

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PATH: Final = "/add-checkpoint"
BODY_SECONDS: Final = 10.0


def create_app(witness: Witness) -> Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]:
    """The application. It asks the witness within the event loop: one checkpoint at a time."""

    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _send(send, await _answer(witness, scope, receive))

    return app


async def _answer(witness: Witness, scope: Mapping[str, Any], receive: Receive) -> Answer:
    if scope["path"] != PATH:
        return Answer(404, "this is a witness: POST /add-checkpoint\n")
    if scope["method"] != "POST":
        return Answer(405, "POST a checkpoint\n")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read(receive)
    except TimeoutError:
        return Answer(408, "the body did not arrive in time\n")
    if body is None:
        return Answer(413, f"a request has at most {REQUEST_BYTES_MAX} bytes\n")
    try:
        return witness.add_checkpoint(body)
    except OSError:
        return Answer(503, "the witness cannot write; nothing was signed\n")


async def _read(receive: Receive) -> bytes | None:
    """The body; None if it is too large."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        body += bytes(message.get("body", b""))
        if len(body) > REQUEST_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return body


async def _send(send: Send, answer: Answer) -> None:
    content = answer.body.encode()
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if answer.status == 405:
        headers.append((b"allow", b"POST"))
    if answer.status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
