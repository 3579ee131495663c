"""Every page that the node writes itself, in Chromium with axe-core: nothing to complain of, on a phone, light and dark.

The pages are gone through without a browser, each as its person meets it; what was written is then shown and looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from playwright.sync_api import Page, Route

from careledger.smart.accounts import Account, add_account
from careledger.smart.clients import Client, add_client
from careledger.smart.consenting import ConsentView
from careledger.smart.grants import Grant, put_grant
from careledger.smart.passkeys import list_passkeys
from careledger.smart.personas import PERSONAS, Persona, persona_key
from careledger.smart.signing import ledger_key
from careledger.web.smart import demo, rendering
from careledger.web.smart.asking import PatientRow, choose_patient, consent
from careledger.web.smart.messages import SmartRequest
from careledger.web.smart.people import routes
from careledger.web.smart.rendering import read_asset
from careledger.web.smart.screens import guard
from careledger.web.smart.visits import read_visit
from tests.e2e.app import AXE, PHONE, need_axe
from tests.smart.authenticator import ES256, Authenticator
from tests.smart.people_support import NOW, run
from tests.web.people_support import ADA, BELA, ROSA, Browser, House, person

PAGES = frozenset(
    path.stem
    for path in (rendering.files("careledger.web.smart") / "pages").iterdir()  # type: ignore[attr-defined]
) - {"base", "parts"}
STYLE = ("people.css", "icon.svg")
VARIABLE = re.compile(
    r"[A-Za-z0-9_-]{20,}|[0-9A-Z]{5}-[0-9A-Z-]+|data-fresh=.[0-9]+|[0-9: -]{10,}UTC|<strong>.*?</strong>"
)
"""Ids, codes, times and names: pages that differ in these alone are looked at once."""
DID = "did:careledger:" + "c" * 64


class Seen:
    """What was written, by page and in the order of going."""

    def __init__(self) -> None:
        self.pages: list[tuple[str, str]] = []
        self._render = rendering._environment().get_template

    def template(self, name: str, parent: str | None = None, values: Any = None) -> Any:
        """As the environment's, but what a page of its own renders is kept."""
        found, pages = self._render(name, parent, values), self.pages
        if parent is not None:
            return found

        class Kept:
            def render(self, **values: Any) -> str:
                text: str = found.render(**values)
                pages.append((name.removesuffix(".html"), text))
                return text

        return Kept()


@pytest.fixture(scope="module")
def written() -> list[tuple[str, str]]:
    """All of them, in both languages."""
    need_axe()
    seen = Seen()
    with mock.patch.object(rendering._environment(), "get_template", seen.template):
        for language in ("en", "es"):
            walk(language)
    assert {name for name, _ in seen.pages} == PAGES
    alike = {(name, VARIABLE.sub("", text)): (name, text) for name, text in seen.pages}
    return list(alike.values())


def walk(language: str) -> None:
    house = House()

    async def call(name: str, params: dict[str, Any]) -> dict[str, Any]:
        if name == "practitioner.look":
            mine = list_passkeys(house.registry, mei.account_id_known) if mei.is_on_ledger else []
            key = ledger_key(mine[0], house.people.party) if mine else (0, b"")
            return {"algorithm": key[0], "key": key[1], "owners": [""]}
        if name == "practitioner.prepare":
            return {"genesis_hash": bytes(32), "sponsor": bytes(32), "sequence": 0, "valid_until": 1}
        return {"height": 7, "did": DID, "statement": ""}

    def browser() -> Browser:
        return Browser(house, headers={b"accept-language": language.encode()})

    rosa, ada, bela = (browser() for _ in range(3))
    for one, who in ((rosa, ROSA), (ada, ADA), (bela, BELA)):
        one.enrol(who)
    strangers(house, browser())
    patients(house, rosa, ada)
    administrators(house, ada, bela, rosa)
    programs(house, language)
    mei = browser()
    mei.device = Authenticator(algorithms=(ES256,))
    mei.is_on_ledger = False  # type: ignore[attr-defined]
    mei.enrol(person("Mei Chen", "clinician", "d1", did=DID))
    mei.account_id_known = mei.account_id()  # type: ignore[attr-defined]
    house.people = replace(house.people, call=call)
    house.routes = routes(house.people)
    clinicians(house, mei)


def strangers(house: House, browser: Browser) -> None:
    for path in ("/sign-in", "/enrol", "/recover", "/me"):
        browser.get(path)
    browser.get("/enrol")
    browser.post("/enrol", code="00000-00000-00000-00000-00000-0")
    house.people = replace(house.people, has_provider=True)
    house.routes = routes(house.people)
    browser.get("/sign-in")
    persona = Account(id="pat", kind="patient", name="Pat", fhir_user="Patient/pat")
    run(add_account(house.registry, persona))
    run(
        house.registry.change(PERSONAS.put(persona_key("pat"), Persona(account="pat", passkey=b"x", order=0)))
    )
    screens = {place: guard(house.people, place[0], route) for place, route in demo.ROUTES.items()}
    house.routes = {**routes(house.people), **screens}
    browser.get("/demo")


