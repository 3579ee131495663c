"""The pages: coming in, my page, the desk; and what hostile pages and strangers get from them (F9, F10, F11, E12, E14)."""

from __future__ import annotations

import html
import io
import json
import re
from pathlib import Path

import pytest
import structlog

from careledger.node import log
from careledger.node.auditing import note
from careledger.smart.accounts import list_accounts
from careledger.smart.clients import Client, add_client
from careledger.smart.consenting import ConsentView, compute_view_digest
from careledger.smart.grants import Grant, put_grant
from careledger.smart.launches import LAUNCHES
from careledger.smart.passkeys import RelyingParty
from careledger.smart.recovery import WAIT_MS
from careledger.smart.sessions import ABSOLUTE_MS, IDLE_MS, SESSIONS, STEP_UP_MS
from careledger.web.smart.asking import PatientRow, choose_patient, consent, read_consent
from careledger.web.smart.messages import SmartRequest
from careledger.web.smart.people import DEMANDS, ROUTES
from careledger.web.smart.rendering import POLICY
from careledger.web.smart.screens import FIELD_MAX, FIELDS_MAX, Form
from careledger.web.smart.visits import read_visit
from careledger.web.smart.words import WORDS
from tests.smart.authenticator import UP, Authenticator, Forgery
from tests.smart.people_support import NOW, run
from tests.web.people_support import ADA, BELA, CHEN, ROSA, Browser, House, person

WEB = Path(__file__).resolve().parents[2] / "careledger" / "web"
PAGES, UI = WEB / "smart" / "pages", WEB / "ui"


@pytest.fixture
def house():
    return House()


def id_of(house, name):
    return next(one.id for one in list_accounts(house.registry) if one.name == name)


def headers_of(answer):
    return {name: value.decode() for name, value in answer.headers}


# Coming in


def test_from_an_invitation_to_a_second_sign_in(house):
    rosa = Browser(house).enrol(ROSA)
    assert "Rosa Quiroga" in rosa.text
    assert "Firefox · Linux" in rosa.text
    assert rosa.post("/sign-out").status == 303
    assert rosa.get("/me").status == 303
    assert json.loads(rosa.sign_in().body) == {"next": ""}
    assert rosa.get("/me").status == 200


def test_onboarding_is_not_finished_before_the_printed_code_was_typed_back(house):
    rosa = Browser(house)
    code = house.invite(ROSA)
    rosa.get("/enrol")
    rosa.post("/enrol", code=code)
    assert json.loads(rosa.ceremony("create", "/passkey/options", "/passkey/answer").body) == {"next": "/kit"}
    rosa.get("/me")
    assert WORDS["kit.missing"][0] in rosa.text
    rosa.post("/sign-out")
    assert json.loads(rosa.sign_in().body) == {"next": ""}
    assert headers_of(rosa.get("/welcome"))[b"location"] == "/kit"
    rosa.get("/kit")
    rosa.post("/kit")
    printed = rosa.shown_code()
    assert rosa.post("/kit/rehearse", code="00000-00000-00000-00000-00000-0").status == 404
    assert rosa.post("/kit/rehearse", code=printed.lower()).status == 303
    rosa.get("/me")
    assert WORDS["kit.missing"][0] not in rosa.text


