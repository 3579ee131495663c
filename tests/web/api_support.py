"""The application's interface over a real home, as `serve` composes it; called without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from careledger.access.tokens import TokenIssuer
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.worker import LocalWorker
from careledger.smart.limits import Limiter
from careledger.web.api.app import ApiApp, create_api
from careledger.web.app import AsgiApp, create_app
from careledger.web.requests import services_of
from tests.faults.rig import PASSPHRASE, Node, new_home, observation, patient

SCOPES = {"patient": "patient/*.cruds", "clinician": "user/*.cruds", "program": "system/*.cruds"}


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a refusal: its code, message and hint, and nothing else."""
        assert set(self.json) == {"code", "message", "hint"}
        return str(self.json["code"])


@dataclass
class Site:
    """The application over an open node, and tokens for it."""

    node: Node
    app: AsgiApp
    api: ApiApp
    sent: list[dict[str, Any]] = field(default_factory=list)

    @property
    def issuer(self) -> TokenIssuer:
        return self.node.service.context.issuer

    def token(self, kind: str = "patient", **more: Any) -> str:
        """Ada's token, or a clinician's of this house, or a program's."""
        own: dict[str, dict[str, Any]] = {
            "patient": {"patient": "ada", "account": "account-of-ada"},
            "clinician": {"practitioner": "bo", "account": "account-of-bo", "subject": "bo"},
            "program": {},
        }
        given = {"client": "app", "scope": SCOPES[kind], "lifetime_seconds": 600} | own[kind] | more
        organisation = self.node.service.context.home.did
        return self.issuer.issue(**({"organisation": organisation} | given))

    async def aask(
        self, path: str, token: str = "", method: str = "GET", body: Any = None, **headers: str
    ) -> Reply:
        parts = urlsplit(path)
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        if token:
            given[b"authorization"] = b"Bearer " + token.encode()
        if raw:
            given = {b"content-type": b"application/json", b"content-length": b"%d" % len(raw)} | given
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": parts.path, "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(), "headers": list(given.items()), "client": ("192.0.2.1", 1),
        }  # fmt: skip
        await self.app(scope, receive, send)
        self.sent = sent
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:]))

    def ask(self, path: str, token: str = "", method: str = "GET", body: Any = None, **headers: str) -> Reply:
        found: Reply = self.node.run(self.aask(path, token, method, body, **headers))
        return found

    def log(self, who: str = "ada") -> list[dict[str, Any]]:
        """The chart's access log, or the house's."""
        read = self.node.command("access_log", patient=who)["entries"]
        entries: list[dict[str, Any]] = [one for one in read if one["rule"] != "log-read"]
        return entries


@contextmanager
def site_of(home: Path, **settings: Any) -> Iterator[Site]:
    """The home at `home`, made if need be, opened with ada's and ben's charts."""
    node = Node(home if home.exists() else new_home(home))
    try:
        _, keys = open_keys(Layout(home), PASSPHRASE)
        config = node.service.config
        if settings:
            from careledger.node.config import load

            config = load(home, {}, {name.replace("__", "."): value for name, value in settings.items()})

        async def compose() -> tuple[AsgiApp, ApiApp]:
            parts = await LocalWorker(node.service, keys, config).open()
            api = create_api(parts, config, Limiter(lambda: 0))
            services = services_of(config, parts.fhir, parts.authenticate, parts.problems, api=api)
            return create_app(services), api

        app, api = node.run(compose())
        yield Site(node, app, api)
    finally:
        node.close()


def fill(site: Site) -> None:
    """Ada and Ben, each with an observation; a practitioner."""
    client = site.node.client
    osler = {"resourceType": "Practitioner", "id": "bo", "name": [{"family": "Osler", "given": ["Bo"]}]}
    assert client.put("Practitioner/bo", osler).status == 201
    for who, family in (("ada", "Lovelace"), ("ben", "Bunyan")):
        assert client.put(f"Patient/{who}", patient(who, family)).status == 201
        assert client.put(f"Observation/of-{who}", observation(f"of-{who}", who, 61)).status == 201
