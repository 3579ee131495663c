"""A custodian with every key and a program of its own, on a real node: what it forges both verifiers refuse.

Nothing here alters a file. The node itself is made to do what it may not, anchors it, signs it, and exports it; the
verifiers know a checkpoint, an earlier export or the id of the patient's key, as she would.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from careledger.access import standing
from careledger.contracts.consent import ENTRY, decode_entry, entry_key
from careledger.ledger.consensus import chain
from careledger.ledger.directive_forms import compute_key_id
from careledger.ledger.execution import apply_block
from careledger.ledger.export_verification import verify_export
from careledger.ledger.proof_files import encode_binary
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node import directives, enrolling, erasing, exports
from careledger.node.group import Group
from tests.faults.rig import Node, copy_home, new_home, node_of, observation, patient
from tests.node.consenting import Device
from tests.verifier.twins import VERIFIER, export_verdicts

DAY_MS = 86_400_000
HERS, THEIRS = b"\1" * 32, b"\2" * 32
"""Seeds of the patient's key and of one that the custodian made."""


class Kept:
    """What the patient has: a node to ask, a checkpoint and an export of before."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node, self.folder = node, folder
        self.device = Device(node.command, "a", HERS)
        self.trust, self.earlier = b"", b""

    def export(self, kind: str = "chart", **more: Any) -> bytes:
        path = self.folder / "export"
        self.node.command(f"{kind}.export", patient="a", path=str(path), **more)
        return path.read_bytes()

    def keep(self) -> None:
        """She takes both with her."""
        self.trust, self.earlier = self.node.command("checkpoint")["file"].encode(), self.export()

    def why_refused(self, file: bytes, *, earlier: bool = False) -> str:
        """Both refuse; why, by either."""
        verdict, *reasons = export_verdicts(file, self.trust, self.earlier if earlier else None)
        assert verdict == "refused"
        return " | ".join(reasons)


@contextmanager
def days_ago(days: int) -> Iterator[None]:
    """Everything in here happens so many days earlier."""
    clock = time.time_ns
    with mock.patch.object(time, "time_ns", side_effect=lambda: clock() - days * DAY_MS * 1_000_000):
        yield


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """A chart that has lain still for two days when the checkpoint is taken."""
    path = tmp_path / "home"
    with days_ago(3):
        new_home(path, "Forging clinic")
        with node_of(path) as node:
            for name in "ab":
                node.client.put(f"Patient/{name}", patient(name))
            node.client.put("Observation/o", observation("o", "a", 1.5))
            node.client.get("Observation/o")
    with node_of(path) as node:
        kept = Kept(node, tmp_path)
        kept.keep()
        assert export_verdicts(kept.export(), kept.trust, kept.earlier) == ("anchored", "", "")
        yield kept


# ---- Time ---------------------------------------------------------------------------------------------------


def test_a_version_entered_now_and_dated_before_the_checkpoint(kept: Kept) -> None:
    """In order within its log, but the pinned block had not seen it."""
    early = kept.node.service.context.backend.now_ms() - 2 * DAY_MS
    with (
        mock.patch.object(kept.node.service.context.backend, "now_ms", return_value=early),
        mock.patch.object(Group, "_in_time", lambda self, version, first: version),
        mock.patch.object(Group, "_check_times"),
    ):
        assert kept.node.client.put("Observation/early", observation("early", "a", 9)).status == 201
    assert "dated back" in kept.why_refused(kept.export())
    assert export_verdicts(kept.export("access_log"), kept.trust)[0] == "anchored", (
        "it does not show the records"
    )


def test_a_chart_as_it_was_under_a_checkpoint_of_now(kept: Kept, tmp_path: Path) -> None:
    """The custodian keeps an older home, and shows its chart in the history of the newer one: what came since is cut."""
    old = json.loads(kept.earlier)
    kept.node.client.put("Observation/o", observation("o", "a", 99.5))
    kept.trust = kept.node.command("checkpoint")["file"].encode()
    home = kept.node.service.context.home
    with home.tables.env.begin() as txn:
        kv, ledger = LmdbKV(txn, home.tables.ledger), home.the_ledger
        size = ledger.height + 1

        def path_of(height: int) -> str:
            return encode_binary(b"".join(ledger.history_path(kv, height, size)))

        sizes = sorted({*old["history"]["sizes"], size})
        old["signed"] = {"note": home.sign_checkpoint(txn), "path": path_of(old["block"]["height"])}
        old["history"] = {
            "nodes": encode_binary(b"".join(ledger.history_subtrees(kv, sizes))),
            "sizes": sizes,
        }
        for pin in old["pins"]:
            pin["path"] = path_of(pin["block"]["height"])
    file = json.dumps(old, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert "trusted checkpoint" in kept.why_refused(file)


# ---- Consent ------------------------------------------------------------------------------------------------


def forged_leaf(kept: Kept) -> None:
    """A directive by a key of the custodian's, in a chart where hers is enrolled."""
    kept.device.enrol()
    with (
        mock.patch.object(directives, "is_bound", return_value=True),
        mock.patch.object(standing, "is_bound", return_value=True),
    ):
        Device(kept.node.command, "a", THEIRS).grant()


