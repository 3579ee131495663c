"""The embedded ledger of a home that has joined a network: kept beside the network's, for proofs of what stood in it.

The journal says when: embedded blocks, one MIGRATED record, then the network's. The former state is what joins by
`ledger.adopt` and `ledger.follow` (docs/decisions/0032).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import lmdb
from msgspec import UNSET, UnsetType

from careledger.contracts import CONTRACTS, consent, identity
from careledger.contracts.adoption import ADOPT, ADOPTED, FOLLOW, FOLLOWED, FOLLOWING_MAX, Adopt, Follow
from careledger.contracts.records import BATCHES, HEADS
from careledger.ledger.checkpoint import parse_note
from careledger.ledger.consensus import index
from careledger.ledger.consensus.chain import LOG_PREFIX
from careledger.ledger.consensus.embedded import EmbeddedLedger
from careledger.ledger.export_former import (
    FormerPart,
    KeptPart,
    SaidPart,
    WithdrawnPart,
    followed_key,
    withdrawal_key,
)
from careledger.ledger.foreign import ProvenEntry, SignedState
from careledger.ledger.kernel import Map
from careledger.ledger.map_proof import MapProof
from careledger.ledger.proof_files import encode_binary, encode_map_path
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node import founding, pins
from careledger.primitives.errors import Corrupt
from careledger.primitives.types import Did

if TYPE_CHECKING:
    from careledger.node.home import OpenHome

MIGRATED_KEY: Final = b"migrated"
"""In `meta`: number of the commit with which the home went over to its network."""
BEFORE: Final = 0
"""Height of the network at which the heads map is what the embedded ledger ended with."""
_OF_THE_PAST: Final = (b"pinned", b"handed", b"day", b"checkpoint")
BODY_ROOM: Final = 96_000
"""Bytes of entries in one message: well within a transaction."""


@dataclass(frozen=True, slots=True)
class Former:
    """The embedded ledger, opened within one transaction of the index."""

    ledger: EmbeddedLedger
    kv: LmdbKV


def read_migrated(txn: lmdb.Transaction, meta: lmdb._Database) -> int | None:
    """The commit with which the home went over; None before."""
    data = txn.get(MIGRATED_KEY, db=meta)
    return None if data is None else int.from_bytes(data, "big")


def set_aside(home: OpenHome, txn: lmdb.Transaction, height: int, app_hash: bytes, view: int) -> None:
    """The embedded ledger ends at this block and is kept; the place is empty for the network's.

    Raises Corrupt if the ledger does not end there.
    """
    if (home.height, home.the_ledger.app_hash) != (height, app_hash):
        raise Corrupt("the embedded ledger does not end where the journal says", hint="run `careledger fsck`")
    tables = home.tables
    batches = LOG_PREFIX + BATCHES.state_key(Did(home.organisation))
    kept: list[tuple[bytes, bytes]] = []
    with txn.cursor(tables.ledger) as cursor:
        for key, value in cursor.iternext():
            txn.put(key, value, db=tables.former)
            if key.startswith(batches):
                kept.append((key, value))
    txn.drop(tables.ledger, delete=False)
    for key, value in kept:
        txn.put(key, value, db=tables.ledger)  # earlier batches stand in the log that goes on
    txn.drop(tables.past, delete=False)
    for name in _OF_THE_PAST:
        txn.delete(name, db=tables.meta)
    pins.put_newest(txn, tables, BEFORE)  # the heads as they are now can be shown for ever
    txn.put(MIGRATED_KEY, view.to_bytes(8, "big"), db=tables.meta)


def open_former(home: OpenHome, txn: lmdb.Transaction) -> Former:
    """The embedded ledger as it ended."""
    kv = LmdbKV(txn, home.tables.former)
    return Former(EmbeddedLedger.open(kv, CONTRACTS, founding.signer(home.keys)), kv)


def show_former(home: OpenHome, txn: lmdb.Transaction, handle: bytes) -> FormerPart | None:
    """How the embedded ledger ended for this chart, as exports show it; None if the chart began later, or the network
    knows nothing of that ledger yet."""
    did, ledger = Did(home.organisation), home.the_ledger
    adopted = ledger.prove_state(LmdbKV(txn, home.tables.ledger), ADOPTED.contract, ADOPTED.name, did)
    if adopted.value is None:
        return None
    former = open_former(home, txn)
    past = pins.view_of(home, txn, BEFORE)
    last = pins.make_part(former.ledger, former.kv, past, handle, (did, former.ledger.height))
    if not last.records.size:
        return None
    said = ADOPTED.value.decode(adopted.value)
    return FormerPart(
        genesis=encode_binary(said.genesis_hash),
        height=said.height,
        last=last,
        path=encode_map_path(adopted.proof.siblings),
        root=encode_binary(said.root),
        seq=said.seq,
        size=said.size,
        state=encode_binary(said.state_root),
    )


def show_kept(home: OpenHome, kv: LmdbKV, commitment: bytes) -> KeptPart:
    """What followed of a directive that the network has no entry of, and whether it was withdrawn since."""
    prove = home.the_ledger.prove_state
    followed = prove(kv, FOLLOWED.contract, FOLLOWED.name, followed_key(home.organisation, commitment))
    path, other = encode_map_path(followed.proof.siblings), _encode_other(followed.proof)
    if followed.value is None:
        return KeptPart(other=other, path=path, withdrawn=[])
    entry = consent.decode_entry(FOLLOWED.value.decode(followed.value))
    withdrawn = []
    for authority in (entry.key_hash, entry.revocation_hash) if entry.status == consent.ACTIVE else ():
        key = withdrawal_key(commitment, authority)
        found = prove(kv, consent.WITHDRAWN.contract, consent.WITHDRAWN.name, key)
        height = UNSET if found.value is None else consent.WITHDRAWN.value.decode(found.value)
        part = WithdrawnPart(
            height=height, other=_encode_other(found.proof), path=encode_map_path(found.proof.siblings)
        )
        withdrawn.append(part)
    return KeptPart(path=path, said=show_entry(entry), withdrawn=withdrawn)


def show_entry(entry: consent.Entry) -> SaidPart:
    """The value of `consent/directive` as exports show it."""
    return SaidPart(
        height=entry.height,
        key=encode_binary(entry.key_hash),
        revocation=encode_binary(entry.revocation_hash),
        status=entry.status,
        until=entry.until_day,
    )


def _encode_other(proof: MapProof) -> str | UnsetType:
    return UNSET if proof.other is None else encode_binary(b"".join(proof.other))


def compose_adoption(home: OpenHome) -> bytes:
    """`ledger.adopt` of this home's embedded ledger."""
    did = Did(home.organisation)
    with home.tables.env.begin() as txn:
        former = open_former(home, txn)
        return ADOPT.encode(
            Adopt(
                did,
                _signed_state(former),
                _prove(former, identity.SUBJECTS, did),
                _prove(former, HEADS, did),
                _prove(former, BATCHES, did),
            )
        )


