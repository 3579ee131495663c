"""How a node stands in plain facts, for those who use it: how far, how fresh, who validates, who witnesses.

No address of another machine is told; who signs is read from the engine's newest commits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from careledger.fhir.freshness import STALE_MS, compute_age_ms, is_stale
from careledger.ledger.light import COMMIT
from careledger.ledger.light_files import compose_signed_part, make_trust_file
from careledger.node.consents import read_params
from careledger.node.explorer import Explorer
from careledger.node.finality import Headers, list_changes
from careledger.node.membership import show_standing
from careledger.node.networked import NetworkSequencer
from careledger.node.networking import Networking
from careledger.primitives.errors import CareLedgerError, Invalid, Misconfigured, NotFound, Unavailable

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

COMMITS_LOOKED_AT: Final = 10
WITNESS_FIELDS: Final = ("name", "size", "behind", "lag_s", "signed_at_s", "trouble", "ok")


class TrustParams(msgspec.Struct, forbid_unknown_fields=True):
    """From which height on somebody trusts; -1: from none."""

    height: int = -1


async def describe(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """This node and its network, or its witnesses where it keeps the ledger alone."""
    with node.reader.snapshot() as snapshot:
        ledger = Explorer(snapshot)
        age_ms = compute_age_ms(node.backend, snapshot)
        facts: dict[str, Any] = {
            "mode": "network" if ledger.is_network else "embedded",
            "height": ledger.height,
            "time_ms": ledger.time_ms,
            "age_ms": age_ms,
            "stale_after_ms": STALE_MS if ledger.is_network else 0,
            "is_stale": is_stale(age_ms),
            "levels": ["pending", "anchored", "final"] if ledger.is_network else ["anchored", "witnessed"],
            "problems": list(node.backend.problems()),
        }
    witnesses = [{name: one[name] for name in WITNESS_FIELDS} for one in node.witnesses.standing()]
    facts |= {"witnesses": witnesses, "witnesses_needed": node.witnesses.k}
    return facts | await _describe_network(node)


async def _describe_network(node: CommandContext) -> dict[str, Any]:
    if not isinstance(node.sequencer, NetworkSequencer) or node.networking is None:
        return {"anchoring": None, "engine": None, "membership": None}
    times = node.sequencer.anchor_times
    networking = node.networking
    return {
        "anchoring": {
            "anchored": times.anchored,
            "p50_ms": round(times.quantile_ms(0.5)),
            "p95_ms": round(times.quantile_ms(0.95)),
            "block_age_ms": round(1000 * (time.monotonic() - node.sequencer.block_at)),
        },
        "engine": await _describe_engine(networking),
        "membership": show_standing(node),
    }


async def _describe_engine(networking: Networking) -> dict[str, Any]:
    if networking.engine is None:
        return {"is_running": False, "peers": [], "pool": 0}
    health = await networking.engine.get_health()
    peers: list[str] = []
    if health.is_answering:
        try:
            peers = sorted(one.node_info.moniker for one in (await networking.rpc.net_info()).peers)
        except CareLedgerError:
            peers = []
    return {
        "is_running": health.is_running,
        "is_answering": health.is_answering,
        "is_catching_up": health.is_catching_up,
        "height": health.height,
        "restarts": health.restarts,
        "peers": peers,
        "pool": len(networking.pool.pool),
    }


async def show_signing(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Of the newest commits, how many each validator signed, by address; and the newest it signed (0: none of them)."""
    if node.networking is None or node.home.height < 1:
        return {"commits": 0, "signed": {}}
    headers, newest = Headers(node.networking.rpc), node.home.height
    found: dict[str, list[int]] = {}
    looked = 0
    for height in range(newest, max(0, newest - COMMITS_LOOKED_AT), -1):
        try:
            block = await headers.light_block(height)
        except CareLedgerError:
            break
        looked += 1
        for validator, vote in zip(block.validators.validators, block.commit.signatures, strict=False):
            heights = found.setdefault(validator.address.hex(), [])
            if vote.flag == COMMIT:
                heights.append(height)
    signed = {
        address: {"commits": len(heights), "newest": max(heights, default=0)}
        for address, heights in found.items()
    }
    return {"commits": looked, "signed": signed}


async def show_trust(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The newest signed header as a checkpoint file, and the way to it from the header of a trusted height."""
    height = read_params(params, TrustParams).height
    if node.networking is None:
        raise Misconfigured("this needs a served node of a network", hint="careledger serve")
    newest = node.home.height
    if newest < 1:
        raise Unavailable("the network has made no block yet", hint="repeat in a few seconds")
    if height > newest:
        raise Invalid("that height is not there yet", hint=f"the newest is {newest}", code="parameter")
    headers = Headers(node.networking.rpc)
    target = await headers.light_block(newest)
    answer = {"checkpoint": make_trust_file(target).decode(), "height": newest, "signed": ""}
    if height < 0:
        return answer
    if height == 0:
        raise NotFound("there is no header of height 0", hint="the first is 1")
    if height == newest:
        return answer
    blocks = [*await headers.find_way(height, list_changes(node.home), target), target]
    return answer | {"signed": msgspec.json.encode(compose_signed_part(blocks)).decode()}
