"""`make bench-auth`: what the authorisation server does on this machine, as a table and `bench-auth.json`.

A node as `careledger serve` starts it; programs and people come over HTTP. Assertions are signed beforehand; grants of
people are put into the registry in place of a page read and answered. The token check alone is measured in this
process, over the same home, in seconds of CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvloop
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from bench import check_bench, people_bench
from bench.client import Client, Outcome
from bench.figures import Figure, compute_row, compute_table
from bench.node import Node, sync_latency_ms
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.service import open_registry
from careledger.smart import grants
from careledger.smart.accounts import list_accounts
from careledger.smart.assertions import ASSERTION_TYPE
from careledger.smart.grants import Grant

CONNECTIONS = 8
SERVICE_TOKENS = 3_000
ROTATIONS = 3_000
INTROSPECTIONS = 20_000
DISCOVERIES = 10_000
SCOPE = "system/*.rs"
PERSONS_SCOPE = "patient/*.rs launch/patient offline_access"
FORM = b"application/x-www-form-urlencoded"

FIGURES = (
    Figure("service_es256", "token, client_credentials with an ES256 assertion", "/s", 500, 1000, True),
    Figure("service_rs384", "the same, RS384", "/s", 500, 1000, True),
    Figure("refresh", "token, refresh_token rotating", "/s", 500, 1000, True),
    Figure("introspect", "introspection, client_secret_basic", "/s", 3000, 4000, True),
    Figure("discovery", "discovery, cached by whoever asks", "/s", 3000, 4000, True),
    Figure("check", "token check, a program's token, CPU", "us", 60, 30, False),
    Figure("check_did", "token check, a practitioner's, with standing", "us", 60, 40, False),
    Figure("check_bound", "token check, the same bound to a key (DPoP)", "us", 60, 40, False),
    Figure("check_dpop", "the same, and its proof: signed, durably used once", "us", 60, 60, False),
    Figure("sign_in", "sign-in by passkey, the slowest of 50 at once", "ms", 300, 150, False),
)
COLUMNS = ("what", "measured", "at least", "aim", "verdict", "server CPU ms")


class Programs:
    """Registered clients and what they hold."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.curve = ECKey.import_key(ec.generate_private_key(ec.SECP256R1()))
        self.rsa = RSAKey.import_key(rsa.generate_private_key(65_537, 2048))
        keys = [
            {**self.curve.as_dict(private=False), "kid": "e", "alg": "ES256"},
            {**self.rsa.as_dict(private=False), "kid": "r", "alg": "RS384"},
        ]
        folder = Path(tempfile.mkdtemp(dir=node.folder))
        (folder / "jwks.json").write_text(json.dumps({"keys": keys}))
        self.machine = self._add("--jwks", str(folder / "jwks.json"), "--scope", SCOPE)["id"]
        asking = ("--redirect-uri", "https://app.example/callback", "--scope", PERSONS_SCOPE)
        self.portal = self._add(*asking, "--grant", "authorization_code", "--grant", "refresh_token")
        self.token_url = f"http://{node.host}:{node.port}/oauth/token"

    def _add(self, *arguments: str) -> dict[str, Any]:
        added: dict[str, Any] = json.loads(
            self.node.run("client", "add", "--name", "Bench", *arguments, "--json")
        )
        return added

    def basic(self) -> bytes:
        """The portal's Authorization header."""
        return base64.b64encode(f"{self.portal['id']}:{self.portal['secret']}".encode())

    def assertion(self, algorithm: str) -> str:
        """Fresh, for one use."""
        key, kid = (self.curve, "e") if algorithm == "ES256" else (self.rsa, "r")
        claims = {
            "iss": self.machine, "sub": self.machine, "aud": self.token_url,
            "exp": int(time.time()) + 290, "jti": secrets.token_hex(12),
        }  # fmt: skip
        header = {"alg": algorithm, "kid": kid, "typ": "JWT"}
        return jws.serialize_compact(header, json.dumps(claims).encode(), key, algorithms=[algorithm])

    def service_request(self, algorithm: str) -> bytes:
        """A machine asks for its token."""
        return self.post(
            "/oauth/token",
            {
                "grant_type": "client_credentials", "scope": SCOPE, "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self.assertion(algorithm),
            },
        )  # fmt: skip

    def post(self, path: str, fields: dict[str, str], basic: bytes = b"") -> bytes:
        """A form."""
        body = urlencode(fields).encode()
        proof = b"Authorization: Basic %s\r\n" % basic if basic else b""
        return b"POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
            path.encode(), proof, FORM, len(body), body,
        )  # fmt: skip


