"""TLS: with a certificate the node speaks it, and nothing else."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.web.support import TOKEN, WAIT_S, Client, Node, serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(key_bytes)
    return folder


def test_tls(certificate):
    flags = {
        "server__tls_cert": str(certificate / "cert.pem"),
        "server__tls_key": str(certificate / "key.pem"),
    }
    with serving(Node(), **flags) as port:
        context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        request = urllib.request.Request(
            f"https://127.0.0.1:{port}/fhir/Patient", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        straight = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with straight.open(request, timeout=WAIT_S) as answer:
            assert answer.status == 200
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLS"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)), Client(port) as client:
            old.wrap_socket(client.socket)
        with Client(port) as plain:
            plain.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert plain.closed()