def test_whoever_has_no_printed_code_is_reminded_at_each_sign_in_and_locked_out_of_nothing(house):
    rosa, ticket = Browser(house), "A" * 43
    code = house.invite(ROSA)
    rosa.get("/enrol")
    rosa.post("/enrol", code=code)
    rosa.ceremony("create", "/passkey/options", "/passkey/answer")
    for _ in range(2):
        rosa.post("/sign-out")
        rosa.sign_in()
        assert headers_of(rosa.get(f"/welcome?ticket={ticket}"))[b"location"] == f"/kit?ticket={ticket}"
        rosa.get(f"/kit?ticket={ticket}")
        assert WORDS["kit.missing"][0] in rosa.text
        assert f'<a href="/oauth/continue?ticket={ticket}">{WORDS["kit.later"][0]}</a>' in rosa.text
    rosa.post("/kit", ticket=ticket)
    assert f'name="ticket" value="{ticket}"' in rosa.text
    answer = rosa.post("/kit/rehearse", code=rosa.shown_code(), ticket=ticket)
    assert headers_of(answer)[b"location"] == f"/oauth/continue?ticket={ticket}"
    assert (
        headers_of(rosa.get(f"/welcome?ticket={ticket}"))[b"location"] == f"/oauth/continue?ticket={ticket}"
    )
    assert WORDS["kit.later"][0] not in rosa.get("/kit").body.decode()


def test_strangers_see_one_sign_in_page_and_one_refusal(house):
    known = Browser(house).enrol(ROSA)
    known.post("/sign-out")
    stranger = Browser(house)
    for browser in (known, stranger):
        browser.get("/sign-in")
    assert known.text.replace(known.csrf, "") == stranger.text.replace(stranger.csrf, "")
    stranger.device.credentials = [known.device.credentials[0]]
    answers = [
        stranger.sign_in(forge)
        for forge in (
            Forgery(id=bytes(32)),
            Forgery(flags=UP),
            Forgery(signature=b"no"),
            Forgery(handle=b"x"),
        )
    ]
    assert {(one.status, one.body) for one in answers} == {(401, answers[0].body)}
    assert [what for what, _, _ in house.reports[-4:]] == ["passkey-refused"] * 4
    assert stranger.get("/me").status == 303


def test_after_sign_in_the_browser_goes_to_our_own_pages_only(house):
    browser, rosa = Browser(house), Browser(house).enrol(ROSA)
    ticket = "A" * 43
    browser.get(f"/sign-in?ticket={ticket}")
    assert f'data-next="/welcome?ticket={ticket}"' in browser.text
    assert (
        headers_of(rosa.get(f"/welcome?ticket={ticket}"))[b"location"] == f"/oauth/continue?ticket={ticket}"
    )
    for evil in (
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "A" * 42 + "/",
        "javascript:alert(1)",
    ):
        said = "?ticket=" + evil.replace("/", "%2F").replace("\\", "%5C").replace(":", "%3A")
        browser.get("/sign-in" + said)
        assert 'data-next="/welcome"' in browser.text
        assert "evil" not in browser.text
        assert headers_of(rosa.get("/welcome" + said))[b"location"] == "/app"
        assert "evil" not in rosa.get("/kit" + said).body.decode()


def test_a_browser_cannot_be_given_a_session_by_somebody_else(house):
    rosa, mallory = Browser(house).enrol(ROSA), Browser(house).enrol(CHEN)
    fixed = mallory.cookies["careledger"]
    victim = Browser(house, device=rosa.device, cookies={"careledger-visit": "V" * 43})
    options = json.loads(victim.get("/sign-in") and victim.ask("/sign-in/options").body)["options"]
    answer = victim.device.get(options)
    other = Browser(house)  # the challenge of one browser, answered in another
    other.get("/sign-in")
    assert other.ask("/sign-in/answer", answer).status == 401
    assert victim.sign_in().status == 200
    assert victim.cookies["careledger"] not in (fixed, "V" * 43)
    assert "careledger-visit" not in victim.cookies


def test_half_an_enrolment_belongs_to_one_browser_and_ends(house):
    code = house.invite(ROSA)
    rosa, other = Browser(house), Browser(house)
    for browser in (rosa, other):
        browser.get("/enrol")
    rosa.post("/enrol", code=code)
    assert other.ask("/passkey/options").status == 404
    house.registry.now_ms += 900_000
    assert rosa.ask("/passkey/options").status == 404
    assert list_accounts(house.registry) == []


