"""An authenticator in software, ES256 and ML-DSA, with a hand on every byte that a hostile one would alter."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from careledger.primitives.signing import (
    ml_dsa_44_public_key,
    ml_dsa_65_public_key,
    sign_ml_dsa_44,
    sign_ml_dsa_65,
)

ML_DSA_65, ML_DSA_44, ES256 = -49, -48, -7
UP, UV, BE, BS, AT, ED = 1, 4, 8, 16, 64, 128


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def un64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Forgery:
    """What differs from an honest answer. None, or nothing, is honest."""

    type: str | None = None
    origin: str | None = None
    challenge: str | None = None
    rp_id: str | None = None
    client: dict[str, Any] = field(default_factory=dict)  # further members of the client data
    client_data: bytes | None = None
    flags: int | None = None
    count: int | None = None
    id: bytes | None = None
    raw_id: str | None = None
    handle: bytes | None = None
    cose: bytes | None = None
    form: str | None = None
    statement: dict[str, Any] | None = None
    attest: Callable[[bytes], dict[str, Any]] | None = None  # a maker's statement about what is signed
    signature: bytes | None = None
    tail: bytes = b""
    credential: dict[str, Any] = field(default_factory=dict)
    response: dict[str, Any] = field(default_factory=dict)


HONEST = Forgery()


@dataclass
class Credential:
    """One key on the device."""

    id: bytes
    algorithm: int
    seed: bytes
    handle: bytes
    count: int = 0

    @property
    def cose(self) -> bytes:
        if self.algorithm == ES256:
            numbers = self._p256().public_key().public_numbers()
            x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
            return cbor2.dumps({1: 2, 3: ES256, -1: 1, -2: x, -3: y})
        public = ml_dsa_65_public_key if self.algorithm == ML_DSA_65 else ml_dsa_44_public_key
        return cbor2.dumps({1: 7, 3: self.algorithm, -1: public(self.seed)})

    def sign(self, data: bytes) -> bytes:
        if self.algorithm == ES256:
            return self._p256().sign(data, ec.ECDSA(hashes.SHA256()))
        return (sign_ml_dsa_65 if self.algorithm == ML_DSA_65 else sign_ml_dsa_44)(self.seed, data)

    def _p256(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(self.seed, "big") >> 1 | 1, ec.SECP256R1())


@dataclass
class Authenticator:
    """A device at a browser that shows `origin`. `counts`: it has a counter; `backup`: its backup flags."""

    origin: str = "http://localhost:8080"
    algorithms: tuple[int, ...] = (ML_DSA_65, ML_DSA_44, ES256)
    counts: bool = True
    backup: int = 0
    credentials: list[Credential] = field(default_factory=list)

    def create(self, options: Mapping[str, Any], forge: Forgery = HONEST) -> bytes:
        """What `navigator.credentials.create(options)` gives, as JSON."""
        offered = [one["alg"] for one in options["pubKeyCredParams"]]
        algorithm = next(one for one in offered if one in self.algorithms)
        key = Credential(os.urandom(32), algorithm, os.urandom(32), un64(options["user"]["id"]))
        self.credentials.append(key)
        flags = UP | UV | AT | self.backup if forge.flags is None else forge.flags
        id = key.id if forge.id is None else forge.id
        attested = bytes(16) + len(id).to_bytes(2, "big") + id + (forge.cose or key.cose)
        data = self._data(
            options["rp"]["id"], flags, key.count if forge.count is None else forge.count, forge
        )
        data += attested + forge.tail
        client = self._client("webauthn.create", options["challenge"], forge)
        form = forge.form or "none"
        if forge.attest is not None:
            statement = forge.attest(data + hashlib.sha256(client).digest())
        elif forge.statement is not None:
            statement = forge.statement
        elif form == "packed":
            statement = {"alg": algorithm, "sig": key.sign(data + hashlib.sha256(client).digest())}
        else:
            statement = {}
        attestation = cbor2.dumps({"fmt": form, "attStmt": statement, "authData": data})
        response = {"clientDataJSON": b64(client), "attestationObject": b64(attestation)}
        return self._answer(id, response, forge, {"prf": {"enabled": True}})

    def get(
        self, options: Mapping[str, Any], forge: Forgery = HONEST, key: Credential | None = None
    ) -> bytes:
        """What `navigator.credentials.get(options)` gives, as JSON, by the newest key or the one named."""
        key = key or self.credentials[-1]
        if self.counts:
            key.count += 1
        flags = UP | UV | self.backup if forge.flags is None else forge.flags
        data = self._data(options["rpId"], flags, key.count if forge.count is None else forge.count, forge)
        data += forge.tail
        client = self._client("webauthn.get", options["challenge"], forge)
        signature = key.sign(data + hashlib.sha256(client).digest())
        response = {
            "clientDataJSON": b64(client),
            "authenticatorData": b64(data),
            "signature": b64(signature if forge.signature is None else forge.signature),
            "userHandle": b64(key.handle if forge.handle is None else forge.handle),
        }
        return self._answer(key.id if forge.id is None else forge.id, response, forge, {})

    def _data(self, rp_id: str, flags: int, count: int, forge: Forgery) -> bytes:
        shown = rp_id if forge.rp_id is None else forge.rp_id
        return hashlib.sha256(shown.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big")

    def _client(self, type: str, challenge: str, forge: Forgery) -> bytes:
        if forge.client_data is not None:
            return forge.client_data.replace(b"CHALLENGE", challenge.encode())
        return json.dumps(
            {
                "type": forge.type or type,
                "challenge": challenge if forge.challenge is None else forge.challenge,
                "origin": forge.origin or self.origin,
                "crossOrigin": False,
                **forge.client,
            },
            separators=(",", ":"),
        ).encode()

    def _answer(
        self, id: bytes, response: dict[str, Any], forge: Forgery, extensions: dict[str, Any]
    ) -> bytes:
        raw_id = b64(id) if forge.raw_id is None else forge.raw_id
        answer = {
            "id": b64(id),
            "rawId": raw_id,
            "type": "public-key",
            "response": {**response, **forge.response},
            "clientExtensionResults": extensions,
            **forge.credential,
        }
        return json.dumps(answer).encode()
