"""A revocation while its reader reads, and each node killed, paused, cut off and restarted: what the others notice.

Everything is done by the commands that a user types; only a pause is a signal to the node and its engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import Client
from careledger.node import client as node_client

if TYPE_CHECKING:
    from bench.network_bench import Network

LOOK_S = 0.02
LOOKS_BEFORE_S = 1.0
GONE_S = 5.0
"""Three or four blocks of the others, as long as in `make campaign-network`."""
BACK_S = 60.0
POLL_S = 0.05


# -- a revocation --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Looks:
    """What the reader of one chart was told: the heights of what it was given, and when it was given anything last."""

    permitted: list[int] = field(default_factory=list)
    newest: float = 0.0
    denied: int = 0


async def measure_revocations(network: Network) -> dict[str, Any]:
    """A chart at each organisation, open to the next one: blocks until its revocation is in force, the slowest.

    1 block: nobody was given anything at the height of the revocation or above.
    """
    members = network.organisations
    readers = [*members[1:], members[0]]
    found = [await _revoke(network, one, other) for one, other in zip(members, readers, strict=True)]
    result = {
        "blocks": max(one["blocks"] for one in found),
        "seconds": max(one["seconds"] for one in found),
        "charts": found,
    }
    print(f"revocations: {result}", flush=True)
    return result


async def _revoke(network: Network, custodian: dict[str, Any], reader: dict[str, Any]) -> dict[str, Any]:
    own, patient = _client(custodian, network.token(custodian)), f"revoked-{custodian['name']}"
    await own.ask_json("PUT", f"/Patient/{patient}", json.dumps(_patient(patient)).encode())
    own.close()
    key = network.folder / f"{patient}.key"
    did = json.loads(_careledger("config", "show", "--json", "--home", reader["home"]))["did"]
    at = ("--home", custodian["home"])
    _careledger("patient", "enrol", patient, "--key-out", str(key), *at)
    terms = ("--to", did, "--purpose", "TREAT", "--until", "2999-12-31", "--key", str(key))
    directive = _careledger("consent", "grant", patient, *terms, *at).strip()
    looks, ending = Looks(), asyncio.Event()
    stranger = _client(custodian, network.token(custodian, did))
    looking = asyncio.create_task(_look(stranger, patient, looks, ending))
    await asyncio.sleep(LOOKS_BEFORE_S)
    if not looks.permitted:
        raise RuntimeError(f"the reader was given nothing before the revocation: {looks}")
    asked = time.monotonic()
    words = ("consent", "revoke", directive, "--key", str(key), "--json", *at)
    told = json.loads(await asyncio.to_thread(_careledger, *words))
    await asyncio.sleep(LOOKS_BEFORE_S)
    ending.set()
    await looking
    stranger.close()
    if not looks.denied:
        raise RuntimeError("the reader was denied nothing after the revocation")
    blocks = max(looks.permitted) - told["height"] + 2
    return {"blocks": max(1, blocks), "seconds": round(looks.newest - asked, 2), "height": told["height"]}


async def _look(stranger: Client, patient: str, looks: Looks, ending: asyncio.Event) -> None:
    request = stranger.request("GET", f"/Patient/{patient}")
    request = request.replace(b"\r\n\r\n", b"\r\nCareLedger-Height: ?\r\n\r\n", 1)
    while not ending.is_set():
        status, _ = await stranger.ask(request)
        if status == 200:
            looks.permitted.append(int(stranger.header(b"careledger-height")))
            looks.newest = time.monotonic()
        else:
            looks.denied += 1
        await asyncio.sleep(LOOK_S)


def _patient(id: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "name": [{"family": "Bench"}]}


def _client(organisation: dict[str, Any], token: str) -> Client:
    host, _, rest = organisation["fhir"].removeprefix("http://").partition(":")
    return Client(host, int(rest.partition("/")[0]), token, lambda: 0.0)


def _careledger(*words: str) -> str:
    command = [sys.executable, "-m", "careledger", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# -- faults --------------------------------------------------------------------------------------------------------


def measure_faults(network: Network) -> dict[str, Any]:
    """Each fault at each node, one after another: seconds from its end until the node has all blocks and one more.

    Of a kill and a restart the start of the node is part of it. Raises RuntimeError if a node does not come back.
    """
    rows = []
    for one in network.organisations:
        for name, fault in FAULTS:
            relieved = fault(network, one)
            seconds = round(_await_blocks(network, one) - relieved, 2)
            rows.append({"fault": name, "node": one["name"], "seconds": seconds})
            print(f"blocks again: {rows[-1]}", flush=True)
    ordered = sorted(row["seconds"] for row in rows)
    return {"worst": ordered[-1], "median": ordered[len(ordered) // 2], "rounds": rows}


def _kill(network: Network, one: dict[str, Any]) -> float:
    network.command("kill", one["name"])
    time.sleep(GONE_S)
    relieved = time.monotonic()
    network.command("restart", one["name"])
    return relieved


def _restart(network: Network, one: dict[str, Any]) -> float:
    relieved = time.monotonic()
    network.command("restart", one["name"])
    return relieved


def _pause(network: Network, one: dict[str, Any]) -> float:
    pids = network.processes(one)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(GONE_S)
    relieved = time.monotonic()
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)
    return relieved


def _disconnect(network: Network, one: dict[str, Any]) -> float:
    others = ",".join(each["name"] for each in network.organisations if each is not one)
    network.command("partition", f"{others}/{one['name']}")
    time.sleep(GONE_S)
    relieved = time.monotonic()
    network.command("heal")
    return relieved


FAULTS: tuple[tuple[str, Callable[[Network, dict[str, Any]], float]], ...] = (
    ("kill", _kill),
    ("pause", _pause),
    ("disconnect", _disconnect),
    ("restart", _restart),
)


def _await_blocks(network: Network, one: dict[str, Any]) -> float:
    """When it had what the others had when this was called, and a block more."""
    target = max(_height(each) for each in network.organisations if each is not one) + 1
    until = time.monotonic() + BACK_S
    while _height(one) < target:
        if time.monotonic() > until:
            raise RuntimeError(f"{one['name']} is not at block {target} after {BACK_S:g} s")
        time.sleep(POLL_S)
    return time.monotonic()


def _height(one: dict[str, Any]) -> int:
    """Of the newest block that its node has made durable; −1 while it does not answer."""
    try:
        return int(node_client.call(Path(one["home"]), "network.status", {}, None)["height"])
    except Exception:  # it is starting, stopped or has just been killed: asked again
        return -1