def test_wrong_codes_wait_with_a_retry_after(house):
    browser, code = Browser(house), house.invite(ROSA)
    browser.get("/enrol")
    assert [browser.post("/enrol", code="x").status for _ in range(4)] == [404, 404, 404, 429]
    assert headers_of(browser.post("/enrol", code=code))[b"retry-after"] == "2"
    neighbour = Browser(house, address="192.0.2.2")
    neighbour.get("/enrol")
    assert neighbour.post("/enrol", code=code).status == 200


def test_two_of_three_bring_a_person_back_in(house):
    rosa, chen = Browser(house).enrol(ROSA), Browser(house, address="192.0.2.7").enrol(CHEN)
    number = chen.account_id()
    rosa.get("/me")
    assert rosa.post("/me/guardian", guardian=number).status == 303
    lost, new = rosa, Browser(house)
    run(house.registry.change(*put_grant(house.registry, some_grant(id_of(house, "Rosa Quiroga")))))
    new.get("/recover")
    new.post("/recover/code", code=rosa.printed)
    ticket = new.shown_code()
    assert new.post("/recover/ticket", ticket=ticket).status == 200
    assert new.ask("/passkey/options").status == 404
    chen.get("/me")
    assert "Rosa Quiroga" in chen.text
    ward = re.search(r'name="ward" value="([^"]+)"', chen.text)[1]
    assert chen.post("/me/wards/approve", ward=ward).status == 200
    lost.get("/me")
    assert WORDS["recover.open"][0] in lost.text
    house.registry.now_ms += WAIT_MS
    new.get("/recover")
    new.post("/recover/ticket", ticket=ticket)
    assert new.ceremony("create", "/passkey/options", "/passkey/answer").status == 200, new.text
    assert house.revoked == ["g1"]
    assert lost.sign_in().status == 401
    assert new.get("/me").status == 200


# What a hostile page, a stranger or another person gets


POSTS = sorted(path for method, path in ROUTES if method == "POST")


