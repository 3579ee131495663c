"""A clinic whose people sign in, a browser without a screen, and programs that know nothing but the discovery document."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from careledger.node import client as commands
from careledger.primitives.hashing import sha256
from careledger.smart.tables import base64url
from careledger.synthetic.hospital import encode, hospital
from tests.e2e.node import PASSPHRASE, ROOT, Answer, Caller, Node
from tests.smart.forging import b64, compact, jwk, signed

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CALLBACK = "https://app.example/callback"
CONNECTIONS = 12
"""So many connections reach every worker of two with all but certainty (1 in 2,048 that one is left out)."""
KEYS: dict[str, Any] = {
    "RS384": RSAKey.generate_key(2048, {"kid": "r"}, private=True),
    "ES384": ECKey.generate_key("P-384", {"kid": "e3"}, private=True),
    "ES256": ECKey.generate_key("P-256", {"kid": "e2"}, private=True),
}


@dataclass(slots=True)
class Clinic:
    """A served node with three people: a patient, a clinician who stands on the ledger, an administrator."""

    node: Node
    did: str
    patients: list[str]
    practitioner: str
    encounter: str
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.node.port}"

    @property
    def base(self) -> str:
        return f"{self.origin}/fhir"

    def discover(self) -> dict[str, Any]:
        """What programs are told; the only place from which the tests take an address."""
        if not self.told:
            answer = self.send("GET", self.base + "/.well-known/smart-configuration")
            assert answer.status == 200
            self.told = answer.json
        return self.told

    def send(self, method: str, url: str, form: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own; `form` may be a dict or bytes."""
        return send(self.node.port, method, url, form, headers)

    def client(self, **given: Any) -> str:
        """The id of a new program."""
        return str(self.add_client(**given)["id"])

    def add_client(self, **given: Any) -> dict[str, Any]:
        params = {
            "name": "App",
            "scope": "openid fhirUser launch launch/patient offline_access online_access",
        }
        params["scope"] += " patient/*.rs user/*.rs"
        if "jwks" not in given:
            params |= {"redirect_uris": [CALLBACK], "method": "none"}
        return dict(commands.call(self.node.home, "client.add", params | given, PASSPHRASE))

    def end(self, client: str) -> None:
        self.node.command("client.disable", id=client)

    def command(self, *words: str) -> str:
        """A command of the command line, as an operator types it; what it prints."""
        secret = self.node.home.with_name("passphrase")
        secret.write_text(PASSPHRASE + "\n")
        where = ["--home", str(self.node.home), "--passphrase-file", str(secret)]
        done = subprocess.run(
            [sys.executable, "-m", "careledger", *words, *where],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def on_all(self, token: str, path: str = "Patient?_count=1") -> set[int]:
        """What every worker says to that token, on new connections."""
        callers = [Caller(self.node.port, token) for _ in range(CONNECTIONS)]
        try:
            return {caller.get(path).status for caller in callers}
        finally:
            for caller in callers:
                caller.close()

    def kill(self) -> None:
        """The power fails, and comes back."""
        import signal

        children = self.node.children()
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        self.node.stop(signal.SIGKILL)
        self.node.start()


def send(
    port: int, method: str, url: str, form: Any, headers: dict[str, str], source: str = "127.0.0.1"
) -> Answer:
    """One request from that address of this machine."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = form
    if isinstance(form, dict):
        body = urlencode(form, doseq=True).encode()
        sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    try:
        connection.request(method, target, body, {"Host": f"localhost:{port}", **sent})
        response = connection.getresponse()
        raw = response.read()
        found = [(name.lower(), value) for name, value in response.getheaders()]
    finally:
        connection.close()
    joined = {name: value for name, value in found if name != "set-cookie"}
    joined["set-cookie"] = "\n".join(value for name, value in found if name == "set-cookie")
    return Answer(response.status, joined, raw)


def open_clinic(folder: Path, workers: int = 2, people: int = 3) -> Clinic:
    """The clinic, served."""
    node = Node(folder / "home", workers).init("Clinic").start()
    try:
        caller = node.caller()
        for bundle in hospital(11, people):
            answer = caller.post("", encode(bundle))
            assert answer.status == 200, answer.body[:400]
        ids = {type: caller.all_ids(type + "?_count=100") for type in ("Patient", "Practitioner")}
        patients = [one.removeprefix("Patient/") for one in ids["Patient"]]
        practitioner = ids["Practitioner"][0]
        encounter = caller.get(f"Encounter?patient={patients[0]}&_count=1").ids[0].removeprefix("Encounter/")
        caller.close()
        clinic = Clinic(node, "", patients, practitioner, encounter)
        clinic.did = clinic.command(
            "practitioner", "register", "--key-out", str(folder / "staff.key"), "--role", "physician"
        )
        node.command("account.personas", personas=[
            {"kind": "patient", "name": "Pat", "fhir_user": f"Patient/{patients[0]}"},
            {"kind": "clinician", "name": "Clin", "fhir_user": practitioner, "did": clinic.did},
            {"kind": "administrator", "name": "Adm", "duties": ["keys", "users", "audit"]},
        ])  # fmt: skip
        node.stop()
        node.start()  # the demo's sign-in is there from the start of a process or not at all
    except BaseException:
        node.stop()
        raise
    return clinic


@dataclass(slots=True)
class Shown:
    """What a browser shows."""

    status: int
    headers: dict[str, str]
    html: str

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def heading(self) -> str:
        return unescape(found[1].strip()) if (found := re.search(r"<h1>(.*?)</h1>", self.html)) else ""

    def values(self, name: str) -> list[str]:
        """The values of the page's fields of that name."""
        return [unescape(one) for one in re.findall(rf'name="{name}" value="([^"]*)"', self.html)]

    @property
    def csrf(self) -> str:
        found = re.search(r'data-csrf="([^"]+)"', self.html)
        assert found, self.html[:300]
        return found[1]


@dataclass(slots=True)
class Browser:
    """Keeps cookies as a browser does; redirects are followed within the clinic only, by `follow`."""

    clinic: Clinic
    cookies: dict[str, str] = field(default_factory=dict)
    page: Shown | None = None

    def go(self, url: str, form: dict[str, Any] | None = None, **headers: str) -> Shown:
        """A GET, or a POST as a page of ours sends it: Origin, cookies; the form's fields as given."""
        url = url if url.startswith("http") else self.clinic.origin + url
        if form is not None:
            headers.setdefault("Origin", self.clinic.origin)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.clinic.send("GET" if form is None else "POST", url, form, Cookie=cookie, **headers)
        for line in filter(None, answer.headers["set-cookie"].split("\n")):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in line:
                del self.cookies[name]
        self.page = Shown(answer.status, answer.headers, answer.body.decode())
        return self.page

    def act(self, path: str, **fields: Any) -> Shown:
        """The form of the page that is open."""
        assert self.page is not None
        return self.go(path, {"csrf": self.page.csrf, **fields})

    def sign_in(self, who: str) -> Browser:
        """With the demo's one click: Pat, Clin or Adm."""
        html = self.go("/demo").html
        found = re.search(rf'name="account" value="([^"]+)">\s*<p><button class="main">{who}<', html)
        assert found, html
        assert self.act("/demo", account=found[1]).location == "/app"
        return self

    def launch(
        self, app: App, patient: str = "", kept: list[str] | None = None, **asked: str
    ) -> dict[str, str]:
        """From the program's request to its answer: signed in, patient chosen, everything (or `kept`) allowed."""
        page = self.go(app.request(**asked))
        while page.status == 303 and page.location.startswith("/"):
            page = self.go(page.location)
        if page.status == 200 and patient:
            ticket = page.values("ticket")[0]
            assert self.act("/oauth/patients", ticket=ticket, name="a").status == 200
            page = self.go(self.act("/oauth/patient", ticket=ticket, patient=patient).location)
        if page.status == 200:
            ticket, shown = page.values("ticket")[0], page.values("shown")[0]
            words = page.values("kept") if kept is None else kept
            page = self.act("/oauth/decide", ticket=ticket, shown=shown, kept=words, days="30", allow="yes")
        assert page.status == 303, (page.status, page.html[:600])
        assert page.location.startswith(CALLBACK + "?"), page.location
        return dict(parse_qsl(urlsplit(page.location).query))


def browse(clinic: Clinic, who: str) -> Browser:
    return Browser(clinic).sign_in(who)


@dataclass(slots=True)
class App:
    """A program for people: public, with PKCE, and a DPoP key if it has one."""

    clinic: Clinic
    id: str
    key: Any = None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def asked(self, **changes: str) -> dict[str, str]:
        """The parameters of a request; "" leaves one out."""
        given = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": CALLBACK,
            "scope": "openid fhirUser launch/patient offline_access patient/*.rs",
            "state": self.state,
            "aud": self.clinic.base,
            "code_challenge": base64url(sha256(self.verifier.encode())),
            "code_challenge_method": "S256",
            "nonce": "of-this-launch",
        }
        return {name: value for name, value in (given | changes).items() if value}

    def request(self, **changes: str) -> str:
        return f"{self.clinic.discover()['authorization_endpoint']}?{urlencode(self.asked(**changes))}"

    def post(self, end_point: str, **form: str) -> Answer:
        """To an end point of the discovery document, with a proof where there is a key."""
        url = self.clinic.discover()[end_point]
        headers = {"DPoP": proof(self.key, "POST", url)} if self.key is not None else {}
        return self.clinic.send("POST", url, {"client_id": self.id, **form}, **headers)

    def redeem(self, code: str, /, **changes: str) -> Answer:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        form |= {"code_verifier": self.verifier}
        return self.post("token_endpoint", **{k: v for k, v in (form | changes).items() if v})

    def refresh(self, token: str, **changes: str) -> Answer:
        return self.post("token_endpoint", grant_type="refresh_token", refresh_token=token, **changes)

    def tokens(self, browser: Browser, patient: str = "", **asked: str) -> dict[str, Any]:
        """A whole launch: what the token end point gave."""
        answered = browser.launch(self, patient, **asked)
        assert (answered["state"], answered["iss"]) == (self.state, self.clinic.base)
        answer = self.redeem(answered["code"])
        assert answer.status == 200, answer.body
        return dict(answer.json)


