"""The web application at a node of a network: the browser itself follows the validators to the newest header."""

from __future__ import annotations

import re

import pytest

from tests.e2e.chromium import find_chromium, open_chromium
from tests.network.clients import Http
from tests.network.local import CATCH_UP_S, LocalNetwork

WAIT_MS = 30_000


@pytest.mark.slow
def test_a_patient_has_her_record_checked_by_her_browser_up_to_the_validators_signatures(
    network: LocalNetwork,
) -> None:
    find_chromium()
    here = network["A"]
    assert Http(here).call("PUT", "Patient/nora", {"resourceType": "Patient", "id": "nora"}).status == 201
    seen = {
        "resourceType": "Observation", "status": "final", "code": {"text": "Blood pressure"},
        "subject": {"reference": "Patient/nora"}, "effectiveDateTime": "2026-11-20",
    }  # fmt: skip
    assert Http(here).call("POST", "Observation", seen).status == 201
    here.command(
        "account.personas", personas=[{"kind": "patient", "name": "Nora", "fhir_user": "Patient/nora"}]
    )
    network.do("restart", "A")
    network.settle()
    network.wait_grown(2, CATCH_UP_S)
    with open_chromium() as browser:
        page = browser.new_page(base_url=f"http://localhost:{here.port}")
        page.set_default_timeout(WAIT_MS)
        page.goto("/demo")
        page.get_by_role("button", name="Nora").click()
        page.wait_for_url(re.compile("/app/"))
        page.goto("/app/network")
        page.get_by_text("signs").first.wait_for()
        page.goto("/app/proof")
        page.get_by_role("button", name="Check my record").click()
        page.locator(".notice.good").first.wait_for()
        page.get_by_text("signed by more than two thirds of the network").first.wait_for(state="attached")
        assert page.locator(".notice.bad, .problem").count() == 0
