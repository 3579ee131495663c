"""The OAuth end points over HTTP's values: limits, what is demanded, what programs in browsers may read."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from careledger.smart.authentication import Authenticator
from careledger.smart.discovery import END_POINTS, describe
from careledger.smart.keys import Upkeep
from careledger.smart.limits import FAILURES_OF_CLIENT, Limiter
from careledger.web.smart.app import tabulate
from careledger.web.smart.endpoints import DEMANDS, EndPoints
from careledger.web.smart.messages import SmartAnswer, SmartRequest
from tests.smart.flow_support import BASE, House
from tests.smart.forging import run

FORM = {b"content-type": b"application/x-www-form-urlencoded"}


class Desk:
    """The end points of a house."""

    def __init__(
        self, *, registration: bool = False, is_key_host: Callable[[str], bool] | None = None
    ) -> None:
        self.house = House()
        server = self.house.server
        authenticator = Authenticator(server.registry, frozenset((server.token_url, server.base)))
        read = lambda token: self.house.verifier.read(token.encode())  # noqa: E731
        limiter = Limiter(self.house.clock)
        upkeep = Upkeep(server.registry)
        self.end_points = EndPoints(
            server, authenticator, read, None, registration, limiter, upkeep, is_key_host
        )
        self.routes = tabulate(self.end_points.routes())

    def post(self, path: str, address: str = "203.0.113.1", body: bytes = b"", **form: str) -> SmartAnswer:
        content = body or urlencode(form).encode()
        headers = {b"content-type": b"application/json"} if body else FORM
        return run(self.routes[path]["POST"](SmartRequest("POST", path, (), headers, content, address)))

    def get(self, path: str, **headers: bytes) -> SmartAnswer:
        named = {name.encode(): value for name, value in headers.items()}
        return run(self.routes[path]["GET"](SmartRequest("GET", path, (), named, b"", "203.0.113.1")))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_every_end_point_says_whom_it_demands(desk: Desk) -> None:
    assert set(desk.routes) == set(DEMANDS)


def test_who_proves_nothing_gets_nothing(desk: Desk) -> None:
    for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/par"):
        for form in ({}, {"client_id": "nobody"}, {"client_id": desk.house.app.id, "client_secret": "x"}):
            answer = desk.post(path, token="x", **form)
            assert answer.status in (400, 401)
            assert json.loads(answer.body)["error"] in ("invalid_client", "invalid_request")
    public = desk.post("/oauth/introspect", token="x", client_id=desk.house.app.id)
    assert (public.status, json.loads(public.body)["error"]) == (401, "invalid_client")
    nobody = desk.get("/oauth/userinfo")
    assert nobody.status == 401
    assert (b"www-authenticate", b'Bearer realm="careledger", error="invalid_token"') in nobody.headers
    assert desk.get("/oauth/userinfo", authorization=b"Bearer x.y.z").status == 401


def test_discovery_tells_the_truth(desk: Desk) -> None:
    for path in (p for p in DEMANDS if ".well-known" in p):
        told = json.loads(desk.get(path).body)
        assert told == describe(BASE, "https://clinic.example", registration=False)
    for name in set(END_POINTS) - {"authorize"}:
        assert f"/oauth/{name}" in desk.routes
    addresses = {value for value in told.values() if isinstance(value, str) and "/oauth/" in value}
    assert all(one.removeprefix("https://clinic.example").startswith("/oauth/") for one in addresses)


def test_registration_is_behind_its_switch() -> None:
    asked = json.dumps(
        {"client_name": "App", "redirect_uris": ["https://app.example/cb"], "scope": "patient/*.rs",
         "token_endpoint_auth_method": "none"}
    ).encode()  # fmt: skip
    assert Desk().post("/oauth/register", body=asked).status == 403
    open_desk = Desk(registration=True)
    answer = open_desk.post("/oauth/register", body=asked)
    assert answer.status == 201 and json.loads(answer.body)["client_id"]
    assert open_desk.post("/oauth/register", body=b"[" * 100_000).status == 400


def test_what_registers_itself_is_read_once_and_names_keys_on_listed_hosts_alone() -> None:
    asked = {
        "client_name": "App", "redirect_uris": ["https://app.example/cb"], "scope": "patient/*.rs",
        "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://keys.example/jwks.json",
    }  # fmt: skip
    desk = Desk(registration=True, is_key_host=lambda address: address.startswith("https://keys.example/"))
    answer = desk.post("/oauth/register", body=json.dumps(asked).encode())
    assert (answer.status, json.loads(answer.body)["jwks_uri"]) == (201, asked["jwks_uri"])
    elsewhere = asked | {"jwks_uri": "https://169.254.169.254/latest"}
    bodies = [json.dumps(one).encode() for one in (elsewhere, [asked], {})]
    bodies.append(json.dumps(asked).encode()[:-1] + b', "scope": "user/*.rs"}')
    for body in bodies:
        answer = desk.post("/oauth/register", body=body)
        assert (answer.status, json.loads(answer.body)["error"]) == (400, "invalid_client_metadata")
    unlisted = Desk(registration=True).post("/oauth/register", body=json.dumps(asked).encode())
    assert json.loads(unlisted.body)["error"] == "invalid_client_metadata"


def test_guessing_a_clients_secret_slows_down_the_guesser_alone(desk: Desk) -> None:
    """F13."""
    client = desk.house.client("client_secret_post", "openid patient/*.rs")
    guess = {"client_id": client.id, "client_secret": "wrong", "token": "x"}
    for _ in range(int(FAILURES_OF_CLIENT.burst)):
        assert desk.post("/oauth/introspect", **guess).status == 400
    refused = desk.post("/oauth/introspect", **guess)
    assert refused.status == 429 and dict(refused.headers)[b"retry-after"] == b"2"
    assert desk.post("/oauth/introspect", address="198.51.100.7", **guess).status == 400
    other = guess | {"client_id": desk.house.other.id}
    assert desk.post("/oauth/introspect", **other).status == 400


def test_what_browsers_of_other_origins_may_read_needs_no_cookie(desk: Desk) -> None:
    for path in ("/oauth/jwks", "/fhir/.well-known/smart-configuration"):
        assert (b"access-control-allow-origin", b"*") in desk.get(path).headers
    refused = desk.post("/oauth/token", client_id="nobody", grant_type="authorization_code")
    assert (b"access-control-allow-origin", b"*") in refused.headers


def test_a_pushed_request_is_checked_at_once(desk: Desk) -> None:
    good = desk.house.asked()
    answer = desk.post("/oauth/par", **good)
    assert answer.status == 201 and json.loads(answer.body)["request_uri"].startswith(
        "urn:ietf:params:oauth:request_uri:"
    )
    for changes in (
        {"aud": "https://other.example"},
        {"code_challenge_method": "plain"},
        {"redirect_uri": "https://evil.example"},
    ):
        assert desk.post("/oauth/par", **(good | changes)).status == 400
    assert desk.post("/oauth/par", **good, request_uri="urn:x").status == 400
