"""A small OpenID provider on loopback, of an organisation; honest unless a test makes one of its parts lie."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

CLIENT, SECRET, MFA, SUBJECT = "careledger-node", "s3cret-of-the-node", "phr", "f3a9c1d2-0b7e"
Claims = dict[str, Any]


def encode(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@cache
def keys() -> dict[str, Any]:
    """One of each kind, and strangers; made once."""
    return {
        "RS256": RSAKey.import_key(rsa.generate_private_key(65_537, 2048)),
        "ES256": ECKey.generate_key("P-256"),
        "EdDSA": OKPKey.generate_key("Ed25519"),
        "stranger": RSAKey.import_key(rsa.generate_private_key(65_537, 2048)),
    }


@cache
def weak_key() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RSAKey.import_key(rsa.generate_private_key(65_537, 1024))


def key_of(algorithm: str) -> Any:
    return keys()["RS256" if algorithm == "PS256" else algorithm]


def public(name: str, kid: str, **more: str) -> dict[str, Any]:
    members = {name: value for name, value in key_of(name).as_dict(private=False).items() if name != "kid"}
    return {**members, "kid": kid, "use": "sig", **more}


def sign(header: Claims, payload: Claims | bytes, key: Any, algorithm: str = "") -> str:
    """A JWS with whatever header; `algorithm` signs, where the header tells another."""
    name = algorithm or header["alg"]
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signing = f"{encode(header)}.{encode(text)}"
    registry = jws.JWSRegistry(algorithms=[name])
    made = registry.get_alg(name).sign(signing.encode(), key)
    return f"{signing}.{encode(made)}"


def same(value: Any) -> Any:
    return value


@dataclass
class Lies:
    """What is not as it should be: each part gets the honest value and gives what is sent instead."""

    document: Callable[[Claims], Any] = same
    key_set: Callable[[Claims], Any] = same
    claims: Callable[[Claims], Any] = same
    header: Callable[[Claims], Claims] = same
    token: Callable[[str], str] = same
    tokens: Callable[[Claims], Any] = same
    answer: Callable[[dict[str, str]], Any] = same
    raw: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)  # by path
    checks_pkce: bool = True
    takes_codes_twice: bool = False


@dataclass
class Code:
    """One sign-in that it has let through."""

    asked: dict[str, str]
    claims: Claims


class Organisation:
    """The provider. `now_ms` is the clock that its tokens tell."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.lies = Lies()
        self.algorithm, self.kid = "RS256", "k1"
        self.asked: list[str] = []
        self.codes: dict[str, Code] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.serve(self)

            def do_POST(self) -> None:
                outer.serve(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://localhost:{self._server.server_port}/realms/riverside"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # What it answers over HTTP

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path.removeprefix("/realms/riverside")
        self.asked.append(f"{request.command} {path}")
        length = int(request.headers.get("content-length") or 0)
        form = {name: values[0] for name, values in parse_qs(request.rfile.read(length).decode()).items()}
        with contextlib.suppress(OSError):  # whoever waits no longer
            if path in self.lies.raw:
                self.lies.raw[path](request)
            elif path == "/.well-known/openid-configuration":
                send(request, self.lies.document(self._document()))
            elif path == "/certs":
                send(request, self.lies.key_set(self._key_set()))
            elif path == "/token":
                self._give(request, form)
            else:
                send(request, {}, 404)

    def _document(self) -> Claims:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/certs",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _key_set(self) -> Claims:
        encryption = {**public("RS256", "enc"), "use": "enc", "alg": "RSA-OAEP", "x5c": ["MII"]}
        return {"keys": [encryption, {**public(self.algorithm, self.kid), "issuer": self.issuer}]}

    def _give(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        code = self.codes.get(form.get("code", ""))
        if not self.lies.takes_codes_twice:
            self.codes.pop(form.get("code", ""), None)
        if request.headers.get("authorization") != f"Basic {basic}" or code is None:
            return send(request, {"error": "invalid_grant"}, 400)
        shown = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if self.lies.checks_pkce and encode(shown) != code.asked["code_challenge"]:
            return send(request, {"error": "invalid_grant"}, 400)
        if form.get("redirect_uri") != code.asked["redirect_uri"]:
            return send(request, {"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(24)
        token = self.lies.token(self._id_token(code, access))
        return send(
            request, self.lies.tokens({"access_token": access, "token_type": "Bearer", "id_token": token})
        )

    def _id_token(self, code: Code, access: str) -> str:
        digest = hashlib.sha512 if self.algorithm == "EdDSA" else hashlib.sha256
        half = digest(access.encode()).digest()
        claims = self.lies.claims({**code.claims, "at_hash": encode(half[: len(half) // 2])})
        header = self.lies.header({"alg": self.algorithm, "kid": self.kid, "typ": "JWT"})
        return sign(header, claims, key_of(self.algorithm), self.algorithm)

    # What happens in the person's browser there

    def sign_in(self, location: str, subject: str = SUBJECT, **claims: Any) -> str:
        """The person signs in at the address that they were sent to; the path that their browser comes back to."""
        assert location.startswith(f"{self.issuer}/auth?"), location
        asked = {name: value for name, (value,) in parse_qs(urlsplit(location).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["client_id"] == CLIENT
        assert len(asked["state"]) == len(asked["nonce"]) == 43
        code, now = secrets.token_urlsafe(24), self.now_ms() // 1000
        given = {
            "iss": self.issuer, "sub": subject, "aud": CLIENT, "azp": CLIENT, "exp": now + 300, "iat": now,
            "auth_time": now, "nonce": asked["nonce"], "acr": MFA, "email": "mei.chen@riverside.example",
        }  # fmt: skip
        self.codes[code] = Code(asked, given | claims)
        answer = self.lies.answer({"code": code, "state": asked["state"], "iss": self.issuer})
        return f"{urlsplit(asked['redirect_uri']).path}?{urlencode(answer, doseq=True)}"


def send(request: BaseHTTPRequestHandler, content: Any, status: int = 200) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request.send_response(status)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def redirecting(to: str, status: int = 302) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Location", to)
        request.end_headers()

    return answer


def dripping(request: BaseHTTPRequestHandler) -> None:
    """A byte at a time: no single pause is long."""
    request.send_response(200)
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b" ")
        request.wfile.flush()
        time.sleep(0.05)
