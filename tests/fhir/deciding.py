"""Patients who decide, for tests against the node in memory: directives as her device makes them, and a ledger beside."""

from __future__ import annotations

import asyncio
from typing import Any

from careledger.access.actor import Actor
from careledger.access.directives import (
    DAY_MS,
    Coding,
    ControllerLeaf,
    DirectiveLeaf,
    Grantee,
    Text,
    compute_commitment,
    compute_key_id,
    encode_leaf,
    encode_text,
    leaf_terms,
    to_base64,
)
from careledger.access.patient_keys import PatientKey
from careledger.access.scopes import parse_scopes
from careledger.contracts.consent import ACTIVE, ENTRY, REVOKED, Entry, compute_key_hash, entry_key
from careledger.vault.commitments import Kind
from careledger.vault.model import CONTROLLER_TYPE, DIRECTIVE_TYPE, Commit, ResourceWrite
from tests.fhir.client import Client
from tests.fhir.fakes import DID, FakeBackend

FOREIGN = "did:careledger:" + "f" * 64
SALT = bytes(32)


class Decider:
    """The device of one patient whose chart is on this node."""

    def __init__(self, backend: FakeBackend, patient: str, number: int = 1) -> None:
        self.backend = backend
        self.patient = patient
        self.key = PatientKey(bytes([number]) * 32)
        self.made = 0
        self.day = backend.now_ms() // DAY_MS
        public = to_base64(self.key.public)
        leaf = ControllerLeaf(continues="", format="careledger/controller/1", key=public)
        self._write(CONTROLLER_TYPE, compute_key_id(self.key.public), encode_leaf(leaf), Kind.GUARDIAN)

    def _write(self, type: str, id: str, body: bytes, kind: Kind) -> None:
        terms = leaf_terms(type, body)
        write = ResourceWrite(type, id, 0, body, 1, (self.patient,), chart_terms=terms, kind=int(kind))
        asyncio.run(self.backend.commit(Commit((write,))))

    def grant(self, *to: Grantee, effect: str = "permit", **more: Any) -> str:
        """The id of a directive in force."""
        self.made += 1
        nonce = self.made.to_bytes(32, "big")
        handle = self.backend.store.charts[self.patient].to_bytes(32, "big")
        given = {
            "actions": ("access",),
            "categories": (),
            "effect": effect,
            "format": "careledger/directive/1",
            "from_day": self.day,
            "grantees": tuple(sorted(to)),
            "handle": to_base64(handle),
            "labels": (),
            "nonce": to_base64(nonce),
            "organisation": to_base64(bytes(32)),
            "purposes": (),
            "supersedes": "",
            "types": (),
            "until_day": self.day + 9,
        }
        text = Text(**{**given, **more})
        encoded = encode_text(text)
        commitment = compute_commitment(SALT, encoded)
        leaf = DirectiveLeaf(
            binding=to_base64(self.key.bind(commitment)),
            consent="",
            controller=compute_key_id(self.key.public),
            key=to_base64(self.key.directive_key(nonce)),
            salt=to_base64(SALT),
            text=to_base64(encoded),
        )
        self._write(DIRECTIVE_TYPE, commitment.hex(), encode_leaf(leaf), Kind.DIRECTIVE)
        self._enter(commitment, nonce, ACTIVE, text.until_day)
        return commitment.hex()

    def revoke(self, id: str) -> None:
        """As of the next block."""
        commitment = bytes.fromhex(id)
        known = ENTRY.decode(self.backend.store.states[entry_key(commitment)])
        self._put(commitment, Entry(REVOKED, known.key_hash, known.until_day, bytes(32), 0))

    def _enter(self, commitment: bytes, nonce: bytes, status: int, until_day: int) -> None:
        key_hash = compute_key_hash(self.key.directive_key(nonce))
        self._put(commitment, Entry(status, key_hash, until_day, bytes(32), 0))

    def _put(self, commitment: bytes, entry: Entry) -> None:
        self.backend.store.height += 1
        self.backend.store.states[entry_key(commitment)] = ENTRY.encode(entry)


def practitioner(id: str) -> Grantee:
    return Grantee(kind="practitioner", value=id)


def organisation(did: str = FOREIGN) -> Grantee:
    return Grantee(kind="organisation", value=did)


def coding(code: str, system: str = "urn:kind") -> Coding:
    return Coding(code=code, system=system)


def caller(client: Client, scope: str = "system/*.cruds", organisation: str = DID, **more: Any) -> Client:
    """Somebody else at the same node: `practitioner`, `purpose`, `patient`."""
    who = Actor("sub", "their-client", organisation, parse_scopes(scope), **more)
    return Client(client.backend, who, client.app)
