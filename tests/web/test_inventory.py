"""The inventory of listeners and routes is whole and true: what it does not declare open refuses who shows nothing."""

from __future__ import annotations

import ast
import asyncio
import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from careledger.engine.configuration import Address, EngineSettings, compute_config
from careledger.fhir.routes import ROUTES
from careledger.node.accounts import make_personas as make_personas_of
from careledger.node.config import load
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.service import NodeService
from careledger.node.worker import LocalWorker
from careledger.primitives.hashing import tagged
from careledger.smart.discovery import describe
from careledger.smart.limits import Limiter
from careledger.smart.personas import become, list_personas
from careledger.smart.sessions import open_session
from careledger.smart.tables import base64url, new_secret
from careledger.web.api.app import ROUTES as API_ROUTES
from careledger.web.api.app import create_api
from careledger.web.app import AsgiApp, create_app
from careledger.web.requests import services_of
from careledger.web.smart.app import SmartApp, create_smart
from tests.faults.rig import PASSPHRASE, new_home
from tools.build_routes import LISTENERS, TARGET, build

ROOT = Path(__file__).resolve().parent.parent.parent
ORIGIN = "http://localhost:8080"
PERSONAS = [
    {"kind": "patient", "name": "Ana", "fhir_user": "Patient/ana"},
    {"kind": "clinician", "name": "Bo", "fhir_user": "Practitioner/bo"},
    {"kind": "administrator", "name": "Cem", "duties": ["keys", "users", "audit"]},
]
JSON_PATHS = re.compile(r"/(options|answer|open)$")
Row = tuple[str, str]


def read_inventory() -> dict[Row, str]:
    """(method, path) -> demand, from the page that people read."""
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| (.+) \|$", TARGET.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == len({(method, path) for method, path, _ in rows}) > 70
    return {(method, path): demand for method, path, demand in rows}


class Site:
    """The application as `serve` composes it, over a real home with the demo's people; called without a socket."""

    def __init__(self, app: AsgiApp, smart: SmartApp) -> None:
        self.app, self.smart = app, smart
        self.registry = smart.authority.server.registry
        self.calls = 0

    async def ask(self, method: str, path: str, kind: str = "") -> tuple[int, str]:
        """Status and Location for a visitor, or for a persona of this kind, with a form and token of our own page."""
        cookie, csrf = await self._enter(kind)
        headers = {b"host": b"localhost:8080", b"cookie": cookie.encode()}
        body = b""
        if method in ("POST", "PUT"):
            as_json = JSON_PATHS.search(path) or path.startswith("/fhir") or path == "/oauth/register"
            body = b"{}" if as_json else f"csrf={csrf}".encode()
            headers[b"content-type"] = (
                b"application/json" if as_json else b"application/x-www-form-urlencoded"
            )
            headers |= {b"content-length": b"%d" % len(body), b"origin": ORIGIN.encode()}
            headers |= {b"x-csrf": csrf.encode()} if as_json else {}
        if path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/par"):
            headers[b"authorization"] = b"Basic " + base64.b64encode(b"nobody:" + b"guess")
        return await self._send(method, path, headers, body)

    async def _enter(self, kind: str) -> tuple[str, str]:
        if not kind:
            secret = new_secret()
            return f"careledger-visit={secret}", base64url(tagged("cl1.csrf", secret.encode()))
        persona = next(one for one in list_personas(self.registry) if one.kind == kind)
        now_ms = self.smart.authority.server.now_ms()
        cookie, signed_in = await open_session(self.registry, become(self.registry, persona.id), "", now_ms)
        return f"careledger={cookie}", base64url(signed_in.session.csrf)

    async def _send(
        self, method: str, path: str, headers: Mapping[bytes, bytes], body: bytes
    ) -> tuple[int, str]:
        self.calls += 1
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": list(headers.items()), "client": (f"192.0.2.{self.calls % 250}", 1),
        }  # fmt: skip
        await self.app(scope, receive, send)
        found = dict(sent[0]["headers"])
        return sent[0]["status"], found.get(b"location", b"").decode()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], tuple[int, str]]:
    """(kind of person or '', method, path) -> answer, of every route of the inventory and of the application."""
    home = new_home(tmp_path_factory.mktemp("inventory") / "home")
    file, keys = open_keys(Layout(home), PASSPHRASE)
    secret = home.with_name("secret")
    secret.write_text("s" * 43)
    settings = {
        "server.base_url": ORIGIN,
        "smart.provider_issuer": "http://localhost:1",  # nobody is there, and nobody must be
        "smart.provider_client_id": "node",
        "smart.provider_secret_file": str(secret),
        "smart.provider_acr": "mfa",
    }
    config = load(home, {}, settings)

    async def ask_all() -> dict[tuple[str, str, str], tuple[int, str]]:
        service = NodeService(home, file, keys, served=True, config=config)
        await service.start()
        try:
            await make_personas_of(service.context, {"personas": PERSONAS}, lambda _: None)
            parts = await LocalWorker(service, keys, config).open()
            smart = await create_smart(parts)
            api = create_api(parts, config, Limiter(lambda: 0))
            services = services_of(
                config, parts.fhir, parts.authenticate, parts.problems, smart=smart, api=api
            )
            app = create_app(services)
            site = Site(app, smart)
            places = {("GET", "/livez"), ("GET", "/readyz")}
            places |= {(one.method, f"/fhir/{one.pattern}".rstrip("/")) for one in ROUTES}
            places |= {(method, path) for path, table in smart.routes.items() for method in table}
            places |= {(one.method, one.path) for one in API_ROUTES}
            found = {}
            for method, path in sorted(places):
                named = path.replace("{type}", "Patient").replace("{id}", "x").replace("{vid}", "1")
                named = (
                    named.replace("{height}", "0")
                    .replace("{hash}", "0" * 64)
                    .replace("{directive}", "0" * 64)
                )
                kinds = ["", "patient", "clinician", "administrator"] if smart.is_mine(path) else [""]
                for kind in kinds:
                    found[kind, method, path] = await site.ask(method, named, kind)
            return found
        finally:
            await service.stop()

    return asyncio.run(ask_all())


