"""The house log of people on a real node: durable, in the patient's chart too, bounded, and read without anybody's data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from careledger.node.auditing import REFUSALS, NodeHouseLog
from careledger.smart.auditing import PAGE_ROWS, Event
from tests.faults.rig import Node, new_home, node_of, patient
from tests.node.test_exports import checkpoint, export, holds


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_of(new_home(tmp_path_factory.mktemp("audit") / "home")) as found:
        assert found.client.put("Patient/p1", patient("p1")).status == 201
        yield found


@pytest.fixture
def house(node: Node) -> NodeHouseLog:
    return NodeHouseLog(node.service.context.backend)


def entries(node: Node, who: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.command("access_log", patient=who)["entries"]
    return found


def acts(node: Node) -> list[dict[str, Any]]:
    """The house log without its being read."""
    return [one for one in entries(node, "house") if one["rule"] != "log-read"]


def test_what_concerns_a_patients_account_stands_in_their_chart_and_passes_both_verifiers(
    node: Node, house: NodeHouseLog
) -> None:
    trust = checkpoint(node)
    told = "an account of this patient was made, by an invitation of Ada Obi alone"
    node.run(house.record(Event("enrolled", "", "a1", patient="p1", told=told)))
    last = entries(node, "p1")[-1]
    assert (last["kind"], last["actor"], last["what"], last["rule"]) == ("account", "a1", told, "operator")
    assert told not in str(entries(node, "house"))
    for kind in ("chart", "access_log"):
        holds(export(node, "p1", kind), trust)
    seen = node.client.get("AuditEvent?patient=p1")
    assert told in str(seen.body)
    assert node.fsck() == []


def test_the_operators_acts_with_accounts_stand_there_too(node: Node) -> None:
    before = len(acts(node))
    asked = {"kind": "patient", "name": "Rosa Quiroga", "fhir_user": "Patient/p1"}
    node.run(node.service.command("account.invite", asked, lambda _step: None))
    last = acts(node)[-1]
    assert len(acts(node)) == before + 1
    assert (last["actor"], last["rule"], last["what"]) == ("operator", "invited", "patient Patient/p1")


def test_refusals_are_journalled_up_to_a_limit_and_acts_always(node: Node, house: NodeHouseLog) -> None:
    before, wrong = len(entries(node, "house")), int(REFUSALS.burst) + 20
    for number in range(wrong):
        node.run(house.record(Event("passkey-refused", "unknown-credential", "")))
        if number % 20 == 0:
            node.run(house.record(Event("passkey-refused", "assertion", "a1")))
    node.run(house.record(Event("signed-in", "", "a1")))
    kept = entries(node, "house")[before:]
    assert len([one for one in kept if one["actor"] == ""]) == REFUSALS.burst
    assert len([one for one in kept if one["actor"] == "a1"]) == wrong // 20 + 1


def test_pages_of_the_house_log_are_whole_newest_first_and_name_nothing_that_was_asked_for(
    node: Node, house: NodeHouseLog
) -> None:
    narrow = node.client.as_("patient/Observation.rs", patient="p1")
    assert [narrow.get(url).status for url in ("Patient/p1", "Patient?family=Quill")] == [403, 403]
    for number in range(PAGE_ROWS + 7):
        node.run(house.record(Event("invited", "patient", "a1", about=f"Patient/x{number}")))
    node.rest()  # the index follows the journal
    rows, before = [], 0
    while True:
        page = house.read(before)
        rows += page.rows
        before = page.before
        if not before:
            break
    told = [one for one in entries(node, "house") if one["kind"] in ("account", "denied")]
    assert len(rows) == len(told)
    assert [one.time_ms for one in rows] == sorted((one.time_ms for one in rows), reverse=True)
    assert (rows[0].what, rows[0].why) == ("invited", f"patient Patient/x{PAGE_ROWS + 6}")
    denied = [one for one in rows if one.what == "denied"]
    assert denied and not any("p1" in one.why or "Quill" in one.why for one in denied)
