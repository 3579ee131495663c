"""The web application as people use it: Chromium, a real node, each persona; axe-core, and an eye on what must not happen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page

from tests.e2e.node import ROOT
from tests.e2e.smart import Clinic

AXE = (ROOT / ".venv").resolve().parent / ".cache" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 360, "height": 740}
WARD = {"width": 1280, "height": 720}
SERIOUS = ("serious", "critical")
WAIT_MS = 15_000

PATIENT = (
    "/app/record", "/app/health", "/app/results", "/app/looked", "/app/grants", "/app/add", "/app/download",
    "/app/proof", "/app/network", "/explorer", "/app/help",
)  # fmt: skip
CLINICIAN = ("/app/patients", "/app/chart", "/app/proof", "/app/network", "/explorer", "/app/help")
ADMINISTRATOR = ("/app/desk", "/app/proof", "/app/network", "/explorer", "/app/help")
STRANGER = ("/", "/app/proof", "/explorer", "/app/help")
SCREENS = {"Pat": PATIENT, "Clin": CLINICIAN, "Adm": ADMINISTRATOR, "": STRANGER}


@dataclass(slots=True)
class Person:
    """Somebody at a browser of their own. `complaints` is whatever the browser found wrong."""

    page: Page
    clinic: Clinic
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """That page, with what it fetches; whoever waits for ever is told which page it was."""
        self.page.goto(self.clinic.origin + path)
        self.settle()

    def settle(self) -> None:
        """Nothing is on its way any more."""
        self.page.locator("main h1").first.wait_for(timeout=WAIT_MS)
        for waiting in ("One moment…", "Un momento…"):
            self.page.get_by_text(waiting).first.wait_for(state="detached", timeout=WAIT_MS)

    def check(self, ids: tuple[str, ...] = ()) -> None:
        """What holds on every screen: one heading, no sideways scrolling, nobody in address or title, axe content."""
        page = self.page
        assert page.locator("h1").count() == 1, f"{page.url} has {page.locator('h1').count()} first headings"
        assert page.title() == "CareLedger"
        assert not any(one in page.url for one in ids), page.url
        wide, room = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room, f"{page.url} scrolls sideways: {wide} px in {room}"
        barriers = find_barriers(page)
        assert barriers == [], f"{page.url}: {barriers}"
        assert self.complaints == [], f"{page.url}: {self.complaints}"


def find_barriers(page: Page) -> list[str]:
    """What axe finds serious: rule and place."""
    if not page.evaluate("() => 'axe' in globalThis"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} at {node['target']}: {node['html'][:120]}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"][:3]
    ]


@contextmanager
def at_browser(
    chromium: Any, clinic: Clinic, who: str, viewport: dict[str, int] = WARD, **context: Any
) -> Iterator[Person]:
    """Pat, Clin or Adm signed in with the demo's one click; "" for a stranger."""
    held = chromium.new_context(viewport=viewport, base_url=clinic.origin, **context)
    page = held.new_page()
    page.set_default_timeout(WAIT_MS)
    person = Person(page, clinic)
    watch(person)
    try:
        if who:
            page.goto("/demo")
            page.get_by_role("button", name=who, exact=True).click()
            page.wait_for_url(re.compile(r"/app/"))
            person.settle()
        yield person
    finally:
        held.close()


def watch(person: Person) -> None:
    """Errors, violations of the policy, dialogs, and every address that was asked for."""

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            person.complaints.append(f"{message.text} {message.location.get('url', '')}")

    page = person.page
    page.on("console", hear)
    page.on("pageerror", lambda error: person.complaints.append(f"error: {error}"))
    page.on(
        "dialog", lambda dialog: (person.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss())
    )
    page.on("request", lambda request: person.asked.append(request.url))


def need_axe() -> None:
    """Skips where the application was built without its packages (an unpacked sdist)."""
    if not AXE.is_file():
        pytest.skip("axe-core is not there: run `make dev`")
