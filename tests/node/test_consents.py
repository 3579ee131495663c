"""Enrolment, grants and revocations: what the node takes, and everything that it refuses without a trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from careledger.access.directives import (
    Coding,
    Grantee,
    compute_commitment,
    decode_text,
    encode_text,
    to_base64,
)
from careledger.access.grants import SEQUENCE_MOVED, continuation
from careledger.access.patient_keys import PatientKey
from careledger.cli import decisions
from careledger.contracts.identity import DEVICE, PRACTITIONER, REGISTER, Register
from careledger.fhir import writing
from careledger.fhir.validation import validate
from careledger.ledger.execution import ACCOUNTS
from careledger.ledger.kernel import ED25519
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.node.group import LEDGER_REFUSES
from careledger.primitives.errors import CareLedgerError, Conflict, Invalid, NotFound, VerificationFailed
from careledger.primitives.types import Did, compute_did, did_text
from careledger.vault.model import Commit
from tests.faults.rig import Node, new_home, node_of, observation, patient
from tests.node.consenting import ELSEWHERE, Device

Params = dict[str, Any]
HOUR_MS = 3_600_000


@dataclass(slots=True)
class Scene:
    """Anna and Berta are patients here, Anna's key is enrolled; Eve's device is nobody's."""

    node: Node
    anna: Device
    berta: Device
    eve: Device

    def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.node.command("consent.list", patient="anna")["directives"]
        return found

    def consent(self, id: str) -> dict[str, Any]:
        """The FHIR Consent of a directive, as read by a client of the house."""
        shown = next(one["consent"] for one in self.listed() if one["id"] == id)
        found: dict[str, Any] = json.loads(self.node.client.get(shown).body)
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with node_of(new_home(tmp_path / "home")) as node:
        for name in ("anna", "berta"):
            node.client.put(f"Patient/{name}", patient(name))
        node.client.put("Observation/pulse", observation("pulse", "anna", 70))
        names = {"anna": 1, "berta": 2, "eve": 3}
        devices = {
            name: Device(node.command, "anna" if name == "eve" else name, bytes([byte]) * 32)
            for name, byte in names.items()
        }
        devices["anna"].enrol()
        yield Scene(node, **devices)


def test_a_directive_is_granted_shown_and_revoked(scene: Scene) -> None:
    id = scene.anna.grant(type=("Observation",), category=("http://example.org|a", "b"), label=("R",))
    (shown,) = scene.listed()
    assert (shown["id"], shown["status"], shown["bound"]) == (id, "active", True)
    assert shown["grantees"] == [f"organisation:{ELSEWHERE}"]
    assert shown["categories"] == ["http://example.org|a", "b"]
    consent = scene.consent(id)
    assert not validate(consent)
    assert consent["status"] == "active"
    assert consent["identifier"] == [{"system": "urn:careledger:directive", "value": id}]
    assert consent["patient"] == {"reference": "Patient/anna"}
    assert consent["provision"]["type"] == "permit"
    assert consent["provision"]["purpose"][0]["code"] == "TREAT"
    assert consent["provision"]["actor"][0]["reference"]["identifier"]["value"] == ELSEWHERE
    height = scene.anna.revoke(id)
    (shown,) = scene.listed()
    assert (shown["status"], shown["height"]) == ("revoked", height)
    assert scene.consent(id)["status"] == "inactive"
    assert scene.consent(id)["meta"]["versionId"] == "2"
    assert scene.node.fsck() == []


def test_the_printed_code_revokes_without_the_key(scene: Scene) -> None:
    id = scene.anna.grant()
    scene.node.command("consent.revoke", id=id, code=scene.anna.code(id))
    assert scene.listed()[0]["status"] == "revoked"
    assert scene.consent(id)["status"] == "inactive"


