"""The web application's OAuth client, attacked on a real node: by other pages, links and frames (F2, F3, F10)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest

from careledger.smart.own import CALLBACK, OWN
from tests.e2e.smart import App, Browser, Clinic, browse

PAGE: dict[str, str] = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
NOT_OUR_PAGE: tuple[dict[str, str], ...] = (
    {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    },  # a link elsewhere
    {
        "Sec-Fetch-Site": "none",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    },  # a link in a mail
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
)


def walk(browser: Browser, app: App, begin: Mapping[str, str], go_on: Mapping[str, str]) -> str:
    """Where the application's request for a code ends, begun and gone on with under these headers."""
    asked = {
        "redirect_uri": app.clinic.origin + CALLBACK,
        "prompt": "none",
        "scope": "openid launch/patient patient/*.rs",
    }
    page = browser.go(app.request(**asked), None, **begin)
    assert page.location.startswith("/oauth/continue?ticket="), page.location
    return browser.go(page.location, None, **go_on).location


def test_a_code_for_the_application_is_given_to_a_script_of_its_page_alone(clinic: Clinic) -> None:
    """Whoever makes a browser walk there with a challenge of their own would have the code in its address bar and logs."""
    app, browser = App(clinic, OWN), browse(clinic, "Pat")
    code = dict(parse_qsl(urlsplit(walk(browser, app, PAGE, PAGE)).query))["code"]
    redeemed = app.redeem(code, redirect_uri=clinic.origin + CALLBACK)
    assert redeemed.status == 200, redeemed.body
    for headers in NOT_OUR_PAGE:
        assert walk(browser, app, headers, headers) == "", headers
        assert walk(browser, app, {}, headers) == "", headers  # a request that somebody else begun for her


@pytest.mark.parametrize("path", ["/session", CALLBACK + "?code=stolen&state=x"])
def test_what_a_session_sees_lies_in_no_other_page(clinic: Clinic, path: str) -> None:
    """Pages of a sibling host have Lax cookies sent; neither frame nor memory of theirs gets the answer."""
    answer = browse(clinic, "Pat").go(path, None, **NOT_OUR_PAGE[3])
    assert answer.status == 200
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in answer.headers


def test_a_code_of_one_person_serves_no_other_and_once(clinic: Clinic) -> None:
    """Injection: her code with another's verifier; twice; at another address; a state that is not ours comes back as sent."""
    at = {"redirect_uri": clinic.origin + CALLBACK}
    hers, his = App(clinic, OWN), App(clinic, OWN)
    code = dict(parse_qsl(urlsplit(walk(browse(clinic, "Pat"), hers, PAGE, PAGE)).query))["code"]
    assert his.redeem(code, **at).status == 400
    code = dict(parse_qsl(urlsplit(walk(browse(clinic, "Pat"), hers, PAGE, PAGE)).query))["code"]
    assert hers.redeem(code).status == 400
    code = dict(parse_qsl(urlsplit(walk(browse(clinic, "Pat"), hers, PAGE, PAGE)).query))["code"]
    first = hers.redeem(code, **at)
    assert first.status == 200
    assert hers.redeem(code, **at).status == 400
    assert clinic.on_all(first.json["access_token"]) == {401}