def compose_following(home: OpenHome) -> list[bytes]:
    """`ledger.follow` of its directives, practitioners and devices that do not follow yet, in as few messages as fit."""
    did = Did(home.organisation)
    found: list[tuple[bytes, ProvenEntry]] = []
    with home.tables.env.begin() as txn:
        here = home.the_ledger.reader(LmdbKV(txn, home.tables.ledger))
        former = open_former(home, txn)
        for place, key in _worth_keeping(former, did):
            hashed = place.state_key(key)
            if here(FOLLOWED.state_key((did, hashed))) is None:
                found.append((hashed, _prove(former, place, key)))
    return [FOLLOW.encode(Follow(did, tuple(part))) for part in _in_parts(found)]


def _worth_keeping(former: Former, did: Did) -> Iterator[tuple[Map[Any, Any], Any]]:
    seen: set[bytes] = set()
    for event in (consent.GRANTED, consent.REVOKED_EVENT):
        for one in index.scan_events(former.kv, event.name, 0, 1 << 63):
            commitment = consent.CHANGED.decode(one.data).commitment
            if commitment not in seen and _has(former, consent.DIRECTIVES, commitment):
                seen.add(commitment)
                yield consent.DIRECTIVES, commitment
    for one in index.scan_events(former.kv, identity.REGISTERED.name, 0, 1 << 63):
        subject = identity.CHANGED.decode(one.data).subject
        if subject != did:
            yield identity.SUBJECTS, subject


def _has(former: Former, place: Map[Any, Any], key: Any) -> bool:
    return former.ledger.reader(former.kv)(place.state_key(key)) is not None


def _in_parts(entries: list[tuple[bytes, ProvenEntry]]) -> Iterator[list[tuple[bytes, ProvenEntry]]]:
    part: list[tuple[bytes, ProvenEntry]] = []
    room = BODY_ROOM
    for key, entry in entries:
        size = len(key) + len(entry.value) + 33 * len(entry.siblings) + 16
        if part and (size > room or len(part) >= FOLLOWING_MAX):
            yield part
            part, room = [], BODY_ROOM
        part.append((key, entry))
        room -= size
    if part:
        yield part


def _signed_state(former: Former) -> SignedState:
    ledger, kv = former.ledger, former.kv
    height = ledger.height
    head = parse_note(ledger.checkpoint(kv)).checkpoint
    return SignedState(
        ledger.genesis.to_bytes(),
        head.size,
        head.root,
        ledger.block(kv, height).signature,
        ledger.time_ms,
        ledger.app_hash,
        tuple(ledger.history_path(kv, height, head.size)),
    )


def _prove(former: Former, place: Map[Any, Any], key: Any) -> ProvenEntry:
    proof = former.ledger.prove_state(former.kv, place.contract, place.name, place.key.encode(key))
    if proof.value is None:
        raise Corrupt("the embedded ledger lacks an entry", hint="run `careledger fsck`")
    return ProvenEntry(proof.value, proof.proof.siblings)
