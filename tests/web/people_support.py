"""A house with its pages and people, and a browser without JavaScript: cookies, forms, the CSRF token, a soft passkey."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec

from careledger.primitives.signing import ed25519_public_key, sign_ed25519, verify_ed25519
from careledger.smart.accounts import Account
from careledger.smart.auditing import PAGE_ROWS, Event, Page, Row
from careledger.smart.invitations import invite
from careledger.smart.issuing import Standing
from careledger.smart.passkeys import RelyingParty
from careledger.web.smart.messages import FORM, JSON, SmartAnswer, SmartRequest
from careledger.web.smart.people import routes
from careledger.web.smart.screens import People
from careledger.web.target import parse_query
from tests.smart.authenticator import HONEST, Authenticator, Forgery
from tests.smart.people_support import NOW, PARTY, TimedRegistry, run

SEED = bytes(range(32))
HOUSE = "did:careledger:house"


class House:
    """The node's side, with a clock that the test sets and everything that it reported or ended."""

    def __init__(self, party: RelyingParty = PARTY) -> None:
        self.registry = TimedRegistry()
        self.reports: list[tuple[str, str, str]] = []
        self.revoked: list[str] = []
        self.performed: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self.standings: dict[str, str] = {}  # DID -> status, where it is not active

        async def revoke(ids) -> None:
            self.revoked += ids

        async def rotate(subject: str) -> None:
            self.performed.append(("rotate-keys", subject))

        self.people = People(
            registry=self.registry,
            party=party,
            organisation=HOUSE,
            base=f"{party.origin}/fhir",
            sign=lambda message: sign_ed25519(SEED, message),
            verify=lambda _, message, signature: verify_ed25519(ed25519_public_key(SEED), message, signature),
            revoke=revoke,
            standing=self.standing,
            house=self,
            now_ms=lambda: self.registry.now_ms,
            perform={"rotate-keys": rotate},
        )
        self.routes = routes(self.people)

    def standing(self, did: str) -> Standing:
        """As the ledger says it; the test sets it."""
        status = self.standings.get(did, "active")
        return Standing(status == "active", status=status)

    async def record(self, event: Event) -> None:
        self.reports.append((event.what, event.line, event.account))
        self.events.append(event)

    def read(self, before: int) -> Page:
        """As the node's, newest first; places begin at 1."""
        end = min(before, len(self.events)) if before else len(self.events)
        start = max(0, end - PAGE_ROWS)
        rows = [Row(NOW, one.account, one.what, one.line) for one in reversed(self.events[start:end])]
        return Page(rows, start)

    def invite(self, account: Account) -> str:
        return run(invite(self.registry, account, HOUSE, self.people.sign, self.registry.now_ms))


@dataclass
class Browser:
    """One person's browser and device."""

    house: House
    device: Authenticator = field(default_factory=Authenticator)
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""
    text: str = ""
    address: str = "192.0.2.1"
    headers: dict[bytes, bytes] = field(default_factory=dict)

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> SmartAnswer:
        """One request as this browser sends it; `headers` are laid over its own ('' takes one away)."""
        bare, _, query = path.partition("?")
        sent = {
            b"user-agent": b"Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0",
            b"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode(),
            **self.headers,
        }
        if method == "POST":
            sent[b"origin"] = self.house.people.party.origin.encode()
        sent |= {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        request = SmartRequest(
            method, bare, parse_query(query.encode()), {name: value for name, value in sent.items() if value}, body,
            self.address,
        )  # fmt: skip
        answer = run(self.house.routes[method, bare](request))
        for name, value in answer.headers:
            if name == b"set-cookie":
                cookie, _, rest = value.decode().partition(";")
                key, _, content = cookie.partition("=")
                if "Max-Age=0" in rest:
                    self.cookies.pop(key, None)
                else:
                    self.cookies[key] = content
        self.text = html.unescape(answer.body.decode())
        if token := re.search(r'data-csrf="([^"]+)"', self.text):
            self.csrf = token[1]
        return answer

    def get(self, path: str) -> SmartAnswer:
        return self.send("GET", path)

    def post(self, path: str, **fields: str | list[str]) -> SmartAnswer:
        body = urlencode({"csrf": self.csrf, **fields}, doseq=True).encode()
        return self.send("POST", path, body, content_type=FORM.decode())

    def ask(self, path: str, body: bytes = b"{}") -> SmartAnswer:
        """As our script does."""
        return self.send("POST", path, body, content_type=JSON.decode(), x_csrf=self.csrf)

    def ceremony(self, act: str, begin: str, finish: str, forge: Forgery = HONEST) -> SmartAnswer:
        asked = self.ask(begin)
        if asked.status != 200:
            return asked
        options = json.loads(asked.body)["options"]
        made = self.device.create(options, forge) if act == "create" else self.device.get(options, forge)
        return self.ask(finish, made)

    def enrol(self, account: Account) -> Browser:
        """From the invitation to the finished onboarding."""
        code = self.house.invite(account)
        self.get("/enrol")
        assert self.post("/enrol", code=code).status == 200, self.text
        assert self.ceremony("create", "/passkey/options", "/passkey/answer").status == 200, self.text
        self.get("/kit")
        self.post("/kit")
        self.printed = self.shown_code()
        assert self.post("/kit/rehearse", code=self.printed).status == 303, self.text
        self.get("/me")
        return self

    def sign_in(self, forge: Forgery = HONEST) -> SmartAnswer:
        self.get("/sign-in")
        return self.ceremony("get", "/sign-in/options", "/sign-in/answer", forge)

    def step_up(self) -> SmartAnswer:
        return self.ceremony("get", "/step-up/options", "/step-up/answer")

    def shown_code(self) -> str:
        found = re.search(r'class="code"[^>]*>([0-9A-Z-]{31})<', self.text)
        assert found, self.text
        return found[1]

    def account_id(self) -> str:
        self.get("/me")
        found = re.search(r"<code>([A-Za-z0-9_-]{22})</code>", self.text)
        assert found, self.text
        return found[1]


def person(name: str, kind: str = "patient", record: str = "p1", **more) -> Account:
    """Somebody to invite."""
    type = {"patient": "Patient/", "clinician": "Practitioner/"}.get(kind, "")
    return msgspec.convert(
        {"id": "", "kind": kind, "name": name, "fhir_user": type + record if type else "", **more}, Account
    )


ROSA = person("Rosa Quiroga")
CHEN = person("Mei Chen", "clinician", "d1", roles=("physician",))
ADA = person("Ada Obi", "administrator", duties=("keys", "users", "audit"))
BELA = person("Bela Novak", "administrator", duties=("users",))
__all__ = ["NOW"]
