"""The pages against other origins, other browsers' sessions and frames, over HTTP on a real node (F2, F10, F11)."""

from __future__ import annotations

import re

import pytest

from tests.e2e.node import Caller
from tests.e2e.smart import CALLBACK, App, Browser, Clinic, browse

EVIL = "https://evil.example"
PAGES = ("/sign-in", "/enrol", "/recover", "/demo", "/me", "/kit")
ORIGINS = (
    EVIL,
    "null",
    "",
    "http://localhost",
    "http://localhost:1",
    "https://localhost",
    "http://localhost.evil.example",
)


def crossed(browser: Browser, path: str, origin: str, **more: str) -> int:
    """The page's own form with its right token, as another site's page would send it in this browser."""
    assert browser.page is not None
    headers = {"Origin": origin, **more} if origin else {"Origin": "", **more}
    return browser.go(path, {"csrf": csrf_of(browser), **FIELDS.get(path, {})}, **headers).status


def csrf_of(browser: Browser) -> str:
    """The token of the browser's session, read where only the person can."""
    return browser.go("/me").csrf


FIELDS = {"/me/sessions/end-others": {"really": "yes"}, "/language": {"language": "es"}}


def test_no_act_comes_from_another_site_or_without_the_token_of_this_session(clinic: Clinic) -> None:
    other = browse(clinic, "Adm")
    for path in ("/sign-out", "/me/sessions/end-others", "/kit", "/me/apps/end", "/me/guardian", "/language"):
        browser = browse(clinic, "Pat")
        for origin in ORIGINS:
            assert crossed(browser, path, origin) == 403, (path, origin)
        assert crossed(browser, path, clinic.origin, Sec_Fetch_Site="cross-site") == 403, path
        assert crossed(browser, path, clinic.origin, Sec_Fetch_Site="same-site") == 403, path
        for token in ("", "x" * 43, csrf_of(other)):
            assert browser.go(path, {"csrf": token}).status == 403, (path, token)
        twice = browser.go(path, {"csrf": [csrf_of(browser), "x"]})
        assert twice.status == 400, path
        assert browser.go(f"{path}?csrf={csrf_of(browser)}", {}).status == 403, path
        assert browser.go("/me").status == 200
        page = browser.go(path, {"csrf": csrf_of(browser), **FIELDS.get(path, {})})
        assert page.status not in (401, 403) or path == "/kit", path  # from our page it is done
    assert other.go("/me").status == 200


def test_a_request_is_not_allowed_for_somebody_by_another_site(clinic: Clinic) -> None:
    app, browser = App(clinic, clinic.client()), browse(clinic, "Pat")
    page = browser.go(browser.go(app.request()).location)
    fields = {
        "ticket": page.values("ticket")[0],
        "shown": page.values("shown")[0],
        "allow": "yes",
        "days": "30",
    }
    fields |= {"kept": page.values("kept")[0], "csrf": page.csrf}
    assert browser.go("/oauth/decide", fields, Origin=EVIL).status == 403
    assert browser.go("/oauth/decide", fields | {"csrf": "x"}).status == 403
    stranger = browse(clinic, "Adm")
    stranger.go("/me")
    assert (
        stranger.act("/oauth/decide", **(fields | {"csrf": csrf_of(stranger)})).location.count("code=") == 0
    )
    assert (
        browser.go("/oauth/decide", fields | {"shown": "00" * 32}).status == 400
    )  # another text than was shown
    assert (
        browser.go("/oauth/decide", fields | {"kept": "patient/*.cruds"}).status == 400
    )  # more than was offered
    assert browser.go("/oauth/decide", fields, Origin=clinic.origin).location.startswith(CALLBACK + "?code=")
    again = browser.go("/oauth/decide", fields)
    assert (again.status, again.location) == (400, "")


def test_signing_in_takes_no_session_that_was_brought(clinic: Clinic) -> None:
    planted = Browser(clinic, {"careledger": "A" * 43, "careledger-visit": "B" * 43})
    planted.go("/demo")
    planted.sign_in("Pat")
    first = planted.cookies["careledger"]
    assert first != "A" * 43
    assert "careledger-visit" not in planted.cookies
    thief = Browser(clinic, {"careledger": "A" * 43})
    assert thief.go("/me").location == "/sign-in"
    planted.sign_in("Pat")  # again, in the same browser: another session, the former one is over
    assert planted.cookies["careledger"] != first
    assert Browser(clinic, {"careledger": first}).go("/me").location == "/sign-in"
    ahead = Browser(clinic)
    ahead.cookies = {"careledger": planted.cookies["careledger"] + "; careledger=" + "A" * 43}
    assert ahead.go("/me").location == "/sign-in"  # two of one name are none


def test_cookies_are_for_the_pages_alone_and_sign_out_deletes_them(clinic: Clinic) -> None:
    browser = Browser(clinic)
    browser.go("/demo")
    lines = [browser.page.headers["set-cookie"]] if browser.page else []
    html = browser.sign_in("Clin").page
    assert html is not None
    lines += html.headers["set-cookie"].split("\n")
    for line in lines:
        assert "; HttpOnly" in line, line
        assert "; Path=/;" in line, line
        assert re.search("; SameSite=(Lax|Strict)", line), line
        assert "Domain" not in line, line
    for path in ("/fhir/Patient", "/oauth/token", "/oauth/userinfo", "/fhir/metadata"):
        answer = clinic.send(
            "GET", clinic.origin + path, Cookie=f"careledger={browser.cookies['careledger']}"
        )
        assert answer.headers["set-cookie"] == "", path
        assert path == "/fhir/metadata" or answer.status in (400, 401, 405), path  # a cookie opens no record
    browser.go("/me")
    assert "Max-Age=0" in browser.act("/sign-out").headers["set-cookie"]