def patients(house: House, rosa: Browser, guardian: Browser) -> None:
    id = rosa.account_id()
    grant = Grant(
        id="g1", client="c1", account=id, scope="openid patient/Immunization.rs", context={}, created_ms=NOW,
        used_ms=NOW, expires_ms=NOW + 10**12, is_offline=True,
    )  # fmt: skip
    run(house.registry.change(*put_grant(house.registry, grant)))
    rosa.get("/me")
    rosa.post("/me/guardian", guardian=guardian.account_id())
    guardian.get("/me")
    guardian.post("/me/wards/approve", ward=id)
    ticket = re.search(r'class="code"[^>]*>([0-9A-Z-]{31})<', guardian.text)
    assert ticket
    rosa.get("/me")
    stranger = Browser(house, headers=rosa.headers)
    stranger.get("/recover")
    stranger.post("/recover/ticket", ticket=ticket[1])
    stranger.get("/recover")
    stranger.post("/recover/code", code=rosa.printed)


def administrators(house: House, ada: Browser, bela: Browser, rosa: Browser) -> None:
    ada.get("/desk")
    ada.post("/desk/invite", kind="administrator", name="Eve Marsh", duty=["keys", "users"])
    ada.post("/desk/invite", kind="clinician", name="Luis Ortega", record="d9", roles="nurse, physician")
    bela.get("/desk")
    key = re.search(r'name="request" value="([^"]+)"', bela.text)
    assert key
    bela.post("/desk/requests/approve", request=key[1])
    bela.get("/desk")
    ada.get("/desk/audit")
    rosa.get("/desk")


def programs(house: House, language: str) -> None:
    request = SmartRequest("GET", "/", (), {b"accept-language": language.encode()}, b"", "192.0.2.1")
    visit = read_visit(request, house.registry, house.people.party, NOW)
    view = ConsentView(
        ticket="T" * 43, client="Growth", redirect_host="app.example", kind="patient", person="Rosa Quiroga",
        words=("openid", "offline_access", "patient/Observation.rs"), language=visit.language,
    )  # fmt: skip
    for can_sign in (False, True):
        consent(visit, view, "https://app.example/cb", action="/oauth/decide", can_sign=can_sign)
    rows = [PatientRow("p1", "Rosa Quiroga", "1980-02-01")]
    for found in (None, [], rows):
        choose_patient(
            visit, "T" * 43, found, search_action="/oauth/patients", choose_action="/oauth/patient"
        )


def clinicians(house: House, mei: Any) -> None:
    mei.get("/launcher")
    app = Client(id="c1", name="Growth", method="none", scope="launch", launch_uri="https://app.example/l")
    run(add_client(house.registry, app))
    mei.get("/launcher")
    mei.get("/sign")
    chosen = re.search(r'name="passkey" value="([^"]+)"', mei.text)
    assert chosen, mei.text
    mei.post("/sign/key", passkey=chosen[1])
    mei.is_on_ledger = True
    mei.get("/sign")
    mei.post("/sign", text="Rosa Quiroga may be vaccinated.")
    assert mei.ceremony("get", "/sign/options", "/sign/answer").status == 200, mei.text
    mei.get("/sign")
    house.standings[DID] = "suspended"
    mei.get("/me")


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Page]:
    context = browser.new_context(viewport=PHONE, base_url="http://pages.example")
    found = context.new_page()
    found.route("**/*", serve_style)
    yield found
    context.close()


def serve_style(route: Route) -> None:
    name = route.request.url.rpartition("/")[2]
    if name in STYLE:
        kind = "text/css" if name.endswith("css") else "image/svg+xml"
        route.fulfill(body=read_asset(name) or b"", content_type=kind)
    else:
        route.fulfill(body="<!doctype html><title>.</title>", content_type="text/html")


def show(page: Page, text: str) -> None:
    page.set_content(re.sub(r"<script .*?</script>", "", text))
    page.wait_for_function("() => getComputedStyle(document.body).margin === '0px'")


def look(page: Page, *rules: str) -> list[str]:
    """What axe complains of, of whatever weight; with `rules` it looks at those alone."""
    if not page.evaluate("() => 'axe' in globalThis"):
        page.evaluate(AXE.read_text())
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"][:3]]


def test_no_page_has_a_barrier_or_is_wider_than_a_phone(page: Page, written: list[tuple[str, str]]) -> None:
    page.goto("/")
    barriers: dict[str, list[str]] = {}
    dark: set[str] = set()
    for name, text in written:
        show(page, text)
        lines = look(page) if ' lang="en"' in text else []
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        if wide > PHONE["width"]:
            lines.append(f"{wide} px wide")
        if name not in dark:  # one of each in the other colours
            dark.add(name)
            page.emulate_media(color_scheme="dark")
            lines += look(page, "color-contrast")
            page.emulate_media(color_scheme="light")
        if lines:
            barriers[name] = lines
    assert barriers == {}
