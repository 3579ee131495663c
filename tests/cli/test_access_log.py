"""`careledger access-log` shows each look, and an emergency loudly."""

from __future__ import annotations

from pathlib import Path

import pytest

from careledger.cli.run import run
from tests.faults.rig import PASSPHRASE, new_home, node_of, patient
from tests.fhir.deciding import caller

REASON = {"name": "reason", "valueString": "found alone and unconscious"}


def test_an_emergency_is_a_notice_in_the_patients_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("CARELEDGER_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    home = new_home(tmp_path / "home")
    with node_of(home) as node:
        for name in ("anna", "berta"):
            node.client.put(f"Patient/{name}", patient(name))
        house = node.client.who.organisation
        duty = caller(node.client, organisation=house, practitioner="owl", purpose="ETREAT")
        sent = {"resourceType": "Parameters", "parameter": [REASON]}
        assert duty.post("Patient/anna/$emergency-access", sent).status == 200
        node.client.get("Patient/berta")
    for name, notices in (("anna", 1), ("berta", 0)):
        assert run(["access-log", name, "--home", str(home)]) == 0
        out, err = capsys.readouterr()
        assert (REASON["valueString"] in out) is bool(notices)
        assert err.count("emergency access was taken, times: 1") == notices
