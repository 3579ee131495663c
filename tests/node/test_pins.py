"""Pins: however a home went on, and however its index was made again, it can say how its heads stood when it handed out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from careledger.ledger.checkpoint import parse_note
from careledger.ledger.pins import PinPart, check_pinned, check_pins
from careledger.ledger.verification import read_trust
from careledger.node import pins
from careledger.primitives.errors import VerificationFailed
from careledger.vault.tables import ACCESS_LOG, LEAF, LEAF_KEY, RECORD_LOG
from tests.faults.rig import Node, new_home, node_of, observation, patient

Leaves = tuple[list[bytes], list[bytes]]


def read_leaves(node: Node, chart: int) -> Leaves:
    """Leaf hashes of both logs of a chart, as the index has them."""
    home = node.service.context.home
    found: Leaves = ([], [])
    with home.tables.env.begin() as txn:
        for log in (RECORD_LOG, ACCESS_LOG):
            while data := txn.get(LEAF_KEY.pack(chart, log, len(found[log])), db=home.tables.leaf):
                found[log].append(LEAF.unpack(data)[2])
    return found


def read_pins(node: Node, who: str, sizes: list[int]) -> tuple[list[PinPart], tuple[Any, ...]]:
    """The pins of a patient's chart, and everything else that `check_pins` wants."""
    node.command("checkpoint")  # heads, ledger and index agree
    context = node.service.context
    home = context.home
    with context.reader.snapshot() as snapshot:
        chart = snapshot.chart_of(who)
    assert chart is not None
    handle = home.keyring.get(chart).handle
    with home.tables.env.begin() as txn:
        head = parse_note(home.sign_checkpoint(txn)).checkpoint
        found = pins.take_pins(home, txn, handle, sizes, head.size)
    leaves = read_leaves(node, chart)
    return found, ((home.organisation, handle), leaves, (0, b""), (head.size, head.root))


def hand_out(node: Node) -> int:
    """The size of a checkpoint that somebody now holds."""
    return read_trust(node.command("checkpoint")["file"].encode()).size


def live(path: Path) -> tuple[list[int], list[Leaves]]:
    """A home in which two charts grow while checkpoints are handed out; what the first one held at each."""
    sizes, held = [], []
    with node_of(path) as node:
        sizes.append(hand_out(node))
        held.append(([], []))
        for turn in range(4):
            node.client.put("Patient/a", patient("a", f"Name{turn}"))
            for i in range(turn):
                node.client.put(f"Observation/o{turn}-{i}", observation(f"o{turn}-{i}", "ab"[i % 2], 50 + i))
                node.client.put(f"Patient/b{turn}{i}", patient(f"b{turn}{i}"))
            node.client.put("Patient/b", patient("b", f"Name{turn}"))
            node.client.get("Patient/a")
            sizes.append(hand_out(node))
            with node.service.context.reader.snapshot() as snapshot:
                held.append(read_leaves(node, snapshot.chart_of("a")))
        node.client.put("Patient/a", patient("a", "Last"))
    return sizes, held


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    path = new_home(tmp_path_factory.mktemp("pins") / "home")
    return path, *live(path)


def test_each_pin_is_what_the_heads_were(lived):
    """Also with a second index, made from the journal alone; and fsck compares both."""
    path, sizes, held = lived
    found = []
    for index in ("kept", "made again"):
        if index == "made again":
            shutil.rmtree(path / "index")
        with node_of(path) as node:
            parts, rest = read_pins(node, "a", sizes)
            check_pins(parts, *rest)
            assert [pin.block.height + 1 for pin in parts] == sizes
            leaves = rest[1]
            for pin, (records, accesses) in zip(parts, held, strict=True):
                assert pin.records.size == len(records)
                assert leaves[0][: pin.records.size] == records
                assert leaves[1][: pin.access.size] == accesses[: pin.access.size]
            assert node.fsck() == []
            found.append([msgspec.structs.replace(pin, path="") for pin in parts])
    assert found[0] == found[1]


def test_a_checkpoint_that_was_handed_out_needs_its_pin(lived):
    path, sizes, _ = lived
    with node_of(path) as node:
        parts, _ = read_pins(node, "a", sizes)
        height = node.service.context.home.height
    for size in sizes:
        check_pinned(parts, size, height)
        with pytest.raises(VerificationFailed):
            check_pinned([pin for pin in parts if pin.block.height != size - 1], size, height)
    check_pinned([], height + 1, height)  # not older than the export


def test_a_log_that_was_changed_since_is_refused(lived):
    path, sizes, held = lived
    with node_of(path) as node:
        parts, (chart, leaves, record, history) = read_pins(node, "a", sizes)
    for log in (0, 1):
        last = len(held[-1][log]) - 1 - log  # the last access may lie behind the head that was pinned
        good = leaves[log]
        for bad in (
            good[:last] + good[last + 1 :],  # dropped
            [*good[:last], bytes(32), *good[last + 1 :]],  # altered, or dated otherwise
            [*good[: last - 1], good[last], good[last - 1], *good[last + 1 :]],  # exchanged
            good[:last],  # cut
            [good[0], *good],  # one more before
        ):
            changed = (bad, leaves[1]) if log == 0 else (leaves[0], bad)
            with pytest.raises(VerificationFailed):
                check_pins(parts, chart, changed, record, history)
        check_pins(parts, chart, leaves, record, history)


def tamper(value: Any) -> list[Any]:
    """The value with one thing changed, in every place."""
    if isinstance(value, dict):
        return [{**value, name: changed} for name, inner in value.items() for changed in tamper(inner)] + [
            {name: inner for name, inner in value.items() if name != left}
            for left in value
            if left == "other"
        ]
    if isinstance(value, int):
        return [value + 1, max(value - 1, 0)] if value else [1]
    places = range(0, len(value), max(1, len(value) // 6))
    return [value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :] for at in places] + [
        value + "AAAA"
    ]


def test_nothing_of_a_pin_can_be_changed(lived):
    path, sizes, _ = lived
    with node_of(path) as node:
        parts, (chart, leaves, record, history) = read_pins(node, "a", [sizes[0], sizes[2]])
        others, _ = read_pins(node, "b", [sizes[2]])
    refused = 0
    for place, pin in enumerate(parts):
        whole = msgspec.to_builtins(pin)
        for changed in tamper(whole):
            if changed == whole:
                continue
            bad = msgspec.convert(changed, PinPart)
            with pytest.raises(VerificationFailed):
                check_pins([*parts[:place], bad, *parts[place + 1 :]], chart, leaves, record, history)
            refused += 1
    assert refused > 60
    for bad_pins in (parts[::-1], [parts[1], parts[1]], others):
        with pytest.raises(VerificationFailed):
            check_pins(bad_pins, chart, leaves, record, history)
