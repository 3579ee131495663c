"""Exports of real charts: whole, verified by both verifiers, and refused once a custodian did what it may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from careledger.access import standing
from careledger.access.actor import Actor
from careledger.access.scopes import parse_scopes
from careledger.ledger.access_content import decode_content
from careledger.ledger.export_verification import VerifiedExport, verify_export
from careledger.ledger.proof_files import decode_binary
from careledger.node import directives, exports, group, handed
from careledger.primitives.errors import CareLedgerError, Invalid, NotFound
from tests.faults.rig import Node, appointment, copy_home, new_home, node_of, observation, patient
from tests.fhir.client import Client
from tests.node.consenting import ELSEWHERE, Device
from tests.verifier.twins import export_verdict, export_verdicts


def export(node: Node, who: str, kind: str = "chart", **more: Any) -> bytes:
    path = node.path.parent / f"{who}-{kind}-export"
    result = node.command(f"{kind}.export", patient=who, path=str(path), **more)
    data = path.read_bytes()
    assert (result["bytes"], path.stat().st_mode & 0o777) == (len(data), 0o600)
    path.unlink()
    return data


def checkpoint(node: Node) -> bytes:
    return str(node.command("checkpoint")["file"]).encode()


def holds(data: bytes, trust: bytes, earlier: bytes | None = None, **more: Any) -> VerifiedExport:
    """Both verifiers accept it."""
    assert export_verdicts(data, trust, earlier) == ("anchored", "", "")
    return verify_export(data, trust, earlier, **more)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with node_of(new_home(tmp_path / "home")) as node:
        for name in "ab":
            node.client.put(f"Patient/{name}", patient(name))
        yield node


def test_every_chart_is_exported_whole(node: Node) -> None:
    """With shared, moved, deleted and superseded resources; and each export is an entry of the log that it holds."""
    trust = checkpoint(node)
    for value in (1.5, 2.5):
        node.client.put("Observation/o", observation("o", "a", value))
    node.client.put("Appointment/v", appointment("v", ["b", "a"]))
    node.client.send("DELETE", "Observation/o")
    node.client.put("Observation/m", observation("m", "b", 2.5))
    node.client.put("Observation/m", observation("m", "a", 2.5))
    node.client.put("Observation/m", observation("m", "b", 2.5))
    node.client.get("Appointment/v")
    node.client.get("Observation?code=8867-4")
    node.client.get("Patient/a/$everything")
    earlier: dict[str, bytes] = {}
    for kind in ("chart", "access_log"):
        for who in ("a", "b", "house"):
            data = export(node, who, kind)
            found = holds(data, trust, earlier.get(who))
            last = json.loads(data)["access"][-1]["content"]
            assert decode_content(decode_binary(last, 0, 1 << 20)).kind == "export"
            assert found.entries == {"a": 8, "b": 6, "house": 1}[who]
            earlier[who] = data
    data = export(node, "a")
    assert holds(data, trust).moved_in == 1
    bodies = [entry["body"] for entry in json.loads(data)["entries"]]
    assert node.client.get("Appointment/v").body.decode() in bodies


def test_directives_stand_in_the_export_as_on_the_ledger(node: Node) -> None:
    trust = checkpoint(node)
    node.client.put("Observation/o", observation("o", "a", 1.5))
    device = Device(node.command, "a", b"\1" * 32)
    key_id = device.enrol()
    device.grant()
    stranger = Client(
        node.service.context.backend,
        Actor("them", "their-app", ELSEWHERE, parse_scopes("system/*.rs")),
        node.client.app,
    )
    assert stranger.get("Observation/o").status == 200
    denied = device.grant(deny=True, purpose=("HRESCH",))
    device.revoke(denied)
    found = holds(export(node, "a"), trust, key_id=key_id)
    assert (found.key_id, found.directives, found.without_force) == (key_id, 2, 0)
    assert holds(export(node, "b"), trust).directives == 0
    holds(export(node, "house"), trust)
    with pytest.raises(CareLedgerError, match="not the one that was given"):
        verify_export(export(node, "a"), trust, key_id="0" * 32)


def test_what_cannot_be_exported_is_said_and_leaves_nothing(node: Node, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        export(node, "nobody")
    with pytest.raises(Invalid):
        node.command("chart.export", patient="a", path="relative")
    with pytest.raises(CareLedgerError):
        node.command("chart.export", patient="a", path=str(tmp_path / "none" / "x"))
    with mock.patch.object(exports.files, "EXPORT_BYTES_MAX", 500), pytest.raises(CareLedgerError):
        node.command("chart.export", patient="a", path=str(tmp_path / "x"))
    with mock.patch.object(exports, "ENTRIES_MAX", 1), pytest.raises(Invalid):
        export(node, "a")
    foreign = tmp_path / "foreign"
    with node_of(new_home(foreign, "Another clinic")) as other:
        theirs = checkpoint(other).decode()
    with pytest.raises(Invalid, match="another ledger"):
        export(node, "a", since=theirs)
    assert not list(tmp_path.glob("*x*")) and not list(tmp_path.glob(".*"))


def test_an_old_checkpoint_can_be_asked_for(node: Node) -> None:
    """One that was forgotten is refused with the way out, and continued when it is named."""
    old = checkpoint(node)
    node.client.put("Observation/o", observation("o", "a", 1.5))
    with mock.patch.object(handed, "read_sizes", return_value=[]):
        forgetful = export(node, "a")
        assert "trusted checkpoint" in export_verdicts(forgetful, old)[1]
        holds(export(node, "a", since=old.decode()), old)
    before = export(node, "a")
    node.client.put("Observation/o", observation("o", "a", 2.5))
    verdict, reason, _ = export_verdicts(before, checkpoint(node))
    assert (verdict, "trusted checkpoint" in reason) == ("refused", True), (
        "an older export cannot answer for it"
    )


def test_who_restores_an_older_home_and_writes_other_things_is_caught(tmp_path: Path) -> None:
    """By an old checkpoint, and by an earlier export: both verifiers, with the forked home's own exports."""
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        node.client.put("Patient/a", patient("a"))
        shared = checkpoint(node)
    backup = copy_home(path, tmp_path / "backup" / "home", index=True)
    with node_of(path) as node:
        node.client.put("Observation/o", observation("o", "a", 1.5))
        kept, earlier = checkpoint(node), export(node, "a")
        holds(earlier, kept)
    with node_of(backup) as node:
        node.client.put("Observation/o", observation("o", "a", 99.5))
        while node.state()[0] < 30:
            node.client.put("Observation/p", observation("p", "a", 1.0 + node.state()[0]))
        for kind in ("chart", "access_log"):
            forked = export(node, "a", kind)
            assert export_verdict(forked, shared) == "anchored", "up to here both are one"
            assert export_verdict(forked, kept) == "refused"
            assert export_verdict(export(node, "a", kind, since=kept.decode()), kept) == "refused"
            assert "anew" in export_verdicts(export(node, "a", kind, since=kept.decode()), kept)[1]
        verdict, reason, _ = export_verdicts(export(node, "a"), shared, earlier)
        assert (verdict, "earlier export" in reason) == ("refused", True)


