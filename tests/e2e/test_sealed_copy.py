"""A patient takes home a sealed copy and opens it, by her passkey (without a network) and by her printed kit; in Chromium.

Needs Debian's `chromium`; without it it says so in a warning and is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.app import find_barriers, need_axe
from tests.e2e.smart import Clinic
from tests.e2e.test_pages import AUTHENTICATOR, enrol, person_at
from tests.e2e.test_smart_browser import house_of
from tests.verifier.twins import export_verdict


def test_she_takes_home_what_her_passkey_and_her_kit_alone_open(
    clinic: Clinic, browser: Any, tmp_path: Path
) -> None:
    need_axe()
    mine = clinic.patients[5]
    house = house_of(clinic, "--name", "Pat Sealing", "--patient", mine)
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, devtools):
        enrol(page, house, None)
        page.get_by_role("button", name="Decide with this passkey").click()
        page.get_by_text("From now on this passkey decides.").wait_for()
        kit = page.locator("#printed-kit").inner_text()
        assert clinic.node.command("copy.look", patient=mine)["kinds"] == ["passkey", "kit"]
        sealed, trust = tmp_path / "record.sealed", tmp_path / "trust.json"
        take(page, clinic, "The trust file", trust)
        take(page, clinic, "Download a sealed copy", sealed)
        assert b"Patient" not in sealed.read_bytes()
        page.goto(f"{clinic.origin}/app/proof")
        page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
        page.context.set_offline(True)
        page.goto(f"{clinic.origin}/app/proof")
        choose(page, sealed, trust)
        assert find_barriers(page) == []
        page.get_by_role("button", name="Open with my passkey").click()
        check(page, tmp_path / "by-passkey.json", trust)
        page.context.set_offline(False)
        devtools.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": devtools.id})
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        page.reload()
        altered = tmp_path / "altered.sealed"
        data = bytearray(sealed.read_bytes())
        data[-9] ^= 1
        altered.write_bytes(data)
        choose(page, altered, trust)
        fill(page, kit)
        expect(page.get_by_text("Nothing of it was opened")).to_be_visible()
        page.reload()
        choose(page, sealed, trust)
        fill(page, "0" * 64)
        expect(page.get_by_text("This does not open the copy")).to_be_visible()
        fill(page, kit)
        check(page, tmp_path / "by-kit.json", trust)
    assert (tmp_path / "by-passkey.json").read_bytes() == (tmp_path / "by-kit.json").read_bytes()
    assert [one for one in complaints if "ERR_INTERNET_DISCONNECTED" not in one] == [], complaints


def test_who_enrolled_before_makes_copies_possible_with_her_kit(clinic: Clinic, browser: Any) -> None:
    mine = clinic.patients[6]
    house = house_of(clinic, "--name", "Pat Preparing", "--patient", mine)
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        enrol(page, house, None)
        page.route("**/me/copies/*", lambda route: route.abort())
        page.get_by_role("button", name="Decide with this passkey").click()
        page.get_by_text("From now on this passkey decides.").wait_for()
        kit = page.locator("#printed-kit").inner_text()
        page.unroute("**/me/copies/*")
        page.goto(f"{clinic.origin}/app/download")
        page.get_by_role("button", name="Download a sealed copy").click()
        page.get_by_text("First make sealed copies possible").wait_for()
        page.goto(f"{clinic.origin}/me")
        page.get_by_label("Code that was printed for this passkey").fill("0" * 64)
        page.get_by_role("button", name="Make sealed copies possible").click()
        page.get_by_text("This is not the code that was printed").wait_for()
        assert clinic.node.command("copy.look", patient=mine)["kinds"] == []
        page.get_by_label("Code that was printed for this passkey").fill(kit)
        page.get_by_role("button", name="Make sealed copies possible").click()
        page.get_by_text("From now on you can download sealed copies.").wait_for()
        assert clinic.node.command("copy.look", patient=mine)["kinds"] == ["passkey", "kit"]
        page.reload()
        page.get_by_text("Ready: your sealed copies open").wait_for()


def take(page: Page, clinic: Clinic, name: str, path: Path) -> None:
    """A file of the page of downloads."""
    page.goto(f"{clinic.origin}/app/download")
    with page.expect_download() as taken:
        page.get_by_role("button", name=name).click()
    taken.value.save_as(path)


def choose(page: Page, *files: Path) -> None:
    page.locator("input[type=file][multiple]").set_input_files([str(one) for one in files])
    page.get_by_role("heading", name="A sealed copy").wait_for()


def fill(page: Page, kit: str) -> None:
    page.get_by_label("Printed code").fill(kit)
    page.get_by_role("button", name="Open with the printed code").click()


def check(page: Page, path: Path, trust: Path) -> None:
    """What was opened is checked here, and saved open it is what both verifiers accept."""
    page.get_by_text("Opened. Check it below").wait_for()
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("Genuine and complete")).to_have_count(2)
    with page.expect_download() as taken:
        page.get_by_role("button", name="Save careledger-record.json").click()
    taken.value.save_as(path)
    assert export_verdict(path.read_bytes(), trust.read_bytes()) == "anchored"