def is_refused(answer: tuple[int, str]) -> bool:
    status, location = answer
    return status in (401, 403) or (status == 303 and location.startswith("/sign-in"))


def test_the_inventory_is_written_from_the_tables():
    assert TARGET.read_text("utf-8") == build(), "docs/spec/routes.md differs from the tables: make docs"


def test_the_inventory_holds_every_route_and_no_other(answers):
    assert {(method, path) for kind, method, path in answers if not kind} == set(read_inventory())


def test_only_what_is_declared_open_answers_strangers(answers):
    """With a token of our own page, so that nothing but the demand refuses them."""
    inventory = read_inventory()
    open_ = {place for place, demand in inventory.items() if demand.startswith("nobody")}
    answered = {
        (method, path)
        for (kind, method, path), answer in answers.items()
        if not kind and not is_refused(answer)
    }
    assert answered <= open_, sorted(answered - open_)
    assert not [place for place in open_ if place[0] == "GET" and answers["", *place][0] in (401, 403)]


def test_only_whom_it_demands_gets_past(answers):
    inventory = read_inventory()
    demanded = {"session of a clinician": "clinician", "session of an administrator": "administrator"}
    passed = []
    for (kind, method, path), answer in answers.items():
        wanted = demanded.get(inventory[method, path].partition(",")[0])
        if kind and wanted not in (None, kind) and not is_refused(answer):
            passed.append((kind, method, path))
    assert not passed
    assert answers["administrator", "GET", "/desk"][0] == answers["clinician", "GET", "/launcher"][0] == 200
    assert answers["patient", "GET", "/me"][0] == 200


def test_every_address_of_the_discovery_document_is_a_route():
    told = describe(f"{ORIGIN}/fhir", ORIGIN, registration=True)
    paths = {
        value.removeprefix(ORIGIN) for value in told.values() if isinstance(value, str) and "://" in value
    }
    assert paths - {"/fhir"} <= {path for _, path in read_inventory()}


def list_listening() -> set[str]:
    """The files of the program that take connections by themselves."""
    found = set()
    for path in (ROOT / "careledger").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                if name in (
                    "start_server",
                    "create_server",
                    "start_unix_server",
                    "create_unix_server",
                    "listen",
                ):
                    found.add(path.relative_to(ROOT).as_posix())
    return found


def test_every_listener_is_in_the_inventory():
    own = {one.source for one in LISTENERS if not one.key}
    assert list_listening() == own | {
        "careledger/primitives/sockets.py"
    }  # which makes the sockets of two of them
    everywhere = Address("127.0.0.1", 1)
    settings = EngineSettings(
        moniker="a", p2p=everywhere, rpc=everywhere, peers=(), application="application.sock",
        signer="signer.sock", metrics=everywhere,
    )  # fmt: skip
    keys = re.findall(r"^(\w*(?:laddr|listen\w*)) =", compute_config(settings), re.MULTILINE)
    assert sorted(keys) == sorted(one.key for one in LISTENERS if one.key)


def test_every_listener_says_what_it_demands():
    text = TARGET.read_text("utf-8")
    for one in LISTENERS:
        assert one.demands and f"| {one.name} | {one.where} | {one.demands} |" in text
