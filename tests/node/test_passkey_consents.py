"""A patient decides with a passkey: what the node takes, what it refuses without a trace, and what both verifiers say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from careledger.access.directives import Grantee
from careledger.access.grants import continuation
from careledger.access.patient_keys import PatientKey
from careledger.node.remembering import Remembering, end_outlived
from careledger.primitives.errors import CareLedgerError, Conflict, Invalid, VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.primitives.webauthn import ASSERTION
from careledger.smart.consenting import compute_text_digest
from careledger.smart.grants import GRANTS as GRANT_TABLE
from careledger.smart.grants import Grant, grant_key, list_grants
from careledger.smart.memories import BEGINNING_MS, MEMORIES, begin_memory
from careledger.smart.remembering import Remembered
from careledger.vault.registry import Change
from tests.faults.rig import Node, new_home, node_of, observation, patient
from tests.ledger.passkeys import UP, Passkey
from tests.node.consenting import Device
from tests.node.passkey_device import PasskeyDevice
from tests.verifier.twins import export_verdict

Params = dict[str, Any]
KIT = PatientKey(b"k" * 32)
APP = (Grantee(kind="client", value="app-1"),)


@dataclass(slots=True)
class Scene:
    """Anna's passkey is enrolled; Eve's is nobody's, and she says it is Anna's."""

    node: Node
    anna: PasskeyDevice
    eve: PasskeyDevice

    def listed(self) -> dict[str, tuple[str, bool]]:
        found = self.node.command("consent.list", patient="anna")["directives"]
        return {one["id"]: (one["status"], one["bound"]) for one in found}

    def status_of(self, id: str) -> tuple[str, bool]:
        return self.listed()[id]

    def verdict(self, folder: Path) -> str:
        """What both verifiers say of an export of Anna's chart."""
        trust, export = folder / "trust", folder / "export"
        trust.write_bytes(str(self.node.command("checkpoint")["file"]).encode())
        self.node.command("chart.export", patient="anna", path=str(export))
        return export_verdict(export.read_bytes(), trust.read_bytes())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with node_of(new_home(tmp_path / "home")) as node:
        node.client.put("Patient/anna", patient("anna"))
        node.client.put("Observation/pulse", observation("pulse", "anna", 70))
        devices = [PasskeyDevice(node.command, "anna", Passkey(name)) for name in ("anna", "eve")]
        devices[0].enrol(recovery=KIT.public)
        yield Scene(node, *devices)


def test_a_passkey_grants_supersedes_and_revokes(scene: Scene) -> None:
    old = scene.anna.grant(1)
    new = scene.anna.grant(2, language="es", effect="deny", supersedes=old)
    scene.anna.revoke(old)
    assert scene.listed() == {old: ("revoked", True), new: ("active", True)}
    scene.node.command("consent.revoke", id=new, code=scene.anna.prf(_revocation_input(2)))
    assert scene.listed()[new] == ("revoked", True)
    assert scene.node.fsck() == []


def _revocation_input(number: int) -> bytes:
    return tagged("cl1.revocation", bytes([number]) * 32)


def test_whoever_comes_after_is_let_in_by_the_passkey_or_by_the_kit(scene: Scene) -> None:
    old = scene.anna.grant(1)
    second = PasskeyDevice(scene.node.command, "anna", Passkey("anna's new telephone"))
    second.enrol(scene.anna.continuation(second.key))
    with pytest.raises(VerificationFailed) as refused:
        scene.anna.grant(2)
    assert refused.value.code == "not-bound"
    assert scene.status_of(second.grant(2)) == ("active", True)
    assert scene.status_of(old) == ("active", True)
    file = Device(scene.node.command, "anna", b"f" * 32)
    file.command(
        "patient.enrol", patient="anna", key=file.key.public, continues=second.continuation(file.key.public)
    )
    assert scene.status_of(file.grant()) == ("active", True)


def test_who_lost_the_passkey_has_the_printed_kit(scene: Scene) -> None:
    second = PasskeyDevice(scene.node.command, "anna", Passkey("anna's new telephone"))
    second.enrol(KIT.bind(continuation(second.key)))
    assert scene.status_of(second.grant()) == ("active", True)


def swapped(params: Params, name: str, other: Params) -> Params:
    return {**params, name: other[name]}


