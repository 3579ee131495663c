"""How long people wait for their sign-in when 50 show their passkey at once: enrolled by invitation, all over HTTP.

Each person has a browser of their own: an address on the loopback, a connection, a cookie, a device in software. What
the devices do (signing) is outside the measured time: first all fifty ask for their options, then all fifty answer.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from bench.client import Client
from careledger.primitives.hashing import tagged
from careledger.smart.tables import base64url
from tests.smart.authenticator import ES256, ML_DSA_44, ML_DSA_65, Authenticator

PEOPLE = 50
ROUNDS = 6
ALGORITHMS = ((ML_DSA_65,), (ML_DSA_44,), (ES256,))
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
_CODE = re.compile(rb"[0-9A-Z]{5}(?:-[0-9A-Z]{5}){4}-[0-9A-Z]")
_CSRF = re.compile(rb'data-csrf="([^"]+)"')


@dataclass
class Browser:
    """One person's. The visitor's cookie is of its own making, as the node would make it."""

    port: int
    number: int
    device: Authenticator
    visit: str = ""
    csrf: str = ""
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.address = f"127.0.{1 + self.number // 200}.{1 + self.number % 200}"
        self.client = Client("127.0.0.1", self.port, "", lambda: 0.0, self.address)

    def arrive(self) -> None:
        """A visitor whom nobody knows yet."""
        self.visit = secrets.token_urlsafe(32)
        self.csrf = base64url(tagged("cl1.csrf", self.visit.encode()))

    async def post(self, path: str, kind: str, body: bytes, cookies: str = "") -> bytes:
        """The answer's body; raises for every refusal."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nOrigin: http://localhost:{self.port}\r\n"
            f"Cookie: {cookies or 'careledger-visit=' + self.visit}\r\nX-CSRF: {self.csrf}\r\n"
            f"User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        status, answer = await self.client.ask(head.encode() + body)
        if status >= 300:
            raise RuntimeError(f"{path} gave {status}: {answer[:300]!r}")
        return answer

    async def send(self, path: str, fields: Mapping[str, Any], cookies: str = "") -> bytes:
        """A form of a page."""
        body = urlencode({"csrf": self.csrf, **fields}, doseq=True).encode()
        return await self.post(path, FORM, body, cookies)

    async def options(self, path: str) -> dict[str, Any]:
        """What the page's script hands to the device."""
        found: dict[str, Any] = json.loads(await self.post(path, JSON, b"{}"))["options"]
        return found

    async def enrol(self, code: str) -> str:
        """From the invitation to the first passkey; the session's cookie."""
        self.arrive()
        await self.send("/enrol", {"code": code})
        made = self.device.create(await self.options("/passkey/options"))
        await self.post("/passkey/answer", JSON, made)
        return self.client.header(b"set-cookie").partition(b"careledger=")[2].partition(b";")[0].decode()


def browser(port: int, number: int) -> Browser:
    """With a device of one of the three kinds."""
    return Browser(port, number, Authenticator(f"http://localhost:{port}", ALGORITHMS[number % 3]))


async def _invite(administrator: Browser, cookie: str, count: int) -> list[str]:
    """Codes for so many patients, from the administrator's page."""
    session = f"careledger={cookie}"
    head = f"GET /desk HTTP/1.1\r\nHost: localhost:{administrator.port}\r\nCookie: {session}\r\n\r\n"
    _, page = await administrator.client.ask(head.encode())
    found = _CSRF.search(page)
    if found is None:
        raise RuntimeError("the administrator's page has no token")
    administrator.csrf = found[1].decode()
    codes = []
    for number in range(count):
        asked = {"kind": "patient", "name": f"Person {number}", "record": f"p{number}", "roles": ""}
        code = _CODE.search(await administrator.send("/desk/invite", asked, session))
        if code is None:
            raise RuntimeError("an invitation shows no code")
        codes.append(code[0].decode())
    return codes


async def enrol(port: int, first_code: str, people: int) -> list[Browser]:
    """The first administrator, then so many patients."""
    administrator = browser(port, people)
    cookie = await administrator.enrol(first_code)
    codes = await _invite(administrator, cookie, people)
    browsers = [browser(port, number) for number in range(people)]
    for one, code in zip(browsers, codes, strict=True):
        await one.enrol(code)
    return browsers


async def _timed(sending: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    answer = await sending
    return answer, time.perf_counter() - begin


async def _round(browsers: Sequence[Browser]) -> list[float]:
    """Seconds of server time that each waited: for the options, and for the answer."""
    for one in browsers:
        one.arrive()
    asked = await asyncio.gather(*[_timed(one.options("/sign-in/options")) for one in browsers])
    shown = [one.device.get(options) for one, (options, _) in zip(browsers, asked, strict=True)]
    answered = await asyncio.gather(
        *[
            _timed(one.post("/sign-in/answer", JSON, answer))
            for one, answer in zip(browsers, shown, strict=True)
        ]
    )
    return [first + second for (_, first), (_, second) in zip(asked, answered, strict=True)]


async def measure(port: int, first_code: str, cpu_s: Any, people: int = PEOPLE) -> dict[str, Any]:
    """The slowest of fifty, of each round; and what a sign-in costs."""
    browsers = await enrol(port, first_code, people)
    await _round(browsers)  # connections, and whatever is loaded at the first sign-in
    rounds, cpu = [], cpu_s()
    for _ in range(ROUNDS):
        rounds.append(sorted(await _round(browsers)))
        await asyncio.sleep(0.2)
    spent = cpu_s() - cpu
    slowest = sorted(one[-1] for one in rounds)
    return {
        "people": people,
        "rounds": ROUNDS,
        "p50_ms": round(1000 * sorted(one for each in rounds for one in each)[ROUNDS * people // 2], 1),
        "slowest_ms": [round(1000 * one, 1) for one in slowest],
        "slowest_median_ms": round(1000 * slowest[ROUNDS // 2], 1),
        "server_cpu_ms": round(1000 * spent / (ROUNDS * people), 3),
    }
