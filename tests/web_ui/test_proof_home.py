"""Files of real homes in the browser's verifier: embedded, on a network, and of an organisation that came to one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from careledger.ledger.light import LightBlock
from careledger.ledger.light_encoding import NO_BLOCK, BlockId, hash_header
from careledger.ledger.light_files import compose_signed_part, make_trust_file
from careledger.ledger.proof_files import SignedPart, encode_binary
from careledger.ledger.verification import read_any_trust
from careledger.node import exports
from careledger.node.explorer import Explorer
from careledger.node.finality import prove_history
from careledger.node.peers import Reply
from careledger.node.witnesses import Witnesses
from tests.faults.rig import Node, new_home, node_of, observation, patient
from tests.node.consenting import Device
from tests.node.test_exports import checkpoint, export
from tests.node.test_migrated_exports import ALTERED, Scene, _alter, cheap_keys, scene
from tests.node.test_migrating import send
from tests.node.test_witnesses import PEERS
from tests.node.test_witnesses import sign as sign_as
from tests.verifier.synthetic_chart import canonical
from tests.verifier.synthetic_network import make_header, sign, validators
from tests.web.api_support import fill, site_of
from tests.web_ui.browser import Browser, Case, compare, trust_of
from tests.web_ui.recording import record

__all__ = ["cheap_keys", "scene"]
MS_NS = 1_000_000


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("browser") / "proof")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with node_of(new_home(tmp_path / "home")) as node:
        node.client.put("Patient/ada", patient("ada"))
        yield node


def test_the_browser_verifies_what_a_home_writes_and_moves_its_trust_on(node: Node, browser: Browser) -> None:
    trust = checkpoint(node)
    node.client.put("Observation/o", observation("o", "ada", 1.5))
    body = node.client.get("Observation/o").body
    key_id = (device := Device(node.command, "ada", b"\1" * 32)).enrol()
    device.grant()
    receipt = str(node.command("receipt", reference="Observation/o")["file"]).encode()
    earlier = export(node, "ada")
    node.client.put("Observation/o", observation("o", "ada", 2.5))
    later, looks = export(node, "ada"), export(node, "ada", "access_log")
    node.client.put("Patient/grace", patient("grace"))
    files = [
        Case("receipt", receipt, trust, body=body),
        Case("receipt", receipt, trust, body=body + b" "),
        Case("export", later, trust, earlier=earlier, key=key_id),
        Case("export", later, trust, earlier=earlier, key="0" * 32),
        Case("export", earlier, trust, earlier=later),
        Case("export", looks, trust),
        Case("export", looks, checkpoint(node)),
    ]
    pairs = compare(browser, files)
    assert [one.code for one, _ in pairs] == [
        "",
        "body",
        "",
        "key-other",
        "earlier-access",
        "",
        "export-older",
    ]
    assert pairs[0][0].shown | {"ms": 0} == {
        "ok": True, "kind": "version", "type": "Observation", "id": "o", "version": 1, "isBodyChecked": True,
        "organisation": str(node.service.context.home.did), "level": "anchored", "ms": 0,
        **{name: pairs[0][0].shown[name] for name in ("time", "author", "index", "chartSize", "asOf")},
    }  # fmt: skip
    chart = pairs[2][0].shown["chart"]
    assert (chart["enrolledKey"], chart["directiveCount"], chart["withoutForce"]) == (key_id, 1, 0)
    # What is trusted moves on with an export, and never back.
    moved = browser.judge([Case("light", later, trust)])[0]
    assert moved.level == "anchored", moved
    newer = trust_of(moved)
    assert json.loads(newer)["note"] != json.loads(trust)["note"]
    held = compare(browser, [Case("export", looks, newer), Case("export", earlier, newer)])
    assert [one.code for one, _ in held] == ["", "export-older"]


def test_the_browser_follows_an_embedded_ledger_from_checkpoint_to_checkpoint(
    node: Node, browser: Browser
) -> None:
    """By what `/api/ledger/trust` answers; a history that does not continue the trusted one is refused."""
    trust, between = checkpoint(node), []
    for number in range(3):
        node.client.put(f"Observation/o-{number}", observation(f"o-{number}", "ada", 1.5))
        between.append(checkpoint(node))

    def continued(old: bytes, new: bytes, *, is_other: bool = False) -> bytes:
        sizes = [read_any_trust(one).size for one in (old, new)]
        with node.service.context.reader.snapshot() as snapshot:
            path = b"".join(Explorer(snapshot).prove_continued(*sizes))
        path = path[::-1] if is_other else path
        shown = {"from": sizes[0], "to": sizes[1], "path": encode_binary(path)}
        return json.dumps({"mode": "embedded", "checkpoint": json.loads(new), "continued": shown}).encode()

    first, last = between[0], between[-1]
    asked = [
        Case("light", continued(trust, last), trust),
        Case("light", continued(first, last), first),
        Case("light", continued(trust, trust), trust),
        Case("light", continued(trust, first), last),
        Case("light", continued(first, last), trust),
        Case("light", continued(first, last, is_other=True), first),
        Case("light", continued(first, without_a_key(last)), first),
        Case("light", continued(first, last), without_a_key(first)),
    ]
    said = browser.judge(asked)
    assert [trust_of(one) for one in said[:3]] == [last, last, trust]
    assert [one.code for one in said[3:6]] == ["older-checkpoint", "consistency-sizes", "consistency-root"]
    assert said[6].code == "trust-unsigned", "a key of the operator's has not signed"
    assert said[7].code == "note-signer", "a key of which the reader does not know"


def without_a_key(trust: bytes) -> bytes:
    """The trust file with the operator's first key, and signature, alone."""
    file = json.loads(trust)
    lines = file["note"].splitlines(keepends=True)
    return canonical(file | {"keys": file["keys"][:1], "note": "".join(lines[:5])})


