"""A patient decides with the passkey of her telephone, in Chromium, against a real node: her key, an app's consent, its end.

Needs Debian's `chromium`; without it it says so in a warning and is skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Page

from tests.e2e.smart import App, Clinic
from tests.e2e.test_pages import AUTHENTICATOR, enrol, person_at
from tests.e2e.test_smart_browser import house_of
from tests.verifier.twins import export_verdict

CALLBACK = "https://app.example/callback"


def redirected(page: Page) -> dict[str, str]:
    """What the app gets."""
    page.wait_for_url(CALLBACK + "**")
    return dict(parse_qsl(urlsplit(page.url).query))


def directives(clinic: Clinic, patient: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(clinic.command("consent", "list", patient, "--json"))[
        "directives"
    ]
    return found


def test_a_patient_enrols_her_passkey_signs_an_apps_consent_and_withdraws_it(
    clinic: Clinic, browser: Any, tmp_path: Path
) -> None:
    client = clinic.client(
        name="Growth chart", redirect_uris=[CALLBACK], grant_types=["authorization_code", "refresh_token"]
    )
    app, mine = App(clinic, client), clinic.patients[1]
    house = house_of(clinic, "--name", "Pat Deciding", "--patient", mine)
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        page.route("https://app.example/**", lambda route: route.fulfill(body="thank you"))
        enrol(page, house, None)
        page.get_by_role("button", name="Decide with this passkey").click()
        page.get_by_text("From now on this passkey decides.").wait_for()
        kit = page.locator("#printed-kit").inner_text()
        assert len(kit.replace("-", "")) == 64
        page.goto(
            app.request(redirect_uri=CALLBACK, scope="openid launch/patient offline_access patient/*.rs")
        )
        page.get_by_text("Growth chart").first.wait_for()
        lines = [
            page.locator(".heading").inner_text(),
            *page.locator("fieldset:first-of-type label").all_inner_texts(),
        ]
        page.get_by_role("button", name="Allow what is ticked, and sign it").click()
        code = redirected(page)["code"]
        tokens = app.redeem(code, redirect_uri=CALLBACK).json
        assert clinic.on_all(tokens["access_token"], f"Patient/{mine}") == {200}
        [directive] = directives(clinic, mine)
        assert (directive["grantees"], directive["status"], directive["bound"]) == (
            [f"client:{client}"],
            "active",
            True,
        )
        assert show(clinic, mine, tmp_path) == (lines, "anchored")
        page.goto(f"{clinic.origin}/me")
        assert page.get_by_text("This passkey decides.").count() == 1
        page.get_by_role("button", name="Withdraw").click()
        page.get_by_text("Growth chart").wait_for(state="detached")
        assert clinic.on_all(tokens["access_token"], f"Patient/{mine}") == {401}
        assert [one["status"] for one in directives(clinic, mine)] == ["revoked"]
        assert show(clinic, mine, tmp_path)[1] == "anchored"
    assert complaints == [], complaints


def show(clinic: Clinic, patient: str, folder: Path) -> tuple[list[str], str]:
    """What an export says was shown, without how long; and what both verifiers say of it."""
    export, trust = folder / "export", folder / "trust"
    for file in (export, trust):
        file.unlink(missing_ok=True)
    clinic.command("checkpoint", "-o", str(trust))
    clinic.command("chart", "export", patient, "-o", str(export))
    leaves = [one for one in json.loads(export.read_text())["entries"] if one.get("type") == "Directive"]
    text = json.loads(unbase64(json.loads(leaves[-1]["body"])["text"]))
    return text["shown"].split("\n")[:-1], export_verdict(export.read_bytes(), trust.read_bytes())


def unbase64(text: str) -> bytes:
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_after_a_loss_the_printed_kit_lets_the_next_passkey_follow(clinic: Clinic, browser: Any) -> None:
    mine = clinic.patients[3]
    house = house_of(clinic, "--name", "Pat Losing", "--patient", mine)
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, devtools):
        enrol(page, house, None)
        page.get_by_role("button", name="Decide with this passkey").click()
        page.get_by_text("From now on this passkey decides.").wait_for()
        kit = page.locator("#printed-kit").inner_text()
        lost = clinic.node.command("consent.prepare", patient=mine)["key"]
        devtools.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": devtools.id})
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        page.get_by_role("button", name="Add a passkey").click()
        page.get_by_text("This passkey decides.").wait_for()
        page.get_by_label("Code of its kit").fill("0" * 64)
        page.get_by_role("button", name="Decide with this passkey").click()
        page.get_by_text("the enrolled key did not sign it").wait_for()
        assert clinic.node.command("consent.prepare", patient=mine)["key"] == lost
        page.get_by_label("Code of its kit").fill(kit.upper())
        page.get_by_role("button", name="Decide with this passkey").click()
        page.get_by_text("From now on this passkey decides.").wait_for()
        assert clinic.node.command("consent.prepare", patient=mine)["key"] not in (lost, b"")
        assert page.locator("#printed-kit").inner_text() != kit
    assert [one for one in complaints if "400" not in one] == [], complaints
