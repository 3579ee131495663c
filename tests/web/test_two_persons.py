"""Accounts that open a record are made by two persons, and whose record it is can see by whom (SECURITY.md, duties)."""

from __future__ import annotations

import re

import pytest

from careledger.smart.accounts import list_accounts
from careledger.smart.invitations import list_invitations
from careledger.smart.tables import base64url
from careledger.web.smart.people import ROUTES
from tests.web.people_support import ADA, BELA, ROSA, Browser, House

FORMS = {
    "patient": {"name": "Rosa Quiroga", "record": "p1"},
    "clinician": {"name": "Mei Chen", "record": "d1", "roles": "physician"},
    "administrator": {"name": "Eve Marsh", "duty": ["keys", "users"]},
}


@pytest.fixture
def house():
    return House()


def request_of(browser):
    browser.get("/desk")
    found = re.search(r'name="request" value="([^"]+)"', browser.text)
    return found[1] if found else "AAAA"


@pytest.mark.parametrize("kind", FORMS)
def test_an_invitation_is_asked_for_by_one_and_its_code_seen_by_the_other(house, kind):
    ada, bela = Browser(house).enrol(ADA), Browser(house).enrol(BELA)
    ada.get("/desk")
    assert ada.post("/desk/invite", kind=kind, **FORMS[kind]).status == 200
    assert "shown-code" not in ada.text and list_invitations(house.registry) == []
    assert ada.post("/desk/requests/approve", request=request_of(ada)).status == 403
    bela.get("/desk")
    assert FORMS[kind]["name"] in bela.text
    bela.post("/desk/requests/approve", request=request_of(bela), kind="patient", name="Other", record="p2")
    code = bela.shown_code()
    ada.get("/desk")
    assert code not in ada.text
    person = Browser(house)
    person.get("/enrol")
    assert person.post("/enrol", code=code).status == 200
    assert person.ceremony("create", "/passkey/options", "/passkey/answer").status == 200
    person.get("/me")
    assert "by an invitation of Ada Obi, approved by Bela Novak" in person.text
    made = next(one for one in list_accounts(house.registry) if one.name == FORMS[kind]["name"])
    assert (made.kind, made.invited_by, made.approved_by) == (kind, ada.account_id(), bela.account_id())
    says = [one for one in house.events if one.patient]
    expected = [] if kind != "patient" else [("enrolled", "p1")]
    assert [(one.what, one.patient) for one in says] == expected
    assert all("Ada Obi, approved by Bela Novak" in one.told for one in says)


def test_whoever_is_alone_still_invites_and_it_is_told(house):
    ada = Browser(house).enrol(ADA)
    ada.get("/desk")
    ada.post("/desk/invite", kind="patient", **FORMS["patient"])
    rosa = Browser(house)
    rosa.get("/enrol")
    rosa.post("/enrol", code=ada.shown_code())
    rosa.ceremony("create", "/passkey/options", "/passkey/answer")
    assert "by an invitation of Ada Obi alone" in house.events[-2].told
    assert house.events[-2].patient == "p1"


def test_whoever_was_invited_by_the_operator_reads_so(house):
    rosa = Browser(house).enrol(ROSA)
    assert "by an invitation of the organisation." in rosa.text
    assert "organisation's operator" in next(one.told for one in house.events if one.patient)


ENTRY_OF = {
    "/desk/invite": "requested", "/desk/invitations/withdraw": "withdrawn", "/desk/accounts/disable": "disabled",
    "/desk/accounts/enable": "enabled", "/desk/requests": "requested", "/desk/requests/approve": "approved",
    "/desk/requests/refuse": "declined",
}  # fmt: skip


def test_every_form_of_the_desk_leaves_its_entry(house):
    ada, bela, rosa = (Browser(house).enrol(one) for one in (ADA, BELA, ROSA))
    invited = {"kind": "patient", "name": "Ben Ortiz", "record": "p7"}
    entered, number = {}, rosa.account_id()

    def post(browser, path, **fields):
        before = len(house.events)
        browser.get("/desk")
        assert browser.post(path, **fields).status in (200, 303), (path, browser.text)
        new = house.events[before:]
        assert {one.account for one in new} == {browser.account_id()}
        entered[path] = new[-1].what

    post(ada, "/desk/invite", **invited)
    post(bela, "/desk/requests/approve", request=request_of(bela))
    [invitation] = [key for key, _ in list_invitations(house.registry)]
    post(ada, "/desk/invitations/withdraw", invitation=base64url(invitation))
    post(ada, "/desk/invite", **invited)
    post(bela, "/desk/requests/refuse", request=request_of(bela))
    post(ada, "/desk/requests", act="rotate-keys", subject="ES256", reason="yearly")
    post(ada, "/desk/accounts/disable", account=number)
    post(ada, "/desk/accounts/enable", account=number)
    assert entered == ENTRY_OF
    asked = {
        path for (method, path), one in ROUTES.items() if (method, one.demand) == ("POST", "administrator")
    }
    assert asked == set(ENTRY_OF)
