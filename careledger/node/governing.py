"""What an operator does: admit organisations, list them, show and set the ledger's parameters; and how others ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from careledger.access.grants import SEQUENCE_MOVED
from careledger.contracts.governance import SET_PARAMETER, SetParameter
from careledger.contracts.identity import (
    CHANGED,
    DEACTIVATE,
    OPERATOR_ROLE,
    ORGANISATION,
    REGISTERED,
    SUBJECTS,
    Deactivate,
    Subject,
)
from careledger.contracts.parameters import BOUNDS, get_parameter
from careledger.contracts.validators import get_seats
from careledger.ledger.consensus.index import EVENTS_MAX
from careledger.ledger.execution import Overlay
from careledger.ledger.kernel import ED25519
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.node import profile
from careledger.node.admission import make_request, read_request
from careledger.node.founding import ANCHOR_VALID_MS, founder
from careledger.primitives.errors import Conflict, Invalid
from careledger.primitives.types import Did, did_text, parse_did
from careledger.vault.model import Commit

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

URGENT_LANE, GOVERNANCE_LANE = 0, 4
ATTEMPTS_MAX = 8


async def request_admission(
    node: CommandContext, params: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """The file by which this organisation asks the operator of another ledger to be admitted."""
    operator = parse_did(params["operator"])
    if operator == founder(node.home.keys):
        raise Invalid("this is the home's own organisation", hint="name the operator of another ledger")
    root, node_key = _secrets(node)
    file = make_request(
        operator, node.home.file.name, root, node_key, [str(one) for one in params.get("end_points") or ()]
    )
    return {"file": file.decode()}


async def admit(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The organisation that asked is on the ledger when this returns."""
    asked = read_request(str(params["file"]).encode(), Did(node.home.organisation))
    height = await submit(node, asked.message)
    return {"did": did_text(asked.did), "name": asked.name, "height": height}


async def deactivate(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The organisation acts no more from the block on that is named: first in it, and for ever."""
    did = parse_did(params["did"])
    message = DEACTIVATE.encode(Deactivate(did, Did(node.home.organisation)))
    return {"did": did_text(did), "height": await submit(node, message, URGENT_LANE)}


async def list_organisations(
    node: CommandContext, params: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Every organisation that was ever registered, in the order of admission, as it is now.

    A node that began with a snapshot has no events of before: of those who came between the genesis and the snapshot
    it lists who validates, last.
    """
    async with node.sequencer.quiet():
        ledger = node.home.the_ledger
        with node.home.tables.env.begin() as txn:
            kv = LmdbKV(txn, node.home.tables.ledger)
            events = ledger.events(kv, REGISTERED.name, limit=EVENTS_MAX)
            seats = get_seats(Overlay(ledger.reader(kv)))
            named = [CHANGED.decode(event.data).subject for event in events]
            found = []
            for did in dict.fromkeys([*named, *[seat.organisation for seat in seats]]):
                raw = ledger.state(kv, SUBJECTS.contract, SUBJECTS.name, did)
                if raw is not None:
                    found.append((did, SUBJECTS.value.decode(raw)))
    return {"organisations": [_show(did, one) for did, one in found if one.kind == ORGANISATION]}


async def show_parameters(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Every parameter with its bounds, and what executes the ledger."""
    async with node.sequencer.quiet():
        ledger = node.home.the_ledger
        with node.home.tables.env.begin() as txn:
            state = Overlay(ledger.reader(LmdbKV(txn, node.home.tables.ledger)))
            values = {bound.name: get_parameter(state, bound.name) for bound in BOUNDS}
        pinned = profile.pinned_profile(node.home)
        height = ledger.height
    return {
        "height": height,
        "profile": profile.describe(pinned),
        "parameters": [
            {
                "name": bound.name,
                "value": values[bound.name],
                "least": bound.least,
                "most": bound.most,
                "meaning": bound.meaning,
            }
            for bound in BOUNDS
        ],
    }


async def set_parameter(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The parameter holds from the block on that is named."""
    name, value = str(params["name"]), int(params["value"])
    bound = next((one for one in BOUNDS if one.name == name), None)
    if bound is None:
        raise Invalid("there is no such parameter", hint="careledger parameters show lists them")
    if not bound.least <= value <= bound.most:
        raise Invalid(
            f"{name} cannot be that",
            hint=f"at least {bound.least}, at most {bound.most}",
            code="out-of-bounds",
        )
    message = SET_PARAMETER.encode(SetParameter(Did(node.home.organisation), name, value))
    return {"name": name, "value": value, "height": await submit(node, message)}


async def submit(node: CommandContext, message: bytes, lane: int = GOVERNANCE_LANE) -> int:
    """One message of this organisation's, signed by its root and node key; the height of its block.

    Raises Conflict with the ledger's reason if it refuses.
    """
    attempts = 0
    while True:
        attempts += 1
        transaction = await _compose(node, message, lane)
        try:
            return (await node.backend.commit(Commit(transactions=(transaction,)))).height
        except Conflict as conflict:
            if conflict.code != SEQUENCE_MOVED or attempts == ATTEMPTS_MAX:
                raise


async def _compose(node: CommandContext, message: bytes, lane: int) -> bytes:
    home, did = node.home, Did(node.home.organisation)
    async with node.sequencer.quiet():
        ledger = home.the_ledger
        with home.tables.env.begin() as txn:
            sequence = ledger.next_sequence(LmdbKV(txn, home.tables.ledger), did, lane)
        valid_until = max(node.backend.now_ms(), ledger.time_ms) + ANCHOR_VALID_MS
    return build_transaction(ledger.genesis_hash, valid_until, did, lane, sequence, [message], _secrets(node))


def _secrets(node: CommandContext) -> tuple[SecretKey, SecretKey]:
    keys = node.home.keys
    return SecretKey(ED25519, keys.root_seed), SecretKey(ED25519, keys.node_seed)


def _show(did: Did, subject: Subject) -> dict[str, Any]:
    return {
        "did": did_text(did),
        "name": subject.name,
        "active": subject.is_active,
        "operator": OPERATOR_ROLE in subject.roles,
        "roles": list(subject.roles),
        "end_points": list(subject.end_points),
        "height": subject.height,
    }
