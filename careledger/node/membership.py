"""A member's part when somebody comes: the network file, letting a peer in; and how a home stands that came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from careledger.contracts.identity import SUBJECTS
from careledger.contracts.validators import compute_weights, get_seats
from careledger.engine.configuration import Address, Peer
from careledger.fhir.freshness import compute_age_ms, is_stale
from careledger.ledger.execution import Overlay
from careledger.ledger.light_files import make_trust_file
from careledger.node.application import StateReader
from careledger.node.finality import Headers
from careledger.node.networkfile import parse_address, parse_peer, write_network
from careledger.node.networking import Networking
from careledger.primitives.errors import Misconfigured, Unavailable
from careledger.primitives.types import Did

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress


async def describe_network(
    node: CommandContext, params: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """The network file, as this member sees its network now. `rpc`: servers that who joins can ask for headers."""
    networking = _networking(node)
    servers = [parse_address(str(one)) for one in params.get("rpc") or ()] or [networking.rpc.address]
    height = max([one.height for one in networking.snapshots.list_kept()], default=node.home.height)
    if height < 1:
        raise Unavailable("the network has made no block yet", hint="repeat in a few seconds")
    block = await Headers(networking.rpc).light_block(height)
    own = Peer(networking.node_id, _reached_at(node, params))
    genesis = (node.home.layout.engine / "config" / "genesis.json").read_bytes()
    file = write_network(
        genesis, Did(node.home.organisation), (own, *networking.peers), servers, make_trust_file(block)
    )
    return {"file": file.decode(), "height": height, "hash": block.commit.block_id.hash.hex()}


def _reached_at(node: CommandContext, params: dict[str, Any]) -> Address:
    given = str(params.get("address") or "")
    return parse_address(given or node.config.network.p2p)


async def admit_peer(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """From now on this node lets a peer in, and dials it; its engine starts anew for that."""
    peer = parse_peer(str(params["peer"]))
    await _networking(node).admit(peer)
    return {"peer": str(peer)}


def show_standing(node: CommandContext) -> dict[str, Any]:
    """Whether this organisation is admitted, its validators have weight, and why state sync cannot go on."""
    state = Overlay(StateReader(node.home))  # what is committed, whatever is being executed
    did = Did(node.home.organisation)
    subject = SUBJECTS.get(state, did)
    weight = compute_weights(get_seats(state)).get(did, 0)
    sync = None if node.networking is None else node.networking.state_sync
    problem = "" if sync is None else sync.problem
    shown: dict[str, Any] = {"admitted": subject is not None and subject.is_active, "weight": weight}
    return shown | ({"state_sync": problem} if problem else {})


def list_problems(node: CommandContext) -> list[str]:
    """What keeps this organisation from being a member in full, for people; nothing on an embedded ledger."""
    if not node.home.is_network:
        return []
    standing = show_standing(node)
    found = [f"no snapshot can be taken in: {standing['state_sync']}"] if "state_sync" in standing else []
    if not standing["admitted"]:
        found.append("the organisation is not admitted to the ledger: what is written waits for its anchor")
    return found if node.networking is None else [*found, *_list_served(node, node.networking)]


def _list_served(node: CommandContext, networking: Networking) -> Iterator[str]:
    """What a node that is served cannot do meanwhile."""
    if networking.signer is not None and networking.signer.silence:
        yield f"the validator signs nothing: {networking.signer.silence}"
    with node.backend.snapshot() as snapshot:
        age_ms = compute_age_ms(node.backend, snapshot)
    if is_stale(age_ms):
        yield (
            f"the newest block is {age_ms // 1000} s old: what rests on a directive outside this node's own care "
            "is refused until another comes"
        )


def _networking(node: CommandContext) -> Networking:
    if node.networking is None:
        raise Misconfigured(
            "this needs a served node of a network", hint="careledger serve; or careledger network up"
        )
    return node.networking
