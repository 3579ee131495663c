"""What the commands of governance put on the ledger, and what they refuse before anything is signed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from careledger.contracts.parameters import get_parameter
from careledger.contracts.proposals import OPEN, REJECTED
from careledger.contracts.voting import VOTE
from careledger.ledger.execution import Overlay
from careledger.node import voting
from careledger.node.application import StateReader
from careledger.node.founders import FOUNDING_WEIGHT
from careledger.primitives.errors import CareLedgerError, Conflict, Invalid, NotFound, VerificationFailed
from tests.node.solo import Solo, new_solo, solo_of

WHOLE = FOUNDING_WEIGHT  # of a network of one
NAME, VALUE = "valid_ms_max", 7_200_000


def ask(node: Solo, command: Any, **params: Any) -> Any:
    """The command's answer, while blocks are made."""
    context: Any = SimpleNamespace(home=node.home, sequencer=node.sequencer, backend=node.backend)

    async def both() -> Any:
        asked = asyncio.ensure_future(command(context, params, lambda _step: None))
        while not asked.done():
            await asyncio.sleep(0.01)
            await node._block()
        return await asked

    return node.run(both())


def value_of(node: Solo) -> int:
    return get_parameter(Overlay(StateReader(node.home)), NAME)


@pytest.mark.parametrize("organisations", [4, 5, 6, 7, 100])
def test_no_founder_of_four_or_more_is_taken_for_one_without_whom_there_is_no_block(
    organisations: int,
) -> None:
    """As the engine reckons when it decides whether a node fetches old blocks at once (blocksync) or one by one."""
    assert organisations * WHOLE // 3 > WHOLE


def test_a_proposal_is_its_authors_vote_and_says_all_that_it_does(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.block()
        shown = ask(node, voting.propose, what="parameter", name=NAME, value=VALUE)
        assert (shown["number"], shown["status"], shown["votes_for"], shown["weight"]) == (
            1,
            "passed",
            WHOLE,
            WHOLE,
        )
        assert shown["actions"] == [{"what": "set_parameter", "name": NAME, "value": VALUE}]
        node.block()
        assert value_of(node) == VALUE
        listed = ask(node, voting.list_proposals)
        assert [one["status"] for one in listed["proposals"]] == ["in force"]
        (validator,) = listed["validators"]
        assert (validator["organisation"], validator["weight"], listed["weight"]) == (
            node.home.did,
            WHOLE,
            WHOLE,
        )
        ask(node, voting.propose, what="parameter", name=NAME, value=VALUE + 1, days=1, at_height=10_000)
        waiting = ask(node, voting.list_proposals)["proposals"][1]
        assert (waiting["number"], waiting["status"]) == (2, "passed") and value_of(node) == VALUE
        assert waiting["expiry_ms"] <= node.now_ms + 86_400_000


def test_what_cannot_be_proposed_or_voted_on_signs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.block()
        ask(node, voting.propose, what="parameter", name=NAME, value=VALUE)
        address = ask(node, voting.list_proposals)["validators"][0]["address"]
        refused: list[tuple[type[CareLedgerError], Any, dict[str, Any]]] = [
            (Invalid, voting.propose, {"what": "anything"}),
            (Invalid, voting.propose, {"what": "jail", "validator": address[:-2]}),
            (Invalid, voting.propose, {"what": "jail", "validator": "nobody"}),
            (Invalid, voting.propose, {"what": "jail", "validator": address, "days": 31}),
            (Invalid, voting.propose, {"what": "weight", "validator": address, "weight": -1}),
            (VerificationFailed, voting.propose, {"what": "admit", "file": "{}"}),
            (NotFound, voting.vote, {"number": 2, "is_for": True}),
            (NotFound, voting.vote, {"number": -1, "is_for": True}),
            (NotFound, voting.vote, {"number": 1 << 64, "is_for": True}),
            (Conflict, voting.vote, {"number": 1, "is_for": False}),  # in force already
        ]
        opened = voting._get
        with monkeypatch.context() as unsigned:
            unsigned.setattr(voting, "submit", None)
            for error, command, params in refused:
                with pytest.raises(error):
                    ask(node, command, **params)
            unsigned.setattr(voting, "_get", lambda *one: replace(opened(*one), status=OPEN))
            with pytest.raises(Conflict) as other:
                ask(node, voting.vote, number=1, is_for=True, hash="00" * 32)
            assert other.value.code == "body-differs"
        with pytest.raises(Conflict, match="code 510"):
            ask(node, voting.propose, what="jail", validator=address)


@pytest.mark.parametrize("is_for", [True, False])
def test_a_vote_names_the_body_and_says_what_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_for: bool
) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.block()
        shown = ask(node, voting.propose, what="parameter", name=NAME, value=VALUE)
        sent: list[bytes] = []

        async def submit(_: Any, message: bytes) -> int:
            sent.append(message)
            return 1

        opened = voting._get
        monkeypatch.setattr(voting, "submit", submit)
        monkeypatch.setattr(
            voting, "_get", lambda *one: replace(opened(*one), status=OPEN if not sent else REJECTED)
        )
        assert ask(node, voting.vote, number=1, is_for=is_for, hash=shown["hash"])["status"] == "rejected"
        said = VOTE.schema.decode(sent[0][2:])
        assert (said.number, said.body_hash.hex(), said.is_for) == (1, shown["hash"], is_for)
