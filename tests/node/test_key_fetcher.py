"""Key sets over TLS: from whom the certificate names, whole, in time; with anything else the client has no keys."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import re
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from careledger.node.key_fetcher import UNSAID_S, KeyFetcher, compute_max_age
from careledger.primitives.errors import Unavailable

BODY = b'{"keys":[]}'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("publisher")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return folder / "both.pem"


class Publisher:
    """A server of one answer, given in pieces with a pause before each; it keeps what it was asked."""

    def __init__(self, certificate, *pieces, pause_s=0.0):
        self.asked: list[bytes] = []
        self._pieces, self._pause_s = pieces, pause_s
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"https://127.0.0.1:{self._listening.getsockname()[1]}/jwks.json"
        self._context = context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            accepted, _ = self._listening.accept()
            with contextlib.suppress(OSError), accepted:
                self._answer(accepted)

    def _answer(self, accepted):
        with self._context.wrap_socket(accepted, server_side=True) as connected:
            self.asked.append(receive(connected))
            for piece in self._pieces:
                time.sleep(self._pause_s)
                connected.sendall(piece)


def receive(connected):
    """The whole request: a connection that is closed before its body is read takes the answer with it."""
    asked = b""
    while piece := connected.recv(65_536):
        asked += piece
        head, ended, body = asked.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if ended and len(body) >= int(length[1] if length else 0):
            break
    return asked


def fetch(certificate, publisher, timeout_s=5.0):
    context = ssl.create_default_context(cafile=str(certificate))
    return asyncio.run(KeyFetcher(context, timeout_s).fetch(publisher.address))


def answer(body=BODY, status=b"200 OK", *headers):
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_a_key_set_and_how_long_it_may_be_kept(certificate):
    publisher = Publisher(
        certificate, answer(BODY, b"200 OK", b"Cache-Control: public, max-age=120", b"Age: 20")
    )
    fetched = fetch(certificate, publisher)
    assert (fetched.body, fetched.max_age_s) == (BODY, 100)
    asked = publisher.asked[0].lower()
    assert asked.startswith(b"get /jwks.json http/1.1\r\n")
    assert b"accept: application/json" in asked
    assert b"cookie" not in asked
    assert b"authorization" not in asked


REFUSED = {
    "not found": answer(b"", b"404 Not Found"),
    "a redirect": answer(b"", b"302 Found", b"Location: https://127.0.0.1/latest/meta-data"),
    "a redirect for good": answer(b"", b"308 Permanent Redirect", b"Location: file:///etc/passwd"),
    "an error": answer(BODY, b"500 Internal Server Error"),
    "too large": answer(b" " * 32_769),
    "endless": b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 100_000,
    "no HTTP": b"keys\r\n\r\n",
    "nothing": b"",
    "no end of headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200,
    "a long header": b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_answer_is_no_key_set(certificate, name):
    publisher = Publisher(certificate, REFUSED[name])
    with pytest.raises(Unavailable) as refused:
        fetch(certificate, publisher)
    assert "127.0.0.1" not in refused.value.message
    assert len(publisher.asked) == 1


def test_whoever_answers_a_byte_at_a_time_is_cut_off(certificate):
    """No single pause is as long as the time-out."""
    publisher = Publisher(certificate, *(bytes([byte]) for byte in answer()), pause_s=0.1)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        fetch(certificate, publisher, timeout_s=0.5)
    assert time.monotonic() - started < 5


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate):
    publisher = Publisher(certificate, answer())
    with pytest.raises(Unavailable):
        asyncio.run(KeyFetcher().fetch(publisher.address))
    assert publisher.asked == []
    for address in (
        publisher.address.replace("127.0.0.1", "localhost"),
        publisher.address.replace("https", "http"),
    ):
        publisher.address = address
        with pytest.raises(Unavailable):
            fetch(certificate, publisher)


@pytest.mark.parametrize(
    "control, age, seconds",
    [
        (None, None, UNSAID_S),
        ("public", None, UNSAID_S),
        ("max-age=30", None, 30),
        ("Max-Age=30", "12", 18),
        ("max-age=30", "31", 0),
        ("max-age=30", "soon", 30),
        ("max-age=0", None, 0),
        ("max-age=30, no-cache", None, 0),
        ("NO-STORE", None, 0),
        ("max-age=600, max-age=5", None, 5),
        ("max-age=-5", None, UNSAID_S),
    ],
)
def test_how_long_a_key_set_may_be_kept(control, age, seconds):
    assert compute_max_age(control, age) == seconds
