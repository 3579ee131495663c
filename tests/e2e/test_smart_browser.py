"""A JavaScript SMART client that is not ours, in Chromium, against a real node: invited, enrolled, launched, allowed, read.

Needs Debian's `chromium` and npm's `fhirclient`; without them it says so in a warning and is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from tests.e2e.foreign import serve_app
from tests.e2e.smart import Clinic
from tests.e2e.test_pages import enrol, person_at


@pytest.fixture
def app(tmp_path: Path) -> Iterator[str]:
    with serve_app(tmp_path) as address:
        yield address


def house_of(clinic: Clinic, *invited: str) -> Any:
    """The clinic as the driver of the pages knows one: where it is, and how somebody is invited."""

    def invite(_: object) -> str:
        return clinic.command("account", "invite", *invited).partition("#")[2]

    return SimpleNamespace(people=SimpleNamespace(party=SimpleNamespace(origin=clinic.origin)), invite=invite)


def register(clinic: Clinic, folder: Path, **given: Any) -> None:
    """The app, which then knows its id."""
    (folder / "client.js").write_text(f"const CLIENT = {json.dumps(clinic.client(**given))};")


def told(page: Page) -> dict[str, Any]:
    """What the app says it got."""
    page.wait_for_function("() => /done|failed/.test(document.title)")
    assert page.title() == "done", page.title()
    found: dict[str, Any] = json.loads(page.locator("#told").inner_text())
    return found


def test_a_patient_enrols_launches_allows_and_the_app_reads(
    clinic: Clinic, browser: Any, app: str, tmp_path: Path
) -> None:
    redirect = f"{app}/index.html"
    grants = ["authorization_code", "refresh_token"]
    register(clinic, tmp_path, name="Growth chart", redirect_uris=[redirect], grant_types=grants)
    mine = clinic.patients[4]
    house = house_of(clinic, "--name", "Pat Invited", "--patient", mine)
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        enrol(page, house, None)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
        scope = "openid fhirUser launch/patient offline_access patient/*.rs"
        asked = {"iss": clinic.base, "scope": scope}
        page.goto(f"{app}/launch.html?{urlencode(asked)}")
        page.get_by_role("button", name="Sign in with a passkey").click()
        page.get_by_text("Growth chart").first.wait_for()
        assert mine not in page.url
        page.get_by_role("button", name="Allow what is ticked").click()
        got = told(page)
        assert (got["patient"], got["again"], got["found"]) == (mine, mine, 3)
        assert got["user"] == f"Patient/{mine}"
        assert got["other"] == 404
    assert [one for one in complaints if "404" not in one] == [], complaints


def test_a_clinician_launches_from_the_record(clinic: Clinic, browser: Any, app: str, tmp_path: Path) -> None:
    launch, redirect = f"{app}/launch.html", f"{app}/index.html"
    register(clinic, tmp_path, name="Launched app", redirect_uris=[redirect], launch_uri=launch)
    caller = clinic.node.caller("system/*.rs")
    practitioner = caller.all_ids("Practitioner?_count=100")[1]
    caller.close()
    did = clinic.command("practitioner", "register", "--key-out", str(tmp_path / "staff.key"))
    house = house_of(clinic, "--name", "Clin Invited", "--practitioner", practitioner, "--did", did)
    chosen = clinic.patients[1]
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        enrol(page, house, None)
        page.get_by_role("link", name="Launch an app").click()
        page.get_by_label("App").select_option(label="Launched app")
        page.get_by_label("Id of the patient").fill(chosen)
        page.get_by_role("button", name="Launch", exact=True).click()
        page.get_by_role("button", name="Allow what is ticked").click()
        got = told(page)
        assert (got["patient"], got["user"]) == (chosen, practitioner)
    assert [one for one in complaints if "404" not in one] == [], complaints