def proof(key: Any, method: str, url: str, token: str = "", **changes: Any) -> str:
    """A DPoP proof of the key, with members of the claims changed (None leaves one out)."""
    claims: dict[str, Any] = {
        "htm": method,
        "htu": url.partition("?")[0],
        "iat": int(time.time()),
        "jti": secrets.token_hex(16),
    }
    if token:
        claims["ath"] = b64(sha256(token.encode()))
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return signed({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(key)}, compact(claims), key)


def key_set(*names: str) -> str:
    """Public keys as a service publishes them."""
    return json.dumps({"keys": [KEYS[name].as_dict(private=False, alg=name, use="sig") for name in names]})


def assertion(clinic: Clinic, client: str, name: str = "ES384", **changes: Any) -> str:
    """A client assertion, made by a library that is not ours."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": client,
        "sub": client,
        "aud": clinic.discover()["token_endpoint"],
        "exp": now + 240,
        "iat": now,
        "jti": secrets.token_hex(16),
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    key = KEYS[name]
    return jwt.encode({"alg": name, "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=[name])


def service_form(assertion: str, scope: str = "system/*.rs", **changes: str) -> dict[str, str]:
    """What a backend service posts."""
    form = {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": ASSERTION,
        "client_assertion": assertion,
    } | changes
    return {name: value for name, value in form.items() if value}
