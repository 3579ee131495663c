"""An embedded clinic joins a network: its records, proofs and directives go on; the old home is kept; nothing is half done."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from careledger.access.actor import Actor
from careledger.access.scopes import parse_scopes
from careledger.contracts.adoption import ADOPTED
from careledger.contracts.consent import revoke_message
from careledger.contracts.identity import ROOT, ROTATE, Rotate
from careledger.contracts.proposals import Body
from careledger.contracts.records import HEADS
from careledger.contracts.voting import PROPOSE, Propose
from careledger.ledger.execution import Overlay
from careledger.ledger.kernel import ED25519, ML_DSA_65
from careledger.ledger.log import verify_consistency
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.ledger.verification import read_trust
from careledger.node import former, fsck, migrating, replacing
from careledger.node.application import StateReader
from careledger.node.joining import read_join_request
from careledger.node.layout import Layout
from careledger.node.migrating import Migrated, migrate
from careledger.primitives.errors import Corrupt, Misconfigured
from careledger.primitives.types import Did
from careledger.vault.keystore import Cost
from careledger.vault.model import Commit
from tests.contracts.network import HOSPITAL
from tests.faults.rig import PASSPHRASE, new_home, node_of, observation, open_home, patient
from tests.fhir.client import Client, header
from tests.node.consenting import ELSEWHERE, Device
from tests.node.solo import Solo, solo_of
from tests.node.test_joining import PLACE, Member

LANE = 4


@pytest.fixture(scope="module")
def member() -> Member:
    return Member()


@pytest.fixture(autouse=True)
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    make = migrating.create_validator_key
    monkeypatch.setattr(migrating, "create_validator_key", lambda *given: make(*given, Cost(1, 8, 1)))


class Revocation:
    """Of a directive, by its own key: the message that her device signs on whatever ledger it stands."""

    def __init__(self, node: Any, device: Device, id: str) -> None:
        nonce = node.command("consent.prepare_revocation", id=id)["nonce"]
        self.key = SecretKey(ML_DSA_65, device.key.directive_seed(nonce))
        self.message = revoke_message(bytes.fromhex(id), public=self.key.key.public)


class Before:
    """A clinic of its own: Ada's chart, opened to somebody elsewhere; Ben's, opened and closed again."""

    def __init__(self, path: Path) -> None:
        self.path = new_home(path)
        with node_of(self.path) as node:
            for name in ("ada", "ben"):
                node.client.put(f"Patient/{name}", patient(name))
                node.client.put(f"Observation/of-{name}", observation(f"of-{name}", name, 70.5))
                device = Device(node.command, name, name.encode().ljust(32))
                device.enrol()
                granted = device.grant()
                if name == "ben":
                    device.revoke(granted)
                else:
                    self.revocation = Revocation(node, device, granted)
            self.body = node.client.get("Observation/of-ada").body
            self.checkpoint = str(node.command("checkpoint")["file"]).encode()
            ledger = node.service.context.home.embedded
            self.early = (ledger.height, ledger._history.root())  # leaves 0 … height − 1 and one more
            node.client.put("Patient/cid", patient("cid"))
            self.early_size = self.early[0] + 1
        locked = open_home(self.path)
        self.height, self.heads_root = locked.home.height, locked.home.heads.root
        locked.close()


def elsewhere(node: Solo) -> Client:
    who = Actor("s", "c", ELSEWHERE, parse_scopes("system/*.rs"), purpose="TREAT")
    return Client(node.backend, who, node.client.app)


def send(node: Solo, message: bytes, party: Any = None, by: Revocation | None = None) -> None:
    """One message by the root key (or `by` another), in a block."""
    keys = node.home.keys
    did, seeds = (
        Did(node.home.organisation),
        [SecretKey(ED25519, s) for s in (keys.node_seed, keys.root_seed)],
    )
    if party is not None:
        did, seeds = party.did, party.keys
    if by is not None:
        seeds = [seeds[0], by.key]
    with node.home.tables.env.begin() as txn:
        sequence = node.home.replica.next_sequence(LmdbKV(txn, node.home.tables.ledger), did, LANE)
    until = node.now_ms + 60_000
    node.finalise(
        build_transaction(node.home.replica.genesis_hash, until, did, LANE, sequence, [message], seeds)
    )


def admit(node: Solo, migrated: Migrated) -> None:
    action = read_join_request(migrated.joined.request, HOSPITAL.did).admission_action()
    send(node, PROPOSE.encode(Propose(HOSPITAL.did, Body((action,), node.now_ms + 3_600_000, 0))), HOSPITAL)
    node.empty_block()


def state(node: Solo) -> Overlay:
    return Overlay(StateReader(node.home))


def check_fsck(node: Solo, trusted: bytes = b"") -> None:
    home = node.home

    async def take_view() -> fsck.View:
        async with node.sequencer.quiet():
            return fsck.take_view(home)

    report = fsck.run(home, node.run(take_view()), lambda _step: None, trusted)
    assert report["problems"] == []


def test_a_clinic_joins_and_keeps_every_record_proof_and_directive(tmp_path: Path, member: Member) -> None:
    before = Before(tmp_path / "clinic")
    migrated = migrate(before.path, PASSPHRASE, member.file(), PLACE)
    assert migrated.height >= before.height
    with solo_of(before.path) as node:
        home, did = node.home, Did(node.home.organisation)
        assert (home.is_network, home.height, home.heads.root) == (True, 0, before.heads_root)
        assert node.client.get("Observation/of-ada").body == before.body
        assert node.client.put("Observation/new", observation("new", "ada", 71.0)).status == 201
        node.block()
        admit(node, migrated)
        assert (
            header(node.client.get("Observation/of-ada", careledger_level="?"), "careledger-level")
            == "pending"
        )
        assert home.outbox.flight is None and HEADS.get(state(node), did) is None, (
            "nothing before it is adopted"
        )
        send(node, former.compose_adoption(home))
        for message in former.compose_following(home):
            send(node, message)
        assert former.compose_following(home) == [], "each entry once"
        assert elsewhere(node).get("Observation/of-ada").status == 200, "the directive goes on to hold"
        assert elsewhere(node).get("Observation/of-ben").status == 404, "and the revocation too"
        node.anchor()
        node.empty_block()
        for id in ("of-ada", "new"):
            told = node.client.get(f"Observation/{id}", careledger_level="?")
            assert header(told, "careledger-level") == "final"
        adopted, head = ADOPTED.get(state(node), did), HEADS.get(state(node), did)
        assert (adopted.size, head.root) == (migrated.height + 1, home.heads.root)
        assert head.seq >= adopted.seq + 2
        with home.tables.env.begin() as txn:
            there = former.open_former(home, txn)
            path = there.ledger.history_consistency(there.kv, before.early_size, adopted.size)
            verify_consistency(before.early_size, adopted.size, path, before.early[1], adopted.root)
            kv = LmdbKV(txn, home.tables.ledger)
            assert home.replica.log_path(kv, "records", "batches", did, 0, head.size), (
                "earlier batches stand in the log"
            )
        check_fsck(node)
        check_fsck(node, before.checkpoint)
        anew = mock.patch.object(
            fsck, "read_any_trust", lambda data: replace(read_trust(data), root=bytes(32))
        )
        with anew, pytest.raises(AssertionError, match="written anew"):
            check_fsck(node, before.checkpoint)
        came_to = (home.height, home.the_ledger.app_hash, home.heads.root, home.view)
    shutil.rmtree(before.path / "index")
    with solo_of(before.path) as node:
        home = node.home
        assert (home.height, home.the_ledger.app_hash, home.heads.root, home.view) == came_to
        assert node.client.get("Observation/of-ada").body == before.body
        node.empty_block()
        assert elsewhere(node).get("Observation/of-ada").status == 200
    with node_of(migrated.kept) as old:
        assert old.client.get("Observation/of-ada").body == before.body
        assert old.fsck() == []


def test_a_revocation_on_the_network_wins_over_what_followed(tmp_path: Path, member: Member) -> None:
    before = Before(tmp_path / "clinic")
    migrated = migrate(before.path, PASSPHRASE, member.file(), PLACE)
    with solo_of(before.path) as node:
        node.block()
        admit(node, migrated)
        send(node, former.compose_adoption(node.home))
        for message in former.compose_following(node.home):
            send(node, message)
        ada = elsewhere(node)
        assert ada.get("Observation/of-ada").status == 200
        send(node, before.revocation.message, None, before.revocation)
        assert ada.get("Observation/of-ada").status == 404


def test_what_cannot_be_migrated_stays_as_it_was(tmp_path: Path, member: Member, monkeypatch) -> None:
    before = Before(tmp_path / "clinic")
    with monkeypatch.context() as broken:
        broken.setattr(replacing, "_prove", lambda *_: (_ for _ in ()).throw(Corrupt("not sound")))
        with pytest.raises(Corrupt):
            migrate(before.path, PASSPHRASE, member.file(), PLACE)
    with node_of(before.path) as node:
        assert node.client.get("Observation/of-ada").body == before.body
        assert node.fsck() == []
        with pytest.raises(Misconfigured):
            migrate(before.path, PASSPHRASE, member.file(), PLACE)  # it is open
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clinic"]
    migrate(before.path, PASSPHRASE, member.file(), PLACE)
    with pytest.raises(Misconfigured, match="network's already"):
        migrate(before.path, PASSPHRASE, member.file(), PLACE)


def test_a_home_under_another_root_key_is_refused_before_anything_is_changed(
    tmp_path: Path, member: Member
) -> None:
    """No network would ever adopt it (605), and nothing that it wrote from then on would be anchored."""
    path = new_home(tmp_path / "clinic")
    with node_of(path) as node:
        node.client.put("Patient/ada", patient("ada"))
        home, other = node.service.context.home, SecretKey(ED25519, bytes(range(32)))
        seeds = [SecretKey(ED25519, home.keys.root_seed), SecretKey(ED25519, home.keys.node_seed), other]
        did, ledger = Did(home.organisation), home.the_ledger
        with home.tables.env.begin() as txn:
            sequence = ledger.next_sequence(LmdbKV(txn, home.tables.ledger), did, LANE)
        until = node.service.context.backend.now_ms() + 60_000
        message = ROTATE.encode(Rotate(did, ROOT, other.key))
        rotated = build_transaction(ledger.genesis_hash, until, did, LANE, sequence, [message], seeds)
        node.run(node.service.context.backend.commit(Commit(transactions=(rotated,))))
        state = node.state()
    with pytest.raises(Misconfigured, match="another root key"):
        migrate(path, PASSPHRASE, member.file(), PLACE)
    assert [one.name for one in tmp_path.iterdir()] == ["clinic"]
    with node_of(path) as node:
        assert node.state() == state
        assert node.client.get("Patient/ada").status == 200


def test_a_journal_that_ends_its_embedded_ledger_elsewhere_does_not_come_up(
    tmp_path, member, monkeypatch
) -> None:
    before = Before(tmp_path / "clinic")
    packed = migrating.records.pack_migrated
    monkeypatch.setattr(
        migrating.records, "pack_migrated", lambda height, app_hash: packed(height - 1, app_hash)
    )
    with pytest.raises(Corrupt):
        migrate(before.path, PASSPHRASE, member.file(), PLACE)
    assert Layout(before.path).read().former is not None


def test_what_a_patient_denied_stays_denied_before_the_ledger_is_adopted(
    tmp_path: Path, member: Member
) -> None:
    """Nobody knows when the members will vote; until then the home's own ledger is the newest word there is."""
    path = new_home(tmp_path / "clinic")
    with node_of(path) as node:
        node.client.put("Patient/ada", patient("ada"))
        node.client.put("Observation/of-ada", observation("of-ada", "ada", 70.5))
        device = Device(node.command, "ada", b"a" * 32)
        device.enrol()
        denied = device.grant(deny=True, to=(node.service.context.home.did,), purpose=("TREAT",))
        revocation = Revocation(node, device, denied)
        assert node.client.get("Observation/of-ada").status == 404
    migrated = migrate(path, PASSPHRASE, member.file(), PLACE)
    with solo_of(path) as node:
        node.block()
        assert node.client.get("Observation/of-ada").status == 404
        admit(node, migrated)
        assert node.client.get("Observation/of-ada").status == 404
        send(node, revocation.message, None, revocation)
        assert node.client.get("Observation/of-ada").status == 200, "a revocation on the network wins"