def test_what_a_node_that_was_tampered_with_records_is_caught(node: Node) -> None:
    """A version entered out of time order, and an access whose authority is somebody else's consent."""
    trust = checkpoint(node)
    node.client.put("Observation/o", observation("o", "a", 1.5))
    holds(export(node, "a"), trust)
    backend = node.service.context.backend
    early = backend.now_ms() - 86_400_000
    with (
        mock.patch.object(group.Group, "_in_time", lambda self, version, first: version),
        mock.patch.object(group.Group, "_check_times"),
        mock.patch.object(backend, "now_ms", return_value=early),
    ):
        assert node.client.put("Observation/early", observation("early", "a", 1.5)).status == 201
    verdict, reason, _ = export_verdicts(export(node, "a"), trust)
    assert (verdict, "earlier than the one before" in reason) == ("refused", True)
    holds(export(node, "a", "access_log"), trust)
    Device(node.command, "b", b"\1" * 32).enrol()
    forger = Device(node.command, "b", b"\2" * 32)
    with (
        mock.patch.object(directives, "is_bound", return_value=True),
        mock.patch.object(standing, "is_bound", return_value=True),
    ):
        forger.grant()
        stranger = Client(
            backend, Actor("them", "x", ELSEWHERE, parse_scopes("system/*.rs")), node.client.app
        )
        assert stranger.get("Patient/b").status == 200
    verdict, reason, _ = export_verdicts(export(node, "b"), trust)
    assert (verdict, "did not sign this directive" in reason) == ("refused", True)


def test_what_several_directives_permit_in_one_answer_holds(node: Node) -> None:
    """To another organisation each of its type; to the custodian's practitioner one type, and the rest by default."""
    trust = checkpoint(node)
    node.client.put("Observation/o", observation("o", "a", 1.5))
    device = Device(node.command, "a", b"\1" * 32)
    device.enrol()
    device.grant(type=("Observation",), category=("vital-signs",))
    device.grant(type=("Patient",))
    device.grant(to=("Practitioner/owl",), type=("Observation",))
    backend, scopes = node.service.context.backend, parse_scopes("system/*.rs")
    them = Client(backend, Actor("them", "x", ELSEWHERE, scopes), node.client.app)
    owl = Actor("owl", "x", node.client.who.organisation, scopes, practitioner="owl")
    ours = Client(backend, owl, node.client.app)
    for caller, url, size in (
        (them, "Observation?patient=a&_include=Observation:subject", 2),
        (ours, "Patient/a/$everything", 5),
    ):
        assert len(json.loads(caller.get(url).body)["entry"]) == size
        entry = node.command("access_log", patient="a")["entries"][-1]
        assert (entry["rule"], len(entry["versions"])) == ("directive-permit", size)
    holds(export(node, "a"), trust)
