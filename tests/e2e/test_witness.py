"""Node and witness, each a process of its own: what is signed, what is refused, what is shouted, what is never blocked."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from careledger.ledger.verification import verify_receipt
from careledger.primitives.errors import VerificationFailed
from tests.e2e.node import Node
from tests.e2e.witness import WitnessProcess, run_program, use, wait_for, write_checkpoint
from tests.verifier.twins import export_verdict, verdict


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Node, WitnessProcess]]:
    """A node that a witness follows; both run."""
    node = Node(tmp_path / "home", 1).init()
    witness = WitnessProcess(tmp_path / "witness").init()
    try:
        checkpoint = write_checkpoint(node, tmp_path / "first.json")
        use(node, witness.start(checkpoint))
        node.start()
        yield node, witness
    finally:
        node.stop(signal.SIGKILL)
        witness.stop(signal.SIGKILL)


def put(node: Node, name: str) -> None:
    answer = node.caller().put(f"Patient/{name}", {"resourceType": "Patient", "id": name})
    assert answer.status in (200, 201), answer.body


def standing(node: Node) -> dict:
    (one,) = node.command("status")["witnesses"]
    return one


def test_checkpoints_are_signed_and_receipts_witnessed(pair, tmp_path):
    node, witness = pair
    first = (tmp_path / "first.json").read_bytes()
    put(node, "adam")
    wait_for(lambda: standing(node)["ok"] and not standing(node)["behind"])
    trust = write_checkpoint(node, tmp_path / "trust.json").read_bytes()
    assert [key["name"] for key in json.loads(trust)["witnesses"]["keys"]] == [witness.name]
    put(node, "berta")
    bare = node.command("receipt", reference="Patient/berta")["file"].encode()
    signed = node.command("receipt", reference="Patient/berta", witnessed=True)["file"].encode()
    strict = trust.replace(b'"mode"', b'"level":"witnessed","mode"')
    assert verify_receipt(signed, strict).level == "witnessed"
    assert verdict(signed, strict) == verdict(signed, trust)
    # Whoever has an older trust file, which names no witness, goes on with plain receipts.
    assert verify_receipt(bare, first).level == "anchored"
    assert verify_receipt(bare, trust).level == "anchored"
    for file, trusted in ((bare, strict), (signed, first)):
        with pytest.raises(VerificationFailed):
            verify_receipt(file, trusted)
        verdict(file, trusted)  # the stand-alone verifier agrees
    assert witness.show()[0] == 0
    for kind in ("chart", "access_log"):
        for name, signed_by in (("bare", "anchored"), ("signed", "witnessed")):
            file = tmp_path / f"{kind}-{name}"
            node.command(f"{kind}.export", patient="berta", path=str(file), witnessed=name == "signed")
            assert export_verdict(file.read_bytes(), trust) == signed_by
            assert export_verdict(file.read_bytes(), first) == ("anchored" if name == "bare" else "refused")


def test_a_witness_that_is_down_blocks_nothing_and_is_told(pair, tmp_path):
    node, witness = pair
    witness.stop()
    before = time.monotonic()
    put(node, "adam")
    assert time.monotonic() - before < 2
    assert "missing" in node.command("checkpoint")
    found = wait_for(lambda: standing(node) if standing(node)["trouble"] else None)
    assert (found["trouble"], found["refused"]) == ("it cannot be reached", False)
    assert found["behind"] > 0
    assert node.command("status")["problems"] == []
    checks = {check["name"]: check for check in node.command("doctor")["checks"]}
    assert not checks["witness"]["ok"]
    assert "blocks behind" in checks["witness"]["detail"]
    witness.start()
    wait_for(lambda: standing(node)["ok"] and not standing(node)["behind"])


def test_killed_at_any_moment_both_keep_their_word(pair):
    """Writes go on while either is killed; what the witness signed is in the end a prefix of the node's history."""
    node, witness = pair
    heads = [witness.head()]
    for turn in range(4):
        caller = node.caller()
        for i in range(6):
            caller.put(f"Patient/p{turn}-{i}", {"resourceType": "Patient", "id": f"p{turn}-{i}"})
            time.sleep(0.05 * turn)
            if i == 3:
                (witness if turn % 2 else node).stop(signal.SIGKILL)
                if turn % 2:
                    witness.start()
                else:
                    node.start()
                    caller = node.caller()
        heads.append(witness.head())
    wait_for(lambda: standing(node)["ok"] and not standing(node)["behind"])
    heads.append(witness.head())
    assert [size for size, _ in heads] == sorted(size for size, _ in heads)
    assert witness.show()[0] == 0
    assert node.command("status")["problems"] == []


