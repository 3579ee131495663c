"""An organisation comes to a running network: by a snapshot, admitted by vote, its validator by another one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from careledger.cli import newcomer
from careledger.cli.localnet import LocalNetwork, Organisation
from careledger.node.config import FILE_NAME
from careledger.node.founders import FOUNDING_WEIGHT
from tests.engine.real import REASON
from tests.network.clients import Http
from tests.network.local import Place, careledger, free_base

PATIENT = {"resourceType": "Patient", "name": [{"family": "Quill", "given": ["Ada"]}]}


@pytest.fixture
def founder(tmp_path: Path) -> Iterator[LocalNetwork]:
    """A network of one organisation, in a hurry."""
    if REASON:
        pytest.skip(REASON)
    network = LocalNetwork.create(tmp_path / "n", ["A"], free_base(6), "ed25519", lambda text: None)
    (one,) = network.plan.organisations
    with open(network.home(one) / FILE_NAME, "a") as config:
        config.write("idle_ms = 0\n")
    network.start(one)
    try:
        yield network
    finally:
        LocalNetwork.open(network.folder).stop()


def place_of(network: LocalNetwork, one: Organisation) -> Place:
    fhir, rpc = f"http://127.0.0.1:{one.fhir}/fhir", f"http://127.0.0.1:{one.rpc}"
    return Place(one.name, network.home(one), fhir, rpc, network.passphrase_file(one))


def test_a_newcomer_begins_with_a_snapshot_waits_is_admitted_and_validates(
    founder: LocalNetwork, tmp_path: Path
) -> None:
    network, seconds = newcomer.join(founder, "B", lambda text: None)
    print(seconds)
    old, new = (place_of(network, one) for one in network.plan.organisations)
    assert int(new.ask("/status")["sync_info"]["earliest_block_height"]) > 1, "it did not read every block"
    shown = new.command("network.status")
    assert (shown["admitted"], shown["weight"], "state_sync" in shown) == (True, FOUNDING_WEIGHT, False)
    listed = old.command("governance.list")
    assert [one["status"] for one in listed["proposals"]] == ["in force", "in force"]
    assert {one["organisation"] for one in listed["validators"]} == {old.did(), new.did()}
    names = [one["name"] for one in new.command("org.list")["organisations"]]
    assert names == ["A", "B"], "who was there before it, too"
    # What it writes is anchored, and final for whoever trusts a header of the other's.
    trust, receipt = tmp_path / "trust", tmp_path / "receipt"
    careledger("checkpoint", "--home", str(old.home), "-o", str(trust))
    written = Http(new).call("POST", "Patient", PATIENT)
    assert written.status == 201
    careledger("receipt", f"Patient/{written.json['id']}", "--home", str(new.home), "-o", str(receipt))
    assert careledger("verify", str(receipt), "--trust", str(trust))["level"] == "final"
    assert new.command("fsck")["problems"] == []
    # Its signature is needed now: without it there is no block, with it they go on.
    network.kill(network.find("B"))
    height = old.height()
    time.sleep(3)
    assert old.height() <= height + 1
    network.start(network.find("B"))
    network.wait_ready(network.plan.organisations, height + 3, lambda text: None)
    assert old.chain(height, height + 2) == new.chain(height, height + 2)
