"""The application's interface: it shows what FHIR would show to the same token, entered before a byte, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from careledger.access.tokens import TokenVerifier
from careledger.ledger.export_verification import verify_export
from careledger.ledger.verification import verify_receipt
from careledger.node.callers import Caller, Packed, unpack
from careledger.node.log import _bounded
from careledger.node.spools import SPOOLS_OF_CALLER_MAX
from careledger.smart.accounts import Account, add_account
from careledger.web.api import charts
from careledger.web.api.app import ROUTES
from tests.faults.killing import serving
from tests.faults.rig import appointment, patient
from tests.node.consenting import Device
from tests.web.api_support import Site, fill, site_of

OF_ADA = (
    "/api/receipts/Observation/of-ada",
    "/api/receipts/Observation/of-ada/_history/1",
    "/api/charts/ada/head",
    "/api/charts/ada/accesses",
    "/api/charts/ada/export",
    "/api/charts/ada/access-export",
)
SECRET = (b"Lovelace", b"8867-4", b"of-ada")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(tmp_path_factory.mktemp("api") / "home") as site:
        fill(site)
        yield site


def ben(site: Site) -> str:
    return site.token(patient="ben", account="account-of-ben")


def test_me_says_who_is_signed_in(site: Site) -> None:
    me = site.ask("/api/me", site.token()).json
    assert (me["kind"], me["fhir_user"], me["patient"]) == ("patient", "Patient/ada", "ada")
    assert me["organisation"] == {"name": "Test clinic", "did": site.node.service.context.home.did}
    assert (me["mode"], me["is_demo"], me["language"]) == ("embedded", False, "en")
    assert site.ask("/api/me", site.token(), accept_language="fr, es-MX;q=0.9").json["language"] == "es"
    assert site.ask("/api/me", site.token("clinician")).json["fhir_user"] == "Practitioner/bo"
    registry = site.api.parts.authority.server.registry
    cem = Account(id="account-of-cem", kind="administrator", name="Cem", duties=("audit", "keys"))
    site.node.run(add_account(registry, cem))
    me = site.ask("/api/me", site.token("program", account="account-of-cem")).json
    assert (me["kind"], me["name"], me["duties"]) == ("administrator", "Cem", ["audit", "keys"])


def test_a_receipt_verifies_under_the_checkpoint(site: Site) -> None:
    token = site.token()
    receipt = site.ask("/api/receipts/Observation/of-ada", token)
    checkpoint = site.ask("/api/checkpoint", token)
    assert receipt.status == checkpoint.status == 200
    body = site.node.client.get("Observation/of-ada").body
    verify_receipt(receipt.body, checkpoint.body, body)
    assert receipt.headers["cache-control"] == "no-store"
    entry = [one for one in site.log() if one["kind"] == "receipt"][-1]
    assert (entry["rule"], entry["what"], entry["permitted"]) == ("own-chart", "Observation/of-ada", True)
    assert len(entry["versions"]) == 1


def test_exports_verify_and_say_that_they_were_made(site: Site) -> None:
    token = site.token()
    trust = site.ask("/api/checkpoint", token).body
    whole = site.ask("/api/charts/ada/export?since=3", token)
    log = site.ask("/api/charts/ada/access-export", token)
    assert int(whole.headers["content-length"]) == len(whole.body)
    assert "filename" in whole.headers["content-disposition"]
    for file in (whole, log):
        verify_export(file.body, trust, now_ms=site.node.service.context.backend.now_ms())
    assert 3 in whole.json["history"]["sizes"] and 3 not in log.json["history"]["sizes"]
    assert site.ask("/api/charts/ada/export?since=999999", token).code == "parameter"
    assert "entries" in json.loads(whole.body) and "entries" not in json.loads(log.body)
    assert b"8867-4" in whole.body and b"8867-4" not in log.body
    kinds = [one["what"] for one in site.log() if one["kind"] == "export"]
    assert kinds[-2:] == ["Patient/ada", "Patient/ada access log"]
    assert not site.node.service.context.spools._kept


def test_what_stands_in_two_charts_is_proved_to_each_patient_in_their_own(site: Site) -> None:
    visit = appointment("visit", ["ada", "ben"])
    assert site.node.client.put("Appointment/visit", visit).status == 201
    handles = {}
    for who in ("ada", "ben"):
        export = site.ask(f"/api/charts/{who}/export", site.token(patient=who)).json
        handles[who] = export["handle"]
        receipt = site.ask("/api/receipts/Appointment/visit", site.token(patient=who))
        assert receipt.json["header"]["handle"] == handles[who], "nobody learns of another's chart"
    assert handles["ada"] != handles["ben"]


@pytest.mark.parametrize("path", OF_ADA)
def test_who_may_not_see_it_gets_what_is_not_there(site: Site, path: str) -> None:
    """Strangers 401; another patient, and a clinician of another house, what a chart that is not there gives."""
    stranger = site.ask(path)
    assert (stranger.status, stranger.code) == (401, "token-missing")
    missing = site.ask(path.replace("ada", "nobody"), ben(site))
    outsider = site.token("clinician", organisation="did:careledger:" + "5e" * 32)
    entries = len(site.log("ada"))
    for token in (ben(site), outsider):
        answer = site.ask(path, token)
        assert (answer.status, answer.body) == (404, missing.body)
        assert not any(secret in answer.body for secret in SECRET)
        denied = site.log("house")[-1]
        assert (denied["kind"], denied["permitted"]) == ("denied", False)
    assert len(site.log("ada")) == entries, "nothing was looked at"
    narrow = site.ask(path, site.token(scope="patient/Immunization.rs"))
    assert narrow.status == 403 and not any(secret in narrow.body for secret in SECRET)


def test_a_suspended_practitioner_and_a_revoked_token_get_nothing(site: Site) -> None:
    suspended = site.token("clinician", did="did:careledger:" + "ab" * 32)  # not active on the ledger
    revoked = site.token("clinician", token_id="gone")
    site.node.command("token.revoke", token="gone")
    for path in (*OF_ADA, "/api/me", "/api/checkpoint", "/api/ledger", "/api/ledger/blocks"):
        assert site.ask(path, suspended).code == "practitioner-not-active"
        assert site.ask(path, revoked).code == "token-revoked"


def test_what_a_directive_hides_is_in_no_receipt_and_no_export(tmp_path: Path) -> None:
    with site_of(tmp_path / "home") as site:
        fill(site)
        device = Device(site.node.command, "ada", bytes(range(32)))
        device.enrol()
        clinician = site.token("clinician")
        assert site.ask("/api/charts/ada/export", clinician).status == 200
        id = device.grant(deny=True, to=("Practitioner/bo",), type=("Observation",), purpose=())
        hidden = site.ask("/api/receipts/Observation/of-ada", clinician)
        assert hidden.body == site.ask("/api/receipts/Observation/nothing", clinician).body
        assert site.ask("/api/receipts/Patient/ada", clinician).status == 200
        export = site.ask("/api/charts/ada/export", clinician)
        assert (export.status, export.body) == (404, hidden.body), "a part of a chart is no chart"
        assert site.ask("/api/charts/ada/export", site.token()).status == 200
        device.revoke(id)
        assert site.ask("/api/charts/ada/export", clinician).status == 200


def test_nothing_leaves_that_the_log_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with site_of(tmp_path / "home") as site:
        fill(site)
        token, clinician = site.token(), site.token("clinician")
        site.node.rest()

        def full(descriptor: int, data: bytes, offset: int) -> int:
            raise OSError(errno.ENOSPC, "planted")

        monkeypatch.setattr(os, "pwrite", full)
        for path in OF_ADA:
            for asks in (token, clinician):
                answer = site.ask(path, asks)
                assert answer.status == 503 and answer.code, (path, answer.body)
                assert not any(secret in answer.body for secret in SECRET)
        assert not site.node.service.context.spools._kept


def test_the_access_log_tells_who_when_why_and_on_what_authority(site: Site) -> None:
    site.ask("/api/receipts/Observation/of-ada", site.token("clinician"))
    first = site.ask("/api/charts/ada/accesses?count=2", site.token()).json
    own, seen = first["entries"]
    assert (own["action"], own["rule"]) == ("audit", "own-chart"), "this look is in it"
    assert seen["who"]["name"] == "Bo Osler" and seen["action"] == "receipt"
    assert seen["organisation"]["name"] == "Test clinic"
    assert (seen["purpose"], seen["rule"]) == ("TREAT", "custodian-default")
    assert seen["resources"] == ["Observation/of-ada"]
    following = site.ask(f"/api/charts/ada/accesses?count=2&before={first['next']}", site.token()).json
    assert [one["index"] for one in following["entries"]] == [first["next"] - 1, first["next"] - 2]
    assert site.ask("/api/charts/ada/accesses?count=9&before=x", site.token()).code == "parameter"
    assert site.ask("/api/charts/ada/accesses?since=1", site.token()).code == "parameter"


def test_an_emergency_is_told_with_its_reason_and_opens_the_chart_for_its_time(tmp_path: Path) -> None:
    reason = "unconscious after a fall, no relatives"
    with site_of(tmp_path / "home") as site:
        fill(site)
        Device(site.node.command, "ada", bytes(range(32))).enrol()
        device = Device(site.node.command, "ada", bytes(range(32)))
        device.grant(deny=True, to=(site.node.service.context.home.did,), purpose=())
        duty = site.token("clinician", purpose="ETREAT")
        assert site.ask("/api/receipts/Observation/of-ada", duty).status == 404
        sent = {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": reason}]}
        body = json.dumps(sent).encode()
        opened = site.ask(
            "/fhir/Patient/ada/$emergency-access", duty, "POST", body, content_type="application/fhir+json"
        )
        assert opened.status == 200, opened.body
        assert site.ask("/api/receipts/Observation/of-ada", duty).status == 200
        seen, entered = site.ask("/api/charts/ada/accesses?count=3", site.token()).json["entries"][1:]
        assert (entered["action"], entered["reason"], entered["what"]) == ("emergency", reason, "")
        assert (seen["rule"], seen["purpose"]) == ("emergency", "ETREAT")
        assert site.ask("/api/charts/ada/export", site.token("clinician")).status == 404


def test_a_query_is_shown_to_the_patient_without_its_values(site: Site) -> None:
    site.node.client.get("Patient?family=Lovelace")
    shown = site.ask("/api/charts/ada/accesses", site.token())
    assert b"Patient?family=" in shown.body and b"Lovelace" not in shown.body
    assert b"family=Lovelace" in site.ask("/api/charts/ada/accesses", site.token("clinician")).body


def test_the_head_waits_for_what_changes_and_tells_sizes_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "POLL_SECONDS", 0.01)
    token = site.token()
    site.ask("/api/charts/ada/head", token)
    site.node.rest()
    entered = len(site.log())
    now = site.ask("/api/charts/ada/head", token).json
    assert set(now) == {"records", "accesses", "height", "after"}
    assert now["accesses"] == entered, "one token's look at the sizes is entered once"

    async def wait_and_write() -> tuple[int, int]:
        waiting = asyncio.ensure_future(site.aask(f"/api/charts/ada/head?after={now['records']}.*.*", token))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        written = await site.node.client.asend("PUT", "Patient/ada", patient("ada", "Lovelace"))
        assert written.status == 200
        reply = await asyncio.wait_for(waiting, 10)
        return reply.status, reply.json["records"]

    assert site.node.run(wait_and_write()) == (200, now["records"] + 1)
    assert site.ask("/api/charts/ada/head?after=1", token).code == "parameter"


def test_a_wait_ends_with_its_token_and_few_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "POLL_SECONDS", 0.01)
    token = site.token(token_id="waits")
    now = site.ask("/api/charts/ada/head", token).json
    path = f"/api/charts/ada/head?after={now['records']}.*.*"

    async def wait() -> list[int]:
        waiting = [asyncio.ensure_future(site.aask(path, token)) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert [one.done() for one in waiting].count(True) == 1
        params = {"token": "waits"}
        await site.node.service.command("token.revoke", params, lambda _step: None)
        return sorted(reply.status for reply in await asyncio.wait_for(asyncio.gather(*waiting), 10))

    assert site.node.run(wait()) == [401, 401, 401, 401, 503]
    assert not site.api.parts.watching.waiting


def test_an_export_that_nobody_takes_does_not_stay(site: Site) -> None:
    """Whoever begins many is told to wait; when the client goes nothing is left."""
    context = site.node.service.context
    kept = [context.spools.open("account-of-ada") for _ in range(SPOOLS_OF_CALLER_MAX)]
    assert site.ask("/api/charts/ada/export", site.token()).code == "busy"
    for one in kept:
        context.spools.close(one.id)
    assert site.ask("/api/charts/ada/export", site.token(), method="HEAD").body == b""
    assert not context.spools._kept


def test_what_waits_on_the_disk_cannot_be_read_there(site: Site) -> None:
    spool = site.node.service.context.spools.open("somebody")
    text = b"Lovelace" * 100_000
    spool.write(text[:5])
    spool.write(text[5:])
    spool.finish()
    spool._file.seek(0)
    assert b"Lovelace" not in spool._file.read()
    assert b"".join(spool.read(number) for number in range(spool.pieces)) == text
    site.node.service.context.spools.close(spool.id)


def test_methods_and_addresses_are_those_of_the_table(site: Site) -> None:
    token = site.token()
    assert site.ask("/api/me", token, "DELETE").status == 405
    assert site.ask("/api/me", token, "OPTIONS").headers["allow"] == "GET, OPTIONS"
    head = site.ask("/api/me", token, "HEAD")
    assert (head.status, head.body) == (200, b"") and int(head.headers["content-length"]) > 0
    for path in ("/api/", "/api/nothing", "/api/charts/ada", "/api/receipts/Observation/%2e%2e"):
        assert site.ask(path, token).status == 404
    assert site.ask("/api/me", token, "GET", b"{}").status == 400


@pytest.mark.slow
def test_several_workers_answer_as_one_process_does(tmp_path: Path) -> None:
    """Each worker asks the writer over the socket: receipts, exports, directives and refusals are the same."""
    path = tmp_path / "home"
    with site_of(path) as site:
        fill(site)
        Device(site.node.command, "ada", bytes(range(32))).enrol()
        token, other = site.token(), ben(site)

    def ask(port: int, url: str, bearer: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", url, headers={"Authorization": f"Bearer {bearer}"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    with serving(path, 2) as (_, port):
        checkpoint = ask(port, "/api/checkpoint", token)[1]
        for _ in range(4):  # a connection each: both workers answer some
            for url in (*OF_ADA, "/api/charts/ada/consents", "/api/network", "/api/ledger/blocks/1"):
                assert ask(port, url, token)[0] == 200, url
            for url in OF_ADA:
                assert ask(port, url, other)[0] == 404, url
        receipt = ask(port, OF_ADA[0], token)[1]
        verify_receipt(receipt, checkpoint)
        verify_export(ask(port, "/api/charts/ada/export", token)[1], checkpoint)


def test_logs_know_an_address_by_its_template(site: Site) -> None:
    for route in ROUTES:
        assert _bounded("route", route.path) == route.path
    assert _bounded("route", "/api/charts/ada/head") == "(not a template)"
    assert site.api.template("/api/charts/ada/head") == "/api/charts/{id}/head"
    assert site.api.template("/api/charts/ada") == "/api"


def test_who_waits_is_answered_when_the_process_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "POLL_SECONDS", 0.01)
    token = site.token()
    now = site.ask("/api/charts/ada/head", token).json

    async def leave() -> int:
        path = f"/api/charts/ada/head?after={now['records']}.*.*"
        waiting = asyncio.ensure_future(site.aask(path, token))
        await asyncio.sleep(0.05)
        site.api.leave()
        return (await asyncio.wait_for(waiting, 5)).status

    try:
        assert site.node.run(leave()) == 200
    finally:
        site.api.parts.watching.is_leaving = False


ODD = (
    "ada", "", "0", "-1", "9" * 15, "x" * 129, "%00", "%ff", "%2e%2e", "a%2fb", "0" * 64, "did:careledger:" + "0" * 64,
    "Patient", "*.*.*", "1.2.3", "%C3%A9", "%D9%A1", "records.anchor", "{}",
)  # fmt: skip
BODIES = (b"{}", b"[]", b'{"text":"00"}', b'{"sequence":99999999999999999999}', b'{"text":null}', b"[" * 999)


def test_strange_requests_are_refused_in_one_form(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "WAIT_SECONDS", 0.0)
    chance = random.Random(7)
    tokens = (site.token(), site.token("clinician"), site.token("program"), "")
    for _ in range(600):
        route = chance.choice(ROUTES)
        path = re.sub(r"\{[a-z]+\}", lambda _: chance.choice((*ODD, "ada", "ada")), route.path)
        names = ("after", "before", "count", "since", "height", "q", "did", "zz")
        query = "&".join(f"{chance.choice(names)}={chance.choice(ODD)}" for _ in range(chance.randrange(3)))
        body = chance.choice(BODIES) if route.method == "POST" else None
        reply = site.ask(f"{path}?{query}", chance.choice(tokens), route.method, body)
        assert reply.status < 500, (path, query, body, reply.body)
        assert reply.status < 400 or reply.code


def test_what_was_waited_for_is_decided_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "POLL_SECONDS", 0.01)
    with site_of(tmp_path / "home") as site:
        fill(site)
        device = Device(site.node.command, "ada", bytes(range(32)))
        device.enrol()
        token = site.token("clinician")
        now = site.ask("/api/charts/ada/head", token).json
        signed = device.signed(deny=True, to=("Practitioner/bo",), purpose=())

        async def deny() -> int:
            waiting = asyncio.ensure_future(
                site.aask(f"/api/charts/ada/head?after={now['records']}.*.*", token)
            )
            await asyncio.sleep(0.05)
            await site.node.service.command("consent.grant", signed, lambda _step: None)
            return (await asyncio.wait_for(waiting, 10)).status

        assert site.node.run(deny()) == 404


def test_a_chart_that_was_shredded_meanwhile_is_absent_not_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "POLL_SECONDS", 0.01)
    with site_of(tmp_path / "home") as site:
        fill(site)
        token = site.token("program")
        now = site.ask("/api/charts/ada/head", token).json

        async def shred() -> tuple[int, str]:
            waiting = asyncio.ensure_future(
                site.aask(f"/api/charts/ada/head?after={now['records']}.*.*", token)
            )
            await asyncio.sleep(0.05)
            asked = {"patient": "ada", "reason": "asked"}
            await site.node.service.command("shred", asked, lambda _step: None)
            reply = await asyncio.wait_for(waiting, 10)
            return reply.status, reply.code

        assert site.node.run(shred()) == (404, "not-found")


def test_a_caller_reaches_the_writer_as_they_are(site: Site) -> None:
    scope = "launch/patient openid patient/Condition.rs patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
    token = site.token(
        scope=scope, roles=("nurse", "ward 7"), did="did:careledger:" + "ab" * 32, practitioner="bo"
    )
    read = site.api.parts.authority.server
    verifier = TokenVerifier(
        site.issuer.public_key, read.organisation, site.node.service.context.home.file.chain_id, lambda _: False, read.now_ms
    )  # fmt: skip
    actor = verifier.read(token.encode())
    assert actor.scopes.outside and actor.roles
    packed = msgspec.msgpack.decode(msgspec.msgpack.encode(Caller(actor, bytes(16)).pack()), type=Packed)
    assert unpack(packed) == Caller(actor, bytes(16))
