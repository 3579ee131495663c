"""What an organisation does about its practitioners on the ledger: register, suspend, reinstate, license, list; and what
they sign with keys of their own, sponsored by this node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from careledger.access.grants import Envelope
from careledger.access.staff import (
    ALGORITHMS,
    STAFF_LANE,
    compose_registration,
    compose_rotation,
    compose_signing,
    compute_practitioner_did,
)
from careledger.contracts.identity import CHANGED, PRACTITIONER, REGISTERED, SUBJECTS
from careledger.contracts.standing import (
    LICENSE,
    REINSTATE,
    SUSPEND,
    License,
    Reinstate,
    Suspend,
    compute_standing,
)
from careledger.contracts.subjects import KEYS, compute_key_id, get_restrictions
from careledger.fhir.consents import day
from careledger.ledger.consensus.index import EVENTS_MAX
from careledger.ledger.execution import Overlay
from careledger.ledger.kernel import ED25519, Key, State
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import (
    Authenticator,
    SecretKey,
    compute_id,
    join_authenticators,
    verify_authenticators,
)
from careledger.node.consents import read_params
from careledger.node.governing import URGENT_LANE, submit
from careledger.primitives.errors import Invalid
from careledger.primitives.types import Did, did_text, parse_did
from careledger.vault.model import Commit

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

VALID_MS: Final = 600_000
"""Within this a person has signed what was prepared."""


class LookParams(msgspec.Struct, forbid_unknown_fields=True):
    """A practitioner ('' for nobody yet), and keys as (algorithm, key) of which is asked whose they are."""

    did: str
    keys: list[tuple[int, bytes]]


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """A practitioner's signature: `key` and `signature` as an authenticator of the ledger holds them."""

    algorithm: int
    key: bytes
    signature: bytes
    sequence: int
    valid_until: int
    roles: tuple[str, ...] = ()
    did: str = ""
    statement: bytes = b""