class Run:
    """One run: figures, CPU, everything."""

    def __init__(self, parts: frozenset[str], quick: bool) -> None:
        self.parts = parts
        self.divisor = 10 if quick else 1
        self.measured: dict[str, float] = {}
        self.cpu_ms: dict[str, float] = {}
        self.raw: dict[str, Any] = {}
        self.did = ""

    async def main(self) -> None:
        """Serve, ask, stop; then the check alone."""
        node = Node(None, host="localhost")
        try:
            self.raw["sync_ms"] = sync_latency_ms(node.home)
            node.start()
            client = Client("127.0.0.1", node.port, "", node.cpu_s)
            await self._served(node, client)
            client.close()
            self.raw["memory_mb"] = round(node.memory_mb(), 1)
            node.stop()
            if "check" in self.parts:
                await self._check(node)
        except (ConnectionError, RuntimeError):
            print(node.log_tail())
            raise
        finally:
            node.remove()

    async def _served(self, node: Node, client: Client) -> None:
        programs = Programs(node)
        if "check" in self.parts:
            key = str(node.folder / "practitioner-key")
            self.did = node.run("practitioner", "register", "--role", "physician", "--key-out", key)
        if "people" in self.parts or "refresh" in self.parts:
            code = node.made.partition("/enrol#")[2].split()[0].rstrip('",}')
            found = await people_bench.measure(node.port, code, node.cpu_s)
            self.raw["sign_in"] = found
            self.measured["sign_in"] = found["slowest_median_ms"]
            self.cpu_ms["sign_in"] = found["server_cpu_ms"]
            print(f"sign-in: {found}", flush=True)
        tokens = await self._service(programs, client)
        if "refresh" in self.parts:
            await self._refresh(node, programs, client)
        if "introspect" in self.parts:
            basic = programs.basic()
            asking = [programs.post("/oauth/introspect", {"token": one}, basic) for one in tokens]
            count = INTROSPECTIONS // self.divisor
            self._keep("introspect", await client.closed_loop(_again(asking, count), CONNECTIONS))
        if "discovery" in self.parts:
            await self._discovery(client)

    async def _service(self, programs: Programs, client: Client) -> list[str]:
        tokens: list[str] = []

        def see(status: int, body: bytes) -> None:
            if status == 200:
                tokens.append(json.loads(body)["access_token"])

        for algorithm in ("ES256", "RS384"):
            asking = [programs.service_request(algorithm) for _ in range(SERVICE_TOKENS // self.divisor)]
            self._keep(f"service_{algorithm.lower()}", await client.closed_loop(asking, CONNECTIONS, see))
        return tokens[:1000]

    async def _refresh(self, node: Node, programs: Programs, client: Client) -> None:
        """Each connection goes on with the token of its last answer; each is of another person."""
        current = await self._begin_grants(node, programs)
        outcomes, each = Outcome(), ROTATIONS // self.divisor // CONNECTIONS
        basic = programs.basic()
        await client.connect(CONNECTIONS)

        async def run(at: int) -> None:
            for _ in range(each):
                fields = {"grant_type": "refresh_token", "refresh_token": current[at]}
                begin = time.perf_counter()
                status, body = await client.ask(programs.post("/oauth/token", fields, basic), at)
                outcomes.add(time.perf_counter() - begin, status, body)
                if status != 200:
                    return
                current[at] = json.loads(body)["refresh_token"]

        cpu, begin = node.cpu_s(), time.perf_counter()
        await asyncio.gather(*[run(at) for at in range(CONNECTIONS)])
        outcomes.wall_s = time.perf_counter() - begin
        outcomes.server_cpu_s = node.cpu_s() - cpu
        self._keep("refresh", outcomes)

    async def _begin_grants(self, node: Node, programs: Programs) -> list[str]:
        """What somebody allowed the portal, as the registry holds it."""
        layout = Layout(node.home)
        _, keys = open_keys(layout, node.passphrase)
        registry = open_registry(layout, keys)
        now_ms = time.time_ns() // 1_000_000
        found = []
        for account in list_accounts(registry)[1 : 1 + CONNECTIONS]:
            grant = grants.with_refresh(
                Grant(
                    id=grants.new_grant_id(), client=programs.portal["id"], account=account.id,
                    scope=PERSONS_SCOPE, context={"patient": account.fhir_user.partition("/")[2]},
                    created_ms=now_ms, used_ms=now_ms, expires_ms=now_ms + grants.OFFLINE_MS, is_offline=True,
                )
            )  # fmt: skip
            await registry.change(*grants.put_grant(registry, grant))
            found.append(grants.refresh_token(grant))
        registry.close()
        return found

    async def _discovery(self, client: Client) -> None:
        head = b"GET /fhir/.well-known/smart-configuration HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
        _, body = await client.ask(head % b"")
        self.raw["discovery_bytes"] = len(body)
        asking = (head % b"" for _ in range(DISCOVERIES // self.divisor))
        self._keep("discovery", await client.closed_loop(asking, CONNECTIONS))

    async def _check(self, node: Node) -> None:
        found = await check_bench.measure(node.home, node.passphrase, self.did)
        self.raw["check"] = found
        for name in ("check", "check_did", "check_bound", "check_dpop"):
            self.measured[name] = found[f"{name}_us"]
        print(f"token check: {found}", flush=True)

    def _keep(self, name: str, outcome: Outcome) -> None:
        self.measured[name], self.cpu_ms[name] = outcome.rate, outcome.server_cpu_ms
        self.raw[name] = outcome.report()
        print(f"{name}: {self.raw[name]}", flush=True)


def _again(requests: list[bytes], count: int) -> Iterator[bytes]:
    for number in range(count):
        yield requests[number % len(requests)]


def main(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for."""
    bench = Run(frozenset(arguments.only.split(",")), arguments.quick)
    uvloop.run(bench.main())
    rows = [
        compute_row(figure, bench.measured.get(figure.key), bench.cpu_ms.get(figure.key))
        for figure in FIGURES
    ]
    print(compute_table(rows, COLUMNS))
    sync = bench.raw["sync_ms"]
    print(
        f"sync of the home's disk: {sync['p50']} ms p50, {sync['p99']} ms p99; memory {bench.raw['memory_mb']} MB"
    )
    check = bench.raw.get("check")
    if check:
        print(
            f"of a DPoP proof, the ES256 signature alone takes {check['es256_alone_us']} us, writing down its use"
            f" {check['use_alone_us']} us: what is new at each request and durable is not within 60 us"
        )
    return {"figures": rows, "raw": bench.raw}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="people,refresh,introspect,discovery,check")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests: a first look")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    result = main(options)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1))
