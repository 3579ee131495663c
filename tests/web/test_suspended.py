"""Whom the ledger does not have as active: no page opens, no sign-in either; only the way out does (issue 6)."""

from __future__ import annotations

import pytest

from careledger.smart.sessions import SESSIONS
from careledger.web.smart.people import ROUTES
from careledger.web.smart.words import WORDS
from tests.web.people_support import ROSA, Browser, House, person

DID = "did:careledger:" + "c" * 64
MEI = person("Mei Chen", "clinician", "d1", did=DID)
LUIS = person("Luis Ortega", "clinician", "d2", did=DID.replace("c", "d"))
STATUSES = {
    "suspended": "practitioner-suspended",
    "lapsed": "practitioner-lapsed",
    "deactivated": "practitioner-not-active",
    "unknown": "practitioner-not-active",
}


@pytest.fixture
def house():
    return House()


@pytest.mark.parametrize("status", STATUSES)
def test_every_page_of_a_practitioner_who_may_not_act_says_so_and_nothing_else(house, status):
    mei = Browser(house).enrol(MEI)
    house.standings[DID] = status
    said = WORDS[f"error.{STATUSES[status]}"][0]
    for (method, path), route in ROUTES.items():
        if route.is_exit or route.demand == "administrator":
            continue
        send = mei.get if method == "GET" else mei.ask if route.is_json else mei.post
        assert send(path).status == 403, path
        assert said in mei.text, path
        assert "Mei Chen" not in mei.text and "/launcher" not in mei.text, path
    assert 'action="/sign-out"' in mei.get("/me").body.decode()
    assert mei.post("/sign-out").status == 303
    assert mei.get("/sign-in").status == 200


def test_a_suspended_practitioner_is_not_signed_in_and_the_log_knows(house):
    mei = Browser(house).enrol(MEI)
    mei.post("/sign-out")
    house.standings[DID] = "suspended"
    answer = mei.sign_in()
    assert answer.status == 403 and b"practitioner-suspended" in answer.body
    assert "careledger" not in mei.cookies and SESSIONS.list(house.registry) == []
    assert house.reports[-1][:2] == ("sign-in-refused", "practitioner-suspended")
    house.standings.clear()
    assert mei.sign_in().status == 200


def test_a_session_goes_on_when_she_is_reinstated_and_idles_meanwhile(house):
    mei, others = Browser(house).enrol(MEI), [Browser(house).enrol(LUIS), Browser(house).enrol(ROSA)]
    seen = max(one.value.seen_ms for one in SESSIONS.list(house.registry))
    house.standings[DID] = "suspended"
    house.registry.now_ms += 120_000
    assert mei.get("/me").status == 403
    assert {one.value.seen_ms for one in SESSIONS.list(house.registry)} == {seen}
    assert [one.get("/me").status for one in others] == [200, 200]
    house.standings.clear()
    assert mei.get("/me").status == 200