def test_a_home_put_back_and_written_otherwise_is_refused(pair, tmp_path):
    node, witness = pair
    put(node, "adam")
    node.stop()
    shutil.copytree(node.home, tmp_path / "older", symlinks=True)
    node.start()
    for name in ("berta", "carl", "dora"):
        put(node, name)
    wait_for(lambda: standing(node)["ok"] and not standing(node)["behind"])
    old = write_checkpoint(node, tmp_path / "old.json")
    node.stop()
    signed = witness.head()
    shutil.rmtree(node.home)
    (tmp_path / "older").rename(node.home)
    node.start()
    found = wait_for(lambda: standing(node) if standing(node)["refused"] else None)
    assert "later block" in found["trouble"]
    for i in range(12):  # another history, which grows past the witness's
        put(node, f"other-{i}")
    found = wait_for(lambda: standing(node) if "fork" in standing(node)["trouble"] else None)
    assert any("fork" in problem for problem in node.command("status")["problems"])
    node.stop()
    node.start()  # a restart forgets nothing
    assert any("fork" in problem for problem in node.command("status")["problems"])
    code, shown = witness.show()
    assert (code, shown["forked"]) == (6, True)
    fork = shown["logs"][0]["forks"][0]
    assert (fork["signed"]["size"], fork["signed"]["root"]) == signed == witness.head()
    assert fork["refused"]["root"] != fork["signed"]["root"]
    report = node.command("fsck", trust=old.read_text())
    assert not report["ok"]
    # Whoever kept the old checkpoint is shown a chart of the other history, signed with the real keys.
    file = tmp_path / "chart"
    node.command("chart.export", patient="adam", path=str(file), since=old.read_text())
    done = run_program("verify", str(file), "--trust", str(old))
    assert done.returncode == 6, done.stderr
    assert "written anew" in done.stderr
    assert export_verdict(file.read_bytes(), old.read_bytes()) == "refused"


def test_receipts_and_exports_over_the_api_carry_what_the_readers_witnesses_sign(pair, tmp_path):
    """With the lines of those whom its trust file names; a witness that is down, or refuses, costs only these."""
    node, witness = pair
    first = (tmp_path / "first.json").read_bytes()
    put(node, "adam")
    caller = node.caller()
    trust = caller.get("/api/checkpoint", prefix="").body
    key = json.loads(trust)["witnesses"]["keys"][0]["public"]
    strict = trust.replace(b'"mode"', b'"level":"witnessed","mode"')
    paths = ("receipts/Patient/adam", "charts/adam/export", "charts/adam/access-export")

    def fetch(path: str, wanted: str) -> tuple[str, bytes]:
        answer = caller.get(f"/api/{path}{wanted}", prefix="")
        assert answer.status == 200, answer.body
        check = verdict if path.startswith("receipts") else export_verdict
        return check(answer.body, trust), answer.body

    for path in paths:
        check = verdict if path.startswith("receipts") else export_verdict
        for wanted in (f"?witnesses={key}", "?witnesses=all"):
            level, file = fetch(path, wanted)
            assert (level, check(file, strict), check(file, first)) == ("witnessed", "witnessed", "refused")
        for wanted in ("", "?witnesses=" + "A" * 43):
            level, file = fetch(path, wanted)
            assert (level, check(file, first)) == ("anchored", "anchored"), "who trusts no witness goes on"
    answer = caller.get("/api/receipts/Patient/adam?witnesses=me", prefix="")
    assert (answer.status, answer.json["code"]) == (400, "parameter")
    for kind in (signal.SIGSTOP, signal.SIGKILL):  # it hangs; it is gone
        assert witness.process is not None
        witness.process.send_signal(kind)
        began = time.monotonic()
        assert {fetch(path, "?witnesses=all")[0] for path in paths} == {"anchored"}
        assert time.monotonic() - began < 9, "3 s once, not for each"


def test_a_witness_that_finds_a_fork_signs_no_answer_of_the_api_and_it_is_shouted(pair, tmp_path):
    node, witness = pair
    put(node, "adam")
    node.stop()
    shutil.copytree(node.home, tmp_path / "older", symlinks=True)
    node.start()
    for name in ("berta", "carl", "dora"):
        put(node, name)
    wait_for(lambda: standing(node)["ok"] and not standing(node)["behind"])
    trust = write_checkpoint(node, tmp_path / "trust.json").read_bytes()
    node.stop()
    shutil.rmtree(node.home)
    (tmp_path / "older").rename(node.home)
    (node.home / "config.toml").write_text(
        (node.home / "config.toml").read_text().replace("seconds = 1\n", "seconds = 3600\n")
    )
    node.start()
    for i in range(12):
        put(node, f"other-{i}")
    answer = node.caller().get("/api/receipts/Patient/adam?witnesses=all", prefix="")
    assert answer.status == 200
    assert witness.name.encode() not in answer.body
    assert any("fork" in problem for problem in node.command("status")["problems"])
    assert verdict(answer.body, trust) in ("refused", "anchored")