def test_a_deleted_consent_keeps_nobody_from_revoking(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused now; an earlier program let it pass."""
    id = scene.anna.grant()
    with monkeypatch.context() as earlier:
        earlier.setattr(writing, "check_form", lambda _asking, _current: None)
        assert scene.node.client.send("DELETE", scene.listed()[0]["consent"]).status in (200, 204)
    scene.anna.revoke(id)
    assert scene.listed()[0]["status"] == "revoked"


def test_a_superseding_directive_names_the_old_one(scene: Scene) -> None:
    old = scene.anna.grant()
    new = scene.anna.grant(supersedes=old, deny=True)
    scene.anna.revoke(old)
    assert [(one["status"], one["supersedes"]) for one in scene.listed()] == [
        ("revoked", ""),
        ("active", old),
    ]
    assert new != old


def test_a_later_key_is_signed_by_the_one_before(scene: Scene) -> None:
    old = scene.anna.grant()
    later = Device(scene.node.command, "anna", bytes([9]) * 32)
    later.enrol(former=scene.anna.key)
    with pytest.raises(VerificationFailed) as refused:
        scene.anna.grant()
    assert refused.value.code == "not-bound"
    new = later.grant()
    assert {one["id"]: one["bound"] for one in scene.listed()} == {old: True, new: True}
    scene.anna.revoke(old)  # what a key granted, it revokes


def registered(node: Node, kind: int, seed: bytes) -> str:
    """The DID of a practitioner or device of this organisation, entered on the ledger."""
    context, secret = node.service.context, SecretKey(ED25519, seed)
    ledger, did = context.home.the_ledger, Did(context.home.organisation)
    message = REGISTER.encode(Register(did, kind, "", secret.key, None, ()))
    with context.reader.snapshot() as snapshot:
        account = ACCOUNTS.value.decode(snapshot.state(ACCOUNTS.state_key(did)) or b"")
    keys = [secret, SecretKey(ED25519, context.home.keys.root_seed)]
    sequence = dict(account.lanes).get(5, 0)
    transaction = build_transaction(
        ledger.genesis_hash, ledger.time_ms + HOUR_MS, did, 5, sequence, [message], keys
    )
    node.run(context.backend.commit(Commit(transactions=(transaction,))))
    return did_text(compute_did(kind, *secret.key))


def test_a_did_is_of_the_kind_that_the_ledger_says(scene: Scene) -> None:
    osler = registered(scene.node, PRACTITIONER, bytes([11]) * 32)
    house = scene.node.service.context.home.did
    scene.anna.grant(to=(osler, house, ELSEWHERE))
    assert sorted(scene.listed()[0]["grantees"]) == sorted(
        [f"organisation:{house}", f"organisation:{ELSEWHERE}", f"practitioner:{osler}"]
    )
    assert {did: one["known"] for did, one in scene.anna.prepare(dids=[osler, ELSEWHERE])["kinds"].items()} == {
        osler: True, ELSEWHERE: False,
    }  # fmt: skip
    wrong = (Grantee(kind="organisation", value=osler),)
    assert_refused(scene, "consent.grant", (lambda s: retold(s.anna, grantees=wrong), Invalid, "grantee"))
    pump = registered(scene.node, DEVICE, bytes([12]) * 32)
    with pytest.raises(Invalid, match="a device's"):
        scene.anna.prepare(dids=[pump])


# --- refusals -----------------------------------------------------------------------------------------------------
def changed(params: Params, **more: Any) -> Params:
    return {**params, **more}


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def retold(device: Device, **fields: Any) -> Params:
    """A grant whose text has other fields, and everything else made rightly for that text."""
    prepared = device.prepare(dids=[ELSEWHERE])
    made = device.make(prepared)
    text = encode_text(msgspec.structs.replace(decode_text(made.text), **fields))
    binding = device.key.bind(compute_commitment(made.salt, text))
    until_day = fields.get("until_day", made.until_day)
    made = decisions.Made(made.patient, text, made.salt, made.nonce, binding, until_day, made.code)
    return decisions.sign(made, prepared, device.key)


def prepared_as(device: Device, patient: str = "", **fields: Any) -> Params:
    """A grant made for what somebody else said about chart and ledger."""
    prepared = {**device.prepare(**({"patient": patient} if patient else {})), **fields}
    prepared["kinds"] = {ELSEWHERE: {"kind": "organisation", "known": False}}
    return {**decisions.sign(device.make(prepared), prepared, device.key), "patient": device.patient}


def by_eves_directive_key(scene: Scene) -> Params:
    """Anna's text and binding, under a directive key of Eve's."""
    params, eves = scene.anna.signed(), scene.eve.signed()
    return changed(params, key=eves["key"], signature=eves["signature"])


Refusal = tuple[Callable[[Scene], Params], type[CareLedgerError], str]

GRANTS: dict[str, Refusal] = {
    "another patient's key": (lambda s: s.eve.signed(), VerificationFailed, "not-bound"),
    "another chart's text": (lambda s: prepared_as(s.anna, "berta"), Invalid, "other-chart"),
    "another organisation's text": (
        lambda s: prepared_as(s.anna, organisation=bytes(32)), Invalid, "other-chart",
    ),
    "a chart without a key": (lambda s: s.berta.signed(), Invalid, "not-enrolled"),
    "a patient of another organisation": (
        lambda s: changed(s.anna.signed(), patient="nobody-here"), NotFound, "not-found",
    ),
    "altered text": (
        lambda s: changed(s.anna.signed(), text=retold(s.anna, until_day=400_000)["text"]),
        VerificationFailed, "not-bound",
    ),
    "altered text, bound": (
        lambda s: changed(retold(s.anna, until_day=400_000), signature=s.anna.signed()["signature"]),
        VerificationFailed, "not-signed",
    ),
    "altered salt": (lambda s: changed(s.anna.signed(), salt=bytes(32)), VerificationFailed, "not-bound"),
    "short salt": (lambda s: changed(s.anna.signed(), salt=bytes(31)), Invalid, "invalid"),
    "altered binding": (
        lambda s: changed(p := s.anna.signed(), binding=flipped(p["binding"])), VerificationFailed, "not-bound",
    ),
    "binding of another directive": (
        lambda s: changed(s.anna.signed(), binding=s.anna.signed()["binding"]), VerificationFailed, "not-bound",
    ),
    "another directive's key": (
        lambda s: changed(s.anna.signed(), key=s.anna.signed()["key"]), VerificationFailed, "not-signed",
    ),
    "Eve's directive key": (by_eves_directive_key, VerificationFailed, "not-signed"),
    "a key of another size": (
        lambda s: changed(s.anna.signed(), key=bytes(32)), Invalid, "invalid",
    ),
    "another revocation hash": (
        lambda s: changed(s.anna.signed(), revocation_hash=bytes(32)), VerificationFailed, "not-signed",
    ),
    "altered signature": (
        lambda s: changed(p := s.anna.signed(), signature=flipped(p["signature"])),
        VerificationFailed, "not-signed",
    ),
    "another ledger": (
        lambda s: prepared_as(s.anna, genesis_hash=bytes(32)), VerificationFailed, "not-signed",
    ),
    "another sponsor": (lambda s: prepared_as(s.anna, sponsor=bytes(32)), VerificationFailed, "not-signed"),
    "a later sequence": (lambda s: prepared_as(s.anna, sequence=7), Conflict, SEQUENCE_MOVED),
    "no sequence": (lambda s: changed(s.anna.signed(), sequence=-1), Invalid, "invalid"),
    "not valid any more": (lambda s: prepared_as(s.anna, valid_until=1), Conflict, LEDGER_REFUSES),
    "valid for too long": (
        lambda s: prepared_as(s.anna, valid_until=s.anna.prepare()["valid_until"] + 48 * HOUR_MS),
        Conflict, LEDGER_REFUSES,
    ),
    "unknown purpose": (lambda s: retold(s.anna, purposes=("GOSSIP",)), Invalid, "purpose"),
    "a permit for any purpose": (lambda s: retold(s.anna, purposes=()), Invalid, "purpose"),
    "unknown type": (lambda s: retold(s.anna, types=("Directive",)), Invalid, "type"),
    "a category that is no code": (
        lambda s: retold(s.anna, categories=(Coding(code="a b", system=""),)), Invalid, "coding",
    ),
    "a label without a code": (
        lambda s: retold(s.anna, labels=(Coding(code="", system="s"),)), Invalid, "coding",
    ),
    "an organisation that is no DID": (
        lambda s: retold(s.anna, grantees=(Grantee(kind="organisation", value="Clinic"),)), Invalid, "grantee",
    ),
    "an organisation called a practitioner": (
        lambda s: retold(s.anna, grantees=(Grantee(kind="practitioner", value=ELSEWHERE),)),
        Invalid, "grantee",
    ),
    "a role without a name": (
        lambda s: retold(s.anna, grantees=(Grantee(kind="role", value=""),)), Invalid, "grantee",
    ),
    "a period that has ended": (lambda s: retold(s.anna, from_day=1, until_day=2), Invalid, "period"),
    "a short nonce": (lambda s: retold(s.anna, nonce=to_base64(bytes(8))), Invalid, "invalid"),
    "superseding what is not there": (lambda s: retold(s.anna, supersedes="ab" * 32), NotFound, "not-found"),
    "text in another spelling": (
        lambda s: changed(p := s.anna.signed(), text=p["text"].replace(b'":', b'": ')), Invalid, "invalid",
    ),
    "something that is no text": (lambda s: changed(s.anna.signed(), text=b"{}"), Invalid, "invalid"),
    "a parameter too many": (lambda s: changed(s.anna.signed(), seed=bytes(32)), Invalid, "invalid"),
    "a parameter of another kind": (lambda s: changed(s.anna.signed(), salt=5), Invalid, "invalid"),
}  # fmt: skip


def assert_refused(scene: Scene, method: str, refusal: Refusal) -> None:
    """Refused with this code and a hint, and neither heads nor app hash moved."""
    make, kind, code = refusal
    params = make(scene)
    scene.node.rest()
    before = scene.node.state()
    with pytest.raises(kind) as refused:
        scene.node.command(method, **params)
    assert (refused.value.code, bool(refused.value.hint)) == (code, True)
    scene.node.rest()
    assert scene.node.state() == before


@pytest.mark.parametrize("case", GRANTS)
def test_a_grant_that_is_not_hers_leaves_no_trace(case: str, scene: Scene) -> None:
    assert_refused(scene, "consent.grant", GRANTS[case])


def test_a_grant_is_taken_once(scene: Scene) -> None:
    params = scene.anna.signed()
    scene.node.command("consent.grant", **params)
    assert_refused(scene, "consent.grant", (lambda _: params, Conflict, "conflict"))


def test_two_devices_at_a_time_do_not_lose_a_grant(scene: Scene) -> None:
    """Both signed the same sequence: one is refused whole, and signs again."""
    first, second = scene.anna.signed(), scene.anna.signed()
    scene.node.command("consent.grant", **first)
    assert_refused(scene, "consent.grant", (lambda _: second, Conflict, SEQUENCE_MOVED))
    scene.anna.grant()
    assert len(scene.listed()) == 2


ENROLMENTS: dict[str, Refusal] = {
    "a second key unsigned": (
        lambda s: {"patient": "anna", "key": s.eve.key.public, "continues": b""}, Conflict, "enrolled",
    ),
    "a second key signed by itself": (
        lambda s: {
            "patient": "anna",
            "key": s.eve.key.public,
            "continues": s.eve.key.bind(continuation(s.eve.key.public)),
        },
        VerificationFailed, "not-continued",
    ),
    "a signature for another key": (
        lambda s: {
            "patient": "anna",
            "key": s.eve.key.public,
            "continues": s.anna.key.bind(continuation(s.berta.key.public)),
        },
        VerificationFailed, "not-continued",
    ),
    "a first key that continues": (
        lambda s: {
            "patient": "berta",
            "key": s.berta.key.public,
            "continues": s.anna.key.bind(continuation(s.berta.key.public)),
        },
        VerificationFailed, "not-continued",
    ),
    "a key of another chart": (
        lambda s: {"patient": "berta", "key": s.anna.key.public, "continues": b""}, Conflict, "conflict",
    ),
    "no key": (lambda s: {"patient": "berta", "key": bytes(32), "continues": b""}, VerificationFailed, "not-continued"),
    "a patient who is not here": (
        lambda s: {"patient": "nobody", "key": s.eve.key.public, "continues": b""}, NotFound, "not-found",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENROLMENTS)
def test_an_enrolment_that_is_not_hers_leaves_no_trace(case: str, scene: Scene) -> None:
    assert_refused(scene, "patient.enrol", ENROLMENTS[case])


def revocation_by(device: Device, scene: Scene) -> Params:
    """A revocation of Anna's directive under a directive key of this device's."""
    id = scene.anna.grant()
    prepared = scene.node.command("consent.prepare_revocation", id=id)
    prepared["key"] = device.key.directive_key(prepared["nonce"])
    return decisions.sign_revocation(id, prepared, device.key)


def revocation(scene: Scene, **changes: Any) -> Params:
    return {**scene.anna.revocation(scene.anna.grant()), **changes}


REVOCATIONS: dict[str, Refusal] = {
    "another patient's key": (lambda s: revocation_by(s.eve, s), Conflict, LEDGER_REFUSES),
    "another directive": (lambda s: revocation(s, id=s.anna.grant()), VerificationFailed, "not-signed"),
    "altered signature": (lambda s: revocation(s, signature=bytes(3309)), VerificationFailed, "not-signed"),
    "neither key nor code": (lambda s: {"id": s.anna.grant()}, Invalid, "invalid"),
    "another code": (lambda s: {"id": s.anna.grant(), "code": bytes(32)}, Conflict, LEDGER_REFUSES),
    "another directive's code": (
        lambda s: {"id": s.anna.grant(), "code": s.anna.code(s.anna.grant())}, Conflict, LEDGER_REFUSES,
    ),
    "a short code": (lambda s: {"id": s.anna.grant(), "code": bytes(8)}, Invalid, "invalid"),
    "a directive that is not here": (lambda s: {"id": "ab" * 32, "code": bytes(32)}, NotFound, "not-found"),
    "what is no id": (lambda s: {"id": "../x", "code": bytes(32)}, Invalid, "invalid"),
}  # fmt: skip


@pytest.mark.parametrize("case", REVOCATIONS)
def test_a_revocation_that_is_not_hers_leaves_no_trace(case: str, scene: Scene) -> None:
    assert_refused(scene, "consent.revoke", REVOCATIONS[case])


def test_a_directive_is_revoked_once(scene: Scene) -> None:
    id = scene.anna.grant()
    code = scene.anna.code(id)
    again = scene.anna.revocation(id)
    scene.node.command("consent.revoke", id=id, code=code)
    for params in ({"id": id, "code": code}, again):
        assert_refused(scene, "consent.revoke", (lambda _, p=params: p, Conflict, "conflict"))  # type: ignore[misc]


def test_the_keys_text_shows_no_seed() -> None:
    assert "01" not in repr(PatientKey(bytes([1]) * 32))
