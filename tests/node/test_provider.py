"""The way to the organisation's provider: to its origin, over checked TLS, whole and in time; and how it is configured."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from careledger.node.config import load
from careledger.node.provider import ANSWER_PATH, ProviderFetcher, open_provider
from careledger.primitives.errors import Misconfigured, Unavailable
from careledger.smart.provider import Sent
from careledger.web.smart.federated import ANSWER
from tests.node.test_key_fetcher import Publisher, answer, certificate

__all__ = ["certificate"]  # a fixture
PUBLIC = "https://riverside.example"


def fetch(fetcher, url, method="GET", body=b""):
    return asyncio.run(fetcher.fetch(Sent(method, url, {"Accept": "application/json"}, body)))


def trusting(certificate):
    return ssl.create_default_context(cafile=str(certificate))


def test_an_answer_over_tls_and_its_status(certificate):
    for status in (b"200 OK", b"400 Bad Request", b"500 No"):
        publisher = Publisher(certificate, answer(b"{}", status))
        origin = publisher.address.removesuffix("/jwks.json")
        got = fetch(ProviderFetcher(origin, trusting(certificate)), publisher.address, "POST", b"a=b")
        assert (got.status, got.body) == (int(status[:3]), b"{}")
        asked = publisher.asked[0].lower()
        assert asked.startswith(b"post /jwks.json http/1.1\r\n")
        assert b"cookie" not in asked


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate):
    publisher = Publisher(certificate, answer(b"{}"))
    with pytest.raises(Unavailable):
        fetch(ProviderFetcher(publisher.address.removesuffix("/jwks.json")), publisher.address)
    assert publisher.asked == []


def test_no_other_origin_is_asked(certificate):
    publisher = Publisher(certificate, answer(b"{}"))
    origin = publisher.address.removesuffix("/jwks.json")
    for configured in (
        origin + "0",
        origin.replace("https", "http"),
        origin.replace("127.0.0.1", "localhost"),
    ):
        with pytest.raises(Unavailable):
            fetch(ProviderFetcher(configured, trusting(certificate)), publisher.address)
    with pytest.raises(Unavailable):  # http is for localhost alone, whatever is configured
        fetch(ProviderFetcher(origin.replace("https", "http")), publisher.address.replace("https", "http"))
    assert publisher.asked == []


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 Other", b"307 T", b"308 P"])
def test_a_redirect_is_no_answer(certificate, status):
    publisher = Publisher(certificate, answer(b"{}", status, b"Location: https://127.0.0.1/latest/meta-data"))
    origin = publisher.address.removesuffix("/jwks.json")
    with pytest.raises(Unavailable) as refused:
        fetch(ProviderFetcher(origin, trusting(certificate)), publisher.address)
    assert len(publisher.asked) == 1
    assert "127.0.0.1" not in refused.value.message


def test_an_answer_without_end_is_none(certificate):
    for body in (answer(b" " * 65_537), b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 200_000):
        publisher = Publisher(certificate, body)
        with pytest.raises(Unavailable):
            fetch(
                ProviderFetcher(publisher.address.removesuffix("/jwks.json"), trusting(certificate)),
                publisher.address,
            )


def test_a_slow_provider_keeps_nobody_else_waiting(certificate):
    """The loop goes on meanwhile, and the request ends in time, though no single pause is long."""
    publisher = Publisher(certificate, *(bytes([byte]) for byte in answer(b"{}")), pause_s=0.1)
    fetcher = ProviderFetcher(publisher.address.removesuffix("/jwks.json"), trusting(certificate), 0.5)
    turns = []

    async def both():
        waiting = asyncio.ensure_future(fetcher.fetch(Sent("GET", publisher.address, {})))
        while not waiting.done():
            turns.append(time.monotonic())
            await asyncio.sleep(0.01)
        with pytest.raises(Unavailable):
            await waiting

    asyncio.run(both())
    assert len(turns) > 5
    assert turns[-1] - turns[0] < 5


# The configuration


def configured(tmp_path, **other):
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    values = {
        "issuer": "https://idp.riverside.example/realms/staff", "client_id": "careledger", "acr": "phr",
        "secret_file": str(secret),
    }  # fmt: skip
    flags = {f"smart.provider_{name}": value for name, value in (values | other).items()}
    return open_provider(load(environment={}, flags=flags).smart, PUBLIC)


def test_the_provider_is_off_unless_it_is_configured(tmp_path):
    assert open_provider(load(environment={}).smart, PUBLIC) is None
    provider = configured(tmp_path)
    assert (provider.client_id, provider.secret, provider.demanded) == ("careledger", "s3cret", "phr")
    assert provider.redirect_uri == f"{PUBLIC}/sign-in/provider/answer"
    assert ANSWER_PATH == ANSWER
    assert "s3cret" not in repr(provider)


HALF = {
    "no client": {"client_id": ""},
    "nothing demanded": {"acr": ""},
    "no secret": {"secret_file": ""},
    "a secret that is not there": {"secret_file": "/nonexistent/secret"},
    "a secret without end": {"secret_file": "/dev/zero"},
    "http": {"issuer": "http://idp.riverside.example"},
    "a slash": {"issuer": "https://idp.riverside.example/"},
}


@pytest.mark.parametrize("name", HALF)
def test_a_provider_that_is_half_configured_starts_nothing(tmp_path, name):
    with pytest.raises(Misconfigured):
        configured(tmp_path, **HALF[name])


def test_a_hundred_sign_ins_at_once_ask_once(tmp_path):
    """One document for all who wait for it, through the provider as a node opens it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            time.sleep(0.05)
            body = json.dumps({
                "issuer": issuer, "authorization_endpoint": f"{issuer}/a", "token_endpoint": f"{issuer}/t",
                "jwks_uri": f"{issuer}/k",
            }).encode()  # fmt: skip
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = f"http://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    provider = configured(tmp_path, issuer=issuer)

    async def many():
        asking = [provider.ask(1, state="s", nonce="n", verifier="v" * 43, fresh=False) for _ in range(100)]
        return await asyncio.gather(*asking)

    addresses = asyncio.run(many())
    server.shutdown()
    server.server_close()
    assert len(addresses) == 100
    assert asked == ["/.well-known/openid-configuration"]
