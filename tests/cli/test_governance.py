"""`careledger org` and `parameters`: two homes, of which one is the operator of its ledger, served and stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from careledger.cli.run import run
from careledger.node.admission import AdmissionRequest
from careledger.node.layout import Layout
from tests.faults.killing import serving
from tests.faults.rig import PASSPHRASE, new_home, node_of, patient

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call(words…)` runs one command and gives (exit code, stdout, stderr)."""
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARELEDGER_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.delenv("CARELEDGER_HOME", raising=False)

    def run_one(*words: str) -> tuple[int, str, str]:
        code = run(words)
        out, err = capsys.readouterr()
        return code, out, err

    return run_one


@pytest.fixture(params=["stopped", "served"])
def operator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    path = new_home(tmp_path / "operator")
    with serving(path, 1) if request.param == "served" else nullcontext():
        yield path


def get_json(call: Call, *words: str) -> dict[str, Any]:
    code, out, err = call(*words, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def did_of(home: Path) -> str:
    return Layout(home).read().did


def test_an_organisation_asks_and_is_admitted(call: Call, operator: Path, tmp_path: Path) -> None:
    lab, at = new_home(tmp_path / "lab", "Riverside Laboratory"), ("--home", str(operator))
    asked = ("org", "request", "--to", did_of(operator), "-o", "request.json", "--home", str(lab))
    assert call(*asked, "--end-point", "https://lab.example/fhir") == (0, "", "")
    written = (tmp_path / "request.json").read_bytes()
    request = msgspec.json.decode(written, type=AdmissionRequest)
    assert (request.name, request.end_points) == ("Riverside Laboratory", ("https://lab.example/fhir",))
    assert get_json(call, "org", "admit", "request.json", *at)["did"] == did_of(lab)
    first, second = get_json(call, "org", "list", *at)["organisations"]
    assert (first["did"], first["operator"], first["height"]) == (did_of(operator), True, 0)
    assert (second["did"], second["operator"], second["active"]) == (did_of(lab), False, True)
    assert second["end_points"] == ["https://lab.example/fhir"]
    assert "Riverside Laboratory" in call("org", "list", *at)[1]
    code, out, err = call("org", "admit", "request.json", *at)
    assert (code, out) == (5, "")
    assert "code 201" in err
    assert get_json(call, "org", "deactivate", did_of(lab), *at)["height"] > second["height"]
    assert not get_json(call, "org", "list", *at)["organisations"][1]["active"]
    assert get_json(call, "fsck", *at)["problems"] == []


def test_parameters_are_shown_and_set_within_their_bounds(call: Call, operator: Path) -> None:
    at = ("--home", str(operator))
    shown = get_json(call, "parameters", "show", *at)
    assert "careledger" in shown["profile"]
    for row in shown["parameters"]:
        assert row["least"] <= row["value"] <= row["most"]
        for value in (row["least"] - 1, row["most"] + 1):
            code, out, err = call("parameters", "set", row["name"], str(value), *at)
            assert (code, out) == (1, "")
            assert str(row["least"]) in err
        assert get_json(call, "parameters", "set", row["name"], str(row["least"]), *at)["height"]
    after = get_json(call, "parameters", "show", *at)
    assert [row["value"] for row in after["parameters"]] == [row["least"] for row in shown["parameters"]]
    assert call("parameters", "set", "audit", "0", *at)[0] == 1
    assert "quota_bytes_day" in call("parameters", "show", *at)[1]


def test_with_the_least_parameters_a_home_goes_on(tmp_path: Path, call: Call) -> None:
    home = new_home(tmp_path / "home")
    for row in get_json(call, "parameters", "show", "--home", str(home))["parameters"]:
        get_json(call, "parameters", "set", row["name"], str(row["least"]), "--home", str(home))
    with node_of(home) as node:
        assert node.client.put("Patient/p0", patient("p0")).status == 201
    with node_of(home) as node:
        assert node.client.get("Patient/p0").status == 200
        assert node.fsck() == []


def test_requests_that_do_not_hold(call: Call, tmp_path: Path) -> None:
    home, lab = new_home(tmp_path / "home"), new_home(tmp_path / "lab", "Riverside Laboratory")
    other = new_home(tmp_path / "other", "Elsewhere")
    at = ("--home", str(home))
    for operator, file in ((home, "good.json"), (other, "other.json")):
        assert call("org", "request", "--to", did_of(operator), "-o", file, "--home", str(lab))[0] == 0
    good = (tmp_path / "good.json").read_text()
    foreign = json.loads((tmp_path / "other.json").read_text())["node"]["proof"]
    cases = {
        "other.json": (tmp_path / "other.json").read_text(),
        "name.json": good.replace("Riverside", "Lakeside"),
        "proof.json": good.replace(json.loads(good)["node"]["proof"], foreign),
        "space.json": good + "\n",
        "more.json": good.replace('{"end_points"', '{"admin":true,"end_points"'),
        "empty.json": "",
        "deep.json": "[" * 100_000,
    }
    expected = {"other.json": 1, "name.json": 5, "proof.json": 5}
    for file, text in cases.items():
        assert text != good
        (tmp_path / file).write_text(text)
        code, out, err = call("org", "admit", file, *at)
        assert (code, out) == (expected.get(file, 6), ""), (file, err)
        assert "hint:" in err
    assert call("org", "admit", "nowhere.json", *at)[0] == 2
    assert call("org", "request", *at)[0] == 2
    assert call("org", "request", "--to", "did:careledger:1", *at)[0] == 1
    assert call("org", "request", "--to", did_of(home), *at)[0] == 1
    assert call("org", "deactivate", did_of(home), *at)[0] == 5
    assert len(get_json(call, "org", "list", *at)["organisations"]) == 1
    assert get_json(call, "org", "admit", "good.json", *at)["did"] == did_of(lab)
