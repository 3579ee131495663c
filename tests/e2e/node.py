"""A real node for the end-to-end tests: one `serve` process (or several) on a free port, with a home of its own.

Everything goes over HTTP or over the node's command socket, as an outside program would do it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from careledger.node import client, making

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "e2e-passphrase-123"
START_LIMIT_S = 30.0
FHIR_JSON = "application/fhir+json"
TALKATIVE = {"CARELEDGER_LOG__LEVEL": "debug", "CARELEDGER_LOG__REQUESTS": "all"}
"""Everything that can be logged is: so the tests see what a log can hold."""
PROMPT = {"CARELEDGER_CONSENT__GRANT_DELAY_SECONDS": "0"}
"""Grants do not wait."""


_SERVE = """
import sys, pathlib
from careledger.web.serving import serve
serve(pathlib.Path(sys.argv[1]), {"server.listen": "127.0.0.1:" + sys.argv[2], "server.workers": int(sys.argv[3])},
      sys.argv[4])
"""


class Exact(str):
    """A JSON number as it was written: 72.50 is not 72.5."""

    __slots__ = ()


def loads(raw: bytes | str) -> Any:
    """JSON whose numbers keep their places."""
    return json.loads(raw, parse_float=Exact, parse_int=Exact)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)

    @property
    def exact(self) -> Any:
        return loads(self.body)

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "")

    @property
    def version(self) -> str:
        return self.etag.removeprefix('W/"').rstrip('"')

    @property
    def ids(self) -> list[str]:
        """`Type/id` of the entries, in order."""
        return [
            f"{e['resource']['resourceType']}/{e['resource']['id']}"
            for e in self.json.get("entry", ())
            if "resource" in e
        ]


@dataclass(slots=True)
class Caller:
    """A client with one token and one kept connection. `call` gives the Answer, whatever its status."""

    port: int
    token: str
    connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def call(
        self, method: str, path: str, body: object = None, *, prefix: str = "/fhir", **headers: str
    ) -> Answer:
        """`path` is below the FHIR base; a whole URL (a link of the server's) is taken as it is."""
        if path.startswith("http"):
            parts = urlsplit(path)
            target = parts.path + ("?" + parts.query if parts.query else "")
        else:
            target = prefix + ("/" if path and path[0] not in "/?" else "") + path
        sent = {} if self.token == "" else {"Authorization": f"Bearer {self.token}"}
        data: bytes | None = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body, default=_number).encode()
            sent["Content-Type"] = FHIR_JSON
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        for attempt in (0, 1):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                self.connection.request(method, target, data, sent)
                response = self.connection.getresponse()
                raw = response.read()
                break
            except (http.client.HTTPException, ConnectionError):
                self.connection.close()
                self.connection = None
                if attempt:
                    raise
        if response.will_close:
            self.connection.close()
            self.connection = None
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, raw)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        return self.call("POST", path, body, **headers)

    def put(self, path: str, body: object, **headers: str) -> Answer:
        return self.call("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.call("DELETE", path, **headers)

    def pages(self, path: str, limit: int = 500) -> Iterator[Answer]:
        """Every page, by the `next` links."""
        following: str | None = path
        while following and limit:
            page = self.get(following)
            assert page.status == 200, (page.status, page.body[:400])
            yield page
            limit -= 1
            following = next(
                (link["url"] for link in page.json.get("link", ()) if link["relation"] == "next"), None
            )
        assert limit, "pages without end"

    def all_ids(self, path: str) -> list[str]:
        return [id for page in self.pages(path) for id in page.ids]

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def _number(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)


@dataclass(slots=True)
class Node:
    """A home, and the process that serves it."""

    home: Path
    workers: int
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    start_seconds: float = 0.0

    def init(self, name: str = "End to End") -> Node:
        making.init(self.home, name, PASSPHRASE)
        return self

    @property
    def log_path(self) -> Path:
        return self.home.with_name(self.home.name + ".stderr")

    @property
    def base(self) -> str:
        return f"http://localhost:{self.port}/fhir"

    def start(self) -> Node:
        """Returns when the server says that it is ready."""
        self.port = self.port or free_port()
        before = time.monotonic()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, str(self.home), str(self.port), str(self.workers), PASSPHRASE],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), **TALKATIVE, **PROMPT},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        self.start_seconds = time.monotonic() - before
        assert line.rstrip().endswith(f":{self.port}"), (
            f"not ready: {line!r} {self.log_path.read_text()[-2000:]}"
        )
        return self

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> int:
        """Ends the server; its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(kind)
        try:
            code = self.process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None
        return code

    def cpu_seconds(self) -> float:
        """Processor time of the server and its children so far: what a busy machine does not lengthen."""
        assert self.process is not None
        pids = [self.process.pid, *self.children()]
        found = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15] for pid in pids]
        return sum(int(ticks) for times in found for ticks in times) / os.sysconf("SC_CLK_TCK")

    def children(self) -> list[int]:
        """Process ids of writer and workers (none with one worker)."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def command(self, method: str, **params: object) -> dict[str, Any]:
        """A command of the node, through its socket."""
        result: dict[str, Any] = client.call(self.home, method, params, PASSPHRASE)
        return result

    def token(self, scope: str = "system/*.cruds", **more: object) -> str:
        params = {"client": "e2e", "scope": scope, "expires_s": 3600, **more}
        return str(self.command("token.issue", **params)["token"])

    def caller(self, scope: str = "system/*.cruds", **more: object) -> Caller:
        return Caller(self.port, self.token(scope, **more))

    def access(self, patient: str) -> list[dict[str, Any]]:
        """The access log of a chart (`house` is the organisation's own)."""
        entries = self.command("access_log", patient=patient)["entries"]
        # what asking here leaves is not what is asked about
        return [one for one in entries if one["rule"] != "log-read"]


_held: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody else is given as long as the tests run: it stays bound here, and a server shares it."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    _held.append(holder)
    return int(holder.getsockname()[1])
