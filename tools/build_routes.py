"""Writes docs/spec/routes.md from the tables of routes: what every listener and route demands. `--check` compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from careledger.fhir.routes import ROUTES  # noqa: E402
from careledger.web.api import app as api  # noqa: E402
from careledger.web.app import PUBLIC  # noqa: E402
from careledger.web.smart import demo, endpoints, federated, people  # noqa: E402
from careledger.web.smart.authorize import Authorize  # noqa: E402
from careledger.web.smart.rendering import ASSETS  # noqa: E402
from careledger.witness.app import PATH as WITNESS_PATH  # noqa: E402

TARGET = ROOT / "docs" / "spec" / "routes.md"

INTRODUCTION = """# Listeners and routes, and what each demands

Written by `tools/build_routes.py` from the tables of routes; do not edit. `tests/web/test_inventory.py` starts the real
application, calls every route without credentials and as the wrong person, and finds every place in the program that
listens. What begins with `nobody` is open; everything else answers strangers with 401, 403 or the way to the sign-in page.
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """Something that takes connections. `source` is the file that opens it or, of the engine's, tells it to; `key` is the
    engine's setting for it, '' for our own."""

    name: str
    where: str
    demands: str
    source: str
    key: str = ""


LISTENERS: Final = (
    Listener(
        "HTTP",
        "`server.listen`; off loopback with TLS, or with the word that a proxy does it",
        "what the route demands, below",
        "careledger/web/server.py",
    ),
    Listener(
        "commands and workers", "`HOME/node.sock`", "the home's user: mode 0600", "careledger/node/door.py"
    ),
    Listener(
        "figures",
        "`metrics.listen`: loopback alone; off unless set",
        "nobody on this machine: figures without anybody's data",
        "careledger/node/metrics.py",
    ),
    Listener(
        "application (ABCI), on a network",
        "a socket in `HOME/engine`",
        "the home's user: mode 0600",
        "careledger/ledger/consensus/abci/server.py",
    ),
    Listener(
        "relays of peers, on a network that one machine plays",
        "loopback; `network.relayed`",
        "nobody on this machine: they pass bytes on to the peer, who demands its own",
        "careledger/engine/relay.py",
    ),
    Listener(
        "engine: peers",
        "`network.p2p`",
        "a node key that `network.peers` names; nobody else is let in",
        "careledger/engine/configuration.py",
        "laddr",
    ),
    Listener(
        "engine: RPC",
        "`network.rpc`: loopback alone, anything else is refused",
        "nobody on this machine: what it takes, the pool judges as a stranger's",
        "careledger/engine/configuration.py",
        "laddr",
    ),
    Listener(
        "engine: its signer",
        "a socket in `HOME/engine`; the node dials it",
        "the home's user: the folder's mode",
        "careledger/engine/configuration.py",
        "priv_validator_laddr",
    ),
    Listener(
        "engine: figures",
        "`metrics.engine_listen`: loopback alone; off unless set",
        "nobody on this machine: figures without anybody's data",
        "careledger/engine/configuration.py",
        "prometheus_listen_addr",
    ),
    Listener(
        "witness (a process of its own)",
        "`careledger witness run --listen`; off loopback with TLS or a proxy",
        f"`POST {WITNESS_PATH}`: a checkpoint that the ledger's operator signed; nothing else is there",
        "careledger/web/server.py",
    ),
)

SHELL: Final = (
    ("GET", "/livez", "nobody: whether the process runs"),
    ("GET", "/readyz", "nobody: whether the node can serve, in fixed phrases"),
)
WORDS: Final = {
    "nobody": "nobody",
    "session": "session of anybody",
    "clinician": "session of a clinician",
    "administrator": "session of an administrator",
}
SPECIAL: Final = {
    demo.PATH: "nobody (a demo's home alone)",
    federated.START: "nobody (with `smart.provider_issuer` alone)",
    federated.ANSWER: "the browser that was sent to the provider, by its cookie (with `smart.provider_issuer` alone)",
}


def list_routes() -> Iterator[tuple[str, str, str]]:
    """(method, path, what it demands) of every route, as the tables say."""
    yield from SHELL
    for route in ROUTES:
        is_public = (route.method, tuple(route.pattern.split("/"))) in PUBLIC
        demand = "nobody: what this server can do" if is_public else "access token"
        yield route.method, f"/fhir/{route.pattern}".rstrip("/"), demand
    nothing = cast(Any, None)  # tables of bound methods: nothing of the server is asked
    for method, path in endpoints.EndPoints(*[nothing for _ in fields(endpoints.EndPoints)]).routes():
        yield method, path, endpoints.DEMANDS[path]
    for method in ("GET", "POST"):
        yield method, "/oauth/authorize", "nobody: takes a request in; going on with it wants its person"
    screens = {**Authorize(*[nothing] * 4).routes(), **people.ROUTES, **demo.ROUTES}
    screens |= federated.Federated(nothing).routes()
    for (method, path), screen in screens.items():
        words = SPECIAL.get(path) or WORDS[screen.demand]
        yield method, path, words + (", from our own page" if method == "POST" else "")
    for one in api.ROUTES:
        yield one.method, one.path, one.demand
    for name in ASSETS:
        yield "GET", f"/ui/{name}", "nobody: a file of our pages"


def build() -> str:
    """The whole page."""
    lines = [INTRODUCTION, "## Listeners", "", "| listener | where | demands |", "|---|---|---|"]
    lines += [f"| {one.name} | {one.where} | {one.demands} |" for one in LISTENERS]
    lines += [
        "",
        "## Routes of a node",
        "",
        "HEAD is answered as GET without the body. OPTIONS says which methods a path has, to anybody, and reads nothing.",
        "An *access token* is looked at before the body; what its scopes, its patient and the directives allow is decided",
        "afterwards ([scopes](scopes.md), [directives](consent.md)). *From our own page*: Origin, Fetch Metadata and a token of",
        "this visit or session. Pages and `/oauth/authorize` are there only where browsers allow passkeys: https, or http on",
        "`localhost`. Duties of administrators and fresh passkeys are asked for behind these demands",
        "([sign-in](../operating/sign-in.md)).",
        "",
        "| method | path | demands |",
        "|---|---|---|",
    ]
    lines += [f"| {method} | `{path}` | {demand} |" for method, path, demand in list_routes()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes or checks."""
    text = build()
    if "--check" in sys.argv[1:]:
        return int(not TARGET.exists() or TARGET.read_text("utf-8") != text)
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
