"""Every screen of the web application, for every persona, on a phone and on a ward's screen (issue: look and manner)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.app import PHONE, SCREENS, WARD, at_browser, need_axe
from tests.e2e.smart import Clinic

SIZES = {"phone": PHONE, "ward": WARD}


@pytest.fixture(scope="module", autouse=True)
def axe() -> None:
    need_axe()


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("who", SCREENS)
def test_every_screen_is_whole_reachable_and_says_nothing_of_anybody_in_its_address(
    clinic: Clinic, browser: Any, who: str, size: str
) -> None:
    scheme = "dark" if size == "phone" else "light"
    with at_browser(
        browser, clinic, who, SIZES[size], color_scheme=scheme, reduced_motion="reduce"
    ) as person:
        for path in SCREENS[who]:
            person.open(path)
            person.check((*clinic.patients, "Pat"))


@pytest.mark.parametrize("who", ["Pat", "Clin"])
def test_from_right_to_left_nothing_leaves_the_screen(clinic: Clinic, browser: Any, who: str) -> None:
    with at_browser(browser, clinic, who, PHONE) as person:
        for path in SCREENS[who][:4]:
            person.open(path)
            wide = person.page.evaluate(
                "() => { document.documentElement.dir = 'rtl'; return document.documentElement.scrollWidth - innerWidth; }"
            )
            assert wide <= 0, path


def test_an_address_of_somebody_elses_page_is_a_missing_one(clinic: Clinic, browser: Any) -> None:
    with at_browser(browser, clinic, "Clin") as person:
        person.page.goto("/app/record")
        person.page.get_by_role("heading", name="There is nothing here").wait_for()
    with at_browser(browser, clinic, "") as person:
        person.page.goto("/app/chart")
        person.page.get_by_role("heading", name="There is nothing here").wait_for()


def test_signing_out_leaves_nothing_on_the_screen_or_in_the_browser(clinic: Clinic, browser: Any) -> None:
    with at_browser(browser, clinic, "Pat") as person:
        page = person.page
        person.open("/app/health")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("You are signed out").wait_for()
        assert page.evaluate("() => Object.keys(localStorage).concat(Object.keys(sessionStorage))") in (
            [],
            ["mantine-color-scheme-value"],
        )
        kept = page.evaluate("""async () => {
          const found = [];
          for (const name of await caches.keys())
            for (const request of await (await caches.open(name)).keys()) found.push(new URL(request.url).pathname);
          return found;
        }""")
        assert all(path == "/" or path.startswith("/assets/") for path in kept), kept
        page.go_back()
        page.locator("main h1").wait_for()
        assert not person.page.get_by_role("button", name="Sign out").count()
        assert page.locator("main li, main table").count() == 0