async def prepare(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What a practitioner must know to sign: the ledger, the sponsor, and its next sequence."""
    home, did = node.home, Did(node.home.organisation)
    async with node.sequencer.quiet():
        ledger = home.the_ledger
        with home.tables.env.begin() as txn:
            sequence = ledger.next_sequence(LmdbKV(txn, home.tables.ledger), did, STAFF_LANE)
        valid_until = max(node.backend.now_ms(), ledger.time_ms) + VALID_MS
    return {
        "chain": ledger.chain_id,
        "genesis_hash": ledger.genesis_hash,
        "sponsor": did,
        "sequence": sequence,
        "valid_until": valid_until,
    }


async def look(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Which key signs for a practitioner now, and whose each of some keys is or was: '' for nobody's."""
    asked = read_params(params, LookParams)
    async with node.sequencer.quiet():
        with node.home.tables.env.begin() as txn:
            state = Overlay(node.home.the_ledger.reader(LmdbKV(txn, node.home.tables.ledger)))
            subject = SUBJECTS.get(state, parse_did(asked.did)) if asked.did else None
            owners = [KEYS.get(state, compute_key_id(_key_of(*one))) for one in asked.keys]
    return {
        "algorithm": 0 if subject is None else subject.root.algorithm,
        "key": b"" if subject is None else subject.root.public,
        "owners": ["" if owner is None else did_text(owner) for owner in owners],
    }


async def register(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The practitioner is on the ledger, under the key that signed.

    Raises Conflict with the ledger's reason; its code is `access.grants.SEQUENCE_MOVED` where it must be signed anew.
    """
    given = read_params(params, Given)
    key = _read_key(given)
    body = compose_registration(_envelope(node, given), key, given.roles)
    keys = node.home.keys
    own = [SecretKey(ED25519, keys.node_seed), SecretKey(ED25519, keys.root_seed)]
    height = await _complete(node, body, given, own)
    return {"did": did_text(compute_practitioner_did(key)), "height": height}


async def rotate(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Another key signs for the practitioner from the block on that is named; the former one never again. As `register`."""
    given = read_params(params, Given)
    did, keys = parse_did(given.did), node.home.keys
    body = compose_rotation(_envelope(node, given), did, _read_key(given))
    own = [SecretKey(ED25519, keys.node_seed), SecretKey(ED25519, keys.root_seed)]
    return {"did": given.did, "height": await _complete(node, body, given, own)}


async def sign(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The practitioner's signature of a statement is on the ledger. Raises as `register`."""
    given = read_params(params, Given)
    _read_key(given)
    body = compose_signing(_envelope(node, given), parse_did(given.did), given.statement)
    height = await _complete(node, body, given, [SecretKey(ED25519, node.home.keys.node_seed)])
    return {"did": given.did, "statement": given.statement.hex(), "height": height}


async def suspend(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Nobody acts under this DID from the block on that is named: first in it, until reinstated."""
    did = parse_did(str(params["did"]))
    message = SUSPEND.encode(Suspend(did, Did(node.home.organisation)))
    return {"did": did_text(did), "height": await submit(node, message, URGENT_LANE)}


async def reinstate(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The suspension ends with the block that is named."""
    did = parse_did(str(params["did"]))
    message = REINSTATE.encode(Reinstate(did, Did(node.home.organisation)))
    return {"did": did_text(did), "height": await submit(node, message)}


async def license_(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The role ends with the day `until` (days since 1970, UTC), instead of whatever was said before."""
    did, role, until = parse_did(str(params["did"])), str(params["role"]), int(params["until"])
    message = LICENSE.encode(License(did, Did(node.home.organisation), role, until))
    height = await submit(node, message)
    return {"did": did_text(did), "role": role, "until": day(until), "height": height}


async def list_practitioners(
    node: CommandContext, params: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """This organisation's practitioners in the order of registration, as they stand at the newest block's time.

    A node that began with a snapshot has no events of before, and lists who was registered since.
    """
    organisation = Did(node.home.organisation)
    async with node.sequencer.quiet():
        ledger = node.home.the_ledger
        with node.home.tables.env.begin() as txn:
            kv = LmdbKV(txn, node.home.tables.ledger)
            events = ledger.events(kv, REGISTERED.name, limit=EVENTS_MAX)
            state = Overlay(ledger.reader(kv))
            named = dict.fromkeys(CHANGED.decode(event.data).subject for event in events)
            shown = [_show(state, did, ledger.time_ms) for did in named if _is_ours(state, did, organisation)]
    return {"practitioners": shown}


def _is_ours(state: State, did: Did, organisation: Did) -> bool:
    subject = SUBJECTS.get(state, did)
    return subject is not None and (subject.kind, subject.organisation) == (PRACTITIONER, organisation)


def _show(state: State, did: Did, time_ms: int) -> dict[str, Any]:
    standing = compute_standing(state, did, time_ms)
    subject = SUBJECTS.get(state, did)
    return {
        "did": did_text(did),
        "standing": standing.status,
        "roles": list(standing.roles),
        "licences": [
            {"role": role, "until": day(until_day)}
            for role, until_day in get_restrictions(state, did).licences
        ],
        "height": 0 if subject is None else subject.height,
    }


def _read_key(given: Given) -> Key:
    return _key_of(given.algorithm, given.key)


def _key_of(algorithm: int, public: bytes) -> Key:
    if algorithm not in ALGORITHMS:
        raise Invalid("the ledger knows no such algorithm", hint="client and node differ in version")
    return Key(algorithm, public)


def _envelope(node: CommandContext, given: Given) -> Envelope:
    """The envelope that was signed, if it was this node's; the signature holds for no other."""
    if not (0 <= given.sequence < 2**64 and 0 <= given.valid_until < 2**64):
        raise Invalid("sequence or time is out of range", hint="client and node differ in version")
    ledger = node.home.the_ledger
    return Envelope(ledger.genesis_hash, Did(node.home.organisation), given.sequence, given.valid_until)


async def _complete(node: CommandContext, body: bytes, given: Given, own: list[SecretKey]) -> int:
    """The height of the block that takes the body, signed by the practitioner and then by this organisation."""
    transaction_id = compute_id(body)
    theirs = Authenticator(given.algorithm, given.key, given.signature)
    verify_authenticators([theirs], transaction_id)
    ours = [Authenticator(*one.key, one.sign(transaction_id)) for one in own]
    transaction = join_authenticators(body, [theirs, *ours])
    return (await node.backend.commit(Commit(transactions=(transaction,)))).height
