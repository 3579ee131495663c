"""A patient's power, from her telephone: she sees who looked, refuses them, checks the proof, takes it back; in Chromium.

Needs Debian's `chromium`; without it it says so in a warning and is skipped.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.e2e.app import find_barriers, need_axe
from tests.e2e.smart import Clinic
from tests.e2e.test_pages import enrol, person_at
from tests.e2e.test_smart_browser import house_of
from tests.verifier.twins import export_verdict


def look(clinic: Clinic, patient: str) -> int:
    """A clinician reads the patient by a token of their own: the answer's status."""
    person = clinic.practitioner.removeprefix("Practitioner/")
    words = ("token", "--client", "ward", "--scope", "user/*.rs", "--practitioner", person, "--json")
    token = json.loads(clinic.command(*words))["token"]
    headers = {"authorization": f"Bearer {token}"}
    return clinic.send("GET", f"{clinic.base}/Patient/{patient}", **headers).status


def test_she_sees_who_looked_refuses_them_checks_the_proof_and_takes_it_back(
    clinic: Clinic, browser: Any, tmp_path: Path
) -> None:
    need_axe()
    mine = clinic.patients[2]
    house = house_of(clinic, "--name", "Pat Powerful", "--patient", mine)
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        enrol(page, house, None)
        page.get_by_role("button", name="Decide with this passkey").click()
        page.get_by_text("From now on this passkey decides.").wait_for()
        assert look(clinic, mine) == 200
        stop_them(page, clinic)
        assert look(clinic, mine) == 404
        check_proof(page, clinic)
        take_home(page, clinic, tmp_path)
        page.goto(f"{clinic.origin}/app/grants")
        page.get_by_role("button", name="Withdraw", exact=True).click()
        page.get_by_text("1 decision that holds no longer").wait_for()
        assert look(clinic, mine) == 200
    assert complaints == [], complaints


def stop_them(page: Page, clinic: Clinic) -> None:
    """From who looked, by one tap, to the decision; what is shown is what is signed."""
    page.goto(f"{clinic.origin}/app/looked")
    page.locator(".looks > li.care summary").first.click()
    page.get_by_role("button", name="Stop ").click()
    page.get_by_text("hidden: you refuse it").first.wait_for()
    page.get_by_role("button", name="Show what I would sign").click()
    shown = page.locator("pre.signed").inner_text()
    assert shown.startswith("I forbid access to my record")
    assert find_barriers(page) == []
    page.get_by_role("button", name="Sign with my passkey").click()
    page.get_by_text("The ledger has it under your key.").wait_for()
    page.get_by_role("button", name="I have kept it").click()
    page.get_by_text("What was signed, word for word").click()
    expect(page.locator("li.card pre.signed")).to_have_text(shown)


def check_proof(page: Page, clinic: Clinic) -> None:
    """Green, green again since then, and red for one altered letter and for one entry less."""
    page.goto(f"{clinic.origin}/app/proof")
    button, verdict = page.get_by_role("button", name="Check my record now"), page.locator(".verdict").first
    button.click()
    expect(verdict).to_contain_text("complete and unaltered")
    page.get_by_text("What was checked").click()
    assert find_barriers(page) == []
    button.click()
    expect(verdict).to_contain_text("nothing was changed or removed since")
    for alter in (another_letter, an_entry_less):
        page.route("**/api/charts/*/export", alter)
        button.click()
        expect(verdict).to_contain_text("an entry is missing, or was changed")
        page.unroute("**/api/charts/*/export")
    button.click()
    expect(verdict).to_contain_text("nothing was changed or removed since")


def another_letter(route: Route) -> None:
    answer = route.fetch()
    whole = answer.body()
    at = whole.index(b"http://hl7.org/fhir/sid") if b"http://hl7.org/fhir/sid" in whole else len(whole) // 2
    route.fulfill(response=answer, body=whole[:at] + b"H" + whole[at + 1 :])


def an_entry_less(route: Route) -> None:
    answer = route.fetch()
    file = answer.json()
    file["entries"] = file["entries"][:-1]
    text = json.dumps(file, ensure_ascii=False, separators=(",", ":"))
    route.fulfill(response=answer, body=text.encode())


def take_home(page: Page, clinic: Clinic, folder: Path) -> None:
    """Everything in one archive, which both verifiers accept too; a sheet with a square code, as PDF."""
    page.goto(f"{clinic.origin}/app/download")
    with page.expect_download() as taken:
        page.get_by_role("button", name="Download everything").click()
    taken.value.save_as(folder / "all.zip")
    with zipfile.ZipFile(folder / "all.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    record, trust = ((folder / f"careledger-{name}.json").read_bytes() for name in ("record", "trust"))
    assert export_verdict(record, trust) == "anchored"
    page.get_by_role("button", name="Choose entries").click()
    page.locator(".chosen-entries input").first.check()
    page.get_by_role("button", name="Make the sheet").click()
    page.locator(".sheet .qr").first.wait_for()
    assert find_barriers(page) == []
    with page.expect_download() as taken:
        page.get_by_role("button", name="Save as PDF").click()
    taken.value.save_as(folder / "sheet.pdf")
    assert (folder / "sheet.pdf").read_bytes().startswith(b"%PDF-1.4")
