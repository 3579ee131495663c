"""Sealed copies over HTTP: her own page wraps their key; `/api` hands out what nobody else can open."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from careledger.access import copies
from careledger.access.copies import WRAPS, Kind, wrap_key
from careledger.smart.sessions import STEP_UP_MS
from tests.faults.rig import new_home, node_of, patient
from tests.node.consenting import Device
from tests.verifier.twins import export_verdicts
from tests.web.api_support import Site, fill, site_of
from tests.web.people_support import CHEN, ROSA, Browser
from tests.web.test_deciding import Scene, asked, newest, patient_id, proof

SEED, KIT = b"\x31" * 32, b"\x51" * 32
ADDRESS = "/api/charts/ada/copy"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_of(tmp_path / "home") as site:
        fill(site)
        yield site


def wrap_for(site: Site) -> None:
    Device(site.node.command, "ada", SEED).enrol()
    given = site.node.command("copy.key", patient="ada")
    wraps = WRAPS.encode((wrap_key(given["key"], Kind.KEY_FILE, SEED, b"s" * 32),))
    site.node.command("copy.keep", patient="ada", epoch=given["epoch"], key_id=given["key_id"], wraps=wraps)


def test_a_sealed_copy_is_handed_out_as_an_export_is(site: Site) -> None:
    token = site.token()
    assert (site.ask(ADDRESS, token).status, site.ask(ADDRESS, token).code) == (409, "copy-not-prepared")
    wrap_for(site)
    trust = site.ask("/api/checkpoint", token).body
    answer = site.ask(ADDRESS, token)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "ada" not in answer.headers["content-disposition"]
    file, parts = io.BytesIO(answer.body), (io.BytesIO(), io.BytesIO())
    head = copies.read_header(file)
    copies.open_copy(file, head, copies.open_wraps(head, Kind.KEY_FILE, SEED), parts)
    for part in parts:
        assert export_verdicts(part.getvalue(), trust, None) == ("anchored", "", "")
    last = site.log()[-1]
    assert (last["kind"], last["what"], last["rule"]) == ("export", "Patient/ada sealed copy", "own-chart")
    assert site.node.service.context.spools._kept == {}


def test_who_may_have_no_export_gets_no_sealed_copy(site: Site) -> None:
    wrap_for(site)
    for token in (site.token(patient="ben"), site.token(scope="patient/AuditEvent.rs")):
        assert site.ask(ADDRESS, token).status in (403, 404)
    assert site.ask(ADDRESS).status == 401
    assert site.ask("/api/charts/nobody/copy", site.token("clinician")).status == 404
    assert site.ask(ADDRESS + "?since=3", site.token()).code == "parameter"
    assert "export" not in [one["kind"] for one in site.log()]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with node_of(new_home(tmp_path / "home")) as node:
        node.client.put(f"Patient/{patient_id(ROSA)}", patient(patient_id(ROSA)))
        scene = Scene(node)
        told = asked(scene.rosa, newest(scene.rosa))
        body = {"passkey": newest(scene.rosa), "proof": proof(scene.rosa, told)}
        assert scene.rosa.ask("/me/key/answer", json.dumps(body).encode()).status == 200
        yield scene


def post(browser: Browser, path: str, body: object) -> tuple[int, dict[str, Any]]:
    answer = browser.ask(path, json.dumps(body).encode())
    return answer.status, json.loads(answer.body)


def test_her_page_wraps_the_key_of_her_copies(scene: Scene) -> None:
    status, given = post(scene.rosa, "/me/copies/options", {})
    assert (status, given["credential"]) == (200, newest(scene.rosa))
    log = scene.node.command("access_log", patient=patient_id(ROSA))["entries"]
    assert [one["kind"] for one in log].count("copy-key") == 1
    key = bytes.fromhex(given["key"])
    wraps = [
        wrap_key(key, Kind.PASSKEY, b"p" * 32, b"s" * 32, bytes.fromhex(given["credential"])),
        wrap_key(key, Kind.KIT, KIT, b"t" * 32),
    ]
    said = {name: given[name] for name in ("epoch", "key_id")}
    one = {**said, "wraps": WRAPS.encode(tuple(wraps[:1])).hex()}
    assert post(scene.rosa, "/me/copies/answer", one)[1]["code"] == "one-wrap"
    both = {**said, "wraps": WRAPS.encode(WRAPS.sorted(wraps)).hex()}
    assert post(scene.rosa, "/me/copies/answer", {**both, "more": 1})[0] == 400
    assert post(scene.rosa, "/me/copies/answer", both) == (200, {"kinds": ["passkey", "kit"]})
    assert json.loads(scene.rosa.ask("/me/key/options").body)["copies"] == ["passkey", "kit"]


def test_the_key_of_her_copies_goes_to_her_alone_verified_a_moment_ago(scene: Scene) -> None:
    assert post(scene.person(CHEN), "/me/copies/options", {})[0] == 403
    scene.house.registry.now_ms += STEP_UP_MS
    for path in ("/me/copies/options", "/me/copies/answer"):
        assert post(scene.rosa, path, {})[1]["code"] == "step-up-needed"
    log = scene.node.command("access_log", patient=patient_id(ROSA))["entries"]
    assert "copy-key" not in [one["kind"] for one in log]
    assert scene.rosa.step_up().status == 200
    assert post(scene.rosa, "/me/copies/options", {})[0] == 200
    scene.rosa.csrf = "x"
    assert post(scene.rosa, "/me/copies/options", {})[0] == 403
