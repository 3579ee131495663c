"""The node's own application: there from the start, asks for no consent, and nobody else passes for it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from careledger.smart import authorising
from careledger.smart.authorising import AskConsent, Redirect
from careledger.smart.clients import disable_client, find_client
from careledger.smart.errors import OAuthError
from careledger.smart.own import CALLBACK, OWN, is_own, keep_own, make_own
from careledger.smart.requests import RedirectedError
from tests.smart.flow_support import NOW_MS, House, run

URL = "https://clinic.example"
ASKED = {
    "client_id": OWN,
    "redirect_uri": URL + CALLBACK,
    "scope": "openid fhirUser online_access launch/patient patient/*.crus",
    "prompt": "none",
}


@pytest.fixture
def house() -> House:
    house = House()
    run(keep_own(house.registry, URL, NOW_MS))
    return house


def test_whoever_is_signed_in_is_let_through_without_a_question(house):
    step = run(authorising.next_step(house.server, house.begin(**ASKED), house.ana))
    assert isinstance(step, Redirect)
    told = dict(parse_qsl(urlsplit(step.url).query))
    assert step.url.startswith(URL + CALLBACK + "?")
    issued = house.token(
        find_client(house.registry, OWN), grant_type="authorization_code", code=told["code"],
        redirect_uri=URL + CALLBACK, client_id=OWN, code_verifier="v" * 20 + "erifier-of-the-code-" + "x" * 20,
    )  # fmt: skip
    assert issued["patient"] == "ana"
    assert set(issued["scope"].split()) == set(ASKED["scope"].split())


def test_nobody_signed_in_gets_no_code(house):
    with pytest.raises(RedirectedError) as refused:
        run(authorising.next_step(house.server, house.begin(**ASKED), None))
    assert refused.value.error.error == "login_required"


def test_another_program_is_asked_about_whatever_it_says_of_itself(house):
    step = run(
        authorising.next_step(house.server, house.begin(scope="launch/patient patient/*.rs"), house.ana)
    )
    assert isinstance(step, AskConsent)
    claimed = house.client("none", "patient/*.rs", name="CareLedger", redirect_uris=(URL + CALLBACK,))
    assert not is_own(claimed)


def test_only_its_own_address_gets_the_code(house):
    for elsewhere in (
        "https://evil.example/app/callback",
        URL + "/app/callback/",
        URL + "/app",
        URL + CALLBACK + "?a=b",
    ):
        with pytest.raises(OAuthError):
            house.begin(**(ASKED | {"redirect_uri": elsewhere}))


def test_it_follows_the_nodes_address_and_stays_disabled(house):
    run(keep_own(house.registry, "https://moved.example", NOW_MS + 5))
    moved = find_client(house.registry, OWN)
    assert moved.redirect_uris == ("https://moved.example" + CALLBACK,)
    assert moved.created_ms == NOW_MS
    run(disable_client(house.registry, OWN))
    run(keep_own(house.registry, URL, NOW_MS))
    assert find_client(house.registry, OWN) is None


def test_it_may_have_no_more_than_people_may():
    assert "system/" not in make_own(URL, NOW_MS).scope
    assert "offline_access" not in make_own(URL, NOW_MS).scope


def test_only_it_may_say_that_it_is_an_emergency_and_no_other_purpose(house):
    asked = ASKED | {"scope": "openid fhirUser online_access user/*.cruds", "purpose_of_use": "ETREAT"}
    step = run(authorising.next_step(house.server, house.begin(**asked), house.doctor))
    issued = house.token(
        find_client(house.registry, OWN), grant_type="authorization_code",
        code=dict(parse_qsl(urlsplit(step.url).query))["code"], redirect_uri=URL + CALLBACK, client_id=OWN,
        code_verifier="v" * 20 + "erifier-of-the-code-" + "x" * 20,
    )  # fmt: skip
    assert house.actor(issued).purpose == "ETREAT"
    again = house.refresh(issued["refresh_token"], find_client(house.registry, OWN))
    assert house.actor(again).purpose == "ETREAT"
    foreign = house.allow(house.doctor, purpose_of_use="ETREAT", scope="openid offline_access user/*.rs")
    assert house.actor(house.redeem(foreign["code"])).purpose == "TREAT"
    with pytest.raises(RedirectedError):
        house.begin(**(asked | {"purpose_of_use": "HRESCH"}))


def test_an_administrators_token_says_who_they_are_and_reaches_no_record(house):
    asked = ASKED | {"scope": "openid fhirUser online_access"}
    step = run(authorising.next_step(house.server, house.begin(**asked), house.admin))
    told = dict(parse_qsl(urlsplit(step.url).query))
    issued = house.token(
        find_client(house.registry, OWN), grant_type="authorization_code", code=told["code"],
        redirect_uri=URL + CALLBACK, client_id=OWN, code_verifier="v" * 20 + "erifier-of-the-code-" + "x" * 20,
    )  # fmt: skip
    actor = house.actor(issued)
    assert actor.account == house.admin.account.id
    assert actor.scopes.scopes == ()
