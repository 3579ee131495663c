"""A client whose keys are fetched, from the setting to its token; and without the setting nothing is fetched."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from careledger.node import authorisation, config
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.service import NodeService
from careledger.node.worker import LocalWorker
from careledger.smart.clients import add_client
from careledger.smart.keys import ALGORITHMS, list_keys
from careledger.smart.registration import Draft, make_client
from careledger.smart.remote_keys import Fetched
from careledger.web.smart.app import create_smart
from careledger.web.smart.messages import SmartAnswer, SmartRequest
from tests.faults.rig import PASSPHRASE, new_home
from tests.smart.client_support import carried
from tests.smart.forging import ec_key, jwk, signed

ADDRESS = "https://keys.example/lab/jwks.json"
FORM = {b"content-type": b"application/x-www-form-urlencoded"}


class Publisher:
    """In place of the one that connects."""

    asked: list[str] = []

    async def fetch(self, address: str) -> Fetched:
        self.asked.append(address)
        return Fetched(json.dumps({"keys": [jwk(ec_key(), kid="e")]}).encode(), 60)


async def ask_for_token(home: Path, hosts: str) -> SmartAnswer:
    """As a machine whose keys are published does, of a worker of this home."""
    file, keys = open_keys(Layout(home), PASSPHRASE)
    settings = config.load(None, {"CARELEDGER_SMART__JWKS_HOSTS": hosts}, {})
    service = NodeService(home, file, keys, served=False, config=settings)
    await service.start()
    try:
        parts = await LocalWorker(service, keys, settings).open()
        smart = await create_smart(parts)
        server = parts.authority.server
        assert [one.algorithm for one in list_keys(server.registry, server.now_ms())] == list(ALGORITHMS)
        draft = Draft(
            name="Lab", scope="system/*.rs", method="private_key_jwt", grant_types=("client_credentials",),
            jwks_uri=ADDRESS,
        )  # fmt: skip
        client, _ = make_client(draft, server.now_ms(), is_key_host=lambda _: True)
        await add_client(server.registry, client)
        claims = {
            "iss": client.id, "sub": client.id, "aud": server.token_url, "jti": "once", "exp": int(time.time()) + 60,
        }  # fmt: skip
        assertion = signed({"alg": "ES256", "kid": "e", "typ": "JWT"}, claims, ec_key())
        form = carried(assertion, grant_type="client_credentials", scope="system/*.rs")
        body = urlencode(form).encode()
        return await smart.handle(SmartRequest("POST", "/oauth/token", (), FORM, body, "203.0.113.1"))
    finally:
        await service.stop()


def test_keys_are_fetched_from_listed_hosts_and_without_any_from_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorisation, "KeyFetcher", Publisher)
    home, asked = new_home(tmp_path / "home"), Publisher.asked
    for hosts, status, fetched in (
        ("", 400, []),
        ("other.example", 400, []),
        ("keys.example", 200, [ADDRESS]),
    ):
        asked.clear()
        answer = asyncio.run(ask_for_token(home, hosts))
        assert (answer.status, asked) == (status, fetched), answer.body
