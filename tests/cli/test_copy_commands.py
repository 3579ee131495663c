"""`careledger chart copy` and `copy`: a sealed copy by key file and by kit, opened for both verifiers, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from careledger.access.copies import PARTS, WRAPS, Kind, wrap_key
from careledger.access.patient_keys import PatientKey
from tests.cli.test_consent import Call, call, done, either, home
from tests.faults.rig import node_of
from tests.ledger.passkeys import Passkey
from tests.node.passkey_device import PasskeyDevice
from tests.verifier.twins import export_verdict

__all__ = ["call", "either", "home"]
KIT = b"\x51" * 32


def test_who_enrolled_a_key_file_has_sealed_copies(call: Call, either: Path, tmp_path: Path) -> None:
    done(call, "patient", "enrol", "anna", "--key-out", "anna.key")
    done(call, "checkpoint", "-o", "trust")
    done(call, "chart", "copy", "anna", "-o", "anna.sealed")
    assert b"Observation" not in (tmp_path / "anna.sealed").read_bytes()
    out = done(call, "copy", "open", "anna.sealed", "--key", "anna.key", "-o", "opened")
    assert out.split() == [f"opened/{name}" for name in PARTS]
    assert (tmp_path / "opened").stat().st_mode & 0o777 == 0o700
    trust = (tmp_path / "trust").read_bytes()
    for name in PARTS:
        assert export_verdict((tmp_path / "opened" / name).read_bytes(), trust) == "anchored"
        done(call, "verify", f"opened/{name}", "--trust", "trust")
    done(call, "erase", "Observation/pulse/_history/1", "--reason", "misfiled", "--yes")
    code, _, err = call("chart", "copy", "anna", "-o", "again.sealed")
    assert code != 0
    assert "copy prepare" in err
    done(call, "copy", "prepare", "anna", "--key", "anna.key")
    done(call, "chart", "copy", "anna", "-o", "again.sealed")
    done(call, "copy", "open", "again.sealed", "--key", "anna.key", "-o", "again")
    assert b'"valueQuantity"' not in (tmp_path / "again" / PARTS[0]).read_bytes().replace(b"\\", b"")


def test_a_copy_opens_by_the_printed_kit_and_by_nobody_elses_key(
    call: Call, home: Path, tmp_path: Path
) -> None:
    with node_of(home) as node:
        PasskeyDevice(node.command, "anna", Passkey("anna")).enrol(recovery=PatientKey(KIT).public)
        given = node.command("copy.key", patient="anna")
        wrap = wrap_key(given["key"], Kind.KIT, KIT, b"s" * 32)
        kept = {"epoch": given["epoch"], "key_id": given["key_id"], "wraps": WRAPS.encode((wrap,))}
        node.command("copy.keep", patient="anna", **kept)
    done(call, "chart", "copy", "anna", "-o", "anna.sealed")
    (tmp_path / "kit").write_text(KIT.hex() + "\n")
    (tmp_path / "other").write_text("52" * 32)
    done(call, "patient", "enrol", "berta", "--key-out", "berta.key")
    altered = bytearray((tmp_path / "anna.sealed").read_bytes())
    altered[-1] ^= 1
    (tmp_path / "altered").write_bytes(altered)
    before = sorted(os.listdir(tmp_path))
    for words in (
        ("anna.sealed", "--kit", "other", "-o", "opened"),
        ("anna.sealed", "--key", "berta.key", "-o", "opened"),
        ("altered", "--kit", "kit", "-o", "opened"),
        ("kit", "--kit", "kit", "-o", "opened"),
        ("anna.sealed", "--kit", "kit"),
        ("anna.sealed", "-o", "opened"),
        ("nothing", "--kit", "kit", "-o", "opened"),
        ("anna.sealed", "--kit", "kit", "-o", "home"),
    ):
        code, out, err = call("copy", "open", *words)
        assert (code != 0, out, bool(err)) == (True, "", True), words
    assert sorted(os.listdir(tmp_path)) == before, "nothing half opened stays"
    done(call, "copy", "open", "anna.sealed", "--kit", "kit", "-o", "opened")
    code, _, err = call("copy", "prepare", "anna", "--key", "berta.key")
    assert code != 0
    assert "enrolled" in err
