"""A patient makes her passkey the key that decides in her chart, on her own page; and signs what she allows an app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from careledger.access.staff import make_assertion
from careledger.ledger.controllers import compute_enrolment
from careledger.ledger.kernel import WEBAUTHN_ES256, WEBAUTHN_ML_DSA
from careledger.smart.accounts import Account
from careledger.smart.passkeys import PASSKEYS
from careledger.web.smart.people import routes
from tests.faults.rig import Node, new_home, node_of, patient
from tests.smart.authenticator import ES256, HONEST, UP, Authenticator, Forgery, b64, un64
from tests.smart.people_support import run
from tests.web.people_support import CHEN, ROSA, Browser, House, person

OTHER = person("Olga Other", "patient", "p2")


class Scene:
    """The house of a real node; Rosa is enrolled, with a telephone in her hand."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.house = House()

        async def call(method: str, params: dict[str, Any]) -> dict[str, Any]:
            return await asyncio.to_thread(lambda: node.command(method, **params))

        self.house.people = replace(self.house.people, call=call)
        self.house.routes = routes(self.house.people)
        self.rosa = self.person(ROSA)

    def person(self, account: Account, *algorithms: int) -> Browser:
        """Invited, with a passkey of these algorithms, and onboarded."""
        device = Authenticator(origin=self.house.people.party.origin)
        if algorithms:
            device.algorithms = algorithms
        browser = Browser(self.house, device)
        browser.enrol(account)
        return browser

    @property
    def key(self) -> bytes:
        """The key of Rosa's chart, as the node says."""
        found: bytes = self.node.command("consent.prepare", patient=patient_id(ROSA))["key"]
        return found


def patient_id(account: Account) -> str:
    return account.fhir_user.removeprefix("Patient/")


def newest(browser: Browser) -> str:
    return browser.device.credentials[-1].id.hex()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with node_of(new_home(tmp_path / "home")) as node:
        node.client.put(f"Patient/{patient_id(ROSA)}", patient(patient_id(ROSA)))
        yield Scene(node)


def asked(browser: Browser, passkey: str) -> dict[str, Any]:
    answer = browser.ask("/me/key/options", json.dumps({"passkey": passkey}).encode())
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def signed(browser: Browser, challenge: bytes, forge: Forgery = HONEST) -> str:
    """What `lib/gesture.ts` makes of the device's answer."""
    party = browser.house.people.party
    answer = json.loads(browser.device.get({"rpId": party.id, "challenge": b64(challenge)}, forge))[
        "response"
    ]
    algorithm = WEBAUTHN_ES256 if browser.device.credentials[-1].algorithm == ES256 else WEBAUTHN_ML_DSA
    parts = (un64(answer[name]) for name in ("authenticatorData", "clientDataJSON", "signature"))
    return make_assertion(algorithm, *parts).hex()


def proof(browser: Browser, told: dict[str, Any], forge: Forgery = HONEST) -> str:
    place = bytes.fromhex(told["prepared"]["organisation"] + told["prepared"]["handle"])
    return signed(browser, compute_enrolment(place, bytes.fromhex(told["key"])), forge)


@pytest.mark.parametrize("algorithms", [(), (ES256,)], ids=["ML-DSA", "ES256"])
def test_her_passkey_becomes_the_key_of_her_chart(scene: Scene, algorithms: tuple[int, ...]) -> None:
    if algorithms:
        scene.rosa.device.algorithms = algorithms
        assert scene.rosa.ceremony("create", "/me/passkeys/options", "/me/passkeys/answer").status == 200
    assert "Decide with this passkey" in scene.rosa.get("/me").body.decode()
    told = asked(scene.rosa, newest(scene.rosa))
    body = {"passkey": newest(scene.rosa), "proof": proof(scene.rosa, told)}
    answer = scene.rosa.ask("/me/key/answer", json.dumps(body).encode())
    assert answer.status == 200, answer.body
    assert scene.key.hex() == told["key"]
    assert "This passkey decides." in scene.rosa.get("/me").body.decode()
    state = json.loads(scene.rosa.ask("/me/key/options").body)
    assert (state["is_enrolled"], state["by_file"]) == (True, False)
    assert sorted(one["is_mine"] for one in state["passkeys"]) == [*[False] * len(algorithms), True]


def test_nobody_but_her_with_her_own_device_enrols(scene: Scene) -> None:
    told = asked(scene.rosa, newest(scene.rosa))
    good = {"passkey": newest(scene.rosa), "proof": proof(scene.rosa, told)}
    clinician = scene.person(CHEN)
    scene.node.client.put(f"Patient/{patient_id(OTHER)}", patient(patient_id(OTHER)))
    stranger = scene.person(OTHER)
    cases: list[tuple[Browser, dict[str, str], int]] = [
        (clinician, good, 403),
        (stranger, good, 403),
        (scene.rosa, {**good, "passkey": newest(stranger)}, 403),
        (scene.rosa, {**good, "proof": proof(scene.rosa, told, Forgery(flags=UP))}, 400),
        (scene.rosa, {**good, "proof": proof(scene.rosa, told, Forgery(origin="https://evil.example"))}, 400),
        (scene.rosa, {**good, "proof": signed(scene.rosa, b"c" * 32)}, 400),
        (scene.rosa, {**good, "proof": ""}, 400),
        (scene.rosa, {**good, "more": "x"}, 400),
        (scene.rosa, {**good, "proof": good["proof"].upper()}, 400),
    ]
    for browser, body, status in cases:
        answer = browser.ask("/me/key/answer", json.dumps(body).encode())
        assert answer.status == status, (body, answer.body)
    assert clinician.ask("/me/key/options").status == 403
    scene.rosa.csrf = "x"
    assert scene.rosa.ask("/me/key/answer", json.dumps(good).encode()).status == 403
    assert scene.key == b""


def test_a_passkey_that_cannot_derive_keys_is_not_enrolled(scene: Scene) -> None:
    [found] = PASSKEYS.list(scene.house.registry)
    weak = msgspec.structs.replace(found.value, prf=False)
    run(scene.house.registry.change(PASSKEYS.renew(found, weak)))
    answer = scene.rosa.ask("/me/key/options", json.dumps({"passkey": newest(scene.rosa)}).encode())
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "passkey-without-prf")
    assert "None of your passkeys can do this" in scene.rosa.get("/me").body.decode()
