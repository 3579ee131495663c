"""What a newcomer does, done for it on one machine: file, keys, peers, state sync, two votes."""

from __future__ import annotations

import re
import secrets
import time
from typing import Any, Final

import msgspec

from careledger.cli import localnet
from careledger.cli.localnet import LocalNetwork, Organisation, Report
from careledger.engine.configuration import Address
from careledger.node import joining
from careledger.primitives.errors import Conflict, Invalid, Unavailable

HOST: Final = "127.0.0.1"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
WAIT_SECONDS: Final = 60.0
SNAPSHOT_AT: Final = 18
"""A network this high has a snapshot that can be verified."""


def join(network: LocalNetwork, name: str, report: Report) -> tuple[LocalNetwork, dict[str, Any]]:
    """The network with one organisation more, which validates; and how long each step took, in seconds."""
    members = network.plan.organisations
    if any(one.name == name for one in members) or not _NAME.fullmatch(name):
        raise Invalid("that name is taken, or none", hint="letters and digits, up to 32")
    if (network.folder / name).exists():
        raise Conflict(
            f"{network.folder / name} is in the way: an earlier try to join ended there",
            hint="remove that folder, then repeat",
            code="folder-not-empty",
        )
    began = time.monotonic()
    steps: dict[str, float] = {}
    network.wait_ready(members, SNAPSHOT_AT, report)
    newcomer, request = _make(network, name, report)
    peer = f"{newcomer.node_id}@{HOST}:{newcomer.p2p}"
    for one in members:
        network.ask(one, "network.admit_peer", {"peer": peer})
        height = max(network.height(other) for other in members)
        network.wait_ready([one], height + 1, lambda text: None)
    steps["let in by every member"] = time.monotonic() - began
    grown = _write_plan(network, [*members, newcomer])
    began = time.monotonic()
    grown.start(newcomer)
    height = max(map(network.height, members))
    grown.wait_ready([newcomer], height, report)
    steps["state sync and following"] = time.monotonic() - began
    began = time.monotonic()
    for what, says in (("admit", "admitted"), ("validator", "weight")):
        _decide(network, members, {"what": what, "file": request})
        _wait_for(grown, newcomer, says)
        report(f"{name}: {'admitted by vote' if says == 'admitted' else 'validates'}")
    steps["two votes"] = time.monotonic() - began
    return grown, {step: round(seconds, 2) for step, seconds in steps.items()}


def _make(network: LocalNetwork, name: str, report: Report) -> tuple[Organisation, str]:
    """Its home, and its request."""
    members = network.plan.organisations
    first = _choose_ports(members)
    described = network.ask(members[0], "network.describe", {"rpc": [f"{HOST}:{one.rpc}" for one in members]})
    report(f"keys and home of {name}")
    place = network.folder / name
    place.mkdir(mode=0o700)
    passphrase = secrets.token_urlsafe(24)
    localnet.write_private(place / "passphrase", passphrase + "\n")
    fhir, p2p, rpc = range(first, first + localnet.PORTS_EACH)
    made = joining.join(
        place / "home",
        name,
        passphrase,
        described["file"].encode(),
        joining.Place(
            listen=f"{HOST}:{fhir}",
            p2p=Address(HOST, p2p),
            rpc=Address(HOST, rpc),
            reached_at=Address(HOST, p2p),
            relayed=True,
        ),
    )
    return Organisation(name, fhir, p2p, rpc, made.peer.id), made.request.decode()


def _decide(network: LocalNetwork, members: list[Organisation], params: dict[str, Any]) -> None:
    """Proposed by the first, and voted for by the others until it has passed."""
    proposal = network.ask(members[0], "governance.propose", params)
    for one in members[1:]:
        if proposal["status"] == "open":
            network.wait_ready([one], proposal["block"], lambda text: None)
            try:
                proposal = network.ask(one, "governance.vote", {"number": proposal["number"], "is_for": True})
            except Conflict:
                continue  # it had no weight, or the proposal passed meanwhile


def _wait_for(network: LocalNetwork, one: Organisation, says: str) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not network.ask(one, "network.status")[says]:
        if time.monotonic() > until:
            raise Unavailable(
                f"{one.name} is not there yet", hint="careledger governance list; network status"
            )
        time.sleep(0.2)


def _choose_ports(members: list[Organisation]) -> int:
    """Behind those of the others, if these are free."""
    first = max(port for one in members for port in (one.fhir, one.p2p, one.rpc)) + 1
    is_free = all(localnet.is_free(port) for port in range(first, first + localnet.PORTS_EACH))
    return first if is_free else localnet.find_ports(1, None)


def _write_plan(network: LocalNetwork, organisations: list[Organisation]) -> LocalNetwork:
    """The plan with these organisations."""
    plan = msgspec.structs.replace(network.plan, organisations=organisations)
    (network.folder / localnet.PLAN_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(plan)))
    return LocalNetwork(network.folder, plan)
