"""What a network's organisations decide together: propose, vote, and list what is open or was decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from careledger.contracts.actions import (
    CHANGE_PARAMETER,
    JAIL,
    REMOVE_ORGANISATION,
    REMOVE_VALIDATOR,
    SET_WEIGHT,
    UNJAIL,
    UPGRADE,
    ChangeParameter,
    Jail,
    RemoveOrganisation,
    RemoveValidator,
    SetWeight,
    Unjail,
    decode_actions,
)
from careledger.contracts.proposals import (
    BODIES,
    EXPIRY_MS_MAX,
    FAILED,
    IN_FORCE,
    LAPSED,
    OPEN,
    PASSED,
    PROPOSALS,
    REJECTED,
    Body,
    Proposal,
    compute_body_hash,
    get_agenda,
)
from careledger.contracts.validators import compute_weights, get_seats, get_validator, is_network
from careledger.contracts.voting import PROPOSE, VOTE, Propose, Vote
from careledger.engine.genesis import ADDRESS_SIZE
from careledger.ledger.execution import Overlay
from careledger.ledger.kernel import Key, State
from careledger.node.application import StateReader
from careledger.node.governing import submit
from careledger.node.joining import read_join_request
from careledger.node.program import read_upgrade
from careledger.primitives.errors import Conflict, Invalid, NotFound
from careledger.primitives.types import Did, did_text, parse_did

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

LISTED_MAX: Final = 100
DAY_MS: Final = 86_400_000
STATUS: Mapping[int, str] = MappingProxyType(
    {
        OPEN: "open",
        PASSED: "passed",
        IN_FORCE: "in force",
        FAILED: "failed",
        LAPSED: "lapsed",
        REJECTED: "rejected",
    }
)


async def propose(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A proposal with this organisation's vote for it: its number is known when it returns.

    Raises Conflict with the ledger's reason: what could not take effect now cannot be proposed.
    """
    compose = _COMPOSERS.get(str(params["what"]))
    if compose is None:
        raise Invalid(
            "nobody can propose that", hint="careledger governance propose --help lists what can be"
        )
    async with node.sequencer.quiet():
        lightest = min((seat.weight for seat in get_seats(_state(node))), default=1)
    action = compose(Did(node.home.organisation), {**params, "weight": params.get("weight") or lightest})
    days = int(params.get("days", 7))
    if not 0 < days * DAY_MS <= EXPIRY_MS_MAX:
        raise Invalid("a proposal is open for 1 to 30 days", hint="--days 7")
    did = Did(node.home.organisation)
    async with node.sequencer.quiet():
        expiry_ms = node.home.the_ledger.time_ms + days * DAY_MS - 60_000  # its block comes a little later
    body = Body((action,), expiry_ms, int(params.get("at_height") or 0))
    height = await submit(node, PROPOSE.encode(Propose(did, body)))
    body_hash = compute_body_hash(body)
    async with node.sequencer.quiet():
        state = _state(node)
        for number in range(get_agenda(state).next_number - 1, 0, -1):
            proposal = PROPOSALS.get(state, number)
            if proposal is not None and (proposal.by, proposal.body_hash) == (did, body_hash):
                return _show(state, number, proposal) | {"block": height}
    raise NotFound("the proposal is not on the ledger", hint="careledger governance list")