Refusal = tuple[Callable[[Scene], Params], type[CareLedgerError], str]
GRANTS: dict[str, Refusal] = {
    "another credential": (lambda s: s.eve.signed(), VerificationFailed, "not-bound"),
    "nobody verified": (lambda s: s.anna.but(flags=UP).signed(), VerificationFailed, "not-bound"),
    "another origin": (
        lambda s: s.anna.but(client=(("origin", "https://evil.example"),)).signed(),
        VerificationFailed, "not-bound",
    ),
    "another RP id": (
        lambda s: s.anna.but(said_rp_id="evil.example").signed(), VerificationFailed, "not-bound",
    ),
    "the assertion of another text": (
        lambda s: swapped(s.anna.signed(1), "binding", s.anna.signed(2)), VerificationFailed, "not-bound",
    ),
    "a bare signature": (
        lambda s: {**(p := s.anna.signed()), "binding": ASSERTION.decode(p["binding"]).signature},
        VerificationFailed, "not-bound",
    ),
    "a key that PRF did not give": (
        lambda s: swapped(s.anna.signed(1), "key", s.anna.signed(2)), VerificationFailed, "not-signed",
    ),
    "nothing shown": (
        lambda s: s.anna.signed(format="careledger/directive/1", language="", shown=""),
        Invalid, "not-shown",
    ),
    "something else shown": (lambda s: s.anna.signed(shown="I allow nothing."), Invalid, "shown-otherwise"),
    "an app's consent that no page showed": (lambda s: s.anna.signed(grantees=APP), Invalid, "shown-otherwise"),
    "an app's consent of another page": (
        lambda s: s.anna.signed(grantees=APP) | {"told": compute_text_digest("I allow nothing.")},
        Invalid, "shown-otherwise",
    ),
    "an app and somebody else": (
        lambda s: s.anna.signed(grantees=(*APP, Grantee(kind="role", value="nurse")), shown="x")
        | {"told": compute_text_digest("x")},
        Invalid, "shown-otherwise",
    ),
    "shown in another language": (
        lambda s: s.anna.signed(language="es", shown=shown(s, "en")), Invalid, "shown-otherwise",
    ),
}  # fmt: skip


def shown(scene: Scene, language: str) -> str:
    prepared = scene.node.command("consent.prepare", patient="anna")
    return scene.anna.text(prepared, b"\1" * 32, language).shown


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_that_she_did_not_sign_leaves_no_trace(scene: Scene, name: str) -> None:
    assert_refused(scene, "consent.grant", GRANTS[name])


def test_a_binding_is_used_once(scene: Scene) -> None:
    params = scene.anna.signed()
    scene.node.command("consent.grant", **params)
    again = (lambda s: {**params, "sequence": params["sequence"] + 1}, Conflict, "conflict")
    assert_refused(scene, "consent.grant", again)
    (id,) = scene.listed()
    scene.anna.revoke(id)
    assert_refused(scene, "consent.grant", again)