def test_pages_run_nothing_but_their_own_and_stand_in_no_frame(clinic: Clinic) -> None:
    browser = browse(clinic, "Clin")
    app = App(clinic, clinic.client())
    pages = {path: browser.go(path) for path in (*PAGES, "/launcher")}
    pages["picker"] = browser.go(browser.go(app.request()).location)
    person = browse(clinic, "Pat")
    pages["consent"] = person.go(person.go(app.request()).location)
    pages["refused"] = browser.go("/oauth/continue?ticket=x")
    for path, page in pages.items():
        assert page.status in (200, 400), (path, page.status)
        policy = dict(
            part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'", path
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'", path
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'", path
        assert policy["require-trusted-types-for"] == "'script'", path
        assert not re.search(
            r"unsafe|\*|data:|blob:|https?:(?!//)", page.headers["content-security-policy"]
        ), path
        told = page.headers
        assert told["x-frame-options"] == "DENY", path
        assert (told["x-content-type-options"], told["cache-control"]) == ("nosniff", "no-store"), path
        assert told["cross-origin-opener-policy"] == "same-origin", path
        assert not re.search(r"<script(?![^>]*src=)|<style|\son[a-z]+=|javascript:|style=", page.html), path
        assert not re.search(r'(src|href|action)="(?!/|#)', page.html), path
        assert "access-control-allow-origin" not in told, path
    assert "https://app.example" in pages["consent"].headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/me", "/sign-in", "/oauth/authorize", "/demo", "/launcher"])
def test_no_page_is_for_programs_of_other_origins(clinic: Clinic, path: str) -> None:
    browser = browse(clinic, "Clin")
    for origin in (EVIL, "null"):
        answer = clinic.send(
            "GET", clinic.origin + path, Origin=origin, Cookie=f"careledger={browser.cookies['careledger']}"
        )
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        asked = clinic.send(
            "OPTIONS", clinic.origin + path, Origin=origin, Access_Control_Request_Method="POST"
        )
        assert not [name for name in asked.headers if name.startswith("access-control-")]


def test_fhir_and_the_end_points_are_for_programs_of_any_origin_by_their_token_alone(clinic: Clinic) -> None:
    token = clinic.node.token("system/Patient.rs")
    told = clinic.discover()
    for url in (
        clinic.base + "/Patient",
        told["token_endpoint"],
        told["userinfo_endpoint"],
        told["jwks_uri"],
    ):
        asked = clinic.send(
            "OPTIONS", url, Origin=EVIL, Access_Control_Request_Method="GET",
            Access_Control_Request_Headers="authorization",
        )  # fmt: skip
        assert asked.status == 204
        assert asked.headers["access-control-allow-origin"] == "*", url
        assert "authorization" in asked.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in asked.headers  # with it, cookies would count
    for sent, status in ({"Authorization": f"Bearer {token}"}, 200), ({}, 401):
        answer = clinic.send("GET", clinic.base + "/Patient", Origin=EVIL, **sent)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, "*")
        assert "www-authenticate" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


def test_no_address_of_ours_leads_elsewhere(clinic: Clinic) -> None:
    browser = browse(clinic, "Pat")
    addresses = (
        EVIL,
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "/%2f/evil.example",
        "javascript:alert(1)",
    )
    for address in addresses:
        for path in ("/sign-in", "/me", "/demo", "/enrol", "/oauth/continue", "/kit", "/recover"):
            for name in ("next", "ticket", "redirect", "redirect_uri", "return_to", "url"):
                page = browser.go(f"{path}?{name}={address}")
                assert not page.location or page.location.startswith("/"), (path, name, address)
                assert not page.location.startswith(("//", "/\\")), (path, name, address)
                assert "evil.example" not in re.sub("<input[^>]*>", "", page.html), (path, name, address)


def test_what_people_type_is_shown_as_text(clinic: Clinic) -> None:
    name = "<img src=x onerror=alert(1)>\"'><script>alert(1)</script>"
    app = App(clinic, clinic.client(name='<b>bold</b> & "sons"'))
    browser = browse(clinic, "Pat")
    html = browser.go(browser.go(app.request()).location).html
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; " in html
    clinician = browse(clinic, "Clin")
    ticket = clinician.go(clinician.go(App(clinic, clinic.client()).request()).location).values("ticket")[0]
    assert "<img" not in clinician.act("/oauth/patients", ticket=ticket, name=name).html
    bad = clinician.go(
        f"/oauth/continue?ticket={'<script>alert(1)</script>'.replace('<', '%3C').replace('>', '%3E')}"
    )
    assert "alert(1)" not in bad.html


def test_a_session_says_nothing_to_fhir_and_a_token_nothing_to_the_pages(clinic: Clinic) -> None:
    given = App(clinic, clinic.client()).tokens(browse(clinic, "Pat"))
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    for path in ("/me", "/kit", "/desk", "/launcher"):
        assert clinic.send("GET", clinic.origin + path, **bearer).headers["location"] == "/sign-in"
    for query in (f"access_token={given['access_token']}", f"_token={given['access_token']}"):
        nobody = Caller(clinic.node.port, "")
        assert nobody.get(f"Patient?{query}").status == 401
        nobody.close()
    for path in ("/desk", "/launcher"):
        assert browse(clinic, "Pat").go(path).status == 403
    assert browse(clinic, "Clin").go("/desk").status == 403
    assert browse(clinic, "Adm").go("/launcher").status == 403
