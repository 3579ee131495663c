"""The pages in Chromium with a virtual authenticator: by invitation, out, in again; ML-DSA keys and PRF (F9, F10, F11).

Needs Debian's `chromium` (or CARELEDGER_CHROMIUM) and the built pages; without them it says so in a warning and is skipped.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

import msgspec
import pytest
import uvicorn
from playwright.sync_api import Page, Route, expect

from careledger.smart.passkeys import PASSKEYS, RelyingParty
from careledger.smart.sessions import SESSIONS, STEP_UP_MS
from careledger.web.smart.messages import SmartRequest
from careledger.web.target import parse_query
from tests.smart.authenticator import ES256, ML_DSA_65
from tests.smart.people_support import run
from tests.web.people_support import ADA, CHEN, ROSA, House

AUTHENTICATOR = {
    "protocol": "ctap2",
    "ctap2Version": "ctap2_1",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
    "hasPrf": True,
}
PHONE = {"width": 360, "height": 740}


def serve(house: House, sock: socket.socket) -> uvicorn.Server:
    """The pages alone, over HTTP, in a thread."""

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        method, path = scope["method"], unquote(scope["path"])
        handler = house.routes.get((method, path))
        if (
            path == "/app"
        ):  # the web application is elsewhere; whoever would be at home there sees their own page
            headers = [(b"location", b"/me")]
            await send({"type": "http.response.start", "status": 303, "headers": headers})
            await send({"type": "http.response.body"})
            return
        if handler is None:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body"})
            return
        query = parse_query(scope["query_string"])
        answer = await handler(SmartRequest(method, path, query, dict(scope["headers"]), body, "127.0.0.1"))
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    # Its own logging set-up would stay on in this process, past the node's log.
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True).start()
    return server


@pytest.fixture
def house() -> Iterator[House]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        house = House(RelyingParty(f"http://localhost:{sock.getsockname()[1]}", "Riverside"))
        server = serve(house, sock)
        yield house
        server.should_exit = True


def is_complaint(message) -> bool:
    """Errors and warnings, violations of the policy among them; but that we offer no RSA is meant."""
    return message.type in ("error", "warning") and "pubKeyCredParams is missing" not in message.text


@dataclass(frozen=True)
class Devtools:
    """A line to the browser, and the id of the authenticator that it simulates."""

    send: Callable[..., dict[str, str]]
    id: str


@contextmanager
def person_at(browser, house: House, complaints: list[str]) -> Iterator[tuple[Page, Devtools]]:
    """A phone of its own, with an authenticator; whatever the browser complains of is kept."""
    context = browser.new_context(viewport=PHONE, base_url=house.people.party.origin)
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda one: complaints.append(one.text) if is_complaint(one) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    made = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    yield page, Devtools(devtools.send, made["authenticatorId"])
    context.close()


def enrol(page: Page, house: House, account) -> str:
    """From the code of the invitation to the rehearsed recovery code."""
    page.goto("/enrol")
    page.get_by_label("Code of the invitation").fill(house.invite(account).lower())
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Make my passkey").click()
    page.get_by_role("button", name="Show me a new code").click()
    code = page.locator("#shown-code").inner_text()
    page.get_by_label("Your recovery code").fill(code)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("heading", name="My page").wait_for()
    return code


def test_by_invitation_out_and_in_again_with_a_post_quantum_passkey(browser, house):
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        enrol(page, house, ROSA)
        assert page.get_by_text("Rosa Quiroga").count() == 1
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
        assert SESSIONS.list(house.registry) == []
        page.get_by_role("button", name="Sign in with a passkey").click()
        page.get_by_role("heading", name="My page").wait_for()
        [passkey] = [one.value for one in PASSKEYS.list(house.registry)]
        assert (passkey.algorithm, passkey.prf, passkey.sign_count > 0) == (ML_DSA_65, True, True)
    assert complaints == [], complaints


def test_confirming_with_the_passkey_before_a_form_is_sent(browser, house):
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, devtools):
        enrol(page, house, ROSA)
        house.registry.now_ms += STEP_UP_MS
        page.get_by_role("link", name="Your recovery code").click()
        page.get_by_role("button", name="Show me a new code").click()  # asks the passkey, then posts
        page.locator("#shown-code").wait_for()
        house.registry.now_ms += STEP_UP_MS
        devtools.send("WebAuthn.setUserVerified", {"authenticatorId": devtools.id, "isUserVerified": False})
        page.goto("/kit")
        page.get_by_role("button", name="Show me a new code").click()
        page.get_by_text("That did not work. Nothing was changed.").wait_for()
        assert page.locator("#shown-code").count() == 0
    assert complaints == [], complaints


def test_what_a_device_copied_elsewhere_answers_is_refused_and_said_plainly(browser, house):
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        enrol(page, house, ROSA)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
        [found] = PASSKEYS.list(house.registry)
        ahead = msgspec.structs.replace(found.value, sign_count=1_000_000)
        run(house.registry.change(PASSKEYS.renew(found, ahead)))
        page.get_by_role("button", name="Sign in with a passkey").click()
        page.get_by_text("This passkey was not accepted.").wait_for()
    assert house.reports[-1][:2] == ("passkey-refused", "count-rolled-back")
    assert [one for one in complaints if "401" not in one] == []


def test_an_older_device_signs_in_with_es256(browser, house):
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, devtools):
        devtools.send("WebAuthn.disable")
        devtools.send("WebAuthn.enable")
        options = AUTHENTICATOR | {"protocol": "ctap2", "ctap2Version": "ctap2_0", "hasPrf": False}
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        page.route(
            "**/passkey/options",
            lambda route: route.fulfill(response=(found := route.fetch()), json=only_es256(found.json())),
        )
        enrol(page, house, CHEN)
        [passkey] = [one.value for one in PASSKEYS.list(house.registry)]
        assert (passkey.algorithm, passkey.prf) == (ES256, False)
    assert complaints == [], complaints


def test_a_button_is_off_until_the_script_is_there_that_answers_it(browser, house):
    """On a slow line the page is seen before its script runs: a press would be lost without a word."""
    complaints: list[str] = []
    held: list[Route] = []
    with person_at(browser, house, complaints) as (page, _):
        page.route("**/ui/people.js", lambda route: held.append(route))
        page.goto("/sign-in", wait_until="commit")
        button = page.get_by_role("button", name="Sign in with a passkey")
        expect(button).to_be_disabled()
        [waiting] = held
        waiting.continue_()
        expect(button).to_be_enabled()
    assert complaints == [], complaints


PROBES = {
    "markup as text": "() => { document.body.innerHTML = '<b>x</b>'; }",
    "a script by text": "() => { const one = document.createElement('script'); one.text = 'self.was = 1'; }",
    "a script from elsewhere": "() => { const one = document.createElement('script'); one.src = 'https://evil.example'; }",
    "code by text": "() => { setTimeout('self.was = 1', 0); }",
    "a policy of one's own": "() => { trustedTypes.createPolicy('mine', {}); }",
}


def test_what_gets_into_a_page_does_nothing(browser, house):
    """Trusted Types and the policy: markup, scripts, frames (fault catalogue F11)."""
    with person_at(browser, house, []) as (page, _):
        page.goto("/sign-in")
        for name, probe in PROBES.items():
            tried = page.evaluate(
                f"() => {{ try {{ ({probe})(); return 'done'; }} catch {{ return 'refused'; }} }}"
            )
            assert tried == "refused", name
        assert (
            page.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
            == "refused"
        )
        origin = house.people.party.origin
        other = page.context.new_page()
        other.set_content(f'<iframe src="{origin}/sign-in"></iframe>')
        other.wait_for_timeout(500)
        framed = [one for one in other.frames if one is not other.main_frame]
        assert [one.get_by_role("heading", name="Sign in").count() for one in framed] in ([], [0])
        assert page.context.cookies() != []
        assert page.evaluate("() => document.cookie") == ""


def test_the_link_of_an_invitation_types_its_code_and_forgets_it(browser, house):
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        code = house.invite(ADA)
        page.goto(f"/enrol#{code}")
        assert page.get_by_label("Code of the invitation").input_value() == code
        assert page.url.endswith("/enrol")
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("Ada Obi").wait_for()
    assert complaints == [], complaints


def only_es256(told):
    told["options"]["pubKeyCredParams"] = [{"type": "public-key", "alg": ES256}]
    return told


def test_pages_fit_a_phone_in_both_colours_and_by_keyboard(browser, house):
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        enrol(page, house, ADA)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for path in ("/desk", "/me", "/kit"):
                page.goto(path)
                assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"], path
                page.keyboard.press("Tab")
                assert page.evaluate("() => document.activeElement.className") == "skip"
                outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
                assert outline == "solid"
        page.get_by_role("button", name="Español").click()
        page.get_by_role("heading", name="Mi página").wait_for()
    assert complaints == [], complaints