ENROLMENTS: dict[str, Refusal] = {
    "nobody's word": (lambda s: s.eve.enrolment(), Conflict, "enrolled"),
    "her own word": (
        lambda s: s.eve.enrolment(s.eve.continuation(s.eve.key)), VerificationFailed, "not-continued",
    ),
    "a word about another key": (
        lambda s: s.eve.enrolment(s.anna.continuation(s.anna.key)), VerificationFailed, "not-continued",
    ),
    "a proof of another key": (
        lambda s: {**s.eve.enrolment(s.anna.continuation(s.eve.key)), "proof": s.anna.passkey.sign(b"p" * 32)},
        VerificationFailed, "not-continued",
    ),
    "a proof that nobody verified": (
        lambda s: s.eve.but(flags=UP).enrolment(s.anna.continuation(s.eve.key)),
        VerificationFailed, "not-continued",
    ),
    "another kit": (
        lambda s: s.eve.enrolment(PatientKey(b"e" * 32).bind(continuation(s.eve.key))),
        VerificationFailed, "not-continued",
    ),
    "the same again": (lambda s: s.anna.enrolment(s.anna.continuation(s.anna.key)), Conflict, "conflict"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENROLMENTS)
def test_an_enrolment_that_is_not_hers_leaves_no_trace(scene: Scene, name: str) -> None:
    assert_refused(scene, "patient.enrol", ENROLMENTS[name])


def app_grant(directive: str) -> Grant:
    return Grant(
        id="grant-" + directive[:4], client="app-1", account="anna", scope="patient/*.rs", context={}, created_ms=1,
        used_ms=1, expires_ms=2**42, directive=directive,
    )  # fmt: skip


def put(grant: Grant) -> Change:
    return GRANT_TABLE.put(grant_key(grant.id), grant, expected=0, expires_ms=grant.expires_ms)


def test_an_app_is_out_when_its_directive_is_revoked_and_no_other(scene: Scene) -> None:
    told = compute_text_digest("I allow Growth chart.")
    params = scene.anna.signed(grantees=APP, shown="I allow Growth chart.") | {"told": told}
    id = scene.node.command("consent.grant", **params)["id"]
    registry = scene.node.service.context.registry
    scene.node.run(registry.change(put(app_grant(id)), put(app_grant("0000"))))
    with pytest.raises(Conflict):  # a code that is not its own ends nothing
        scene.node.command("consent.revoke", id=id, code=b"c" * 32)
    assert len(list_grants(registry)) == 2
    scene.anna.revoke(id)
    assert [one.directive for one in list_grants(registry)] == ["0000"]
    scene.node.run(registry.change(put(app_grant(id))))  # as if the node had ended before it was out
    with pytest.raises(Conflict):
        scene.node.command("consent.revoke", id=id, code=scene.anna.prf(_revocation_input(1)))
    assert [one.directive for one in list_grants(registry)] == ["0000"]


def test_a_directive_ends_with_its_grant_by_the_code_that_the_node_kept(scene: Scene) -> None:
    told = compute_text_digest("I allow Growth chart.")
    params = scene.anna.signed(grantees=APP, shown="I allow Growth chart.") | {"told": told}
    id, other = scene.node.command("consent.grant", **params)["id"], scene.anna.grant(2)
    context = scene.node.service.context
    long_ago = context.backend.now_ms() - BEGINNING_MS
    codes = {id: scene.anna.prf(_revocation_input(1)), other: b"c" * 32, "ab" * 32: b"c" * 32}
    for directive, code in codes.items():
        work = begin_memory(context.registry, Remembered(directive, code), "anna", long_ago)
        scene.node.run(work)
    scene.node.run(end_outlived(context))  # Anna has no account here any more: nothing holds
    assert scene.listed() == {id: ("revoked", True), other: ("active", True)}
    kept = {one.value.directive for one in MEMORIES.list(context.registry)}
    assert kept == {other, "ab" * 32}  # what could not be revoked, and what is not on the ledger yet
    scene.anna.revoke(other)
    scene.node.run(end_outlived(context))
    assert {one.value.directive for one in MEMORIES.list(context.registry)} == {"ab" * 32}
    assert scene.node.fsck() == []


def test_a_served_node_ends_them_by_itself(scene: Scene) -> None:
    params = scene.anna.signed(grantees=APP, shown="x") | {"told": compute_text_digest("x")}
    id, context = scene.node.command("consent.grant", **params)["id"], scene.node.service.context
    remembered = Remembered(id, scene.anna.prf(_revocation_input(1)))
    work = begin_memory(context.registry, remembered, "anna", context.backend.now_ms() - BEGINNING_MS)
    scene.node.run(work)
    looking = Remembering(context)
    scene.node.loop.call_soon(looking.start)
    while MEMORIES.list(context.registry):
        scene.node.settle(0.01)
    scene.node.run(looking.stop())
    assert scene.status_of(id) == ("revoked", True)


def test_an_export_shows_what_was_signed_and_shown(scene: Scene, tmp_path: Path) -> None:
    scene.anna.grant(1)
    scene.anna.revoke(scene.anna.grant(2, language="es"))
    assert scene.verdict(tmp_path) == "anchored"


def assert_refused(scene: Scene, method: str, refusal: Refusal) -> None:
    """Refused with this code and a hint, and neither heads nor app hash moved."""
    make, kind, code = refusal
    params = make(scene)
    scene.node.rest()
    before = scene.node.state()
    with pytest.raises(kind) as refused:
        scene.node.command(method, **params)
    scene.node.rest()
    assert (refused.value.code, bool(refused.value.hint)) == (code, True)
    assert scene.node.state() == before
