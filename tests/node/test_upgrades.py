"""An upgrade that a network voted for: a node with another program stops before its height, says what to run, and goes on
with the right one; nothing is executed by any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import careledger
from careledger.contracts.actions import UPGRADE
from careledger.contracts.proposals import Body
from careledger.contracts.sys import Profile
from careledger.contracts.voting import PROPOSE, Propose
from careledger.ledger.consensus.abci import schema
from careledger.ledger.kernel import ED25519
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.node import founding, profile
from careledger.node.profile import ProfileDiffers, check_profile, show_upgrades
from careledger.node.program import (
    CONSENSUS_ROOMS,
    Program,
    compute_code_hash,
    read_upgrade,
    running_code_hash,
    running_program,
    write_program,
)
from careledger.primitives.errors import Conflict, Invalid, Unavailable, VerificationFailed
from careledger.primitives.types import Did
from tests.faults.rig import patient
from tests.node.solo import Solo, new_solo, solo_of

NEXT = Program(Profile("99.0.0", "3.99", founding.running_profile().packages), bytes(range(32)))
OTHER_CODE = Program(founding.running_profile(), bytes(range(32)))


def run_as(monkeypatch: pytest.MonkeyPatch, other: Program) -> None:
    """From here on this process is that program."""
    monkeypatch.setattr(profile, "running_profile", lambda: other.profile)
    monkeypatch.setattr(profile, "running_code_hash", lambda: other.code_hash)


def decide_upgrade(node: Solo, program: Program, at_height: int) -> None:
    did, replica = Did(node.home.organisation), node.home.replica
    action = UPGRADE.encode(read_upgrade(write_program(program)))
    message = PROPOSE.encode(Propose(did, Body((action,), node.now_ms + 3_600_000, at_height)))
    keys = [SecretKey(ED25519, seed) for seed in (node.home.keys.node_seed, node.home.keys.root_seed)]
    node.finalise(build_transaction(replica.genesis_hash, node.now_ms + 60_000, did, 5, 0, [message], keys))


def go_to(node: Solo, height: int) -> None:
    while node.home.height < height:
        node.empty_block()


@pytest.mark.parametrize("program", [NEXT, OTHER_CODE], ids=["other versions", "other code alone"])
def test_a_node_stops_before_the_height_and_goes_on_with_what_was_agreed(tmp_path, monkeypatch, program):
    path, former = new_solo(tmp_path / "home"), running_program()
    with solo_of(path) as node:
        node.block()
        decide_upgrade(node, program, at_height=8)
        assert show_upgrades(node.home) == [{"height": 8, "to": program.describe(), "ready": False}]
        go_to(node, 6)
        assert not node.sequencer.failed.is_set()
        go_to(node, 7)
        assert node.sequencer.failed.is_set(), "the next block is not this program's"
        with pytest.raises(Unavailable) as told:
            node.sequencer.check_health()
        assert "from block 8 on" in told.value.message and program.describe() in told.value.message
        assert "careledger serve" in told.value.hint
        before = node.home.the_ledger.app_hash
        for asked in (
            node.application.prepare_proposal(schema.RequestPrepareProposal(height=8, max_tx_bytes=1000)),
            node.application.process_proposal(schema.RequestProcessProposal(height=8)),
            node.application.finalize_block(schema.RequestFinalizeBlock(height=8)),
        ):
            with pytest.raises(Unavailable):
                node.run(asked)
        assert (node.home.height, node.home.the_ledger.app_hash) == (7, before)
        with pytest.raises(ProfileDiffers, match="from block 8 on"):
            check_profile(node.home)  # as it is at the next start
    run_as(monkeypatch, program)
    with solo_of(path) as node:
        check_profile(node.home)
        assert node.client.put("Patient/ada", patient("ada")).status == 201
        node.block()
        node.anchor()
        assert not node.sequencer.failed.is_set() and show_upgrades(node.home) == []
        assert [one for _, one in profile.agreed_programs(node.home)] == [program]
    run_as(monkeypatch, former)
    with solo_of(path) as node, pytest.raises(ProfileDiffers):
        check_profile(node.home)


def test_the_agreed_program_waits_for_its_height(tmp_path, monkeypatch):
    with solo_of(new_solo(tmp_path / "home")) as node:
        node.block()
        decide_upgrade(node, NEXT, at_height=8)
        former = running_program()
        run_as(monkeypatch, NEXT)
        with pytest.raises(ProfileDiffers, match="this is careledger 99") as told:
            check_profile(node.home)
        assert "from block 8 on: until then run the former" in told.value.hint
        with pytest.raises(ProfileDiffers):
            node.empty_block()
        run_as(monkeypatch, former)
        assert node.home.height < 7
        with pytest.raises(Conflict, match="by a vote"):
            run_as(monkeypatch, NEXT)
            profile.adoption(node.home)


def test_a_block_that_the_engine_replays_is_executed_by_what_was_agreed(tmp_path, monkeypatch):
    """A home that is caught up by the engine meets old blocks; no other program executes them."""
    with solo_of(new_solo(tmp_path / "home")) as node:
        run_as(monkeypatch, NEXT)
        with pytest.raises(ProfileDiffers):
            node.empty_block()
        assert node.home.height == 0


def test_the_hash_of_the_code_covers_every_file_of_the_consensus_rooms_and_nothing_else(tmp_path):
    package = Path(careledger.__file__).parent
    for room in (*CONSENSUS_ROOMS, "fhir"):
        for source in (package / room).rglob("*.py"):
            copy = tmp_path / source.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    whole = compute_code_hash(package)
    assert compute_code_hash(tmp_path) == whole == running_code_hash.__wrapped__()
    (tmp_path / "fhir" / "http.py").write_text("")
    (tmp_path / "ledger" / "__pycache__").mkdir()
    (tmp_path / "ledger" / "__pycache__" / "log.pyc").write_bytes(b"x")
    assert compute_code_hash(tmp_path) == whole
    seen = {whole}
    for name in ("contracts/voting.py", "ledger/store/kv.py", "primitives/types.py"):
        with (tmp_path / name).open("a") as file:
            file.write("\n")
        seen.add(compute_code_hash(tmp_path))
    (tmp_path / "ledger" / "log.py").rename(tmp_path / "ledger" / "log2.py")
    seen.add(compute_code_hash(tmp_path))
    assert len(seen) == 5


def test_a_program_says_what_it_is_in_one_spelling():
    told = write_program(running_program())
    upgrade = read_upgrade(told)
    assert (upgrade.code, upgrade.code_hash) == (careledger.__version__, running_code_hash())
    with pytest.raises(VerificationFailed):
        read_upgrade(told + b"\n")
    for wrong in ("", "AB" * 32, "ab" * 31):
        with pytest.raises(Invalid):
            read_upgrade(json.dumps(json.loads(told) | {"code_hash": wrong}, separators=(",", ":")).encode())
