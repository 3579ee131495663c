"""Whose limits a request counts against: the address that connected, or the one that the trusted proxy names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from careledger.web.app import create_app
from careledger.web.services import Services
from careledger.web.smart.messages import SmartAnswer, SmartRequest


class Listening:
    """An authorisation server that notes who came."""

    def __init__(self) -> None:
        self.came: list[str] = []

    def is_mine(self, path: str) -> bool:
        return True

    def is_open(self, path: str) -> bool:
        return False

    def methods(self, path: str) -> frozenset[str]:
        return frozenset(("GET",))

    async def handle(self, request: SmartRequest) -> SmartAnswer:
        self.came.append(request.address)
        return SmartAnswer(200)

    def nonce(self) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("behind_proxy", "forwarded", "address"),
    [
        (False, [b"203.0.113.9"], "127.0.0.1"),
        (True, [b"203.0.113.9"], "203.0.113.9"),
        (True, [b"198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (True, [b"198.51.100.1", b"203.0.113.9"], "203.0.113.9"),
        (True, [b"203.0.113.9, not an address"], "127.0.0.1"),
        (True, [], "127.0.0.1"),
        (True, [b"2001:DB8::1"], "2001:db8::1"),
    ],
)
def test_a_header_that_anybody_can_send_is_believed_of_the_proxy_alone(
    behind_proxy: bool, forwarded: list[bytes], address: str
) -> None:
    smart = Listening()
    services: Any = Services(
        fhir=None,  # type: ignore[arg-type]
        authenticate=lambda authorization, presented: pytest.fail("nobody asks who that is"),
        problems=lambda: (),
        log=lambda entry: None,
        smart=smart,  # type: ignore[arg-type]
        behind_proxy=behind_proxy,
    )
    scope = {
        "type": "http", "method": "GET", "path": "/sign-in", "raw_path": b"/sign-in", "query_string": b"",
        "headers": [(b"x-forwarded-for", one) for one in forwarded], "client": ("127.0.0.1", 5),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        return None

    asyncio.run(create_app(services)(scope, receive, send))
    assert smart.came == [address]
