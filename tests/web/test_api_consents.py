"""A patient's directives over `/api`: shown to herself, taken from her own device, in her own chart alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.node.consenting import ELSEWHERE, Device
from tests.web.api_support import Site, fill, site_of

LIST = "/api/charts/ada/consents"


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(tmp_path_factory.mktemp("api") / "home") as site:
        fill(site)
        yield site


def in_hex(params: dict[str, Any]) -> dict[str, Any]:
    """As the page sends it: without what the path says, bytes in hex."""
    given = {name: value for name, value in params.items() if name not in ("patient", "id")}
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in given.items()}


def of_device(site: Site) -> Device:
    device = Device(site.node.command, "ada", bytes(range(32)))
    device.enrol()
    return device


def test_a_grant_and_its_revocation_by_the_patients_device(site: Site) -> None:
    token, device = site.token(), of_device(site)
    prepared = site.ask(f"{LIST}/prepare?did={ELSEWHERE}", token).json
    told = device.prepare(dids=[ELSEWHERE])
    assert {name: prepared[name] for name in ("handle", "key", "organisation", "genesis_hash")} == {
        name: told[name].hex() for name in ("handle", "key", "organisation", "genesis_hash")
    }
    granted = site.ask(LIST, token, "POST", in_hex(device.signed()))
    assert granted.status == 201
    id = granted.json["id"]
    (row,) = site.ask(LIST, token).json["directives"]
    assert (row["id"], row["status"], row["bound"]) == (id, "active", True)
    assert site.node.client.get(granted.json["consent"]).status == 200
    assert site.ask(f"{LIST}/{id}/prepare", token).json["active"] is True
    revoked = site.ask(f"{LIST}/{id}/revoke", token, "POST", in_hex(device.revocation(id)))
    assert revoked.status == 200 and revoked.json["status"] == "revoked"
    assert site.ask(LIST, token).json["directives"][0]["status"] == "revoked"
    assert [one["rule"] for one in site.log() if one["kind"] == "consents"].count("own-chart") >= 5


def test_nobody_else_decides_or_sees(site: Site) -> None:
    device = of_device(site)
    id = device.grant()
    signed, revocation = in_hex(device.signed()), in_hex(device.revocation(id))
    ben = site.token(patient="ben", account="account-of-ben")
    reading = site.token(scope="patient/*.rs")
    clinician = site.token("clinician")
    asks = (
        ("GET", f"{LIST}/prepare", None),
        ("POST", LIST, signed),
        ("GET", f"{LIST}/{id}/prepare", None),
        ("POST", f"{LIST}/{id}/revoke", revocation),
    )
    height = site.node.service.context.home.height
    for method, path, body in asks:
        assert site.ask(path, "", method, body).status == 401
        assert site.ask(path, ben, method, body).status == 404
        assert site.ask(path, reading, method, body).status == 403
        assert site.ask(path, clinician, method, body).status == 403
    assert site.ask(LIST, ben).status == 404 and site.ask(LIST).status == 401
    own = f"/api/charts/ben/consents/{id}"
    assert site.ask(f"{own}/prepare", ben).status == 404, "in another chart it is not there"
    assert site.ask(f"{own}/revoke", ben, "POST", revocation).status == 404
    with_code = {"code": device.code(id).hex()}
    assert site.ask(f"{own}/revoke", ben, "POST", with_code).status == 404
    assert site.node.command("consent.list", patient="ada")["directives"][0]["status"] == "active"
    assert site.node.service.context.home.height - height <= 2, "no grant, no revocation: access heads alone"


def test_a_clinician_sees_the_directives_whose_consents_they_may_see(site: Site) -> None:
    device, clinician = of_device(site), site.token("clinician")
    device.grant()
    assert len(site.ask(LIST, clinician).json["directives"]) == 1
    device.grant(deny=True, to=("Practitioner/bo",), type=("Consent",), purpose=())
    hidden = site.ask(LIST, clinician)
    assert hidden.status in (200, 404) and b"did:careledger:5e" not in hidden.body
    assert len(site.ask(LIST, site.token()).json["directives"]) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 5000,
        b'{"patient":"ben"}',
        b'{"surprise":1}',
        b'{"text":"XY"}',
        b'{"text":"AB"}',
        b'{"text":7}',
        b'{"text":"ab"}',
    ],
)
def test_what_is_no_directive_is_refused(site: Site, body: bytes) -> None:
    of_device(site)
    answer = site.ask(LIST, site.token(), "POST", body or b" ")
    assert answer.status == 400 and answer.code and "directives" not in answer.json
    assert site.ask(LIST, site.token()).json["directives"] == []