def swapped_key(kept: Kept) -> None:
    """Another key enrolled after hers, which hers did not sign."""
    kept.device.enrol()
    with mock.patch.object(enrolling, "follows", return_value=True):
        Device(kept.node.command, "a", THEIRS).enrol()


@pytest.mark.parametrize(
    ("forge", "why"), [(forged_leaf, "forged"), (swapped_key, "not signed by the one before")]
)
def test_a_forged_consent_is_refused_although_nobody_relied_on_it(
    kept: Kept, forge: Callable[[Kept], None], why: str
) -> None:
    forge(kept)
    assert why in kept.why_refused(kept.export())


def test_a_key_enrolled_before_hers_is_not_hers(kept: Kept) -> None:
    """The stand-alone program, as she would run it."""
    Device(kept.node.command, "a", THEIRS).enrol()
    (kept.folder / "trust").write_bytes(kept.trust)
    kept.export()
    found = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), str(kept.folder / "export"), "--trust", str(kept.folder / "trust"),
         "--key", compute_key_id(kept.device.key.public)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (6, "")
    assert "not the patient's" in found.stderr


@contextmanager
def writing(**changes: bytes | None) -> Iterator[None]:
    """Each block from here on writes these into the ledger's state, whatever its transactions say."""

    def cheat(*arguments: Any) -> Any:
        outcome = apply_block(*arguments)
        forged = {bytes.fromhex(key): value for key, value in changes.items()}
        return replace(outcome, changes={**outcome.changes, **forged})

    with mock.patch.object(chain, "apply_block", cheat):
        yield


def test_a_revoked_directive_that_is_active_again(kept: Kept) -> None:
    kept.device.enrol()
    id = kept.device.grant()
    kept.device.revoke(id)
    kept.keep()
    key = entry_key(bytes.fromhex(id))
    with kept.node.service.reader.snapshot() as snapshot:
        data = snapshot.state(key)
    assert data is not None
    entry = decode_entry(data)
    revived = ENTRY.encode(replace(entry, status=1, height=entry.height - 1))
    with writing(**{key.hex(): revived}):
        kept.node.client.put("Observation/o", observation("o", "a", 2.5))
    assert "revived" in kept.why_refused(kept.export(), earlier=True)
    kept.keep()
    assert export_verdicts(kept.export(), kept.trust)[0] == "anchored", "who has nothing earlier cannot know"


def test_a_deny_that_is_erased_like_a_misfiled_record(kept: Kept) -> None:
    kept.device.enrol()
    id = kept.device.grant(deny=True)
    kept.keep()
    with (
        mock.patch.object(erasing, "LEAF_TYPES", ()),
        mock.patch.object(erasing, "_lost_terms", lambda home, snapshot, version: {version.chart: set()}),
        mock.patch.object(exports, "_standings", return_value=[]),
    ):
        kept.node.command("erase", reference=f"Directive/{id}/_history/1", reason="misfiled")
        file = kept.export()
    assert "a Directive cannot be erased" in kept.why_refused(file, earlier=True)
    assert verify_export(file, kept.trust).kinds["erased"] == 1, "without one it is said"


# ---- Two of one ---------------------------------------------------------------------------------------------


def test_two_ledgers_from_one_backup(kept: Kept, tmp_path: Path) -> None:
    """The second one has what it likes in place of what the first one showed; each signs its own with the real keys."""
    copy_home(kept.node.path, tmp_path / "second", index=True)
    kept.node.client.put("Observation/o", observation("o", "a", 99.5))
    kept.keep()
    with node_of(tmp_path / "second") as second:
        for value in range(8):
            second.client.put("Observation/o", observation("o", "a", float(value)))
        other = Kept(second, tmp_path)
        other.keep()
        for file in (other.earlier, other.export("access_log")):
            assert "trusted checkpoint" in kept.why_refused(file)
        named = other.export(since=kept.trust.decode())
        assert "written anew" in kept.why_refused(named)
