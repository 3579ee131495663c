"""A transaction for people: what each message does in one sentence, its fields as plain values, why it was refused.

Nothing here opens a record: a ledger holds hashes, keys of organisations and practitioners, and organisations' names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from careledger.contracts import CONTRACTS
from careledger.contracts.actions import decode_actions
from careledger.contracts.proposals import Body as ProposalBody
from careledger.ledger.execution import ENVELOPE_REFUSALS_OF_EXECUTION
from careledger.ledger.kernel import (
    ED25519,
    ML_DSA_65,
    WEBAUTHN_ES256,
    WEBAUTHN_ML_DSA,
    Key,
    MessageKind,
    Rejected,
)
from careledger.ledger.transaction import BadAuthenticator, Malformed, TransactionTooLarge, UnknownAlgorithm
from careledger.primitives.errors import CareLedgerError
from careledger.primitives.hashing import sha256

NameOf = Callable[[bytes], str]
"""A DID's name on the ledger, '' for none: practitioners and devices carry none."""

LIST_MAX: Final = 20
BYTES_MAX: Final = 64
FINGERPRINT_BYTES: Final = 16
DID_FIELDS: Final = frozenset(("by", "subject", "organisation", "sponsor"))
ALGORITHMS: Final[Mapping[int, str]] = MappingProxyType(
    {
        ED25519: "Ed25519",
        ML_DSA_65: "ML-DSA-65",
        WEBAUTHN_ES256: "passkey, ES256",
        WEBAUTHN_ML_DSA: "passkey, ML-DSA-65",
    }
)
WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sys.profile": "{by} names the program that executes this ledger",
        "identity.register": "{by} registers a member of its own: an organisation, practitioner or device",
        "identity.rotate": "{subject} replaces one of its keys",
        "identity.deactivate": "{by} ends for ever what {subject} may do",
        "identity.set_role": "{by} sets the roles of {subject}",
        "identity.set_end_points": "{subject} says where it can be reached",
        "identity.suspend": "{by} suspends {subject}: from this block on it signs nothing",
        "identity.reinstate": "{by} reinstates {subject}",
        "identity.license": "{by} licenses {subject} for a role, until a last day",
        "identity.sign": "{by} signs a statement, of which the ledger sees a fingerprint alone",
        "records.anchor": "{organisation} anchors batch {seq} of its charts: one fingerprint over all of them, no content",
        "consent.grant": "a patient's decision comes into force: the ledger sees its fingerprint, not who or what",
        "consent.revoke": "a patient's decision ends, from this block on and for ever",
        "governance.set_parameter": "{by} sets the parameter {name} to {value}",
        "governance.admit": "{by} admits the organisation {name}",
        "governance.found": "the organisation {name} founds the network, as a validator of weight {weight}",
        "governance.propose": "{by} proposes a decision to the network's organisations, and votes for it",
        "governance.vote": "{by} votes on proposal {number}",
        "ledger.adopt": "{organisation} brings the ledger that it had before onto the network",
        "ledger.follow": "{organisation} brings decisions of its former ledger onto the network",
    }
)
"""What a message does, by its name; `{…}` are its fields."""


@lru_cache(1)
def kinds() -> Mapping[int, MessageKind[Any]]:
    """Every message by its number."""
    return MappingProxyType({kind.number: kind for one in CONTRACTS for kind in one.messages})


@lru_cache(1)
def refusals() -> Mapping[int, tuple[str, str]]:
    """(code, reason) of every refusal by its number."""
    found: list[type[Rejected]] = [Malformed, TransactionTooLarge, BadAuthenticator, UnknownAlgorithm]
    found += [*ENVELOPE_REFUSALS_OF_EXECUTION, *(one for kind in kinds().values() for one in kind.refusals)]
    return MappingProxyType({one.number: (one.code, one.reason) for one in found})


def describe_result(code: int) -> dict[str, Any]:
    """Whether a transaction was executed, and if not, by which rule it was refused."""
    if code == 0:
        return {"code": 0, "name": "executed", "words": "executed"}
    name, reason = refusals().get(code, ("unknown", "refused by a rule that this program does not know"))
    return {"code": code, "name": name, "words": f"refused: {reason}"}


def name_message(data: bytes) -> str:
    """A message's type, '' if it has none here."""
    kind = kinds().get(int.from_bytes(data[:2], "big"))
    return "" if kind is None else kind.name


def describe_message(data: bytes, name_of: NameOf) -> dict[str, Any]:
    """Type, one sentence and the fields of a message. Never raises: what cannot be read is said to be so."""
    kind = kinds().get(int.from_bytes(data[:2], "big"))
    if kind is None:
        return {"type": "", "words": "a message that this program does not know", "fields": {}}
    try:
        message = kind.schema.decode(data[2:])
    except CareLedgerError:
        return {"type": kind.name, "words": "a message that cannot be read", "fields": {}}
    plain = _struct(message, name_of)
    said = {name: _say(value) for name, value in plain.items()}
    return {"type": kind.name, "words": WORDS[kind.name].format_map(said), "fields": plain}


def describe_key(key: Key) -> dict[str, str]:
    """Algorithm and fingerprint of a public key."""
    fingerprint = sha256(key.public)[:FINGERPRINT_BYTES].hex()
    return {"algorithm": ALGORITHMS.get(key.algorithm, str(key.algorithm)), "fingerprint": fingerprint}


def describe_did(did: bytes, name_of: NameOf) -> dict[str, str]:
    """A DID with its name."""
    return {"did": f"did:careledger:{did.hex()}", "name": name_of(did)}


def _say(value: Any) -> str:
    if isinstance(value, dict) and "did" in value:
        return str(value["name"] or value["did"][:32] + "…")
    return str(value)[:100]


def _struct(value: Any, name_of: NameOf) -> dict[str, Any]:
    names = [one.name for one in fields(value)] if is_dataclass(value) else list(value._fields)
    return {name: _plain(name, getattr(value, name), name_of) for name in names}


def _plain(name: str, value: Any, name_of: NameOf) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes):
        if name in DID_FIELDS and len(value) == 32:
            return describe_did(value, name_of)
        return value.hex() if len(value) <= BYTES_MAX else _long(value)
    if isinstance(value, Key):
        return describe_key(value)
    if isinstance(value, ProposalBody):
        return _proposal(value, name_of)
    if is_dataclass(value) or hasattr(value, "_fields"):
        return _struct(value, name_of)
    shown = [_plain("", one, name_of) for one in value[:LIST_MAX]]
    return shown if len(value) <= LIST_MAX else [*shown, f"and {len(value) - LIST_MAX} more"]


def _long(value: bytes) -> dict[str, Any]:
    return {"bytes": len(value), "sha256": sha256(value).hex()}


def _proposal(body: ProposalBody, name_of: NameOf) -> dict[str, Any]:
    try:
        actions = [
            {"what": kind.name} | _struct(action, name_of) for kind, action in decode_actions(body.actions)
        ]
    except CareLedgerError:
        actions = []
    return {"actions": actions, "expiry_ms": body.expiry_ms, "at_height": body.at_height}
