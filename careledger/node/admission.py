"""The file with which an organisation asks an operator to be admitted: `careledger/admission-request/1`.

Canonical JSON (RFC 8785) of a closed shape. Both keys sign what they ask (`admission.compute_statement`), and whom;
docs/spec/governance.md is the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from careledger.contracts.admission import Admit, compute_statement
from careledger.contracts.governance import ADMIT
from careledger.contracts.identity import END_POINTS, ORGANISATION
from careledger.ledger.kernel import ED25519, ML_DSA_65, Key
from careledger.ledger.proof_files import decode_binary, decode_file, encode_binary
from careledger.ledger.transaction import SecretKey
from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.signing import (
    ED25519_PUBLIC_SIZE,
    ED25519_SIGNATURE_SIZE,
    ML_DSA_65_PUBLIC_SIZE,
    ML_DSA_65_SIGNATURE_SIZE,
)
from careledger.primitives.types import Did, compute_did, did_text

REQUEST_FORMAT: Final[Literal["careledger/admission-request/1"]] = "careledger/admission-request/1"
Algorithm = Literal["ed25519", "ml-dsa-65"]

_NUMBERS: Final[dict[Algorithm, int]] = {"ed25519": ED25519, "ml-dsa-65": ML_DSA_65}
_NAMES: Final[dict[int, Algorithm]] = {number: name for name, number in _NUMBERS.items()}
_SIZES: Final = {
    ED25519: (ED25519_PUBLIC_SIZE, ED25519_SIGNATURE_SIZE),
    ML_DSA_65: (ML_DSA_65_PUBLIC_SIZE, ML_DSA_65_SIGNATURE_SIZE),
}


class ProvenKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A public key and its signature over the statement."""

    alg: Algorithm
    key: str
    proof: str


class AdmissionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who asks whom. Fields in the order of RFC 8785."""

    end_points: tuple[str, ...]
    format: Literal["careledger/admission-request/1"]
    name: str
    node: ProvenKey
    operator: str
    root: ProvenKey


def make_request(
    operator: Did, name: str, root: SecretKey, node: SecretKey, end_points: Sequence[str] = ()
) -> bytes:
    """The file. Raises Invalid if an address is too long, or there are too many."""
    addresses = END_POINTS.sorted(end_points)
    END_POINTS.encode(addresses)
    statement = compute_statement(operator, name, root.key, node.key, addresses)
    request = AdmissionRequest(
        end_points=addresses,
        format=REQUEST_FORMAT,
        name=name,
        node=_prove(node, statement),
        operator=did_text(operator),
        root=_prove(root, statement),
    )
    return msgspec.json.encode(request)


class Asked(msgspec.Struct, frozen=True):
    """Who asks, and what admits them."""

    did: Did
    name: str
    admit: Admit

    @property
    def message(self) -> bytes:
        """The operator's `governance.admit`."""
        return ADMIT.encode(self.admit)


def read_request(data: bytes, operator: Did) -> Asked:
    """Who asks this operator. Raises VerificationFailed, Invalid.

    That the keys signed is checked where it counts, by the contract.
    """
    request = decode_file(data, AdmissionRequest, "the request for admission")
    if request.operator != did_text(operator):
        raise Invalid(
            "the request is to another operator", hint=f"careledger org request --to {did_text(operator)}"
        )
    (root, root_proof), (node, node_proof) = (read_key(one) for one in (request.root, request.node))
    try:
        admit = Admit(operator, request.name, root, node, request.end_points, root_proof, node_proof)
        ADMIT.encode(admit)
    except Invalid as error:
        raise VerificationFailed(f"the request for admission: {error.message}") from None
    return Asked(compute_did(ORGANISATION, *root), request.name, admit)


def _prove(secret: SecretKey, statement: bytes) -> ProvenKey:
    return prove_key(secret.key, secret.sign(statement))


def prove_key(key: Key, proof: bytes) -> ProvenKey:
    """The key with its signature."""
    return ProvenKey(alg=_NAMES[key.algorithm], key=encode_binary(key.public), proof=encode_binary(proof))


def read_key(one: ProvenKey) -> tuple[Key, bytes]:
    """The key and its signature. Raises VerificationFailed; whether it signed, the contract checks."""
    algorithm = _NUMBERS[one.alg]
    public, signature = _SIZES[algorithm]
    key = Key(algorithm, decode_binary(one.key, public, public))
    return key, decode_binary(one.proof, signature, signature)