def signed_block(home: Any) -> tuple[Any, LightBlock]:
    """(header of the newest block, the one after it), by four validators that every reader trusts."""
    chain, ledger, members = home.the_ledger.chain_id, home.the_ledger, validators("e0:10 e1:10 e2:10 m3:10")
    headers, last = [], NO_BLOCK
    for height, time_ms in ((home.height, ledger.time_ms), (home.height + 1, ledger.time_ms + 1_000)):
        made = make_header(chain, height, last, ledger.app_hash, members, members)
        headers.append(replace(made, time_ns=time_ms * MS_NS))
        last = BlockId(hash_header(headers[-1]), 1, bytes(32))
    return headers[0], sign(headers[1], members)


def test_both_pasts_of_a_chart_hold_in_the_browser(
    scene: Scene, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do in verify.py; what is left out or altered is refused by both."""
    monkeypatch.undo()
    trusts: list[bytes] = []

    def sign_newest(home: Any, txn: Any) -> tuple[SignedPart, int]:
        newest, block = signed_block(home)
        trusts.append(make_trust_file(block))
        return compose_signed_part([block], previous=newest, past=prove_history(home, txn)), home.height

    monkeypatch.setattr(exports, "_sign", sign_newest)
    data = scene.export()
    looks = scene.export(whole=False)
    send(scene.node, scene.before.revocation.message, None, scene.before.revocation)
    ended = scene.export()
    now = json.loads(ended)["block"]["time"]
    files = [
        Case("export", data, trusts[0], earlier=scene.earlier, now_ms=now),
        Case("export", looks, trusts[1], now_ms=now),
        Case("export", ended, trusts[2], earlier=data, now_ms=now),
        Case("export", ended, trusts[2], earlier=scene.earlier, now_ms=now),
        Case("export", ended, trusts[0], now_ms=now),
        Case("export", data, trusts[2], now_ms=now),
    ]
    altered = [Case("export", _alter(change)(data), trusts[0], now_ms=now) for change, _ in ALTERED.values()]
    pairs = compare(browser, [*files, *altered])
    print([(one.level, one.code) for one, _ in pairs])
    assert [one.level for one, _ in pairs[:4]] == ["final"] * 4
    assert all(one.level == "refused" for one, _ in pairs[len(files) :])


def test_what_witnesses_sign_of_the_apis_files_is_checked_in_the_browser(
    browser: Browser, tmp_path: Path
) -> None:
    """Under the trust file that `/api` gives; a line that is altered, or of nobody in that file, is refused."""
    with site_of(tmp_path / "home") as site:
        fill(site)
        context = site.node.service.context
        witnesses = Witnesses(
            context.home, context.sequencer, PEERS, 2, 1, lambda p, b: Reply(200, line=sign_as(p, b))
        )
        object.__setattr__(context, "witnesses", witnesses)
        site.node.service._witnesses = witnesses
        trust = site.ask("/api/checkpoint", site.token()).body
        paths = ("receipts/Observation/of-ada", "charts/ada/export", "charts/ada/access-export")
        files = [site.ask(f"/api/{path}?witnesses=all", site.token()).body for path in paths]
        own = site.ask(
            "/api/receipts/Observation/of-ada?witnesses=" + encode_binary(PEERS[0].key.public), site.token()
        )
    kinds = ("receipt", "export", "export")
    cases = [Case(kind, file, trust) for kind, file in zip(kinds, files, strict=True)]
    line = next(one for one in json.loads(files[0])["signed"]["note"].splitlines() if " w2 " in one)
    altered = line[:-8] + ("A" if line[-8] != "A" else "B") + line[-7:]
    stranger = json.loads(trust)
    stranger["witnesses"] |= {
        "k": 1,
        "keys": [key for key in stranger["witnesses"]["keys"] if key["name"] == "w1"],
    }
    stranger["note"] = "".join(one for one in stranger["note"].splitlines(keepends=True) if " w2 " not in one)
    pairs = compare(browser, [
        *cases,
        Case("receipt", own.body, trust),
        Case("receipt", own.body, canonical(stranger)),
        Case("receipt", files[0].replace(line.encode(), altered.encode()), trust),
        *(Case(case.kind, case.file, canonical(stranger)) for case in cases),
    ])  # fmt: skip
    assert [(one.level, one.code) for one, _ in pairs] == [
        *[("witnessed", "")] * 3,
        ("anchored", ""),  # one of two is too few, for this reader
        ("witnessed", ""),  # and enough for that one
        ("refused", "signature"),
        *[("refused", "note-signer")] * 3,
    ]
    moved = browser.judge([Case("light", files[1], trust)])[0]
    assert moved.level == "witnessed" and "witnesses" in json.loads(trust_of(moved))


def test_what_other_tests_make_of_real_homes_is_judged_alike(browser: Browser, tmp_path: Path) -> None:
    """Whole charts, moved, erased and under a passkey; and what a node that was tampered with wrote."""
    kept = record(["tests/node/test_exports.py", "tests/node/test_passkey_consents.py"], tmp_path / "kept")
    assert len(kept) > 20
    compare(browser, [case for case, _ in kept], [said for _, said in kept])
