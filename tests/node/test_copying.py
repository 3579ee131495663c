"""Sealed copies out of a real node: only her secrets open them, and what opens verifies as an open export does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from careledger.access import copies
from careledger.access.copies import WRAPS, Kind, wrap_key
from careledger.access.patient_keys import PatientKey
from careledger.primitives.errors import CareLedgerError, Conflict, Invalid
from careledger.vault.copies import REGISTRY_TABLE, copy_key
from tests.faults.rig import Node, new_home, node_of, observation, patient
from tests.ledger.passkeys import Passkey
from tests.node.consenting import Device
from tests.node.passkey_device import CREDENTIAL, PasskeyDevice
from tests.verifier.twins import export_verdicts

KIT = b"\x51" * 32
SALTS = (b"\x61" * 32, b"\x62" * 32)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with node_of(new_home(tmp_path / "home")) as node:
        for name in "ab":
            node.client.put(f"Patient/{name}", patient(name))
        node.client.put("Observation/o", observation("o", "a", 61))
        yield node


def enrolled(node: Node) -> PasskeyDevice:
    device = PasskeyDevice(node.command, "a", Passkey("anna"))
    device.enrol(recovery=PatientKey(KIT).public)
    return device


def wraps_of(device: PasskeyDevice, key: bytes) -> list[copies.Wrap]:
    """What her page makes."""
    prf = device.prf(copies.prf_input(SALTS[0]))
    return [
        wrap_key(key, Kind.PASSKEY, prf, SALTS[0], CREDENTIAL),
        wrap_key(key, Kind.KIT, KIT, SALTS[1]),
    ]


def keep(node: Node, given: dict[str, Any], wraps: list[copies.Wrap], **more: Any) -> list[str]:
    params = {"patient": "a", "epoch": given["epoch"], "key_id": given["key_id"]} | more
    kinds: list[str] = node.command("copy.keep", **params, wraps=WRAPS.encode(WRAPS.sorted(wraps)))["kinds"]
    return kinds


def prepare(node: Node, device: PasskeyDevice) -> None:
    given = node.command("copy.key", patient="a", account="hers")
    assert keep(node, given, wraps_of(device, given["key"])) == ["passkey", "kit"]


def make(node: Node) -> bytes:
    path = node.path.parent / "sealed"
    result = node.command("chart.copy", patient="a", path=str(path))
    data = path.read_bytes()
    assert (result["bytes"], path.stat().st_mode & 0o777) == (len(data), 0o600)
    path.unlink()
    return data


def opened(data: bytes, kind: Kind, secret: bytes) -> tuple[bytes, bytes]:
    file, parts = io.BytesIO(data), (io.BytesIO(), io.BytesIO())
    head = copies.read_header(file)
    copies.open_copy(file, head, copies.open_wraps(head, kind, secret), parts)
    return parts[0].getvalue(), parts[1].getvalue()


def entries(node: Node) -> list[tuple[str, str, str]]:
    found = node.command("access_log", patient="a")["entries"]
    return [(one["kind"], one["actor"], one["rule"]) for one in found]


def test_a_copy_opens_by_passkey_and_by_kit_and_verifies(node: Node) -> None:
    device = enrolled(node)
    prepare(node, device)
    assert entries(node)[-1] == ("copy-key", "hers", "own-chart"), "entered before the key leaves"
    trust = str(node.command("checkpoint")["file"]).encode()
    data = make(node)
    assert entries(node)[-1] == ("export", "operator", "operator")
    for word in (
        b"Patient",
        b"Observation",
        b"careledger/chart-export",
        node.service.context.home.organisation,
    ):
        assert word not in data
    by_passkey = opened(data, Kind.PASSKEY, device.prf(copies.prf_input(SALTS[0])))
    assert by_passkey == opened(data, Kind.KIT, KIT)
    for part in by_passkey:
        assert export_verdicts(part, trust, None) == ("anchored", "", "")
    assert b"Observation" in by_passkey[0]
    directive_secret = device.prf(device_input(b"\x01" * 32))
    for secret in (directive_secret, b"\x09" * 32):
        with pytest.raises(copies.NotAmongWraps):
            opened(data, Kind.PASSKEY, secret)


def device_input(nonce: bytes) -> bytes:
    from careledger.primitives.hashing import tagged

    return tagged("cl1.directive", nonce)


def test_wraps_that_could_lock_her_out_or_let_others_in_are_refused(node: Node) -> None:
    with pytest.raises(Conflict) as none:
        node.command("copy.key", patient="a")
    assert none.value.code == "not-enrolled"
    device = enrolled(node)
    given = node.command("copy.key", patient="a")
    passkey, kit = wraps_of(device, given["key"])
    stranger = wrap_key(given["key"], Kind.PASSKEY, b"p" * 32, SALTS[0], b"another-passkey")
    cases: list[tuple[list[copies.Wrap], dict[str, Any], str]] = [
        ([passkey], {}, "one-wrap"),
        ([], {}, "copy-wraps"),
        ([stranger, kit], {}, "copy-wraps"),
        ([passkey, kit], {"epoch": given["epoch"] + 1}, "copy-key-moved"),
        ([passkey, kit], {"key_id": "0" * 32}, "copy-key-moved"),
    ]
    for wraps, more, code in cases:
        with pytest.raises(CareLedgerError) as refused:
            keep(node, given, wraps, **more)
        assert refused.value.code == code
    with pytest.raises(Invalid):
        node.command(
            "copy.keep", patient="a", epoch=given["epoch"], key_id=given["key_id"], wraps=b"\0\0\0\1\1"
        )
    assert node.command("copy.look", patient="a")["kinds"] == []
    with pytest.raises(Conflict) as early:
        make(node)
    assert early.value.code == "copy-not-prepared"
    assert "export" not in [kind for kind, _, _ in entries(node)], "nothing was shown, nothing is entered"


def test_an_erasure_and_another_key_make_her_wrap_anew(node: Node) -> None:
    device = enrolled(node)
    prepare(node, device)
    before = make(node)
    node.command("erase", reference="Observation/o/_history/1", reason="misfiled")
    assert node.command("copy.look", patient="a")["kinds"] == []
    with pytest.raises(Conflict):
        make(node)
    assert b"Observation" in opened(before, Kind.KIT, KIT)[0], "what she has stays hers"
    prepare(node, device)
    after = make(node)
    old, new = (
        copies.open_wraps(copies.read_header(io.BytesIO(one)), Kind.KIT, KIT) for one in (before, after)
    )
    assert old != new
    follower = Device(node.command, "a", b"\x71" * 32)
    node.command(
        "patient.enrol", patient="a", key=follower.key.public, continues=device.continuation(follower.key.public)
    )  # fmt: skip
    assert node.command("copy.look", patient="a")["kinds"] == []


def test_a_shredded_chart_leaves_neither_wrap_nor_key(node: Node) -> None:
    prepare(node, enrolled(node))
    data, home = make(node), node.service.context.home
    chart = node.service.context.reader.snapshot().chart_of("a")
    assert chart is not None
    key = copy_key(home.keyring.get(chart))
    assert home.keyring.get(chart).record_key not in data
    assert copies.open_wraps(copies.read_header(io.BytesIO(data)), Kind.KIT, KIT) == key
    registry = node.service.context.registry
    kept = registry.get(REGISTRY_TABLE, b"a")
    assert kept is not None and key not in kept.value
    node.command("shred", patient="a", reason="asked for")
    assert registry.get(REGISTRY_TABLE, b"a") is None
    assert copy_key(home.keyring.get(chart)) != key
    for name in ("copy.key", "copy.look"):
        with pytest.raises(CareLedgerError):
            node.command(name, patient="a")
    with pytest.raises(CareLedgerError):
        make(node)