@pytest.mark.parametrize("path", POSTS)
def test_no_post_is_taken_that_is_not_from_our_page(house, path):
    rosa = Browser(house).enrol(ROSA)
    before = house.registry.dump()
    kind = "application/json" if ROUTES["POST", path].is_json else "application/x-www-form-urlencoded"
    good = {"content_type": kind, "x_csrf": rosa.csrf}
    body = f"csrf={rosa.csrf}".encode()
    for change in (
        {"origin": ""},
        {"origin": "null"},
        {"origin": "http://localhost:8081"},
        {"origin": "https://localhost:8080"},
        {"origin": "http://localhost:8080.evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"x_csrf": "", "body": "csrf="},
        {"x_csrf": "A" * 43, "body": "csrf=" + "A" * 43},
        {"x_csrf": Browser(house).get("/sign-in") and "é", "body": "csrf=%C3%A9"},
    ):
        sent = change.pop("body", "").encode() or body
        answer = rosa.send("POST", path, sent, **{**good, **change})
        assert answer.status == 403, (change, answer.status)
    assert rosa.send("POST", path, body, **{**good, "content_type": "text/plain"}).status == 400
    assert house.registry.dump() == before


def test_a_token_of_one_person_is_none_of_another(house):
    rosa, chen = Browser(house).enrol(ROSA), Browser(house).enrol(CHEN)
    rosa.csrf = chen.csrf
    assert rosa.post("/sign-out").status == 403


@pytest.mark.parametrize("place", sorted(ROUTES), ids=lambda one: " ".join(one))
def test_every_page_demands_what_the_table_says(house, place):
    (method, path), demand = place, DEMANDS[place]
    visitors = {
        "nobody": Browser(house),
        "session": Browser(house).enrol(ROSA),
        "clinician": Browser(house).enrol(CHEN),
        "administrator": Browser(house).enrol(ADA),
    }
    for kind, browser in visitors.items():
        is_json = ROUTES[place].is_json
        browser.get("/sign-in")
        answer = browser.get(path) if method == "GET" else (browser.ask if is_json else browser.post)(path)
        is_let_in = demand == "nobody" or demand == kind or (demand == "session" and kind != "nobody")
        if not is_let_in:
            location = headers_of(answer).get(b"location")
            assert answer.status in (401, 403) or location == "/sign-in", (kind, answer.status)
        elif method == "GET":
            goes_on = path == "/welcome" and headers_of(answer)[b"location"] == "/app"
            assert answer.status == 200 or goes_on, (kind, answer.status, browser.text)


def test_cookies_are_out_of_reach_of_scripts_and_other_sites():
    house = House(RelyingParty("https://clinic.example"))
    rosa = Browser(house, device=Authenticator(origin="https://clinic.example"))
    first = rosa.get("/sign-in")
    rosa.enrol(ROSA)
    assert set(rosa.cookies) == {"__Host-careledger"}
    rosa.post("/sign-out")
    lines = [value for name, value in (*first.headers, *rosa.sign_in().headers) if name == b"set-cookie"]
    assert lines
    for line in lines:
        text = line.decode()
        assert text.startswith("__Host-careledger")
        assert "; Path=/; HttpOnly; SameSite=" in text
        assert "; Secure" in text
        assert "Domain" not in text


def test_a_session_ends_when_nobody_uses_it_and_never_lasts_longer_than_its_day(house):
    rosa = Browser(house).enrol(ROSA)
    house.registry.now_ms += IDLE_MS["patient"] - 1
    assert rosa.get("/me").status == 200
    house.registry.now_ms += IDLE_MS["patient"]
    assert rosa.get("/me").status == 303
    rosa.sign_in()
    start = house.registry.now_ms
    while house.registry.now_ms < start + ABSOLUTE_MS:
        assert rosa.get("/me").status == 200
        house.registry.now_ms += 1_200_000
    assert rosa.get("/me").status == 303


def test_sensitive_acts_want_the_passkey_again(house):
    rosa, chen = Browser(house).enrol(ROSA), Browser(house).enrol(CHEN)
    house.registry.now_ms += STEP_UP_MS
    acts = [
        lambda: rosa.post("/kit"),
        lambda: rosa.post("/me/guardian", guardian=""),
        lambda: rosa.post("/me/passkeys/remove", passkey="AAAA"),
        lambda: rosa.ask("/me/passkeys/options"),
        lambda: rosa.post("/me/wards/approve", ward="x"),
    ]
    assert [act().status for act in acts] == [403] * len(acts)
    rosa.device, hers = chen.device, rosa.device
    assert rosa.step_up().status == 401  # a passkey of somebody else
    rosa.device = hers
    assert rosa.step_up().status == 200
    assert rosa.post("/kit").status == 200


def test_the_page_says_for_how_long_no_new_verification_is_asked_for(house):
    rosa = Browser(house).enrol(ROSA)
    told = []
    for _ in range(4):
        rosa.get("/me")
        told.append(int(re.search(r'data-fresh="(\d+)"', rosa.text)[1]))
        house.registry.now_ms += 120_000
    assert told == [300, 180, 60, 0]
    assert 'data-fresh="0"' in Browser(house).get("/sign-in").body.decode()


def test_my_page_ends_sessions_passkeys_and_apps(house):
    rosa = Browser(house).enrol(ROSA)
    phone = Browser(house, device=rosa.device)
    phone.sign_in()
    rosa.get("/me")
    assert len(re.findall('name="session"', rosa.text)) == 2
    rosa.post("/me/sessions/end-others")
    assert phone.get("/me").status == 303
    assert rosa.get("/me").status == 200
    old = re.search(r'name="passkey" value="([^"]+)"', rosa.text)[1]
    assert rosa.post("/me/passkeys/remove", passkey=old).status == 400  # the only one
    assert rosa.ceremony("create", "/me/passkeys/options", "/me/passkeys/answer").status == 200, rosa.text
    assert rosa.post("/me/passkeys/remove", passkey=old).status == 303
    assert rosa.get("/me").status == 303  # this session came from that passkey
    rosa.sign_in()
    me = id_of(house, "Rosa Quiroga")
    run(
        house.registry.change(
            *put_grant(house.registry, some_grant(me)), *put_grant(house.registry, some_grant("x", "g2"))
        )
    )
    rosa.get("/me")
    assert "See your vaccinations" in rosa.text
    assert rosa.post("/me/apps/end", grant="g2").status == 404
    assert rosa.post("/me/apps/end", grant="g1").status == 303
    assert house.revoked == ["g1"]


def some_grant(account, id="g1"):
    return Grant(
        id=id, client="c1", account=account, scope="openid patient/Immunization.rs", context={}, created_ms=NOW,
        used_ms=NOW, expires_ms=NOW + 10**12, is_offline=True,
    )  # fmt: skip


# Administrators


def test_the_desk_invites_disables_and_asks_for_a_second_person(house):
    ada, bela = Browser(house).enrol(ADA), Browser(house).enrol(BELA)
    ada.get("/desk")
    ada.post("/desk/invite", kind="administrator", name="Eve Marsh", duty=["keys", "users"])
    assert "Eve Marsh" in ada.text
    assert "shown-code" not in ada.text
    assert (
        ada.post(
            "/desk/requests/approve", request=re.search(r'name="request" value="([^"]+)"', ada.text)[1]
        ).status
        == 403
    )
    bela.get("/desk")
    bela.post("/desk/requests/approve", request=re.search(r'name="request" value="([^"]+)"', bela.text)[1])
    eve = Browser(house)
    eve.get("/enrol")
    assert eve.post("/enrol", code=bela.shown_code()).status == 200
    number = bela.account_id()
    assert ada.post("/desk/accounts/disable", account=number).status == 303
    assert bela.get("/me").status == 303
    assert ("disabled", number, ada.account_id()) in house.reports


def test_dangerous_acts_of_the_node_are_done_when_a_second_person_approves(house):
    ada = Browser(house).enrol(ADA)
    cleo = Browser(house).enrol(person("Cleo Park", "administrator", duties=("keys",)))
    ada.get("/desk")
    ada.post("/desk/requests", act="rotate-keys", subject="node", reason="yearly")
    assert house.performed == []
    cleo.get("/desk")
    key = re.search(r'name="request" value="([^"]+)"', cleo.text)[1]
    assert cleo.post("/desk/requests/approve", request=key).status == 200
    assert house.performed == [("rotate-keys", "node")]
    assert cleo.post("/desk/requests/approve", request=key).status == 404
    for act in ("invite-administrator", "shred", "disable-account", "invented"):
        assert ada.post("/desk/requests", act=act, subject="keys:Eve", reason="why").status == 400
    ada.get("/desk")
    assert "Eve" not in ada.text
    assert cleo.post("/desk/invite", kind="patient", name="X", record="p9").status == 403


def test_an_app_is_launched_with_an_opaque_value(house):
    chen = Browser(house).enrol(CHEN)
    client = Client(
        id="c1", name="Growth", method="none", scope="launch", launch_uri="https://app.example/launch?a=1"
    )
    run(add_client(house.registry, client))
    policy = headers_of(chen.get("/launcher"))[b"content-security-policy"]
    assert (
        "form-action 'self' https://app.example;" in policy
    )  # browsers apply it to where the form's answer leads
    answer = chen.post(
        "/launcher", client="c1", patient="patient-of-the-launch", encounter="", intent="reconcile"
    )
    location = headers_of(answer)[b"location"]
    assert location.startswith(
        "https://app.example/launch?a=1&iss=http%3A%2F%2Flocalhost%3A8080%2Ffhir&launch="
    )
    assert "patient-of" not in location.partition("launch=")[2]
    [kept] = LAUNCHES.list(house.registry)
    assert kept.value.context == {
        "patient": "patient-of-the-launch",
        "intent": "reconcile",
        "need_patient_banner": "true",
    }
    assert chen.post("/launcher", client="c2", patient="p1").status == 400


def test_an_app_is_launched_from_the_open_chart(house):
    chen, rosa = Browser(house).enrol(CHEN), Browser(house).enrol(ROSA)
    for id, name, more in (("c1", "Growth", {}), ("c2", "Off", {"is_disabled": True})):
        client = Client(
            id=id, name=name, method="none", scope="launch", launch_uri="https://app.example/l", **more
        )
        run(add_client(house.registry, client))
    apps = json.loads(chen.get("/launcher/apps").body)["apps"]
    assert apps == [{"id": "c1", "name": "Growth", "host": "app.example"}]
    url = json.loads(chen.ask("/launcher/open", b'{"client":"c1","patient":"p1"}').body)["url"]
    assert url.startswith("https://app.example/l?iss=")
    assert "p1" not in url.partition("launch=")[2]
    [kept] = LAUNCHES.list(house.registry)
    assert kept.value.context == {"patient": "p1", "need_patient_banner": "true"}
    for bad in (b'{"client":"c2","patient":"p1"}', b'{"client":"c1","patient":"p 1"}', b"{}", b"[", b"\xff"):
        assert chen.ask("/launcher/open", bad).status == 400
    assert (
        chen.send("POST", "/launcher/open", b"{}", content_type="application/json", x_csrf="").status == 403
    )
    assert rosa.get("/launcher/apps").status == rosa.ask("/launcher/open").status == 403


def test_what_is_reported_reaches_the_log_whole():
    stream = io.StringIO()
    log.configure(stream=stream)
    try:
        note("passkey-refused", "count-rolled-back")
    finally:
        structlog.reset_defaults()
    line = json.loads(stream.getvalue())
    assert (line["event"], line["code"], line["reason"]) == (
        "sign-in",
        "passkey-refused",
        "count-rolled-back",
    )
    assert "dropped" not in line


# The pages themselves


def test_the_consent_page_shows_the_lines_of_its_text_and_lets_the_program_be_reached(house):
    request = SmartRequest("GET", "/", (), {}, b"", "192.0.2.1")
    visit = read_visit(request, house.registry, house.people.party, NOW)
    view = ConsentView(
        ticket="T" * 43, client="<b>Growth</b>", redirect_host="app.example",
        words=("openid", "offline_access", "patient/Observation.rs"), kind="patient", person="Rosa Quiroga",
    )  # fmt: skip
    page = consent(visit, view, "https://app.example/cb?x=1", action="/oauth/consent")
    text = page.body.decode()
    assert "form-action 'self' https://app.example;" in headers_of(page)[b"content-security-policy"]
    assert "<b>Growth" not in text
    lines = re.findall(r"data-line>([^<]+)<", text)
    answer = read_consent(
        view,
        Form({
            "shown": (compute_view_digest(view).hex(),), "allow": ("yes",), "days": ("7",),
            "kept": ("offline_access", "patient/Observation.rs"),
        }),
    )  # fmt: skip
    shown = [html.unescape(line) for line in lines]
    assert answer.text.split("\n") == [*shown, "For 7 days"]


def test_patients_are_searched_and_chosen_without_an_address(house):
    visit = read_visit(SmartRequest("GET", "/", (), {}, b"", "x"), house.registry, house.people.party, NOW)
    rows = [PatientRow("p1", "Rosa Quiroga", "1980-02-01")]
    page = choose_patient(
        visit, "T" * 43, rows, search_action="/oauth/patients", choose_action="/oauth/patient"
    )
    text = page.body.decode()
    assert text.count('method="post"') == 3  # language, search, choose
    assert 'href="/oauth' not in text
    assert "Rosa" not in re.search(r"<title>(.*)</title>", text)[1]


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_page_is_safe_and_legible(house, language):
    rosa, chen, ada = (Browser(house) for _ in range(3))
    for browser, who in ((rosa, ROSA), (chen, CHEN), (ada, ADA)):
        browser.headers[b"accept-language"] = f"fr;q=0.9, {language}-MX, en".encode()
        browser.enrol(who)
    stranger = Browser(house, headers={b"accept-language": language.encode()})
    pages = [(stranger, "/sign-in"), (stranger, "/enrol"), (stranger, "/recover"), (rosa, "/me"), (rosa, "/kit"),
             (chen, "/launcher"), (ada, "/desk")]  # fmt: skip
    for browser, path in pages:
        answer = browser.get(path)
        text, headers = browser.text, headers_of(answer)
        assert headers[b"content-security-policy"] == POLICY.format(form_action="'self'")
        assert "unsafe" not in headers[b"content-security-policy"]
        assert headers[b"referrer-policy"] == "same-origin"
        assert headers[b"x-frame-options"] == "DENY"
        assert f'<html lang="{language}">' in text
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=|javascript:", text)
        assert not re.search(r"https?://", text)
        assert text.count("<h1>") == 1
        assert "Rosa" not in re.search(r"<title>(.*)</title>", text)[1]
        fields = re.findall(r'<(?:input|select) (?![^>]*type="hidden")[^>]*id="([^"]+)"', text)
        assert len(fields) == len(re.findall(r'<(?:input|select) (?![^>]*type="hidden")', text))
        assert all(f'<label for="{one}"' in text for one in fields)


def test_the_language_can_be_chosen(house):
    browser = Browser(house)
    browser.get("/sign-in")
    browser.post("/language", language="es")
    browser.get("/sign-in")
    assert WORDS["sign-in"][1] in browser.text
    browser.post("/language", language="xx")
    assert browser.cookies["careledger-language"] == "es"


def test_every_word_has_two_languages_and_a_page_that_says_it():
    said = "".join(path.read_text("utf-8") for path in PAGES.glob("*.html"))
    code = "".join(path.read_text("utf-8") for path in PAGES.parent.glob("*.py"))
    for key, pair in WORDS.items():
        assert all(pair), key
        is_made = key.startswith(("error.", "kind.", "act.", "event.", "desk.duty."))
        assert is_made or f"'{key}'" in said or f'"{key}"' in code.replace(f'"{key}": (', ""), key


def test_long_and_repeated_fields_are_refused(house):
    browser = Browser(house)
    browser.get("/enrol")
    assert browser.post("/enrol", code="x" * (FIELD_MAX + 1)).status == 400
    assert browser.post("/enrol", code=["a", "b"]).status == 400
    assert browser.post("/enrol", **{f"f{number}": "x" for number in range(FIELDS_MAX)}).status == 400
    assert SESSIONS.list(house.registry) == []


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_the_contrast_that_people_need_in_light_and_dark():
    """WCAG 2.2: 4.5 : 1 for text, 3 : 1 for the borders of fields."""
    style = (UI / "src" / "pages" / "people.css").read_text("utf-8")
    schemes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{[^}]+\}", style)
    ]
    assert len(schemes) == 2
    for colours in schemes:
        for front, back, least in (
            ("ink", "paper", 7), ("soft", "paper", 4.5), ("main", "paper", 4.5), ("on-main", "main", 4.5),
            ("warn", "warn-tint", 4.5), ("ink", "tint", 7), ("soft", "tint", 4.5), ("line", "paper", 3),
        ):  # fmt: skip
            light, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= least, (front, back)


def test_the_tools_of_the_pages_are_pinned_by_hash_and_name_no_registry():
    lock = json.loads((UI / "package-lock.json").read_text("utf-8"))
    packages = [found for name, found in lock["packages"].items() if name]
    assert packages
    assert all(found["integrity"].startswith("sha512-") and "resolved" not in found for found in packages)
    told = [{name: text for name, text in found.items() if name != "funding"} for found in packages]
    assert "://" not in json.dumps(told)
