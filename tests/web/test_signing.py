"""Signing on the ledger from the page, over a real node: what is shown is what is signed, by one gesture, and nothing else is."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from careledger.contracts.standing import SIGNED
from careledger.ledger.execution import Overlay
from careledger.ledger.store.lmdb import LmdbKV
from careledger.primitives.errors import Conflict
from careledger.primitives.types import parse_did
from careledger.smart.accounts import ACCOUNTS, account_key, get_account
from careledger.smart.signing import KEPT_MS, SIGNINGS, TEXT_CHARACTERS_MAX
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.people import routes
from tests.faults.rig import Node, new_home, node_of
from tests.smart.authenticator import ES256, ML_DSA_44, ML_DSA_65, UP, Authenticator, Forgery
from tests.smart.people_support import run
from tests.web.people_support import Browser, House, person

TEXT = "Rosa Quiroga may be vaccinated.\nNo hay contraindicación <b>."


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_of(new_home(tmp_path_factory.mktemp("signing") / "home")) as found:
        yield found


@pytest.fixture
def house(node: Node) -> House:
    async def call(name: str, params: dict[str, Any]) -> dict[str, Any]:
        asked = node.service.command(name, params, lambda _step: None)
        return await asyncio.to_thread(node.run, asked)

    found = House()
    found.people = replace(found.people, call=call)
    found.routes = routes(found.people)
    return found


def clinician(house: House, *algorithms: int, did: str = "") -> Browser:
    browser = Browser(house, device=Authenticator(algorithms=algorithms or (ES256,)))
    return browser.enrol(person("Mei Chen", "clinician", "d1", did=did))


def gesture(browser: Browser, **forge: Any) -> SmartAnswer:
    return browser.ceremony("get", "/sign/options", "/sign/answer", Forgery(**forge))


def choose(browser: Browser) -> SmartAnswer:
    browser.get("/sign")
    chosen = re.search(r'name="passkey" value="([^"]+)"', browser.text)
    assert chosen, browser.text
    return browser.post("/sign/key", passkey=chosen[1])


def enrolled(browser: Browser) -> Browser:
    assert choose(browser).status == 200, browser.text
    assert gesture(browser).status == 200
    browser.get("/sign")
    return browser


def sequence(node: Node) -> int:
    return int(node.command("practitioner.prepare")["sequence"])


def document(answer: SmartAnswer) -> str:
    found = re.search(r'<pre class="document">(.*?)</pre>', answer.body.decode(), re.DOTALL)
    assert found, answer.body
    return html.unescape(found[1])


def did_of(browser: Browser) -> str:
    found = get_account(browser.house.registry, browser.account_id())
    assert found is not None
    return found.value.did


def signed_at(node: Node, did: str, statement: str) -> int:
    """The block in which the practitioner signed the statement, 0 for none."""
    home = node.service.context.home
    with home.tables.env.begin() as txn:
        state = Overlay(home.the_ledger.reader(LmdbKV(txn, home.tables.ledger)))
        kept = SIGNED.get(state, (parse_did(did), bytes.fromhex(statement)))
    return 0 if kept is None else kept.height


@pytest.mark.parametrize("algorithm", [ES256, ML_DSA_65], ids=["es256", "ml-dsa-65"])
def test_what_is_shown_is_what_the_ledger_has_under_her_key(house: House, node: Node, algorithm: int) -> None:
    mei = enrolled(clinician(house, algorithm))
    did = did_of(mei)
    (row,) = [one for one in node.command("practitioner.list")["practitioners"] if one["did"] == did]
    assert (row["standing"], row["roles"]) == ("active", [])
    mei.get("/sign")
    shown = document(mei.post("/sign", text=TEXT.replace("\n", "\r\n")))
    assert shown.startswith(f"{TEXT}\n\nsalt: ")
    statement = hashlib.sha256(shown.encode()).hexdigest()
    assert statement in mei.text and did in mei.text
    assert gesture(mei).status == 200
    assert document(mei.get("/sign")) == shown
    height = signed_at(node, did, statement)
    assert height and f"block {height}." in mei.text
    assert house.events[-1].about == statement and "Rosa" not in str(house.events[-1])
    mei.post("/sign/again")
    assert "Rosa" not in mei.get("/sign").body.decode()


def test_nothing_but_the_one_gesture_for_what_was_shown_reaches_the_ledger(house: House, node: Node) -> None:
    mei = enrolled(clinician(house))
    mine = mei.device.credentials[-1]
    mei.get("/me")
    assert mei.ceremony("create", "/me/passkeys/options", "/me/passkeys/answer").status == 200
    other = mei.device.credentials.pop()
    mei.get("/sign")
    mei.post("/sign", text=TEXT)
    before = sequence(node)
    for forge in (
        {"flags": UP},
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"type": "webauthn.create"},
        {"signature": b"no"},
        {"challenge": "A" * 43},
        {"id": other.id},
        {"client": {"crossOrigin": True}},
    ):
        assert gesture(mei, **forge).status == 401, forge
    options = json.loads(mei.ask("/sign/options").body)["options"]
    assert mei.ask("/sign/answer", mei.device.get(options, key=other)).status == 401
    stale = mei.device.get(json.loads(mei.ask("/sign/options").body)["options"])
    mei.get("/sign")
    mei.post("/sign", text="Something else.")
    assert mei.ask("/sign/answer", stale).status == 404, "another text waits, composed for nothing yet"
    mei.ask("/sign/options")
    assert mei.ask("/sign/answer", stale).status == 401
    elsewhere = Browser(house, device=mei.device)
    elsewhere.sign_in()
    elsewhere.get("/sign")
    assert elsewhere.ask("/sign/options").status == 404
    answered = mei.device.get(json.loads(mei.ask("/sign/options").body)["options"], key=mine)
    for _ in range(2):
        house.registry.now_ms += KEPT_MS // 2
        mei.get("/me")
    assert mei.ask("/sign/answer", answered).status == 404
    assert sequence(node) == before


def test_a_gesture_that_the_ledger_did_not_take_is_used_up(house: House, node: Node) -> None:
    mei = enrolled(clinician(house))
    mei.get("/sign")
    mei.post("/sign", text=TEXT)
    answered = mei.device.get(json.loads(mei.ask("/sign/options").body)["options"])
    working, before = house.people, sequence(node)

    async def moved(name: str, params: dict[str, Any]) -> dict[str, Any]:
        raise Conflict("another transaction took this sequence", code="sequence-moved")

    house.routes = routes(replace(working, call=moved))
    assert mei.ask("/sign/answer", answered).status == 409
    house.routes = routes(working)
    assert mei.ask("/sign/answer", answered).status == 404
    assert gesture(mei).status == 200, "another one signs what still waits"
    assert sequence(node) == before + 1


def test_a_gesture_serves_once(house: House, node: Node) -> None:
    mei = enrolled(clinician(house))
    mei.get("/sign")
    mei.post("/sign", text=TEXT)
    answered = mei.device.get(json.loads(mei.ask("/sign/options").body)["options"])
    before = sequence(node)
    assert [mei.ask("/sign/answer", answered).status for _ in range(3)] == [200, 404, 404]
    assert sequence(node) == before + 1


def test_whoever_has_a_did_gives_it_another_key_and_keeps_it(house: House, node: Node) -> None:
    former = enrolled(clinician(house))
    did = did_of(former)
    assert former.ceremony("create", "/me/passkeys/options", "/me/passkeys/answer").status == 200
    former.get("/sign")
    old = former.device.credentials.pop(0)
    house_two = House()
    house_two.people = replace(house_two.people, call=house.people.call)
    house_two.routes = routes(house_two.people)
    mei = clinician(house_two, did=did)
    assert "Another key signs for you" in mei.get("/sign").body.decode()
    mei.post("/sign", text=TEXT)
    assert "not on the ledger yet" in mei.text
    enrolled(mei)
    assert did_of(mei) == did
    mei.get("/sign")
    mei.post("/sign", text=TEXT)
    assert gesture(mei).status == 200
    former.device.credentials.append(old)
    assert "Another key signs for you" in former.get("/sign").body.decode()


def test_an_answer_that_was_lost_registers_nobody_twice(house: House, node: Node) -> None:
    mei = enrolled(clinician(house))
    did, id = did_of(mei), mei.account_id()
    found = ACCOUNTS.get(house.registry, account_key(id))
    assert found is not None
    run(house.registry.change(ACCOUNTS.renew(found, person("Mei Chen", "clinician", "d1", id=id))))
    before = sequence(node)
    assert choose(mei).status == 303
    assert (did_of(mei), sequence(node)) == (did, before)


def test_what_the_ledger_does_not_take_is_not_offered(house: House) -> None:
    mei = clinician(house, ML_DSA_44)
    mei.get("/sign")
    assert "None of your passkeys can sign" in mei.text
    id = re.search(r'name="passkey" value="([^"]+)"', mei.get("/me").body.decode())
    assert id is not None
    assert mei.post("/sign/key", passkey=id[1]).status == 400
    assert SIGNINGS.list(house.registry) == []


@pytest.mark.parametrize(
    "text", ["", " \n ", "x" * (TEXT_CHARACTERS_MAX + 1), "a\x00b", "a\u202eb", "a\u200bb"]
)
def test_a_statement_is_what_can_be_seen(house: House, text: str) -> None:
    mei = clinician(house)
    mei.get("/sign")
    assert mei.post("/sign", text=text).status == 400