async def vote(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """This organisation's one vote, on the body that the proposal has now; `hash` says which that must be."""
    number = int(params["number"])
    async with node.sequencer.quiet():
        proposal = _get(_state(node), number)
    if proposal.status != OPEN:
        raise Conflict(
            f"the proposal is {STATUS[proposal.status]} already",
            hint="careledger governance list",
            code="not-open",
        )
    said = str(params.get("hash") or "")
    if said and said != proposal.body_hash.hex():
        raise Conflict(
            "the proposal says something else", hint="careledger governance list", code="body-differs"
        )
    message = Vote(Did(node.home.organisation), number, proposal.body_hash, bool(params["is_for"]))
    height = await submit(node, VOTE.encode(message))
    async with node.sequencer.quiet():
        state = _state(node)
        return _show(state, number, _get(state, number)) | {"block": height}


async def list_proposals(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The newest proposals, those that are open among them, and who validates with which weight."""
    async with node.sequencer.quiet():
        state = _state(node)
        if not is_network(state):
            raise Conflict(
                "this ledger has no validators: its operator decides",
                hint="careledger org, careledger parameters",
                code="not-a-network",
            )
        last = get_agenda(state).next_number - 1
        found = [
            _show(state, number, proposal)
            for number in range(max(1, last - LISTED_MAX + 1), last + 1)
            if (proposal := PROPOSALS.get(state, number)) is not None
        ]
        validators = [
            {
                "address": seat.address.hex(),
                "organisation": did_text(seat.organisation),
                "weight": seat.weight,
                "since": get_validator(state, seat.address).height,
            }
            for seat in get_seats(state)
        ]
        weight = sum(compute_weights(get_seats(state)).values())
        return {"height": node.home.height, "weight": weight, "validators": validators, "proposals": found}


def _state(node: CommandContext) -> Overlay:
    """The newest committed state. Hold `quiet` while it is read, so that it is one."""
    return Overlay(StateReader(node.home))


def _get(state: State, number: int) -> Proposal:
    proposal = PROPOSALS.get(state, number) if 0 < number < 1 << 63 else None
    if proposal is None:
        raise NotFound(f"there is no proposal {number}", hint="careledger governance list")
    return proposal


def _show(state: State, number: int, proposal: Proposal) -> dict[str, Any]:
    body = BODIES.get(state, number)
    voters = dict(proposal.voters)
    return {
        "number": number,
        "by": did_text(proposal.by),
        "status": STATUS[proposal.status],
        "hash": proposal.body_hash.hex(),
        "height": proposal.height,
        "settled": proposal.settled_height,
        "votes_for": sum(voters[did] for did, is_for in proposal.votes if is_for),
        "votes_against": sum(voters[did] for did, is_for in proposal.votes if not is_for),
        "weight": sum(voters.values()),
        "expiry_ms": 0 if body is None else body.expiry_ms,
        "actions": [] if body is None else _describe(body.actions),
    }


def _describe(actions: Sequence[bytes]) -> list[dict[str, Any]]:
    """What a body would do, in full: a voter signs for nothing unseen."""
    return [
        {"what": kind.name}
        | {field.name: _plain(field.name, getattr(action, field.name)) for field in fields(action)}
        for kind, action in decode_actions(actions)
    ]


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Key):
        return f"{value.algorithm}:{value.public.hex()}"
    if name in ("by", "organisation"):
        return did_text(value)
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if isinstance(value, tuple) else value


Composer = Callable[[Did, dict[str, Any]], bytes]


def _address(params: dict[str, Any]) -> bytes:
    try:
        address = bytes.fromhex(str(params["validator"]))
    except ValueError:
        address = b""
    if len(address) != ADDRESS_SIZE:
        raise Invalid("a validator is named by 40 hex digits", hint="careledger governance list shows them")
    return address


def _request(params: dict[str, Any]) -> bytes:
    return str(params["file"]).encode()


_COMPOSERS: Mapping[str, Composer] = MappingProxyType(
    {
        "admit": lambda did, params: read_join_request(_request(params), did).admission_action(),
        "validator": lambda did, params: read_join_request(_request(params), did).validator_action(
            int(params["weight"])
        ),
        "remove-organisation": lambda did, params: REMOVE_ORGANISATION.encode(
            RemoveOrganisation(parse_did(str(params["did"])))
        ),
        "weight": lambda did, params: SET_WEIGHT.encode(SetWeight(_address(params), int(params["weight"]))),
        "remove-validator": lambda did, params: REMOVE_VALIDATOR.encode(RemoveValidator(_address(params))),
        "jail": lambda did, params: JAIL.encode(Jail(_address(params))),
        "unjail": lambda did, params: UNJAIL.encode(Unjail(_address(params), int(params["weight"]))),
        "upgrade": lambda did, params: UPGRADE.encode(read_upgrade(_request(params))),
        "parameter": lambda did, params: CHANGE_PARAMETER.encode(
            ChangeParameter(str(params["name"]), int(params["value"]))
        ),
    }
)
