"""What callers may ask about the ledger behind an answer, and what a node does that no longer knows its newest blocks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from careledger.fhir import freshness
from careledger.vault.model import BlockMark
from tests.fhir.client import Client, entries, header, observation, of, patient
from tests.fhir.deciding import FOREIGN, Decider, caller, organisation
from tests.fhir.fakes import FakeBackend

ASKED = {"careledger_height": "?", "careledger_level": "?"}


class Clinic:
    """Ada's chart, opened to an organisation outside; a node of a network once `block` was called."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.client = Client(self.backend)
        self.ada = self.client.made(patient("Ada"))["id"]
        self.weight = self.client.made(observation(self.ada))["id"]
        Decider(self.backend, self.ada).grant(organisation(), organisation(self.backend.organisation))
        self.outside = caller(self.client, "system/*.rs", FOREIGN, purpose="TREAT")
        self.research = caller(self.client, "system/*.rs", purpose="HRESCH")
        self.herself = self.client.as_("patient/*.rs", patient=self.ada)

    def block(self, came_ago_ms: int | None = 0, made_ago_ms: int = 0) -> None:
        store = self.backend.store
        store.monotonic_ms = 1_000_000
        came = None if came_ago_ms is None else store.monotonic_ms - came_ago_ms
        store.block = BlockMark(self.backend.now_ms() - made_ago_ms, came)

    def read(self, who: Client, **headers: str) -> Any:
        return who.get(f"Observation/{self.weight}", **headers)


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


OLD = {
    "none came for long": (10_001, 0),
    "what comes is old": (0, 10_001),
    "none came since the start": (None, 0),
    "it came before the machine started": (-1, 0),
}


@pytest.mark.parametrize("came_ago_ms, made_ago_ms", OLD.values(), ids=OLD)
def test_a_stale_node_refuses_what_rests_on_a_directive_and_marks_the_rest(clinic, came_ago_ms, made_ago_ms):
    clinic.block()
    for who in (clinic.outside, clinic.research):
        assert clinic.read(who).status == 200
        assert entries(who.get("Observation"))
    clinic.block(came_ago_ms, made_ago_ms)
    for who in (clinic.outside, clinic.research):
        assert clinic.read(who).status == 404
        assert not entries(who.get("Observation"))
        assert not entries(who.get(f"Patient/{clinic.ada}/$everything")) and not entries(who.get("Patient"))
    denied = [entry for entry in clinic.backend.store.accesses if not entry.permitted]
    assert {entry.rule for entry in denied} == {"stale"}
    for who in (clinic.client, clinic.herself):
        answer = clinic.read(who)
        assert answer.status == 200
        assert int(header(answer, "careledger-stale")) >= 10


def test_a_fresh_node_and_an_embedded_one_say_nothing_unasked(clinic):
    for age in (None, 9_900):
        if age:
            clinic.block(age, age)
        for who in (clinic.client, clinic.outside):
            answer = clinic.read(who)
            assert answer.status == 200
            assert not [name for name, _ in answer.headers if name.startswith(b"careledger")]


def test_height_and_level_are_told_on_request(clinic):
    store = clinic.backend.store
    answer = clinic.read(clinic.client, **ASKED)
    assert header(answer, "careledger-height") == str(store.height)
    assert header(answer, "careledger-level") == "anchored"
    for level in ("pending", "final"):
        store.level = level
        told = clinic.client.get(f"Observation/{clinic.weight}/_history/1", **ASKED)
        assert header(told, "careledger-level") == level
    listed = clinic.client.get("Observation", **ASKED)
    assert header(listed, "careledger-height") == str(store.height)
    assert not header(listed, "careledger-level")
    absent = clinic.client.get("Observation/none", **ASKED)
    assert (absent.status, header(absent, "careledger-level")) == (404, "")


def test_an_answer_is_told_the_height_from_before_it_was_made(clinic):
    """What a concurrent block changes is in no answer that names that block without having seen it."""
    store = clinic.backend.store
    before = store.height
    made = clinic.client.post("Patient", patient("Ben"), careledger_height="?")
    assert (made.status, store.height > before) == (201, True)
    assert header(made, "careledger-height") == str(before)


def test_a_reader_waits_for_a_height_and_not_for_ever(clinic, monkeypatch):
    store = clinic.backend.store
    wanted = store.height + 1

    async def meanwhile() -> Any:
        reading = asyncio.create_task(
            clinic.client.asend("GET", "Patient", careledger_at_least=str(wanted), careledger_height="?")
        )
        await asyncio.sleep(3 * freshness.POLL_S)
        assert not reading.done()
        store.height += 1
        return await reading

    answer = asyncio.run(meanwhile())
    assert (answer.status, header(answer, "careledger-height")) == (200, str(wanted))
    monkeypatch.setattr(freshness, "WAIT_S", 0.05)
    logged = len(store.accesses)
    late = clinic.client.get("Patient", careledger_at_least=str(wanted + 1))
    assert (late.status, header(late, "retry-after") != "") == (503, True)
    assert of(late)["issue"][0]["details"]["coding"][0]["code"] == "height-not-reached"
    assert len(store.accesses) == logged


@pytest.mark.parametrize(
    "headers",
    [{"careledger_height": "7"}, {"careledger_level": ""}]
    + [{"careledger_at_least": value} for value in ("?", "-1", "1.5", "²", "9" * 16, "")],
)
def test_what_cannot_be_asked_is_refused(clinic, headers):
    assert clinic.read(clinic.client, **headers).status == 400
